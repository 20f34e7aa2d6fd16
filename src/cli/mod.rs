//! The command line.

mod replay;

use clap::Parser;
use clap::Subcommand;

pub use self::replay::Parked;
pub use self::replay::Replay;
pub use self::replay::Which;

/// Delivers BigBlueButton events to the webhooks registered for them.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do; without it, serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program can do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Deliver events until told to stop (SIGTERM, SIGINT). In the foreground.
    #[default]
    Serve,
    /// Send events of the past to a hook again, through the running daemon.
    ///
    /// The events are what the journal in Redis still holds of those that the hook gets, or what was parked. They are sent
    /// in the order in which they happened, and are the same as before but for the callback's timestamp.
    Replay(Replay),
    /// List or drop the events of a hook that are parked: its receiver works, but refused them to the last retry.
    Parked(Parked),
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
