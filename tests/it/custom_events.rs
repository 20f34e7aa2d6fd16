//! `events` of the configuration, against the running daemon: the examples of the documentation, and what they promise.

use serde_json::Value;
use serde_json::json;

use crate::harness::Daemon;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Redis;
use rustix::process::Signal;

const DOCUMENT: &str = include_str!("../../docs/custom-events.md");

const CHANNEL: &str = "from-akka-apps-redis-channel";

/// The meeting of the examples.
const INTERNAL: &str = "183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1763990000123";

/// The fenced blocks of a part of a document, by their language.
fn blocks<'a>(part: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let opened = part.split(&fence).skip(1);
    opened.map(|rest| rest.split("\n```").next().unwrap()).collect()
}

/// The examples: configuration, message, event.
fn examples() -> Vec<(&'static str, &'static str, Value)> {
    let parts = DOCUMENT.split("\n## ").filter(|part| part.starts_with("Example: "));
    parts
        .map(|part| {
            let (yaml, json) = (blocks(part, "yaml"), blocks(part, "json"));
            let (&[yaml], &[message, event]) = (&yaml[..], &json[..]) else { panic!("three blocks in {part}") };
            (yaml, message, serde_json::from_str(event).unwrap())
        })
        .collect()
}

fn math() -> Meeting {
    Meeting { external: "math-101".to_owned(), internal: INTERNAL.to_owned() }
}

/// Teaches the daemon the meeting of the examples, and its moderator.
async fn begin(lab: &Lab) {
    let joined = math().joined("amara").json.replace("ext-amara", "teacher-12");
    lab.redis.publish(&math().created()).await;
    lab.redis.publish_on(CHANNEL, &joined).await;
}

#[tokio::test]
async fn the_examples_of_the_documentation_hold() {
    let examples = examples();
    assert_eq!(examples.len(), 3);
    for (yaml, message, mut expected) in examples {
        let lab = Lab::with(|setup| setup.file("local.yml", yaml)).await;
        let id = expected["data"]["id"].as_str().unwrap().to_owned();
        lab.hook("/mapped", &[("eventID", &id), ("meetingID", "math-101")]).await;
        lab.hook("/raw", &[("getRaw", "true"), ("eventID", &id)]).await;
        lab.hook("/other", &[("meetingID", "other")]).await;
        begin(&lab).await;
        lab.redis.publish_on(CHANNEL, message).await;
        let mut got = lab.receiver.wait("/mapped", 1).await[0].events().remove(0);
        // The time is when the daemon got it.
        let ts = got["data"]["event"]["ts"].take();
        assert!(ts.as_u64().unwrap() > 1_763_990_000_000, "{ts}");
        expected["data"]["event"]["ts"] = Value::Null;
        assert_eq!(got, expected);
        let raw = lab.receiver.wait("/raw", 1).await[0].events().remove(0);
        assert_eq!(raw, serde_json::from_str::<Value>(message).unwrap());
        assert_eq!(lab.receiver.count("/other"), 0);
    }
}

#[tokio::test]
async fn a_built_in_event_is_added_to_and_the_state_follows_as_before() {
    let yaml = blocks(DOCUMENT.split("\n## ").last().unwrap(), "yaml")[0];
    let lab = Lab::with(|setup| setup.file("local.yml", yaml)).await;
    lab.hook("/x", &[]).await;
    begin(&lab).await;
    lab.redis.publish(&math().chat("amara", "hello")).await;
    let requests = lab.receiver.wait("/x", 3).await;
    assert_eq!(lab.receiver.ids("/x"), ["meeting-created", "user-joined", "chat-group-message-sent"]);
    let user = &requests[1].events()[0]["data"]["attributes"]["user"];
    assert_eq!((&user["color"], &user["external-user-id"]), (&json!("#7b1fa2"), &json!("teacher-12")));
    let sender = &requests[2].events()[0]["data"]["attributes"]["chat-message"]["sender"];
    assert_eq!(sender["external-user-id"], "teacher-12");
}

#[tokio::test]
async fn lists_of_events_know_ids_of_ones_own() {
    let entry = |id: &str| json!({"message": "SomeEvtMsg", "id": id});
    let lab = Lab::with(|setup| {
        setup
            .set("events", json!([entry("one"), entry("two"), entry("three")]))
            .env("INCLUDE_EVENTS", r#"["one", "two"]"#)
            .env("EXCLUDE_EVENTS", r#"["two"]"#)
    })
    .await;
    lab.hook("/x", &[]).await;
    lab.hook("/filtered", &[("eventID", "ONE")]).await;
    lab.redis.publish_on(CHANNEL, r#"{"envelope":{"name":"SomeEvtMsg"},"core":{"body":{}}}"#).await;
    lab.redis.publish_on(CHANNEL, r#"{"envelope":{"name":"SomeEvtMsg"},"core":{"body":{}}}"#).await;
    lab.receiver.wait("/x", 2).await;
    lab.receiver.wait("/filtered", 2).await;
    assert_eq!(lab.receiver.ids("/x"), ["one", "one"]);
    assert_eq!(lab.receiver.ids("/filtered"), ["one", "one"]);
}

#[tokio::test]
async fn a_mistake_stops_the_start_with_file_line_and_field() {
    let text = "log:\n  level: info\nevents:\n  - message: SomeEvtMsg\n    id: user-joined\n";
    let setup = Daemon::without_redis().file("local.yml", text);
    let place = format!("{}:5:5: events[0].id", setup.folder().join("local.yml").display());
    let ended = setup.run().await;
    assert_eq!(ended.status.code(), Some(78));
    assert!(ended.stderr.contains(&place) && ended.stderr.contains("override: true"), "{}", ended.stderr);
}

#[tokio::test]
async fn explain_shows_what_matched() {
    let redis = Redis::start().await;
    let entry = json!({"message": "SomeEvtMsg", "id": "some", "attributes": {
        "a": {"b": "/core/body/b", "missing": "/core/body/c"},
        "c": {"constant": "always"},
    }});
    let elsewhere =
        json!({"message": "OtherEvtMsg", "id": "other", "meeting": "/core/body/nope", "user": "/core/body/who"});
    let over = json!({"message": "MeetingCreatedEvtMsg", "id": "meeting-created", "override": true, "attributes": {"d": "/d"}});
    let daemon = Daemon::on(&redis).set("events", json!([entry, elsewhere, over])).start().await;
    let mut text = daemon.follow(&["events", "--explain"]);
    let mut json = daemon.follow(&["events", "--explain", "--json", "--message", "SomeEvtMsg,NobodyMapsThis"]);
    text.says("Ctrl-C ends it").await;
    json.says("Ctrl-C ends it").await;
    let message = r#"{"envelope":{"name":"SomeEvtMsg"},"core":{"header":{"userId":"w_x"},"body":{"b":[1]}}}"#;
    redis.publish_on(CHANNEL, message).await;
    redis.publish_on(CHANNEL, r#"{"envelope":{"name":"NobodyMapsThis"}}"#).await;
    redis.publish(&Meeting::new("math-101").created()).await;
    redis.publish_on(CHANNEL, r#"{"envelope":{"name":"OtherEvtMsg"},"core":{"body":{"who":"w_y"}}}"#).await;
    let lines = text.prints(20).await;
    assert!(lines[0].contains("SomeEvtMsg"), "{lines:#?}");
    assert_eq!(
        lines[1..7],
        [
            "  configured: some",
            "    meeting              none; only global hooks get it",
            "    user                 w_x",
            "    attribute a.b        /core/body/b: [1]",
            "    attribute a.missing  /core/body/c: nothing there, left out",
            "    attribute c          constant: \"always\"",
        ]
    );
    assert!(lines[7].starts_with("  becomes {\"data\":{\"type\":\"event\",\"id\":\"some\""), "{lines:#?}");
    assert!(
        lines[8].contains("NobodyMapsThis") && lines[9] == "  no event: nobody maps messages of its name",
        "{lines:#?}"
    );
    assert!(lines[10].contains("MeetingCreatedEvtMsg") && lines[10].ends_with("math-101"), "{lines:#?}");
    assert_eq!(
        lines[11..14],
        [
            "  built in: meeting-created",
            "  configured: meeting-created, over the built-in event",
            "    attribute d  /d: nothing there, left out",
        ]
    );
    assert_eq!(
        lines[17..19],
        ["    meeting  /core/body/nope: nothing there; only global hooks get it", "    user     /core/body/who: w_y",]
    );
    let lines: Vec<Value> = json.prints(2).await.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["configured"][0]["attributes"][1]["found"], false);
    assert_eq!(
        lines[0]["events"][0]["data"]["attributes"],
        json!({"user": {"internal-user-id": "w_x"}, "a": {"b": [1]}, "c": "always"})
    );
    assert_eq!((&lines[1]["message"], &lines[1]["events"]), (&json!("NobodyMapsThis"), &json!([])));
    assert!(text.stop(Signal::INT).await.success());
    assert!(json.stop(Signal::INT).await.success());
}
