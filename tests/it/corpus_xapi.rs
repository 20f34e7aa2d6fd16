//! Statements against the recorded scenarios, and each against the rules of xAPI.

use futures_util::StreamExt;
use futures_util::stream;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use crate::harness::Daemon;
use crate::harness::Receiver;
use crate::harness::Redis;
use crate::harness::Request;
use crate::harness::STATEMENTS;
use crate::harness::check_statement;
use crate::harness::encrypt;
use crate::harness::until;

/// How many scenarios run at once.
const AT_ONCE: usize = 3;

#[derive(Debug, Deserialize)]
struct Scenario {
    name: String,
    uuid_namespace: String,
    events: Vec<Value>,
    expect: Vec<Value>,
}

fn corpus() -> Vec<Scenario> {
    let lines = include_str!("../corpus/xapi.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).expect("the corpus is sound")).collect()
}

#[tokio::test]
async fn every_event_makes_the_statement_recorded() {
    let scenarios = corpus();
    assert!(scenarios.len() >= 9, "the corpus is whole");
    let running = stream::iter(&scenarios).map(play);
    let _: Vec<()> = running.buffer_unordered(AT_ONCE).collect().await;
}

async fn play(scenario: &Scenario) {
    let (redis, lrs) = (Redis::start().await, Receiver::start().await);
    let module = json!({"enabled": true, "config": {
        "lrs": {"lrs_endpoint": lrs.url(""), "lrs_username": "admin", "lrs_password": "secret"},
        "uuid_namespace": scenario.uuid_namespace,
    }});
    let config = json!({"modules": {"../out/xapi/index.js": module}}).to_string();
    let daemon = Daemon::on(&redis).env("XAPI_ENABLED", "true").env("TZ", "UTC").env("NODE_CONFIG", &config);
    let daemon = daemon.start().await;
    for event in &scenario.events {
        redis.publish_on("from-akka-apps-redis-channel", &filled(event, &lrs).to_string()).await;
    }
    // A marker for what must not come: this meeting's statement is sent after all that was said before was looked at.
    let marker = json!({"data": {"type": "event", "id": "meeting-created", "event": {"ts": 1}, "attributes": {"meeting": {
        "internal-meeting-id": "marker", "external-meeting-id": "marker", "create-time": 1, "name": "marker",
    }}}});
    redis.publish_on("from-akka-apps-redis-channel", &marker.to_string()).await;
    let name = &scenario.name;
    let is_marker = |request: &Request| request.body.contains(r#""en":"marker""#);
    let others = || lrs.to(STATEMENTS).into_iter().filter(|request| !is_marker(request)).collect::<Vec<_>>();
    until(format!("{name}: the statements expected"), async || {
        lrs.to(STATEMENTS).iter().any(is_marker) && others().len() >= scenario.expect.len()
    })
    .await;
    let got: Vec<Value> = others().iter().map(seen).collect();
    assert_eq!(got, scenario.expect, "{name}");
    for got in &got {
        check_statement(&got["statement"]).unwrap_or_else(|wrong| panic!("{name}: {wrong} in {got}"));
    }
    assert_eq!(lrs.all().len(), scenario.expect.len() + 1, "{name}: nothing goes elsewhere");
    drop(daemon);
}

/// The event, with what is to be encrypted encrypted.
fn filled(event: &Value, lrs: &Receiver) -> Value {
    let mut event = event.clone();
    if let Some(payload) = event.pointer_mut("/data/attributes/meeting/metadata/secret-lrs-payload")
        && let (Some(plain), Some(secret)) = (payload.get("$encrypt"), payload.get("$secret").and_then(Value::as_str))
    {
        *payload = encrypt(&plain.to_string().replace("<lrs>", &lrs.url("")), secret).into();
    }
    event
}

/// A request in the corpus's form.
fn seen(request: &Request) -> Value {
    json!({
        "path": request.target,
        "authorization": request.header("authorization"),
        "version": request.header("x-experience-api-version"),
        "content-type": request.header("content-type"),
        "statement": serde_json::from_str::<Value>(&request.body).unwrap(),
    })
}

#[test]
fn what_is_no_statement_is_found() {
    let corpus = corpus();
    let statements = || corpus.iter().flat_map(|scenario| &scenario.expect).map(|expected| &expected["statement"]);
    assert!(statements().all(|statement| check_statement(statement).is_ok()));
    let spoilt = |way: &str, value: Value| {
        statements().filter(|statement| statement.pointer(way).is_some()).all(|statement| {
            let mut statement = statement.clone();
            *statement.pointer_mut(way).unwrap() = value.clone();
            check_statement(&statement).is_err()
        })
    };
    for (way, value) in [
        ("/actor/account/name", Value::Null),
        ("/actor/account", json!({})),
        ("/verb/id", json!("joined")),
        ("/object/id", json!("x")),
        ("/object/definition/name/en", Value::Null),
        ("/object/definition/choices/1/id", json!("0")),
        ("/object/definition/interactionType", json!("poll")),
        ("/context/registration", json!("math-101")),
        ("/context/extensions", json!({"session": "x"})),
        ("/context/contextActivities/parent", json!([{"id": "x"}])),
        ("/result/duration", json!("120 s")),
        ("/result/duration", json!("PT-5S")),
        ("/result/response", json!(["0", "1"])),
        ("/timestamp", json!("yesterday")),
        ("/object", json!({})),
    ] {
        assert!(statements().any(|statement| statement.pointer(way).is_some()), "{way}");
        assert!(spoilt(way, value), "{way}");
    }
}
