//! The lanes of one hook: which of its events go next, which wait for a retry, which must wait for those. Pure.
//!
//! Events that must keep their order form a lane and go one callback at a time. A lane is idle (its first event may go),
//! in flight, or waiting for a retry; the others go on meanwhile. An event is named by its number in the journal.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::HashMap;
use std::collections::VecDeque;

use crate::config::Ordering;
use crate::event::Event;
use crate::event::InternalMeetingId;

/// What events have in common that form a lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LaneKey {
    /// They happened in one meeting, or in none.
    Meeting(Option<InternalMeetingId>),
    /// They are the hook's.
    Hook,
    /// Nothing: each event is alone.
    Event(u64),
}

impl LaneKey {
    /// The lane of an event.
    #[must_use]
    pub fn of(event: &Event, ordering: Ordering) -> Self {
        match ordering {
            Ordering::Meeting => Self::Meeting(event.mapped.meeting.clone()),
            Ordering::Hook => Self::Hook,
            Ordering::None => Self::Event(event.number),
        }
    }
}

/// A callback to be sent: some events of one lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The lane.
    pub lane: LaneKey,
    /// The events, oldest first.
    pub events: Vec<u64>,
    /// The timestamp it was first built with; none if it was not built yet.
    pub timestamp: Option<u64>,
}

#[derive(Debug, Default)]
struct Lane {
    events: VecDeque<u64>,
    /// The callback that is being tried: in flight, or waiting for its next attempt.
    trying: Option<Trying>,
}

#[derive(Debug)]
struct Trying {
    /// How many of the lane's first events it holds.
    events: usize,
    timestamp: Option<u64>,
    failures: usize,
}

/// All lanes of a hook. Times are in ms, of any clock that does not go back.
#[derive(Debug)]
pub struct Lanes {
    lanes: HashMap<LaneKey, Lane>,
    /// Lanes whose next callback may go, the longest waiting first.
    ready: VecDeque<LaneKey>,
    /// Lanes that wait for a retry, by when it is due.
    waiting: BinaryHeap<Reverse<(u64, LaneKey)>>,
    /// Most events in a callback.
    batch: usize,
    unfinished: usize,
}

impl Lanes {
    /// No lanes yet. A callback takes up to `batch` events, at least 1.
    #[must_use]
    pub fn new(batch: usize) -> Self {
        Self {
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            waiting: BinaryHeap::new(),
            batch: batch.max(1),
            unfinished: 0,
        }
    }

    /// How many events are not finished.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// The number up to which all is finished, where `read_up_to` is the last that was looked at.
    #[must_use]
    pub fn watermark(&self, read_up_to: u64) -> u64 {
        let oldest = self.lanes.values().filter_map(|lane| lane.events.front()).min();
        oldest.map_or(read_up_to, |oldest| oldest - 1)
    }

    /// Adds an event to the end of its lane.
    pub fn push(&mut self, key: LaneKey, number: u64) {
        self.unfinished += 1;
        let lane = self.lanes.entry(key.clone()).or_default();
        if lane.events.is_empty() {
            self.ready.push_back(key);
        }
        lane.events.push_back(number);
    }

    /// The next callback that may go; its lane is in flight from here on.
    pub fn next_job(&mut self) -> Option<Job> {
        let key = self.ready.pop_front()?;
        let lane = self.lanes.get_mut(&key)?;
        let most = self.batch.min(lane.events.len());
        let trying = lane.trying.get_or_insert(Trying { events: most, timestamp: None, failures: 0 });
        let events = lane.events.iter().take(trying.events).copied().collect();
        Some(Job { lane: key, events, timestamp: trying.timestamp })
    }

    /// Remembers when the callback in flight was first built: retries repeat it.
    pub fn built(&mut self, key: &LaneKey, timestamp: u64) {
        if let Some(trying) = self.lanes.get_mut(key).and_then(|lane| lane.trying.as_mut()) {
            trying.timestamp = Some(timestamp);
        }
    }

    /// The callback in flight is finished, delivered or not. The lane goes on.
    pub fn finished(&mut self, key: &LaneKey) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let finished = lane.trying.take().map_or(0, |trying| trying.events);
        lane.events.drain(..finished);
        self.unfinished -= finished;
        if lane.events.is_empty() {
            self.lanes.remove(key);
        } else {
            self.ready.push_back(key.clone());
        }
    }

    /// The callback in flight failed once more. Gives how often it has.
    pub fn failed(&mut self, key: &LaneKey) -> usize {
        let Some(trying) = self.lanes.get_mut(key).and_then(|lane| lane.trying.as_mut()) else { return 0 };
        trying.failures += 1;
        trying.failures
    }

    /// The callback that failed is due again at `due`.
    pub fn retry_at(&mut self, key: LaneKey, due: u64) {
        self.waiting.push(Reverse((due, key)));
    }

    /// When the next retry is due.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.waiting.peek().map(|Reverse((due, _))| *due)
    }

    /// Lets go what is due.
    pub fn wake(&mut self, now: u64) {
        while self.next_due().is_some_and(|due| due <= now) {
            if let Some(Reverse((_, key))) = self.waiting.pop() {
                self.ready.push_back(key);
            }
        }
    }

    /// Drops the oldest event that is not being tried. What is being tried stays, or a hook whose receiver is dead would
    /// begin anew with each event and never be given up.
    pub fn drop_oldest(&mut self) -> Option<u64> {
        let tried = |lane: &Lane| lane.trying.as_ref().map_or(0, |trying| trying.events);
        let (_, key) = self
            .lanes
            .iter()
            .filter_map(|(key, lane)| Some((*lane.events.get(tried(lane))?, key)))
            .min_by_key(|(number, _)| *number)?;
        let key = key.clone();
        let lane = self.lanes.get_mut(&key)?;
        let dropped = lane.events.remove(tried(lane))?;
        self.unfinished -= 1;
        if lane.events.is_empty() {
            self.lanes.remove(&key);
            self.ready.retain(|ready| *ready != key);
        }
        Some(dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(meeting: &str) -> LaneKey {
        LaneKey::Meeting(Some(meeting.into()))
    }

    fn job(meeting: &str, events: &[u64], timestamp: Option<u64>) -> Option<Job> {
        Some(Job { lane: lane(meeting), events: events.to_vec(), timestamp })
    }

    #[test]
    fn one_callback_of_a_lane_at_a_time_lanes_in_turn() {
        let mut lanes = Lanes::new(1);
        for (meeting, number) in [("a", 1), ("a", 2), ("b", 3), ("a", 4)] {
            lanes.push(lane(meeting), number);
        }
        assert_eq!(lanes.next_job(), job("a", &[1], None));
        assert_eq!(lanes.next_job(), job("b", &[3], None));
        assert_eq!(lanes.next_job(), None);
        assert_eq!(lanes.watermark(10), 0);
        lanes.finished(&lane("a"));
        assert_eq!(lanes.watermark(10), 1);
        lanes.finished(&lane("b"));
        assert_eq!(lanes.next_job(), job("a", &[2], None));
        lanes.finished(&lane("a"));
        assert_eq!(lanes.next_job(), job("a", &[4], None));
        lanes.finished(&lane("a"));
        assert_eq!((lanes.next_job(), lanes.unfinished(), lanes.watermark(10)), (None, 0, 10));
    }

    #[test]
    fn a_retry_repeats_the_same_callback_and_others_go_on() {
        let mut lanes = Lanes::new(2);
        lanes.push(lane("a"), 1);
        assert_eq!(lanes.next_job(), job("a", &[1], None));
        lanes.built(&lane("a"), 77);
        lanes.push(lane("a"), 2);
        lanes.push(lane("b"), 3);
        assert_eq!(lanes.failed(&lane("a")), 1);
        lanes.retry_at(lane("a"), 100);
        assert_eq!(lanes.next_job(), job("b", &[3], None));
        lanes.wake(99);
        assert_eq!((lanes.next_job(), lanes.next_due()), (None, Some(100)));
        lanes.wake(100);
        assert_eq!(lanes.next_job(), job("a", &[1], Some(77)), "what came since does not join it");
        assert_eq!(lanes.failed(&lane("a")), 2);
        lanes.finished(&lane("a"));
        assert_eq!(lanes.next_job(), job("a", &[2], None));
        assert_eq!(lanes.failed(&lane("a")), 1, "the count belongs to the callback");
    }

    #[test]
    fn what_waits_in_a_lane_goes_together() {
        let mut lanes = Lanes::new(3);
        for number in 1..=5 {
            lanes.push(lane("a"), number);
        }
        assert_eq!(lanes.next_job(), job("a", &[1, 2, 3], None));
        lanes.finished(&lane("a"));
        assert_eq!(lanes.next_job(), job("a", &[4, 5], None));
    }

    #[test]
    fn drops_the_oldest_that_is_not_being_tried() {
        let mut lanes = Lanes::new(1);
        for (meeting, number) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            lanes.push(lane(meeting), number);
        }
        assert_eq!(lanes.next_job(), job("a", &[1], None));
        assert_eq!(lanes.drop_oldest(), Some(2));
        assert_eq!(lanes.drop_oldest(), Some(3));
        assert_eq!(lanes.drop_oldest(), Some(4));
        assert_eq!(lanes.drop_oldest(), None);
        assert_eq!((lanes.next_job(), lanes.unfinished()), (None, 1));
        lanes.push(lane("b"), 5);
        assert_eq!(lanes.next_job(), job("b", &[5], None));
        lanes.finished(&lane("a"));
        lanes.push(lane("a"), 6);
        assert_eq!(lanes.next_job(), job("a", &[6], None));
    }
}
