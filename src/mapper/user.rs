//! Events about a user in a meeting.

use serde_json::Value;

use crate::event::InternalMeetingId;
use crate::mapper::draft::Attributes;
use crate::mapper::draft::Draft;
use crate::mapper::draft::Message;
use crate::mapper::draft::meeting_attributes;
use crate::mapper::draft::text;
use crate::mapper::draft::truthy;
use crate::mapper::draft::user_id;
use crate::state::State;
use crate::state::is_true;

/// `{meeting, user}`: an event about a user.
fn about(id: &'static str, meeting: InternalMeetingId, user: Attributes, state: &State) -> Draft {
    let attributes = meeting_attributes(&meeting, state).group("user", user);
    Draft::new(id, meeting, state, attributes)
}

/// A user joined.
///
/// COMPAT: who is no guest, or is not said to be one, is `false`, not missing.
pub(super) fn joined(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let body = message.core()?;
    let meeting = message.meeting()?;
    let id = user_id(message.user("intId"))?;
    let user = Attributes::new()
        .put("internal-user-id", message.user("intId"))
        .set("external-user-id", truthy(body.get("extId")).cloned().unwrap_or_else(|| "".into()))
        .put("name", body.get("name"))
        .put("role", body.get("role"))
        .put("presenter", body.get("presenter"))
        .put("ip-address", body.get("ipAddress"))
        .put("user-agent", body.get("userAgent"))
        .put("referer", body.get("referer"))
        .put("session-token", body.get("sessionToken"))
        .put("userdata", body.get("userdata").or_else(|| body.get("userCustomData")))
        .set("guest", is_true(body.get("guest")))
        .into_map();
    let external = text(body.get("extId")).map(str::to_owned);
    state.user_joined(&meeting, &id, external, user.clone(), message.now_ms);
    Some(vec![about("user-joined", meeting, user.into(), state)])
}

/// A user left.
///
/// COMPAT: `guest` as when they joined.
pub(super) fn left(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    message.core()?;
    let meeting = message.meeting()?;
    let id = user_id(message.user("intId"))?;
    let guest = state.user(meeting.as_str(), id.as_str()).and_then(|user| user.attributes.get("guest"));
    let user = Attributes::of_user(&meeting, message.user("intId"), state).set("guest", is_true(guest));
    let left = about("user-left", meeting.clone(), user, state);
    state.user_left(&meeting, &id);
    Some(vec![left])
}

/// A user joined the voice conference, to speak or only to listen.
pub(super) fn voice_joined(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let body = message.core()?;
    let meeting = message.meeting()?;
    let listens_only = body.get("listenOnly");
    let user = Attributes::of_user(&meeting, message.user("intId"), state)
        .put("listening-only", listens_only)
        .set("sharing-mic", !is_true(listens_only))
        .put("muted", body.get("muted"));
    Some(vec![about("user-audio-voice-enabled", meeting, user, state)])
}

/// A user left the voice conference.
pub(super) fn voice_left(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    message.core()?;
    let meeting = message.meeting()?;
    let user = Attributes::of_user(&meeting, message.user("intId"), state)
        .set("listening-only", false)
        .set("sharing-mic", false)
        .set("muted", true);
    Some(vec![about("user-audio-voice-disabled", meeting, user, state)])
}

/// A user muted or unmuted.
///
/// COMPAT: where that is neither true nor false, `muted` is missing.
pub(super) fn voice_muted(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let body = message.core()?;
    let meeting = message.meeting()?;
    let id = match body.get("muted").and_then(Value::as_bool) {
        Some(true) => "user-audio-muted",
        Some(false) => "user-audio-unmuted",
        None => "user-audio-unhandled",
    };
    let muted = body.get("muted").filter(|muted| muted.is_boolean());
    let user = Attributes::of_user(&meeting, message.user("intId"), state).put("muted", muted);
    Some(vec![about(id, meeting, user, state)])
}

/// A user turned a camera on or off.
pub(super) fn camera(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let body = message.core()?;
    let meeting = message.meeting()?;
    let user = Attributes::of_user(&meeting, message.user("userId"), state).put("stream", body.get("stream"));
    Some(vec![about(message.ids[0], meeting, user, state)])
}

/// A user became presenter.
pub(super) fn presenter_assigned(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    presenter(message, "presenterId", true, state)
}

/// A user is no longer presenter.
pub(super) fn presenter_unassigned(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    presenter(message, "intId", false, state)
}

fn presenter(message: &Message<'_>, id_key: &str, presents: bool, state: &mut State) -> Option<Vec<Draft>> {
    let body = message.core()?;
    let meeting = message.meeting()?;
    if let Some(id) = user_id(message.user(id_key)) {
        state.set_attribute(&meeting, &id, "presenter", presents);
    }
    let user = Attributes::of_user(&meeting, message.user(id_key), state).put("name", body.get("name"));
    Some(vec![about(message.ids[0], meeting, user, state)])
}

/// A user set an emoji as status, or reacted with one. Before BigBlueButton 2.7 the emoji `raiseHand` raised the hand and any
/// other lowered it: then the hand's own event follows.
///
/// COMPAT: which of the two messages it is does not count, nor under which of their two names the emoji stands.
pub(super) fn emoji_changed(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let body = message.core()?;
    let (meeting, id) = (message.meeting()?, user_id(message.user("userId")));
    let emoji = truthy(body.get("emoji")).or_else(|| truthy(body.get("reactionEmoji")));
    let emoji = emoji.cloned().unwrap_or_else(|| "none".into());
    let raises = emoji == "raiseHand";
    let user = Attributes::of_user(&meeting, message.user("userId"), state).set("emoji", emoji);
    let mut drafts = vec![about("user-emoji-changed", meeting.clone(), user, state)];
    let known = id.as_ref().and_then(|id| state.user(meeting.as_str(), id.as_str()));
    let lowers = !raises && known.is_some_and(|user| user.hand_raised_by_emoji);
    if raises || lowers {
        if let Some(id) = &id {
            state.update_user(&meeting, id, |user| {
                user.attributes.insert("raiseHand".to_owned(), raises.into());
                user.hand_raised_by_emoji = raises;
            });
        }
        // COMPAT: the Node daemon sends this one with `raiseHand`; the documented name is `raise-hand`. Both stand in it.
        let user = Attributes::of_user(&meeting, message.user("userId"), state)
            .set("raise-hand", raises)
            .set("raiseHand", raises);
        drafts.push(about("user-raise-hand-changed", meeting, user, state));
    }
    Some(drafts)
}

/// A user raised or lowered their hand.
pub(super) fn hand_changed(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let body = message.core()?;
    let meeting = message.meeting()?;
    if let (Some(id), Some(raised)) = (user_id(message.user("userId")), body.get("raiseHand")) {
        state.update_user(&meeting, &id, |user| {
            user.attributes.insert("raiseHand".to_owned(), raised.clone());
            user.hand_raised_by_emoji = false;
        });
    }
    let user = Attributes::of_user(&meeting, message.user("userId"), state).put("raise-hand", body.get("raiseHand"));
    Some(vec![about("user-raise-hand-changed", meeting, user, state)])
}
