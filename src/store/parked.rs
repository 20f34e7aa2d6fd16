//! Events put aside because their receiver works and refuses them: a HASH for each hook, event by number.

use std::collections::HashMap;

use redis::Pipeline;
use serde::Deserialize;
use serde::Serialize;

use crate::event::Event;
use crate::event::ExternalMeetingId;
use crate::event::HookId;
use crate::event::RawForm;
use crate::store::Error;
use crate::store::Store;

/// Most parked events of a hook.
pub(super) const MOST_PARKED: usize = 1000;

/// Adds a parked event, and lets the oldest go while there are too many: of numbers with as many digits, the first by text.
/// What is no hash is in the way, and goes.
const PARK: &str = "
local found = redis.call('TYPE', KEYS[1]).ok
if found ~= 'hash' and found ~= 'none' then
    redis.call('DEL', KEYS[1])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[3]) then
    local numbers = redis.call('HKEYS', KEYS[1])
    table.sort(numbers)
    redis.call('HDEL', KEYS[1], numbers[1])
end";

/// An event that was put aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// Its id, such as `user-joined`.
    pub event: String,
    /// The internal id of its meeting.
    pub meeting: Option<String>,
    /// The external id of its meeting.
    pub external: Option<String>,
    /// When it was accepted, in ms since 1970.
    pub at: u64,
    /// The event as mapped hooks get it.
    pub json: String,
    /// The message as published, if it was kept.
    pub raw: Option<String>,
    /// How the receiver refused it.
    pub reason: String,
    /// When it was parked, in ms since 1970.
    pub parked: u64,
}

impl Parked {
    /// The event, put aside because of `reason`, at `now_ms` (ms since 1970).
    #[must_use]
    pub fn new(event: &Event, reason: &str, now_ms: u64) -> Self {
        let mapped = &event.mapped;
        Self {
            event: mapped.id.to_string(),
            meeting: mapped.meeting.as_ref().map(ToString::to_string),
            external: mapped.external_meeting.as_ref().map(ExternalMeetingId::to_string),
            at: event.accepted_ms,
            json: mapped.json.to_string(),
            raw: match &mapped.raw {
                RawForm::Message { json, .. } => Some(json.to_string()),
                RawForm::Mapped | RawForm::Covered | RawForm::NotKept => None,
            },
            reason: reason.to_owned(),
            parked: now_ms,
        }
    }

    /// The bytes that it takes, roughly.
    pub(super) fn size(&self) -> usize {
        self.json.len() + self.raw.as_ref().map_or(0, String::len)
    }
}

fn key(hook: &HookId) -> String {
    format!("bigbluebutton:webhooks:out:parked:{hook}")
}

/// Adds the command that puts an event aside.
pub(super) fn park(commands: &mut Pipeline, hook: &HookId, number: u64, event: &Parked) {
    let text = serde_json::to_string(event).expect("texts and numbers are always JSON");
    let mut command = redis::cmd("EVAL");
    command.arg(PARK).arg(1).arg(key(hook)).arg(number).arg(text).arg(MOST_PARKED);
    commands.add_command(command).ignore();
}

/// Adds the command that forgets what is parked of a hook.
pub(super) fn forget(commands: &mut Pipeline, hook: &HookId) {
    commands.del(key(hook)).ignore();
}

impl Store {
    /// The parked events of a hook by number, the oldest first.
    ///
    /// # Errors
    /// If Redis is not there or refuses.
    pub async fn parked(&self, hook: &HookId) -> Result<Vec<(u64, Parked)>, Error> {
        let (hash,): (HashMap<u64, String>,) = self.connection.run(redis::pipe().hgetall(key(hook))).await?;
        let read = |(number, text): (u64, String)| Some((number, serde_json::from_str(&text).ok()?));
        let mut parked: Vec<_> = hash.into_iter().filter_map(read).collect();
        parked.sort_unstable_by_key(|(number, _)| *number);
        Ok(parked)
    }

    /// How many events of each of these hooks are parked.
    ///
    /// # Errors
    /// If Redis is not there or refuses.
    pub async fn count_parked(&self, hooks: &[HookId]) -> Result<Vec<u64>, Error> {
        let mut commands = redis::pipe();
        for hook in hooks {
            commands.hlen(key(hook));
        }
        Ok(if hooks.is_empty() { Vec::new() } else { self.connection.run(&commands).await? })
    }

    /// Drops parked events of a hook; gives how many there were.
    ///
    /// # Errors
    /// If Redis is not there or refuses.
    pub async fn drop_parked(&self, hook: &HookId, numbers: &[u64]) -> Result<usize, Error> {
        if numbers.is_empty() {
            return Ok(0);
        }
        let (dropped,): (usize,) = self.connection.run(redis::pipe().hdel(key(hook), numbers)).await?;
        Ok(dropped)
    }
}
