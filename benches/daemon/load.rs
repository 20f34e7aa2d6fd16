//! Messages as BigBlueButton publishes them, as many and as fast as a scenario wants.

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::redis::CHANNEL;
use crate::redis::Redis;

/// How many meetings the events are of, in turn.
pub(crate) const MEETINGS: u64 = 20;

/// What stands before an event's number and the time of its publishing, in its text.
const MARK: &str = "bench-";

/// How much is sent to Redis at once.
const PIECE: usize = 32 * 1024;

/// How long to wait before looking again whether more may be published.
const LOOK_AGAIN_AFTER: Duration = Duration::from_micros(300);

/// What a chat message is like: as long as people's are.
const TEXT: &str = "Could everybody please mute themselves?";

/// Microseconds since 1970.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// An event's number, and when it was published, in µs since 1970.
pub(crate) struct Mark {
    pub(crate) number: u64,
    pub(crate) published_us: u64,
}

/// The marks in a callback's body.
pub(crate) fn marks(body: &[u8]) -> impl Iterator<Item = Mark> {
    // Nothing in a mark is written otherwise in a form.
    let text = std::str::from_utf8(body).unwrap_or_default();
    text.split(MARK).skip(1).filter_map(|rest| {
        let (number, rest) = rest.split_once('-')?;
        let (published_us, _) = rest.split_once('-')?;
        Some(Mark { number: number.parse().ok()?, published_us: published_us.parse().ok()? })
    })
}

fn chat(number: u64) -> String {
    let (meeting, now_us) = (number % MEETINGS, now_us());
    format!(
        r#"{{"envelope":{{"name":"GroupChatMessageBroadcastEvtMsg","routing":{{"msgType":"BROADCAST_TO_MEETING","meetingId":"internal-{meeting}","userId":"w_{meeting}"}},"timestamp":1763990012345}},"core":{{"header":{{"name":"GroupChatMessageBroadcastEvtMsg","meetingId":"internal-{meeting}","userId":"w_{meeting}"}},"body":{{"chatId":"MAIN-PUBLIC-GROUP-CHAT","msg":{{"id":"1763990012345-{number}","timestamp":1763990012345,"correlationId":"w_{meeting}-1","sender":{{"id":"w_{meeting}","name":"User {meeting}","role":"MODERATOR"}},"chatEmphasizedText":true,"message":"{MARK}{number}-{now_us}- {TEXT}"}}}}}}}}"#
    )
}

fn meeting_created(meeting: u64) -> String {
    format!(
        r#"{{"envelope":{{"name":"MeetingCreatedEvtMsg","routing":{{"sender":"bbb-apps-akka"}},"timestamp":1763990000000}},"core":{{"header":{{"name":"MeetingCreatedEvtMsg"}},"body":{{"props":{{"meetingProp":{{"name":"Meeting {meeting}","extId":"external-{meeting}","intId":"internal-{meeting}","isBreakout":false}},"breakoutProps":{{"parentId":"bbb-none","sequence":0}},"durationProps":{{"duration":0,"createdTime":1763990000000,"createdDate":"Mon Nov 24 14:33:20 CET 2025"}},"password":{{"moderatorPass":"mp","viewerPass":"ap"}},"recordProp":{{"record":false}},"voiceProp":{{"voiceConf":"71347","dialNumber":"613-555-1234"}},"usersProp":{{"maxUsers":25}},"metadataProp":{{"metadata":{{}}}}}}}}}}}}"#
    )
}

fn user_joined(meeting: u64) -> String {
    format!(
        r#"{{"envelope":{{"name":"UserJoinedMeetingEvtMsg","routing":{{"msgType":"BROADCAST_TO_MEETING","meetingId":"internal-{meeting}","userId":"w_{meeting}"}},"timestamp":1763990000000}},"core":{{"header":{{"name":"UserJoinedMeetingEvtMsg","meetingId":"internal-{meeting}","userId":"w_{meeting}"}},"body":{{"intId":"w_{meeting}","extId":"student-{meeting}","name":"User {meeting}","role":"MODERATOR","guest":false,"presenter":true}}}}}}"#
    )
}

/// What BigBlueButton publishes most, and nobody maps: somebody's pointer moved on the whiteboard.
const CURSOR_MOVED: &str = r#"{"envelope":{"name":"SendCursorPositionEvtMsg","routing":{"msgType":"BROADCAST_TO_MEETING","meetingId":"internal-1","userId":"w_1"},"timestamp":1763990012345},"core":{"header":{"name":"SendCursorPositionEvtMsg","meetingId":"internal-1","userId":"w_1"},"body":{"whiteboardId":"d2d9a672040fbde2a47a10bf6c37b6a4b5ae187f-1763990000130/1","xPercent":34.56789,"yPercent":12.34567}}}"#;

/// How fast to publish.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As fast as Redis takes it.
    Free,
    /// So many a second.
    PerSecond(u64),
}

/// A connection to Redis that publishes.
pub(crate) struct Publisher {
    write: OwnedWriteHalf,
    waiting: Vec<u8>,
    _replies: JoinSet<()>,
}

impl Publisher {
    pub(crate) async fn connect(redis: &Redis) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", redis.port())).await?;
        stream.set_nodelay(true)?;
        let (mut read, write) = stream.into_split();
        let mut replies = JoinSet::new();
        replies.spawn(async move {
            let mut piece = vec![0; 64 * 1024];
            while read.read(&mut piece).await.is_ok_and(|bytes| bytes > 0) {}
        });
        Ok(Self { write, waiting: Vec::new(), _replies: replies })
    }

    fn add(&mut self, message: &str) {
        let header = format!("*3\r\n$7\r\nPUBLISH\r\n${}\r\n{CHANNEL}\r\n${}\r\n", CHANNEL.len(), message.len());
        self.waiting.extend_from_slice(header.as_bytes());
        self.waiting.extend_from_slice(message.as_bytes());
        self.waiting.extend_from_slice(b"\r\n");
    }

    async fn send(&mut self) -> anyhow::Result<()> {
        self.write.write_all(&self.waiting).await?;
        self.waiting.clear();
        Ok(())
    }

    /// Opens the meetings, with a user in each.
    pub(crate) async fn open_meetings(&mut self) -> anyhow::Result<()> {
        for meeting in 0..MEETINGS {
            self.add(&meeting_created(meeting));
            self.add(&user_joined(meeting));
        }
        self.send().await
    }

    /// Publishes events with these numbers, as long as `may` says of the next that it may be.
    pub(crate) async fn publish(
        &mut self,
        numbers: std::ops::Range<u64>,
        pace: Pace,
        may: impl Fn(u64) -> bool,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        for number in numbers.clone() {
            let due = match pace {
                Pace::Free => begun,
                Pace::PerSecond(rate) => begun + Duration::from_secs(number - numbers.start) / u32::try_from(rate)?,
            };
            while due > Instant::now() || !may(number) {
                self.send().await?;
                tokio::time::sleep_until(due.max(Instant::now() + LOOK_AGAIN_AFTER)).await;
            }
            self.add(&chat(number));
            if self.waiting.len() >= PIECE {
                self.send().await?;
            }
        }
        self.send().await
    }

    /// Publishes so many messages that nobody maps.
    pub(crate) async fn publish_noise(&mut self, count: u64) -> anyhow::Result<()> {
        for _ in 0..count {
            self.add(CURSOR_MOVED);
            if self.waiting.len() >= PIECE {
                self.send().await?;
            }
        }
        self.send().await
    }
}
