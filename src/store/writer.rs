//! What is written to Redis behind the back of those who changed it: mappings, and hooks that were given up.
//!
//! A change waits here until Redis has it, however long Redis is away. Of two changes of one thing only the later waits,
//! so there are never more of them than there are things.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;

use crate::event::HookId;
use crate::state::Change;
use crate::store::Error;
use crate::store::Store;

/// Most changes written in one transaction.
const BATCH: usize = 1000;

/// The first wait after a failure; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What a change is of: the later of two replaces the earlier.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Thing {
    Meeting(String),
    User(String),
    Hook(HookId),
}

#[derive(Clone, Debug)]
enum Wanted {
    Changed(Change),
    HookGone(HookId),
}

/// Takes changes at once and writes them as soon as Redis lets it.
#[derive(Debug)]
pub struct Writer {
    store: Arc<Store>,
    waiting: Mutex<IndexMap<Thing, Wanted>>,
    more: Notify,
}

impl Writer {
    /// A writer to `store`. It writes as long as [`Writer::run`] runs.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, waiting: Mutex::default(), more: Notify::new() }
    }

    /// Takes changes of the state.
    pub fn changed(&self, changes: Vec<Change>) {
        let thing = |change: &Change| match change {
            Change::PutMeeting(_, meeting) => Thing::Meeting(meeting.mapping_id.clone()),
            Change::RemoveMeeting(mapping_id) => Thing::Meeting(mapping_id.clone()),
            Change::PutUser(_, _, user) => Thing::User(user.mapping_id.clone()),
            Change::RemoveUser(mapping_id) => Thing::User(mapping_id.clone()),
        };
        self.want(changes.into_iter().map(|change| (thing(&change), Wanted::Changed(change))));
    }

    /// Takes note that a hook is gone.
    pub fn hook_gone(&self, id: &HookId) {
        self.want([(Thing::Hook(id.clone()), Wanted::HookGone(id.clone()))]);
    }

    fn want(&self, changes: impl IntoIterator<Item = (Thing, Wanted)>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend(changes);
        if !waiting.is_empty() {
            self.more.notify_one();
        }
    }

    /// Writes whatever waits, until told to stop; then once more. Says once that Redis does not take it, and once that it
    /// does again.
    pub async fn run(&self, stop: CancellationToken) {
        let mut wait = FIRST_WAIT;
        loop {
            let stopping = stop.is_cancelled();
            match self.flush().await {
                Ok(()) => {
                    if wait > FIRST_WAIT {
                        info!("Redis takes hooks and mappings again");
                    }
                    wait = FIRST_WAIT;
                }
                Err(error) if stopping => {
                    let left = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len();
                    warn!(%error, left, "Redis does not take the last changes of hooks and mappings");
                }
                Err(error) => {
                    if wait == FIRST_WAIT {
                        warn!(%error, "Redis does not take hooks and mappings; they wait in memory");
                    }
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
            if stopping {
                return;
            }
            let again = async {
                if wait > FIRST_WAIT {
                    tokio::time::sleep(wait).await;
                } else {
                    self.more.notified().await;
                }
            };
            tokio::select! {
                () = again => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Writes what waits now. If Redis does not take it, it still waits.
    async fn flush(&self) -> Result<(), Error> {
        loop {
            let batch: Vec<_> = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let size = waiting.len().min(BATCH);
                waiting.drain(..size).collect()
            };
            if batch.is_empty() {
                return Ok(());
            }
            let mut commands = redis::pipe();
            commands.atomic();
            for (_, wanted) in &batch {
                match wanted {
                    Wanted::Changed(change) => self.store.repeat(&mut commands, change),
                    Wanted::HookGone(id) => self.store.hooks.remove(&mut commands, id.as_str()),
                }
            }
            if let Err(error) = self.store.connection.run::<()>(&commands).await {
                self.put_back(batch);
                return Err(error.into());
            }
        }
    }

    /// Lets changes wait again that were not written, before those that came since.
    fn put_back(&self, batch: Vec<(Thing, Wanted)>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let since = std::mem::take(&mut *waiting);
        waiting.extend(batch);
        waiting.extend(since);
    }
}
