//! Delivers to one hook: takes its events from the journal, sends them lane by lane, tries again, parks, gives up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
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
use crate::config::OnExhausted;
use crate::delivery::attempts::Attempted;
use crate::delivery::attempts::Attempts;
use crate::delivery::episode;
use crate::delivery::episode::Episodes;
use crate::delivery::lanes::Job;
use crate::delivery::lanes::LaneKey;
use crate::delivery::lanes::LaneRef;
use crate::delivery::lanes::Lanes;
use crate::delivery::ledger::Ledger;
use crate::delivery::ledger::REDIS_WAIT;
use crate::delivery::retry::left_after;
use crate::delivery::retry::spread;
use crate::delivery::retry::wait_after;
use crate::delivery::sender::Answered;
use crate::delivery::stopwatch::Stopwatch;
use crate::delivery::tally::tally;
use crate::event::Event;
use crate::hook::Hook;
use crate::journal::Reader;
use crate::registry::GivenUp;
use crate::webhooks::Shared;
use crate::webhooks::attempt::Target;
use crate::webhooks::attempt::attempt;
use crate::webhooks::callback::next_timestamp;

/// A hook with so many unfinished events reads on at most so often. It has enough to do, and with a hundred such hooks it
/// matters whether each of them wakes for each event.
const FAR_BEHIND: usize = 1024;
const FAR_BEHIND_WAIT: Duration = Duration::from_millis(20);

/// Most ranges of events finished out of order; beyond it no lane starts anew until the oldest is done.
const MOST_RANGES: usize = 1000;

/// Whether a hook is to be called any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    GoOn,
    GiveUp(GivenUp),
}

/// The receiver is known to answer nothing but failures, and the hook is not to be removed for it.
struct Suspended {
    since_ms: u64,
    /// When to try the oldest event again, by the lanes' clock.
    probe_at: u64,
}

pub(super) struct Deliverer {
    hook: Arc<Hook>,
    target: Arc<Target>,
    ledger: Ledger,
    shared: Arc<Shared>,
    lanes: Lanes,
    attempts: Attempts<LaneKey>,
    suspended: Option<Suspended>,
    /// Told to try at once, although the receiver is known to fail.
    probe: Arc<Notify>,
    last_timestamp: u64,
    /// The lanes' clock.
    stopwatch: Stopwatch,
    /// Whether the last attempt failed: an episode is logged once.
    episodes: Episodes,
    /// Of those that failed most often of all since a callback was delivered: how often, and when no retry of it will be left
    /// (ms since 1970).
    exhausted: Option<(usize, u64)>,
    /// How often parked callbacks are spoken of.
    parked_bound: Bound,
    /// Events dropped since the queue was last within its bounds.
    overflowed: u64,
}

impl Deliverer {
    pub(super) fn new(hook: Arc<Hook>, reader: Reader, shared: Arc<Shared>, probe: Arc<Notify>) -> Self {
        let ledger = Ledger::new(hook.id.clone(), reader);
        let suspended = ledger.suspended_before();
        Self {
            lanes: Lanes::new(shared.config.get().hooks.multi_event, ledger.tried_before()),
            ledger,
            attempts: Attempts::default(),
            suspended: suspended.map(|since_ms| Suspended { since_ms, probe_at: 0 }),
            episodes: Episodes::new(suspended.is_some()),
            exhausted: None,
            parked_bound: episode::of_a_receiver(),
            target: Arc::new(Target::of(&hook, &shared.builder)),
            hook,
            shared,
            probe,
            last_timestamp: 0,
            stopwatch: Stopwatch::start(),
            overflowed: 0,
        }
    }

    /// Delivers until told to stop, or until the hook has to be given up. Attempts in flight are finished first.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let verdict = loop {
            self.take_in().await;
            self.start_attempts();
            self.show();
            if self.ledger.is_report_due() {
                self.report();
            }
            let wake_at = self.next_wake();
            tokio::select! {
                biased;
                () = stop.cancelled() => break Verdict::GoOn,
                Some((lane, attempted)) = self.attempts.next() => {
                    if let verdict @ Verdict::GiveUp(_) = self.attempts_ended(lane, attempted) {
                        break verdict;
                    }
                }
                () = self.ledger.more(), if self.ledger.read_again_at().is_none() => {}
                () = self.probe.notified() => self.probe_now(),
                () = tokio::time::sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => {}
            }
            self.lanes.wake(self.stopwatch.now());
        };
        if let Verdict::GiveUp(why) = verdict {
            self.shared.registry.give_up(&self.hook.id, why);
        }
        while let Some((lane, attempted)) = self.attempts.next().await {
            self.attempt_ended(&lane, attempted);
        }
        if self.shared.registry.interest(&self.hook.id).is_some() {
            self.report();
        } else {
            self.ledger.books().close();
        }
        debug!(hook.id = %self.hook.id, unfinished = self.ledger.unfinished(), "No more is delivered to this hook");
    }

    /// When something is due that nobody will tell of.
    fn next_wake(&mut self) -> Option<Instant> {
        let due = match &self.suspended {
            Some(suspended) => self.attempts.is_empty().then_some(suspended.probe_at),
            None => self.lanes.next_due(),
        };
        let due = due.filter(|_| self.ledger.unfinished() > 0).map(|due| self.stopwatch.at(due));
        [due, self.ledger.report_due(), self.ledger.read_again_at()].into_iter().flatten().min()
    }

    /// Puts into lanes what the journal has for this hook, and keeps within `queueSize`.
    async fn take_in(&mut self) {
        while let Some(taken) = self.ledger.take().await {
            let ordering = self.shared.config.get().hooks.ordering;
            for event in taken.events.iter().filter(|event| !self.ledger.was_finished(event.number)) {
                self.lanes.push(LaneRef::of(event, ordering), event.number);
            }
            self.drop_excess();
            if !taken.more {
                if self.ledger.unfinished() >= FAR_BEHIND {
                    self.ledger.read_again_in(FAR_BEHIND_WAIT);
                }
                return;
            }
        }
    }

    fn drop_excess(&mut self) {
        let most = self.shared.config.get().hooks.queue_size;
        let excess = self.ledger.unfinished().saturating_sub(most);
        let dropped = if excess > 0 { self.lanes.drop_oldest(excess) } else { Vec::new() };
        if !dropped.is_empty() {
            self.ledger.finish(&dropped, End::Overflowed, 0);
            if self.overflowed == 0 {
                warn!(
                    hook.id = %self.hook.id,
                    host = self.hook.host(),
                    "The hook's receiver is too far behind: the oldest events for it are dropped"
                );
            }
            self.overflowed += dropped.len() as u64;
        }
        if self.overflowed > 0 && self.ledger.unfinished() <= most / 2 {
            warn!(hook.id = %self.hook.id, dropped = self.overflowed, "The hook's queue is within its bounds again");
            self.overflowed = 0;
        }
    }

    fn start_attempts(&mut self) {
        if let Some(suspended) = &self.suspended {
            if self.attempts.is_empty()
                && suspended.probe_at <= self.stopwatch.now()
                && let Some(job) = self.lanes.probe()
            {
                self.start(job);
            }
            return;
        }
        while self.attempts.len() < self.shared.config.get().hooks.concurrency {
            let job = match self.ledger.ranges() < MOST_RANGES {
                true => self.lanes.next_job(),
                false => self.lanes.oldest_job(),
            };
            let Some(job) = job else { return };
            self.start(job);
        }
    }

    fn start(&mut self, job: Job) {
        let timestamp = job.timestamp.unwrap_or_else(|| {
            let timestamp = next_timestamp(clock::unix_ms(), self.last_timestamp);
            self.last_timestamp = timestamp;
            self.lanes.built(&job.lane, timestamp);
            timestamp
        });
        let (journal, shared, hook) = (self.ledger.journal().clone(), Arc::clone(&self.shared), Arc::clone(&self.hook));
        let attempt = attempt(journal, shared, hook, Arc::clone(&self.target), job.events, timestamp);
        self.attempts.begin(job.lane, attempt);
    }

    /// Takes note of an attempt that ended, and of all others that did.
    fn attempts_ended(&mut self, lane: LaneKey, attempted: Attempted) -> Verdict {
        let mut next = Some((lane, attempted));
        while let Some((lane, attempted)) = next {
            if let verdict @ Verdict::GiveUp(_) = self.attempt_ended(&lane, attempted) {
                return verdict;
            }
            next = self.attempts.next_now();
        }
        Verdict::GoOn
    }

    fn attempt_ended(&mut self, lane: &LaneKey, attempted: Attempted) -> Verdict {
        let lost = attempted.lost;
        if let Some(answered) = &attempted.answered {
            tally(self.ledger.books(), answered, answered.answer.is_delivered(), &attempted.events);
        }
        match attempted.answered {
            Some(answered) if answered.answer.is_delivered() => {
                let events = self.lanes.delivered(lane);
                self.ledger.finish(&events, End::Delivered, lost);
                self.receiver_works();
                Verdict::GoOn
            }
            Some(answered) => self.attempt_failed(lane, answered, &attempted.events, lost),
            None if lost > 0 => {
                let events = self.lanes.finished(lane);
                self.ledger.lose(&events);
                Verdict::GoOn
            }
            None => {
                let due = self.stopwatch.after(REDIS_WAIT);
                self.lanes.retry_at(lane, due);
                if let Some(suspended) = &mut self.suspended {
                    suspended.probe_at = due;
                }
                Verdict::GoOn
            }
        }
    }

    /// Lets others see how the hook stands.
    fn show(&mut self) {
        let standing = match (&self.suspended, self.episodes.is_failing()) {
            (Some(_), _) => Standing::Suspended,
            (None, true) => Standing::Failing,
            (None, false) => Standing::Well,
        };
        let due = self.suspended.as_ref().map_or_else(|| self.lanes.next_due(), |suspended| Some(suspended.probe_at));
        let due = due.filter(|_| self.ledger.unfinished() > 0);
        let next_try_ms = due.map(|due| clock::unix_ms() + due.saturating_sub(self.stopwatch.now()));
        let (in_flight, oldest) = (self.attempts.len(), self.ledger.oldest());
        let exhausted = self.exhausted.filter(|_| standing == Standing::Failing);
        let suspended_since = self.suspended.as_ref().map(|suspended| suspended.since_ms);
        self.ledger.books().note(|calls| {
            calls.standing = standing;
            let since_ms = || suspended_since.or(calls.failing_since_ms).unwrap_or_else(clock::unix_ms);
            calls.failing_since_ms = (standing != Standing::Well).then(since_ms);
            calls.removed_at_ms = exhausted.map(|(_, at)| at);
            calls.in_flight = in_flight;
            calls.oldest = oldest;
            calls.next_try_ms = next_try_ms;
        });
    }

    fn receiver_works(&mut self) {
        self.exhausted = None;
        if self.episodes.works() {
            info!(hook.id = %self.hook.id, host = self.hook.host(), "Callbacks to this hook succeed again");
        }
        if self.suspended.take().is_some() {
            self.lanes.begin_anew();
        }
    }

    fn attempt_failed(&mut self, lane: &LaneKey, answered: Answered, events: &[Arc<Event>], lost: usize) -> Verdict {
        let failures = self.lanes.failed(lane);
        self.ledger.note_failure();
        if self.suspended.is_some() {
            return self.probe_failed(lane, &answered);
        }
        let asked = answered.retry_after.unwrap_or_default();
        let wait = wait_after(&self.shared.config.get().hooks.retry_intervals, failures, fastrand::f64())
            .map(|wait| wait.max(asked));
        debug!(hook.id = %self.hook.id, answer = %answered, failures, ?wait, "A callback failed");
        if let Some(wait) = wait {
            if self.episodes.failed(self.stopwatch.elapsed()) {
                warn!(hook.id = %self.hook.id, host = self.hook.host(), answer = %answered, "Callbacks to this hook fail; they will be tried again");
            }
            let due = self.stopwatch.after(wait);
            self.lanes.retry_at(lane, due);
            self.foresee(lane, failures, wait);
            return Verdict::GoOn;
        }
        if self.lanes.others_delivered(lane) {
            self.park(lane, &answered, events, lost);
            return Verdict::GoOn;
        }
        if !self.is_permanent() && self.shared.config.get().hooks.on_exhausted == OnExhausted::Remove {
            warn!(hook.id = %self.hook.id, host = self.hook.host(), answer = %answered, failures, "The hook is removed: no retry helped");
            return Verdict::GiveUp(GivenUp::Exhausted);
        }
        warn!(hook.id = %self.hook.id, host = self.hook.host(), answer = %answered, failures, "The hook is suspended: no retry helped; its receiver is tried from time to time");
        self.suspended = Some(Suspended { since_ms: clock::unix_ms(), probe_at: 0 });
        self.probe_failed(lane, &answered)
    }

    /// Takes note of when the hook is going to be removed if its receiver goes on to fail, as it did `failures` times with the
    /// callback that is tried again after `wait`. The callback that failed most often is the first without a retry.
    fn foresee(&mut self, lane: &LaneKey, failures: usize, wait: Duration) {
        let settings = &self.shared.config.get().hooks;
        if settings.on_exhausted != OnExhausted::Remove {
            self.exhausted = None;
        } else if !self.lanes.others_delivered(lane) && self.exhausted.is_none_or(|(most, _)| most < failures) {
            let left = wait + left_after(&settings.retry_intervals, failures);
            let at = clock::unix_ms().saturating_add(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
            self.exhausted = Some((failures, at));
        }
    }

    /// The receiver works and refuses this one: it is put aside, and the lane goes on.
    fn park(&mut self, lane: &LaneKey, answered: &Answered, events: &[Arc<Event>], lost: usize) {
        let numbers = self.lanes.finished(lane);
        if self.shared.registry.interest(&self.hook.id).is_none() {
            // Destroyed while this was in flight.
            self.ledger.finish(&numbers, End::HookGone, 0);
            return;
        }
        match self.parked_bound.happens(self.stopwatch.elapsed()) {
            May::Say => {
                let unsaid = Some(self.parked_bound.take_unsaid()).filter(|unsaid| *unsaid > 0);
                warn!(hook.id = %self.hook.id, host = self.hook.host(), answer = %answered, events = events.len(), unsaid, "The receiver works but refuses this callback; it is parked");
            }
            May::CountFirst | May::Count => {
                debug!(hook.id = %self.hook.id, answer = %answered, "Another one is parked")
            }
        }
        let reason = answered.to_string();
        for event in events {
            self.shared.registry.park(&self.hook.id, event, &reason, clock::unix_ms());
        }
        self.ledger.books().note(|calls| events.iter().for_each(|event| calls.parked(&event.mapped.id)));
        self.ledger.finish(&numbers, End::Parked, lost);
    }

    fn probe_failed(&mut self, lane: &LaneKey, answered: &Answered) -> Verdict {
        let config = self.shared.config.get();
        let settings = &config.hooks;
        let wait = spread(settings.permanent_interval_reset, fastrand::f64());
        let probe_at = self.stopwatch.after(wait.max(answered.retry_after.unwrap_or_default()));
        self.lanes.retry_at(lane, probe_at);
        let Some(suspended) = &mut self.suspended else { return Verdict::GoOn };
        suspended.probe_at = probe_at;
        let lasted = Duration::from_millis(clock::unix_ms().saturating_sub(suspended.since_ms));
        if !self.is_permanent() && lasted > settings.suspend_for {
            warn!(hook.id = %self.hook.id, host = self.hook.host(), answer = %answered, "The hook is removed: its receiver did nothing but fail while suspended");
            return Verdict::GiveUp(GivenUp::Suspended);
        }
        Verdict::GoOn
    }

    /// Whether the configuration names it: that may change while it is called.
    fn is_permanent(&self) -> bool {
        self.shared.registry.is_permanent(&self.hook.id)
    }

    fn probe_now(&mut self) {
        if let Some(suspended) = &mut self.suspended {
            suspended.probe_at = 0;
        }
    }

    /// Tells the journal how far this hook is.
    fn report(&mut self) {
        let suspended_since = self.suspended.as_ref().map(|suspended| suspended.since_ms);
        self.ledger.report(self.lanes.tried(self.stopwatch.now()), suspended_since);
    }
}
