//! What statements need to know of meetings, their users and polls, beside the event itself. Pure.
//!
//! An event adds what later ones need, and changes nothing that an earlier event's statement says: of users and polls there is
//! a [`History`]. So a statement can be built when it is sent, however late. After a restart only the latest is known of what
//! the journal has not.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use uuid::Uuid;

use crate::event::Event;
use crate::event::InternalMeetingId;
use crate::xapi::history::History;

/// The name of somebody whom nobody names.
pub const NOBODY: &str = "<unknown>";

/// An event as the statements' makers read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// The event's number.
    pub number: u64,
    /// Its id, such as `user-joined`.
    pub id: String,
    /// The meeting it happened in.
    pub meeting: InternalMeetingId,
    /// When it happened, in ms since 1970.
    pub at_ms: i64,
    attributes: Value,
}

impl Happening {
    /// Reads an event; `None` if it happened in no meeting.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        let mapped = &event.mapped;
        let mut json: Value = serde_json::from_str(&mapped.json).ok()?;
        let at_ms = json.pointer("/data/event/ts").and_then(whole);
        Some(Self {
            number: event.number,
            id: mapped.id.to_string(),
            meeting: mapped.meeting.clone()?,
            at_ms: at_ms.or_else(|| event.accepted_ms.try_into().ok())?,
            attributes: json.pointer_mut("/data/attributes")?.take(),
        })
    }

    /// An attribute, by its way.
    #[must_use]
    pub fn get(&self, way: &str) -> Option<&Value> {
        self.attributes.pointer(way).filter(|value| !value.is_null())
    }

    /// An attribute that is a text and not empty.
    #[must_use]
    pub fn text(&self, way: &str) -> Option<&str> {
        self.get(way)?.as_str().filter(|text| !text.is_empty())
    }

    /// An attribute that is `true`, also as text: BigBlueButton 1.x sent that.
    #[must_use]
    pub fn says(&self, way: &str, truth: bool) -> bool {
        match self.get(way) {
            Some(Value::Bool(said)) => *said == truth,
            Some(Value::String(said)) => *said == truth.to_string(),
            _ => false,
        }
    }
}

/// A whole number, also one with a fraction, or as text.
#[must_use]
pub fn whole(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "times in ms are far below 2^53, and others saturate")]
    let cut = |number: f64| number as i64;
    match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(cut)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A meeting.
#[derive(Clone, Debug, PartialEq)]
pub struct Meeting {
    /// Its name in the integrating application.
    pub external_id: String,
    /// What ties together the statements of all its runs of one day.
    pub registration: Uuid,
    /// How long it is to last, in minutes; 0 for no end.
    pub planned_minutes: f64,
    /// When it was created, in ms since 1970.
    pub created_ms: i64,
    /// Its name for people.
    pub name: Option<String>,
    /// Whether there are to be statements.
    pub enabled: bool,
    /// Who begins and ends it.
    pub actor: String,
    /// The LRS that it brings, encrypted.
    pub payload: Option<String>,
    /// Users by their internal id.
    pub users: HashMap<String, History<User>>,
    /// Polls by id.
    pub polls: HashMap<String, History<Poll>>,
}

/// A user who joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The id that the integrating application gave.
    pub external_id: Option<String>,
    /// Their name.
    pub name: String,
}

/// A poll that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// What was asked.
    pub question: Option<String>,
    /// What could be answered: id and text.
    pub choices: Vec<(String, Option<String>)>,
}

/// What an event added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A meeting.
    Meeting,
    /// A user, by internal id.
    User(String),
    /// A poll, by id.
    Poll(String),
}

impl Meeting {
    fn created(happening: &Happening, namespace: Uuid, zone: &TimeZone) -> Option<Self> {
        let external_id = happening.text("/meeting/external-meeting-id")?.to_owned();
        let created_ms = happening.get("/meeting/create-time").and_then(whole).unwrap_or(happening.at_ms);
        let day = zone.to_datetime(Timestamp::from_millisecond(created_ms).ok()?).strftime("%Y%m%d").to_string();
        let registration = Uuid::new_v5(&namespace, format!("{external_id}_{day}").as_bytes());
        let planned = |value: &Value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        let planned = happening.get("/meeting/duration").and_then(planned);
        let enabled = match happening.get("/meeting/metadata/xapi-enabled") {
            Some(Value::Bool(enabled)) => *enabled,
            Some(Value::String(text)) => !text.trim().eq_ignore_ascii_case("false"),
            _ => true,
        };
        Some(Self {
            registration,
            planned_minutes: planned.filter(|minutes| minutes.is_finite() && *minutes >= 0.0).unwrap_or(0.0),
            created_ms,
            name: happening.get("/meeting/name").and_then(Value::as_str).map(str::to_owned),
            enabled,
            actor: happening.text("/meeting/metadata/xapi-create-end-actor-name").unwrap_or(NOBODY).to_owned(),
            // Whatever stands there keeps statements from the server's own LRS.
            payload: happening.get("/meeting/metadata/secret-lrs-payload").map(|payload| match payload {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            }),
            external_id,
            users: HashMap::new(),
            polls: HashMap::new(),
        })
    }

    /// Takes note of what happened in it. No statement of an event before `needed_from` will be made.
    fn learn(&mut self, happening: &Happening, needed_from: u64) -> Option<News> {
        match happening.id.as_str() {
            "user-joined" => {
                let id = happening.text("/user/internal-user-id")?.to_owned();
                let user = User {
                    external_id: happening.text("/user/external-user-id").map(str::to_owned),
                    name: happening.text("/user/name").unwrap_or(NOBODY).to_owned(),
                };
                learn(&mut self.users, &id, happening.number, user, needed_from).then_some(News::User(id))
            }
            "poll-started" => {
                let id = happening.text("/poll/id")?.to_owned();
                let choices = happening.get("/poll/answers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let poll = Poll {
                    question: happening.get("/poll/question").and_then(Value::as_str).map(str::to_owned),
                    choices: choices.iter().filter_map(choice).collect(),
                };
                learn(&mut self.polls, &id, happening.number, poll, needed_from).then_some(News::Poll(id))
            }
            _ => None,
        }
    }

    /// Whom an event names as its user, if they joined.
    #[must_use]
    pub fn user(&self, happening: &Happening) -> Option<&User> {
        self.users.get(happening.text("/user/internal-user-id")?)?.at(happening.number)
    }

    /// The poll that an event is about, if it was started.
    #[must_use]
    pub fn poll(&self, happening: &Happening) -> Option<&Poll> {
        self.polls.get(happening.text("/poll/id")?)?.at(happening.number)
    }
}

/// Takes note of what an event says of the thing with this id; gives whether it is new.
fn learn<T: PartialEq>(
    known: &mut HashMap<String, History<T>>,
    id: &str,
    number: u64,
    said: T,
    needed_from: u64,
) -> bool {
    if let Some(known) = known.get_mut(id) {
        return known.learn(number, said, needed_from);
    }
    known.insert(id.to_owned(), History::new(number, said));
    true
}

fn choice(answer: &Value) -> Option<(String, Option<String>)> {
    let id = match answer.get("id")? {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => return None,
    };
    Some((id, answer.get("key").and_then(Value::as_str).map(str::to_owned)))
}

/// All meetings.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// By internal id.
    pub meetings: HashMap<InternalMeetingId, Meeting>,
}

impl Known {
    /// Takes note of what happened; gives what that added. No statement of an event before `needed_from` will be made. `zone` is
    /// the server's time zone.
    pub fn learn(&mut self, happening: &Happening, needed_from: u64, namespace: Uuid, zone: &TimeZone) -> Option<News> {
        if happening.id != "meeting-created" {
            return self.meetings.get_mut(&happening.meeting)?.learn(happening, needed_from);
        }
        let mut meeting = Meeting::created(happening, namespace, zone)?;
        if let Some(known) = self.meetings.remove(&happening.meeting) {
            // Told twice, as after a crash: what came since stays.
            meeting.registration = known.registration;
            (meeting.users, meeting.polls) = (known.users, known.polls);
        }
        self.meetings.insert(happening.meeting.clone(), meeting);
        Some(News::Meeting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventId;
    use crate::event::MappedEvent;
    use crate::event::RawForm;

    fn happening(id: &str, attributes: &str) -> Happening {
        let json = format!(r#"{{"data":{{"id":"{id}","attributes":{attributes},"event":{{"ts":1763990101000}}}}}}"#);
        let mapped = MappedEvent {
            id: EventId::from(id),
            meeting: Some("int".into()),
            external_meeting: None,
            json: json.into(),
            raw: RawForm::NotKept,
        };
        Happening::of(&Event { number: 1, accepted_ms: 5, to: None, mapped }).unwrap()
    }

    fn created(more: &str, zone: &TimeZone) -> Meeting {
        let attributes = format!(r#"{{"meeting":{{"external-meeting-id":"math-101"{more}}}}}"#);
        Meeting::created(&happening("meeting-created", &attributes), Uuid::NAMESPACE_DNS, zone).unwrap()
    }

    #[test]
    fn the_registration_is_of_the_server_s_own_day() {
        // 2025-11-24T13:13:20Z: the 25th in Auckland, the 24th in Honolulu.
        let at = r#","create-time":1763990000123"#;
        let zone = |hours| jiff::tz::Offset::constant(hours).to_time_zone();
        let day = |text: &str| Uuid::new_v5(&Uuid::NAMESPACE_DNS, text.as_bytes());
        assert_eq!(created(at, &zone(13)).registration, day("math-101_20251125"));
        assert_eq!(created(at, &zone(-10)).registration, day("math-101_20251124"));
        assert_eq!(created("", &zone(0)).created_ms, 1_763_990_101_000, "without a time, the event's own");
    }

    #[test]
    fn metadata_say_whether_and_who() {
        let meeting = |metadata: &str| created(&format!(r#","metadata":{metadata}"#), &TimeZone::UTC);
        for (metadata, enabled) in [
            ("{}", true),
            (r#"{"xapi-enabled":"true"}"#, true),
            (r#"{"xapi-enabled":""}"#, true),
            (r#"{"xapi-enabled":"false"}"#, false),
            (r#"{"xapi-enabled":" False "}"#, false),
            (r#"{"xapi-enabled":false}"#, false),
        ] {
            assert_eq!(meeting(metadata).enabled, enabled, "{metadata}");
        }
        assert_eq!(meeting(r#"{"xapi-create-end-actor-name":"LMS"}"#).actor, "LMS");
        assert_eq!(meeting(r#"{"xapi-create-end-actor-name":""}"#).actor, "<unknown>");
        assert_eq!(meeting("{}").payload, None);
        assert_eq!(meeting(r#"{"secret-lrs-payload":""}"#).payload.as_deref(), Some(""));
        assert_eq!(meeting(r#"{"secret-lrs-payload":7}"#).payload.as_deref(), Some("7"));
    }

    #[test]
    fn a_name_is_that_of_the_event_s_time_and_after_a_restart_at_least_known() {
        let numbered = |number: u64, id: &str, name: &str| {
            let user = format!(r#"{{"user":{{"internal-user-id":"w_1","name":"{name}"}}}}"#);
            Happening { number, ..happening(id, &user) }
        };
        let mut known = Known::default();
        let mut meeting = created("", &TimeZone::UTC);
        // As it is read from Redis.
        meeting.users.insert("w_1".to_owned(), History::new(0, User { external_id: None, name: "Ada II".to_owned() }));
        known.meetings.insert("int".into(), meeting);
        for (number, name) in [(5, "Ada"), (8, "Ada II")] {
            let news = known.learn(&numbered(number, "user-joined", name), 4, Uuid::NAMESPACE_DNS, &TimeZone::UTC);
            assert_eq!(news, Some(News::User("w_1".to_owned())));
        }
        let named = |number| known.meetings["int"].user(&numbered(number, "user-left", "")).unwrap().name.clone();
        assert_eq!([4, 5, 7, 8, 9].map(named), ["Ada II", "Ada", "Ada", "Ada II", "Ada II"]);
    }

    #[test]
    fn learns_users_and_polls_of_meetings_it_knows() {
        let mut known = Known::default();
        let mut learn = |id: &str, attributes: &str| {
            known.learn(&happening(id, attributes), 0, Uuid::NAMESPACE_DNS, &TimeZone::UTC)
        };
        let ada = r#"{"user":{"internal-user-id":"w_1","external-user-id":"ada","name":"Ada"}}"#;
        assert_eq!(learn("user-joined", ada), None, "of a meeting that nobody knows");
        let meeting = r#"{"meeting":{"external-meeting-id":"m"}}"#;
        assert_eq!(learn("meeting-created", meeting), Some(News::Meeting));
        assert_eq!(learn("user-joined", ada), Some(News::User("w_1".to_owned())));
        assert_eq!(learn("user-joined", ada), None, "nothing new");
        let poll = r#"{"poll":{"id":"p","question":"?","answers":[{"id":0,"key":"Yes"},{"id":"x"},{"key":"No"}]}}"#;
        assert_eq!(learn("poll-started", poll), Some(News::Poll("p".to_owned())));
        assert_eq!(learn("meeting-created", meeting), Some(News::Meeting));
        let meeting = &known.meetings["int"];
        assert_eq!(
            meeting.polls["p"].latest().choices,
            [("0".to_owned(), Some("Yes".to_owned())), ("x".to_owned(), None)]
        );
        let named = |user: &str| meeting.user(&happening("user-left", user)).map(|user| user.name.as_str());
        assert_eq!(named(r#"{"user":{"internal-user-id":"w_1"}}"#), Some("Ada"));
        assert_eq!(named(r#"{"user":{"internal-user-id":"w_2","external-user-id":"ada"}}"#), None, "a join not seen");
        assert_eq!(named("{}"), None);
    }
}
