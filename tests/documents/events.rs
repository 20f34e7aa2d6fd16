//! `docs/events.md`: every built-in event, from the recorded scenarios.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write;

use bbb_webhooks::mapper;
use serde_json::Value;

use crate::generated;

/// What each event says, in the order of the document, by subject.
const SUBJECTS: &[(&str, &[(&str, &str)])] = &[
    (
        "Meetings",
        &[
            ("meeting-created", "A meeting was created, or a breakout room."),
            ("meeting-ended", "A meeting ended. A `user-left` for everyone who was still there comes before it."),
            ("meeting-recording-started", "The recording was started, by whoever presses the button."),
            ("meeting-recording-stopped", "The recording was stopped."),
            ("meeting-recording-unhandled", "The recording changed, and BigBlueButton did not say how."),
            ("meeting-screenshare-started", "Somebody shares a screen."),
            ("meeting-screenshare-stopped", "The screen is no longer shared."),
            ("meeting-presentation-changed", "Another presentation is shown."),
        ],
    ),
    (
        "Users",
        &[
            ("user-joined", "A user joined."),
            ("user-left", "A user left; or was there when the meeting ended: then with what the join said."),
            ("user-audio-voice-enabled", "A user joined the audio, to speak or only to listen."),
            ("user-audio-voice-disabled", "A user left the audio."),
            ("user-audio-muted", "A user was muted."),
            ("user-audio-unmuted", "A user was unmuted."),
            ("user-audio-unhandled", "A user's microphone changed, and BigBlueButton did not say how."),
            ("user-audio-listen-only-enabled", "A user listens only. BigBlueButton 1.x."),
            ("user-audio-listen-only-disabled", "A user no longer listens only. BigBlueButton 1.x."),
            ("user-cam-broadcast-start", "A user shares a camera."),
            ("user-cam-broadcast-end", "A user no longer shares a camera."),
            ("user-presenter-assigned", "A user became presenter."),
            ("user-presenter-unassigned", "A user is no longer presenter."),
            ("user-emoji-changed", "A user set a status, or reacted with an emoji."),
            ("user-raise-hand-changed", "A user raised or lowered a hand."),
        ],
    ),
    (
        "What is said and written",
        &[
            ("chat-group-message-sent", "Somebody wrote in the public chat. Private chats make no events."),
            ("pad-content", "The shared notes or captions changed."),
            ("poll-started", "A poll was started."),
            ("poll-responded", "Somebody answered a poll."),
            ("transcript-updated", "The captions of somebody's speech changed."),
        ],
    ),
    (
        "Recordings",
        &[
            ("rap-archive-started", "The recording is being archived."),
            ("rap-archive-ended", "The recording was archived, or there was nothing to record."),
            ("rap-sanity-started", "The archived recording is being checked."),
            ("rap-sanity-ended", "The archived recording was checked."),
            ("rap-post-archive-started", "The scripts after archiving run."),
            ("rap-post-archive-ended", "The scripts after archiving ended."),
            ("rap-process-started", "The recording is being processed, for one format (`workflow`)."),
            ("rap-process-ended", "The recording was processed."),
            ("rap-post-process-started", "The scripts after processing run."),
            ("rap-post-process-ended", "The scripts after processing ended."),
            ("rap-publish-started", "The recording is being published, in one format."),
            ("rap-publish-ended", "The recording was published: from now on it can be watched."),
            ("rap-post-publish-started", "The scripts after publishing run."),
            ("rap-post-publish-ended", "The scripts after publishing ended."),
            ("rap-published", "The recording can be watched again."),
            ("rap-unpublished", "The recording was hidden."),
            ("rap-deleted", "The recording was deleted."),
        ],
    ),
];

/// Groups in which anything may stand.
const OPEN: [&str; 4] = ["metadata", "userdata", "playback", "download"];

/// Scenarios of events as they should not be.
const ODD: [&str; 2] = ["incomplete-bodies", "mapped-event-passes"];

/// The recorded events of one id.
#[derive(Default)]
struct Recorded {
    /// As BigBlueButton sends them now.
    usual: Vec<Value>,
    /// From incomplete messages, or BigBlueButton 1.x.
    odd: Vec<Value>,
}

impl Recorded {
    /// Those that say how the event looks.
    fn telling(&self) -> &[Value] {
        if self.usual.is_empty() { &self.odd } else { &self.usual }
    }
}

fn recorded() -> BTreeMap<String, Recorded> {
    let mut recorded: BTreeMap<String, Recorded> = BTreeMap::new();
    for line in include_str!("../corpus/events.jsonl").lines() {
        let scenario: Value = serde_json::from_str(line).unwrap();
        let legacy = scenario["tags"].as_array().is_some_and(|tags| tags.contains(&"legacy".into()));
        let odd = legacy || ODD.contains(&scenario["name"].as_str().unwrap());
        for event in scenario["expect"].as_array().unwrap().iter().flat_map(|events| events.as_array().unwrap()) {
            let Some(id) = event.pointer("/data/id").and_then(Value::as_str) else { continue };
            let of_id = recorded.entry(id.to_owned()).or_default();
            let events = if odd { &mut of_id.odd } else { &mut of_id.usual };
            events.push(event.clone());
        }
    }
    recorded
}

/// The fields of an event, by name with dots between groups, in the order in which they stand, with their kinds.
fn fields(event: &Value) -> Vec<(String, &'static str)> {
    fn collect(value: &Value, name: &str, found: &mut Vec<(String, &'static str)>) {
        let open = OPEN.contains(&name.rsplit('.').next().unwrap_or_default());
        match value {
            Value::Object(members) if !open => members.iter().for_each(|(key, value)| {
                collect(value, &if name.is_empty() { key.clone() } else { format!("{name}.{key}") }, found);
            }),
            _ => found.push((name.to_owned(), kind(value))),
        }
    }
    let mut found = Vec::new();
    collect(&event["data"]["attributes"], "", &mut found);
    found
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// One line for each field: its name, its kinds, and whether every event has it.
fn field_table(events: &[Value]) -> String {
    let all: Vec<_> = events.iter().map(fields).collect();
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in all.iter().flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut table = "| field | is | |\n|---|---|---|\n".to_owned();
    for name in names {
        let of_name =
            |fields: &Vec<(String, &'static str)>| fields.iter().find(|(n, _)| n == name).map(|(_, kind)| *kind);
        let kinds: BTreeSet<_> = all.iter().filter_map(of_name).collect();
        let always = all.iter().all(|fields| of_name(fields).is_some());
        let kinds = kinds.into_iter().collect::<Vec<_>>().join(", ");
        let _ = writeln!(table, "| `{name}` | {kinds} | {} |", if always { "" } else { "not always" });
    }
    table
}

/// The event that says most, with a time.
fn example(events: &[Value]) -> String {
    let most = events.iter().rev().max_by_key(|event| fields(event).len()).expect("an event is recorded");
    let text = serde_json::to_string_pretty(most).unwrap();
    text.replace("\"<now>\"", "1763990000123")
}

fn of_event(id: &str, says: &str, events: &[Value]) -> String {
    let sources: Vec<_> =
        mapper::built_in().filter(|(_, ids)| ids.contains(&id)).map(|(message, _)| format!("`{message}`")).collect();
    let sources = sources.join(", ");
    let (table, example) = (field_table(events), example(events));
    format!("### {id}\n\n{says} From {sources}.\n\n{table}\n```json\n{example}\n```\n")
}

#[test]
fn the_document_has_every_event_as_recorded() {
    let recorded = recorded();
    let described: BTreeSet<&str> = SUBJECTS.iter().flat_map(|(_, events)| *events).map(|(id, _)| *id).collect();
    let built_in: BTreeSet<&str> = mapper::built_in().flat_map(|(_, ids)| ids).copied().collect();
    assert_eq!(described, built_in, "every event is described, and nothing else");
    let mut text = String::new();
    for (subject, events) in SUBJECTS {
        let _ = writeln!(text, "## {subject}\n");
        for (id, says) in *events {
            let recorded = recorded.get(*id).unwrap_or_else(|| panic!("{id} is recorded nowhere"));
            let _ = writeln!(text, "{}", of_event(id, says, recorded.telling()));
        }
    }
    generated::check("docs/events.md", &text);
}
