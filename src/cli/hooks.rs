//! `hooks`: the API, with the checksum made for you.

use clap::Args;
use clap::Subcommand;
use uuid::Uuid;

/// What to do with hooks.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Hooks {
    /// What to do.
    #[command(subcommand)]
    pub what: HooksCommand,
}

/// What can be done with hooks.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum HooksCommand {
    /// List the hooks: all, or those that get the events of a meeting.
    List(List),
    /// Register a hook. There is one hook for each URL: if it has one already, that one stays as it is.
    #[command(after_help = "\
Example:
  bbb-webhooks hooks create https://lms.example.org/events --meeting math-101 --events user-joined,user-left")]
    Create(Create),
    /// Remove hooks.
    Destroy(Destroy),
    /// Send one test event to a hook, and show what its receiver answers.
    ///
    /// The event's id is bbb-webhooks-test, so that a receiver can tell it; where the URL has no hook, the hook's id is that, too. It is signed as the daemon would sign it, but
    /// goes straight to the receiver: it is sent once, is no part of the journal, and does not count for the hook.
    #[command(after_help = "\
Examples:
  bbb-webhooks hooks test 1
  bbb-webhooks hooks test https://lms.example.org/events   (registered or not)")]
    Test(Test),
    /// Print the secret with which a hook's receiver can check what comes to it, and nothing else can be done.
    ///
    /// It is the key of the signature in the headers (Standard Webhooks), and follows from the configured secret and the hook's id.
    /// Nobody is asked: neither a daemon nor such a hook has to be there.
    #[command(after_help = "\
Examples:
  bbb-webhooks hooks secret 1
  SHARED_SECRET=the-next-one bbb-webhooks hooks secret 1   (before the server's secret is changed)")]
    Secret(Secret),
}

/// Which hooks to list.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Only those that get the events of this meeting: its own, and the global ones.
    #[arg(long, value_name = "ID")]
    pub meeting: Option<String>,
    /// List them as JSON, one a line.
    #[arg(long)]
    pub json: bool,
}

/// The hook to create.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// Where to deliver events: an absolute http or https URL, which the checksum of each callback covers as it stands here.
    pub url: String,
    /// What it gets.
    #[command(flatten)]
    pub wanted: Wanted,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What a hook gets.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only the events of this meeting: its meetingID, as the application gave it.
    #[arg(long, value_name = "ID")]
    pub meeting: Option<String>,
    /// Only events with these ids, such as user-joined, with commas between them.
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub events: Vec<String>,
    /// Messages as BigBlueButton publishes them, instead of events.
    #[arg(long)]
    pub raw: bool,
}

/// The hooks to remove.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Destroy {
    /// Their ids, as `hooks list` shows them.
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
}

/// Whose secret to print.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// The hook's id, as `hooks list` shows it.
    #[arg(value_parser = hook_id)]
    pub id: String,
}

/// The id of a hook that is not registered, in what `hooks test` sends it.
pub(crate) const TEST: &str = "bbb-webhooks-test";

/// What can be a hook's id: a number, or a UUID, both as they are listed. Of anything else the secret would look as good.
fn hook_id(text: &str) -> Result<String, String> {
    let is_number = text.parse::<u64>().is_ok_and(|number| number.to_string() == text);
    let is_uuid = Uuid::try_parse(text).is_ok_and(|uuid| uuid.to_string() == text);
    match is_number || is_uuid || text == TEST {
        true => Ok(text.to_owned()),
        false => Err("expected an id, as `bbb-webhooks hooks list` shows it".to_owned()),
    }
}

/// Whom to send a test event.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// The hook's id, as `hooks list` shows it, or its URL.
    #[arg(value_name = "ID|URL")]
    pub hook: String,
    /// Send it as a raw hook would get it. A hook that is registered as raw gets it so anyway.
    #[arg(long)]
    pub raw: bool,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub json: bool,
}
