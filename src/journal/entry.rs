//! How an event stands in the Redis stream. Pure.
//!
//! Its number is the first half of the entry's id, `<number>-0`. All entries have the same fields in the same order, which
//! Redis stores once per block.

use std::collections::HashMap;

use crate::event::Event;
use crate::event::EventId;
use crate::event::MappedEvent;
use crate::event::RawForm;
use crate::journal::cursor::HIGHEST;

/// How many names and values an entry has.
pub(super) const ARGUMENTS: usize = 18;

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
        RawForm::Message { json, also } => ("message", &**json, also.as_slice()),
        RawForm::Mapped => ("mapped", "", &[][..]),
        RawForm::Covered => ("covered", "", &[][..]),
        RawForm::NotKept => ("none", "", &[][..]),
    };
    let also: Vec<_> = also.iter().map(EventId::as_str).collect();
    command.arg("event").arg(mapped.id.as_str());
    command.arg("meeting").arg(mapped.meeting.as_ref().map_or("", |id| id.as_str()));
    command.arg("external").arg(mapped.external_meeting.as_ref().map_or("", |id| id.as_str()));
    command.arg("at").arg(event.accepted_ms);
    command.arg("to").arg(event.to.as_ref().map_or("", |id| id.as_str()));
    command.arg("form").arg(form);
    command.arg("also").arg(also.join(","));
    command.arg("json").arg(&*mapped.json);
    command.arg("raw").arg(raw);
}

/// The event of an entry; `None` if it is none of ours.
pub(super) fn read(id: &str, mut fields: HashMap<String, String>) -> Option<Event> {
    let mut take = |name: &str| fields.remove(name).filter(|value| !value.is_empty());
    let raw = match take("form")?.as_str() {
        "message" => RawForm::Message {
            also: take("also").iter().flat_map(|ids| ids.split(',')).map(EventId::from).collect(),
            json: take("raw")?.into(),
        },
        "mapped" => RawForm::Mapped,
        "covered" => RawForm::Covered,
        _ => RawForm::NotKept,
    };
    Some(Event {
        number: number(id)?,
        accepted_ms: take("at")?.parse().ok()?,
        to: take("to").map(Into::into),
        mapped: MappedEvent {
            id: EventId::from(take("event")?.as_str()),
            meeting: take("meeting").map(Into::into),
            external_meeting: take("external").map(Into::into),
            json: take("json")?.into(),
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
