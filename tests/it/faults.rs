//! Redis goes away, comes back, was never there.

use std::time::Duration;

use redis::cmd;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::harness::Daemon;
use crate::harness::Gate;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Receiver;
use crate::harness::Redis;
use crate::harness::Reply;
use crate::harness::eventually;
use crate::harness::holds_for;
use crate::harness::until;

#[tokio::test]
async fn events_flow_again_when_redis_was_away_for_three_seconds() {
    let mut lab = Lab::start().await;
    lab.hook("/x", &[("meetingID", "math-101")]).await;
    let meeting = Meeting::new("math-101");
    lab.redis.publish(&meeting.created()).await;
    lab.receiver.wait("/x", 1).await;
    until("the meeting is stored", async || !lab.redis.set("bigbluebutton:webhooks:proc:mappings").await.is_empty())
        .await;

    lab.redis.stop().await;
    let (lines, cpu) = (lab.daemon.log().lines().count(), lab.daemon.cpu_time());
    holds_for(Duration::from_secs(3), "the daemon runs on", async || lab.daemon.is_running()).await;
    let (lines, cpu) = (lab.daemon.log().lines().count() - lines, lab.daemon.cpu_time() - cpu);
    assert!(lines <= 10, "{lines} lines in 3 s");
    assert!(cpu < Duration::from_millis(500), "{cpu:?} of computing in 3 s: a busy loop?");

    lab.redis.start_again().await;
    lab.redis.has_a_subscriber().await;
    lab.redis.publish(&meeting.joined("ada")).await;
    lab.receiver.wait("/x", 2).await;
    assert_eq!(lab.receiver.ids("/x"), ["meeting-created", "user-joined"]);
    until("hooks can be created again", async || {
        let answer = lab.daemon.try_create(&lab.receiver.url("/y"), &[]).await;
        answer.text_of("returncode").as_deref() == Some("SUCCESS")
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_turns_everybody_away_is_not_hammered() {
    let mut lab = Lab::start().await;
    lab.hook("/x", &[]).await;
    lab.redis.kill();
    let listener = TcpListener::bind(("127.0.0.1", lab.redis.port())).await.unwrap();
    let mut tries = 0;
    let _ = timeout(Duration::from_secs(3), async {
        loop {
            drop(listener.accept().await.unwrap());
            tries += 1;
        }
    })
    .await;
    assert!((2..=40).contains(&tries), "{tries} connections in 3 s");
    drop(listener);
    lab.redis.start_again().await;
    lab.redis.has_a_subscriber().await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    lab.receiver.wait("/x", 1).await;
}

#[tokio::test]
async fn deliveries_go_on_while_redis_is_away() {
    let mut lab = Lab::start().await;
    let gate = Gate::closed();
    lab.receiver.answer("/x", [Reply::ok().behind(&gate), Reply::ok()]);
    lab.hook("/x", &[]).await;
    lab.hook("/seen", &[]).await;
    let meeting = Meeting::new("math-101");
    lab.redis.publish_all(&[meeting.created(), meeting.joined("ada"), meeting.ended()]).await;
    lab.receiver.wait("/seen", 4).await;
    lab.redis.kill();
    gate.open();
    lab.receiver.wait("/x", 4).await;
    assert_eq!(lab.receiver.ids("/x"), ["meeting-created", "user-joined", "user-left", "meeting-ended"]);
}

#[tokio::test]
async fn the_api_says_so_while_redis_is_away() {
    let mut lab = Lab::start().await;
    let id = lab.hook("/x", &[]).await;
    let list = lab.daemon.list().await;
    lab.redis.stop().await;
    let key =
        async |method: &str, name: &str, value: &str| lab.daemon.call(method, &[(name, value)]).await.message_key();
    let url = lab.receiver.url("/y");
    assert_eq!(key("hooks/create", "callbackURL", &url).await.as_deref(), Some("createHookError"));
    assert_eq!(key("hooks/destroy", "hookID", &id).await.as_deref(), Some("destroyHookError"));
    assert_eq!(lab.daemon.list().await, list, "hooks are listed from memory");
    lab.redis.start_again().await;
    until("the hook can be destroyed", async || {
        lab.daemon.destroy(&id).await.text_of("removed").as_deref() == Some("true")
    })
    .await;
    assert!(lab.daemon.ids().await.is_empty());
    lab.daemon.restart().await;
    assert!(lab.daemon.ids().await.is_empty(), "a hook that was refused does not come back");
}

#[tokio::test]
async fn a_daemon_that_finds_no_redis_answers_and_waits_for_it() {
    let mut redis = Redis::not_started(&[], None);
    let receiver = Receiver::start().await;
    let mut daemon = Daemon::on(&redis).start().await;
    let url = receiver.url("/x");
    for (method, parameters, key) in [
        ("hooks/list", [("meetingID", "")], "listHookError"),
        ("hooks/create", [("callbackURL", url.as_str())], "createHookError"),
        ("hooks/destroy", [("hookID", "1")], "destroyHookError"),
    ] {
        let answer = daemon.call(method, &parameters).await;
        assert_eq!(answer.message_key().as_deref(), Some(key), "{}", answer.body);
    }
    let ping = daemon.raw_get("/bigbluebutton/api/hooks/ping").await;
    assert_eq!((ping.status, ping.body.as_str()), (200, "bbb-webhooks API up!"));
    let lines = daemon.log().lines().count();
    holds_for(Duration::from_secs(1), "the daemon waits", async || daemon.is_running()).await;
    assert!(daemon.log().lines().count() - lines <= 4, "it does not go on about it");

    redis.start_again().await;
    daemon.knows_its_hooks().await;
    redis.has_a_subscriber().await;
    let id = daemon.create(&url, &[]).await;
    redis.publish(&Meeting::new("math-101").created()).await;
    receiver.wait("/x", 1).await;
    assert_eq!(daemon.ids().await, [id]);
}

#[tokio::test]
async fn a_subscriber_that_was_killed_comes_back() {
    let lab = Lab::start().await;
    lab.hook("/x", &[]).await;
    let meeting = Meeting::new("math-101");
    for round in 1..=3 {
        let killed: u64 = lab.redis.run(cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub")).await;
        assert_eq!(killed, 1);
        lab.redis.has_a_subscriber().await;
        lab.redis.publish(&meeting.chat("ada", "hello")).await;
        lab.receiver.wait("/x", round).await;
    }
}

#[tokio::test]
async fn commands_go_through_again_after_their_connection_was_killed() {
    let lab = Lab::start().await;
    lab.hook("/x", &[]).await;
    let killed: u64 = lab.redis.run(cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes")).await;
    assert!(killed > 0);
    until("a hook can be created", async || {
        let answer = lab.daemon.try_create(&lab.receiver.url("/y"), &[]).await;
        answer.text_of("returncode").as_deref() == Some("SUCCESS")
    })
    .await;
    assert_eq!(lab.daemon.ids().await.len(), 2);
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_costs_no_hook_and_no_event() {
    let mut lab = Lab::start().await;
    let first = lab.hook("/x", &[("meetingID", "math-101")]).await;
    let meeting = Meeting::new("math-101");
    lab.redis.publish_all(&[meeting.created(), meeting.joined("ada")]).await;
    lab.receiver.wait("/x", 2).await;
    let list = lab.daemon.list().await;
    lab.redis.kill();
    lab.redis.start_empty().await;
    lab.redis.has_a_subscriber().await;
    assert_eq!(lab.daemon.list().await, list);
    lab.redis.publish(&meeting.ended()).await;
    lab.receiver.wait("/x", 4).await;
    assert_eq!(lab.receiver.ids("/x")[2..], ["user-left", "meeting-ended"]);
    let second = eventually("a hook can be created", async || {
        let answer = lab.daemon.try_create(&lab.receiver.url("/y"), &[]).await;
        answer.text_of("hookID")
    })
    .await;
    assert_ne!(first, second);
}
