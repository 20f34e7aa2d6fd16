//! `events`: what BigBlueButton publishes, as it comes.

use std::collections::BTreeSet;

use redis::cmd;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::Daemon;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Redis;
use crate::harness::free_port;

/// All that stands in Redis, by key.
async fn everything(redis: &Redis) -> BTreeSet<(String, Vec<u8>)> {
    let keys: Vec<String> = redis.run(cmd("KEYS").arg("*")).await;
    let mut all = BTreeSet::new();
    for key in keys {
        let dumped: Vec<u8> = redis.run(cmd("DUMP").arg(&key)).await;
        all.insert((key, dumped));
    }
    all
}

#[tokio::test]
async fn events_are_printed_with_ids_of_meetings_that_run_already() {
    let mut lab = Lab::start().await;
    let (math, other) = (Meeting::new("math-101"), Meeting::new("other"));
    lab.hook("/x", &[]).await;
    lab.redis.publish_all(&[math.created(), math.joined("ada"), other.created()]).await;
    lab.receiver.wait("/x", 3).await;
    lab.daemon.terminate().await;
    let before = everything(&lab.redis).await;

    let mut all = lab.daemon.follow(&["events", "--json"]);
    let mut of_math = lab.daemon.follow(&["events", "--meeting", "math-101", "--event", "user-left,meeting-ended"]);
    all.says("Ctrl-C ends it").await;
    of_math.says("Ctrl-C ends it").await;
    lab.redis.publish_all(&[other.joined("bob"), math.chat("ada", "hello"), math.ended()]).await;
    let lines: Vec<Value> = all.prints(4).await.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<_> = lines.iter().map(|line| line["data"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["user-joined", "chat-group-message-sent", "user-left", "meeting-ended"]);
    assert_eq!(lines[2]["data"]["attributes"]["meeting"]["external-meeting-id"], "math-101");
    assert_eq!(lines[2]["data"]["attributes"]["user"]["external-user-id"], "ext-ada");
    let lines = of_math.prints(2).await;
    assert!(lines[0].contains("user-left") && lines[0].contains("math-101"), "{lines:?}");
    assert!(lines[1].contains("meeting-ended"), "{lines:?}");
    assert!(all.stop(Signal::INT).await.success());
    assert!(of_math.stop(Signal::TERM).await.success());
    assert_eq!(everything(&lab.redis).await, before, "nothing is written to Redis");
}

#[tokio::test]
async fn messages_are_printed_as_they_are_into_a_file_too() {
    let redis = Redis::start().await;
    let setup = Daemon::on(&redis);
    let daemon = setup.start().await;
    let mut raw = daemon.follow(&["events", "--raw", "--json", "--output", "messages.jsonl"]);
    let mut joins = daemon.follow(&["events", "--raw", "--json", "--message", "UserJoinedMeetingEvtMsg"]);
    raw.says("Ctrl-C ends it").await;
    joins.says("Ctrl-C ends it").await;
    let meeting = Meeting::new("math-101");
    let (created, joined) = (meeting.created(), meeting.joined("ada"));
    redis.publish(&created).await;
    redis.publish_on(created.channel, r#"{"envelope":{"name":"NobodyMapsThis"}}"#).await;
    redis.publish(&joined).await;
    let lines = raw.prints(3).await;
    assert_eq!(lines, [&created.json, r#"{"envelope":{"name":"NobodyMapsThis"}}"#, &joined.json]);
    assert_eq!(joins.prints(1).await, [joined.json]);
    assert!(raw.stop(Signal::INT).await.success());
    assert!(joins.stop(Signal::INT).await.success());
    let file = std::fs::read_to_string(daemon.folder().join("messages.jsonl")).unwrap();
    assert_eq!(file.lines().collect::<Vec<_>>(), lines);
}

#[tokio::test]
async fn without_redis_it_says_so() {
    let setup = Daemon::without_redis().env("REDIS_HOST", "127.0.0.1").env("REDIS_PORT", &free_port().to_string());
    let ended = setup.command(&["events"]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("cannot be listened to"), "{}", ended.stderr);
}
