//! What others may see of the running daemon: one look at everything that it knows of itself.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tokio::time::timeout;

use crate::books::Account;
use crate::books::calls::Calls;
use crate::books::calls::Standing;
use crate::books::departed::Departed;
use crate::books::intake::Intake;
use crate::books::requests::ApiRequest;
use crate::books::requests::ApiRequests;
use crate::clock;
use crate::event::HookId;
use crate::hook::Hook;
use crate::journal::Health;
use crate::journal::Journal;
use crate::registry::GivenUp;
use crate::registry::Registry;
use crate::xapi;
use crate::xapi::Xapi;

/// How long Redis may take to say what only it knows; a look does without then.
const REDIS_PATIENCE: Duration = Duration::from_millis(500);

/// Looks at the parts of the daemon. Clones look at the same.
#[derive(Clone, Debug)]
pub struct Observer {
    /// The journal, with everybody's books.
    pub journal: Journal,
    /// The hooks.
    pub registry: Registry,
    /// What became of the messages.
    pub intake: Arc<Intake>,
    /// The calls of the API.
    pub requests: Arc<ApiRequests>,
    /// The xAPI output, if there is one.
    pub xapi: Option<Xapi>,
}

/// A reader of the journal, as it is now.
#[derive(Clone, Debug)]
pub struct ReaderStatus {
    /// What became of its events.
    pub account: Account,
    /// What came of the attempts to deliver them.
    pub calls: Calls,
    /// When the oldest event that it is not done with was accepted, in ms since 1970.
    pub oldest_accepted_ms: Option<u64>,
    /// Its events that are parked; none where Redis did not say in time.
    pub parked: Option<u64>,
}

/// All there is to see.
#[derive(Clone, Debug)]
pub struct Status {
    /// When this was looked at, in ms since 1970.
    pub now_ms: u64,
    /// Whether Redis has what it should have.
    pub health: Health,
    /// Events in memory, and their bytes.
    pub memory: (usize, usize),
    /// Entries in the stream; none where Redis did not say in time.
    pub stored: Option<u64>,
    /// What became of the messages.
    pub intake: Arc<Intake>,
    /// How often each call of the API was answered how.
    pub requests: BTreeMap<ApiRequest, u64>,
    /// How many hooks were given up since the start, and why.
    pub given_up: [(GivenUp, u64); 2],
    /// The hooks in the order created; empty until they are known.
    pub hooks: Vec<(Arc<Hook>, ReaderStatus)>,
    /// What was counted of hooks that are gone and shared a public URL with one of these.
    pub departed: Departed,
    /// The xAPI output, and how many events had no Learning Record Store to go to.
    pub xapi: Option<(ReaderStatus, u64)>,
}

impl Observer {
    /// One look at everything.
    pub async fn look(&self) -> Status {
        // First: once everything is read, the hooks that are asked for below are known.
        let health = self.journal.health().borrow().clone();
        let mut readers: HashMap<_, _> =
            self.journal.books().into_iter().map(|(name, books)| (name, books.copy())).collect();
        let names: Vec<_> = readers.keys().cloned().collect();
        let (stored, parked) = tokio::join!(
            timeout(REDIS_PATIENCE, self.journal.stored()),
            timeout(REDIS_PATIENCE, self.registry.count_parked(&names)),
        );
        let parked: HashMap<_, _> =
            names.into_iter().zip(parked.ok().and_then(Result::ok).unwrap_or_default()).collect();
        let mut hooks = Vec::new();
        let (known, departed) = self.registry.all_and_departed();
        for hook in known {
            // A hook that is just coming or going has no books.
            if let Some(copy) = readers.remove(&hook.id) {
                let parked = parked.get(&hook.id).copied();
                hooks.push((hook, self.reader(copy, parked).await));
            }
        }
        let name = HookId::from(xapi::READER);
        let xapi = match (&self.xapi, readers.remove(&name)) {
            (Some(xapi), Some(copy)) => Some((self.reader(copy, parked.get(&name).copied()).await, xapi.without_lrs())),
            _ => None,
        };
        Status {
            now_ms: clock::unix_ms(),
            health,
            memory: self.journal.size(),
            stored: stored.ok().and_then(Result::ok),
            intake: Arc::clone(&self.intake),
            requests: self.requests.counts(),
            given_up: self.registry.given_up(),
            hooks,
            departed,
            xapi,
        }
    }

    /// How it does, in a line, without asking Redis.
    #[must_use]
    pub fn in_short(&self) -> String {
        let (mut waiting, mut failing, mut suspended) = (0, 0, 0);
        for (_, books) in self.journal.books() {
            let (account, calls) = books.copy();
            waiting += account.waiting + account.unfinished;
            failing += usize::from(calls.standing == Standing::Failing);
            suspended += usize::from(calls.standing == Standing::Suspended);
        }
        let hooks = match self.registry.list(None) {
            Ok(hooks) => counted(hooks.len(), "hook"),
            Err(_) => "hooks are not known yet".to_owned(),
        };
        let mut parts = vec![hooks];
        parts.extend((failing > 0).then(|| format!("{failing} failing")));
        parts.extend((suspended > 0).then(|| format!("{suspended} suspended")));
        parts.push(match waiting {
            0 => "nothing waits".to_owned(),
            waiting => format!("{} waiting", counted(waiting, "event")),
        });
        let mut text = parts.join(", ");
        if !self.intake.is_subscribed() {
            text += "; not subscribed to BigBlueButton's events";
        }
        match &*self.journal.health().borrow() {
            Health::Good => {}
            Health::Degraded(why) => text += &format!("; degraded: {why}"),
            Health::Unread(why) => text += &format!("; not read from Redis yet: {why}"),
        }
        text
    }

    async fn reader(&self, (account, calls): (Account, Calls), parked: Option<u64>) -> ReaderStatus {
        let oldest = match calls.oldest {
            Some(number) => timeout(REDIS_PATIENCE, self.journal.fetch(&[number])).await.ok().and_then(Result::ok),
            None => None,
        };
        let oldest_accepted_ms = oldest.and_then(|events| events.first().map(|event| event.accepted_ms));
        ReaderStatus { account, calls, oldest_accepted_ms, parked }
    }
}

/// `1 hook`, `2 hooks`.
fn counted(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

impl Status {
    /// All of it, for programs. Of hooks there is nothing in it that a log may not show.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let hooks = self.hooks.iter().map(|(hook, reader)| {
            let mut json = reader.to_json(self.now_ms);
            json["id"] = hook.id.as_str().into();
            json["host"] = hook.host().into();
            json["permanent"] = hook.permanent.into();
            // That the configuration names it may be newer than its last failure.
            json["removedAt"] = reader.calls.removed_at_ms.filter(|_| !hook.permanent).into();
            json
        });
        let xapi = self.xapi.as_ref().map(|(reader, without_lrs)| {
            let mut json = reader.to_json(self.now_ms);
            json["withoutLrs"] = (*without_lrs).into();
            json
        });
        let trouble = match &self.health {
            Health::Good => None,
            Health::Degraded(why) | Health::Unread(why) => Some(why),
        };
        let intake = &self.intake;
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "at": self.now_ms,
            "subscribed": intake.is_subscribed(),
            "degraded": trouble,
            "read": !matches!(self.health, Health::Unread(_)),
            "messages": {
                "received": intake.received.get(),
                "mapped": intake.mapped.get(),
                "ignored": intake.ignored.get(),
                "unparseable": intake.unparseable.get(),
                "dropped": intake.dropped.get(),
            },
            "meetings": intake.meetings.get(),
            "users": intake.users.get(),
            "journal": {"stored": self.stored, "inMemory": self.memory.0, "bytesInMemory": self.memory.1},
            "removed": self.given_up.iter().map(|(why, hooks)| (why.name(), hooks)).collect::<BTreeMap<_, _>>(),
            "hooks": hooks.collect::<Vec<_>>(),
            "xapi": xapi,
        })
    }
}

impl ReaderStatus {
    fn to_json(&self, now_ms: u64) -> Value {
        let (account, calls) = (&self.account, &self.calls);
        json!({
            "state": calls.standing.name(),
            "failingSince": calls.failing_since_ms,
            "lag": self.lag(),
            "lagMs": self.lag_ms(now_ms),
            "inFlight": calls.in_flight,
            "delivered": account.delivered,
            "parked": self.parked,
            "dropped": account.overflowed + account.redis_lost,
            "overflowed": account.overflowed,
            "redisLost": account.redis_lost,
            "lastAnswer": calls.last_answer.as_ref().map(|(at, answer)| json!({"at": at, "answer": answer})),
            "nextTry": calls.next_try_ms,
        })
    }

    /// How many events it is not done with.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.account.waiting + self.account.unfinished
    }

    /// How old the oldest of them is at `now_ms`, in ms; 0 if there is none.
    #[must_use]
    pub fn lag_ms(&self, now_ms: u64) -> u64 {
        self.oldest_accepted_ms.map_or(0, |accepted_ms| now_ms.saturating_sub(accepted_ms))
    }
}
