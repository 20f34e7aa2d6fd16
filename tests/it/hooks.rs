//! The life of a hook: created, restarted, given up, destroyed.

use std::time::Duration;

use redis::cmd;
use serde_json::json;

use crate::harness::Daemon;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Proxy;
use crate::harness::Receiver;
use crate::harness::Redis;
use crate::harness::Reply;
use crate::harness::holds_for;
use crate::harness::until;

const HOOKS: &str = "bigbluebutton:webhooks:out:hooks";
const HOOK: &str = "bigbluebutton:webhooks:out:hook";

#[tokio::test]
async fn hooks_survive_twenty_restarts_with_the_same_routing_and_the_same_list() {
    let mut lab = Lab::start().await;
    lab.hook("/all", &[]).await;
    lab.hook("/meeting", &[("meetingID", "math-101")]).await;
    lab.hook("/events", &[("eventID", "user-joined,meeting-ended")]).await;
    lab.hook("/both", &[("meetingID", "math-101"), ("eventID", "meeting-ended"), ("getRaw", "true")]).await;
    let list = lab.daemon.list().await;
    let (math, other) = (Meeting::new("math-101"), Meeting::new("other"));
    for round in 1..=20 {
        lab.daemon.restart().await;
        assert_eq!(lab.daemon.list().await, list, "after {round} restarts");
        for meeting in [&math, &other] {
            lab.redis.publish_all(&[meeting.created(), meeting.ended()]).await;
        }
        for (path, in_a_round) in [("/all", 4), ("/meeting", 2), ("/events", 2), ("/both", 1)] {
            lab.receiver.wait(path, round * in_a_round).await;
        }
    }
    assert_eq!(lab.receiver.count("/all"), 80);
    assert_eq!(lab.receiver.ids("/meeting"), ["meeting-created", "meeting-ended"].repeat(20));
    assert_eq!(lab.receiver.ids("/events"), ["meeting-ended"].repeat(40));
    assert_eq!(lab.receiver.ids("/both"), ["MeetingDestroyedEvtMsg"].repeat(20));
}

#[tokio::test]
async fn two_hooks_of_one_meeting_both_get_its_events() {
    let lab = Lab::start().await;
    lab.hook("/one", &[("meetingID", "math-101")]).await;
    lab.hook("/two", &[("meetingID", "math-101")]).await;
    let meeting = Meeting::new("math-101");
    lab.redis.publish_all(&[meeting.created(), meeting.joined("ada"), meeting.ended()]).await;
    for path in ["/one", "/two"] {
        lab.receiver.wait(path, 4).await;
        assert_eq!(lab.receiver.ids(path), ["meeting-created", "user-joined", "user-left", "meeting-ended"]);
    }
}

#[tokio::test]
async fn a_hook_is_gone_everywhere_after_its_last_retry() {
    let mut lab = Lab::with(|setup| setup.set("hooks.retryIntervals", json!([20, 20]))).await;
    lab.receiver.answer("/refuses", [Reply::status(500)]);
    let refuses = lab.hook("/refuses", &[]).await;
    let works = lab.hook("/works", &[]).await;
    let meeting = Meeting::new("math-101");
    lab.redis.publish(&meeting.created()).await;
    until("the hook is no longer listed", async || lab.daemon.ids().await == [works.as_str()]).await;
    until("Redis has forgotten it", async || {
        lab.redis.set(HOOKS).await.into_iter().eq([works.clone()])
            && lab.redis.hash(&format!("{HOOK}:{refuses}")).await.is_empty()
    })
    .await;
    assert_eq!(lab.receiver.count("/refuses"), 3, "the first attempt and two retries");

    lab.redis.publish(&meeting.joined("ada")).await;
    lab.receiver.wait("/works", 2).await;
    holds_for(Duration::from_millis(300), "it is not called again", async || lab.receiver.count("/refuses") == 3).await;
    assert_eq!(lab.daemon.destroy(&refuses).await.message_key().as_deref(), Some("destroyMissingHook"));
    lab.daemon.restart().await;
    assert_eq!(lab.daemon.ids().await, [works]);
    assert_eq!(lab.daemon.log().matches("The hook is removed").count(), 1, "one warning");

    let again = lab.hook("/refuses", &[]).await;
    assert_ne!(again, refuses, "its URL is free for a new hook");
}

#[tokio::test]
async fn a_permanent_hook_is_tried_for_ever() {
    let receiver = Receiver::start().await;
    receiver.answer("/permanent", [Reply::status(500)]);
    let redis = Redis::start().await;
    let daemon = Daemon::on(&redis)
        .set("hooks.permanentURLs", json!([receiver.url("/permanent")]))
        .set("hooks.retryIntervals", json!([10, 10]))
        .set("hooks.permanentIntervalReset", 1000)
        .start()
        .await;
    redis.publish(&Meeting::new("math-101").created()).await;
    let requests = receiver.wait("/permanent", 5).await;
    assert!(requests[2].at - requests[0].at < Duration::from_millis(900), "the short intervals come first");
    for pair in requests[2..5].windows(2) {
        let wait = pair[1].at - pair[0].at;
        assert!((Duration::from_millis(790)..Duration::from_secs(3)).contains(&wait), "{wait:?}");
    }
    let hooks = daemon.hooks().await;
    assert!(hooks.len() == 1 && hooks[0].permanent, "{hooks:?}");
    receiver.answer("/permanent", [Reply::ok()]);
    daemon.logs("succeed again").await;
    redis.publish(&Meeting::new("other").created()).await;
    until("the next event comes too", async || {
        receiver.to("/permanent").last().is_some_and(|request| request.body.contains("other"))
    })
    .await;
}

#[tokio::test]
async fn a_number_is_never_given_to_two_hooks() {
    let mut lab = Lab::start().await;
    let mut given: Vec<u64> = Vec::new();
    let mut create = 0;
    for step in ["", "destroy", "restart", "destroy restart", "flush", "flush destroy", "restart", "destroy flush"] {
        for word in step.split(' ') {
            match word {
                "destroy" => {
                    let last = given.last().unwrap().to_string();
                    assert_eq!(lab.daemon.destroy(&last).await.text_of("removed").as_deref(), Some("true"));
                }
                "restart" => lab.daemon.restart().await,
                "flush" => {
                    let _: String = lab.redis.run(&cmd("FLUSHALL")).await;
                }
                _ => {}
            }
        }
        create += 1;
        let id = lab.hook(&format!("/{create}"), &[]).await;
        let id: u64 = id.parse().expect("ids are numbers");
        assert!(given.iter().all(|before| *before < id), "{id} came after {given:?}");
        given.push(id);
    }
}

#[tokio::test]
async fn permanent_hooks_follow_the_configuration() {
    let mut lab = Lab::start().await;
    let own = lab.hook("/own", &[]).await;
    let url = |path: &str| lab.receiver.url(path);
    let (first, second) = (url("/first"), url("/second"));
    let mut ids = Vec::new();
    for (configured, expected) in [
        (json!([first, {"url": second, "getRaw": true}]), vec![(&first, false), (&second, true)]),
        (
            json!([{"url": first, "getRaw": true}, {"url": second, "getRaw": true}]),
            vec![(&first, true), (&second, true)],
        ),
        (json!([{"url": second, "getRaw": false}]), vec![(&second, false)]),
        (json!([]), vec![]),
        (json!([first]), vec![(&first, false)]),
    ] {
        let (status, _) = lab.daemon.terminate().await;
        assert!(status.success());
        lab.daemon.configure(|setup| setup.set("hooks.permanentURLs", configured.clone()));
        lab.daemon.start_again().await;
        let hooks = lab.daemon.hooks().await;
        let permanent: Vec<_> = hooks.iter().filter(|hook| hook.permanent).map(|hook| (&hook.url, hook.raw)).collect();
        assert_eq!(permanent, expected, "with {configured}");
        assert!(hooks.iter().any(|hook| hook.id == own), "a hook of a client stays");
        ids.push(hooks.iter().filter(|hook| hook.permanent).map(|hook| hook.id.clone()).collect::<Vec<_>>());
        let stored = lab.redis.set(HOOKS).await;
        assert_eq!(stored, hooks.into_iter().map(|hook| hook.id).collect(), "Redis has the same");
    }
    assert_eq!(ids[0], ids[1], "a changed hook keeps its id");
    assert_eq!(ids[1][1..], ids[2][..]);
    assert!(!ids[0].contains(&ids[4][0]), "a hook that was gone comes back under another number");

    let id = &ids[4][0];
    assert_eq!(lab.daemon.destroy(id).await.message_key().as_deref(), Some("destroyMissingHook"));
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    lab.receiver.wait("/first", 1).await;
}

#[tokio::test]
async fn a_client_that_gives_up_leaves_no_hook_that_nobody_knows() {
    let mut lab = Lab::start().await;
    let url = lab.receiver.url("/x");
    let _: String = lab.redis.run(cmd("CLIENT").arg("PAUSE").arg(60_000).arg("WRITE")).await;
    let gets = lab.redis.calls("get").await;
    let client = lab.daemon.begin_create(&url).await;
    // The number is asked for, then the hook is stored, which lasts.
    until("the hook is being created", async || lab.redis.calls("get").await > gets).await;
    drop(client);
    holds_for(Duration::from_millis(300), "no hook yet", async || lab.daemon.ids().await.is_empty()).await;
    let _: String = lab.redis.run(cmd("CLIENT").arg("UNPAUSE")).await;
    until("the hook is there", async || !lab.daemon.ids().await.is_empty()).await;
    let answer = lab.daemon.try_create(&url, &[]).await;
    assert_eq!(answer.message_key().as_deref(), Some("duplicateWarning"));
    let id = answer.text_of("hookID").unwrap();
    assert_eq!((lab.daemon.ids().await, lab.redis.set(HOOKS).await), (vec![id.clone()], [id.clone()].into()));
    lab.daemon.restart().await;
    assert_eq!(lab.daemon.ids().await, [id]);
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    lab.receiver.wait("/x", 1).await;
}

#[tokio::test]
async fn of_two_hooks_for_one_url_only_the_older_is_kept() {
    let redis = Redis::start().await;
    let receiver = Receiver::start().await;
    let url = receiver.url("/x");
    for (id, created) in [("1", "1763990000200"), ("2", "1763990000100"), ("3", "1763990000300")] {
        redis.put(HOOKS, HOOK, id, &[("id", id), ("callbackURL", &url), ("created", created)]).await;
    }
    let mut daemon = Daemon::on(&redis).start().await;
    assert_eq!(daemon.ids().await, ["2"]);
    assert_eq!(redis.set(HOOKS).await, ["2".to_owned()].into());
    assert!(redis.hash(&format!("{HOOK}:1")).await.is_empty());
    redis.publish(&Meeting::new("math-101").created()).await;
    receiver.wait("/x", 1).await;
    daemon.restart().await;
    assert_eq!((daemon.ids().await, receiver.count("/x")), (vec!["2".to_owned()], 1));
}

#[tokio::test]
async fn a_hook_that_could_not_be_destroyed_for_certain_stays_with_what_waits_for_it() {
    let redis = Redis::start().await;
    let proxy = Proxy::to(&redis).await;
    let receiver = Receiver::start().await;
    let daemon = Daemon::on(&redis).env("REDIS_PORT", &proxy.port().to_string());
    let mut daemon = daemon.set("hooks.retryIntervals", json!([2000])).start().await;
    receiver.answer("/x", [Reply::status(500), Reply::ok()]);
    let id = daemon.create(&receiver.url("/x"), &[]).await;
    redis.publish(&Meeting::new("math-101").created()).await;
    receiver.wait("/x", 1).await;
    proxy.lose_the_answer_to("SREM");
    assert_eq!(daemon.destroy(&id).await.message_key().as_deref(), Some("destroyHookError"));
    assert_eq!(daemon.ids().await, [id.as_str()], "it is there still");
    until("Redis has the hook again", async || redis.set(HOOKS).await.contains(&id)).await;
    daemon.restart().await;
    assert_eq!(daemon.ids().await, [id.as_str()]);
    let requests = receiver.wait("/x", 2).await;
    assert_eq!(requests[0].ids(), requests[1].ids());
    assert_eq!(daemon.destroy(&id).await.text_of("removed").as_deref(), Some("true"));
    daemon.restart().await;
    assert!(daemon.ids().await.is_empty());
}

#[tokio::test]
async fn a_permanent_hook_that_is_no_longer_configured_leaves_nothing() {
    const CURSORS: &str = "bigbluebutton:webhooks:out:cursors";
    let mut lab = Lab::start().await;
    let url = lab.receiver.url("/x");
    let configure = async |daemon: &mut Daemon, urls: &[&str]| {
        assert!(daemon.terminate().await.0.success());
        daemon.configure(|setup| setup.set("hooks.permanentURLs", json!(urls)));
        daemon.start_again().await;
    };
    configure(&mut lab.daemon, &[&url]).await;
    let id = lab.daemon.ids().await.remove(0);
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    lab.receiver.wait("/x", 1).await;
    until("it has a cursor", async || lab.redis.hash(CURSORS).await.contains_key(&id)).await;
    let parked = format!("bigbluebutton:webhooks:out:parked:{id}");
    let _: u64 = lab.redis.run(cmd("HSET").arg(&parked).arg(1).arg("{}")).await;
    configure(&mut lab.daemon, &[]).await;
    assert!(lab.redis.hash(&parked).await.is_empty());
    until("its cursor is gone", async || lab.redis.hash(CURSORS).await.is_empty()).await;
}
