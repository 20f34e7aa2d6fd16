//! The command line.

mod check;
mod events;
mod hooks;
mod pages;
mod replay;
mod sign;
mod status;

use clap::Parser;
use clap::Subcommand;

pub use self::check::Check;
pub use self::events::Events;
pub use self::events::Receive;
pub use self::hooks::Create;
pub use self::hooks::Destroy;
pub use self::hooks::Hooks;
pub use self::hooks::HooksCommand;
pub use self::hooks::List;
pub use self::hooks::Secret;
pub(crate) use self::hooks::TEST;
pub use self::hooks::Test;
pub use self::hooks::Wanted;
pub use self::pages::Completions;
pub use self::pages::Man;
pub use self::replay::Parked;
pub use self::replay::Replay;
pub use self::replay::Which;
pub use self::sign::Sign;
pub use self::status::Status;

/// Delivers BigBlueButton events to the webhooks registered for them.
///
/// Every command reads the same configuration as the daemon: run it on the server, as a user who may read that.
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
    /// Check the configuration, and whether all is there that the daemon needs.
    ///
    /// Prints the configuration as it takes effect, with where each value comes from, secrets masked; then whether Redis is
    /// there and takes what is written, whether the API's port is free or held by the daemon, and whether
    /// BigBlueButton's own properties say the same. Nothing is left behind.
    #[command(after_help = "\
Exit status: 0 if all is well, 1 if a check failed, 78 if the configuration cannot be used.")]
    Check(Check),
    /// List, create, destroy or test hooks, through the running daemon; print the secret of one.
    Hooks(Hooks),
    /// Show what is stuck, and why: one screen of Redis, the subscription, the journal, and each hook.
    #[command(after_help = "\
Exit status: 0 if all is well, 1 if something needs a person: the daemon or Redis is not there, or another daemon works with
it; a hook is suspended, is about to be removed, or has waited for more than five minutes; events are parked; since the start
of the daemon events or messages were lost, or hooks removed.")]
    Status(Status),
    /// Follow what BigBlueButton publishes, until Ctrl-C.
    ///
    /// It listens for itself: the daemon need not run, and nobody notices.
    #[command(after_help = "\
Examples:
  bbb-webhooks events                                       (what hooks would get)
  bbb-webhooks events --meeting math-101 --event user-joined,user-left
  bbb-webhooks events --raw --output messages.jsonl         (all that is published, into a file too)
  bbb-webhooks events --explain --message LockSettingsInMeetingChangedEvtMsg")]
    Events(Events),
    /// Receive callbacks here and look at them, until Ctrl-C: for development.
    ///
    /// Registers a hook for itself through the running daemon, checks the signature of each callback, prints what it
    /// brought, and destroys the hook at the end.
    #[command(after_help = "\
Examples:
  bbb-webhooks receive
  bbb-webhooks receive --meeting math-101 --json
  bbb-webhooks receive --status 500        (how the daemon takes a receiver that fails)
  bbb-webhooks receive --listen 0.0.0.0:8080 --url http://192.0.2.7:8080/here")]
    Receive(Receive),
    /// Make or check a checksum of a call of the API; check the checksum and the signature of a callback.
    ///
    /// Makes the checksum of a call and the URL to ask; or says of one that was made elsewhere whether it is right and, if
    /// not, which of the usual mistakes explains it. The secret is the configured one. Nothing is asked over the network.
    #[command(after_help = "\
Examples:
  bbb-webhooks sign list
  bbb-webhooks sign create 'callbackURL=https%3A%2F%2Flms.example.org%2Fevents&meetingID=math-101'
  bbb-webhooks sign --verify 'https://bbb.example.org/bigbluebutton/api/hooks/list?checksum=0beec7b5...'
  bbb-webhooks sign --callback 'https://lms.example.org/events?checksum=62cdb702...' --body body.txt
  bbb-webhooks sign --callback https://lms.example.org/events --body body.txt --header 'webhook-id: 1_1763990000123456_1763990000123456' \
    --header 'webhook-timestamp: 1763990000' --header 'webhook-signature: v1,bxb5ulTP...'
  SHARED_SECRET=my-secret bbb-webhooks sign list            (without a BigBlueButton server)

Exit status: 0, or 1 if a checksum or a signature is wrong.")]
    Sign(Sign),
    /// Send events of the past to a hook again, through the running daemon.
    ///
    /// The events are what the journal in Redis still holds of those that the hook gets, or what was parked. They are sent
    /// in the order in which they happened, and are the same as before but for the callback's timestamp.
    Replay(Replay),
    /// List or drop the events of a hook that are parked: its receiver works, but refused them to the last retry.
    Parked(Parked),
    /// Print completions for a shell.
    #[command(after_help = "\
Example:
  bbb-webhooks completions bash | sudo tee /usr/share/bash-completion/completions/bbb-webhooks >/dev/null")]
    Completions(Completions),
    /// Print the manual page.
    #[command(after_help = "\
Example:
  bbb-webhooks man | man -l -")]
    Man(Man),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn only_an_id_has_a_secret() {
        let takes = |id: &str| Cli::try_parse_from(["bbb-webhooks", "hooks", "secret", id]);
        for id in ["1", "12", "018f3f6a-0f4c-4d53-a1f5-6a3d5f7c9b10", TEST] {
            assert!(takes(id).is_ok(), "{id}");
        }
        for id in ["", "http://h/x", "a/b", "01", "+1", " 1", "018F3F6A-0F4C-4D53-A1F5-6A3D5F7C9B10", "xapi"] {
            let error = takes(id).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{id}");
            assert!(error.to_string().contains("an id, as `bbb-webhooks hooks list` shows it"), "{error}");
        }
    }

    #[test]
    fn an_address_to_listen_on_has_a_port() {
        let takes = |listen: &str| Cli::try_parse_from(["bbb-webhooks", "receive", "--listen", listen]);
        assert!(takes("127.0.0.1:8080").is_ok() && takes("[::1]:0").is_ok());
        for listen in ["8080", "127.0.0.1", "localhost:8080"] {
            let error = takes(listen).unwrap_err().to_string();
            assert!(error.contains("expected ADDRESS:PORT, such as 127.0.0.1:8080"), "{error}");
        }
    }
}
