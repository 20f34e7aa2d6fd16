//! The command line.

use clap::Parser;
use clap::Subcommand;

/// Delivers BigBlueButton events to the webhooks registered for them.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do; without it, serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Deliver events until told to stop (SIGTERM, SIGINT). In the foreground.
    #[default]
    Serve,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn is_sound() {
        Cli::command().debug_assert();
    }
}
