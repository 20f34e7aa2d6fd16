//! Events about a meeting as such.

use serde_json::Value;

use crate::event::InternalMeetingId;
use crate::event::InternalUserId;
use crate::mapper::draft::Attributes;
use crate::mapper::draft::Draft;
use crate::mapper::draft::Message;
use crate::mapper::draft::at;
use crate::mapper::draft::meeting_attributes;
use crate::mapper::draft::text;
use crate::mapper::draft::user_id;
use crate::state::State;
use crate::state::User;

/// A meeting was created, or a breakout room.
pub(super) fn created(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let props = message.core()?.get("props")?;
    let prop = |path: &[&str]| at(props, path);
    let meeting = InternalMeetingId::from(text(prop(&["meetingProp", "intId"]))?);
    if let Some(external) = text(prop(&["meetingProp", "extId"])) {
        state.meeting_created(&meeting, external.into(), message.now_ms);
    }
    let attributes = Attributes::new()
        .put("internal-meeting-id", prop(&["meetingProp", "intId"]))
        .put("external-meeting-id", prop(&["meetingProp", "extId"]))
        .put("name", prop(&["meetingProp", "name"]))
        .put("is-breakout", prop(&["meetingProp", "isBreakout"]))
        .put("parent-id", prop(&["breakoutProps", "parentId"]))
        .put("duration", prop(&["durationProps", "duration"]))
        .put("create-time", prop(&["durationProps", "createdTime"]))
        .put("create-date", prop(&["durationProps", "createdDate"]))
        .put("moderator-pass", prop(&["password", "moderatorPass"]))
        .put("viewer-pass", prop(&["password", "viewerPass"]))
        .put("record", prop(&["recordProp", "record"]))
        .put("voice-conf", prop(&["voiceProp", "voiceConf"]))
        .put("dial-number", prop(&["voiceProp", "dialNumber"]))
        .put("max-users", prop(&["usersProp", "maxUsers"]))
        .put("metadata", prop(&["metadataProp", "metadata"]))
        .put("audioBridge", prop(&["meetingProp", "audioBridge"]))
        .put("cameraBridge", prop(&["meetingProp", "cameraBridge"]))
        .put("screenShareBridge", prop(&["meetingProp", "screenShareBridge"]));
    Some(vec![Draft::new("meeting-created", meeting, state, Attributes::new().group("meeting", attributes))])
}

/// A meeting ended.
pub(super) fn ended(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    message.core()?;
    Some(end(message.meeting()?, state))
}

/// Ends a meeting: everyone still in it leaves first, in the order joined.
pub(super) fn end(meeting: InternalMeetingId, state: &mut State) -> Vec<Draft> {
    let mut drafts = everyone_leaves(&meeting, state);
    let attributes = meeting_attributes(&meeting, state);
    drafts.push(Draft::new("meeting-ended", meeting, state, attributes));
    drafts
}

/// The `user-left` of everyone still in a meeting that ends, with what their join said.
pub(super) fn everyone_leaves(meeting: &InternalMeetingId, state: &mut State) -> Vec<Draft> {
    let leave = |(_, user): (InternalUserId, User), state: &State| {
        let attributes = meeting_attributes(meeting, state).group("user", user.attributes.into());
        Draft::new("user-left", meeting.clone(), state, attributes).made_up()
    };
    state.meeting_ended(meeting).into_iter().map(|user| leave(user, state)).collect()
}

/// Recording was started or stopped.
pub(super) fn recording_changed(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let id = match message.core()?.get("recording").and_then(Value::as_bool) {
        Some(true) => "meeting-recording-started",
        Some(false) => "meeting-recording-stopped",
        None => "meeting-recording-unhandled",
    };
    let meeting = message.meeting()?;
    let attributes = meeting_attributes(&meeting, state);
    Some(vec![Draft::new(id, meeting, state, attributes)])
}

/// Another presentation is shown.
pub(super) fn presentation_changed(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let meeting = message.meeting()?;
    let about = Attributes::of_meeting(&meeting, state).put("presentation-id", message.core()?.get("presentationId"));
    Some(vec![Draft::new("meeting-presentation-changed", meeting, state, Attributes::new().group("meeting", about))])
}

/// A screen is shared: by the user named, else by the presenter.
pub(super) fn screenshare_started(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let meeting = message.meeting()?;
    let named = user_id(message.core()?.get("userId"));
    let sharer = named.or_else(|| state.presenter(meeting.as_str()).map(|(id, _)| id.clone()));
    Some(vec![screenshare("meeting-screenshare-started", true, meeting, sharer, state)])
}

/// A screen is no longer shared: by the user named, else by the one who shared, else by the presenter.
pub(super) fn screenshare_stopped(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let meeting = message.meeting()?;
    let known = || state.screen_sharer(meeting.as_str()).or_else(|| state.presenter(meeting.as_str()));
    let sharer = user_id(message.core()?.get("userId")).or_else(|| known().map(|(id, _)| id.clone()));
    Some(vec![screenshare("meeting-screenshare-stopped", false, meeting, sharer, state)])
}

fn screenshare(
    id: &'static str,
    sharing: bool,
    meeting: InternalMeetingId,
    sharer: Option<InternalUserId>,
    state: &mut State,
) -> Draft {
    if let Some(sharer) = &sharer {
        state.set_attribute(&meeting, sharer, "screenshare", sharing);
    }
    let sharer = sharer.map(|id| Value::from(id.as_str()));
    let user = Attributes::of_user(&meeting, sharer.as_ref(), state);
    let attributes = meeting_attributes(&meeting, state).group("user", user);
    Draft::new(id, meeting, state, attributes)
}
