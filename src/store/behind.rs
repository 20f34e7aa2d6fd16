//! Changes that reach Redis behind the back of those who made them: mappings, records, and hooks that
//! were given up.
//!
//! A change waits here until it is written, however long Redis is away. Of two changes of one thing only the later waits,
//! so there are never more of them than there are things.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use indexmap::IndexMap;
use redis::Pipeline;

use crate::event::Event;
use crate::event::HookId;
use crate::state::Change;
use crate::store::Store;
use crate::store::parked;
use crate::store::parked::Parked;
use crate::store::records::Record;
use crate::store::records::Shelf;

/// What a change is of: the later of two replaces the earlier.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Thing {
    Meeting(String),
    User(String),
    Hook(HookId),
    Parked(HookId, u64),
    Record(Shelf, String),
}

#[derive(Clone, Debug)]
enum Wanted {
    Changed(Change),
    HookGone(HookId),
    Parked(HookId, u64, Parked),
    Recorded(Record),
}

/// Changes taken together.
#[derive(Debug, Default)]
pub struct Batch(Vec<(Thing, Wanted)>);

impl Batch {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The changes that wait.
#[derive(Debug)]
pub struct WriteBehind {
    store: Arc<Store>,
    waiting: Mutex<IndexMap<Thing, Wanted>>,
}

impl WriteBehind {
    /// No changes wait yet. They are of what stands in `store`.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, IndexMap<Thing, Wanted>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets changes of the state wait.
    pub fn changed(&self, changes: Vec<Change>) {
        let thing = |change: &Change| match change {
            Change::PutMeeting(_, meeting) => Thing::Meeting(meeting.mapping_id.clone()),
            Change::RemoveMeeting(mapping_id) => Thing::Meeting(mapping_id.clone()),
            Change::PutUser(_, _, user) => Thing::User(user.mapping_id.clone()),
            Change::RemoveUser(mapping_id) => Thing::User(mapping_id.clone()),
        };
        self.waiting().extend(changes.into_iter().map(|change| (thing(&change), Wanted::Changed(change))));
    }

    /// Lets it wait that a hook is gone.
    pub fn hook_gone(&self, id: &HookId) {
        self.waiting().insert(Thing::Hook(id.clone()), Wanted::HookGone(id.clone()));
    }

    /// Lets it wait that an event of a hook is put aside, because of `reason`, at `now_ms` (ms since 1970).
    pub fn park(&self, id: &HookId, event: &Event, reason: &str, now_ms: u64) {
        let parked = Parked::new(event, reason, now_ms);
        self.waiting()
            .insert(Thing::Parked(id.clone(), event.number), Wanted::Parked(id.clone(), event.number, parked));
    }

    /// Lets a record wait.
    pub fn record(&self, record: Record) {
        self.waiting().insert(Thing::Record(record.shelf, record.id.clone()), Wanted::Recorded(record));
    }

    /// Lets it wait that a record is to be removed.
    pub fn forget_record(&self, record: Record) {
        self.record(Record { fields: None, ..record });
    }

    /// Takes all changes that wait, the oldest first.
    #[must_use]
    pub fn take(&self) -> Batch {
        Batch(self.waiting().drain(..).collect())
    }

    /// Lets changes wait again that could not be written, before those that came since.
    pub fn put_back(&self, batch: Batch) {
        let mut waiting = self.waiting();
        let since = std::mem::take(&mut *waiting);
        waiting.extend(batch.0);
        waiting.extend(since);
    }

    /// Adds the commands that write the changes.
    pub fn write(&self, batch: &Batch, commands: &mut Pipeline) {
        for (_, wanted) in &batch.0 {
            match wanted {
                Wanted::Changed(change) => self.store.repeat(commands, change),
                Wanted::HookGone(id) => {
                    self.store.hooks.remove(commands, id.as_str());
                    parked::forget(commands, id);
                }
                Wanted::Parked(id, number, event) => parked::park(commands, id, *number, event),
                Wanted::Recorded(record) => self.store.shelves.write(commands, record),
            }
        }
    }
}
