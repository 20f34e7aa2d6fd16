//! `bbb-webhooks status`.

use serde_json::Value;

use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Reply;
use crate::harness::eventually;

#[tokio::test]
async fn the_status_says_what_is_stuck_and_why() {
    let settings = |daemon: crate::harness::Setup| {
        daemon.set("hooks.onExhausted", "suspend").set("hooks.retryIntervals", vec![1_u64])
    };
    let lab = Lab::with(settings).await;
    let ended = lab.daemon.command(&["status"]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
    assert!(ended.stdout.contains("There are no hooks") && ended.stdout.contains("All is well"), "{}", ended.stdout);

    lab.daemon.create(&format!("{}?token=secret-token", lab.receiver.url("/good")), &[]).await;
    lab.hook("/bad", &[]).await;
    lab.receiver.answer("/bad", [Reply::status(507)]);
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    let ended = eventually("the bad one is suspended", async || {
        let ended = lab.daemon.command(&["status"]).await;
        ended.stdout.contains("hook 2 is suspended").then_some(ended)
    })
    .await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stdout.contains("status 507") && !ended.stdout.contains("secret-token"), "{}", ended.stdout);

    let json: Value = serde_json::from_str(&lab.daemon.command(&["status", "--json"]).await.stdout).unwrap();
    assert_eq!(json["hooks"][0]["delivered"], 1, "{json}");
    assert_eq!((&json["hooks"][1]["lag"], &json["hooks"][1]["state"]), (&1.into(), &"suspended".into()), "{json}");
}

#[tokio::test]
async fn nobody_without_the_secret_sees_a_status() {
    let mut lab = Lab::start().await;
    for target in ["status", "status?checksum=", "status?checksum=0123456789012345678901234567890123456789"] {
        let answer = lab.daemon.raw_get(&format!("/bigbluebutton/api/hooks/{target}")).await;
        assert_eq!(answer.status, 404, "{target}: {}", answer.body);
    }
    lab.redis.kill();
    let ended = eventually("the loss is told", async || {
        let ended = lab.daemon.command(&["status"]).await;
        ended.stdout.contains("not subscribed").then_some(ended)
    })
    .await;
    assert_eq!(ended.status.code(), Some(1));
    lab.daemon.kill();
    let ended = lab.daemon.command(&["status"]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("does not answer"), "{}", ended.stderr);
}
