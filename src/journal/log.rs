//! The log itself: events in memory, who reads them, what may go. Behind one lock, which nobody holds for long.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::event::Event;
use crate::event::ExternalMeetingId;
use crate::event::MappedEvent;
use crate::event::RawForm;
use crate::hook::Interest;

/// Names a reader within the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ReaderKey(u64);

/// The log has at least so many events before it looks for those that nobody needs.
const TRIM_FROM: usize = 256;

#[derive(Debug)]
struct Registered {
    interest: Arc<Interest>,
    wake: Arc<Notify>,
    done_up_to: u64,
    last_wanted: u64,
}

impl Registered {
    /// Whether it is not done with something that it wants.
    fn needs_events(&self) -> bool {
        self.last_wanted > self.done_up_to
    }
}

#[derive(Debug)]
pub(super) struct Log {
    /// Oldest first, numbered without gaps.
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    limit: usize,
    last: u64,
    readers: HashMap<ReaderKey, Registered>,
    /// Readers of one meeting's events, by that meeting, and of all meetings' under `None`.
    by_meeting: HashMap<Option<ExternalMeetingId>, Vec<ReaderKey>>,
    raw_readers: usize,
    next_key: u64,
    /// Length at which to look again for events that nobody needs.
    trim_at: usize,
    wakes: Vec<Arc<Notify>>,
}

impl Log {
    pub(super) fn new(limit: usize, first: u64) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            limit,
            last: first.saturating_sub(1),
            readers: HashMap::new(),
            by_meeting: HashMap::new(),
            raw_readers: 0,
            next_key: 0,
            trim_at: TRIM_FROM,
            wakes: Vec::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of the last event that was appended.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn append(&mut self, mut mapped: MappedEvent, now_ms: u64) {
        if self.raw_readers == 0 && matches!(mapped.raw, RawForm::Message { .. }) {
            mapped.raw = RawForm::NotKept;
        }
        self.last += 1;
        let event = Arc::new(Event { number: self.last, accepted_ms: now_ms, mapped });
        self.wake_readers(&event);
        self.bytes += event.size();
        self.events.push_back(event);
        if self.events.len() >= self.trim_at {
            self.trim();
        }
        while self.bytes > self.limit && self.forget_oldest() {}
    }

    fn wake_readers(&mut self, event: &Event) {
        let of_meeting = event.mapped.external_meeting.is_some().then_some(&event.mapped.external_meeting);
        for key in [Some(&None), of_meeting].into_iter().flatten().filter_map(|key| self.by_meeting.get(key)).flatten()
        {
            let Some(reader) = self.readers.get_mut(key) else { continue };
            if reader.interest.wants(event) {
                if !reader.needs_events() {
                    // It was done with all that it wanted, so it needs nothing before this.
                    reader.done_up_to = event.number - 1;
                }
                reader.last_wanted = event.number;
                self.wakes.push(Arc::clone(&reader.wake));
            }
        }
    }

    /// Those to wake, after the lock is released.
    pub(super) fn take_wakes(&mut self) -> Vec<Arc<Notify>> {
        std::mem::take(&mut self.wakes)
    }

    /// Lets events go that every reader is done with.
    fn trim(&mut self) {
        let done = self.readers.values().filter(|reader| reader.needs_events()).map(|reader| reader.done_up_to).min();
        let done = done.unwrap_or(self.last);
        while self.events.front().is_some_and(|oldest| oldest.number <= done) {
            self.forget_oldest();
        }
        self.trim_at = (self.events.len() * 2).max(TRIM_FROM);
        if self.events.capacity() > 4 * self.trim_at {
            self.events.shrink_to(self.trim_at);
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let oldest = self.events.pop_front();
        self.bytes -= oldest.as_ref().map_or(0, |event| event.size());
        oldest.is_some()
    }

    /// The place of the first event after `number`.
    fn place_after(&self, number: u64) -> usize {
        let first = self.events.front().map_or(self.last + 1, |oldest| oldest.number);
        usize::try_from((number + 1).saturating_sub(first)).unwrap_or(usize::MAX).min(self.events.len())
    }

    /// Up to `most` wanted events after `position`, and the position then reached.
    pub(super) fn read(&self, position: u64, interest: &Interest, most: usize) -> (Vec<Arc<Event>>, u64) {
        let mut found = Vec::new();
        for event in self.events.range(self.place_after(position)..) {
            if interest.wants(event) {
                if found.len() == most {
                    return (found, event.number - 1);
                }
                found.push(Arc::clone(event));
            }
        }
        (found, self.last.max(position))
    }

    pub(super) fn event(&self, number: u64) -> Option<Arc<Event>> {
        self.events.get(self.place_after(number.checked_sub(1)?)).filter(|event| event.number == number).cloned()
    }

    pub(super) fn register(&mut self, interest: Arc<Interest>, wake: Arc<Notify>) -> ReaderKey {
        let key = ReaderKey(self.next_key);
        self.next_key += 1;
        self.raw_readers += usize::from(interest.raw);
        self.by_meeting.entry(interest.meeting.clone()).or_default().push(key);
        self.readers.insert(key, Registered { interest, wake, done_up_to: self.last, last_wanted: self.last });
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
        self.trim();
    }

    pub(super) fn done_up_to(&mut self, key: ReaderKey, number: u64) {
        let Some(reader) = self.readers.get_mut(&key) else { return };
        let held_back = self.events.front().is_some_and(|oldest| reader.done_up_to < oldest.number);
        reader.done_up_to = reader.done_up_to.max(number);
        if held_back {
            self.trim();
        }
    }
}
