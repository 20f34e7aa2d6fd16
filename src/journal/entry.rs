//! How an event stands in the Redis stream. Pure.
//!
//! Its number is the first half of the entry's id, `<number>-0`. What Redis takes for an entry grows with its fields more than with
//! their length, so there are few: `head`, a JSON object of all that is short; `json`, what a hook gets; and `raw`, what a raw
//! hook gets, where that is kept.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde::Serialize;

use crate::event::Event;
use crate::event::EventId;
use crate::event::MappedEvent;
use crate::event::RawForm;
use crate::journal::cursor::HIGHEST;

/// How many names and values an entry has at most.
pub(super) const ARGUMENTS: usize = 6;

/// All that is short of an event.
#[derive(Serialize, Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    meeting: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    external: Option<Cow<'a, str>>,
    at: u64,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    to: Option<Cow<'a, str>>,
    form: Form,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    also: Vec<Cow<'a, str>>,
}

/// Which [`RawForm`] it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Message,
    Mapped,
    Covered,
    None,
}

/// The id of an entry.
pub(super) fn id(number: u64) -> String {
    format!("{number}-0")
}

/// The number that an entry's id stands for; `None` if no event of ours can have it.
pub(super) fn number(id: &str) -> Option<u64> {
    id.split_once('-')?.0.parse().ok().filter(|number| *number <= HIGHEST)
}

/// Adds the fields of an event's entry, names and values in turn, to a command.
pub(super) fn write(event: &Event, command: &mut redis::Cmd) {
    let mapped = &event.mapped;
    let (form, raw, also) = match &mapped.raw {
        RawForm::Message { json, also } => (Form::Message, Some(json), also.as_slice()),
        RawForm::Mapped => (Form::Mapped, None, &[][..]),
        RawForm::Covered => (Form::Covered, None, &[][..]),
        RawForm::NotKept => (Form::None, None, &[][..]),
    };
    let head = Head {
        event: mapped.id.as_str().into(),
        meeting: mapped.meeting.as_ref().map(|id| id.as_str().into()),
        external: mapped.external_meeting.as_ref().map(|id| id.as_str().into()),
        at: event.accepted_ms,
        to: event.to.as_ref().map(|id| id.as_str().into()),
        form,
        also: also.iter().map(|id| id.as_str().into()).collect(),
    };
    command.arg("head").arg(serde_json::to_string(&head).expect("texts and a number are always JSON"));
    command.arg("json").arg(&*mapped.json);
    if let Some(raw) = raw {
        command.arg("raw").arg(&**raw);
    }
}

/// The event of an entry; `None` if it is none of ours.
pub(super) fn read(id: &str, mut fields: HashMap<String, String>) -> Option<Event> {
    let number = number(id)?;
    let json = fields.remove("json").filter(|json| !json.is_empty())?;
    let raw = fields.remove("raw");
    let head: Head<'_> = serde_json::from_str(fields.get("head")?).ok()?;
    let raw = match head.form {
        Form::Message => {
            RawForm::Message { also: head.also.iter().map(|id| EventId::from(&**id)).collect(), json: raw?.into() }
        }
        Form::Mapped => RawForm::Mapped,
        Form::Covered => RawForm::Covered,
        Form::None => RawForm::NotKept,
    };
    Some(Event {
        number,
        accepted_ms: head.at,
        to: head.to.map(|id| (&*id).into()),
        mapped: MappedEvent {
            id: EventId::from(&*head.event),
            meeting: head.meeting.map(|id| (&*id).into()),
            external_meeting: head.external.map(|id| (&*id).into()),
            json: json.into(),
            raw,
        },
    })
}

/// An event, written and read again.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn through_redis(event: &Event) -> Option<Event> {
    let mut command = redis::cmd("XADD");
    write(event, &mut command);
    let mut texts = command.args_iter().skip(1).filter_map(|arg| match arg {
        redis::Arg::Simple(bytes) => String::from_utf8(bytes.to_vec()).ok(),
        _ => None,
    });
    let mut fields = HashMap::new();
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        fields.insert(name, value);
    }
    read(&id(event.number), fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let message = RawForm::Message { json: "{\"a\":1}".into(), also: vec!["b".into(), "c".into()] };
        for raw in [message, RawForm::Mapped, RawForm::Covered, RawForm::NotKept] {
            let mut event = Event {
                number: 1_763_990_000_123_456,
                accepted_ms: 1_763_990_000_123,
                to: None,
                mapped: MappedEvent {
                    id: EventId::built_in("user-joined"),
                    meeting: None,
                    external_meeting: None,
                    json: "{}".into(),
                    raw,
                },
            };
            assert_eq!(through_redis(&event), Some(event.clone()));
            event.to = Some("7".into());
            event.mapped.meeting = Some("int".into());
            event.mapped.external_meeting = Some("ext, \u{fc}".into());
            assert_eq!(through_redis(&event), Some(event.clone()));
        }
    }

    #[test]
    fn what_somebody_else_wrote_is_no_event() {
        let fields = HashMap::from([("json".to_owned(), "{}".to_owned())]);
        assert_eq!(read("1-0", fields), None);
        assert_eq!(number("5-0"), Some(5));
        assert_eq!(number("x-0"), None);
        assert_eq!(number("5"), None);
        assert_eq!(number("18446744073709551615-0"), None);
    }
}
