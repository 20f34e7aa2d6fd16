//! The log of accepted events, and its readers.
//!
//! Appending numbers an event and wakes the readers who want it; it waits for nobody. Each reader goes through the log at
//! its own pace: it reads what it has not seen, and says up to where it is done. The log keeps what the slowest reader is
//! not done with, but never more bytes than its limit: then the oldest events go, and a reader that still needed one is
//! told so when it asks for it.

mod log;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tokio::sync::Notify;

use crate::event::Event;
use crate::event::MappedEvent;
use crate::hook::Interest;
use crate::journal::log::Log;
use crate::journal::log::ReaderKey;

/// The log. Clones are the same log.
#[derive(Clone, Debug)]
pub struct Journal {
    log: Arc<Mutex<Log>>,
}

impl Journal {
    /// An empty log that holds at most `limit` bytes of events and numbers them from `first` on.
    #[must_use]
    pub fn new(limit: usize, first: u64) -> Self {
        Self { log: Arc::new(Mutex::new(Log::new(limit, first))) }
    }

    /// Appends events in order, accepted at `now_ms` (ms since 1970), and wakes the readers who want one.
    pub fn append(&self, events: Vec<MappedEvent>, now_ms: u64) {
        let wakes = {
            let mut log = lock(&self.log);
            events.into_iter().for_each(|event| log.append(event, now_ms));
            log.take_wakes()
        };
        for wake in wakes {
            wake.notify_one();
        }
    }

    /// A new reader, which sees what is appended from now on.
    #[must_use]
    pub fn reader(&self, interest: Interest) -> Reader {
        let wake = Arc::new(Notify::new());
        let interest = Arc::new(interest);
        let mut log = lock(&self.log);
        let position = log.last();
        let key = log.register(Arc::clone(&interest), Arc::clone(&wake));
        Reader { log: Arc::clone(&self.log), key, interest, wake, position }
    }
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One reader of the log. Dropping it lets go of what it was not done with.
#[derive(Debug)]
pub struct Reader {
    log: Arc<Mutex<Log>>,
    key: ReaderKey,
    interest: Arc<Interest>,
    wake: Arc<Notify>,
    position: u64,
}

impl Reader {
    /// What it wants to see.
    #[must_use]
    pub fn interest(&self) -> &Interest {
        &self.interest
    }

    /// The number up to which it has read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Reads on: up to `most` events that it wants, oldest first; none when there are no more.
    pub fn read(&mut self, most: usize) -> Vec<Arc<Event>> {
        let (events, position) = lock(&self.log).read(self.position, &self.interest, most);
        self.position = position;
        events
    }

    /// An event that it has read; `None` if the log had to let it go.
    #[must_use]
    pub fn event(&self, number: u64) -> Option<Arc<Event>> {
        lock(&self.log).event(number)
    }

    /// Waits until there may be more to read. It may wake for nothing.
    pub async fn more(&self) {
        self.wake.notified().await;
    }

    /// Says that it is done with every event up to `number`, which it wanted or not.
    pub fn done_up_to(&self, number: u64) {
        lock(&self.log).done_up_to(self.key, number);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        lock(&self.log).unregister(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventId;
    use crate::event::RawForm;
    use crate::hook::EventFilter;
    use crate::hook::Hook;

    fn event(meeting: &str, text: &str) -> MappedEvent {
        MappedEvent {
            id: EventId::built_in("pad-content"),
            meeting: Some(meeting.into()),
            external_meeting: Some(meeting.into()),
            json: text.into(),
            raw: RawForm::Message { json: "raw".into(), also: Vec::new() },
        }
    }

    fn interest(meeting: Option<&str>, raw: bool) -> Interest {
        let hook = Hook {
            id: "1".into(),
            callback_url: String::new(),
            meeting: meeting.map(Into::into),
            events: Vec::new(),
            permanent: false,
            raw,
            created_ms: 0,
        };
        Interest::of(&hook, &EventFilter::default())
    }

    fn texts(events: &[Arc<Event>]) -> Vec<&str> {
        events.iter().map(|event| &*event.mapped.json).collect()
    }

    #[test]
    fn a_reader_sees_what_it_wants_of_what_comes_after_it() {
        let journal = Journal::new(1 << 20, 100);
        let _keeps = journal.reader(interest(None, false));
        journal.append(vec![event("a", "1")], 0);
        let mut all = journal.reader(interest(None, false));
        let mut one = journal.reader(interest(Some("b"), false));
        journal.append(vec![event("a", "2"), event("b", "3")], 0);
        journal.append(vec![event("a", "4")], 0);
        assert_eq!(texts(&all.read(2)), ["2", "3"]);
        assert_eq!(texts(&all.read(2)), ["4"]);
        assert!(all.read(2).is_empty());
        let read = one.read(10);
        assert_eq!(texts(&read), ["3"]);
        assert_eq!(read[0].number, 102);
        assert_eq!(one.position(), 103, "what it does not want is read too");
    }

    #[test]
    fn keeps_what_the_slowest_reader_needs_and_no_more() {
        let journal = Journal::new(1 << 30, 1);
        let slow = journal.reader(interest(None, false));
        let fast = journal.reader(interest(None, false));
        for _ in 0..10_000 {
            journal.append(vec![event("a", "x")], 0);
        }
        fast.done_up_to(10_000);
        assert!(slow.event(1).is_some());
        slow.done_up_to(9_000);
        assert!(slow.event(9_000).is_none());
        assert!(slow.event(9_001).is_some());
        drop(slow);
        assert!(fast.event(9_001).is_none(), "what only a dropped reader needed goes with it");
    }

    #[test]
    fn a_reader_to_whom_nothing_happens_holds_nothing_back() {
        let journal = Journal::new(1 << 30, 1);
        let idle = journal.reader(interest(Some("b"), false));
        let busy = journal.reader(interest(Some("a"), false));
        for number in 1..=10_000 {
            journal.append(vec![event("a", "x")], 0);
            busy.done_up_to(number);
        }
        journal.append(vec![event("b", "x")], 0);
        assert!(busy.event(9_000).is_none());
        assert!(idle.event(10_001).is_some());
    }

    #[test]
    fn never_holds_more_bytes_than_its_limit() {
        let journal = Journal::new(100_000, 1);
        let mut reader = journal.reader(interest(None, false));
        let text = "x".repeat(1000);
        for _ in 0..1000 {
            journal.append(vec![event("a", &text)], 0);
        }
        assert!(lock(&journal.log).bytes() <= 100_000);
        let left = reader.read(usize::MAX);
        assert!((50..100).contains(&left.len()), "{}", left.len());
        assert_eq!(left.last().unwrap().number, 1000);
        assert!(reader.event(1).is_none());
    }

    #[test]
    fn keeps_messages_only_while_somebody_wants_them() {
        let journal = Journal::new(1 << 20, 1);
        let mut mapped = journal.reader(interest(None, false));
        journal.append(vec![event("a", "1")], 0);
        let raw = journal.reader(interest(None, true));
        journal.append(vec![event("a", "2")], 0);
        drop(raw);
        journal.append(vec![event("a", "3")], 0);
        let kept: Vec<_> = mapped.read(10).iter().map(|event| event.json(true).map(str::to_owned)).collect();
        assert_eq!(kept, [None, Some("raw".to_owned()), None]);
    }

    #[tokio::test]
    async fn wakes_those_who_want_it_and_nobody_else() {
        let journal = Journal::new(1 << 20, 1);
        let wants = journal.reader(interest(Some("a"), false));
        let other = journal.reader(interest(Some("b"), false));
        journal.append(vec![event("a", "1")], 0);
        wants.more().await;
        let woken = tokio::time::timeout(std::time::Duration::from_millis(20), other.more()).await;
        assert!(woken.is_err());
    }
}
