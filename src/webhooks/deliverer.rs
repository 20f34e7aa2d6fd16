//! Delivers to one hook: takes its events from the journal, sends them lane by lane, tries again, gives up.

use std::collections::HashMap;
use std::sync::Arc;
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

use crate::clock;
use crate::config::Hooks;
use crate::hook::Hook;
use crate::journal::Reader;
use crate::registry::Registry;
use crate::webhooks::callback::CallbackBuilder;
use crate::webhooks::callback::next_timestamp;
use crate::webhooks::lanes::Job;
use crate::webhooks::lanes::LaneKey;
use crate::webhooks::lanes::Lanes;
use crate::webhooks::retry::Answer;
use crate::webhooks::retry::Schedule;
use crate::webhooks::sender::Sender;

/// Most events taken from the journal at once.
const READ_AT_ONCE: usize = 1024;

/// How often the journal is told how far a busy deliverer is.
const REPORT_EVERY: Duration = Duration::from_millis(50);

/// What all deliverers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Hooks,
    pub(super) builder: CallbackBuilder,
    pub(super) sender: Sender,
    pub(super) registry: Registry,
}

/// Whether a hook is to be called any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    GoOn,
    GiveUp,
}

pub(super) struct Deliverer {
    hook: Arc<Hook>,
    reader: Reader,
    shared: Arc<Shared>,
    schedule: Schedule,
    lanes: Lanes,
    in_flight: JoinSet<Answer>,
    lane_of_task: HashMap<Id, LaneKey>,
    last_timestamp: u64,
    /// Time zero of the lanes' clock.
    started: Instant,
    reported: Instant,
    /// Whether the last attempt failed: an episode is logged once.
    failing: bool,
    /// Events dropped since the queue was last within its bounds.
    overflowed: u64,
}

impl Deliverer {
    pub(super) fn new(hook: Arc<Hook>, reader: Reader, shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        Self {
            schedule: Schedule::new(&shared.settings, hook.permanent),
            lanes: Lanes::new(shared.settings.multi_event),
            hook,
            reader,
            shared,
            in_flight: JoinSet::new(),
            lane_of_task: HashMap::new(),
            last_timestamp: 0,
            started: now,
            reported: now,
            failing: false,
            overflowed: 0,
        }
    }

    /// Delivers until told to stop, or until the hook has to be given up. Attempts in flight are finished first.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let verdict = loop {
            self.take_in();
            self.start_attempts();
            self.report_progress();
            let due = self.lanes.next_due().map(|due| self.started + Duration::from_millis(due));
            tokio::select! {
                biased;
                () = stop.cancelled() => break Verdict::GoOn,
                Some(ended) = self.in_flight.join_next_with_id() => {
                    if self.attempts_ended(ended) == Verdict::GiveUp {
                        break Verdict::GiveUp;
                    }
                }
                () = self.reader.more() => {}
                () = tokio::time::sleep_until(due.unwrap_or(self.started)), if due.is_some() => {
                    self.lanes.wake(self.now());
                }
            }
        };
        if verdict == Verdict::GiveUp {
            self.shared.registry.give_up(&self.hook.id);
        }
        while let Some(ended) = self.in_flight.join_next_with_id().await {
            self.attempt_ended(ended);
        }
        let left = self.lanes.unfinished();
        if left > 0 {
            info!(hook.id = %self.hook.id, left, "Delivering to this hook ends with events that were not delivered");
        }
    }

    /// The lanes' clock: ms since this deliverer started.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Puts into lanes what the journal has for this hook, and keeps within `queueSize`.
    fn take_in(&mut self) {
        loop {
            let events = self.reader.read(READ_AT_ONCE);
            for event in &events {
                self.lanes.push(LaneKey::of(event, self.shared.settings.ordering), event.number);
            }
            self.drop_excess();
            if events.len() < READ_AT_ONCE {
                return;
            }
        }
    }

    fn drop_excess(&mut self) {
        let most = self.shared.settings.queue_size;
        while self.lanes.unfinished() > most && self.lanes.drop_oldest().is_some() {
            self.overflow();
        }
        if self.overflowed > 0 && self.lanes.unfinished() <= most / 2 {
            warn!(hook.id = %self.hook.id, dropped = self.overflowed, "The hook's queue is within its bounds again");
            self.overflowed = 0;
        }
    }

    fn overflow(&mut self) {
        if self.overflowed == 0 {
            warn!(
                hook.id = %self.hook.id,
                host = host(&self.hook),
                "The hook's receiver is too far behind: the oldest events for it are dropped"
            );
        }
        self.overflowed += 1;
    }

    fn start_attempts(&mut self) {
        while self.in_flight.len() < self.shared.settings.concurrency {
            let Some(job) = self.lanes.next_job() else { return };
            self.start(job);
        }
    }

    fn start(&mut self, job: Job) {
        let events: Vec<_> = job.events.iter().filter_map(|number| self.reader.event(*number)).collect();
        for _ in events.len()..job.events.len() {
            self.overflow();
        }
        let json: Vec<_> = events.iter().filter_map(|event| event.json(self.hook.raw)).collect();
        if json.is_empty() {
            self.lanes.finished(&job.lane);
            return;
        }
        let timestamp = job.timestamp.unwrap_or_else(|| {
            let timestamp = next_timestamp(clock::unix_ms(), self.last_timestamp);
            self.last_timestamp = timestamp;
            self.lanes.built(&job.lane, timestamp);
            timestamp
        });
        let callback = self.shared.builder.build(&self.hook.callback_url, &json, timestamp);
        let sender = self.shared.sender.clone();
        let task = self.in_flight.spawn(async move { sender.send(callback).await });
        self.lane_of_task.insert(task.id(), job.lane);
    }

    /// Takes note of an attempt that ended, and of all others that did.
    fn attempts_ended(&mut self, first: Result<(Id, Answer), JoinError>) -> Verdict {
        let mut next = Some(first);
        while let Some(ended) = next {
            if self.attempt_ended(ended) == Verdict::GiveUp {
                return Verdict::GiveUp;
            }
            next = self.in_flight.try_join_next_with_id();
        }
        Verdict::GoOn
    }

    fn attempt_ended(&mut self, ended: Result<(Id, Answer), JoinError>) -> Verdict {
        let (task, answer) = ended.unwrap_or_else(|error| {
            error!(hook.id = %self.hook.id, %error, "A delivery came to an end that it should not have");
            (error.id(), Answer::Unsent)
        });
        let lane = self.lane_of_task.remove(&task).expect("every attempt was started for a lane");
        if answer.is_delivered() {
            self.lanes.finished(&lane);
            if std::mem::replace(&mut self.failing, false) {
                info!(hook.id = %self.hook.id, host = host(&self.hook), "Callbacks to this hook succeed again");
            }
            return Verdict::GoOn;
        }
        let failures = self.lanes.failed(&lane);
        let wait = self.schedule.wait_after(failures, fastrand::f64());
        debug!(hook.id = %self.hook.id, %answer, failures, ?wait, "A callback failed");
        let Some(wait) = wait else {
            warn!(hook.id = %self.hook.id, host = host(&self.hook), %answer, failures, "The hook is removed: no retry helped");
            return Verdict::GiveUp;
        };
        if !std::mem::replace(&mut self.failing, true) {
            warn!(hook.id = %self.hook.id, host = host(&self.hook), %answer, "Callbacks to this hook fail; they will be tried again");
        }
        let due = self.now() + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.lanes.retry_at(lane, due);
        Verdict::GoOn
    }

    fn report_progress(&mut self) {
        if self.lanes.unfinished() == 0 || self.reported.elapsed() >= REPORT_EVERY {
            self.reported = Instant::now();
            self.reader.done_up_to(self.lanes.watermark(self.reader.position()));
        }
    }
}

/// The host that a hook's callbacks go to: all of its URL that a log may show.
fn host(hook: &Hook) -> String {
    let url = url::Url::parse(&hook.callback_url).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}
