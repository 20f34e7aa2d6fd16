//! Arguments of `status`.

use clap::Args;

/// How to show it.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Show it again every two seconds, until Ctrl-C.
    #[arg(long, conflicts_with = "json")]
    pub watch: bool,
    /// Print all that is known, as JSON.
    #[arg(long)]
    pub json: bool,
}
