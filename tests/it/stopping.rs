//! Stopping in good order, and what a restart remembers.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::Daemon;
use crate::harness::Gate;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Proxy;
use crate::harness::Redis;
use crate::harness::Reply;
use crate::harness::holds_for;

/// Beyond the request timeout, the time that a stop may take.
const MARGIN: Duration = Duration::from_secs(1);

/// With nothing to wait for, a stop takes no more than this.
const AT_ONCE: Duration = Duration::from_secs(2);

async fn finishes_the_attempt_in_flight(signal: Signal) {
    let mut lab = Lab::start().await;
    let gate = Gate::closed();
    lab.receiver.answer("/x", [Reply::ok().behind(&gate)]);
    lab.hook("/x", &[]).await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    lab.receiver.wait("/x", 1).await;
    lab.daemon.signal(signal);
    lab.daemon.logs("Stopping").await;
    holds_for(Duration::from_millis(300), "it waits for the answer", async || lab.daemon.is_running()).await;
    gate.open();
    let (status, took) = lab.daemon.ended().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(lab.receiver.count("/x"), 1);
    assert!(!lab.daemon.log().contains("not delivered"), "{}", lab.daemon.log());
}

#[tokio::test]
async fn sigterm_waits_for_the_attempt_in_flight() {
    finishes_the_attempt_in_flight(Signal::TERM).await;
}

#[tokio::test]
async fn sigint_waits_for_the_attempt_in_flight() {
    finishes_the_attempt_in_flight(Signal::INT).await;
}

#[tokio::test]
async fn a_hanging_receiver_holds_up_a_stop_no_longer_than_the_request_timeout() {
    let mut lab = Lab::with(|setup| setup.set("hooks.requestTimeout", 1500)).await;
    lab.receiver.answer("/x", [Reply::hang()]);
    lab.receiver.answer("/y", [Reply::trickle()]);
    lab.hook("/x", &[]).await;
    lab.hook("/y", &[]).await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    lab.receiver.wait("/x", 1).await;
    lab.receiver.wait("/y", 1).await;
    let (status, took) = lab.daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_millis(1500) + MARGIN, "{took:?}");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_redis_that_is_away() {
    let mut lab = Lab::with(|setup| setup.set("hooks.requestTimeout", 1500)).await;
    let gate = Gate::closed();
    lab.receiver.answer("/x", [Reply::ok().behind(&gate)]);
    lab.hook("/x", &[]).await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    lab.receiver.wait("/x", 1).await;
    lab.redis.kill();
    lab.daemon.signal(Signal::TERM);
    lab.daemon.logs("Stopping").await;
    gate.open();
    let (status, took) = lab.daemon.ended().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_millis(1500) + MARGIN, "{took:?}");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_redis_that_never_was() {
    let redis = Redis::not_started(&[], None);
    let mut daemon = Daemon::on(&redis).set("hooks.requestTimeout", 1500).start().await;
    let (status, took) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_millis(1500) + MARGIN, "{took:?}");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_what_is_to_be_tried_again_later() {
    let mut lab = Lab::start().await;
    lab.receiver.answer("/x", [Reply::status(500)]);
    lab.hook("/x", &[]).await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    lab.receiver.wait("/x", 3).await;
    let (status, took) = lab.daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn clients_that_do_nothing_do_not_hold_up_a_stop() {
    let mut lab = Lab::start().await;
    let mut kept_alive = TcpStream::connect(lab.daemon.address()).await.unwrap();
    kept_alive.write_all(b"GET /bigbluebutton/api/hooks/ping HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 1024];
    assert!(kept_alive.read(&mut answer).await.unwrap() > 0);
    let _silent = TcpStream::connect(lab.daemon.address()).await.unwrap();
    let mut half = TcpStream::connect(lab.daemon.address()).await.unwrap();
    half.write_all(b"GET /bigbluebutton/api/hooks/ping HTT").await.unwrap();
    // What came over other connections is accepted once this is answered.
    lab.daemon.list().await;
    let (status, took) = lab.daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let mut lab = Lab::with(|setup| setup.set("hooks.requestTimeout", 60_000)).await;
    lab.receiver.answer("/x", [Reply::hang()]);
    lab.hook("/x", &[]).await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    lab.receiver.wait("/x", 1).await;
    lab.daemon.signal(Signal::TERM);
    lab.daemon.logs("Stopping").await;
    let (status, took) = lab.daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn a_meeting_goes_on_over_a_restart() {
    let mut lab = Lab::start().await;
    lab.hook("/x", &[("meetingID", "math-101")]).await;
    let meeting = Meeting::new("math-101");
    lab.redis.publish(&meeting.created()).await;
    lab.receiver.wait("/x", 1).await;
    lab.daemon.restart().await;
    lab.redis.publish_all(&[meeting.joined("ada"), meeting.joined("bob")]).await;
    lab.receiver.wait("/x", 3).await;
    lab.daemon.restart().await;
    lab.redis.publish_all(&[meeting.camera("ada"), meeting.ended()]).await;
    lab.receiver.wait("/x", 7).await;
    let ids = ["meeting-created", "user-joined", "user-joined", "user-cam-broadcast-start", "user-left", "user-left"];
    assert_eq!(lab.receiver.ids("/x"), [&ids[..], &["meeting-ended"]].concat());
    let users = ["ext-ada", "ext-bob", "ext-ada", "ext-ada", "ext-bob"];
    for (request, user) in lab.receiver.to("/x")[1..].iter().zip(users) {
        let event = request.events().pop().unwrap();
        assert_eq!(event.pointer("/data/attributes/meeting/external-meeting-id"), Some(&"math-101".into()));
        assert_eq!(event.pointer("/data/attributes/user/external-user-id").and_then(Value::as_str), Some(user));
    }
}

#[tokio::test]
async fn recording_events_reach_the_hook_of_a_meeting_that_ended_before_a_restart() {
    let mut lab = Lab::start().await;
    lab.hook("/x", &[("meetingID", "math-101")]).await;
    let meeting = Meeting::new("math-101");
    lab.redis.publish_all(&[meeting.created(), meeting.ended(), meeting.recording("archive_started")]).await;
    lab.receiver.wait("/x", 3).await;
    lab.daemon.restart().await;
    lab.redis.publish(&meeting.recording("sanity_started")).await;
    let requests = lab.receiver.wait("/x", 4).await;
    assert_eq!(lab.receiver.ids("/x")[2..], ["rap-archive-started", "rap-sanity-started"]);
    for request in &requests[2..] {
        let event = request.events().pop().unwrap();
        assert_eq!(event.pointer("/data/attributes/meeting/external-meeting-id"), Some(&"math-101".into()));
    }
}

#[tokio::test]
async fn a_look_for_orders_that_redis_does_not_answer_holds_up_no_stop() {
    let redis = Redis::start().await;
    let proxy = Proxy::to(&redis).await;
    let setup = Daemon::on(&redis).env("REDIS_PORT", &proxy.port().to_string()).set("hooks.requestTimeout", 30_000);
    let mut daemon = setup.start().await;
    proxy.swallow("LINDEX");
    proxy.failed().await;
    let (status, took) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < AT_ONCE, "{took:?}");
}
