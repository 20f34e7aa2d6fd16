//! Changes that reach Redis behind the back of those who made them: mappings, records, hooks that were given up, parked
//! events.
//!
//! A change waits here until it is written, however long Redis is away. Of two changes of one thing only the later waits,
//! what came and went meanwhile waits no more, and of what is parked no more waits than is kept: so there are never more
//! of them than there are things.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use indexmap::IndexMap;
use redis::Pipeline;

use crate::event::Event;
use crate::event::HookId;
use crate::hook::Hook;
use crate::state::Change;
use crate::store::Store;
use crate::store::format;
use crate::store::parked;
use crate::store::parked::MOST_PARKED;
use crate::store::parked::Parked;
use crate::store::records::Record;
use crate::store::records::Shelf;

/// Most changes taken together, and most bytes of parked events among them: they go into one transaction.
const MOST_CHANGES: usize = 1000;
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// What a mapping is of: the later of two changes replaces the earlier.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Mapping {
    Meeting(String),
    User(String),
}

impl Mapping {
    fn of(change: &Change) -> Self {
        match change {
            Change::PutMeeting(_, meeting) => Self::Meeting(meeting.mapping_id.clone()),
            Change::RemoveMeeting(mapping_id) => Self::Meeting(mapping_id.clone()),
            Change::AddUser(_, _, user) | Change::PutUser(_, _, user) => Self::User(user.mapping_id.clone()),
            Change::RemoveUser(mapping_id) | Change::RemoveAddedUser(mapping_id) => Self::User(mapping_id.clone()),
        }
    }
}

#[derive(Clone, Debug)]
enum HookChange {
    Stays(Arc<Hook>),
    Gone,
}

/// Changes, those of one kind in the order made. A hook's own come before what is parked of it, as it was put in.
#[derive(Debug, Default)]
struct Changes {
    hooks: IndexMap<HookId, HookChange>,
    mappings: IndexMap<Mapping, Change>,
    records: IndexMap<(Shelf, String), Record>,
    parked: IndexMap<HookId, BTreeMap<u64, Parked>>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.hooks.is_empty() && self.mappings.is_empty() && self.records.is_empty() && self.parked.is_empty()
    }

    fn change(&mut self, mut change: Change) {
        let mapping = Mapping::of(&change);
        if let Some(Change::AddUser(..)) = self.mappings.get(&mapping) {
            match change {
                // Redis never knew of it. Which mapping is written before which other does not matter.
                Change::RemoveAddedUser(_) => {
                    self.mappings.swap_remove(&mapping);
                    return;
                }
                Change::PutUser(meeting, id, user) => change = Change::AddUser(meeting, id, user),
                _ => {}
            }
        }
        self.mappings.insert(mapping, change);
    }

    fn hook(&mut self, id: HookId, change: HookChange) {
        if matches!(change, HookChange::Gone) {
            self.parked.shift_remove(&id);
        }
        self.hooks.insert(id, change);
    }

    fn record(&mut self, record: Record) {
        self.records.insert((record.shelf, record.id.clone()), record);
    }

    fn park(&mut self, id: HookId, number: u64, event: Parked) {
        let of_hook = self.parked.entry(id).or_default();
        of_hook.insert(number, event);
        while of_hook.len() > MOST_PARKED {
            of_hook.pop_first();
        }
    }

    /// Takes what goes into one transaction: all of hooks, which are few, and what there is room for of the rest.
    fn take_piece(&mut self) -> Self {
        let mut piece = Self { hooks: std::mem::take(&mut self.hooks), ..Self::default() };
        let (mut room, mut bytes) = (MOST_CHANGES, MOST_BYTES);
        piece.mappings = self.mappings.drain(..self.mappings.len().min(room)).collect();
        room -= piece.mappings.len();
        piece.records = self.records.drain(..self.records.len().min(room)).collect();
        room -= piece.records.len();
        while room > 0
            && bytes > 0
            && let Some(mut of_hook) = self.parked.first_entry()
        {
            match of_hook.get_mut().pop_first() {
                Some((number, event)) => {
                    room -= 1;
                    bytes = bytes.saturating_sub(event.size());
                    piece.parked.entry(of_hook.key().clone()).or_default().insert(number, event);
                }
                None => {
                    of_hook.shift_remove();
                }
            }
        }
        self.parked.retain(|_, of_hook| !of_hook.is_empty());
        piece
    }

    /// Puts a piece back before what came since.
    fn put_back(&mut self, piece: Self) {
        let since = std::mem::replace(self, piece);
        for change in self.mappings.values_mut() {
            // Redis may know of it by now.
            if let Change::AddUser(meeting, id, user) = change {
                *change = Change::PutUser(meeting.clone(), id.clone(), user.clone());
            }
        }
        since.mappings.into_values().for_each(|change| self.change(change));
        since.records.into_values().for_each(|record| self.record(record));
        since.hooks.into_iter().for_each(|(id, change)| self.hook(id, change));
        for (id, of_hook) in since.parked {
            of_hook.into_iter().for_each(|(number, event)| self.park(id.clone(), number, event));
        }
    }
}

/// Changes taken together.
#[derive(Debug, Default)]
pub struct Batch {
    changes: Changes,
    more: bool,
}

impl Batch {
    /// Whether more changes wait, which were made before these were taken. A cursor that passes what they are of must not
    /// be written before them.
    #[must_use]
    pub fn leaves_more(&self) -> bool {
        self.more
    }
}

/// The changes that wait.
#[derive(Debug)]
pub struct WriteBehind {
    store: Arc<Store>,
    waiting: Mutex<Changes>,
}

impl WriteBehind {
    /// No changes wait yet. They are of what stands in `store`.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, Changes> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets changes of the state wait.
    pub fn changed(&self, changes: Vec<Change>) {
        let mut waiting = self.waiting();
        changes.into_iter().for_each(|change| waiting.change(change));
    }

    /// Lets it wait that a hook is gone, with all that is parked of it.
    pub fn hook_gone(&self, id: &HookId) {
        self.waiting().hook(id.clone(), HookChange::Gone);
    }

    /// Lets it wait that a hook stays, which may have been removed from Redis.
    pub fn hook_stays(&self, hook: &Arc<Hook>) {
        self.waiting().hook(hook.id.clone(), HookChange::Stays(Arc::clone(hook)));
    }

    /// Lets it wait that an event of a hook is put aside, because of `reason`, at `now_ms` (ms since 1970). Of a hook's that
    /// wait, the oldest go when they are more than Redis keeps.
    pub fn park(&self, id: &HookId, event: &Event, reason: &str, now_ms: u64) {
        let parked = Parked::new(event, reason, now_ms);
        self.waiting().park(id.clone(), event.number, parked);
    }

    /// Lets a record wait.
    pub fn record(&self, record: Record) {
        self.waiting().record(record);
    }

    /// Lets it wait that a record is to be removed.
    pub fn forget_record(&self, record: Record) {
        self.record(Record { fields: None, ..record });
    }

    /// Takes changes that wait, as many as one transaction should hold, the oldest of each kind first.
    #[must_use]
    pub fn take(&self) -> Batch {
        let mut waiting = self.waiting();
        Batch { changes: waiting.take_piece(), more: !waiting.is_empty() }
    }

    /// Lets changes wait again that were not written, or not all of them, before those that came since.
    pub fn put_back(&self, batch: Batch) {
        self.waiting().put_back(batch.changes);
    }

    /// Adds the commands that write the changes.
    pub fn write(&self, batch: &Batch, commands: &mut Pipeline) {
        let Changes { hooks, mappings, records, parked } = &batch.changes;
        for (id, change) in hooks {
            match change {
                HookChange::Stays(hook) => self.store.hooks.put(commands, id.as_str(), &format::of_hook(hook)),
                HookChange::Gone => {
                    self.store.hooks.remove(commands, id.as_str());
                    parked::forget(commands, id);
                }
            }
        }
        for change in mappings.values() {
            self.store.repeat(commands, change);
        }
        for record in records.values() {
            self.store.shelves.write(commands, record);
        }
        for (id, of_hook) in parked {
            for (number, event) in of_hook {
                parked::park(commands, id, *number, event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::event::EventId;
    use crate::event::MappedEvent;
    use crate::event::RawForm;
    use crate::state::State;

    fn state() -> State {
        State::new(fastrand::Rng::with_seed(1))
    }

    fn join(state: &mut State, user: &str) {
        state.user_joined(&"m".into(), &user.into(), None, Map::new(), 1);
    }

    impl Changes {
        fn take_from(&mut self, state: &mut State) {
            state.take_changes().into_iter().for_each(|change| self.change(change));
        }

        fn park_one(&mut self, hook: &str, number: u64, bytes: usize) {
            let json = "x".repeat(bytes).into();
            let id = EventId::built_in("user-joined");
            let mapped = MappedEvent { id, meeting: None, external_meeting: None, json, raw: RawForm::NotKept };
            let event = Event { number, accepted_ms: 0, to: None, mapped };
            self.park(hook.into(), number, Parked::new(&event, "", 0));
        }

        fn pieces(&mut self) -> Vec<Self> {
            std::iter::from_fn(|| Some(self.take_piece()).filter(|piece| !piece.is_empty())).collect()
        }

        /// Whether what waits is the removal of one user.
        fn only_removes_one(&mut self) -> bool {
            let piece = self.take_piece();
            let changes: Vec<_> = piece.mappings.values().collect();
            matches!(changes[..], [Change::RemoveUser(_) | Change::RemoveAddedUser(_)])
        }
    }

    /// The numbers parked of a hook, in the order of pieces.
    fn parked(pieces: &[Changes], hook: &str) -> Vec<u64> {
        let of_hook = pieces.iter().filter_map(|piece| piece.parked.get(hook));
        of_hook.flat_map(|parked| parked.keys().copied()).collect()
    }

    #[test]
    fn who_came_and_went_waits_no_more() {
        let (mut changes, mut state) = (Changes::default(), state());
        for n in 0..100 {
            let user = n.to_string().as_str().into();
            join(&mut state, &n.to_string());
            changes.take_from(&mut state);
            state.set_attribute(&"m".into(), &user, "presenter", true);
            changes.take_from(&mut state);
            state.user_left(&"m".into(), &user);
            changes.take_from(&mut state);
        }
        assert!(changes.is_empty());
    }

    #[test]
    fn whom_redis_may_know_is_removed_there() {
        let (mut changes, mut state) = (Changes::default(), state());
        let come = |changes: &mut Changes, state: &mut State| {
            join(state, "ada");
            changes.take_from(state);
        };
        let go = |changes: &mut Changes, state: &mut State| {
            state.user_left(&"m".into(), &"ada".into());
            changes.take_from(state);
        };
        come(&mut changes, &mut state);
        let _written = changes.take_piece();
        go(&mut changes, &mut state);
        assert!(changes.only_removes_one());

        come(&mut changes, &mut state);
        let perhaps_written = changes.take_piece();
        changes.put_back(perhaps_written);
        go(&mut changes, &mut state);
        assert!(changes.only_removes_one());

        come(&mut changes, &mut state);
        let perhaps_written = changes.take_piece();
        go(&mut changes, &mut state);
        changes.put_back(perhaps_written);
        assert!(changes.only_removes_one());

        come(&mut changes, &mut state);
        let _written_with_all_else = state.everything();
        go(&mut changes, &mut state);
        assert!(changes.only_removes_one());
    }

    #[test]
    fn no_more_wait_than_are_kept_and_they_go_in_pieces() {
        let mut changes = Changes::default();
        for number in 1..=3000 {
            changes.park_one("1", number, 10);
            changes.park_one("2", number, 10);
        }
        let piece = changes.take_piece();
        assert_eq!(parked(std::slice::from_ref(&piece), "1"), (2001..=3000).collect::<Vec<_>>());
        changes.park_one("1", 3001, 10);
        changes.put_back(piece);
        let pieces = changes.pieces();
        assert_eq!(parked(&pieces, "1"), (2002..=3001).collect::<Vec<_>>());
        assert_eq!(parked(&pieces, "2"), (2001..=3000).collect::<Vec<_>>());
        assert!(pieces.iter().all(|piece| piece.parked.values().map(BTreeMap::len).sum::<usize>() <= MOST_CHANGES));
    }

    #[test]
    fn a_piece_is_bounded_by_bytes_too() {
        let mut changes = Changes::default();
        (0..5).for_each(|number| changes.park_one("1", number, MOST_BYTES));
        let pieces = changes.pieces();
        assert_eq!((pieces.len(), parked(&pieces, "1")), (5, vec![0, 1, 2, 3, 4]));
    }

    #[test]
    fn many_mappings_and_records_go_in_pieces() {
        let (mut changes, mut state) = (Changes::default(), state());
        (0..1500).for_each(|n| join(&mut state, &n.to_string()));
        changes.take_from(&mut state);
        for n in 0..1000 {
            changes.record(Record { shelf: Shelf::Users, id: n.to_string(), fields: None });
        }
        let sizes: Vec<_> = changes.pieces().iter().map(|piece| (piece.mappings.len(), piece.records.len())).collect();
        assert_eq!(sizes, [(1000, 0), (500, 500), (0, 500)]);
    }

    #[test]
    fn what_is_parked_goes_with_its_hook() {
        let mut changes = Changes::default();
        changes.park_one("1", 1, 10);
        changes.hook("1".into(), HookChange::Gone);
        let piece = changes.take_piece();
        assert!(piece.parked.is_empty() && piece.hooks.len() == 1);
        changes.park_one("2", 1, 10);
        let piece = changes.take_piece();
        changes.hook("2".into(), HookChange::Gone);
        changes.put_back(piece);
        assert!(changes.take_piece().parked.is_empty());
    }
}
