//! Delivers to one hook: takes its events from the journal, sends them lane by lane, tries again, parks, gives up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
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
use crate::config::Current;
use crate::config::OnExhausted;
use crate::delivery::episode;
use crate::delivery::episode::Episodes;
use crate::delivery::lanes::Job;
use crate::delivery::lanes::LaneKey;
use crate::delivery::lanes::LaneRef;
use crate::delivery::lanes::Lanes;
use crate::delivery::retry::left_after;
use crate::delivery::retry::spread;
use crate::delivery::retry::wait_after;
use crate::delivery::sender::ATTEMPT_BYTES;
use crate::delivery::sender::Answered;
use crate::delivery::sender::Post;
use crate::delivery::tally::tally;
use crate::event::Event;
use crate::hook::Hook;
use crate::journal::Journal;
use crate::journal::Reader;
use crate::journal::cursor::Cursor;
use crate::journal::cursor::Progress;
use crate::journal::cursor::Tried;
use crate::registry::GivenUp;
use crate::registry::Registry;
use crate::webhooks::address::Address;
use crate::webhooks::callback;
use crate::webhooks::callback::CallbackBuilder;
use crate::webhooks::callback::next_timestamp;
use crate::webhooks::senders::Senders;
use crate::webhooks::standard::HookKey;

/// Most events taken from the journal at once.
const READ_AT_ONCE: usize = 1024;

/// A hook with so many unfinished events reads on at most so often. It has enough to do, and with a hundred such hooks it
/// matters whether each of them wakes for each event.
const FAR_BEHIND: usize = 1024;
const FAR_BEHIND_WAIT: Duration = Duration::from_millis(20);

/// How soon the journal is told of what was finished, and of what failed: a hook whose receiver is dead has long lists of
/// that, and little is lost if the last second of it is not known after a crash.
const REPORT_AFTER: Duration = Duration::from_millis(10);
const REPORT_TRIES_AFTER: Duration = Duration::from_secs(1);

/// How often events that are lost are said to be.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Most ranges of events finished out of order; beyond it no lane starts anew until the oldest is done.
const MOST_RANGES: usize = 1000;

/// The wait before Redis is asked again for events that only it has.
const REDIS_WAIT: Duration = Duration::from_secs(1);

/// What all deliverers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Current,
    pub(super) builder: CallbackBuilder,
    pub(super) senders: Senders,
    pub(super) registry: Registry,
}

/// Whether a hook is to be called any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    GoOn,
    GiveUp(GivenUp),
}

/// What all callbacks of a hook have in common.
struct Target {
    /// Where they go; none if the hook's callback URL is no URL.
    address: Option<Address>,
    /// What signs them.
    key: HookKey,
}

impl Target {
    fn of(hook: &Hook, builder: &CallbackBuilder) -> Self {
        Self { address: Address::new(&hook.callback_url), key: builder.key_of(hook.id.as_str()) }
    }
}

/// What an attempt came to.
struct Attempted {
    /// How it ended; none if there was nothing to send, or it could not be read.
    answered: Option<Answered>,
    /// How many of its events neither memory nor Redis has any more.
    lost: usize,
    /// The events, where they may be needed again: to be parked.
    events: Vec<Arc<Event>>,
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
    reader: Reader,
    books: Arc<Books>,
    shared: Arc<Shared>,
    lanes: Lanes,
    progress: Progress,
    /// Events finished before a restart, above the watermark from which it goes on.
    start: Cursor,
    in_flight: JoinSet<Attempted>,
    lane_of_task: HashMap<Id, LaneKey>,
    suspended: Option<Suspended>,
    /// Told to try at once, although the receiver is known to fail.
    probe: Arc<Notify>,
    last_timestamp: u64,
    /// Time zero of the lanes' clock.
    started: Instant,
    /// Since when there is something finished to report.
    unreported_since: Option<Instant>,
    /// Since when there are failures to report.
    tries_unreported_since: Option<Instant>,
    /// When to read on, where that is not at once: the journal could not be read, or there is enough to do.
    read_again_at: Option<Instant>,
    /// Whether the last attempt failed: an episode is logged once.
    episodes: Episodes,
    /// Of those that failed most often of all since a callback was delivered: how often, and when no retry of it will be left
    /// (ms since 1970).
    exhausted: Option<(usize, u64)>,
    /// How often parked callbacks are spoken of.
    parked_bound: Bound,
    /// Events dropped since the queue was last within its bounds.
    overflowed: u64,
    /// Events lost of which nothing was said, and when something was.
    lost_unsaid: u64,
    lost_said_at: Option<Instant>,
}

impl Deliverer {
    pub(super) fn new(hook: Arc<Hook>, reader: Reader, shared: Arc<Shared>, probe: Arc<Notify>) -> Self {
        let start = reader.start().clone();
        let now_ms = clock::unix_ms();
        // The lanes' clock begins now.
        let on_our_clock = |tried: &Tried| Tried { due_ms: tried.left(now_ms), ..tried.clone() };
        let tried = start.trying.iter().map(on_our_clock).collect();
        Self {
            lanes: Lanes::new(shared.config.get().hooks.multi_event, tried),
            progress: Progress::default(),
            suspended: start.suspended_since_ms.map(|since_ms| Suspended { since_ms, probe_at: 0 }),
            episodes: Episodes::new(start.suspended_since_ms.is_some()),
            exhausted: None,
            parked_bound: episode::of_a_receiver(),
            start,
            books: Arc::clone(reader.books()),
            target: Arc::new(Target::of(&hook, &shared.builder)),
            hook,
            reader,
            shared,
            in_flight: JoinSet::new(),
            lane_of_task: HashMap::new(),
            probe,
            last_timestamp: 0,
            started: Instant::now(),
            unreported_since: None,
            tries_unreported_since: None,
            read_again_at: None,
            overflowed: 0,
            lost_unsaid: 0,
            lost_said_at: None,
        }
    }

    /// Delivers until told to stop, or until the hook has to be given up. Attempts in flight are finished first.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let verdict = loop {
            self.take_in().await;
            self.start_attempts();
            self.show();
            self.report_in_time();
            let wake_at = self.next_wake();
            tokio::select! {
                biased;
                () = stop.cancelled() => break Verdict::GoOn,
                Some(ended) = self.in_flight.join_next_with_id() => {
                    if let verdict @ Verdict::GiveUp(_) = self.attempts_ended(ended) {
                        break verdict;
                    }
                }
                () = self.reader.more(), if self.read_again_at.is_none() => {}
                () = self.probe.notified() => self.probe_now(),
                () = tokio::time::sleep_until(wake_at.unwrap_or(self.started)), if wake_at.is_some() => {}
            }
            self.lanes.wake(self.now());
        };
        if let Verdict::GiveUp(why) = verdict {
            self.shared.registry.give_up(&self.hook.id, why);
        }
        while let Some(ended) = self.in_flight.join_next_with_id().await {
            self.attempt_ended(ended);
        }
        if self.shared.registry.interest(&self.hook.id).is_some() {
            self.report();
        } else {
            self.books.close();
        }
        debug!(hook.id = %self.hook.id, unfinished = self.progress.unfinished(), "No more is delivered to this hook");
    }

    /// The lanes' clock: ms since this deliverer started.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn at(&self, lanes_time: u64) -> Instant {
        self.started + Duration::from_millis(lanes_time)
    }

    /// When something is due that nobody will tell of.
    fn next_wake(&mut self) -> Option<Instant> {
        let due = match &self.suspended {
            Some(suspended) => self.in_flight.is_empty().then_some(suspended.probe_at),
            None => self.lanes.next_due(),
        };
        let due = due.filter(|_| self.progress.unfinished() > 0).map(|due| self.at(due));
        [due, self.report_due(), self.read_again_at].into_iter().flatten().min()
    }

    /// Puts into lanes what the journal has for this hook, and keeps within `queueSize`.
    async fn take_in(&mut self) {
        if self.read_again_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.read_again_at = None;
        loop {
            let found = match self.reader.read(READ_AT_ONCE).await {
                Ok(found) => found,
                Err(error) => {
                    debug!(hook.id = %self.hook.id, %error, "The journal cannot be read; trying again");
                    self.read_again_at = Some(Instant::now() + REDIS_WAIT);
                    return;
                }
            };
            if found.lost > 0 {
                let end = self.reader.journal().end_of_lost(self.reader.position());
                self.books.never_found(end, found.lost);
                self.say_lost(found.lost, end);
            }
            let ordering = self.shared.config.get().hooks.ordering;
            let mut taken = 0;
            for event in &found.events {
                if self.start.is_done(event.number) {
                    self.progress.skip(event.number);
                } else {
                    self.lanes.push(LaneRef::of(event, ordering), event.number);
                    self.progress.take(event.number);
                    taken += 1;
                }
            }
            self.books.taken(taken);
            self.drop_excess();
            if !found.more {
                if self.progress.unfinished() >= FAR_BEHIND {
                    self.read_again_at = Some(Instant::now() + FAR_BEHIND_WAIT);
                }
                return;
            }
        }
    }

    fn drop_excess(&mut self) {
        let most = self.shared.config.get().hooks.queue_size;
        let excess = self.progress.unfinished().saturating_sub(most);
        let dropped = if excess > 0 { self.lanes.drop_oldest(excess) } else { Vec::new() };
        if !dropped.is_empty() {
            self.finish(&dropped);
            self.books.finished(End::Overflowed, dropped.len());
            if self.overflowed == 0 {
                warn!(
                    hook.id = %self.hook.id,
                    host = self.hook.host(),
                    "The hook's receiver is too far behind: the oldest events for it are dropped"
                );
            }
            self.overflowed += dropped.len() as u64;
        }
        if self.overflowed > 0 && self.progress.unfinished() <= most / 2 {
            warn!(hook.id = %self.hook.id, dropped = self.overflowed, "The hook's queue is within its bounds again");
            self.overflowed = 0;
        }
    }

    fn finish(&mut self, events: &[u64]) {
        self.progress.finish(events);
        self.unreported_since.get_or_insert_with(Instant::now);
    }

    fn start_attempts(&mut self) {
        if let Some(suspended) = &self.suspended {
            if self.in_flight.is_empty()
                && suspended.probe_at <= self.now()
                && let Some(job) = self.lanes.probe()
            {
                self.start(job);
            }
            return;
        }
        while self.in_flight.len() < self.shared.config.get().hooks.concurrency {
            let job = match self.progress.ranges() < MOST_RANGES {
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
        let (journal, shared, hook) = (self.reader.journal().clone(), Arc::clone(&self.shared), Arc::clone(&self.hook));
        let attempt = attempt(journal, shared, hook, Arc::clone(&self.target), job.events, timestamp);
        let task = self.in_flight.spawn(attempt);
        self.lane_of_task.insert(task.id(), job.lane);
    }

    /// Takes note of an attempt that ended, and of all others that did.
    fn attempts_ended(&mut self, first: Result<(Id, Attempted), JoinError>) -> Verdict {
        let mut next = Some(first);
        while let Some(ended) = next {
            if let verdict @ Verdict::GiveUp(_) = self.attempt_ended(ended) {
                return verdict;
            }
            next = self.in_flight.try_join_next_with_id();
        }
        Verdict::GoOn
    }

    fn attempt_ended(&mut self, ended: Result<(Id, Attempted), JoinError>) -> Verdict {
        let (task, attempted) = ended.unwrap_or_else(|error| {
            error!(hook.id = %self.hook.id, %error, "A delivery came to an end that it should not have");
            (error.id(), Attempted { answered: Some(Answered::UNSENT), lost: 0, events: Vec::new() })
        });
        let lane = self.lane_of_task.remove(&task).expect("every attempt was started for a lane");
        let lost = attempted.lost;
        if let Some(answered) = &attempted.answered {
            tally(&self.books, answered, answered.answer.is_delivered(), &attempted.events);
        }
        match attempted.answered {
            Some(answered) if answered.answer.is_delivered() => {
                let events = self.lanes.delivered(&lane);
                self.finish(&events);
                self.books.finished(End::Delivered, events.len() - lost);
                self.count_lost(&events, lost);
                self.receiver_works();
                Verdict::GoOn
            }
            Some(answered) => self.attempt_failed(&lane, answered, &attempted.events, lost),
            None if lost > 0 => {
                let events = self.lanes.finished(&lane);
                self.finish(&events);
                self.count_lost(&events, events.len());
                Verdict::GoOn
            }
            None => {
                let due = self.after(REDIS_WAIT);
                self.lanes.retry_at(&lane, due);
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
        let due = due.filter(|_| self.progress.unfinished() > 0);
        let next_try_ms = due.map(|due| clock::unix_ms() + due.saturating_sub(self.now()));
        let (in_flight, oldest) = (self.in_flight.len(), self.progress.oldest());
        let exhausted = self.exhausted.filter(|_| standing == Standing::Failing);
        let suspended_since = self.suspended.as_ref().map(|suspended| suspended.since_ms);
        self.books.note(|calls| {
            calls.standing = standing;
            let since_ms = || suspended_since.or(calls.failing_since_ms).unwrap_or_else(clock::unix_ms);
            calls.failing_since_ms = (standing != Standing::Well).then(since_ms);
            calls.removed_at_ms = exhausted.map(|(_, at)| at);
            calls.in_flight = in_flight;
            calls.oldest = oldest;
            calls.next_try_ms = next_try_ms;
        });
    }

    /// Accounts for events that were taken and of which so many can no longer be found.
    fn count_lost(&mut self, events: &[u64], lost: usize) {
        if let Some(first) = events.first().filter(|_| lost > 0) {
            let end = self.reader.journal().end_of_lost(*first);
            self.books.finished(end, lost);
            self.say_lost(lost as u64, end);
        }
    }

    /// Says that events are lost, but not for each.
    fn say_lost(&mut self, events: u64, reason: End) {
        self.lost_unsaid += events;
        if self.lost_said_at.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            let events = std::mem::take(&mut self.lost_unsaid);
            const DROPPED: &str = "Events for this hook are dropped: neither memory nor Redis has them any more";
            match reason {
                // There were too many: it is the hook that is behind.
                End::Overflowed => warn!(hook.id = %self.hook.id, events, ?reason, "{DROPPED}"),
                _ => error!(hook.id = %self.hook.id, events, ?reason, "{DROPPED}"),
            }
            self.lost_said_at = Some(Instant::now());
        }
    }

    /// A time of the lanes' clock, from now.
    fn after(&self, wait: Duration) -> u64 {
        self.now() + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
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
        self.tries_unreported_since.get_or_insert_with(Instant::now);
        if self.suspended.is_some() {
            return self.probe_failed(lane, &answered);
        }
        let asked = answered.retry_after.unwrap_or_default();
        let wait = wait_after(&self.shared.config.get().hooks.retry_intervals, failures, fastrand::f64())
            .map(|wait| wait.max(asked));
        debug!(hook.id = %self.hook.id, answer = %answered, failures, ?wait, "A callback failed");
        if let Some(wait) = wait {
            if self.episodes.failed(self.started.elapsed()) {
                warn!(hook.id = %self.hook.id, host = self.hook.host(), answer = %answered, "Callbacks to this hook fail; they will be tried again");
            }
            let due = self.after(wait);
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
            self.books.finished(End::HookGone, numbers.len());
            self.finish(&numbers);
            return;
        }
        match self.parked_bound.happens(self.started.elapsed()) {
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
        self.books.finished(End::Parked, numbers.len() - lost);
        self.books.note(|calls| events.iter().for_each(|event| calls.parked(&event.mapped.id)));
        self.count_lost(&numbers, lost);
        self.finish(&numbers);
    }

    fn probe_failed(&mut self, lane: &LaneKey, answered: &Answered) -> Verdict {
        let config = self.shared.config.get();
        let settings = &config.hooks;
        let wait = spread(settings.permanent_interval_reset, fastrand::f64());
        let probe_at = self.after(wait.max(answered.retry_after.unwrap_or_default()));
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

    /// When the journal is to be told how far this hook is.
    fn report_due(&self) -> Option<Instant> {
        let finished = self.unreported_since.map(|since| since + REPORT_AFTER);
        let tried = self.tries_unreported_since.map(|since| since + REPORT_TRIES_AFTER);
        [finished, tried].into_iter().flatten().min()
    }

    fn report_in_time(&mut self) {
        if self.report_due().is_some_and(|due| due <= Instant::now()) {
            self.report();
        }
    }

    /// Tells the journal how far this hook is.
    fn report(&mut self) {
        self.unreported_since = None;
        self.tries_unreported_since = None;
        let now_ms = clock::unix_ms();
        let on_the_wall = |tried: Tried| Tried { due_ms: now_ms.saturating_add(tried.wait_ms), ..tried };
        let position = self.reader.position();
        let tried = self.lanes.tried(self.now()).into_iter().map(on_the_wall);
        let mut cursor = Cursor {
            watermark: self.progress.watermark(position),
            done: self.progress.done(),
            trying: tried.collect(),
            suspended_since_ms: self.suspended.as_ref().map(|suspended| suspended.since_ms),
        };
        // What was finished or tried before a restart, further on than this reader has come again, still holds.
        cursor.keep_after(position, &self.start);
        self.reader.report(cursor);
    }
}

/// Makes one attempt to deliver events: finds them, builds the callback, sends it.
async fn attempt(
    journal: Journal,
    shared: Arc<Shared>,
    hook: Arc<Hook>,
    target: Arc<Target>,
    numbers: Vec<u64>,
    timestamp: u64,
) -> Attempted {
    let events = match journal.fetch(&numbers).await {
        Ok(events) => events,
        Err(error) => {
            debug!(hook.id = %hook.id, %error, "Events that only Redis has cannot be read; trying again");
            return Attempted { answered: None, lost: 0, events: Vec::new() };
        }
    };
    let json: Vec<_> = events.iter().filter_map(|event| event.json(hook.raw)).collect();
    let lost = numbers.len() - json.len();
    if json.is_empty() {
        return Attempted { answered: None, lost, events };
    }
    let (Some(address), Some(first), Some(last)) = (&target.address, numbers.first(), numbers.last()) else {
        return Attempted { answered: Some(Answered::UNSENT), lost, events };
    };
    let callback = shared.builder.build(address, &json, timestamp);
    let _room = journal.take_room(ATTEMPT_BYTES + callback.body.len());
    // The attempt's time, where the callback's is that of the first: a receiver refuses what was signed minutes ago.
    let signature = target.key.sign((*first, *last), clock::unix_ms(), &callback.body);
    let post = Post {
        url: &callback.url,
        content_type: callback::CONTENT_TYPE,
        headers: &signature.headers(),
        body: callback.body.into(),
        authorization: callback.authorization.as_ref(),
    };
    let answered = match shared.senders.to(&hook.callback_url, &shared.config.get().hooks) {
        Ok(sender) => sender.send(post).await,
        Err(answered) => answered,
    };
    Attempted { answered: Some(answered), lost, events }
}
