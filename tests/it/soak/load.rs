//! Meetings that begin, go on and end, message by message, and the events that each message stands for.
//!
//! Every event can be told from every other by its *mark*, a number that is found in its mapped form and in its raw one.

use crate::harness::MARK;
use crate::harness::Meeting;
use crate::harness::Message;
use crate::harness::mark_of;

/// How many rooms there are: external ids, in each of which one meeting follows the other.
const ROOMS: usize = 12;

/// The most that are in a meeting.
const USERS: usize = 8;

/// What stands before the number of a meeting, in its internal id.
const MEETING: &str = "soak-";

// Marks count messages. What has no place for one of its own has that of something else, or the meeting's number, with one of these.
const OF_LEAVING: usize = 1 << 40;
const OF_CREATION: usize = 1 << 41;
const OF_END: usize = 1 << 42;

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Created,
    Joined,
    Left,
    Chat,
    Camera,
    Ended,
}

impl Kind {
    /// Whether the daemon keeps in mind what it says: later events look otherwise, or reach others, if it was not heard.
    pub(super) fn is_remembered(self) -> bool {
        !matches!(self, Self::Chat | Self::Camera)
    }
}

/// By the id of the event, or the name of the message.
const KINDS: [(&str, Kind); 12] = [
    ("meeting-created", Kind::Created),
    ("MeetingCreatedEvtMsg", Kind::Created),
    ("user-joined", Kind::Joined),
    ("UserJoinedMeetingEvtMsg", Kind::Joined),
    ("user-left", Kind::Left),
    ("UserLeftMeetingEvtMsg", Kind::Left),
    ("chat-group-message-sent", Kind::Chat),
    ("GroupChatMessageBroadcastEvtMsg", Kind::Chat),
    ("user-cam-broadcast-start", Kind::Camera),
    ("UserBroadcastCamStartedEvtMsg", Kind::Camera),
    ("meeting-ended", Kind::Ended),
    ("MeetingDestroyedEvtMsg", Kind::Ended),
];

/// An event that the daemon is to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) mark: usize,
    pub(super) kind: Kind,
    pub(super) room: usize,
    pub(super) meeting: usize,
}

/// The external id of a room's meetings.
pub(super) fn external_id(room: usize) -> String {
    format!("room-{room}")
}

/// The marks of the events in the body of a callback. It is not decoded: a soak must not be about its own computing.
pub(super) fn marks_in(body: &str) -> Vec<usize> {
    let mut starts: Vec<_> = ["%7B%22data%22%3A%7B%22type%22", "%7B%22envelope%22"]
        .iter()
        .flat_map(|start| body.match_indices(start).map(|(at, _)| at))
        .collect();
    starts.sort_unstable();
    let ends = starts.iter().skip(1).copied().chain([body.len()]);
    starts.iter().zip(ends).filter_map(|(start, end)| mark_of_event(&body[*start..end], "%22")).collect()
}

/// The mark of an event in the journal.
pub(super) fn mark_in_json(event: &str) -> Option<usize> {
    mark_of_event(event, "\"")
}

/// The mark of an event, mapped or raw, in JSON whose quotation marks look like this.
fn mark_of_event(text: &str, quote: &str) -> Option<usize> {
    let kind = KINDS.iter().filter_map(|(name, kind)| Some((text.find(&format!("{quote}{name}{quote}"))?, kind)));
    let (_, kind) = kind.min_by_key(|(at, _)| *at)?;
    let meeting = || {
        let digits = text.split(MEETING).nth(1)?;
        digits[..digits.find('-')?].parse::<usize>().ok()
    };
    match kind {
        Kind::Created => Some(meeting()? | OF_CREATION),
        Kind::Ended => Some(meeting()? | OF_END),
        Kind::Left => Some(mark_of(text)? | OF_LEAVING),
        Kind::Joined | Kind::Chat | Kind::Camera => mark_of(text),
    }
}

#[test]
fn marks_are_found_in_callbacks() {
    let mut load = Load::new(fastrand::Rng::with_seed(1), (50, 60));
    for _ in 0..3000 {
        let (message, events) = load.next(true).unwrap();
        let Some(last) = events.last() else { continue };
        assert_eq!(mark_in_json(&message.json), Some(last.mark), "{}", message.json);
        let twice = format!("[{},{}]", message.json, message.json);
        let body = url::form_urlencoded::Serializer::new(String::new()).append_pair("event", &twice).finish();
        assert_eq!(marks_in(&body), [last.mark, last.mark], "{body}");
    }
    let left = r#"[{"data":{"type":"event","id":"user-left","attributes":{"meeting":{"internal-meeting-id":"soak-7-1"},"user":{"internal-user-id":"w_mark-9"}}}}]"#;
    let body = url::form_urlencoded::Serializer::new(String::new()).append_pair("event", left).finish();
    assert_eq!(marks_in(&body), [9 | OF_LEAVING]);
}

/// A meeting that goes on.
#[derive(Debug)]
struct Running {
    number: usize,
    meeting: Meeting,
    /// The marks of their joins, in order.
    users: Vec<usize>,
    /// How many messages it has before it.
    left: usize,
}

/// Makes up what is published.
#[derive(Debug)]
pub(super) struct Load {
    chance: fastrand::Rng,
    rooms: Vec<Option<Running>>,
    /// How many messages a meeting has, at least and at most.
    length: (usize, usize),
    next_mark: usize,
    next_meeting: usize,
}

impl Load {
    /// With meetings of so many messages, at least and at most.
    pub(super) fn new(chance: fastrand::Rng, length: (usize, usize)) -> Self {
        let rooms = (0..ROOMS).map(|_| None).collect();
        Self { chance, rooms, length, next_mark: 0, next_meeting: 0 }
    }

    /// The next message, with its events in order. Unless it is calm, it says nothing that is remembered; `None` if there is
    /// nothing else to say.
    pub(super) fn next(&mut self, calm: bool) -> Option<(Message, Vec<Event>)> {
        let mut room = self.chance.usize(..ROOMS);
        if !calm {
            let running: Vec<_> = (0..ROOMS).filter(|room| self.rooms[*room].is_some()).collect();
            room = *self.chance.choice(&running)?;
        }
        self.next_mark += 1;
        let mark = self.next_mark;
        let Some(running) = &mut self.rooms[room] else { return Some(self.begin(room)) };
        let event = |kind: Kind, mark: usize| Event { mark, kind, room, meeting: running.number };
        running.left = running.left.saturating_sub(1);
        if calm && running.left == 0 {
            let leave = running.users.iter().map(|user| event(Kind::Left, user | OF_LEAVING));
            let events = leave.chain([event(Kind::Ended, running.number | OF_END)]).collect();
            let message = running.meeting.ended();
            self.rooms[room] = None;
            return Some((message, events));
        }
        Some(match self.chance.u8(..100) {
            ..8 if calm && running.users.len() < USERS => {
                running.users.push(mark);
                (running.meeting.joined(&format!("{MARK}{mark}")), vec![event(Kind::Joined, mark)])
            }
            8..13 if calm && !running.users.is_empty() => {
                let user = running.users.remove(self.chance.usize(..running.users.len()));
                (running.meeting.left(&format!("{MARK}{user}")), vec![event(Kind::Left, user | OF_LEAVING)])
            }
            13..40 => (running.meeting.camera_stream("ada", &format!("{MARK}{mark}")), vec![event(Kind::Camera, mark)]),
            _ => (running.meeting.chat("ada", &format!("{MARK}{mark}")), vec![event(Kind::Chat, mark)]),
        })
    }

    fn begin(&mut self, room: usize) -> (Message, Vec<Event>) {
        self.next_meeting += 1;
        let number = self.next_meeting;
        let meeting = Meeting { external: external_id(room), internal: format!("{MEETING}{number}-1763990000123") };
        let message = meeting.created();
        let left = self.chance.usize(self.length.0..=self.length.1);
        self.rooms[room] = Some(Running { number, meeting, users: Vec::new(), left });
        (message, vec![Event { mark: number | OF_CREATION, kind: Kind::Created, room, meeting: number }])
    }
}
