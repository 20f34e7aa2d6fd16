//! Redirects: followed where they promise to keep the body, failures elsewhere.

use serde_json::json;

use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Receiver;
use crate::harness::Reply;
use crate::harness::SECRET;
use crate::harness::until;

#[tokio::test]
async fn redirects_that_lose_the_body_are_failures() {
    let lab = Lab::with(|setup| setup.set("hooks.retryIntervals", json!([10, 10]))).await;
    for status in [301, 302, 303] {
        let path = format!("/{status}");
        lab.receiver.answer(&path, [Reply::redirect(status, &lab.receiver.url("/elsewhere"))]);
        lab.hook(&path, &[]).await;
    }
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    until("all hooks are given up", async || lab.daemon.ids().await.is_empty()).await;
    for status in [301, 302, 303] {
        assert_eq!(lab.receiver.count(&format!("/{status}")), 3);
    }
    assert_eq!(lab.receiver.count("/elsewhere"), 0);
}

#[tokio::test]
async fn redirects_that_keep_the_body_are_followed() {
    let lab = Lab::with(|setup| setup.env("BEARER_AUTH", "true").set("hooks.retryIntervals", json!([10]))).await;
    let other = Receiver::start().await;
    for status in [307, 308] {
        let (near, far) = (format!("/{status}-near"), format!("/{status}-far"));
        lab.receiver.answer(&near, [Reply::redirect(status, &format!("/here-{status}?a=b"))]);
        lab.receiver.answer(&far, [Reply::redirect(status, &other.url(&format!("/there-{status}")))]);
        lab.hook(&near, &[]).await;
        lab.hook(&far, &[]).await;
    }
    let meeting = Meeting::new("math-101");
    lab.redis.publish_all(&[meeting.created(), meeting.ended()]).await;
    let bearer = format!("Bearer {SECRET}");
    for status in [307, 308] {
        let here = lab.receiver.wait(&format!("/here-{status}"), 2).await;
        let there = other.wait(&format!("/there-{status}"), 2).await;
        let sent = lab.receiver.to(&format!("/{status}-near"));
        assert_eq!(sent.len(), 2, "one attempt for each event");
        assert_eq!((&here[0].body, &here[0].target), (&sent[0].body, &format!("/here-{status}?a=b")));
        assert_eq!(here[0].header("authorization"), Some(bearer.as_str()));
        assert_eq!(there[0].body, lab.receiver.to(&format!("/{status}-far"))[0].body);
        assert_eq!(there[0].header("authorization"), None, "the secret stays with its origin");
        assert_eq!((here[0].header("referer"), there[0].header("referer")), (None, None), "and so does the URL");
        for redirected in [&here, &there] {
            let ids: Vec<String> = redirected.iter().flat_map(|request| request.ids()).collect();
            assert_eq!(ids, ["meeting-created", "meeting-ended"]);
        }
    }
}

#[tokio::test]
async fn at_most_ten_redirects_are_followed() {
    let lab = Lab::with(|setup| setup.set("hooks.retryIntervals", json!([10]))).await;
    for n in 0..10 {
        lab.receiver.answer(&format!("/ten-{n}"), [Reply::redirect(307, &format!("/ten-{}", n + 1))]);
    }
    for n in 0..11 {
        lab.receiver.answer(&format!("/eleven-{n}"), [Reply::redirect(307, &format!("/eleven-{}", n + 1))]);
    }
    lab.receiver.answer("/loop", [Reply::redirect(307, "/loop")]);
    let ten = lab.hook("/ten-0", &[]).await;
    lab.hook("/eleven-0", &[]).await;
    lab.hook("/loop", &[]).await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    until("those with more are given up", async || lab.daemon.ids().await == [ten.as_str()]).await;
    lab.receiver.wait("/ten-10", 1).await;
    assert_eq!((lab.receiver.count("/ten-0"), lab.receiver.count("/ten-10")), (1, 1));
    assert_eq!((lab.receiver.count("/eleven-0"), lab.receiver.count("/eleven-10")), (2, 2));
    assert_eq!(lab.receiver.count("/eleven-11"), 0);
    assert_eq!(lab.receiver.count("/loop"), 22, "two attempts of eleven requests");
}
