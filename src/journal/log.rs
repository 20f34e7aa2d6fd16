//! The log itself: events in memory, what of them Redis has, what may go. Behind one lock, which nobody holds long.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::Event;
use crate::event::HookId;
use crate::event::MappedEvent;
use crate::event::RawForm;
use crate::journal::cursor::Cursor;
use crate::journal::readers::ReaderKey;
use crate::journal::readers::Readers;

/// The log has at least so many events before it looks for those that nobody needs.
const TRIM_FROM: usize = 256;

/// Events in memory give up room for others, but for one in so many bytes of the limit.
const LEAST_PART: usize = 4;

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
    pub(super) readers: Readers,
    /// How many events memory had to let go that Redis did not have, since somebody asked.
    never_stored: u64,
    /// Length at which to look again for events that nobody needs.
    trim_at: usize,
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
            readers: Readers::default(),
            never_stored: 0,
            trim_at: TRIM_FROM,
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

    /// Memory had to let go all up to this number.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The number after which Redis may have something to restore: some reader goes on from there, or it is restored.
    pub(super) fn restore_after(&self) -> u64 {
        self.readers.lowest_watermark().unwrap_or(self.committed).max(self.last)
    }

    /// Appends a new event, for one hook or for all whom it concerns.
    pub(super) fn append(&mut self, to: Option<HookId>, mut mapped: MappedEvent, now_ms: u64) {
        if !self.readers.want_raw() && matches!(mapped.raw, RawForm::Message { .. }) {
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
        self.readers.tell(&event);
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

    /// No reader needs anything up to this number.
    pub(super) fn needed_after(&self) -> u64 {
        self.readers.needed_after().unwrap_or(self.next - 1)
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
        let Some(reader) = self.readers.get_mut(key) else { return here(position) };
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

    /// A reader stops. If it was not forgotten, it will come back.
    pub(super) fn unregister(&mut self, key: ReaderKey) {
        if self.readers.part(key) {
            self.trim();
        }
    }

    /// A reader's word on how far it is.
    pub(super) fn report(&mut self, key: ReaderKey, cursor: Cursor) {
        let Some(reader) = self.readers.get_mut(key) else { return };
        let held_back = self.events.front().is_some_and(|oldest| reader.done_up_to < oldest.number);
        reader.report(cursor);
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
            bytes += event.text_bytes();
            if bytes > most_bytes {
                break;
            }
        }
        let last = news.events.last().map_or(self.committed, |event| event.number);
        news.cursors = self.readers.take_cursors(last);
        news.gone = self.readers.take_gone();
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
        self.readers.not_told(news.cursors, news.gone);
    }

    /// Everything that Redis should have, for a Redis that has nothing: all events in memory, all cursors.
    pub(super) fn everything(&mut self) -> News {
        let events: Vec<_> = self.events.iter().cloned().collect();
        let last = events.last().map_or(self.committed, |event| event.number);
        // Who is gone is not in what is written anew.
        self.readers.take_gone();
        News { events, cursors: self.readers.take_all_cursors(last), gone: Vec::new() }
    }
}
