//! A load: marked events of many meetings, published at a pace, and the hooks that want some of them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::Client;
use redis::aio::MultiplexedConnection;
use redis::cmd;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::audience::Audience;
use super::daemon::Daemon;
use super::messages::Meeting;
use super::messages::Message;
use super::redis::Redis;
use super::wait::PATIENCE;
use super::wait::until;

/// What stands before the number of a marked event, in its text.
pub(crate) const MARK: &str = "mark-";

/// How many meetings the events are of.
pub(crate) const MEETINGS: usize = 20;

/// Where the daemon keeps their ids.
const MEETING_MAPPINGS: &str = "bigbluebutton:webhooks:proc:mappings";

/// How often the publisher looks how much is due.
const TICK: Duration = Duration::from_millis(2);

fn meeting(number: usize) -> Meeting {
    Meeting::new(&format!("meeting-{number}"))
}

/// The meeting that a marked event is of.
pub(crate) fn meeting_of(mark: usize) -> usize {
    mark % MEETINGS
}

fn is_chat(mark: usize) -> bool {
    (mark / MEETINGS).is_multiple_of(2)
}

/// The message of a marked event: those of a meeting are chat and cameras in turn.
fn message(mark: usize) -> Message {
    let (meeting, text) = (meeting(meeting_of(mark)), format!("{MARK}{mark}"));
    if is_chat(mark) { meeting.chat("ada", &text) } else { meeting.camera_stream("ada", &text) }
}

/// What a hook of the crowd wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Everything.
    All,
    /// Chat, of all meetings.
    Chat,
    /// Cameras, of all meetings.
    Cameras,
    /// Everything of one meeting.
    Meeting(usize),
}

impl Wish {
    /// Whether a marked event is wanted.
    pub(crate) fn wants(self, mark: usize) -> bool {
        match self {
            Self::All => true,
            Self::Chat => is_chat(mark),
            Self::Cameras => !is_chat(mark),
            Self::Meeting(meeting) => meeting_of(mark) == meeting,
        }
    }
}

/// Hooks that want parts of a load. The number of a hook is its place here.
#[derive(Clone, Debug)]
pub(crate) struct Crowd {
    pub(crate) wishes: Vec<Wish>,
    /// The hooks' ids, where they are created.
    pub(crate) ids: Vec<String>,
}

impl Crowd {
    /// 10 global hooks, 20 filtered by event, 20 for one meeting each.
    pub(crate) fn of_fifty() -> Vec<Wish> {
        let filtered = (0..20).map(|n| if n % 2 == 0 { Wish::Chat } else { Wish::Cameras });
        [Wish::All; 10].into_iter().chain(filtered).chain((0..20).map(Wish::Meeting)).collect()
    }

    /// Creates hooks, and tells the daemon of the meetings.
    pub(crate) async fn create(daemon: &Daemon, redis: &Redis, audience: &Audience, wishes: Vec<Wish>) -> Self {
        let mut ids = Vec::new();
        for (number, wish) in wishes.iter().enumerate() {
            let external = if let Wish::Meeting(number) = wish { meeting(*number).external } else { String::new() };
            let events = match wish {
                Wish::Chat => "chat-group-message-sent",
                Wish::Cameras => "user-cam-broadcast-start",
                _ => "",
            };
            let parameters = [("meetingID", external.as_str()), ("eventID", events)];
            ids.push(daemon.create(&audience.url(number), &parameters).await);
        }
        for number in 0..MEETINGS {
            redis.publish(&meeting(number).created()).await;
        }
        // A daemon that is killed earlier never knows which hooks the later ones' events are for.
        until("the meetings are kept", async || redis.set(MEETING_MAPPINGS).await.len() == MEETINGS).await;
        Self { wishes, ids }
    }
}

/// Publishes marked events until it has published all or is told to stop. A Redis that is away is tried
/// again, with the next mark.
#[derive(Debug)]
pub(crate) struct Publisher {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    /// When each mark was published: those of refused ones too.
    published: Mutex<Vec<Instant>>,
    /// It stops there.
    end: AtomicUsize,
}

impl Publisher {
    /// Publishes up to `count` events, so many a second.
    pub(crate) fn start(redis: &Redis, count: usize, per_second: usize) -> Self {
        Self::of(redis, 0..count, per_second)
    }

    /// Publishes the events with these marks, so many a second.
    pub(crate) fn of(redis: &Redis, marks: Range<usize>, per_second: usize) -> Self {
        let shared = Arc::new(Shared { published: Mutex::default(), end: AtomicUsize::new(marks.end) });
        let task = tokio::spawn(publish(redis.port(), marks.start, per_second, Arc::clone(&shared)));
        Self { shared, task }
    }

    /// Stops it, if it has not published all. Gives how many marks it used.
    pub(crate) async fn stop(self) -> Vec<Instant> {
        self.shared.end.store(0, SeqCst);
        self.finish(PATIENCE).await
    }

    /// Waits until it has published all. Gives when each mark was published.
    pub(crate) async fn finish(mut self, at_most: Duration) -> Vec<Instant> {
        tokio::time::timeout(at_most, &mut self.task).await.expect("all is published in time").unwrap();
        std::mem::take(&mut self.shared.published.lock().unwrap())
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn publish(port: u16, first: usize, per_second: usize, shared: Arc<Shared>) {
    let client = Client::open(("127.0.0.1", port)).unwrap();
    let mut connection: Option<MultiplexedConnection> = None;
    let start = Instant::now();
    for mark in first.. {
        if mark >= shared.end.load(SeqCst) {
            return;
        }
        let due =
            start + Duration::from_secs(1) * u32::try_from(mark - first).unwrap() / u32::try_from(per_second).unwrap();
        if due > Instant::now() {
            tokio::time::sleep_until(due.max(Instant::now() + TICK)).await;
        }
        if connection.is_none() {
            let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
            connection = client.get_multiplexed_async_connection_with_config(&config).await.ok();
        }
        shared.published.lock().unwrap().push(Instant::now());
        let Some(live) = &mut connection else { continue };
        let message = message(mark);
        let published: redis::RedisResult<u64> =
            cmd("PUBLISH").arg(message.channel).arg(&message.json).query_async(live).await;
        if published.is_err() {
            connection = None;
        }
    }
}
