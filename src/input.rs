//! Listens to what BigBlueButton publishes.
//!
//! The subscriber owns its connection and waits for nobody: Redis drops a subscriber that lags. What nobody maps is
//! thrown away after a look at its name; the rest goes into a queue that is bounded by bytes. When the connection is lost,
//! it is made and subscribed anew, for ever. What is published meanwhile is lost to everyone who listens to Redis; it is
//! said how long that was.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::StreamExt;
use redis::Client;
use redis::Msg;
use redis::RedisError;
use redis::Value;
use redis::aio::PubSubSink;
use redis::aio::PubSubStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::watch;
use tokio::task::unconstrained;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::books::intake::Intake;
use crate::connection;
use crate::connection::CONNECT_TIMEOUT;
use crate::event::RawMessage;
use crate::seldom::Seldom;

/// Most bytes of messages that wait to be mapped.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// How long Redis may take to confirm the subscription.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long it may take to confirm that the subscription ended.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(300);

/// A connection on which nothing came for so long is asked whether it lives.
const PING_EVERY: Duration = Duration::from_secs(5);

/// How long it may take to say so.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// The first wait before a new connection; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A session that lasted so long, or brought a message, was healthy: the next waits start short again.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// A message that waits to be mapped.
#[derive(Debug)]
struct Queued {
    message: RawMessage,
    received: Instant,
    /// What it takes of the queue's bound; given back when it is taken.
    _room: OwnedSemaphorePermit,
}

/// Messages on their way from the subscriber to whoever maps them.
#[derive(Debug)]
pub struct Queue {
    messages: UnboundedReceiver<Queued>,
    /// What is left of its bound.
    room: Arc<Semaphore>,
    skip_until: Option<Instant>,
    intake: Arc<Intake>,
}

impl Queue {
    /// What became of the messages.
    #[must_use]
    pub fn intake(&self) -> &Arc<Intake> {
        &self.intake
    }

    /// How many bytes of messages wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        QUEUE_BYTES - self.room.available_permits()
    }

    /// What was received up to then is left out.
    pub fn skip_until(&mut self, time: Option<Instant>) {
        self.skip_until = time;
    }

    /// The next message; `None` when the subscriber ended and all were taken.
    pub async fn next(&mut self) -> Option<RawMessage> {
        loop {
            let queued = self.messages.recv().await?;
            if self.counts(&queued) {
                return Some(queued.message);
            }
        }
    }

    /// The next message, if it is there already.
    pub fn next_now(&mut self) -> Option<RawMessage> {
        loop {
            let queued = self.messages.try_recv().ok()?;
            if self.counts(&queued) {
                return Some(queued.message);
            }
        }
    }

    fn counts(&self, queued: &Queued) -> bool {
        self.skip_until.is_none_or(|until| queued.received > until)
    }
}

/// The subscriber.
#[derive(Debug)]
pub struct Input {
    client: Client,
    channels: Vec<String>,
    patterns: Vec<String>,
    worth_queueing: Worth,
    queue: UnboundedSender<Queued>,
    room: Arc<Semaphore>,
    /// Messages dropped since the queue was last found with room.
    dropped: u64,
    tried: watch::Sender<bool>,
    intake: Arc<Intake>,
}

type Test = dyn Fn(&[u8]) -> bool + Send + Sync;

/// Which messages are worth queueing.
struct Worth(Box<Test>);

impl fmt::Debug for Worth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worth")
    }
}

/// How a session ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{0}")]
    Redis(#[from] RedisError),
    #[error("Redis did not answer in time")]
    Silent,
    #[error("Redis closed the connection")]
    Closed,
}

impl Input {
    /// A subscriber to `channels` (a name with `*`, `?` or `[` is a pattern) at `client`, and the queue that it fills with
    /// the messages that are `worth_queueing`. The last value becomes true when a subscription was first tried, whatever
    /// came of it.
    #[must_use]
    pub fn new(
        client: Client,
        channels: &[String],
        worth_queueing: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
    ) -> (Self, Queue, watch::Receiver<bool>) {
        let (queue, messages) = unbounded_channel();
        let (tried, first_try) = watch::channel(false);
        let (patterns, channels) = channels.iter().cloned().partition(|name| name.contains(['*', '?', '[']));
        let room = Arc::new(Semaphore::new(QUEUE_BYTES));
        let intake = Arc::<Intake>::default();
        let (counted, left) = (Arc::clone(&intake), Arc::clone(&room));
        (
            Self {
                client,
                channels,
                patterns,
                worth_queueing: Worth(Box::new(worth_queueing)),
                queue,
                room,
                dropped: 0,
                tried,
                intake: counted,
            },
            Queue { messages, room: left, skip_until: None, intake },
            first_try,
        )
    }

    /// Listens until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut wait = FIRST_WAIT;
        let mut lost_at: Option<Instant> = None;
        let mut seldom = Seldom::default();
        loop {
            let mut healthy = false;
            let Some(lost) = self.session(&mut lost_at, &mut healthy, &stop).await else { return };
            self.tried.send_replace(true);
            if healthy {
                wait = FIRST_WAIT;
                seldom.begins_anew();
            }
            lost_at.get_or_insert_with(Instant::now);
            if seldom.may_say() {
                let server = connection::display(&self.client);
                warn!(server, error = %lost, "Not subscribed to BigBlueButton's events; trying on");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait.mul_f64(0.8 + 0.4 * fastrand::f64())) => {}
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Connects, subscribes, and listens until the connection is lost. Gives none when told to stop.
    async fn session(
        &mut self,
        lost_at: &mut Option<Instant>,
        healthy: &mut bool,
        stop: &CancellationToken,
    ) -> Option<Lost> {
        let subscribed = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            subscribed = self.subscribe() => subscribed,
        };
        let (mut sink, mut stream) = match subscribed {
            Ok(halves) => halves,
            Err(lost) => return Some(lost),
        };
        let gap_ms = lost_at.take().map(|at| at.elapsed().as_millis());
        info!(channels = self.channels.len() + self.patterns.len(), gap_ms, "Subscribed to BigBlueButton's events");
        self.intake.set_subscribed(true);
        self.tried.send_replace(true);
        let started = Instant::now();
        let heard = watch::Sender::new(());
        let lost = tokio::select! {
            lost = keep_alive(&mut sink, heard.subscribe()) => lost,
            () = self.listen(&mut stream, &heard, healthy) => Lost::Closed,
            () = stop.cancelled() => {
                self.take_leave(sink, stream).await;
                return None;
            }
        };
        self.intake.set_subscribed(false);
        self.intake.lost.one_more();
        *healthy |= started.elapsed() >= HEALTHY_AFTER;
        Some(lost)
    }

    /// Ends the subscription, and takes all that was published before: Redis sends that before it confirms.
    async fn take_leave(&mut self, mut sink: PubSubSink, mut stream: PubSubStream) {
        let unsubscribing = async {
            if !self.channels.is_empty() {
                sink.unsubscribe(&self.channels).await?;
            }
            if !self.patterns.is_empty() {
                sink.punsubscribe(&self.patterns).await?;
            }
            Ok::<_, RedisError>(())
        };
        if !matches!(timeout(LEAVE_TIMEOUT, unsubscribing).await, Ok(Ok(()))) {
            debug!("The subscription was not ended in good order; what was published last may be missed");
        }
        self.take_waiting(&mut stream);
    }

    /// Takes all that has come already, however much: in our queue it is counted.
    fn take_waiting(&mut self, stream: &mut PubSubStream) {
        while let Some(Some(message)) = unconstrained(stream.next()).now_or_never() {
            self.take(&message);
        }
    }

    async fn subscribe(&self) -> Result<(PubSubSink, PubSubStream), Lost> {
        let connecting = timeout(CONNECT_TIMEOUT, self.client.get_async_pubsub());
        let (mut sink, stream) = connecting.await.map_err(|_| Lost::Silent)??.split();
        let subscribing = async {
            if !self.channels.is_empty() {
                sink.subscribe(&self.channels).await?;
            }
            if !self.patterns.is_empty() {
                sink.psubscribe(&self.patterns).await?;
            }
            Ok::<_, RedisError>(())
        };
        timeout(SUBSCRIBE_TIMEOUT, subscribing).await.map_err(|_| Lost::Silent)??;
        Ok((sink, stream))
    }

    async fn listen(&mut self, stream: &mut PubSubStream, heard: &watch::Sender<()>, healthy: &mut bool) {
        while let Some(message) = stream.next().await {
            heard.send_replace(());
            *healthy = true;
            self.take(&message);
            self.take_waiting(stream);
        }
    }

    /// Queues a message, if it is worth it and there is room.
    fn take(&mut self, message: &Msg) {
        // A channel that is named and matches a pattern too brings each message twice.
        if message.from_pattern() && self.channels.iter().any(|name| name == message.get_channel_name()) {
            return;
        }
        let payload = message.get_payload_bytes();
        self.intake.received.one_more();
        if !(self.worth_queueing.0)(payload) {
            self.intake.ignored.one_more();
            return;
        }
        let size = u32::try_from(payload.len().max(1)).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(size) else {
            if self.dropped == 0 {
                error!("Messages come faster than they can be mapped: the newest are dropped");
            }
            self.dropped += 1;
            self.intake.dropped.one_more();
            return;
        };
        if self.dropped > 0 && self.room.available_permits() > QUEUE_BYTES / 2 {
            warn!(dropped = self.dropped, "The queue of messages has room again");
            self.dropped = 0;
        }
        let message = RawMessage { bytes: Bytes::copy_from_slice(payload) };
        if self.queue.send(Queued { message, received: Instant::now(), _room: room }).is_err() {
            debug!("Nobody takes messages any more");
        }
    }
}

/// Returns when Redis is silent: nothing was heard for a while, and then it did not answer a PING.
///
/// Any answer will do. Under MISCONF Redis refuses PING even to a subscriber, and goes on sending messages.
async fn keep_alive(sink: &mut PubSubSink, mut heard: watch::Receiver<()>) -> Lost {
    loop {
        if timeout(PING_EVERY, heard.changed()).await.is_ok() {
            continue;
        }
        tokio::select! {
            _any_answer = sink.ping::<Value>() => {}
            _message = heard.changed() => {}
            () = tokio::time::sleep(PING_TIMEOUT) => return Lost::Silent,
        }
    }
}
