//! How what is known stands in Redis: the Node daemon's fields, and those that it lacks to be of use after a restart. Pure.
//!
//! A meeting's record is named by its session's id, a user's and a poll's by an id made of both, so that what is learned
//! again after a crash is written over itself.

use serde_json::Value;
use serde_json::json;

use crate::event::InternalMeetingId;
use crate::store::records::Fields;
use crate::store::records::Record;
use crate::store::records::Shelf;
use crate::xapi::history::History;
use crate::xapi::known::Known;
use crate::xapi::known::Meeting;
use crate::xapi::known::NOBODY;
use crate::xapi::known::News;
use crate::xapi::known::Poll;
use crate::xapi::known::User;
use crate::xapi::statement::Site;
use crate::xapi::statement::within;

/// The record of what was learned of a meeting.
#[must_use]
pub fn of_news(news: &News, id: &InternalMeetingId, meeting: &Meeting, site: &Site) -> Option<Record> {
    match news {
        News::Meeting => Some(of_meeting(id, meeting, site)),
        News::User(user) => Some(of_user(id, user, meeting.users.get(user)?.latest(), site)),
        News::Poll(poll) => Some(of_poll(id, poll, meeting.polls.get(poll)?.latest(), site)),
    }
}

/// All records of a meeting.
#[must_use]
pub fn of_all(id: &InternalMeetingId, meeting: &Meeting, site: &Site) -> Vec<Record> {
    let users = meeting.users.iter().map(|(user, known)| of_user(id, user, known.latest(), site));
    let polls = meeting.polls.iter().map(|(poll, known)| of_poll(id, poll, known.latest(), site));
    std::iter::once(of_meeting(id, meeting, site)).chain(users).chain(polls).collect()
}

fn of_meeting(id: &InternalMeetingId, meeting: &Meeting, site: &Site) -> Record {
    let record = site.id_of(id.as_str()).to_string();
    let mut fields = vec![
        ("id", record.clone()),
        ("internal_meeting_id", id.to_string()),
        ("external_meeting_id", meeting.external_id.clone()),
        ("context_registration", meeting.registration.to_string()),
        ("planned_duration", meeting.planned_minutes.to_string()),
        ("create_time", meeting.created_ms.to_string()),
        ("xapi_enabled", meeting.enabled.to_string()),
        ("create_end_actor_name", meeting.actor.clone()),
    ];
    fields.extend(meeting.name.clone().map(|name| ("meeting_name", name)));
    fields.extend(meeting.payload.clone().map(|payload| ("lrs_payload", payload)));
    Record { shelf: Shelf::Meetings, id: record, fields: Some(fields) }
}

fn of_user(meeting: &InternalMeetingId, id: &str, user: &User, site: &Site) -> Record {
    let record = site.id_of(&within(meeting, id)).to_string();
    let mut fields = vec![
        ("id", record.clone()),
        ("internal_meeting_id", meeting.to_string()),
        ("internal_user_id", id.to_owned()),
        ("name", user.name.clone()),
    ];
    fields.extend(user.external_id.clone().map(|id| ("external_user_id", id)));
    Record { shelf: Shelf::Users, id: record, fields: Some(fields) }
}

fn of_poll(meeting: &InternalMeetingId, id: &str, poll: &Poll, site: &Site) -> Record {
    let record = site.id_of(&within(meeting, id)).to_string();
    let choices: Vec<_> =
        poll.choices.iter().map(|(id, text)| json!({"id": id, "description": {"en": text}})).collect();
    let mut fields = vec![
        ("id", record.clone()),
        ("internal_meeting_id", meeting.to_string()),
        ("poll_id", id.to_owned()),
        ("object_id", site.id_of(id).to_string()),
        ("choices", Value::from(choices).to_string()),
    ];
    fields.extend(poll.question.clone().map(|question| ("question", question)));
    Record { shelf: Shelf::Polls, id: record, fields: Some(fields) }
}

/// Reads a record into what is known; false if it is none of ours. Call it for meetings first.
pub fn read(known: &mut Known, shelf: Shelf, fields: &Fields) -> bool {
    match shelf {
        Shelf::Meetings => read_meeting(known, fields),
        Shelf::Users => read_user(known, fields),
        Shelf::Polls => read_poll(known, fields),
    }
    .is_some()
}

fn read_meeting(known: &mut Known, fields: &Fields) -> Option<()> {
    let text = |key: &str| fields.get(key).cloned();
    let meeting = Meeting {
        external_id: text("external_meeting_id")?,
        registration: text("context_registration")?.parse().ok()?,
        planned_minutes: text("planned_duration").and_then(|minutes| minutes.parse().ok()).unwrap_or(0.0),
        created_ms: text("create_time")?.parse().ok()?,
        name: text("meeting_name"),
        enabled: text("xapi_enabled").is_none_or(|enabled| enabled != "false"),
        actor: text("create_end_actor_name").unwrap_or_else(|| NOBODY.to_owned()),
        payload: text("lrs_payload"),
        users: std::collections::HashMap::new(),
        polls: std::collections::HashMap::new(),
    };
    known.meetings.insert(text("internal_meeting_id")?.into(), meeting);
    Some(())
}

/// As known before all events of this run.
fn since_ever<T: PartialEq>(known: T) -> History<T> {
    History::new(0, known)
}

fn read_user(known: &mut Known, fields: &Fields) -> Option<()> {
    let meeting = known.meetings.get_mut(fields.get("internal_meeting_id")?.as_str())?;
    let user = User { external_id: fields.get("external_user_id").cloned(), name: fields.get("name")?.clone() };
    meeting.users.insert(fields.get("internal_user_id")?.clone(), since_ever(user));
    Some(())
}

fn read_poll(known: &mut Known, fields: &Fields) -> Option<()> {
    let meeting = known.meetings.get_mut(fields.get("internal_meeting_id")?.as_str())?;
    let choices: Vec<Value> = serde_json::from_str(fields.get("choices")?).ok()?;
    let choice = |choice: &Value| {
        let text = choice.pointer("/description/en").and_then(Value::as_str).map(str::to_owned);
        Some((choice.get("id")?.as_str()?.to_owned(), text))
    };
    let poll =
        Poll { question: fields.get("question").cloned(), choices: choices.iter().map(choice).collect::<Option<_>>()? };
    meeting.polls.insert(fields.get("poll_id")?.clone(), since_ever(poll));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let site = Site { domain: "h".to_owned(), namespace: uuid::Uuid::NAMESPACE_DNS };
        let id = InternalMeetingId::from("int");
        let user = User { external_id: Some("ada".to_owned()), name: "Ada".to_owned() };
        let nobody = User { external_id: None, name: NOBODY.to_owned() };
        let choices = vec![("0".to_owned(), Some("Yes \"so\"".to_owned())), ("1".to_owned(), None)];
        let poll = Poll { question: None, choices };
        let meeting = Meeting {
            external_id: "m".to_owned(),
            registration: site.id_of("x"),
            planned_minutes: 90.0,
            created_ms: 1_763_990_000_123,
            name: Some("Física I".to_owned()),
            enabled: true,
            actor: "LMS".to_owned(),
            payload: Some("U2Fs".to_owned()),
            users: [("w_1".to_owned(), since_ever(user)), ("w_2".to_owned(), since_ever(nobody))].into(),
            polls: [("p/1".to_owned(), since_ever(poll))].into(),
        };
        let mut known = Known::default();
        for record in of_all(&id, &meeting, &site) {
            let fields = record.fields.unwrap().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            assert!(read(&mut known, record.shelf, &fields));
        }
        assert_eq!(known.meetings[&id], meeting);
        assert_eq!(known.meetings.len(), 1);
    }

    #[test]
    fn what_the_node_daemon_left_of_users_is_none_of_ours() {
        let fields = Fields::from([("id".to_owned(), "x".to_owned()), ("name".to_owned(), "Ada".to_owned())]);
        for shelf in Shelf::ALL {
            assert!(!read(&mut Known::default(), shelf, &fields));
        }
    }
}
