//! `check`: the configuration, and what the daemon needs around it.

use clap::Args;

/// What to check.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// Only the configuration: nothing is asked over the network.
    #[arg(long, conflicts_with = "online")]
    pub config_only: bool,
    /// Also ask the receivers of permanent hooks whether they are there, by a HEAD request to each.
    #[arg(long)]
    pub online: bool,
    /// Print only what is not well, and nothing if all is.
    #[arg(long, conflicts_with = "json")]
    pub quiet: bool,
    /// Print what was found as JSON, for scripts.
    #[arg(long)]
    pub json: bool,
}
