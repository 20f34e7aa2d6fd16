//! Events against the recorded scenarios.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use futures_util::StreamExt;
use futures_util::stream;
use serde::Deserialize;
use serde_json::Value;

use crate::harness::Algorithm;
use crate::harness::DOMAIN;
use crate::harness::Daemon;
use crate::harness::PATIENCE;
use crate::harness::Receiver;
use crate::harness::Redis;
use crate::harness::Request;
use crate::harness::SECRET;

/// How many scenarios run at once.
const AT_ONCE: usize = 6;

/// After the last event that is expected, how long to look out for one that is not.
const QUIET: Duration = Duration::from_millis(300);

#[derive(Debug, Deserialize)]
struct Scenario {
    name: String,
    env: BTreeMap<String, String>,
    hooks: Vec<BTreeMap<String, String>>,
    steps: Vec<Step>,
    expect: Vec<Vec<Value>>,
}

#[derive(Debug, Deserialize)]
struct Step {
    channel: String,
    message: String,
}

#[tokio::test]
async fn every_hook_gets_the_events_recorded() {
    agree(include_str!("../corpus/events.jsonl"), 32).await;
}

#[tokio::test]
async fn every_hook_gets_what_odd_messages_mean() {
    agree(include_str!("../corpus/odd-events.jsonl"), 20).await;
}

/// Plays a corpus of at least so many scenarios.
async fn agree(corpus: &str, least: usize) {
    let scenarios: Vec<Scenario> =
        corpus.lines().map(|line| serde_json::from_str(line).expect("the corpus is sound")).collect();
    assert!(scenarios.len() >= least, "the corpus is whole");
    let running = stream::iter(&scenarios).map(|scenario| async move {
        let difference = play(scenario).await.err()?;
        Some(format!("{}: {difference}", scenario.name))
    });
    let found: Vec<Option<String>> = running.buffer_unordered(AT_ONCE).collect().await;
    let differences: Vec<String> = found.into_iter().flatten().collect();
    assert!(differences.is_empty(), "{} scenarios differ:\n{}", differences.len(), differences.join("\n"));
}

async fn play(scenario: &Scenario) -> Result<(), String> {
    let redis = Redis::start().await;
    let receiver = Receiver::start().await;
    let setup = scenario.env.iter().fold(Daemon::on(&redis), |setup, (name, value)| setup.env(name, value));
    let daemon = setup.start().await;
    let paths: Vec<String> = (0..scenario.hooks.len()).map(|index| format!("/h{index}")).collect();
    for (path, parameters) in paths.iter().zip(&scenario.hooks) {
        let parameters: Vec<_> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        daemon.create(&receiver.url(path), &parameters).await;
    }
    for Step { channel, message } in &scenario.steps {
        redis.publish_on(channel, message).await;
    }
    settled(&receiver, scenario.expect.iter().map(Vec::len).sum()).await;
    for ((index, path), expected) in paths.iter().enumerate().zip(&scenario.expect) {
        let requests = receiver.to(path);
        for request in &requests {
            if !request.is_signed(&receiver.url(path), SECRET, Algorithm::Sha1) {
                return Err(format!("hook {index}: a wrong checksum in {}", request.target));
            }
            if request.callback().domain != DOMAIN {
                return Err(format!("hook {index}: from {}", request.callback().domain));
            }
        }
        let got: Vec<Value> = requests.iter().flat_map(Request::events).collect();
        compare(expected, &got).map_err(|difference| format!("hook {index}: {difference}"))?;
    }
    Ok(())
}

/// Waits for as many events as are expected, then until no more come.
async fn settled(receiver: &Receiver, expected: usize) {
    let start = tokio::time::Instant::now();
    let mut seen = 0;
    let mut since = start;
    loop {
        let now = receiver.all().len();
        if now != seen {
            (seen, since) = (now, tokio::time::Instant::now());
        }
        let patience = if seen < expected { PATIENCE } else { QUIET };
        if since.elapsed() >= patience {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The first difference, meeting by meeting.
fn compare(expected: &[Value], got: &[Value]) -> Result<(), String> {
    let (expected, got) = (by_meeting(expected), by_meeting(got));
    let none = Vec::new();
    for meeting in expected.keys().chain(got.keys()) {
        let (expected, got) = (expected.get(meeting).unwrap_or(&none), got.get(meeting).unwrap_or(&none));
        for (index, (expected, got)) in expected.iter().zip(got).enumerate() {
            let got = with_now(got, expected);
            difference(expected, &got, "")
                .map_err(|difference| format!("meeting {meeting}, event {index} ({}): {difference}", name(expected)))?;
        }
        if expected.len() != got.len() {
            let names = |events: &[&Value]| events.iter().map(|event| name(event)).collect::<Vec<_>>().join(", ");
            return Err(format!("meeting {meeting}: expected {}; got {}", names(expected), names(got)));
        }
    }
    Ok(())
}

fn by_meeting(events: &[Value]) -> BTreeMap<String, Vec<&Value>> {
    const WAYS: [&str; 6] = [
        "/data/attributes/meeting/internal-meeting-id",
        "/envelope/routing/meetingId",
        "/core/body/props/meetingProp/intId",
        "/core/body/meetingId",
        "/payload/meeting_id",
        "/core/body/recordId",
    ];
    let mut meetings: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for event in events {
        let meeting = WAYS.iter().find_map(|way| event.pointer(way)).and_then(Value::as_str).unwrap_or("none");
        meetings.entry(meeting.to_owned()).or_default().push(event);
    }
    meetings
}

fn name(event: &Value) -> &str {
    let ways = ["/data/id", "/envelope/name", "/header/name"];
    ways.iter().find_map(|way| event.pointer(way)).and_then(Value::as_str).unwrap_or("?")
}

/// The event with `<now>` for its time, where that is expected and right.
fn with_now(event: &Value, expected: &Value) -> Value {
    let mut event = event.clone();
    if expected.pointer("/data/event/ts").is_some_and(|ts| ts == "<now>")
        && let Some(ts) = event.pointer_mut("/data/event/ts")
    {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        if ts.as_u64().is_some_and(|ts| now.abs_diff(ts.into()) < 60_000) {
            *ts = "<now>".into();
        }
    }
    event
}

/// The first difference; the order of keys counts.
fn difference(expected: &Value, got: &Value, at: &str) -> Result<(), String> {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            for (key, expected) in expected {
                let got = got.get(key).ok_or_else(|| format!("{at}/{key} is missing"))?;
                difference(expected, got, &format!("{at}/{key}"))?;
            }
            if let Some(extra) = got.keys().find(|key| !expected.contains_key(*key)) {
                return Err(format!("{at}/{extra} should not be there"));
            }
            if !expected.keys().eq(got.keys()) {
                let keys: Vec<_> = got.keys().collect();
                return Err(format!("{at} has its keys in the order {keys:?}"));
            }
            Ok(())
        }
        (Value::Array(expected), Value::Array(got)) if expected.len() == got.len() => {
            let mut pairs = expected.iter().zip(got).enumerate();
            pairs.try_for_each(|(index, (expected, got))| difference(expected, got, &format!("{at}/{index}")))
        }
        _ if expected == got => Ok(()),
        _ => Err(format!("{at} is {got}, expected {expected}")),
    }
}

#[test]
fn a_difference_is_found_wherever_it_is() {
    let parse = |text: &str| -> Vec<Value> { serde_json::from_str(text).unwrap() };
    let event = |text: &str| parse(&format!(r#"[{{"data":{text}}}]"#));
    let differs = |a: &str, b: &str| compare(&event(a), &event(b)).is_err();
    assert!(!differs(r#"{"id":"a","x":[1]}"#, r#"{"id":"a","x":[1]}"#));
    assert!(differs(r#"{"id":"a","x":[1]}"#, r#"{"x":[1],"id":"a"}"#), "the order of keys");
    assert!(differs(r#"{"id":"a","x":[1]}"#, r#"{"id":"a","x":[true]}"#), "a value");
    assert!(differs(r#"{"id":"a"}"#, r#"{"id":"a","x":1}"#), "a key too many");
    assert!(differs(r#"{"id":"a","x":1}"#, r#"{"id":"a"}"#), "a key too few");
    assert!(differs(r#"{"event":{"ts":"<now>"}}"#, r#"{"event":{"ts":1763990000000}}"#), "a time that is not now");
    let both = parse(r#"[{"data":{"id":"a"}},{"data":{"id":"b"}}]"#);
    let turned = parse(r#"[{"data":{"id":"b"}},{"data":{"id":"a"}}]"#);
    assert!(compare(&both, &turned).is_err(), "the order of events");
    assert!(compare(&both, &both[..1]).is_err() && compare(&both[..1], &both).is_err(), "events missing or too many");
}
