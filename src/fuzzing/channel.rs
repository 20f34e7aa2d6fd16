//! What is published.

use std::sync::LazyLock;

use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::config::Secret;
use crate::event::Event;
use crate::event::MappedEvent;
use crate::event::RawMessage;
use crate::fuzzing::SECRET;
use crate::fuzzing::configured;
use crate::fuzzing::plain;
use crate::journal;
use crate::mapper::Mapper;
use crate::state::State;
use crate::store;
use crate::webhooks::address::Address;
use crate::webhooks::callback::CallbackBuilder;
use crate::webhooks::signature;
use crate::xapi::credentials::Lrs;
use crate::xapi::known::Happening;
use crate::xapi::known::Known;
use crate::xapi::records;
use crate::xapi::statement;
use crate::xapi::statement::Site;

/// The hook that gets every event.
const URL: &str = "https://h.example/x?a=b";

/// What the configuration adds, unless an input begins with something else: an event of its own, one beside a built-in one, and
/// attributes over those of two that are built in.
const EVENTS: &str = r#"[
    {"message": "LockSettingsInMeetingChangedEvtMsg", "id": "locked", "attributes": {
        "lock": {"camera": "/core/body/disableCam", "all": "/core/body"}, "by": "/core/body/setBy", "kind": {"constant": [1, {}]}}},
    {"message": "UserLeftMeetingEvtMsg", "id": "gone", "user": "/core/body/intId", "meeting": "/core/header/meetingId"},
    {"message": "UserMutedVoiceEvtMsg", "id": "user-audio-muted", "override": true, "attributes": {"user": {"by": "/core/body/mutedBy"}}},
    {"message": "MeetingCreatedEvtMsg", "id": "meeting-created", "override": true, "attributes": {"meeting": "/core/body/props"}}
]"#;

static CONFIGURED: LazyLock<Mapper> = LazyLock::new(|| mapper(EVENTS).expect("it is right"));
static SITE: LazyLock<Site> =
    LazyLock::new(|| Site { domain: "bbb.example.org".to_owned(), namespace: Uuid::NAMESPACE_DNS });
static BUILDER: LazyLock<CallbackBuilder> = LazyLock::new(|| CallbackBuilder::new(&plain().bbb, &plain().hooks));

/// A mapper with these events configured, a JSON list; `None` if they are wrong.
fn mapper(events: &str) -> Option<Mapper> {
    configured(&format!("{{\"events\":{events}}}")).map(|config| Mapper::new(&config.events))
}

/// Messages on a channel, one in each line, and all that is made of them. A first line that is a list says which events are
/// configured: no message is one.
pub fn channel(data: &[u8]) {
    let first = data.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let events = std::str::from_utf8(first).ok().filter(|first| first.starts_with('['));
    let mapper = events.and_then(mapper).unwrap_or_else(|| CONFIGURED.clone());
    let mut state = State::new(fastrand::Rng::with_seed(1));
    let mut known = Known::default();
    for (now_ms, line) in (1..).zip(data.split(|byte| *byte == b'\n')) {
        let raw = RawMessage { bytes: bytes::Bytes::copy_from_slice(line) };
        let _ = mapper.look(line);
        let _ = mapper.explain(&raw);
        for (number, mapped) in (1..).zip(mapper.map(&raw, &mut state, now_ms).unwrap_or_default()) {
            goes_out(&Event { number, accepted_ms: now_ms, to: None, mapped }, &mut known);
        }
        store::fuzzing::there_and_back(&state.take_changes());
    }
    let meetings = known.meetings.iter();
    for record in meetings.flat_map(|(id, meeting)| records::of_all(id, meeting, &SITE)) {
        let fields = record.fields.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect();
        let _ = records::read(&mut Known::default(), record.shelf, &fields);
    }
}

/// An event's way to the journal, to a hook, and to a Learning Record Store.
fn goes_out(event: &Event, known: &mut Known) {
    let MappedEvent { json, .. } = &event.mapped;
    assert!(serde_json::from_str::<serde_json::Value>(json).is_ok(), "an event is JSON");
    journal::fuzzing::there_and_back(event);
    let address = Address::new(URL).expect("it is a URL");
    let texts: Vec<_> = [false, true].into_iter().filter_map(|raw| event.json(raw)).collect();
    let callback = BUILDER.build(&address, &texts, 1_763_990_000_123);
    let (registered_url, checksum) = signature::split_checksum(callback.url.as_str());
    let received =
        signature::Received { registered_url: &registered_url, checksum, authorization: None, body: &callback.body };
    assert!(signature::check(received, SECRET).is_ok(), "a callback is genuine");

    let Some(happening) = Happening::of(event) else { return };
    let news = known.learn(&happening, 0, SITE.namespace, &TimeZone::UTC);
    let Some(meeting) = known.meetings.get(&happening.meeting) else { return };
    let _ = news.and_then(|news| records::of_news(&news, &happening.meeting, meeting, &SITE));
    let _ = statement::of(&happening, meeting, &SITE).map(|statement| statement.to_string());
    if let Some(payload) = &meeting.payload {
        let _ = Lrs::of_payload(payload, &[Secret::new(SECRET)]);
    }
}
