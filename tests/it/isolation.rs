//! One dead, slow or strange receiver costs the others nothing.

use std::time::Duration;

use serde_json::json;

use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Reply;
use crate::harness::free_port;

#[tokio::test]
async fn sick_receivers_do_not_delay_a_healthy_one() {
    // Nobody who waits for the sick ones would be through within the test's patience.
    let lab = Lab::with(|setup| {
        setup
            .set("hooks.requestTimeout", 60_000)
            .set("hooks.retryIntervals", json!([60_000]))
            .set("hooks.concurrency", 2)
    })
    .await;
    lab.receiver.answer("/hangs", [Reply::hang()]);
    lab.receiver.answer("/slow", [Reply::ok().after(Duration::from_secs(60))]);
    lab.receiver.answer("/trickles", [Reply::trickle()]);
    lab.receiver.answer("/closes", [Reply::close()]);
    lab.receiver.answer("/resets", [Reply::reset()]);
    lab.receiver.answer("/fails", [Reply::status(500)]);
    let sick = ["/hangs", "/slow", "/trickles", "/closes", "/resets", "/fails"];
    for path in sick {
        lab.hook(path, &[]).await;
    }
    lab.daemon.create(&format!("http://127.0.0.1:{}/dead", free_port()), &[]).await;
    lab.daemon.create("http://no-such-host.invalid/dead", &[]).await;
    lab.hook("/healthy", &[]).await;
    let meetings: Vec<_> = (0..4).map(|n| Meeting::new(&format!("m{n}"))).collect();
    for n in 0..50 {
        for meeting in &meetings {
            lab.redis.publish(&meeting.chat("ada", &n.to_string())).await;
        }
    }
    let requests = lab.receiver.wait("/healthy", 200).await;
    let took = requests[199].at - requests[0].at;
    assert!(took < Duration::from_secs(10), "{took:?}");
    for path in sick {
        // Once per meeting. What breaks a connection that was kept after a callback to the healthy hook is sent once more.
        let most = if ["/closes", "/resets"].contains(&path) { 8 } else { 4 };
        assert!((1..=most).contains(&lab.receiver.count(path)), "{path} is stuck: {}", lab.receiver.count(path));
    }
}

#[tokio::test]
async fn an_answer_without_an_end_or_broken_is_success_and_not_read_to_its_end() {
    let lab = Lab::with(|setup| setup.set("hooks.requestTimeout", 1500)).await;
    lab.receiver.answer("/endless", [Reply::endless()]);
    lab.receiver.answer("/trickles", [Reply::trickle()]);
    // No chunk begins like its body.
    lab.receiver.answer("/broken", [Reply::ok().header("transfer-encoding", "chunked")]);
    lab.hook("/endless", &[]).await;
    lab.hook("/trickles", &[]).await;
    lab.hook("/broken", &[]).await;
    let meeting = Meeting::new("math-101");
    lab.redis.publish_all(&[meeting.created(), meeting.joined("ada"), meeting.left("ada")]).await;
    let endless = lab.receiver.wait("/endless", 3).await;
    assert!(endless[2].at - endless[0].at < Duration::from_millis(1500), "it does not wait for the deadline");
    let trickles = lab.receiver.wait("/trickles", 3).await;
    let took = trickles[2].at - trickles[0].at;
    assert!(took >= Duration::from_millis(2500), "the deadline ended it: {took:?}");
    lab.receiver.wait("/broken", 3).await;
    for path in ["/endless", "/trickles", "/broken"] {
        assert_eq!(lab.receiver.ids(path), ["meeting-created", "user-joined", "user-left"], "{path}");
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_is_tried_again_after_the_request_timeout() {
    let lab =
        Lab::with(|setup| setup.set("hooks.requestTimeout", 300).set("hooks.retryIntervals", json!([10, 10, 10])))
            .await;
    lab.receiver.answer("/x", [Reply::hang(), Reply::hang(), Reply::ok()]);
    lab.hook("/x", &[]).await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    let requests = lab.receiver.wait("/x", 3).await;
    for pair in requests.windows(2) {
        let wait = pair[1].at - pair[0].at;
        assert!((Duration::from_millis(150)..Duration::from_secs(3)).contains(&wait), "{wait:?}");
        assert_eq!(pair[0].body, pair[1].body);
    }
}

#[tokio::test]
async fn another_meeting_of_the_same_hook_goes_on_while_one_waits_for_a_retry() {
    let lab = Lab::with(|setup| setup.set("hooks.retryIntervals", json!([60_000]))).await;
    lab.receiver.answer("/x", [Reply::status(500), Reply::ok()]);
    lab.hook("/x", &[]).await;
    let (stuck, free) = (Meeting::new("stuck"), Meeting::new("free"));
    lab.redis.publish(&stuck.created()).await;
    lab.receiver.wait("/x", 1).await;
    lab.redis.publish_all(&[stuck.joined("ada"), free.created(), free.ended()]).await;
    lab.receiver.wait("/x", 3).await;
    assert_eq!(lab.receiver.ids("/x"), ["meeting-created", "meeting-created", "meeting-ended"]);
}
