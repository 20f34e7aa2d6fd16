//! Events that are published in their mapped form: they pass as they are, and are believed.

use serde_json::Value;

use crate::event::EventId;
use crate::event::ExternalMeetingId;
use crate::event::InternalMeetingId;
use crate::event::MappedEvent;
use crate::event::RawForm;
use crate::mapper::draft::Draft;
use crate::mapper::draft::at;
use crate::mapper::draft::text;
use crate::mapper::draft::user_id;
use crate::mapper::meeting::everyone_leaves;
use crate::state::State;

/// An event that was to be sent in exactly this form.
pub(super) fn as_it_stands(id: EventId, body: &Value, text: &str) -> MappedEvent {
    let of_meeting = |key: &str| text_at(body, &["data", "attributes", "meeting", key]);
    MappedEvent {
        id,
        meeting: of_meeting("internal-meeting-id").map(Into::into),
        external_meeting: of_meeting("external-meeting-id").map(Into::into),
        json: text.into(),
        raw: RawForm::Message { json: text.into(), also: Vec::new() },
    }
}

fn text_at<'a>(body: &'a Value, path: &[&str]) -> Option<&'a str> {
    text(at(body, path))
}

/// The attribute of its user that an event changes for good, and its value.
fn changed(event: &str, raised: Option<&Value>) -> Option<(&'static str, Value)> {
    Some(match event {
        "user-presenter-assigned" => ("presenter", true.into()),
        "user-presenter-unassigned" => ("presenter", false.into()),
        "meeting-screenshare-started" => ("screenshare", true.into()),
        "meeting-screenshare-stopped" => ("screenshare", false.into()),
        "user-raise-hand-changed" => ("raiseHand", raised?.clone()),
        _ => return None,
    })
}

/// Passes an event with a known id.
pub(super) fn event(id: EventId, body: &Value, state: &mut State, now_ms: u64) -> Option<Vec<Draft>> {
    // COMPAT: all events that are built in are about a meeting, and those that do not say so are not sent.
    at(body, &["data", "attributes", "meeting"]).filter(|meeting| meeting.is_object())?;
    let attribute = |path: &[&str]| at(body, &["data", "attributes"]).and_then(|attributes| at(attributes, path));
    let meeting = text(attribute(&["meeting", "internal-meeting-id"])).map(InternalMeetingId::from);
    let said = text(attribute(&["meeting", "external-meeting-id"])).map(ExternalMeetingId::from);
    let user = user_id(attribute(&["user", "internal-user-id"]));
    let mut drafts = Vec::new();
    match (id.as_str(), &meeting, &said, &user) {
        ("meeting-created", Some(meeting), Some(external), _) => {
            state.meeting_created(meeting, external.clone(), now_ms);
        }
        ("meeting-ended", Some(meeting), ..) => drafts = everyone_leaves(meeting, state),
        ("user-joined", Some(meeting), _, Some(user)) => {
            let external = text(attribute(&["user", "external-user-id"])).map(str::to_owned);
            let attributes = attribute(&["user"]).and_then(Value::as_object).cloned().unwrap_or_default();
            state.user_joined(meeting, user, external, attributes, now_ms);
        }
        ("user-left", Some(meeting), _, Some(user)) => state.user_left(meeting, user),
        (event, Some(meeting), _, Some(user)) => {
            if let Some((name, value)) =
                changed(event, attribute(&["user", "raise-hand"]).or_else(|| attribute(&["user", "raiseHand"])))
            {
                state.set_attribute(meeting, user, name, value);
            }
        }
        _ => {}
    }
    let known = || state.external_meeting_id(meeting.as_ref()?.as_str()).cloned();
    let external = said.or_else(known);
    drafts.push(Draft::whole(id, meeting, external, body.clone()));
    Some(drafts)
}
