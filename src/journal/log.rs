//! The log itself: events in memory, who reads them, what Redis has, what may go. Behind one lock, which nobody holds long.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::books::Account;
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
    /// It will not come back, so its cursor is of no more use.
    forgotten: bool,
    /// It needs nothing up to this number.
    done_up_to: u64,
    last_wanted: u64,
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
    /// These events, and the position then reached.
    Here(Vec<Arc<Event>>, u64),
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
    /// Readers that are dropped but will come back, as at a restart, need nothing up to this number; `None` if they need
    /// nothing at all.
    left_after: Option<u64>,
    /// The last words of readers that are dropped but will come back, as at a restart, where Redis does not have them yet.
    parting: Vec<(HookId, Cursor)>,
    raw_readers: usize,
    next_key: u64,
    /// Length at which to look again for events that nobody needs.
    trim_at: usize,
    wakes: Vec<Arc<Notify>>,
}

impl Log {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            limit,
            last: 0,
            next: 1,
            committed: 0,
            forgotten: 0,
            readers: HashMap::new(),
            by_meeting: HashMap::new(),
            gone: Vec::new(),
            left_after: None,
            parting: Vec::new(),
            raw_readers: 0,
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

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number before the next new event's: where a new reader starts.
    pub(super) fn end(&self) -> u64 {
        self.next - 1
    }

    /// The accounts of all readers.
    pub(super) fn accounts(&self) -> Vec<(HookId, Account)> {
        self.readers.values().map(|reader| (reader.name.clone(), reader.books.account())).collect()
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
        self.bytes += event.size();
        self.events.push_back(Arc::new(event));
        if self.events.len() >= self.trim_at {
            self.trim();
        }
        while self.bytes > self.limit && self.forget_oldest() {}
    }

    fn tell_readers(&mut self, event: &Event) {
        let of_meeting = event.mapped.external_meeting.is_some().then_some(&event.mapped.external_meeting);
        for key in [Some(&None), of_meeting].into_iter().flatten().filter_map(|key| self.by_meeting.get(key)).flatten()
        {
            let Some(reader) = self.readers.get_mut(key) else { continue };
            if !reader.interest.wants(event) || reader.cursor.is_done(event.number) {
                continue;
            }
            if !reader.needs_events() {
                // It was done with all that it wanted, so it needs nothing before this.
                reader.done_up_to = event.number - 1;
            }
            reader.last_wanted = event.number;
            reader.books.matched();
            self.wakes.push(Arc::clone(&reader.wake));
        }
    }

    /// Those to wake, after the lock is released.
    pub(super) fn take_wakes(&mut self) -> Vec<Arc<Notify>> {
        std::mem::take(&mut self.wakes)
    }

    /// No reader needs anything up to this number.
    pub(super) fn needed_after(&self) -> u64 {
        let slowest =
            self.readers.values().filter(|reader| reader.needs_events()).map(|reader| reader.done_up_to).min();
        slowest.unwrap_or(self.next - 1)
    }

    /// No reader needs anything up to this number, nor will one that comes back: what Redis is to keep.
    pub(super) fn to_be_kept_after(&self) -> u64 {
        self.left_after.map_or(self.needed_after(), |left| left.min(self.needed_after()))
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
        self.bytes -= oldest.size();
        self.forgotten = oldest.number;
        true
    }

    /// The place of the first event after `number`.
    fn place_after(&self, number: u64) -> usize {
        self.events.partition_point(|event| event.number <= number)
    }

    /// Up to `most` events after `position` that a reader wants.
    pub(super) fn read(&self, key: ReaderKey, position: u64, most: usize) -> Page {
        let Some(reader) = self.readers.get(&key) else { return Page::Here(Vec::new(), position) };
        if reader.last_wanted <= position {
            return Page::Here(Vec::new(), self.last.max(position));
        }
        let position = position.max(reader.done_up_to);
        if position < self.forgotten {
            return Page::Behind(position);
        }
        let mut found = Vec::new();
        for event in self.events.range(self.place_after(position)..) {
            if reader.interest.wants(event) {
                if found.len() == most {
                    return Page::Here(found, event.number - 1);
                }
                found.push(Arc::clone(event));
            }
        }
        Page::Here(found, self.last.max(position))
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
        let at = cursor.watermark;
        let reader = Registered {
            name,
            interest,
            wake,
            books,
            cursor,
            cursor_is_new: false,
            forgotten: false,
            done_up_to: at,
            last_wanted: at,
        };
        self.readers.insert(key, reader);
        key
    }

    pub(super) fn unregister(&mut self, key: ReaderKey) {
        let Some(reader) = self.readers.remove(&key) else { return };
        self.raw_readers -= usize::from(reader.interest.raw);
        if let Some(keys) = self.by_meeting.get_mut(&reader.interest.meeting) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.by_meeting.remove(&reader.interest.meeting);
            }
        }
        if !reader.forgotten && reader.needs_events() {
            self.left_after = Some(self.left_after.map_or(reader.done_up_to, |left| left.min(reader.done_up_to)));
        }
        if reader.cursor_is_new {
            self.parting.push((reader.name, reader.cursor));
        }
        self.trim();
    }

    /// A reader will not come back: its cursor goes with it.
    pub(super) fn forget(&mut self, name: &HookId) {
        self.gone.push(name.clone());
        self.parting.retain(|(parted, _)| parted != name);
        for reader in self.readers.values_mut().filter(|reader| reader.name == *name) {
            reader.forgotten = true;
            reader.cursor_is_new = false;
        }
    }

    /// A reader's word on how far it is.
    pub(super) fn report(&mut self, key: ReaderKey, cursor: Cursor) {
        let Some(reader) = self.readers.get_mut(&key) else { return };
        let held_back = self.events.front().is_some_and(|oldest| reader.done_up_to < oldest.number);
        reader.done_up_to = reader.done_up_to.max(cursor.watermark);
        reader.cursor_is_new |= !reader.forgotten && reader.cursor != cursor;
        reader.cursor = cursor;
        if held_back {
            self.trim();
        }
    }

    /// What Redis is to be told next, with at most so many events and bytes of them.
    pub(super) fn take_news(&mut self, most: usize, most_bytes: usize) -> News {
        let mut news = News::default();
        let mut bytes = 0;
        for event in self.events.range(self.place_after(self.committed)..).take(most) {
            news.events.push(Arc::clone(event));
            bytes += event.size();
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
        for (name, cursor) in std::mem::take(&mut self.parting) {
            let clipped = cursor.clipped(last);
            if clipped != cursor {
                self.parting.push((name.clone(), cursor));
            }
            news.cursors.push((name, clipped));
        }
        news.gone = std::mem::take(&mut self.gone);
        news
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
        for (name, cursor) in news.cursors {
            match self.readers.values_mut().find(|reader| reader.name == name) {
                Some(reader) => reader.cursor_is_new = !reader.forgotten,
                None if self.parting.iter().any(|(parted, _)| *parted == name) => {}
                None if self.gone.contains(&name) => {}
                None => self.parting.push((name, cursor)),
            }
        }
        self.gone.extend(news.gone);
    }

    /// Everything that Redis should have, for a Redis that has nothing: all events in memory, all cursors.
    pub(super) fn everything(&mut self) -> News {
        let events: Vec<_> = self.events.iter().cloned().collect();
        let last = events.last().map_or(self.committed, |event| event.number);
        let readers = self.readers.values_mut().filter(|reader| !reader.forgotten).map(|reader| {
            let cursor = reader.cursor.clipped(last);
            reader.cursor_is_new = cursor != reader.cursor;
            (reader.name.clone(), cursor)
        });
        let parting = std::mem::take(&mut self.parting).into_iter();
        let cursors = readers.chain(parting.map(|(name, cursor)| (name, cursor.clipped(last)))).collect();
        self.gone.clear();
        News { events, cursors, gone: Vec::new() }
    }
}
