//! Random histories of one hook against a plain model: sets of numbers instead of lanes, ranges and schedules.
//!
//! The real parts are the lanes, the progress and the cursor; between them stands here what the deliverer does. Redis holds
//! a cursor that is some reports old. A crash goes on from it; a loss of Redis brings it up to date from memory.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::LaneKey;
use super::Lanes;
use crate::journal::cursor::Cursor;
use crate::journal::cursor::Progress;

/// Something happens. Numbers choose among what is possible then.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// An event of a meeting is accepted, so many numbers after the last.
    Accept { meeting: u8, gap: u64 },
    /// A callback goes.
    Start,
    /// One in flight is answered.
    Answer { which: u8, answer: Reply },
    /// Time goes on.
    Wait(u16),
    /// The suspended hook's oldest event is tried.
    Probe,
    /// The receiver is there again.
    BeginAnew,
    /// Too many events wait.
    Overflow,
    /// The cursor is stored, clipped to what Redis has: all but the last few events.
    Commit { all_but: u8 },
    /// Redis lost all, and is given everything that memory holds.
    RedisLost,
    /// The daemon is killed, and starts with what Redis has.
    Crash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    Taken,
    /// It failed, and is due again after a while.
    Failed(u16),
    /// It is put aside: the receiver works and refuses it.
    Parked,
}

fn step() -> impl Strategy<Value = Step> {
    let reply = prop_oneof![
        4 => Just(Reply::Taken),
        3 => (0..500_u16).prop_map(Reply::Failed),
        1 => Just(Reply::Parked),
    ];
    // At a start the numbers go on from the time of day.
    let gap = prop_oneof![12 => 1..4_u64, 1 => Just(1 << 31), 1 => Just(1 << 32), 1 => Just(1 << 33)];
    prop_oneof![
        8 => (0..4_u8, gap).prop_map(|(meeting, gap)| Step::Accept { meeting, gap }),
        8 => Just(Step::Start),
        10 => (any::<u8>(), reply).prop_map(|(which, answer)| Step::Answer { which, answer }),
        3 => (0..400_u16).prop_map(Step::Wait),
        1 => Just(Step::Probe),
        1 => Just(Step::BeginAnew),
        1 => Just(Step::Overflow),
        4 => (0..5_u8).prop_map(|all_but| Step::Commit { all_but }),
        1 => Just(Step::RedisLost),
        2 => Just(Step::Crash),
    ]
}

/// What is in flight, as the plain model sees it.
type Flight = BTreeMap<LaneKey, Vec<u64>>;

struct World {
    batch: usize,
    lanes: Lanes,
    progress: Progress,
    /// The cursor of the last start.
    start: Cursor,
    /// Up to which number the reader has read.
    position: u64,
    now: u64,
    flight: Flight,
    /// What Redis holds: the events' last number, and the cursor.
    stored_up_to: u64,
    stored: Cursor,

    /// The plain truth: every event and its lane.
    accepted: BTreeMap<u64, LaneKey>,
    /// Events that came to an end at least once, ever: delivered, parked or dropped.
    ended: BTreeSet<u64>,
    /// Events that are finished, in this life.
    finished: BTreeSet<u64>,
    /// Events that were finished when the stored cursor was made.
    stored_finished: BTreeSet<u64>,
    /// How often the first event of a callback failed, in this life and as stored.
    failures: BTreeMap<u64, usize>,
    stored_failures: BTreeMap<u64, usize>,
}

impl World {
    fn new(batch: usize) -> Self {
        Self {
            batch,
            lanes: Lanes::new(batch, Vec::new()),
            progress: Progress::default(),
            start: Cursor::default(),
            position: 0,
            now: 0,
            flight: Flight::new(),
            stored_up_to: 0,
            stored: Cursor::default(),
            accepted: BTreeMap::new(),
            ended: BTreeSet::new(),
            finished: BTreeSet::new(),
            stored_finished: BTreeSet::new(),
            failures: BTreeMap::new(),
            stored_failures: BTreeMap::new(),
        }
    }

    /// The cursor as the deliverer reports it.
    fn cursor(&self) -> Cursor {
        let mut cursor = Cursor {
            watermark: self.progress.watermark(self.position),
            done: self.progress.done(),
            trying: self.lanes.tried(self.now),
            suspended_since_ms: None,
        };
        cursor.keep_after(self.position, &self.start);
        cursor
    }

    fn take(&mut self, number: u64) {
        if self.start.is_done(number) {
            self.progress.skip(number);
        } else {
            self.lanes.push((&self.accepted[&number]).into(), number);
            self.progress.take(number);
        }
        self.position = number;
    }

    fn started(&mut self, job: Option<super::Job>) {
        let Some(job) = job else { return };
        assert!(!job.events.is_empty() && job.events.len() <= self.batch.max(1), "{job:?}");
        assert!(!self.flight.contains_key(&job.lane), "one callback of a lane at a time: {job:?}");
        // The plain rule of order: the lane's first events that are not finished.
        let unfinished = self.accepted.iter().filter(|(n, lane)| **lane == job.lane && !self.finished.contains(n));
        let first: Vec<_> = unfinished.map(|(number, _)| *number).take(job.events.len()).collect();
        assert_eq!(job.events, first, "the oldest of the lane go first");
        self.flight.insert(job.lane, job.events);
    }

    fn finish(&mut self, events: &[u64]) {
        self.progress.finish(events);
        for number in events {
            self.finished.insert(*number);
            self.failures.remove(number);
        }
    }

    fn answered(&mut self, which: u8, answer: Reply) {
        let Some(lane) = self.flight.keys().nth(usize::from(which) % self.flight.len().max(1)).cloned() else { return };
        let events = self.flight.remove(&lane).unwrap();
        match answer {
            Reply::Taken => {
                assert_eq!(self.lanes.delivered(&lane), events);
                self.ended.extend(&events);
                self.finish(&events);
            }
            Reply::Parked => {
                assert_eq!(self.lanes.finished(&lane), events);
                self.ended.extend(&events);
                self.finish(&events);
            }
            Reply::Failed(wait) => {
                let failures = self.failures.entry(events[0]).or_default();
                *failures += 1;
                assert_eq!(self.lanes.failed(&lane), *failures, "of {events:?}");
                self.lanes.retry_at(&lane, self.now + u64::from(wait));
            }
        }
    }

    fn commit(&mut self, all_but: u8) {
        let last = self.accepted.keys().rev().nth(usize::from(all_but)).copied().unwrap_or(0);
        self.stored_up_to = self.stored_up_to.max(last);
        let cursor = Cursor::from_text(&self.cursor().clipped(self.stored_up_to).to_text()).unwrap();
        assert!(cursor.highest() <= self.stored_up_to.max(cursor.watermark), "{cursor:?}");
        self.stored = cursor;
        let is_stored = |number: &u64| *number <= self.stored_up_to;
        self.stored_finished = self.finished.iter().copied().filter(is_stored).collect();
        self.stored_failures = self.failures.clone().into_iter().filter(|(number, _)| is_stored(number)).collect();
    }

    /// Starts anew with what Redis has, and reads up to a point: the rest is read by what follows.
    fn crash(&mut self) {
        self.accepted.retain(|number, _| *number <= self.stored_up_to);
        self.finished = self.stored_finished.clone();
        self.failures = self.stored_failures.clone();
        self.flight.clear();
        self.lanes = Lanes::new(self.batch, self.stored.trying.clone());
        self.progress = Progress::default();
        self.start = self.stored.clone();
        self.position = self.stored.watermark;
        let again: Vec<_> = self.accepted.range(self.position + 1..).map(|(number, _)| *number).collect();
        for number in again {
            self.take(number);
            self.check();
        }
    }

    fn check(&self) {
        let cursor = self.cursor();
        for number in self.accepted.keys() {
            let finished = self.finished.contains(number);
            // What is behind the position is not read again yet: the stored cursor speaks for it.
            assert_eq!(cursor.is_done(*number), finished, "{number}: {cursor:?}, finished {:?}", self.finished);
        }
        let read = self.accepted.keys().filter(|number| **number <= self.position);
        let unfinished = read.clone().filter(|number| !self.finished.contains(number)).count();
        assert_eq!(self.progress.unfinished(), unfinished);
        // A range ends where something unfinished follows: there are never more than needed.
        let above: Vec<_> = read.filter(|number| **number > cursor.watermark).collect();
        let runs = above.windows(2).filter(|w| !self.finished.contains(w[0]) && self.finished.contains(w[1])).count();
        assert!(self.progress.ranges() <= runs, "{:?} for {runs} runs", self.progress.done());
        for tried in cursor.trying {
            assert_eq!(Some(&tried.failures), self.failures.get(&tried.first), "{tried:?}");
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Accept { meeting, gap } => {
                let number = self.accepted.last_key_value().map_or(0, |(last, _)| *last).max(self.position) + gap;
                self.accepted.insert(number, LaneKey::Meeting(Some(meeting.to_string().as_str().into())));
                self.take(number);
            }
            Step::Start => {
                let job = self.lanes.next_job();
                self.started(job);
            }
            Step::Answer { which, answer } => self.answered(which, answer),
            Step::Wait(ms) => {
                self.now += u64::from(ms);
                self.lanes.wake(self.now);
                assert!(self.lanes.next_due().is_none_or(|due| due > self.now));
            }
            Step::Probe => {
                let job = self.lanes.probe();
                self.started(job);
            }
            Step::BeginAnew => {
                self.lanes.begin_anew();
                self.failures.clear();
            }
            Step::Overflow => {
                for number in self.lanes.drop_oldest(1) {
                    assert!(!self.flight.values().flatten().any(|flying| *flying == number), "{number} is in flight");
                    assert!(!self.failures.contains_key(&number), "{number} is being tried");
                    self.ended.insert(number);
                    self.finish(&[number]);
                }
            }
            Step::Commit { all_but } => self.commit(all_but),
            Step::RedisLost => self.commit(0),
            Step::Crash => self.crash(),
        }
        self.check();
    }

    /// The receiver takes everything from now on: nothing may be left.
    fn run_dry(&mut self) {
        while !self.flight.is_empty() {
            self.answered(0, Reply::Taken);
        }
        loop {
            self.step(Step::Wait(1000));
            self.step(Step::Start);
            if self.flight.is_empty() {
                break;
            }
            self.step(Step::Answer { which: 0, answer: Reply::Taken });
        }
        let lost: Vec<_> = self.accepted.keys().filter(|number| !self.ended.contains(number)).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        assert_eq!(self.progress.unfinished(), 0);
        let last = self.accepted.last_key_value().map_or(0, |(number, _)| *number);
        assert!(self.cursor().watermark >= last, "{:?}", self.cursor());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_agrees_with_the_model(batch in 1..4_usize, steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new(batch);
        for step in steps {
            world.step(step);
        }
        world.run_dry();
    }
}
