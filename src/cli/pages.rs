//! `completions` and `man`: made from the command line's own description.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// Which shell.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completions {
    /// The shell.
    pub shell: Shell,
}

/// Where to.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Man {
    /// Write the pages of all commands into this folder (bbb-webhooks.1, bbb-webhooks-hooks.1, ...), instead of printing one.
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}
