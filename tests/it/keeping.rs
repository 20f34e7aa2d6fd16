//! What must not get lost, or come twice, between the daemon and a Redis that behaves oddly.

use std::time::Duration;

use redis::cmd;
use rustix::process::Signal;

use crate::harness::Daemon;
use crate::harness::Gate;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Receiver;
use crate::harness::Redis;
use crate::harness::Reply;
use crate::harness::Setup;
use crate::harness::eventually;
use crate::harness::holds_for;
use crate::harness::until;

const JOURNAL: &str = "bigbluebutton:webhooks:out:journal";
const LEASE: &str = "bigbluebutton:webhooks:out:lease";

async fn length(redis: &Redis) -> usize {
    redis.run(cmd("XLEN").arg(JOURNAL)).await
}

#[tokio::test]
async fn a_stop_leaves_the_journal_long_enough_for_every_hook() {
    let settings = |daemon: Setup| daemon.set("hooks.queueSize", 100).set("hooks.retryIntervals", vec![3_000_u64; 20]);
    let mut lab = Lab::with(settings).await;
    let (gate, raw_gate) = (Gate::closed(), Gate::closed());
    lab.receiver.answer("/waits", [Reply::status(500), Reply::ok()]);
    lab.receiver.answer("/slow", [Reply::ok().behind(&gate), Reply::ok()]);
    lab.receiver.answer("/raw", [Reply::ok().behind(&raw_gate), Reply::ok()]);
    lab.hook("/waits", &[("meetingID", "first")]).await;
    lab.hook("/slow", &[]).await;
    lab.hook("/raw", &[("getRaw", "true"), ("meetingID", "first")]).await;
    let (first, second) = (Meeting::new("first"), Meeting::new("second"));
    lab.redis.publish(&first.created()).await;
    for path in ["/waits", "/slow", "/raw"] {
        lab.receiver.wait(path, 1).await;
    }
    // The one hook waits for a retry while the others are still being answered, and much goes on meanwhile.
    raw_gate.open();
    lab.daemon.signal(Signal::TERM);
    lab.daemon.logs("Stopping").await;
    lab.redis.publish(&second.created()).await;
    for n in 0..2_000 {
        lab.redis.publish(&second.chat("ada", &n.to_string())).await;
    }
    lab.redis.publish(&first.chat("ada", "the last")).await;
    gate.open();
    assert_eq!(lab.daemon.ended().await.0.code(), Some(0));
    lab.daemon.start_again().await;
    lab.receiver.wait("/raw", 2).await;
    assert!(lab.receiver.to("/raw")[1].body.contains("the+last"));
    lab.receiver.wait("/waits", 3).await;
    assert_eq!(lab.receiver.ids("/waits"), ["meeting-created", "meeting-created", "chat-group-message-sent"]);
}

#[tokio::test]
async fn a_reply_that_was_lost_is_not_taken_for_that_to_another_commit() {
    let lab = Lab::start().await;
    lab.hook("/x", &[]).await;
    // Longer than the daemon waits for the answer to what it writes each second. What it wrote is carried out all the same.
    lab.redis.signal(Signal::STOP);
    lab.daemon.logs("Redis does not take the journal").await;
    lab.redis.signal(Signal::CONT);
    let id = eventually("a hook can be created", async || {
        lab.daemon.try_create(&lab.receiver.url("/y"), &[]).await.text_of("hookID")
    })
    .await;
    assert!(lab.redis.set("bigbluebutton:webhooks:out:hooks").await.contains(&id), "it was answered, so it is stored");
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    lab.receiver.wait("/y", 1).await;
    until("the event is stored", async || length(&lab.redis).await == 1).await;
}

#[tokio::test]
async fn a_lease_that_expired_is_taken_anew_and_nothing_else() {
    let lab = Lab::with(|daemon| daemon.set("hooks.memoryLimit", 1 << 20)).await;
    lab.hook("/x", &[]).await;
    let (meeting, text) = (Meeting::new("math-101"), "x".repeat(10_000));
    for n in 1..=300 {
        lab.redis.publish(&meeting.chat("ada", &text)).await;
        lab.receiver.wait("/x", n).await;
    }
    until("all are stored", async || length(&lab.redis).await == 300).await;
    let _: u64 = lab.redis.run(cmd("DEL").arg(LEASE)).await;
    until("the lease is there again", async || lab.redis.run::<bool>(cmd("EXISTS").arg(LEASE)).await).await;
    lab.redis.publish(&meeting.chat("ada", "one more")).await;
    until("it is stored", async || length(&lab.redis).await == 301).await;
    assert!(!lab.daemon.log().contains("written anew"), "{}", lab.daemon.log());
}

#[tokio::test]
async fn who_waits_for_another_daemon_to_end_does_not_repeat_what_that_did() {
    let mut lab = Lab::start().await;
    lab.hook("/x", &[]).await;
    let second = Daemon::on(&lab.redis).start().await;
    second.logs("another daemon works with this Redis").await;
    let meeting = Meeting::new("math-101");
    lab.redis.publish_all(&[meeting.created(), meeting.joined("ada"), meeting.left("ada")]).await;
    lab.receiver.wait("/x", 3).await;
    // Past its next look at the other one.
    tokio::time::sleep(Duration::from_millis(300)).await;
    lab.daemon.terminate().await;
    second.knows_its_hooks().await;
    lab.redis.publish(&meeting.ended()).await;
    lab.receiver.wait("/x", 4).await;
    assert_eq!(lab.receiver.ids("/x"), ["meeting-created", "user-joined", "user-left", "meeting-ended"]);
}

#[tokio::test]
async fn a_suspended_hook_whose_event_cannot_be_read_is_no_busy_loop() {
    let settings = |daemon: Setup| {
        daemon
            .set("hooks.memoryLimit", 1 << 20)
            .set("hooks.onExhausted", "suspend")
            .set("hooks.retryIntervals", vec![1_u64])
            .set("hooks.permanentIntervalReset", 1_000)
    };
    let mut lab = Lab::with(settings).await;
    lab.hook("/x", &[]).await;
    lab.receiver.answer("/x", [Reply::status(500)]);
    let (meeting, text) = (Meeting::new("math-101"), "x".repeat(10_000));
    for n in 1..=300 {
        lab.redis.publish(&meeting.chat("ada", &text)).await;
        until("it is stored", async || length(&lab.redis).await == n).await;
    }
    lab.daemon.logs("suspended").await;
    lab.redis.kill();
    lab.daemon.logs("Redis does not take the journal").await;
    let cpu = lab.daemon.cpu_time();
    holds_for(Duration::from_secs(3), "the daemon runs on", async || lab.daemon.is_running()).await;
    let cpu = lab.daemon.cpu_time() - cpu;
    assert!(cpu < Duration::from_millis(500), "{cpu:?} of computing in 3 s");
}

#[tokio::test]
async fn what_is_not_ours_under_our_keys_gives_way() {
    let redis = Redis::start().await;
    for key in ["out:journal", "out:cursors", "out:hooks", "out:parked:1", "proc:mappings", "proc:userMaps"] {
        let _: String = redis.run(cmd("SET").arg(format!("bigbluebutton:webhooks:{key}")).arg("a text")).await;
    }
    let _: String = redis.run(cmd("SET").arg("bigbluebutton:webhooks:out:nextHookId").arg("no number")).await;
    let lab = Lab::on(redis, |daemon| daemon.set("hooks.retryIntervals", vec![300_u64])).await;
    let id = lab.hook("/x", &[]).await;
    assert_eq!(id, "1");
    lab.receiver.refuse("/x", Some("bad"));
    let (bad, good) = (Meeting::new("bad"), Meeting::new("good"));
    lab.redis.publish(&bad.created()).await;
    for _ in 0..20 {
        lab.redis.publish(&good.chat("ada", "hello")).await;
    }
    let kind = cmd("TYPE").arg("bigbluebutton:webhooks:out:parked:1").clone();
    until("what is refused is parked", async || lab.redis.run::<String>(&kind).await == "hash").await;
    assert!(!lab.daemon.log().contains("written anew"), "{}", lab.daemon.log());
}

#[tokio::test]
async fn an_entry_of_the_journal_that_is_no_text_is_left_out() {
    let mut lab = Lab::start().await;
    lab.hook("/x", &[]).await;
    let gate = Gate::closed();
    lab.receiver.answer("/x", [Reply::ok().behind(&gate), Reply::ok()]);
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    lab.receiver.wait("/x", 1).await;
    until("it is stored", async || length(&lab.redis).await == 1).await;
    lab.daemon.kill();
    let _: String = lab.redis.run(cmd("XADD").arg(JOURNAL).arg("*").arg("json").arg(&b"\xff\xfe"[..])).await;
    lab.daemon.start_again().await;
    lab.receiver.wait("/x", 2).await;
    lab.daemon.logs("none of ours").await;
}

#[tokio::test]
async fn what_a_destroyed_hook_was_refused_leaves_nothing() {
    let lab = Lab::with(|daemon| daemon.set("hooks.retryIntervals", vec![1_u64])).await;
    let id = lab.hook("/x", &[]).await;
    let gate = Gate::closed();
    let slowly = Reply::status(400).behind(&gate);
    lab.receiver.answer("/x", [Reply::status(400), slowly, Reply::ok()]);
    let (first, second) = (Meeting::new("first"), Meeting::new("second"));
    lab.redis.publish(&first.created()).await;
    lab.receiver.wait("/x", 2).await;
    // The receiver works, so what it refuses would be parked.
    lab.redis.publish(&second.created()).await;
    lab.receiver.wait("/x", 3).await;
    lab.daemon.destroy(&id).await;
    gate.open();
    lab.daemon.logs("No more is delivered to this hook").await;
    let last = lab.hook("/y", &[]).await;
    assert!(lab.redis.set("bigbluebutton:webhooks:out:hooks").await.contains(&last), "all before is written too");
    assert!(lab.redis.hash(&format!("bigbluebutton:webhooks:out:parked:{id}")).await.is_empty());
}

#[tokio::test]
async fn events_that_redis_lost_are_said_to_be_lost_once() {
    let settings =
        |daemon: Setup| daemon.set("hooks.memoryLimit", 1 << 20).set("hooks.retryIntervals", vec![200_u64; 100]);
    let mut lab = Lab::with(settings).await;
    lab.hook("/x", &[]).await;
    lab.receiver.answer("/x", [Reply::status(500)]);
    let (meeting, text) = (Meeting::new("math-101"), "x".repeat(10_000));
    for n in 1..=400 {
        lab.redis.publish(&meeting.chat("ada", &text)).await;
        until("it is stored", async || length(&lab.redis).await == n).await;
    }
    // The daemon and Redis at once: what only Redis had is beyond anybody's promise, but not beyond a word.
    lab.redis.kill();
    lab.redis.start_empty().await;
    lab.daemon.logs("Redis has everything again").await;
    lab.receiver.answer("/x", [Reply::ok()]);
    lab.daemon.logs("neither memory nor Redis").await;
    lab.redis.has_a_subscriber().await;
    lab.redis.publish(&meeting.chat("ada", "the last")).await;
    eventually("the last arrives", async || {
        lab.receiver.to("/x").iter().any(|request| request.body.contains("the+last")).then_some(())
    })
    .await;
    let log = lab.daemon.log();
    let said: Vec<_> = log.lines().filter(|line| line.contains("neither memory nor Redis")).collect();
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("ERROR"), "data is lost: {}", said[0]);
    let status = lab.daemon.command(&["status"]).await;
    assert_eq!(status.status.code(), Some(1));
    assert!(status.stdout.contains("since the start: Redis lost them before they were delivered"), "{}", status.stdout);
}

#[tokio::test]
async fn a_version_2_hook_of_a_meeting_gets_the_messages_that_were_left_for_it() {
    let redis = Redis::start().await;
    let receiver = Receiver::start().await;
    let url = receiver.url("/x");
    let fields =
        [("hookID", "7"), ("callbackURL", url.as_str()), ("externalMeetingID", "math-101"), ("getRaw", "true")];
    redis.put("bigbluebutton:webhooks:hooks", "bigbluebutton:webhooks:hook", "7", &fields).await;
    let left = Meeting::new("math-101").chat("ada", "left over").json;
    let _: u64 = redis.run(cmd("RPUSH").arg("bigbluebutton:webhooks:events:7").arg(&left)).await;
    let _daemon = Daemon::on(&redis).start().await;
    receiver.wait("/x", 1).await;
    assert!(receiver.to("/x")[0].body.contains("left+over"));
}
