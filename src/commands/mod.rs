//! What the program does beside serving. Each command works with the daemon's own configuration, and prints its outcome for
//! a person; most of them as JSON too, for scripts.

mod answer;
pub mod check;
mod client;
mod events;
mod explain;
mod hooks;
mod pages;
mod parked;
mod receive;
mod replay;
mod sign;
mod status;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use serde_json::Value;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::config::Config;
use crate::connection;
use crate::connection::Connection;
use crate::event::HookId;
use crate::event::XAPI_READER;
use crate::store::Store;

pub use self::events::events;
pub use self::hooks::hooks;
pub use self::hooks::secret_of_hook;
pub use self::pages::completions;
pub use self::pages::man;
pub use self::parked::parked;
pub use self::receive::receive;
pub use self::replay::replay;
pub use self::sign::sign;
pub use self::status::status;

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What to print.
    pub text: String,
    /// The exit status.
    pub status: u8,
}

impl From<String> for Outcome {
    /// All is well.
    fn from(text: String) -> Self {
        Self { text, status: 0 }
    }
}

/// Prints a line at once. Whether somebody reads on: one that has seen enough, as `head`, closes the pipe.
fn say(line: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
}

/// A text as a terminal may get it: what others wrote must not move its cursor, or pass for lines of its own.
fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_unicode().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// Columns as wide as what stands in them; `-` for what is empty.
fn table<const N: usize>(head: &[&str; N], rows: &[[String; N]]) -> String {
    let cell = |text: &str| if text.is_empty() { "-".to_owned() } else { printable(text) };
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| row.each_ref().map(|text| cell(text))));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: &[String; N]| {
        let padded: Vec<_> = cells.iter().zip(widths).map(|(text, width)| format!("{text:<width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    lines.iter().map(line).collect()
}

/// Waits for Ctrl-C or SIGTERM; from now on, whenever it is first asked.
fn told_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).context("signals cannot be listened to");
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// What a message or an event calls itself: a message's name, or an event's id.
fn name(message: &Value) -> Option<&str> {
    ["/data/id", "/envelope/name", "/header/name"].iter().find_map(|way| message.pointer(way)?.as_str())
}

/// The store, and the hook if there is one of that id; the xAPI output passes for one.
async fn stored_hook(config: &Config, id: &str) -> anyhow::Result<(Store, HookId)> {
    let client = connection::client(&config.redis).context("the Redis server where hooks are kept")?;
    let server = connection::display(&client);
    let store = Store::new(Arc::new(Connection::new(client)), config);
    if id == XAPI_READER && config.xapi.enabled {
        return Ok((store, id.into()));
    }
    let hooks = store.load_hooks().await.with_context(|| format!("Redis at {server} cannot be read"))?.hooks;
    let hook = hooks.into_iter().find(|hook| hook.id.as_str() == id);
    let hook = hook
        .with_context(|| format!("there is no hook {id} in Redis at {server}; `bbb-webhooks hooks list` shows them"))?;
    Ok((store, hook.id))
}

/// An error, and what caused it as far as it does not say so itself.
#[must_use]
pub fn reason(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text += &format!(": {cause}");
        }
    }
    text
}

/// A time in ms since 1970, as a person reads it.
fn time(ms: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}

/// The same to the millisecond.
fn exact_time(ms: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}
