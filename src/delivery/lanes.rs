//! The lanes of one hook: which of its events go next, which wait for a retry, which must wait for those. Pure.
//!
//! Events that must keep their order form a lane and go one callback at a time. A lane is idle (its first event may go),
//! in flight, or waiting for a retry; the others go on meanwhile. An event is named by its number in the journal.

mod numbers;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::VecDeque;

use hashbrown::Equivalent;
use hashbrown::HashMap;

use crate::config::Ordering;
use crate::delivery::lanes::numbers::Numbers;
use crate::event::Event;
use crate::event::InternalMeetingId;
use crate::journal::cursor::Tried;

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

/// A [`LaneKey`] that is not owned: a meeting's id is shared by all hooks, so that counting its owners would hold them up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LaneRef<'a> {
    /// As in [`LaneKey`].
    Meeting(Option<&'a InternalMeetingId>),
    /// As in [`LaneKey`].
    Hook,
    /// As in [`LaneKey`].
    Event(u64),
}

impl<'a> LaneRef<'a> {
    /// The lane of an event.
    #[must_use]
    pub fn of(event: &'a Event, ordering: Ordering) -> Self {
        match ordering {
            Ordering::Meeting => Self::Meeting(event.mapped.meeting.as_ref()),
            Ordering::Hook => Self::Hook,
            Ordering::None => Self::Event(event.number),
        }
    }
}

impl<'a> From<&'a LaneKey> for LaneRef<'a> {
    fn from(key: &'a LaneKey) -> Self {
        match key {
            LaneKey::Meeting(meeting) => Self::Meeting(meeting.as_ref()),
            LaneKey::Hook => Self::Hook,
            LaneKey::Event(number) => Self::Event(*number),
        }
    }
}

impl From<LaneRef<'_>> for LaneKey {
    fn from(key: LaneRef<'_>) -> Self {
        match key {
            LaneRef::Meeting(meeting) => Self::Meeting(meeting.cloned()),
            LaneRef::Hook => Self::Hook,
            LaneRef::Event(number) => Self::Event(number),
        }
    }
}

/// Both are hashed alike, because their variants and what these hold are.
impl Equivalent<LaneKey> for LaneRef<'_> {
    fn equivalent(&self, key: &LaneKey) -> bool {
        *self == LaneRef::from(key)
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

#[derive(Debug)]
struct Lane {
    events: Numbers,
    stage: Stage,
    /// The callback that is being tried: in flight, or waiting for its next attempt.
    trying: Option<Trying>,
    /// So many of the first events go one by one: one of them was refused with others.
    apart: usize,
}

/// Where a lane's first callback is. Times are of the lanes' clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Ready,
    InFlight,
    Waiting(u64),
}

#[derive(Debug)]
struct Trying {
    /// How many of the lane's first events it holds.
    events: usize,
    timestamp: Option<u64>,
    failures: usize,
    /// How many callbacks of the hook had been delivered when it was first tried; none if that was before a restart, and
    /// others had been delivered since.
    delivered_before: Option<u64>,
}

/// All lanes of a hook. Times are in ms, of any clock that does not go back.
#[derive(Debug)]
pub struct Lanes {
    lanes: HashMap<LaneKey, Lane>,
    /// Lanes whose next callback may go, the longest waiting first. Some are no longer ready.
    ready: VecDeque<LaneKey>,
    /// Lanes that wait for a retry, by when it is due. Some no longer wait.
    waiting: BinaryHeap<Reverse<(u64, LaneKey)>>,
    /// Callbacks that were being tried before a restart, by their first event.
    resumed: HashMap<u64, Tried>,
    /// Most events in a callback.
    batch: usize,
    /// How many callbacks were delivered.
    delivered: u64,
}

impl Lanes {
    /// No lanes yet. A callback takes up to `batch` events, at least 1. Those in `tried` go on as they were before a restart;
    /// their times are of the lanes' clock.
    #[must_use]
    pub fn new(batch: usize, tried: Vec<Tried>) -> Self {
        Self {
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            waiting: BinaryHeap::new(),
            resumed: tried.into_iter().map(|tried| (tried.first, tried)).collect(),
            batch: batch.max(1),
            delivered: 0,
        }
    }

    /// Adds an event to the end of its lane.
    pub fn push(&mut self, key: LaneRef<'_>, number: u64) {
        let resumed = if self.resumed.is_empty() { None } else { self.resumed.remove(&number) };
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.events.push(number);
            return;
        }
        let key = LaneKey::from(key);
        let trying = resumed.as_ref().map(|tried| Trying {
            events: tried.events.max(1),
            timestamp: None,
            failures: tried.failures,
            delivered_before: (!tried.others_delivered).then_some(0),
        });
        let stage = resumed.as_ref().map_or(Stage::Ready, |tried| Stage::Waiting(tried.due_ms));
        match stage {
            Stage::Waiting(due) => self.waiting.push(Reverse((due, key.clone()))),
            _ => self.ready.push_back(key.clone()),
        }
        let mut events = Numbers::default();
        events.push(number);
        self.lanes.insert(key, Lane { events, stage, trying, apart: 0 });
    }

    /// The next callback that may go; its lane is in flight from here on.
    pub fn next_job(&mut self) -> Option<Job> {
        loop {
            let key = self.ready.pop_front()?;
            if self.lanes.get(&key).is_some_and(|lane| lane.stage == Stage::Ready) {
                return self.start(key);
            }
        }
    }

    /// The callback with the oldest event of all, if it may go; its lane is in flight from here on.
    pub fn oldest_job(&mut self) -> Option<Job> {
        let (key, lane) = self.lanes.iter().min_by_key(|(_, lane)| lane.events.first())?;
        if lane.stage != Stage::Ready {
            return None;
        }
        self.start(key.clone())
    }

    /// The callback with the oldest event that is not in flight, whether it may go or waits; its lane is in flight from here on.
    pub fn probe(&mut self) -> Option<Job> {
        let grounded = self.lanes.iter().filter(|(_, lane)| lane.stage != Stage::InFlight);
        let (key, _) = grounded.min_by_key(|(_, lane)| lane.events.first())?;
        self.start(key.clone())
    }

    fn start(&mut self, key: LaneKey) -> Option<Job> {
        let lane = self.lanes.get_mut(&key)?;
        lane.stage = Stage::InFlight;
        let batch = if lane.apart > 0 { 1 } else { self.batch };
        let (most, delivered) = (batch.min(lane.events.len()), self.delivered);
        let trying = lane.trying.get_or_insert(Trying {
            events: most,
            timestamp: None,
            failures: 0,
            delivered_before: Some(delivered),
        });
        trying.events = trying.events.min(lane.events.len());
        let events = (0..trying.events).filter_map(|place| lane.events.get(place)).collect();
        Some(Job { lane: key, events, timestamp: trying.timestamp })
    }

    fn trying(&mut self, key: &LaneKey) -> Option<&mut Trying> {
        self.lanes.get_mut(key)?.trying.as_mut()
    }

    /// Remembers when the callback in flight was first built: retries repeat it.
    pub fn built(&mut self, key: &LaneKey, timestamp: u64) {
        if let Some(trying) = self.trying(key) {
            trying.timestamp = Some(timestamp);
        }
    }

    /// The callback in flight was delivered. Gives its events; the lane goes on.
    pub fn delivered(&mut self, key: &LaneKey) -> Vec<u64> {
        self.delivered += 1;
        self.finished(key)
    }

    /// The callback in flight is finished without being delivered. Gives its events; the lane goes on.
    pub fn finished(&mut self, key: &LaneKey) -> Vec<u64> {
        let Some(lane) = self.lanes.get_mut(key) else { return Vec::new() };
        let finished = lane.trying.take().map_or(0, |trying| trying.events);
        let events = lane.events.take_first(finished);
        lane.apart = lane.apart.saturating_sub(finished);
        if lane.events.is_empty() {
            self.lanes.remove(key);
        } else {
            lane.stage = Stage::Ready;
            self.ready.push_back(key.clone());
        }
        events
    }

    /// The callback in flight was refused for one of its events: from here on they go one by one, as if never tried.
    pub fn take_apart(&mut self, key: &LaneKey) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.apart = lane.trying.take().map_or(0, |trying| trying.events);
            lane.stage = Stage::Ready;
            self.ready.push_back(key.clone());
        }
    }

    /// Whether no events are left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Whether a lane has events left.
    #[must_use]
    pub fn contains(&self, key: &LaneKey) -> bool {
        self.lanes.contains_key(key)
    }

    /// The oldest event.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.lanes.values().filter_map(|lane| lane.events.first()).min()
    }

    /// The callback in flight failed once more. Gives how often it has.
    pub fn failed(&mut self, key: &LaneKey) -> usize {
        self.trying(key).map_or(0, |trying| {
            trying.failures = trying.failures.saturating_add(1);
            trying.failures
        })
    }

    /// Whether another callback was delivered since the one in flight was first tried.
    #[must_use]
    pub fn others_delivered(&self, key: &LaneKey) -> bool {
        let trying = self.lanes.get(key).and_then(|lane| lane.trying.as_ref());
        trying.is_some_and(|trying| trying.others_delivered(self.delivered))
    }

    /// The callback in flight is due again at `due`.
    pub fn retry_at(&mut self, key: &LaneKey, due: u64) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.stage = Stage::Waiting(due);
            self.waiting.push(Reverse((due, key.clone())));
        }
    }

    /// When the next retry is due.
    #[must_use]
    pub fn next_due(&mut self) -> Option<u64> {
        while let Some(Reverse((due, key))) = self.waiting.peek() {
            if self.lanes.get(key).is_some_and(|lane| lane.stage == Stage::Waiting(*due)) {
                return Some(*due);
            }
            self.waiting.pop();
        }
        None
    }

    /// Lets go what is due.
    pub fn wake(&mut self, now: u64) {
        while self.next_due().is_some_and(|due| due <= now) {
            let Some(Reverse((_, key))) = self.waiting.pop() else { return };
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.stage = Stage::Ready;
                self.ready.push_back(key);
            }
        }
    }

    /// Lets go all that waits, each as if it had never failed: the receiver is there again.
    pub fn begin_anew(&mut self) {
        self.waiting.clear();
        let mut woken: Vec<_> = Vec::new();
        for (key, lane) in &mut self.lanes {
            if let Stage::Waiting(_) = lane.stage {
                lane.stage = Stage::Ready;
                woken.push((lane.events.first(), key.clone()));
            }
            if let Some(trying) = &mut lane.trying {
                trying.failures = 0;
            }
        }
        woken.sort_unstable();
        self.ready.extend(woken.into_iter().map(|(_, key)| key));
    }

    /// What failed and is to be tried again, for the cursor. What is in flight is due at `now`.
    #[must_use]
    pub fn tried(&self, now: u64) -> Vec<Tried> {
        let tried = |lane: &Lane| {
            let trying = lane.trying.as_ref().filter(|trying| trying.failures > 0)?;
            let due_ms = if let Stage::Waiting(due) = lane.stage { due } else { now };
            Some(Tried {
                first: lane.events.first()?,
                events: trying.events,
                failures: trying.failures,
                due_ms,
                wait_ms: due_ms.saturating_sub(now),
                others_delivered: trying.others_delivered(self.delivered),
            })
        };
        let mut all: Vec<_> = self.lanes.values().filter_map(tried).collect();
        all.sort_unstable_by_key(|tried| tried.first);
        all
    }

    /// Drops the oldest events that are not being tried, up to so many. What is being tried stays, or a hook whose receiver is
    /// dead would begin anew with each event and never be given up.
    pub fn drop_oldest(&mut self, most: usize) -> Vec<u64> {
        let mut lanes: Vec<&mut Lane> = self.lanes.values_mut().collect();
        let oldest = |lane: &Lane, place| Some(Reverse((lane.events.get(lane.tried())?, place)));
        let mut next: BinaryHeap<_> =
            lanes.iter().enumerate().filter_map(|(place, lane)| oldest(lane, place)).collect();
        let mut dropped = Vec::new();
        while dropped.len() < most
            && let Some(Reverse((number, place))) = next.pop()
        {
            let lane = &mut lanes[place];
            lane.events.remove(lane.tried());
            dropped.push(number);
            next.extend(oldest(lane, place));
        }
        self.lanes.retain(|_, lane| !lane.events.is_empty());
        dropped
    }
}

impl Lane {
    /// How many of its first events are being tried.
    fn tried(&self) -> usize {
        self.trying.as_ref().map_or(0, |trying| trying.events)
    }
}

impl Trying {
    fn others_delivered(&self, delivered: u64) -> bool {
        self.delivered_before.is_none_or(|before| delivered > before)
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(meeting: &str) -> LaneKey {
        LaneKey::Meeting(Some(meeting.into()))
    }

    fn lanes(batch: usize, events: &[(&str, u64)]) -> Lanes {
        let mut lanes = Lanes::new(batch, Vec::new());
        for (meeting, number) in events {
            lanes.push((&lane(meeting)).into(), *number);
        }
        lanes
    }

    fn job(meeting: &str, events: &[u64], timestamp: Option<u64>) -> Option<Job> {
        Some(Job { lane: lane(meeting), events: events.to_vec(), timestamp })
    }

    #[test]
    fn one_callback_of_a_lane_at_a_time_lanes_in_turn() {
        let mut lanes = lanes(1, &[("a", 1), ("a", 2), ("b", 3), ("a", 4)]);
        assert_eq!(lanes.next_job(), job("a", &[1], None));
        assert_eq!(lanes.next_job(), job("b", &[3], None));
        assert_eq!(lanes.next_job(), None);
        assert_eq!(lanes.delivered(&lane("a")), [1]);
        assert_eq!(lanes.delivered(&lane("b")), [3]);
        assert_eq!(lanes.next_job(), job("a", &[2], None));
        assert_eq!(lanes.finished(&lane("a")), [2]);
        assert_eq!(lanes.next_job(), job("a", &[4], None));
        assert_eq!(lanes.delivered(&lane("a")), [4]);
        assert_eq!(lanes.next_job(), None);
    }

    #[test]
    fn a_retry_repeats_the_same_callback_and_others_go_on() {
        let mut lanes = lanes(2, &[("a", 1)]);
        assert_eq!(lanes.next_job(), job("a", &[1], None));
        lanes.built(&lane("a"), 77);
        lanes.push((&lane("a")).into(), 2);
        lanes.push((&lane("b")).into(), 3);
        assert_eq!(lanes.failed(&lane("a")), 1);
        lanes.retry_at(&lane("a"), 100);
        assert_eq!(lanes.next_job(), job("b", &[3], None));
        lanes.wake(99);
        assert_eq!((lanes.next_job(), lanes.next_due()), (None, Some(100)));
        lanes.wake(100);
        assert_eq!(lanes.next_job(), job("a", &[1], Some(77)), "what came since does not join it");
        assert_eq!(lanes.failed(&lane("a")), 2);
        assert!(!lanes.others_delivered(&lane("a")));
        lanes.delivered(&lane("b"));
        assert!(lanes.others_delivered(&lane("a")));
        lanes.finished(&lane("a"));
        assert_eq!(lanes.next_job(), job("a", &[2], None));
        assert_eq!(lanes.failed(&lane("a")), 1, "the count belongs to the callback");
        assert!(!lanes.others_delivered(&lane("a")));
    }

    #[test]
    fn what_waits_in_a_lane_goes_together() {
        let mut lanes = lanes(3, &[("a", 1), ("a", 2), ("a", 3), ("a", 4), ("a", 5)]);
        assert_eq!(lanes.next_job(), job("a", &[1, 2, 3], None));
        assert_eq!(lanes.delivered(&lane("a")), [1, 2, 3]);
        assert_eq!(lanes.next_job(), job("a", &[4, 5], None));
    }

    #[test]
    fn what_was_refused_together_goes_apart() {
        let mut lanes = lanes(3, &[("a", 1), ("a", 2), ("a", 3), ("a", 4), ("a", 5)]);
        assert_eq!(lanes.next_job(), job("a", &[1, 2, 3], None));
        lanes.take_apart(&lane("a"));
        for number in 1..=3 {
            assert_eq!(lanes.next_job(), job("a", &[number], None));
            assert_eq!(lanes.failed(&lane("a")), 1);
            assert_eq!((lanes.oldest(), lanes.contains(&lane("a"))), (Some(number), true));
            assert_eq!(lanes.finished(&lane("a")), [number]);
        }
        assert_eq!(lanes.next_job(), job("a", &[4, 5], None));
        lanes.delivered(&lane("a"));
        assert!(lanes.is_empty() && !lanes.contains(&lane("a")));
    }

    #[test]
    fn drops_the_oldest_that_is_not_being_tried() {
        let mut lanes = lanes(1, &[("a", 1), ("b", 2), ("a", 3), ("c", 4)]);
        assert_eq!(lanes.next_job(), job("a", &[1], None));
        assert_eq!(lanes.drop_oldest(1), [2]);
        assert_eq!(lanes.drop_oldest(2), [3, 4]);
        assert!(lanes.drop_oldest(1).is_empty());
        assert_eq!(lanes.next_job(), None);
        lanes.push((&lane("b")).into(), 5);
        assert_eq!(lanes.next_job(), job("b", &[5], None));
        lanes.finished(&lane("a"));
        lanes.push((&lane("a")).into(), 6);
        assert_eq!(lanes.next_job(), job("a", &[6], None));
        assert_eq!(lanes.next_job(), None);
    }

    #[test]
    fn a_restart_goes_on_where_it_was() {
        let mut before = lanes(2, &[("a", 1), ("a", 2), ("a", 3), ("b", 4)]);
        assert_eq!(before.next_job(), job("a", &[1, 2], None));
        before.failed(&lane("a"));
        before.failed(&lane("a"));
        before.retry_at(&lane("a"), 500);
        let tried = before.tried(100);
        let expected = Tried { first: 1, events: 2, failures: 2, due_ms: 500, wait_ms: 400, others_delivered: false };
        assert_eq!(tried, [expected]);

        let mut after = Lanes::new(2, tried);
        for (meeting, number) in [("a", 1), ("a", 2), ("a", 3), ("b", 4)] {
            after.push((&lane(meeting)).into(), number);
        }
        assert_eq!(after.next_job(), job("b", &[4], None));
        assert_eq!((after.next_job(), after.next_due()), (None, Some(500)));
        after.wake(500);
        assert_eq!(after.next_job(), job("a", &[1, 2], None));
        assert_eq!(after.failed(&lane("a")), 3);
        assert!(!after.others_delivered(&lane("a")));
        after.delivered(&lane("b"));
        assert!(after.others_delivered(&lane("a")));
    }

    #[test]
    fn a_probe_takes_the_oldest_and_success_begins_anew() {
        let mut lanes = lanes(1, &[("b", 1), ("a", 2)]);
        assert_eq!(lanes.next_job(), job("b", &[1], None));
        assert_eq!(lanes.next_job(), job("a", &[2], None));
        for meeting in ["a", "b"] {
            lanes.failed(&lane(meeting));
            lanes.retry_at(&lane(meeting), 1000);
        }
        assert_eq!(lanes.probe(), job("b", &[1], None));
        assert_eq!(lanes.probe(), job("a", &[2], None));
        assert_eq!(lanes.probe(), None);
        lanes.retry_at(&lane("a"), 2000);
        lanes.delivered(&lane("b"));
        lanes.begin_anew();
        assert_eq!(lanes.next_job(), job("a", &[2], None));
        assert_eq!(lanes.failed(&lane("a")), 1);
        assert_eq!((lanes.next_job(), lanes.next_due()), (None, None));
    }
}
