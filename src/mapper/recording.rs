//! Events of the recording pipeline, long after a meeting's end.

use serde_json::Value;

use crate::event::ExternalMeetingId;
use crate::event::InternalMeetingId;
use crate::mapper::draft::Attributes;
use crate::mapper::draft::Draft;
use crate::mapper::draft::Message;
use crate::mapper::draft::at;
use crate::mapper::draft::meeting_attributes;
use crate::mapper::draft::text;
use crate::mapper::draft::truthy;
use crate::state::State;

/// A step of the pipeline began or ended.
pub(super) fn stage(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    step(message, state, |payload, attributes| workflow(payload, result(payload, attributes)))
}

/// The recording was archived, or there was nothing to record.
pub(super) fn archive_ended(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    step(message, state, |payload, attributes| {
        let or = |key, other: Value| truthy(payload.get(key)).cloned().unwrap_or(other);
        let attributes = result(payload, attributes)
            .set("recorded", or("recorded", false.into()))
            .set("duration", or("duration", 0.into()));
        workflow(payload, attributes)
    })
}

/// A recording was published, for the first time.
pub(super) fn publish_ended(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    step(message, state, |payload, attributes| {
        let recording = Attributes::new()
            .put("name", at(payload, &["metadata", "meetingName"]))
            .put("is-breakout", at(payload, &["metadata", "isBreakout"]))
            .put("start-time", payload.get("start_time"))
            .put("end-time", payload.get("end_time"))
            .put("size", at(payload, &["playback", "size"]))
            .put("raw-size", payload.get("raw_size"))
            .put("metadata", payload.get("metadata"))
            .put("playback", payload.get("playback"))
            .put("download", payload.get("download"));
        workflow(payload, result(payload, attributes)).group("recording", recording)
    })
}

/// A recording's format was published again, unpublished or deleted, said by the recording scripts.
pub(super) fn state_changed(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    step(message, state, |payload, attributes| {
        workflow(payload, result(payload, attributes)).put("format", payload.get("format"))
    })
}

/// A recording was published again, unpublished or deleted, said by the web application.
pub(super) fn state_set(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let record_id = message.core()?.get("recordId");
    let meeting = InternalMeetingId::from(text(record_id)?);
    let attributes = meeting_attributes(&meeting, state).put("record-id", record_id);
    Some(vec![Draft::new(message.ids[0], meeting, state, attributes)])
}

fn result(payload: &Value, attributes: Attributes) -> Attributes {
    attributes.put("success", payload.get("success")).put("step-time", payload.get("step_time"))
}

fn workflow(payload: &Value, attributes: Attributes) -> Attributes {
    attributes.put("workflow", truthy(payload.get("workflow")))
}

/// What all messages of the recording scripts share; `more` adds the rest.
fn step(
    message: &Message<'_>,
    state: &State,
    more: impl FnOnce(&Value, Attributes) -> Attributes,
) -> Option<Vec<Draft>> {
    let payload = message.at(&["payload"]).filter(|payload| payload.is_object())?;
    // A recording is named after the run of the meeting that it is of.
    let meeting = InternalMeetingId::from(text(payload.get("meeting_id")).or_else(|| text(payload.get("record_id")))?);
    let said = text(payload.get("external_meeting_id")).map(ExternalMeetingId::from);
    let external = said.or_else(|| state.external_meeting_id(meeting.as_str()).cloned());
    let about = Attributes::new()
        .put("internal-meeting-id", payload.get("meeting_id"))
        .set_if("external-meeting-id", external.as_ref().map(ExternalMeetingId::as_str));
    let attributes = Attributes::new().group("meeting", about).put("record-id", payload.get("record_id"));
    let draft = Draft::new(message.ids[0], meeting, state, more(payload, attributes));
    Some(vec![draft.in_external(external).happened(message.at(&["header", "current_time"]))])
}
