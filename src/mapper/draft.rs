//! What all mapping functions share: reading a message, and writing an event's attributes.

use serde::Serialize;
use serde_json::Map;
use serde_json::Number;
use serde_json::Value;

use crate::event::EventId;
use crate::event::ExternalMeetingId;
use crate::event::InternalMeetingId;
use crate::event::InternalUserId;
use crate::event::MappedEvent;
use crate::event::RawForm;
use crate::state::State;

/// What BigBlueButton writes where a message is about no user: none, its own server of clients, itself.
pub(super) const NOBODY: [&str; 3] = ["not-used", "nodeJSapp", "SYSTEM"];

/// A message of a kind that is in the table.
pub(super) struct Message<'a> {
    /// The whole message.
    pub(super) body: &'a Value,
    /// The ids of the events that its kind can become, as in the table.
    pub(super) ids: &'static [&'static str],
    /// The clock, ms since 1970.
    pub(super) now_ms: u64,
}

impl<'a> Message<'a> {
    /// The value at a path of keys; `None` where one is missing.
    pub(super) fn at(&self, path: &[&str]) -> Option<&'a Value> {
        at(self.body, path)
    }

    /// `core.body`, an object: what every message since BigBlueButton 2.0 carries.
    pub(super) fn core(&self) -> Option<&'a Value> {
        self.at(&["core", "body"]).filter(|body| body.is_object())
    }

    /// The user whom a message since BigBlueButton 2.0 says it is about in its header.
    pub(super) fn header_user(&self) -> Option<&'a Value> {
        self.at(&["core", "header", "userId"])
    }

    /// The user whom a message since BigBlueButton 2.0 is about: as its body says under `key`, else as its header does.
    pub(super) fn user(&self, key: &str) -> Option<&'a Value> {
        let in_body = self.core().and_then(|body| body.get(key)).filter(|user| !user.is_null());
        in_body
            .or_else(|| self.header_user().filter(|user| text(Some(user)).is_some_and(|user| !NOBODY.contains(&user))))
    }

    /// The meeting of a message since BigBlueButton 2.0.
    pub(super) fn meeting(&self) -> Option<InternalMeetingId> {
        [&["core", "body", "meetingId"], &["core", "header", "meetingId"], &["envelope", "routing", "meetingId"]]
            .iter()
            .find_map(|path| text(self.at(&path[..])))
            .map(InternalMeetingId::from)
    }
}

/// The value at a path of keys; `None` where one is missing.
pub(super) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

/// COMPAT: a value that JavaScript takes for something: neither `null`, `false` nor zero, and no empty text.
pub(super) fn truthy(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    })
}

/// A value that is a text and not empty.
pub(super) fn text(value: Option<&Value>) -> Option<&str> {
    value?.as_str().filter(|text| !text.is_empty())
}

/// An event in the making.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) id: EventId,
    pub(super) meeting: Option<InternalMeetingId>,
    external_meeting: Option<ExternalMeetingId>,
    body: Body,
    /// Made by the daemon: it stands for no message.
    pub(super) made_up: bool,
}

#[derive(Debug)]
enum Body {
    /// The attributes, and the time if it is not the daemon's own.
    Attributes(Map<String, Value>, Option<Value>),
    /// The whole event, as it was published.
    Whole(Value),
}

impl Draft {
    /// An event in a meeting whose external id the state may know.
    pub(super) fn new(id: &'static str, meeting: InternalMeetingId, state: &State, attributes: Attributes) -> Self {
        let external_meeting = state.external_meeting_id(meeting.as_str()).cloned();
        Self {
            id: EventId::built_in(id),
            meeting: Some(meeting),
            external_meeting,
            body: Body::Attributes(attributes.0, None),
            made_up: false,
        }
    }

    /// An event that the configuration adds; it may be about no meeting.
    pub(super) fn configured(
        id: EventId,
        meeting: Option<InternalMeetingId>,
        state: &State,
        attributes: Attributes,
    ) -> Self {
        let external_meeting =
            meeting.as_ref().and_then(|meeting| state.external_meeting_id(meeting.as_str())).cloned();
        Self { id, meeting, external_meeting, body: Body::Attributes(attributes.0, None), made_up: false }
    }

    /// An event that was published in its mapped form.
    pub(super) fn whole(
        id: EventId,
        meeting: Option<InternalMeetingId>,
        external: Option<ExternalMeetingId>,
        event: Value,
    ) -> Self {
        Self { id, meeting, external_meeting: external, body: Body::Whole(event), made_up: false }
    }

    /// Says the external id of its meeting, where the message knows it.
    pub(super) fn in_external(mut self, meeting: Option<ExternalMeetingId>) -> Self {
        self.external_meeting = meeting.or(self.external_meeting);
        self
    }

    /// Says when it happened, if the message does.
    pub(super) fn happened(mut self, ts: Option<&Value>) -> Self {
        if let Body::Attributes(_, time) = &mut self.body {
            *time = ts.cloned();
        }
        self
    }

    /// Puts attributes over those it has.
    pub(super) fn overlay(&mut self, over: Map<String, Value>) {
        if let Body::Attributes(attributes, _) = &mut self.body {
            overlay(attributes, over);
        }
    }

    /// Says that it stands for no message.
    pub(super) fn made_up(mut self) -> Self {
        self.made_up = true;
        self
    }

    /// Writes it out. `now_ms` is its time where the message says none.
    pub(super) fn finish(self, raw: RawForm, now_ms: u64) -> MappedEvent {
        let json = match self.body {
            Body::Whole(mut event) => {
                print_numbers_as_javascript(&mut event);
                event.to_string()
            }
            Body::Attributes(mut attributes, ts) => {
                let mut ts = ts.unwrap_or_else(|| now_ms.into());
                attributes.values_mut().for_each(print_numbers_as_javascript);
                print_numbers_as_javascript(&mut ts);
                let data = Data { kind: "event", id: self.id.as_str(), attributes, event: Happened { ts } };
                serde_json::to_string(&Envelope { data }).expect("texts and JSON values are always JSON")
            }
        };
        MappedEvent {
            id: self.id,
            meeting: self.meeting,
            external_meeting: self.external_meeting,
            json: json.into(),
            raw,
        }
    }
}

/// An event as hooks get it.
#[derive(Serialize)]
struct Envelope<'a> {
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    attributes: Map<String, Value>,
    event: Happened,
}

#[derive(Serialize)]
struct Happened {
    ts: Value,
}

/// Puts members over those that are there: groups are merged, all else is replaced.
fn overlay(members: &mut Map<String, Value>, over: Map<String, Value>) {
    for (name, value) in over {
        match (members.get_mut(&name), value) {
            (Some(Value::Object(group)), Value::Object(over)) => overlay(group, over),
            (_, value) => drop(members.insert(name, value)),
        }
    }
}

/// COMPAT: JavaScript has one kind of number and prints whole ones without a fraction; `1.0` goes out as `1`.
fn print_numbers_as_javascript(value: &mut Value) {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|n| number.is_f64() && n.fract() == 0.0 && n.abs() <= EXACT);
            if let Some(whole) = whole {
                #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
                let whole = whole as i64;
                *number = Number::from(whole);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(print_numbers_as_javascript),
        Value::Object(members) => members.values_mut().for_each(print_numbers_as_javascript),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Attributes of an event, in the order put. What its message does not say is left out.
#[derive(Debug, Default)]
pub(super) struct Attributes(Map<String, Value>);

impl Attributes {
    /// None yet.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// `internal-meeting-id`, and `external-meeting-id` if it is known.
    pub(super) fn of_meeting(meeting: &InternalMeetingId, state: &State) -> Self {
        let external = state.external_meeting_id(meeting.as_str());
        Self::new()
            .set("internal-meeting-id", meeting.as_str())
            .set_if("external-meeting-id", external.map(ExternalMeetingId::as_str))
    }

    /// `internal-user-id` and `external-user-id` of a user since BigBlueButton 2.0.
    ///
    /// COMPAT: of a user who is not known, as one who dialled in, the external id is empty, not missing.
    pub(super) fn of_user(meeting: &InternalMeetingId, user: Option<&Value>, state: &State) -> Self {
        let known = text(user).and_then(|user| state.user(meeting.as_str(), user));
        let external = known.and_then(|known| known.external_id.as_deref()).unwrap_or_default();
        Self::new().put("internal-user-id", user).set_if("external-user-id", user.map(|_| external))
    }

    /// A value of the message, as it stands there.
    pub(super) fn put(mut self, key: &str, value: Option<&Value>) -> Self {
        if let Some(value) = value {
            self.0.insert(key.to_owned(), value.clone());
        }
        self
    }

    /// A value of our own.
    pub(super) fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// A value of our own, if there is one.
    pub(super) fn set_if(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.set(key, value),
            None => self,
        }
    }

    /// Attributes under a key of their own.
    pub(super) fn group(self, key: &str, attributes: Self) -> Self {
        self.set(key, attributes.0)
    }

    /// The attributes with others put over them.
    pub(super) fn overlaid(mut self, over: Map<String, Value>) -> Self {
        overlay(&mut self.0, over);
        self
    }

    /// The attributes as a JSON object's members.
    pub(super) fn into_map(self) -> Map<String, Value> {
        self.0
    }
}

impl From<Map<String, Value>> for Attributes {
    fn from(members: Map<String, Value>) -> Self {
        Self(members)
    }
}

/// `{meeting}`: what an event about a meeting as such says.
pub(super) fn meeting_attributes(meeting: &InternalMeetingId, state: &State) -> Attributes {
    Attributes::new().group("meeting", Attributes::of_meeting(meeting, state))
}

/// A user's id as the state keeps it.
pub(super) fn user_id(value: Option<&Value>) -> Option<InternalUserId> {
    text(value).map(InternalUserId::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_no_fraction() {
        let mut value: Value =
            serde_json::from_str(r#"{"a":[1.0,-0.5,1e3,9007199254740993],"b":{"c":3}}"#).expect("JSON");
        print_numbers_as_javascript(&mut value);
        assert_eq!(value.to_string(), r#"{"a":[1,-0.5,1000,9007199254740993],"b":{"c":3}}"#);
    }
}
