//! Events of the past, sent again: to order, from what is parked, and from what version 2 left undelivered.

use std::time::Duration;

use redis::cmd;
use serde_json::json;

use crate::harness::Daemon;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Receiver;
use crate::harness::Redis;
use crate::harness::Request;
use crate::harness::eventually;
use crate::harness::holds_for;
use crate::harness::until;

const ORDERS: &str = "bigbluebutton:webhooks:out:orders";

fn event_bytes(requests: &[Request]) -> Vec<String> {
    let event =
        |request: &Request| request.body.split('&').find(|field| field.starts_with("event=")).map(str::to_owned);
    requests.iter().filter_map(event).collect()
}

/// The numbers that the journal gave to its events, oldest first.
async fn numbers(redis: &Redis) -> Vec<u64> {
    let mut range = cmd("XRANGE");
    range.arg("bigbluebutton:webhooks:out:journal").arg("-").arg("+");
    let entries: Vec<(String, Vec<String>)> = redis.run(&range).await;
    entries.iter().map(|(id, _)| id.split('-').next().unwrap().parse().unwrap()).collect()
}

async fn stored(redis: &Redis, count: usize) -> Vec<u64> {
    eventually("the journal has all events", async || {
        let numbers = numbers(redis).await;
        (numbers.len() >= count).then_some(numbers)
    })
    .await
}

#[tokio::test]
async fn a_replay_sends_the_same_bytes_again_to_one_hook_alone() {
    let lab = Lab::start().await;
    let id = lab.hook("/again", &[("meetingID", "math-101")]).await;
    lab.hook("/other", &[]).await;
    let (math, other) = (Meeting::new("math-101"), Meeting::new("other"));
    let messages =
        [math.created(), other.created(), math.joined("ada"), other.joined("bob"), math.chat("ada", "ü & +")];
    lab.redis.publish_all(&messages).await;
    let before = lab.receiver.wait("/again", 3).await;
    lab.receiver.wait("/other", 5).await;
    let numbers = stored(&lab.redis, 5).await;

    let done = lab.daemon.command(&["replay", &id, "--since", "1h"]).await;
    assert!(done.status.success(), "{}", done.stderr);
    assert_eq!(done.stdout, format!("3 events are sent again to hook {id}.\n"));
    let after = lab.receiver.wait("/again", 6).await;
    assert_eq!(event_bytes(&after[3..]), event_bytes(&before));
    let url = lab.receiver.url("/again");
    assert!(after[3..].iter().all(|request| request.is_signed(
        &url,
        crate::harness::SECRET,
        crate::harness::Algorithm::Sha1
    )));

    let from = numbers[2].to_string();
    let done = lab.daemon.command(&["replay", &id, "--from", &from]).await;
    assert_eq!(
        done.stdout,
        format!("2 events are sent again to hook {id}.\n"),
        "what was sent again is not counted again"
    );
    let after = lab.receiver.wait("/again", 8).await;
    assert_eq!(event_bytes(&after[6..]), event_bytes(&before[1..]));
    assert_eq!(lab.receiver.count("/other"), 5);
}

#[tokio::test]
async fn what_is_parked_can_be_seen_dropped_and_sent_again() {
    let lab = Lab::with(|setup| setup.set("hooks.retryIntervals", json!([10, 300]))).await;
    let id = lab.hook("/x", &[]).await;
    let parked = lab.park_two(&id, "/x").await;
    assert_eq!(parked[0]["event"], "meeting-created");
    assert_eq!(parked[1]["event"], "user-joined");
    assert_eq!(parked[0]["reason"], "status 400");
    let table = lab.daemon.command(&["parked", &id]).await.stdout;
    assert!(table.contains("user-joined") && table.contains("status 400") && table.contains("bad"), "{table}");

    let first = parked[0]["number"].to_string();
    let dropped = lab.daemon.command(&["parked", &id, "--drop", &first]).await;
    assert_eq!(dropped.stdout, format!("1 parked events of hook {id} are dropped.\n"));

    lab.receiver.refuse("/x", None);
    let before = lab.receiver.count("/x");
    let done = lab.daemon.command(&["replay", &id, "--parked"]).await;
    assert_eq!(done.stdout, format!("1 events are sent again to hook {id}.\n"));
    let again = lab.receiver.wait("/x", before + 1).await;
    assert_eq!(again.last().unwrap().ids(), ["user-joined"]);
    let empty = lab.daemon.command(&["parked", &id]).await;
    assert_eq!(empty.stdout, format!("No events of hook {id} are parked.\n"));
}

#[tokio::test]
async fn a_command_for_a_hook_that_is_not_there_says_so() {
    let lab = Lab::start().await;
    for arguments in [&["replay", "77", "--parked"][..], &["parked", "77"]] {
        let ended = lab.daemon.command(arguments).await;
        assert_eq!(ended.status.code(), Some(1));
        assert!(ended.stderr.contains("there is no hook 77"), "{}", ended.stderr);
    }
    assert_eq!(lab.daemon.command(&["replay", "77"]).await.status.code(), Some(2));
}

#[tokio::test]
async fn what_version_2_left_undelivered_is_delivered() {
    let redis = Redis::start().await;
    let receiver = Receiver::start().await;
    let url = receiver.url("/old");
    let fields = [("hookID", "4"), ("callbackURL", url.as_str()), ("permanent", "false"), ("getRaw", "false")];
    redis.put("bigbluebutton:webhooks:hooks", "bigbluebutton:webhooks:hook", "4", &fields).await;
    for text in ["first", "second"] {
        let event = json!({"data": {"type": "event", "id": "chat-group-message-sent", "attributes": {
            "meeting": {"internal-meeting-id": "int", "external-meeting-id": "ext"}, "chat-message": {"message": text},
        }, "event": {"ts": 1}}});
        let _: u64 = redis.run(cmd("RPUSH").arg("bigbluebutton:webhooks:events:4").arg(event.to_string())).await;
    }
    let mut daemon = Daemon::on(&redis).start().await;
    let requests = receiver.wait("/old", 2).await;
    let texts: Vec<_> = requests
        .iter()
        .flat_map(Request::events)
        .map(|e| e["data"]["attributes"]["chat-message"]["message"].clone())
        .collect();
    assert_eq!(texts, ["first", "second"]);
    daemon.restart().await;
    holds_for(Duration::from_millis(1500), "they are sent once", async || receiver.count("/old") == 2).await;
    let left: u64 = redis.run(cmd("LLEN").arg("bigbluebutton:webhooks:events:4")).await;
    assert_eq!(left, 2, "the old list stays, for the way back");
}

#[tokio::test]
async fn a_replay_sends_everything_once_while_redis_refuses_writes() {
    let lab = Lab::start().await;
    let id = lab.hook("/x", &[]).await;
    let meeting = Meeting::new("math-101");
    for n in 0..100 {
        lab.redis.publish(&meeting.chat("ada", &n.to_string())).await;
    }
    lab.receiver.wait("/x", 100).await;
    stored(&lab.redis, 100).await;
    // Redis refuses writes from the order on, so the daemon finds the order before it knows.
    let order = json!({"id": "once", "hook": id, "what": {"from": 1}}).to_string();
    let mut together = redis::pipe();
    together.atomic().rpush(ORDERS, order).ignore();
    together.cmd("CONFIG").arg("SET").arg("min-replicas-to-write").arg(1).ignore();
    lab.redis.run_all(&together).await;
    lab.daemon.logs("Redis does not take the journal").await;
    let sent = async || lab.receiver.count("/x");
    holds_for(Duration::from_secs(3), "nothing is sent twice", async || sent().await <= 200).await;
    let _: String = lab.redis.run(cmd("CONFIG").arg("SET").arg("min-replicas-to-write").arg(0)).await;
    until("the order is done", async || lab.redis.run::<u64>(cmd("LLEN").arg(ORDERS)).await == 0).await;
    lab.receiver.wait("/x", 200).await;
    lab.redis.publish(&meeting.chat("ada", "the last")).await;
    let requests = lab.receiver.wait("/x", 201).await;
    assert_eq!(event_bytes(&requests[100..200]), event_bytes(&requests[..100]));
    assert!(requests[200].body.contains("the+last"), "nothing came twice");
}
