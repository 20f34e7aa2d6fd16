//! The messages of BigBlueButton 1.x.
//!
//! COMPAT: the Node daemon still maps them. Its events about a user repeat what the join said, with the one attribute
//! changed that the message is about, in the form in which it was published (`"true"`, not `true`).

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::event::ExternalMeetingId;
use crate::event::InternalMeetingId;
use crate::event::InternalUserId;
use crate::mapper::draft::Attributes;
use crate::mapper::draft::Draft;
use crate::mapper::draft::Message;
use crate::mapper::draft::at;
use crate::mapper::draft::meeting_attributes;
use crate::mapper::draft::text;
use crate::mapper::draft::user_id;
use crate::mapper::meeting::end;
use crate::state::State;
use crate::state::is_true;

fn payload<'a>(message: &Message<'a>) -> Option<&'a Value> {
    message.at(&["payload"]).filter(|payload| payload.is_object())
}

fn meeting_of(message: &Message<'_>) -> Option<InternalMeetingId> {
    text(message.at(&["payload", "meeting_id"])).map(InternalMeetingId::from)
}

/// The user that a message is about, who stands in one of two places.
fn user_of<'a>(message: &Message<'a>) -> Option<&'a Value> {
    message.at(&["payload", "userid"]).or_else(|| message.at(&["payload", "user", "userid"]))
}

/// A meeting was created.
pub(super) fn meeting_created(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let payload = payload(message)?;
    let meeting = meeting_of(message)?;
    if let Some(external) = text(payload.get("external_meeting_id")) {
        state.meeting_created(&meeting, ExternalMeetingId::from(external), message.now_ms);
    }
    let attributes = Attributes::new()
        .put("internal-meeting-id", payload.get("meeting_id"))
        .put("external-meeting-id", payload.get("external_meeting_id"))
        .put("name", payload.get("name"))
        .put("is-breakout", payload.get("is_breakout"))
        .put("duration", payload.get("duration"))
        .put("create-time", payload.get("create_time"))
        .put("create-date", payload.get("create_date"))
        .put("moderator-pass", payload.get("moderator_pass"))
        .put("viewer-pass", payload.get("viewer_pass"))
        .put("record", payload.get("recorded"))
        .put("voice-conf", payload.get("voice_conf"))
        .put("dial-number", payload.get("dial_number"))
        .put("max-users", payload.get("max_users"))
        .put("metadata", payload.get("metadata"));
    Some(vec![Draft::new("meeting-created", meeting, state, Attributes::new().group("meeting", attributes))])
}

/// A meeting ended.
pub(super) fn meeting_destroyed(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    Some(end(meeting_of(message)?, state))
}

/// A user joined.
pub(super) fn user_joined(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let meeting = meeting_of(message)?;
    let joins = payload(message)?.get("user").filter(|user| user.is_object())?;
    let id = user_id(joins.get("userid"))?;
    let user = Attributes::new()
        .put("internal-user-id", joins.get("userid"))
        .put("external-user-id", joins.get("extern_userid"))
        .put("sharing-mic", at(joins, &["voiceUser", "joined"]))
        .put("name", joins.get("name"))
        .put("role", joins.get("role"))
        .put("presenter", joins.get("presenter"))
        .put("stream", joins.get("webcam_stream"))
        .put("listening-only", joins.get("listenOnly"))
        .into_map();
    let external = text(joins.get("extern_userid")).map(str::to_owned);
    state.user_joined(&meeting, &id, external, user.clone(), message.now_ms);
    Some(vec![about("user-joined", meeting, user.into(), state)])
}

/// A user left. Only their internal id is sent.
pub(super) fn user_left(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let meeting = meeting_of(message)?;
    let id = user_id(user_of(message))?;
    state.user_left(&meeting, &id);
    let user = Attributes::new().put("internal-user-id", user_of(message));
    Some(vec![about("user-left", meeting, user, state)])
}

/// A user joined the voice conference.
pub(super) fn voice_joined(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    voice("user-audio-voice-enabled", true, message, state)
}

/// A user left the voice conference.
pub(super) fn voice_left(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    voice("user-audio-voice-disabled", false, message, state)
}

/// COMPAT: the Node daemon does not note who speaks: later events say again what the join said of it.
fn voice(id: &'static str, joined: bool, message: &Message<'_>, state: &State) -> Option<Vec<Draft>> {
    let meeting = meeting_of(message)?;
    user_id(user_of(message))?;
    let sharing = message.at(&["payload", "user", "voiceUser", "joined"]).cloned().unwrap_or(joined.into());
    let user = Attributes::new().put("internal-user-id", user_of(message)).set("sharing-mic", sharing);
    Some(vec![about(id, meeting, user, state)])
}

/// A user began or ceased to listen only.
pub(super) fn listening_only(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let listens = payload(message)?.get("listen_only")?;
    let id = match is_true(Some(listens)) {
        true => "user-audio-listen-only-enabled",
        false => "user-audio-listen-only-disabled",
    };
    changed(id, message, state, |user| {
        user.insert("listening-only".to_owned(), listens.clone());
    })
}

/// A user's status changed; only that of the presenter is an event.
pub(super) fn status_changed(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let payload = payload(message)?;
    let value = payload.get("value").filter(|_| text(payload.get("status")) == Some("presenter"))?;
    let id = if is_true(Some(value)) { "user-presenter-assigned" } else { "user-presenter-unassigned" };
    changed(id, message, state, |user| {
        user.insert("presenter".to_owned(), value.clone());
    })
}

/// A user turned a camera on.
pub(super) fn webcam_shared(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let stream = payload(message)?.get("stream")?;
    changed("user-cam-broadcast-start", message, state, |user| streams(user).push(stream.clone()))
}

/// A user turned a camera off.
pub(super) fn webcam_unshared(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let stream = payload(message)?.get("stream")?;
    changed("user-cam-broadcast-end", message, state, |user| streams(user).retain(|known| known != stream))
}

/// The list of a user's camera streams.
fn streams(user: &mut Map<String, Value>) -> &mut Vec<Value> {
    let stream = user.entry("stream").or_insert_with(|| json!([]));
    if !stream.is_array() {
        *stream = json!([]);
    }
    stream.as_array_mut().expect("it was made an array")
}

/// An event that repeats what is known of its user, with one attribute changed.
fn changed(
    id: &'static str,
    message: &Message<'_>,
    state: &mut State,
    change: impl FnOnce(&mut Map<String, Value>),
) -> Option<Vec<Draft>> {
    let meeting = meeting_of(message)?;
    let user: InternalUserId = user_id(user_of(message))?;
    let known = state.user(meeting.as_str(), user.as_str()).map(|known| known.attributes.clone());
    let mut attributes =
        known.unwrap_or_else(|| Attributes::new().put("internal-user-id", user_of(message)).into_map());
    change(&mut attributes);
    state.update_user(&meeting, &user, |known| known.attributes.clone_from(&attributes));
    Some(vec![about(id, meeting, attributes.into(), state)])
}

fn about(id: &'static str, meeting: InternalMeetingId, user: Attributes, state: &State) -> Draft {
    let attributes = meeting_attributes(&meeting, state).group("user", user);
    Draft::new(id, meeting, state, attributes)
}
