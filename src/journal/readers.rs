//! Who reads the log: what each wants, how far it is, and who is to be told.

use std::sync::Arc;

use hashbrown::HashMap;
use tokio::sync::Notify;

use crate::books::Books;
use crate::event::Event;
use crate::event::ExternalMeetingId;
use crate::event::HookId;
use crate::hook::Interest;
use crate::journal::cursor::Cursor;

/// Names a reader within the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ReaderKey(u64);

/// Whether a reader is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It reads.
    Here,
    /// It stopped, and will come back at the next start: it needs what it needed, and what comes meanwhile.
    Parted,
    /// It will not come back, so its cursor is of no more use.
    Forgotten,
}

/// One reader.
#[derive(Debug)]
pub(super) struct Registered {
    name: HookId,
    pub(super) interest: Arc<Interest>,
    wake: Arc<Notify>,
    pub(super) books: Arc<Books>,
    /// Its last word on how far it is.
    pub(super) cursor: Cursor,
    /// Whether Redis does not have that word yet.
    cursor_is_new: bool,
    /// Whether it is there, will come back, or will not.
    stage: Stage,
    /// It needs nothing up to this number.
    pub(super) done_up_to: u64,
    /// The number of the last event that it wants.
    pub(super) last_wanted: u64,
    /// It was last told to read the stream.
    pub(super) behind: bool,
    /// It is among those to wake.
    to_wake: bool,
}

impl Registered {
    /// Whether it is not done with something that it wants.
    fn needs_events(&self) -> bool {
        self.last_wanted > self.done_up_to
    }

    /// It says how far it is.
    pub(super) fn report(&mut self, cursor: Cursor) {
        self.done_up_to = self.done_up_to.max(cursor.watermark);
        self.cursor_is_new |= self.stage != Stage::Forgotten && self.cursor != cursor;
        self.cursor = cursor;
    }

    /// How far it is, as far as that speaks of events up to `last`. If it speaks of more, there is something new to tell.
    fn take_cursor(&mut self, last: u64) -> (HookId, Cursor) {
        let cursor = self.cursor.clipped(last);
        self.cursor_is_new = cursor != self.cursor;
        (self.name.clone(), cursor)
    }
}

/// All readers.
#[derive(Debug, Default)]
pub(super) struct Readers {
    all: HashMap<ReaderKey, Registered>,
    /// Readers of one meeting's events, by that meeting, and of all meetings' under `None`.
    by_meeting: HashMap<Option<ExternalMeetingId>, Vec<ReaderKey>>,
    /// Those that will not come back, and whose cursors Redis may still have.
    gone: Vec<HookId>,
    /// How many want the raw message.
    raw: usize,
    next_key: u64,
    wakes: Vec<ReaderKey>,
}

impl Readers {
    /// The books of all.
    pub(super) fn books(&self) -> Vec<(HookId, Arc<Books>)> {
        self.all.values().map(|reader| (reader.name.clone(), Arc::clone(&reader.books))).collect()
    }

    /// The books of one.
    pub(super) fn books_of(&self, name: &HookId) -> Option<Arc<Books>> {
        self.all.values().find(|reader| reader.name == *name).map(|reader| Arc::clone(&reader.books))
    }

    /// Whether one of them wants the raw message.
    pub(super) fn want_raw(&self) -> bool {
        self.raw > 0
    }

    /// The lowest number up to which one of them is done; none if there are no readers.
    pub(super) fn lowest_watermark(&self) -> Option<u64> {
        self.all.values().map(|reader| reader.cursor.watermark).min()
    }

    /// None of them needs anything up to this number; none if they need nothing at all.
    pub(super) fn needed_after(&self) -> Option<u64> {
        self.all.values().filter(|reader| reader.needs_events()).map(|reader| reader.done_up_to).min()
    }

    /// One of them; also one that will not come back, as long as it is there.
    pub(super) fn get_mut(&mut self, key: ReaderKey) -> Option<&mut Registered> {
        self.all.get_mut(&key)
    }

    /// Tells those who want this new event. They wake when [`take_wakes`](Self::take_wakes) is done.
    pub(super) fn tell(&mut self, event: &Event) {
        let of_meeting = event.mapped.external_meeting.is_some().then_some(&event.mapped.external_meeting);
        // What is addressed passes all filters, that of the meeting too.
        let mut concerned = event.to.as_ref().map(|to| self.named(to)).unwrap_or_default();
        if event.to.is_none() {
            let concerning = [Some(&None), of_meeting].into_iter().flatten();
            concerned.extend(concerning.filter_map(|key| self.by_meeting.get(key)).flatten());
        }
        for key in concerned {
            let Some(reader) = self.all.get_mut(&key) else { continue };
            if !reader.interest.wants(event) || reader.cursor.is_done(event.number) {
                continue;
            }
            if !reader.needs_events() {
                // It was done with all that it wanted, so it needs nothing before this.
                reader.done_up_to = event.number - 1;
            }
            reader.last_wanted = event.number;
            reader.books.matched();
            if !std::mem::replace(&mut reader.to_wake, true) {
                self.wakes.push(key);
            }
        }
    }

    /// Those to wake, after the lock is released.
    pub(super) fn take_wakes(&mut self) -> Vec<Arc<Notify>> {
        let readers = self.wakes.drain(..).filter_map(|key| {
            let reader = self.all.get_mut(&key)?;
            reader.to_wake = false;
            Some(Arc::clone(&reader.wake))
        });
        readers.collect()
    }

    /// A new one that goes on from `cursor`. If it has the name of one that parted, that one is back.
    pub(super) fn register(
        &mut self,
        name: HookId,
        interest: Arc<Interest>,
        wake: Arc<Notify>,
        books: Arc<Books>,
        cursor: Cursor,
    ) -> ReaderKey {
        let key = ReaderKey(self.next_key);
        self.next_key += 1;
        self.gone.retain(|gone| *gone != name);
        self.named(&name).into_iter().for_each(|parted| self.remove(parted));
        self.raw += usize::from(interest.raw);
        self.by_meeting.entry(interest.meeting.clone()).or_default().push(key);
        let at = cursor.watermark;
        let reader = Registered {
            name,
            interest,
            wake,
            books,
            cursor,
            cursor_is_new: false,
            stage: Stage::Here,
            done_up_to: at,
            last_wanted: at,
            behind: false,
            to_wake: false,
        };
        self.all.insert(key, reader);
        key
    }

    /// One of them stops. If it was not forgotten, it will come back, and this gives false.
    pub(super) fn part(&mut self, key: ReaderKey) -> bool {
        match self.all.get_mut(&key) {
            Some(reader) if reader.stage == Stage::Here => {
                reader.stage = Stage::Parted;
                false
            }
            Some(_) => {
                self.remove(key);
                true
            }
            None => false,
        }
    }

    /// One of them will not come back: its cursor goes with it.
    pub(super) fn forget(&mut self, name: &HookId) {
        self.gone.push(name.clone());
        for key in self.named(name) {
            let Some(reader) = self.all.get_mut(&key) else { continue };
            reader.cursor_is_new = false;
            match std::mem::replace(&mut reader.stage, Stage::Forgotten) {
                Stage::Parted => self.remove(key),
                Stage::Here | Stage::Forgotten => {}
            }
        }
    }

    /// Redis does not have the cursor of this one yet.
    pub(super) fn store_cursor(&mut self, key: ReaderKey) {
        if let Some(reader) = self.all.get_mut(&key) {
            reader.cursor_is_new = true;
        }
    }

    /// Cursors that Redis does not have, as far as they speak of events up to `last`.
    pub(super) fn take_cursors(&mut self, last: u64) -> Vec<(HookId, Cursor)> {
        self.all.values_mut().filter(|reader| reader.cursor_is_new).map(|reader| reader.take_cursor(last)).collect()
    }

    /// The cursors of all who are there or will come back, as far as they speak of events up to `last`.
    pub(super) fn take_all_cursors(&mut self, last: u64) -> Vec<(HookId, Cursor)> {
        let readers = self.all.values_mut().filter(|reader| reader.stage != Stage::Forgotten);
        readers.map(|reader| reader.take_cursor(last)).collect()
    }

    /// Those who are no more, since this was last asked.
    pub(super) fn take_gone(&mut self) -> Vec<HookId> {
        std::mem::take(&mut self.gone)
    }

    /// Redis was not told these cursors after all, nor that these readers are gone.
    pub(super) fn not_told(&mut self, cursors: Vec<(HookId, Cursor)>, gone: Vec<HookId>) {
        for (name, _) in cursors {
            for reader in self.all.values_mut().filter(|reader| reader.name == name) {
                reader.cursor_is_new = reader.stage != Stage::Forgotten;
            }
        }
        self.gone.extend(gone);
    }

    fn named(&self, name: &HookId) -> Vec<ReaderKey> {
        self.all.iter().filter(|(_, reader)| reader.name == *name).map(|(key, _)| *key).collect()
    }

    fn remove(&mut self, key: ReaderKey) {
        let Some(reader) = self.all.remove(&key) else { return };
        self.raw -= usize::from(reader.interest.raw);
        if let Some(keys) = self.by_meeting.get_mut(&reader.interest.meeting) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.by_meeting.remove(&reader.interest.meeting);
            }
        }
    }
}
