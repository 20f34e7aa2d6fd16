//! The log itself: events in memory, who reads them, what Redis has, what may go. Behind one lock, which nobody holds long.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use tokio::sync::Notify;

use crate::books::Books;
use crate::event::Event;
use crate::event::ExternalMeetingId;
use crate::event::HookId;
use crate::event::MappedEvent;
use crate::event::RawForm;
use crate::hook::Interest;
use crate::journal::cursor::Cursor;

/// Names a reader within the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ReaderKey(u64);

/// The log has at least so many events before it looks for those that nobody needs.
const TRIM_FROM: usize = 256;

/// Events in memory give up room for others, but for one in so many bytes of the limit.
const LEAST_PART: usize = 4;

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

/// A reader as the log knows it.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) name: HookId,
    pub(super) interest: Arc<Interest>,
    pub(super) wake: Arc<Notify>,
    pub(super) books: Arc<Books>,
    /// Its last word on how far it is.
    pub(super) cursor: Cursor,
    /// Whether Redis does not have that word yet.
    cursor_is_new: bool,
    /// Whether it is there, will come back, or will not.
    stage: Stage,
    /// It needs nothing up to this number.
    done_up_to: u64,
    last_wanted: u64,
    /// It was last told to read the stream.
    behind: bool,
    /// It is among those to wake.
    to_wake: bool,
}

impl Registered {
    /// Whether it is not done with something that it wants.
    fn needs_events(&self) -> bool {
        self.last_wanted > self.done_up_to
    }
}

/// What a reader finds when it reads on.
#[derive(Debug)]
pub(super) enum Page {
    /// What memory has.
    Here {
        events: Vec<Arc<Event>>,
        /// The position then reached.
        position: u64,
        /// How many events it wanted and never found: neither memory nor the stream had them any more.
        lost: u64,
    },
    /// Memory begins later; the stream has what is after this position.
    Behind(u64),
}

/// What Redis is to be told.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Events that it does not have, oldest first.
    pub(super) events: Vec<Arc<Event>>,
    /// Cursors that are new. They speak only of events that it has or gets with them.
    pub(super) cursors: Vec<(HookId, Cursor)>,
    /// Readers that are no more.
    pub(super) gone: Vec<HookId>,
}

impl News {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.cursors.is_empty() && self.gone.is_empty()
    }
}

#[derive(Debug)]
pub(super) struct Log {
    /// Oldest first, by number.
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    limit: usize,
    /// Bytes that something else takes of the same limit.
    taken_elsewhere: usize,
    /// The highest number that readers may see.
    last: u64,
    /// The number of the next new event.
    next: u64,
    /// Redis has all up to this number, as far as it is in memory.
    committed: u64,
    /// Memory had to let go all up to this number, needed or not.
    forgotten: u64,
    readers: HashMap<ReaderKey, Registered>,
    /// Readers of one meeting's events, by that meeting, and of all meetings' under `None`.
    by_meeting: HashMap<Option<ExternalMeetingId>, Vec<ReaderKey>>,
    gone: Vec<HookId>,
    raw_readers: usize,
    /// How many events memory had to let go that Redis did not have, since somebody asked.
    never_stored: u64,
    next_key: u64,
    /// Length at which to look again for events that nobody needs.
    trim_at: usize,
    wakes: Vec<ReaderKey>,
}

impl Log {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            limit,
            taken_elsewhere: 0,
            last: 0,
            next: 1,
            committed: 0,
            forgotten: 0,
            readers: HashMap::new(),
            by_meeting: HashMap::new(),
            gone: Vec::new(),
            raw_readers: 0,
            never_stored: 0,
            next_key: 0,
            trim_at: TRIM_FROM,
            wakes: Vec::new(),
        }
    }

    /// New events are numbered from `next` on; Redis has all before.
    pub(super) fn begin_at(&mut self, next: u64) {
        self.next = next;
        self.committed = next - 1;
    }

    /// All that Redis has and somebody needs is restored: readers may go on to what is new.
    pub(super) fn restored(&mut self) {
        self.last = self.next - 1;
    }

    /// How many events memory holds, and how many bytes they take.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.events.len(), self.bytes)
    }

    /// The number before the next new event's: where a new reader starts.
    pub(super) fn end(&self) -> u64 {
        self.next - 1
    }

    /// The books of all readers.
    pub(super) fn books(&self) -> Vec<(HookId, Arc<Books>)> {
        self.readers.values().map(|reader| (reader.name.clone(), Arc::clone(&reader.books))).collect()
    }

    /// The books of a reader.
    pub(super) fn books_of(&self, name: &HookId) -> Option<Arc<Books>> {
        self.readers.values().find(|reader| reader.name == *name).map(|reader| Arc::clone(&reader.books))
    }

    /// Memory had to let go all up to this number.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The number after which Redis may have something to restore: some reader goes on from there, or it is restored.
    pub(super) fn restore_after(&self) -> u64 {
        let lowest = self.readers.values().map(|reader| reader.cursor.watermark).min().unwrap_or(self.committed);
        lowest.max(self.last)
    }

    /// Appends a new event, for one hook or for all whom it concerns.
    pub(super) fn append(&mut self, to: Option<HookId>, mut mapped: MappedEvent, now_ms: u64) {
        if self.raw_readers == 0 && matches!(mapped.raw, RawForm::Message { .. }) {
            mapped.raw = RawForm::NotKept;
        }
        self.last = self.next;
        self.next += 1;
        self.push(Event { number: self.last, accepted_ms: now_ms, to, mapped });
    }

    /// Puts back an event that Redis has. Call it in the order of numbers, before anything new is appended.
    pub(super) fn restore(&mut self, event: Event) {
        self.last = event.number;
        self.push(event);
    }

    fn push(&mut self, event: Event) {
        self.tell_readers(&event);
        self.bytes += event.memory_bytes();
        self.events.push_back(Arc::new(event));
        if self.events.len() >= self.trim_at {
            self.trim();
        }
        self.keep_within_limit();
    }

    /// So many bytes of the limit are taken by what will become events. What Redis has makes room for it, but for a part of the
    /// limit: hooks that keep up should find their events in memory.
    pub(super) fn leave_room(&mut self, bytes: usize) {
        self.taken_elsewhere = bytes;
        self.keep_within_limit();
    }

    fn keep_within_limit(&mut self) {
        let room = self.limit.saturating_sub(self.taken_elsewhere).max(self.limit / LEAST_PART);
        let is_stored = |log: &Self| log.events.front().is_some_and(|oldest| oldest.number <= log.committed);
        while self.bytes > room && is_stored(self) {
            self.forget_oldest();
        }
        while self.bytes > self.limit && self.forget_oldest() {}
    }

    fn tell_readers(&mut self, event: &Event) {
        let of_meeting = event.mapped.external_meeting.is_some().then_some(&event.mapped.external_meeting);
        // What is addressed passes all filters, that of the meeting too.
        let addressed =
            event.to.iter().flat_map(|to| self.readers.iter().filter(move |(_, reader)| reader.name == *to));
        let mut concerned: Vec<_> = addressed.map(|(key, _)| *key).collect();
        if event.to.is_none() {
            let concerning = [Some(&None), of_meeting].into_iter().flatten();
            concerned.extend(concerning.filter_map(|key| self.by_meeting.get(key)).flatten());
        }
        for key in concerned {
            let Some(reader) = self.readers.get_mut(&key) else { continue };
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
            let reader = self.readers.get_mut(&key)?;
            reader.to_wake = false;
            Some(Arc::clone(&reader.wake))
        });
        readers.collect()
    }

    /// No reader needs anything up to this number.
    pub(super) fn needed_after(&self) -> u64 {
        let slowest =
            self.readers.values().filter(|reader| reader.needs_events()).map(|reader| reader.done_up_to).min();
        slowest.unwrap_or(self.next - 1)
    }

    /// Lets events go that every reader is done with and Redis has.
    fn trim(&mut self) {
        let done = self.needed_after().min(self.committed);
        while self.events.front().is_some_and(|oldest| oldest.number <= done) {
            self.forget_oldest();
        }
        self.trim_at = (self.events.len() * 2).max(TRIM_FROM);
        if self.events.capacity() > 4 * self.trim_at {
            self.events.shrink_to(self.trim_at);
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let Some(oldest) = self.events.pop_front() else { return false };
        self.bytes -= oldest.memory_bytes();
        self.forgotten = oldest.number;
        self.never_stored += u64::from(oldest.number > self.committed);
        true
    }

    /// How many events memory had to let go that Redis did not have, since this was last asked.
    pub(super) fn take_never_stored(&mut self) -> u64 {
        std::mem::take(&mut self.never_stored)
    }

    /// The place of the first event after `number`.
    fn place_after(&self, number: u64) -> usize {
        self.events.partition_point(|event| event.number <= number)
    }

    /// Up to `most` events after `position` that a reader wants.
    pub(super) fn read(&mut self, key: ReaderKey, position: u64, most: usize) -> Page {
        let here = |position| Page::Here { events: Vec::new(), position, lost: 0 };
        let first = self.events.partition_point(|event| event.number <= position);
        let Some(reader) = self.readers.get_mut(&key) else { return here(position) };
        if reader.last_wanted <= position && !reader.behind {
            return here(self.last.max(position));
        }
        let position = position.max(reader.done_up_to);
        if position < self.forgotten {
            reader.behind = true;
            return Page::Behind(position);
        }
        let wanted = |event: &&Arc<Event>| reader.interest.wants(event);
        let lost = if std::mem::take(&mut reader.behind) {
            // All that waits for it is in memory now; what else it was promised is nowhere.
            let found = self.events.range(first..).filter(wanted).filter(|event| !reader.cursor.is_done(event.number));
            reader.books.account().waiting.saturating_sub(found.count() as u64)
        } else {
            0
        };
        let mut events = Vec::new();
        for event in self.events.range(first..).filter(|event| event.number > position).filter(wanted) {
            if events.len() == most {
                return Page::Here { events, position: event.number - 1, lost };
            }
            events.push(Arc::clone(event));
        }
        Page::Here { events, position: self.last.max(position), lost }
    }

    pub(super) fn event(&self, number: u64) -> Option<Arc<Event>> {
        let event = self.events.get(self.place_after(number.checked_sub(1)?))?;
        (event.number == number).then(|| Arc::clone(event))
    }

    /// A new reader that goes on from `cursor`.
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
        self.raw_readers += usize::from(interest.raw);
        self.by_meeting.entry(interest.meeting.clone()).or_default().push(key);
        self.gone.retain(|gone| *gone != name);
        // One that parted is back.
        let parted = |(key, reader): (&ReaderKey, &Registered)| (reader.name == name).then_some(*key);
        self.readers.iter().filter_map(parted).collect::<Vec<_>>().into_iter().for_each(|key| self.remove(key));
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
        self.readers.insert(key, reader);
        key
    }

    /// A reader stops. If it was not forgotten, it will come back.
    pub(super) fn unregister(&mut self, key: ReaderKey) {
        match self.readers.get_mut(&key) {
            Some(reader) if reader.stage == Stage::Here => reader.stage = Stage::Parted,
            Some(_) => {
                self.remove(key);
                self.trim();
            }
            None => {}
        }
    }

    fn remove(&mut self, key: ReaderKey) {
        let Some(reader) = self.readers.remove(&key) else { return };
        self.raw_readers -= usize::from(reader.interest.raw);
        if let Some(keys) = self.by_meeting.get_mut(&reader.interest.meeting) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.by_meeting.remove(&reader.interest.meeting);
            }
        }
    }

    /// A reader will not come back: its cursor goes with it.
    pub(super) fn forget(&mut self, name: &HookId) {
        self.gone.push(name.clone());
        let named = |(key, reader): (&ReaderKey, &Registered)| (reader.name == *name).then_some(*key);
        for key in self.readers.iter().filter_map(named).collect::<Vec<_>>() {
            let Some(reader) = self.readers.get_mut(&key) else { continue };
            reader.cursor_is_new = false;
            match std::mem::replace(&mut reader.stage, Stage::Forgotten) {
                Stage::Parted => self.remove(key),
                Stage::Here | Stage::Forgotten => {}
            }
        }
    }

    /// A reader's word on how far it is.
    pub(super) fn report(&mut self, key: ReaderKey, cursor: Cursor) {
        let Some(reader) = self.readers.get_mut(&key) else { return };
        let held_back = self.events.front().is_some_and(|oldest| reader.done_up_to < oldest.number);
        reader.done_up_to = reader.done_up_to.max(cursor.watermark);
        reader.cursor_is_new |= reader.stage != Stage::Forgotten && reader.cursor != cursor;
        reader.cursor = cursor;
        if held_back {
            self.trim();
        }
    }

    /// Redis does not have a reader's cursor yet.
    pub(super) fn store_cursor(&mut self, key: ReaderKey) {
        if let Some(reader) = self.readers.get_mut(&key) {
            reader.cursor_is_new = true;
        }
    }

    /// What Redis is to be told next, with at most so many events and bytes of them.
    pub(super) fn take_news(&mut self, most: usize, most_bytes: usize) -> News {
        let mut news = News::default();
        let mut bytes = 0;
        for event in self.events.range(self.place_after(self.committed)..).take(most) {
            news.events.push(Arc::clone(event));
            bytes += event.text_bytes();
            if bytes > most_bytes {
                break;
            }
        }
        let last = news.events.last().map_or(self.committed, |event| event.number);
        for reader in self.readers.values_mut().filter(|reader| reader.cursor_is_new) {
            let cursor = reader.cursor.clipped(last);
            reader.cursor_is_new = cursor != reader.cursor;
            news.cursors.push((reader.name.clone(), cursor));
        }
        news.gone = std::mem::take(&mut self.gone);
        news
    }

    /// Whether Redis has all up to this number that memory has.
    pub(super) fn is_committed(&self, number: u64) -> bool {
        self.events.get(self.place_after(self.committed)).is_none_or(|next| next.number > number)
    }

    /// Redis has these news.
    pub(super) fn committed(&mut self, news: &News) {
        if let Some(last) = news.events.last() {
            self.committed = self.committed.max(last.number);
            self.trim();
        }
    }

    /// Redis does not have these news.
    pub(super) fn not_committed(&mut self, news: News) {
        for (name, _) in news.cursors {
            for reader in self.readers.values_mut().filter(|reader| reader.name == name) {
                reader.cursor_is_new = reader.stage != Stage::Forgotten;
            }
        }
        self.gone.extend(news.gone);
    }

    /// Everything that Redis should have, for a Redis that has nothing: all events in memory, all cursors.
    pub(super) fn everything(&mut self) -> News {
        let events: Vec<_> = self.events.iter().cloned().collect();
        let last = events.last().map_or(self.committed, |event| event.number);
        let readers = self.readers.values_mut().filter(|reader| reader.stage != Stage::Forgotten);
        let cursors = readers.map(|reader| {
            let cursor = reader.cursor.clipped(last);
            reader.cursor_is_new = cursor != reader.cursor;
            (reader.name.clone(), cursor)
        });
        let cursors = cursors.collect();
        self.gone.clear();
        News { events, cursors, gone: Vec::new() }
    }
}
