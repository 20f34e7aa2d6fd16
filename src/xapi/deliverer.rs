//! Takes events from the journal, learns from them, and sends the statements made of them, meeting by meeting.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::task::Id;
use tokio::task::JoinError;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::books::Books;
use crate::books::End;
use crate::books::calls::Standing;
use crate::bound::Bound;
use crate::bound::May;
use crate::clock;
use crate::config::Ordering;
use crate::delivery::episode;
use crate::delivery::lanes::Job;
use crate::delivery::lanes::LaneKey;
use crate::delivery::lanes::LaneRef;
use crate::delivery::retry::Answer;
use crate::delivery::retry::spread;
use crate::delivery::retry::wait_after;
use crate::delivery::sender::Answered;
use crate::delivery::tally::tally;
use crate::event::Event;
use crate::event::HookId;
use crate::event::InternalMeetingId;
use crate::journal::Reader;
use crate::journal::cursor::Cursor;
use crate::journal::cursor::Progress;
use crate::journal::cursor::Tried;
use crate::xapi::IsMapped;
use crate::xapi::READER;
use crate::xapi::Shared;
use crate::xapi::attempt::Attempted;
use crate::xapi::attempt::attempt;
use crate::xapi::credentials::Lrs;
use crate::xapi::learner::Learner;
use crate::xapi::learner::Said;
use crate::xapi::outlet::Outlet;

/// Most events taken from the journal at once.
const READ_AT_ONCE: usize = 1024;

/// How soon the journal is told of what was finished; the longer the cursor, the later.
const REPORT_AFTER: Duration = Duration::from_millis(10);

/// Most ranges of events finished out of order. There are more than a hook has, because one LRS that is gone leaves holes
/// between what the others got; beyond it nothing is sent but the oldest.
const MOST_RANGES: usize = 10_000;

/// How often then to look whether the oldest may go.
const CROWDED_WAIT: Duration = Duration::from_millis(100);

/// The wait before Redis is asked again for events that only it has.
const REDIS_WAIT: Duration = Duration::from_secs(1);

pub(super) struct Deliverer {
    shared: Arc<Shared>,
    reader: Reader,
    books: Arc<Books>,
    learner: Learner,
    is_mapped: IsMapped,
    progress: Progress,
    /// Events finished before a restart, above the watermark from which it goes on.
    start: Cursor,
    /// What was being tried before a restart, until all of that is read.
    tried: Vec<Tried>,
    outlets: HashMap<Arc<Lrs>, Outlet>,
    in_flight: JoinSet<Attempted>,
    task: HashMap<Id, (Arc<Lrs>, LaneKey)>,
    /// Time zero of the lanes' clock.
    started: Instant,
    sweep_at: Instant,
    /// Whether the last that was tried could not be found any more: an episode is logged once.
    losing: bool,
    /// How often parked statements are spoken of.
    parked_bound: Bound,
    /// Since when there is something to report.
    unreported_since: Option<Instant>,
    /// When to read on after the journal could not be read.
    read_again_at: Option<Instant>,
}

impl Deliverer {
    pub(super) fn new(shared: Arc<Shared>, reader: Reader, is_mapped: IsMapped) -> Self {
        let start = reader.start().clone();
        let now_ms = clock::unix_ms();
        let on_our_clock = |tried: &Tried| Tried { due_ms: tried.left(now_ms), ..tried.clone() };
        Self {
            books: Arc::clone(reader.books()),
            tried: start.trying.iter().map(on_our_clock).collect(),
            learner: Learner::new(Arc::clone(&shared)),
            sweep_at: Instant::now() + shared.sweep_every,
            shared,
            reader,
            is_mapped,
            progress: Progress::default(),
            start,
            outlets: HashMap::new(),
            in_flight: JoinSet::new(),
            task: HashMap::new(),
            started: Instant::now(),
            losing: false,
            parked_bound: episode::of_a_receiver(),
            unreported_since: None,
            read_again_at: None,
        }
    }

    /// Sends until told to stop. Attempts in flight are finished first.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            self.take_in().await;
            self.sweep_in_time();
            self.start_attempts();
            self.show();
            self.report_in_time();
            let wake_at = self.next_wake();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = self.in_flight.join_next_with_id() => self.attempts_ended(ended),
                () = self.reader.more(), if self.read_again_at.is_none() => {}
                () = tokio::time::sleep_until(wake_at) => {}
            }
            let now = self.now();
            self.outlets.values_mut().for_each(|outlet| outlet.lanes.wake(now));
        }
        while let Some(ended) = self.in_flight.join_next_with_id().await {
            self.attempt_ended(ended);
        }
        self.report();
        debug!(unfinished = self.progress.unfinished(), "No more statements are sent");
    }

    /// Lets others see how this stands: as the worst of the stores does.
    fn show(&mut self) {
        let standing = |outlet: &Outlet| match (&outlet.suspended, outlet.episodes.is_failing()) {
            (Some(_), _) => Standing::Suspended,
            (None, true) => Standing::Failing,
            (None, false) => Standing::Well,
        };
        let standing = self.outlets.values().map(standing).max().unwrap_or_default();
        let due = self.outlets.values_mut().filter_map(Outlet::due).min();
        let next_try_ms = due.map(|due| clock::unix_ms() + due.saturating_sub(self.now()));
        let (in_flight, oldest) = (self.in_flight.len(), self.progress.oldest());
        self.books.note(|calls| {
            calls.standing = standing;
            calls.in_flight = in_flight;
            calls.oldest = oldest;
            calls.next_try_ms = next_try_ms;
        });
    }

    /// The lanes' clock: ms since this began.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A time of the lanes' clock, from now.
    fn after(&self, wait: Duration) -> u64 {
        self.now() + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
    }

    /// When something is due that nobody will tell of.
    fn next_wake(&mut self) -> Instant {
        let due = self.outlets.values_mut().filter_map(Outlet::due).min();
        let due = due.map(|due| self.started + Duration::from_millis(due));
        // What is due may have to wait for the oldest.
        let due = due.map(|due| if self.is_crowded() { due.max(Instant::now() + CROWDED_WAIT) } else { due });
        let report = self.unreported_since.map(|since| since + self.report_after());
        [due, report, self.read_again_at].into_iter().flatten().fold(self.sweep_at, Instant::min)
    }

    /// Whether so much is finished out of order that nothing may be sent but the oldest.
    fn is_crowded(&self) -> bool {
        self.progress.ranges() >= MOST_RANGES
    }

    /// Learns from what the journal has, and puts into lanes what statements are made of.
    async fn take_in(&mut self) {
        if self.read_again_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.read_again_at = None;
        loop {
            let found = match self.reader.read(READ_AT_ONCE).await {
                Ok(found) => found,
                Err(error) => {
                    debug!(%error, "The journal cannot be read for xAPI; trying again");
                    self.read_again_at = Some(Instant::now() + REDIS_WAIT);
                    return;
                }
            };
            if found.lost > 0 {
                let end = self.reader.journal().end_of_lost(self.reader.position());
                self.books.never_found(end, found.lost);
                self.say_lost(end);
            }
            for event in &found.events {
                let said = self.learner.learn(event).await;
                if self.start.is_done(event.number) {
                    self.progress.skip(event.number);
                    continue;
                }
                self.progress.take(event.number);
                self.books.taken(1);
                if let Said::To(lrs) = said {
                    let lane = LaneRef::of(event, Ordering::Meeting);
                    self.outlet(lrs).lanes.push(lane, event.number);
                    continue;
                }
                if said == Said::Nowhere {
                    self.shared.without_lrs.fetch_add(1, Relaxed);
                }
                self.finish(&[event.number]);
                self.books.finished(End::Unsent, 1);
            }
            if self.reader.position() >= self.start.highest() {
                self.tried.clear();
            }
            if !found.more {
                return;
            }
        }
    }

    fn outlet(&mut self, lrs: Arc<Lrs>) -> &mut Outlet {
        let new = |lrs: &Arc<Lrs>| Outlet::new(Arc::clone(lrs), self.shared.batch, self.tried.clone());
        self.outlets.entry(lrs).or_insert_with_key(new)
    }

    fn start_attempts(&mut self) {
        let (now, most) = (self.now(), self.shared.config.get().hooks.concurrency);
        let mut jobs = Vec::new();
        if !self.is_crowded() {
            for outlet in self.outlets.values_mut() {
                let next = || outlet.next_job(most, now).map(|job| (Arc::clone(&outlet.lrs), job));
                jobs.extend(std::iter::from_fn(next));
            }
        } else if let Some(outlet) =
            self.outlets.values_mut().min_by_key(|outlet| outlet.lanes.oldest().unwrap_or(u64::MAX))
        {
            jobs.extend(outlet.oldest_job(now).map(|job| (Arc::clone(&outlet.lrs), job)));
        }
        for (lrs, job) in jobs {
            self.start(lrs, job);
        }
    }

    fn start(&mut self, lrs: Arc<Lrs>, job: Job) {
        let (journal, shared) = (self.reader.journal().clone(), Arc::clone(&self.shared));
        let task = self.in_flight.spawn(attempt(journal, shared, Arc::clone(&lrs), job.events));
        self.task.insert(task.id(), (lrs, job.lane));
    }

    /// Takes note of an attempt that ended, and of all others that did.
    fn attempts_ended(&mut self, first: Result<(Id, Attempted), JoinError>) {
        let mut next = Some(first);
        while let Some(ended) = next {
            self.attempt_ended(ended);
            next = self.in_flight.try_join_next_with_id();
        }
    }

    fn attempt_ended(&mut self, ended: Result<(Id, Attempted), JoinError>) {
        let (task, attempted) = ended.unwrap_or_else(|error| {
            error!(%error, "The sending of statements came to an end that it should not have");
            (error.id(), Attempted { answered: Some(Answered::UNSENT), lost: 0, events: Vec::new() })
        });
        let (lrs, lane) = self.task.remove(&task).expect("every attempt was started for a lane");
        let retry_redis_at = self.after(REDIS_WAIT);
        if let Some(answered) = &attempted.answered {
            let delivered = matches!(answered.answer, Answer::Status(200..=299));
            tally(&self.books, answered, delivered, &attempted.events);
        }
        let Some(outlet) = self.outlets.get_mut(&lrs) else { return };
        outlet.in_flight -= 1;
        let (lost, several) = (attempted.lost, attempted.events.len() > 1);
        match attempted.answered {
            Some(Answered { answer: Answer::Status(200..=299), .. }) => {
                if outlet.works() {
                    info!(host = lrs.host(), "Statements to this Learning Record Store succeed again");
                }
                self.losing = false;
                let events = outlet.lanes.delivered(&lane);
                self.books.finished(End::Delivered, events.len() - lost);
                self.count_lost(&events, lost);
                self.finish(&events);
            }
            // One of them is refused, or all are too much: which one it is shows when they come alone.
            Some(Answered { answer: Answer::Status(400 | 413), .. }) if several => {
                outlet.lanes.take_apart(&lane);
            }
            Some(Answered { answer: answer @ Answer::Status(400), .. }) => {
                // It never will be taken, so there is no point in trying again.
                self.park(&lrs, &lane, answer, &attempted.events, lost);
            }
            Some(answered) => self.attempt_failed(&lrs, &lane, answered, &attempted.events, lost),
            None if lost > 0 => {
                let events = outlet.lanes.finished(&lane);
                self.count_lost(&events, events.len());
                self.finish(&events);
            }
            None => outlet.lanes.retry_at(&lane, retry_redis_at),
        }
    }

    /// Accounts for events that were taken and of which so many can no longer be found.
    fn count_lost(&mut self, events: &[u64], lost: usize) {
        if let Some(first) = events.first().filter(|_| lost > 0) {
            let end = self.reader.journal().end_of_lost(*first);
            self.books.finished(end, lost);
            self.say_lost(end);
        }
    }

    fn say_lost(&mut self, reason: End) {
        if !std::mem::replace(&mut self.losing, true) {
            const DROPPED: &str = "Statements are dropped: neither memory nor Redis has what they are made of any more";
            match reason {
                End::Overflowed => warn!(?reason, "{DROPPED}"),
                _ => error!(?reason, "{DROPPED}"),
            }
        }
    }

    fn attempt_failed(
        &mut self,
        lrs: &Arc<Lrs>,
        lane: &LaneKey,
        answered: Answered,
        events: &[Arc<Event>],
        lost: usize,
    ) {
        self.note_news();
        let answer = answered.answer;
        let asked = answered.retry_after.unwrap_or_default();
        let probe = spread(self.shared.config.get().hooks.permanent_interval_reset, fastrand::f64()).max(asked);
        let probe_at = self.after(probe);
        let Some(outlet) = self.outlets.get_mut(lrs) else { return };
        let failures = outlet.lanes.failed(lane);
        debug!(host = lrs.host(), %answered, failures, "Statements were not taken");
        if let Some(again) = &mut outlet.suspended {
            *again = probe_at;
            outlet.lanes.retry_at(lane, probe_at);
        } else if let Some(wait) =
            wait_after(&self.shared.config.get().hooks.retry_intervals, failures, fastrand::f64())
        {
            if outlet.episodes.failed(self.started.elapsed()) {
                warn!(host = lrs.host(), %answered, "This Learning Record Store does not take statements; they will be sent again");
            }
            let due = self.after(wait.max(asked));
            if let Some(outlet) = self.outlets.get_mut(lrs) {
                outlet.lanes.retry_at(lane, due);
            }
        } else if outlet.lanes.others_delivered(lane) {
            self.park(lrs, lane, answer, events, lost);
        } else {
            warn!(host = lrs.host(), %answered, failures, "No retry helped: this Learning Record Store is tried from time to time; its statements are kept");
            outlet.suspended = Some(probe_at);
            outlet.lanes.retry_at(lane, probe_at);
        }
    }

    /// The LRS works and refuses this: it is put aside, and the lane goes on.
    fn park(&mut self, lrs: &Arc<Lrs>, lane: &LaneKey, answer: Answer, events: &[Arc<Event>], lost: usize) {
        let Some(outlet) = self.outlets.get_mut(lrs) else { return };
        let numbers = outlet.lanes.finished(lane);
        for event in events {
            let meeting = event.mapped.external_meeting.as_ref().map(ToString::to_string);
            match self.parked_bound.happens(self.started.elapsed()) {
                May::Say => {
                    let unsaid = Some(self.parked_bound.take_unsaid()).filter(|unsaid| *unsaid > 0);
                    warn!(host = lrs.host(), %answer, event = event.number, id = %event.mapped.id, meeting, unsaid, "The Learning Record Store refuses the statement of this event; it is parked");
                }
                May::CountFirst | May::Count => {
                    debug!(host = lrs.host(), event = event.number, "Another one is parked")
                }
            }
            self.shared.behind.park(&HookId::from(READER), event, &answer.to_string(), clock::unix_ms());
        }
        self.books.finished(End::Parked, numbers.len() - lost);
        self.books.note(|calls| events.iter().for_each(|event| calls.parked(&event.mapped.id)));
        self.count_lost(&numbers, lost);
        self.finish(&numbers);
    }

    fn finish(&mut self, events: &[u64]) {
        self.progress.finish(events);
        self.note_news();
    }

    fn note_news(&mut self) {
        self.unreported_since.get_or_insert_with(Instant::now);
    }

    /// A long cursor is written less often.
    fn report_after(&self) -> Duration {
        let ranges = u64::try_from(self.progress.ranges()).unwrap_or(u64::MAX);
        REPORT_AFTER + Duration::from_millis(ranges / 10)
    }

    fn report_in_time(&mut self) {
        if self.unreported_since.is_some_and(|since| since.elapsed() >= self.report_after()) {
            self.report();
        }
    }

    /// Tells the journal how far this is.
    fn report(&mut self) {
        self.unreported_since = None;
        let (now, now_ms) = (self.now(), clock::unix_ms());
        let on_the_wall = |tried: Tried| Tried { due_ms: now_ms.saturating_add(tried.wait_ms), ..tried };
        let tried = self.outlets.values().flat_map(|outlet| outlet.lanes.tried(now)).map(on_the_wall);
        let position = self.reader.position();
        let mut cursor = Cursor {
            watermark: self.progress.watermark(position),
            done: self.progress.done(),
            trying: tried.collect(),
            suspended_since_ms: None,
        };
        // What was finished or tried before a restart, further on than this reader has come again, still holds.
        cursor.keep_after(position, &self.start);
        self.reader.report(cursor);
    }

    /// Forgets meetings whose mapping expired and of which nothing waits any more, and outlets that nobody uses.
    fn sweep_in_time(&mut self) {
        if Instant::now() < self.sweep_at {
            return;
        }
        self.sweep_at = Instant::now() + self.shared.sweep_every;
        // What could not be read may be about a meeting that seems to be over.
        if self.read_again_at.is_some() {
            return;
        }
        let outlets = &self.outlets;
        let waits = |id: &InternalMeetingId| {
            let lane = LaneKey::Meeting(Some(id.clone()));
            outlets.values().any(|outlet| outlet.lanes.contains(&lane))
        };
        self.learner.forget(|id| !(self.is_mapped)(id) && !waits(id));
        self.outlets.retain(|_, outlet| !outlet.is_idle());
        self.reader.journal().nudge();
    }
}
