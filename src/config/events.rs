//! The key `events`: events that are mapped beside the built-in ones.

use serde_yaml::Value;

use super::origin::Place;
use super::values::{self, Found, Reading};
use crate::mapper::{self, ConfiguredEvent, Group, Pointer, Source};

/// The keys of one event.
const KEYS: [&str; 6] = ["message", "id", "meeting", "user", "attributes", "override"];

const MESSAGE: &str = "the name of a BigBlueButton message, such as LockSettingsInMeetingChangedEvtMsg";
const ID: &str = "an id of lower-case letters, digits, - and _, such as lock-settings-changed";
const POINTER: &str = "a JSON pointer into the message, such as /core/body/setBy";
const SOURCE: &str =
    "a JSON pointer into the message, such as /core/body/setBy, {constant: VALUE}, or a mapping of further attributes";

/// A list of events, no two of them alike.
pub(super) fn events(found: &Found) -> Reading<Vec<ConfiguredEvent>> {
    let items = values::strict_list(found)?;
    let events = values::each(&items, event)?;
    for (index, one) in events.iter().enumerate() {
        let twin = events[..index].iter().position(|other| (&other.message, &other.id) == (&one.message, &one.id));
        if let Some(twin) = twin {
            return Err(vec![format!(
                "{}: makes the event {} of the message {}, as the {} in the list does; remove one of them",
                items[index].place,
                one.id,
                one.message,
                ordinal(twin + 1),
            )]);
        }
    }
    Ok(events)
}

fn ordinal(number: usize) -> String {
    match number {
        1 => "first".to_owned(),
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        number => format!("{number}th"),
    }
}

/// One event. All its problems at once.
fn event(found: &Found) -> Reading<ConfiguredEvent> {
    let Some(mapping) = found.value.as_mapping() else {
        return found.expected("a mapping with message, id and attributes");
    };
    let mut problems = Vec::new();
    for key in mapping.keys().filter(|key| !key.as_str().is_some_and(|key| KEYS.contains(&key))) {
        let (place, what) = match key.as_str() {
            Some(key) => (found.place.key(key), "unknown key"),
            None => (found.place.clone(), "a key that is no text"),
        };
        problems.push(format!("{place}: {what}, expected one of {}", KEYS.join(", ")));
    }
    let mut take = Taker { found, problems };
    let overrides = take.optional("override", values::boolean).unwrap_or(false);
    let message = take.required("message", MESSAGE, message);
    let id = take.required("id", ID, |found| id(found, overrides));
    if let Some(id) = id.as_deref().filter(|id| overrides && !mapper::is_built_in(id)) {
        take.problems.push(format!(
            "{}: got true, expected none: no built-in event has the id {id}; docs/events.md has all",
            found.place.key("override")
        ));
    }
    let meeting = take.optional("meeting", pointer);
    let user = take.optional("user", pointer);
    let attributes = take.optional("attributes", group).unwrap_or_default();
    if !overrides {
        take.problems.extend(over_ids(&attributes, &found.place.key("attributes")));
    }
    match (message, id) {
        (Some(message), Some(id)) if take.problems.is_empty() => {
            Ok(ConfiguredEvent { message, id, overrides, meeting, user, attributes })
        }
        _ => Err(take.problems),
    }
}

/// Attributes that would stand where the ids of the meeting and the user do, which are filled in.
fn over_ids(attributes: &Group, place: &Place) -> Vec<String> {
    let mut problems = Vec::new();
    for (group, ids) in [
        ("meeting", ["internal-meeting-id", "external-meeting-id"]),
        ("user", ["internal-user-id", "external-user-id"]),
    ] {
        let place = place.key(group);
        match attributes.iter().find(|(name, _)| name == group) {
            Some((_, Source::Group(members))) => {
                let members = members.iter().filter(|(name, _)| ids.contains(&name.as_str()));
                problems.extend(members.map(|(name, _)| {
                    let place = place.key(name);
                    format!("{place}: is filled in, expected other names; which {group} it is, says the key {group} of the entry")
                }));
            }
            Some(_) => problems.push(format!(
                "{place}: expected a mapping of further attributes: they are added to {} and {}, which are filled in",
                ids[0], ids[1]
            )),
            None => {}
        }
    }
    problems
}

/// Takes the values of one event, and notes what is wrong with them.
struct Taker<'a> {
    found: &'a Found,
    problems: Vec<String>,
}

impl Taker<'_> {
    fn optional<T>(&mut self, key: &str, reader: impl Fn(&Found) -> Reading<T>) -> Option<T> {
        let reading = reader(&values::entry(self.found, key)?);
        reading.map_err(|lines| self.problems.extend(lines)).ok()
    }

    fn required<T>(&mut self, key: &str, expected: &str, reader: impl Fn(&Found) -> Reading<T>) -> Option<T> {
        if values::entry(self.found, key).is_none() {
            self.problems.push(format!("{}: has no {key}, expected {expected}", self.found.place));
        }
        self.optional(key, reader)
    }
}

fn message(found: &Found) -> Reading<String> {
    match found.value.as_str().map(str::trim) {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => found.expected(MESSAGE),
    }
}

/// An id as filters compare it, which a comma list can carry.
fn id(found: &Found, overrides: bool) -> Reading<String> {
    let id = found.value.as_str().unwrap_or_default();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if id.is_empty() || !id.chars().all(plain) {
        return found.expected(ID);
    }
    if !overrides && mapper::is_built_in(id) {
        return found.expected("an id that is not built in; with `override: true` beside it, it may be");
    }
    Ok(id.to_owned())
}

fn pointer(found: &Found) -> Reading<Pointer> {
    found.value.as_str().and_then(Pointer::parse).map_or_else(|| found.expected(POINTER), Ok)
}

fn group(found: &Found) -> Reading<Group> {
    let Some(mapping) = found.value.as_mapping() else {
        return found.expected("a mapping of attributes, such as {locked-by: /core/body/setBy}");
    };
    let mut names = Vec::new();
    for name in mapping.keys() {
        match name.as_str() {
            Some(name) if !name.is_empty() => names.push(name),
            _ => return found.expected("names of attributes that are texts and not empty; put numbers in quotes"),
        }
    }
    let members: Vec<Found> = names.iter().map(|name| values::member(found, name)).collect();
    let sources = values::each(&members, source)?;
    Ok(names.into_iter().map(str::to_owned).zip(sources).collect())
}

fn source(found: &Found) -> Reading<Source> {
    match &found.value {
        Value::Mapping(mapping) => match (mapping.len(), mapping.get("constant")) {
            (1, Some(constant)) => match serde_json::to_value(constant) {
                Ok(constant) => Ok(Source::Constant(constant)),
                Err(_) => found.expected("a constant that JSON can say"),
            },
            (0, _) => found.expected(SOURCE),
            _ => group(found).map(Source::Group),
        },
        Value::String(text) => Pointer::parse(text).map(Source::Pointer).map_or_else(|| found.expected(SOURCE), Ok),
        _ => found.expected(SOURCE),
    }
}
