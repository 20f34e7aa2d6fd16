//! Takes events from the journal, learns from them, and sends the statements made of them, meeting by meeting.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use tracing::info;
use tracing::warn;

use crate::books::End;
use crate::books::calls::Standing;
use crate::bound::Bound;
use crate::bound::May;
use crate::clock;
use crate::config::Ordering;
use crate::delivery::attempts::Attempted;
use crate::delivery::attempts::Attempts;
use crate::delivery::episode;
use crate::delivery::lanes::Job;
use crate::delivery::lanes::LaneKey;
use crate::delivery::lanes::LaneRef;
use crate::delivery::ledger::Ledger;
use crate::delivery::ledger::REDIS_WAIT;
use crate::delivery::retry::Answer;
use crate::delivery::retry::spread;
use crate::delivery::retry::wait_after;
use crate::delivery::sender::Answered;
use crate::delivery::stopwatch::Stopwatch;
use crate::delivery::tally::tally;
use crate::event::Event;
use crate::event::HookId;
use crate::event::InternalMeetingId;
use crate::journal::Reader;
use crate::journal::cursor::Tried;
use crate::xapi::IsMapped;
use crate::xapi::READER;
use crate::xapi::Shared;
use crate::xapi::attempt::attempt;
use crate::xapi::credentials::Lrs;
use crate::xapi::learner::Learner;
use crate::xapi::learner::Said;
use crate::xapi::outlet::Outlet;

/// Most ranges of events finished out of order. There are more than a hook has, because one LRS that is gone leaves holes
/// between what the others got; beyond it nothing is sent but the oldest.
const MOST_RANGES: usize = 10_000;

/// How often then to look whether the oldest may go.
const CROWDED_WAIT: Duration = Duration::from_millis(100);

pub(super) struct Deliverer {
    shared: Arc<Shared>,
    ledger: Ledger,
    learner: Learner,
    is_mapped: IsMapped,
    /// What was being tried before a restart, until all of that is read.
    tried: Vec<Tried>,
    outlets: HashMap<Arc<Lrs>, Outlet>,
    attempts: Attempts<(Arc<Lrs>, LaneKey)>,
    /// The lanes' clock.
    stopwatch: Stopwatch,
    sweep_at: Instant,
    /// How often parked statements are spoken of.
    parked_bound: Bound,
}

impl Deliverer {
    pub(super) fn new(shared: Arc<Shared>, reader: Reader, is_mapped: IsMapped) -> Self {
        let ledger = Ledger::new(HookId::from(READER), reader);
        Self {
            tried: ledger.tried_before(),
            ledger,
            learner: Learner::new(Arc::clone(&shared)),
            sweep_at: Instant::now() + shared.sweep_every,
            shared,
            is_mapped,
            outlets: HashMap::new(),
            attempts: Attempts::default(),
            stopwatch: Stopwatch::start(),
            parked_bound: episode::of_a_receiver(),
        }
    }

    /// Sends until told to stop. Attempts in flight are finished first.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            self.take_in().await;
            self.sweep_in_time();
            self.start_attempts();
            self.show();
            if self.ledger.is_report_due() {
                self.report();
            }
            let wake_at = self.next_wake();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(((lrs, lane), attempted)) = self.attempts.next() => self.attempts_ended(lrs, lane, attempted),
                () = self.ledger.more(), if self.ledger.read_again_at().is_none() => {}
                () = tokio::time::sleep_until(wake_at) => {}
            }
            let now = self.stopwatch.now();
            self.outlets.values_mut().for_each(|outlet| outlet.lanes.wake(now));
        }
        while let Some(((lrs, lane), attempted)) = self.attempts.next().await {
            self.attempt_ended(&lrs, &lane, attempted);
        }
        self.report();
        debug!(unfinished = self.ledger.unfinished(), "No more statements are sent");
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
        let next_try_ms = due.map(|due| clock::unix_ms() + due.saturating_sub(self.stopwatch.now()));
        let (in_flight, oldest) = (self.attempts.len(), self.ledger.oldest());
        self.ledger.books().note(|calls| {
            calls.standing = standing;
            calls.in_flight = in_flight;
            calls.oldest = oldest;
            calls.next_try_ms = next_try_ms;
        });
    }

    /// When something is due that nobody will tell of.
    fn next_wake(&mut self) -> Instant {
        let due = self.outlets.values_mut().filter_map(Outlet::due).min();
        let due = due.map(|due| self.stopwatch.at(due));
        // What is due may have to wait for the oldest.
        let due = due.map(|due| if self.is_crowded() { due.max(Instant::now() + CROWDED_WAIT) } else { due });
        [due, self.ledger.report_due(), self.ledger.read_again_at()]
            .into_iter()
            .flatten()
            .fold(self.sweep_at, Instant::min)
    }

    /// Whether so much is finished out of order that nothing may be sent but the oldest.
    fn is_crowded(&self) -> bool {
        self.ledger.ranges() >= MOST_RANGES
    }

    /// Learns from what the journal has, and puts into lanes what statements are made of.
    async fn take_in(&mut self) {
        while let Some(taken) = self.ledger.take().await {
            let mut unsent = Vec::new();
            let needed_from = self.ledger.oldest().unwrap_or_default();
            for event in &taken.events {
                let said = self.learner.learn(event, needed_from).await;
                if self.ledger.was_finished(event.number) {
                    continue;
                }
                match said {
                    Said::To(lrs) => {
                        let lane = LaneRef::of(event, Ordering::Meeting);
                        self.outlet(lrs).lanes.push(lane, event.number);
                    }
                    Said::Nowhere => {
                        self.shared.without_lrs.fetch_add(1, Relaxed);
                        unsent.push(event.number);
                    }
                    Said::Nothing => unsent.push(event.number),
                }
            }
            if !unsent.is_empty() {
                self.ledger.finish(&unsent, End::Unsent, 0);
            }
            if self.ledger.is_past_start() {
                self.tried.clear();
            }
            if !taken.more {
                return;
            }
        }
    }

    fn outlet(&mut self, lrs: Arc<Lrs>) -> &mut Outlet {
        let new = |lrs: &Arc<Lrs>| Outlet::new(Arc::clone(lrs), self.shared.batch, self.tried.clone());
        self.outlets.entry(lrs).or_insert_with_key(new)
    }

    fn start_attempts(&mut self) {
        let (now, most) = (self.stopwatch.now(), self.shared.config.get().hooks.concurrency);
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
        let (journal, shared) = (self.ledger.journal().clone(), Arc::clone(&self.shared));
        let attempt = attempt(journal, shared, Arc::clone(&lrs), job.events);
        self.attempts.begin((lrs, job.lane), attempt);
    }

    /// Takes note of an attempt that ended, and of all others that did.
    fn attempts_ended(&mut self, lrs: Arc<Lrs>, lane: LaneKey, attempted: Attempted) {
        let mut next = Some(((lrs, lane), attempted));
        while let Some(((lrs, lane), attempted)) = next {
            self.attempt_ended(&lrs, &lane, attempted);
            next = self.attempts.next_now();
        }
    }

    fn attempt_ended(&mut self, lrs: &Arc<Lrs>, lane: &LaneKey, attempted: Attempted) {
        if let Some(answered) = &attempted.answered {
            let delivered = matches!(answered.answer, Answer::Status(200..=299));
            tally(self.ledger.books(), answered, delivered, &attempted.events);
        }
        let Some(outlet) = self.outlets.get_mut(lrs) else { return };
        outlet.in_flight -= 1;
        let (lost, several) = (attempted.lost, attempted.events.len() > 1);
        match attempted.answered {
            Some(Answered { answer: Answer::Status(200..=299), .. }) => {
                if outlet.works() {
                    info!(host = lrs.host(), "Statements to this Learning Record Store succeed again");
                }
                let events = outlet.lanes.delivered(lane);
                self.ledger.finish(&events, End::Delivered, lost);
            }
            // One of them is refused, or all are too much: which one it is shows when they come alone.
            Some(Answered { answer: Answer::Status(400 | 413), .. }) if several => {
                outlet.lanes.take_apart(lane);
            }
            Some(Answered { answer: answer @ Answer::Status(400), .. }) => {
                // It never will be taken, so there is no point in trying again.
                self.park(lrs, lane, answer, &attempted.events, lost);
            }
            Some(answered) => self.attempt_failed(lrs, lane, answered, &attempted.events, lost),
            None if lost > 0 => {
                let events = outlet.lanes.finished(lane);
                self.ledger.lose(&events);
            }
            None => outlet.lanes.retry_at(lane, self.stopwatch.after(REDIS_WAIT)),
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
        self.ledger.note_failure();
        let answer = answered.answer;
        let asked = answered.retry_after.unwrap_or_default();
        let probe = spread(self.shared.config.get().hooks.permanent_interval_reset, fastrand::f64()).max(asked);
        let probe_at = self.stopwatch.after(probe);
        let Some(outlet) = self.outlets.get_mut(lrs) else { return };
        let failures = outlet.lanes.failed(lane);
        debug!(host = lrs.host(), %answered, failures, "Statements were not taken");
        if let Some(again) = &mut outlet.suspended {
            *again = probe_at;
            outlet.lanes.retry_at(lane, probe_at);
        } else if let Some(wait) =
            wait_after(&self.shared.config.get().hooks.retry_intervals, failures, fastrand::f64())
        {
            if outlet.episodes.failed(self.stopwatch.elapsed()) {
                warn!(host = lrs.host(), %answered, "This Learning Record Store does not take statements; they will be sent again");
            }
            let due = self.stopwatch.after(wait.max(asked));
            outlet.lanes.retry_at(lane, due);
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
            match self.parked_bound.happens(self.stopwatch.elapsed()) {
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
        self.ledger.books().note(|calls| events.iter().for_each(|event| calls.parked(&event.mapped.id)));
        self.ledger.finish(&numbers, End::Parked, lost);
    }

    /// Tells the journal how far this is.
    fn report(&mut self) {
        let now = self.stopwatch.now();
        let tried = self.outlets.values().flat_map(|outlet| outlet.lanes.tried(now));
        self.ledger.report(tried, None);
    }

    /// Forgets meetings whose mapping expired and of which nothing waits any more, and outlets that nobody uses.
    fn sweep_in_time(&mut self) {
        if Instant::now() < self.sweep_at {
            return;
        }
        self.sweep_at = Instant::now() + self.shared.sweep_every;
        // What could not be read may be about a meeting that seems to be over.
        if self.ledger.read_again_at().is_some() {
            return;
        }
        let outlets = &self.outlets;
        let waits = |id: &InternalMeetingId| {
            let lane = LaneKey::Meeting(Some(id.clone()));
            outlets.values().any(|outlet| outlet.lanes.contains(&lane))
        };
        self.learner.forget(|id| !(self.is_mapped)(id) && !waits(id));
        self.outlets.retain(|_, outlet| !outlet.is_idle());
        self.ledger.journal().nudge();
    }
}
