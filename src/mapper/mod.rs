//! From BigBlueButton's messages to documented events. Pure.
//!
//! [`TABLE`] is the whole vocabulary: a message's name, the ids of the events it can become, and the function that makes
//! them. A new event is one entry here and one function in the room of its subject: [`meeting`], [`user`], [`content`],
//! [`recording`], or [`legacy`] for BigBlueButton 1.x. What all of them share (reading a message, writing an event's
//! attributes) is in [`draft`]. Events that only the configuration knows are [`configured`].

mod configured;
mod content;
mod draft;
mod legacy;
mod meeting;
mod names;
mod passed;
mod recording;
mod surrogates;
mod user;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::LazyLock;

use serde_json::Value;

use crate::event::EventId;
use crate::event::MappedEvent;
use crate::event::RawForm;
use crate::event::RawMessage;
use crate::mapper::draft::Draft;
use crate::mapper::draft::Message;
use crate::mapper::names::Names;
use crate::state::State;

pub use self::configured::ConfiguredEvent;
pub use self::configured::Finding;
pub use self::configured::Findings;
pub use self::configured::Group;
pub use self::configured::Pointer;
pub use self::configured::Source;

/// Makes events of a message and changes the state accordingly; `None` if the message lacks what makes it one of its name.
type Map = fn(&Message<'_>, &mut State) -> Option<Vec<Draft>>;

/// One kind of message.
struct Entry {
    /// The name it is published under: `envelope.name`, or `header.name` where there is no envelope.
    message: &'static str,
    /// The ids of the events it can become.
    ids: &'static [&'static str],
    map: Map,
}

const fn entry(message: &'static str, ids: &'static [&'static str], map: Map) -> Entry {
    Entry { message, ids, map }
}

#[rustfmt::skip]
static TABLE: &[Entry] = &[
    entry("MeetingCreatedEvtMsg", &["meeting-created"], meeting::created),
    entry("MeetingDestroyedEvtMsg", &["meeting-ended", "user-left"], meeting::ended),
    entry("RecordingStatusChangedEvtMsg", &["meeting-recording-started", "meeting-recording-stopped", "meeting-recording-unhandled"], meeting::recording_changed),
    entry("ScreenshareRtmpBroadcastStartedEvtMsg", &["meeting-screenshare-started"], meeting::screenshare_started),
    entry("ScreenshareRtmpBroadcastStoppedEvtMsg", &["meeting-screenshare-stopped"], meeting::screenshare_stopped),
    entry("SetCurrentPresentationEvtMsg", &["meeting-presentation-changed"], meeting::presentation_changed),

    entry("UserJoinedMeetingEvtMsg", &["user-joined"], user::joined),
    entry("UserLeftMeetingEvtMsg", &["user-left"], user::left),
    entry("UserJoinedVoiceConfToClientEvtMsg", &["user-audio-voice-enabled"], user::voice_joined),
    entry("UserLeftVoiceConfToClientEvtMsg", &["user-audio-voice-disabled"], user::voice_left),
    entry("UserMutedVoiceEvtMsg", &["user-audio-muted", "user-audio-unmuted", "user-audio-unhandled"], user::voice_muted),
    entry("UserBroadcastCamStartedEvtMsg", &["user-cam-broadcast-start"], user::camera),
    entry("UserBroadcastCamStoppedEvtMsg", &["user-cam-broadcast-end"], user::camera),
    entry("PresenterAssignedEvtMsg", &["user-presenter-assigned"], user::presenter_assigned),
    entry("PresenterUnassignedEvtMsg", &["user-presenter-unassigned"], user::presenter_unassigned),
    entry("UserEmojiChangedEvtMsg", &["user-emoji-changed", "user-raise-hand-changed"], user::emoji_changed),
    entry("UserReactionEmojiChangedEvtMsg", &["user-emoji-changed", "user-raise-hand-changed"], user::emoji_changed),
    entry("UserRaiseHandChangedEvtMsg", &["user-raise-hand-changed"], user::hand_changed),

    entry("GroupChatMessageBroadcastEvtMsg", &["chat-group-message-sent"], content::chat),
    entry("PadContentEvtMsg", &["pad-content"], content::pad),
    entry("PollStartedEvtMsg", &["poll-started"], content::poll_started),
    entry("UserRespondedToPollRespMsg", &["poll-responded"], content::poll_responded),
    entry("TranscriptUpdatedEvtMsg", &["transcript-updated"], content::transcript),

    entry("archive_started", &["rap-archive-started"], recording::stage),
    entry("archive_ended", &["rap-archive-ended"], recording::archive_ended),
    entry("sanity_started", &["rap-sanity-started"], recording::stage),
    entry("sanity_ended", &["rap-sanity-ended"], recording::stage),
    entry("post_archive_started", &["rap-post-archive-started"], recording::stage),
    entry("post_archive_ended", &["rap-post-archive-ended"], recording::stage),
    entry("process_started", &["rap-process-started"], recording::stage),
    entry("process_ended", &["rap-process-ended"], recording::stage),
    entry("post_process_started", &["rap-post-process-started"], recording::stage),
    entry("post_process_ended", &["rap-post-process-ended"], recording::stage),
    entry("publish_started", &["rap-publish-started"], recording::stage),
    entry("publish_ended", &["rap-publish-ended"], recording::publish_ended),
    entry("post_publish_started", &["rap-post-publish-started"], recording::stage),
    entry("post_publish_ended", &["rap-post-publish-ended"], recording::stage),
    entry("published", &["rap-published"], recording::state_changed),
    entry("unpublished", &["rap-unpublished"], recording::state_changed),
    entry("deleted", &["rap-deleted"], recording::state_changed),
    entry("PublishedRecordingSysMsg", &["rap-published"], recording::state_set),
    entry("UnpublishedRecordingSysMsg", &["rap-unpublished"], recording::state_set),
    entry("DeletedRecordingSysMsg", &["rap-deleted"], recording::state_set),

    entry("meeting_created_message", &["meeting-created"], legacy::meeting_created),
    entry("meeting_destroyed_event", &["meeting-ended", "user-left"], legacy::meeting_destroyed),
    entry("user_joined_message", &["user-joined"], legacy::user_joined),
    entry("user_left_message", &["user-left"], legacy::user_left),
    entry("user_joined_voice_message", &["user-audio-voice-enabled"], legacy::voice_joined),
    entry("user_left_voice_message", &["user-audio-voice-disabled"], legacy::voice_left),
    entry("user_listening_only", &["user-audio-listen-only-enabled", "user-audio-listen-only-disabled"], legacy::listening_only),
    entry("user_status_changed_message", &["user-presenter-assigned", "user-presenter-unassigned"], legacy::status_changed),
    entry("user_shared_webcam_message", &["user-cam-broadcast-start"], legacy::webcam_shared),
    entry("user_unshared_webcam_message", &["user-cam-broadcast-end"], legacy::webcam_unshared),
];

/// The table by message name, and every event id that is known.
struct Vocabulary {
    entries: HashMap<&'static str, &'static Entry>,
    ids: HashMap<&'static str, EventId>,
}

static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| Vocabulary {
    entries: TABLE.iter().map(|entry| (entry.message, entry)).collect(),
    ids: TABLE.iter().flat_map(|entry| entry.ids).map(|id| (*id, EventId::built_in(id))).collect(),
});

/// What a first look at a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Its name is in the table: worth a parse.
    Known,
    /// Nobody maps it: most of BigBlueButton's traffic.
    Unknown,
    /// It is no JSON object.
    Unparseable,
}

/// Whether events of this id, in lower case, are made without any configuration.
#[must_use]
pub fn is_built_in(id: &str) -> bool {
    VOCABULARY.ids.contains_key(id)
}

/// The names of the messages that are mapped without any configuration, each with the ids of the events that it can become.
pub fn built_in() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    TABLE.iter().map(|entry| (entry.message, entry.ids))
}

/// Why a message became no event.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotMapped {
    /// Not JSON.
    #[error("it is no JSON")]
    NotJson,
    /// A name that is not in the table, or none.
    #[error("nobody maps messages of its name")]
    UnknownName,
    /// The name is known, and what makes it such a message is missing (or it is not for the public, as private chat).
    #[error("it makes no event")]
    NoEvent,
}

/// From messages to events: by the table, and by what the configuration adds to it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Mapper {
    configured: Arc<HashMap<String, Vec<ConfiguredEvent>>>,
}

/// How a message of its name is mapped.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The ids of the built-in events that it can become.
    pub built_in: &'static [&'static str],
    /// What each configured event finds in it.
    pub configured: Vec<Findings>,
}

impl Mapper {
    /// Maps by the table and by `configured`.
    #[must_use]
    pub fn new(configured: &[ConfiguredEvent]) -> Self {
        let mut by_message: HashMap<String, Vec<ConfiguredEvent>> = HashMap::new();
        for event in configured {
            by_message.entry(event.message.clone()).or_default().push(event.clone());
        }
        Self { configured: Arc::new(by_message) }
    }

    /// Looks for a message's name without building anything.
    #[must_use]
    pub fn look(&self, message: &[u8]) -> Look {
        let text = String::from_utf8_lossy(message);
        let look = |text: &str| Some(self.recognise(&Names::read(text).ok()?).map_or(Look::Unknown, |_| Look::Known));
        look(&text).or_else(|| look(&surrogates::replaced(&text))).unwrap_or(Look::Unparseable)
    }

    /// Maps a message, with what `state` knows at `now_ms` (ms since 1970), and changes `state` accordingly.
    ///
    /// # Errors
    /// If the message makes no event.
    pub fn map(&self, raw: &RawMessage, state: &mut State, now_ms: u64) -> Result<Vec<MappedEvent>, NotMapped> {
        // Text that is not UTF-8 is read with replacement characters, as the Node daemon reads it.
        let text = String::from_utf8_lossy(&raw.bytes);
        let (body, text) = parse(&text).ok_or(NotMapped::NotJson)?;
        let names = Names::read(&text).map_err(|_| NotMapped::UnknownName)?;
        let drafts = match self.recognise(&names).ok_or(NotMapped::UnknownName)? {
            Recognised::Message(entry, configured) => drafts_of(entry, configured, &body, state, now_ms),
            Recognised::Event(id) => passed::event(id, &body, state, now_ms),
        };
        let drafts = drafts.filter(|drafts| !drafts.is_empty()).ok_or(NotMapped::NoEvent)?;
        for draft in &drafts {
            if let Some(meeting) = &draft.meeting {
                state.touch(meeting, now_ms);
            }
        }
        Ok(with_raw_forms(drafts, text.trim(), now_ms))
    }

    /// How a message is mapped, without doing it; `None` if nobody maps messages of its name.
    #[must_use]
    pub fn explain(&self, raw: &RawMessage) -> Option<Explanation> {
        let text = String::from_utf8_lossy(&raw.bytes);
        let (body, text) = parse(&text)?;
        match self.recognise(&Names::read(&text).ok()?)? {
            Recognised::Message(entry, configured) => {
                let ids = entry.map_or(&[][..], |entry| entry.ids);
                let message = Message { body: &body, ids, now_ms: 0 };
                let configured = configured.iter().map(|event| event.findings(&message)).collect();
                Some(Explanation { built_in: ids, configured })
            }
            Recognised::Event(_) => Some(Explanation { built_in: &[], configured: Vec::new() }),
        }
    }

    fn recognise(&self, names: &Names<'_>) -> Option<Recognised<'_>> {
        let message = |name: &Option<_>| {
            let name = name.as_deref()?;
            let entry = VOCABULARY.entries.get(name).copied();
            let configured = self.configured.get(name).map_or(&[][..], Vec::as_slice);
            (entry.is_some() || !configured.is_empty()).then_some(Recognised::Message(entry, configured))
        };
        let event = || VOCABULARY.ids.get(names.data_id.as_deref()?).cloned();
        message(&names.envelope).or_else(|| message(&names.header)).or_else(|| event().map(Recognised::Event))
    }
}

/// What the table makes of a message, and what the configuration adds to it: attributes where an event is overridden that the
/// table made, else an event of its own.
fn drafts_of(
    entry: Option<&Entry>,
    configured: &[ConfiguredEvent],
    body: &Value,
    state: &mut State,
    now_ms: u64,
) -> Option<Vec<Draft>> {
    let message = Message { body, ids: entry.map_or(&[], |entry| entry.ids), now_ms };
    let external_users: Vec<_> = configured.iter().map(|event| event.external_user(&message, state)).collect();
    let mut drafts = entry.and_then(|entry| (entry.map)(&message, state)).unwrap_or_default();
    for (event, external_user) in configured.iter().zip(external_users) {
        if message.ids.contains(&event.id.as_str()) {
            let overridden = drafts.iter_mut().filter(|draft| draft.id.as_str() == event.id);
            overridden.for_each(|draft| draft.overlay(event.picked(&message)));
        } else {
            drafts.push(event.draft(&message, state, external_user));
        }
    }
    Some(drafts)
}

/// An event as version 2 of the Node daemon left it undelivered: as it would have been sent, mapped or raw. `None` if the
/// text is no event.
#[must_use]
pub fn of_version_2(text: &str) -> Option<MappedEvent> {
    let (body, text) = parse(text)?;
    let names = Names::read(&text).ok()?;
    let id = names.data_id.or(names.envelope).or(names.header)?;
    Some(passed::as_it_stands(EventId::from(&*id), &body, &text))
}

/// What JSON text says, and the text as receivers can read it too: lone surrogates, which JavaScript lets pass and others
/// refuse, are replaced. All else stays as it is.
fn parse(text: &str) -> Option<(Value, Cow<'_, str>)> {
    if let Ok(value) = serde_json::from_str(text) {
        return Some((value, Cow::Borrowed(text)));
    }
    let text = surrogates::replaced(text);
    Some((serde_json::from_str(&text).ok()?, text))
}

/// Finishes the drafts made of one message: the first that stands for it carries it to raw hooks.
fn with_raw_forms(drafts: Vec<Draft>, message: &str, now_ms: u64) -> Vec<MappedEvent> {
    let mut ids: Vec<EventId> = drafts.iter().filter(|draft| !draft.made_up).map(|draft| draft.id.clone()).collect();
    let mut carried = false;
    let mut raw_form = |draft: &Draft| {
        if draft.made_up {
            return RawForm::Mapped;
        }
        if std::mem::replace(&mut carried, true) {
            return RawForm::Covered;
        }
        RawForm::Message { json: Arc::from(message), also: ids.split_off(1) }
    };
    drafts.into_iter().map(|draft| (raw_form(&draft), draft)).map(|(raw, draft)| draft.finish(raw, now_ms)).collect()
}

/// What a message turned out to be.
enum Recognised<'a> {
    /// A message of the table, or of the configuration, or of both.
    Message(Option<&'static Entry>, &'a [ConfiguredEvent]),
    /// An event that is mapped already.
    Event(EventId),
}
