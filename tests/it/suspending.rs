//! Receivers that fail for long: what they ask for, what survives a restart, suspended hooks.

use std::time::Duration;
use std::time::SystemTime;

use redis::cmd;
use serde_json::json;

use crate::harness::CURSORS;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Reply;
use crate::harness::Setup;
use crate::harness::holds_for;
use crate::harness::until;

fn suspends(setup: Setup, interval_ms: u64) -> Setup {
    setup
        .set("hooks.onExhausted", "suspend")
        .set("hooks.retryIntervals", json!([10, 10]))
        .set("hooks.permanentIntervalReset", interval_ms)
}

/// A hook with three events that its receiver refused so often that it is suspended.
async fn suspended(interval_ms: u64, change: impl FnOnce(Setup) -> Setup) -> (Lab, String) {
    let lab = Lab::with(|setup| change(suspends(setup, interval_ms))).await;
    lab.receiver.answer("/x", [Reply::status(500)]);
    let id = lab.hook("/x", &[]).await;
    let meeting = Meeting::new("math-101");
    lab.redis.publish_all(&[meeting.created(), meeting.joined("ada"), meeting.camera("ada")]).await;
    lab.daemon.logs("The hook is suspended").await;
    (lab, id)
}

const ALL: [&str; 3] = ["meeting-created", "user-joined", "user-cam-broadcast-start"];

#[tokio::test]
async fn a_suspended_hook_is_tried_with_its_oldest_event_and_goes_on_when_that_succeeds() {
    let (lab, id) = suspended(1000, |setup| setup).await;
    let before = lab.receiver.count("/x");
    let requests = lab.receiver.wait("/x", before + 2).await;
    assert_eq!(lab.daemon.ids().await, [id]);
    assert!(requests.iter().all(|request| request.ids() == ["meeting-created"]), "{:?}", lab.receiver.ids("/x"));
    let wait = requests[before + 1].at - requests[before].at;
    assert!(wait >= Duration::from_millis(750), "{wait:?}");
    lab.receiver.answer("/x", [Reply::ok()]);
    let before = lab.receiver.count("/x");
    lab.receiver.wait("/x", before + 3).await;
    let ids = lab.receiver.ids("/x");
    assert_eq!(ids[ids.len() - 3..], ALL);
}

#[tokio::test]
async fn creating_a_suspended_hook_again_tries_at_once() {
    let (lab, id) = suspended(3_600_000, |setup| setup).await;
    let before = lab.receiver.count("/x");
    lab.receiver.answer("/x", [Reply::ok()]);
    let answer = lab.daemon.try_create(&lab.receiver.url("/x"), &[]).await;
    assert_eq!(answer.message_key().as_deref(), Some("duplicateWarning"));
    assert_eq!(answer.text_of("hookID"), Some(id));
    lab.receiver.wait("/x", before + 3).await;
    assert_eq!(lab.receiver.ids("/x")[before..], ALL);
}

#[tokio::test]
async fn a_suspended_hook_is_suspended_after_a_restart_too() {
    let (mut lab, id) = suspended(3_600_000, |setup| setup).await;
    lab.daemon.restart().await;
    let before = lab.receiver.wait("/x", 4).await.len();
    assert_eq!(before, 4, "one try at the start, not a schedule anew");
    holds_for(Duration::from_millis(500), "and no more", async || lab.receiver.count("/x") == 4).await;
    assert_eq!(lab.daemon.ids().await, std::slice::from_ref(&id));
    lab.receiver.answer("/x", [Reply::ok()]);
    lab.daemon.try_create(&lab.receiver.url("/x"), &[]).await;
    lab.receiver.wait("/x", 7).await;
    assert_eq!(lab.receiver.ids("/x")[4..], ALL);
}

#[tokio::test]
async fn a_hook_that_did_nothing_but_fail_while_suspended_is_removed() {
    let (mut lab, _) = suspended(1000, |setup| setup.set("hooks.suspendFor", 1500)).await;
    until("the hook is removed", async || lab.daemon.ids().await.is_empty()).await;
    until("and its cursor", async || lab.redis.hash(CURSORS).await.is_empty()).await;
    lab.daemon.restart().await;
    assert!(lab.daemon.ids().await.is_empty());
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it() {
    let lab = Lab::with(|setup| setup.set("hooks.retryIntervals", json!([10, 10, 10]))).await;
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(4));
    for (path, value) in [("/seconds", "2"), ("/date", &*date), ("/nonsense", "soon")] {
        lab.receiver.answer(path, [Reply::status(503).header("retry-after", value), Reply::ok()]);
        lab.hook(path, &[]).await;
    }
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    for (path, least, most) in [("/seconds", 1990, 20_000), ("/date", 1000, 20_000), ("/nonsense", 0, 1900)] {
        let requests = lab.receiver.wait(path, 2).await;
        let wait = requests[1].at - requests[0].at;
        let expected = Duration::from_millis(least)..Duration::from_millis(most);
        assert!(expected.contains(&wait), "{path}: {wait:?}");
    }
}

#[tokio::test]
async fn attempts_and_delays_survive_a_kill() {
    let mut lab = Lab::with(|setup| setup.set("hooks.retryIntervals", json!([10, 10, 2000]))).await;
    lab.receiver.answer("/x", [Reply::status(500)]);
    let id = lab.hook("/x", &[]).await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    let third = lab.receiver.wait("/x", 3).await[2].at;
    until("the third failure is stored", async || {
        let cursor: String = lab.redis.run(cmd("HGET").arg(CURSORS).arg(&id)).await;
        cursor.contains(r#""f":3"#)
    })
    .await;
    lab.daemon.kill();
    lab.daemon.start_again().await;
    let fourth = lab.receiver.wait("/x", 4).await[3].at;
    assert!(fourth - third >= Duration::from_millis(1590), "{:?}", fourth - third);
    until("the hook is removed", async || lab.daemon.ids().await.is_empty()).await;
    assert_eq!(lab.receiver.count("/x"), 4, "the schedule goes on, it does not begin anew");
}

#[tokio::test]
async fn a_kept_connection_that_turns_out_to_be_closed_costs_no_attempt() {
    let lab = Lab::with(|setup| setup.set("hooks.retryIntervals", json!([3_600_000]))).await;
    lab.receiver.answer("/x", [Reply::ok(), Reply::close(), Reply::ok(), Reply::reset(), Reply::ok()]);
    lab.hook("/x", &[]).await;
    let meeting = Meeting::new("math-101");
    for (message, count) in [(meeting.created(), 1), (meeting.joined("ada"), 3), (meeting.camera("ada"), 5)] {
        lab.redis.publish(&message).await;
        lab.receiver.wait("/x", count).await;
    }
    assert_eq!(lab.receiver.ids("/x"), [ALL[0], ALL[1], ALL[1], ALL[2], ALL[2]]);
}
