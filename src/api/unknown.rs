//! Tells the log of hooks that ask for events that there are not: they are created all the same, and get nothing.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::bound::Bound;
use crate::bound::May;
use crate::config::Config;
use crate::hook::Hook;

/// How many hooks are said at once, and after how long one more.
const AT_ONCE: u32 = 5;
const ONE_MORE_AFTER: Duration = Duration::from_secs(60);

/// How many ids of one hook are said, and how much of each.
const MOST_IDS: usize = 5;
const MOST_CHARACTERS: usize = 60;

/// Looks at what hooks ask for. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct UnknownEvents {
    config: Arc<Config>,
    start: Instant,
    bound: Arc<Mutex<Bound>>,
}

impl UnknownEvents {
    pub(super) fn new(config: &Config) -> Self {
        let bound = Bound::new(AT_ONCE, ONE_MORE_AFTER);
        Self { config: Arc::new(config.clone()), start: Instant::now(), bound: Arc::new(Mutex::new(bound)) }
    }

    /// Takes note of a new hook.
    pub(super) fn note(&self, hook: &Hook) {
        let unknown = hook.events.iter().filter(|id| !self.config.knows_event(id));
        let said: Vec<String> =
            unknown.take(MOST_IDS).map(|id| id.escape_debug().take(MOST_CHARACTERS).collect()).collect();
        if said.is_empty() {
            return;
        }
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        if bound.happens(self.start.elapsed()) == May::Say {
            let unsaid = Some(bound.take_unsaid()).filter(|unsaid| *unsaid > 0);
            let events = said.join(", ");
            warn!(hook.id = %hook.id, host = hook.host(), events, unsaid, "This hook asks for events that there are not; docs/events.md has all");
        }
    }
}
