//! `bbb-webhooks status`.

use serde_json::Value;

use crate::harness::Daemon;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Reply;
use crate::harness::eventually;
use crate::harness::free_port;
use crate::harness::get;
use crate::harness::until;

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

/// Waits until `status` says so; what it printed. It says that something needs a person.
async fn needs(daemon: &Daemon, text: &str) -> String {
    let ended = eventually(format!("{text:?} in the status"), async || {
        let ended = daemon.command(&["status"]).await;
        ended.stdout.contains(text).then_some(ended)
    })
    .await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
    assert!(ended.stdout.contains("Needs a person") && !ended.stdout.contains("All is well"), "{}", ended.stdout);
    ended.stdout
}

async fn is_well(daemon: &Daemon) -> String {
    eventually("all is well", async || {
        let ended = daemon.command(&["status"]).await;
        (ended.stdout.contains("All is well") && ended.status.success()).then_some(ended.stdout)
    })
    .await
}

/// A sample of the metrics, by its line without the value.
async fn metric(port: u16, series: &str) -> f64 {
    let text = get(port, "/metrics").await.body;
    let line = text.lines().find(|line| line.starts_with(&format!("{series} ")));
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or_else(|| panic!("no {series} in\n{text}"))
}

#[tokio::test]
async fn a_daemon_that_waits_for_another_does_not_say_that_all_is_well() {
    let port = free_port();
    let mut lab = Lab::start().await;
    lab.hook("/x", &[]).await;
    let second = Daemon::on(&lab.redis).env("PROM_ENABLED", "true").env("PROM_PORT", &port.to_string()).start().await;
    let screen = needs(&second, "hooks and meetings were not read from Redis yet: another daemon works with").await;
    assert!(screen.contains("Hooks are not known yet") && !screen.contains("There are no hooks"), "{screen}");
    assert!((metric(port, "bbb_webhooks_degraded").await - 1.0).abs() < 0.5);
    is_well(&lab.daemon).await;
    lab.daemon.terminate().await;
    let screen = is_well(&second).await;
    assert!(screen.contains("127.0.0.1"), "it has the hook now: {screen}");
    until("it is degraded no more", async || metric(port, "bbb_webhooks_degraded").await < 0.5).await;
}

#[tokio::test]
async fn a_daemon_that_never_saw_redis_says_so() {
    let nowhere = free_port().to_string();
    let daemon = Daemon::without_redis().env("REDIS_HOST", "127.0.0.1").env("REDIS_PORT", &nowhere).start().await;
    let screen = needs(&daemon, "hooks and meetings were not read from Redis yet: ").await;
    assert!(screen.contains("refused"), "{screen}");
}

#[tokio::test]
async fn parked_events_are_those_that_redis_has() {
    let port = free_port();
    let mut lab = Lab::with(|daemon| {
        let daemon = daemon.env("PROM_ENABLED", "true").env("PROM_PORT", &port.to_string());
        daemon.set("hooks.retryIntervals", vec![10_u64, 2000])
    })
    .await;
    let id = lab.hook("/x", &[]).await;
    lab.park_two(&id, "/x").await;
    let said = format!("hook {id} has 2 parked events: bbb-webhooks parked {id}");
    needs(&lab.daemon, &said).await;
    lab.daemon.restart().await;
    needs(&lab.daemon, &said).await;
    let series = format!(
        "bbb_webhooks_hook_parked_events{{hook=\"{id}\",host=\"{}\"}}",
        lab.receiver.url("").trim_start_matches("http://")
    );
    assert!((metric(port, &series).await - 2.0).abs() < 0.5);
    lab.receiver.refuse("/x", None);
    let done = lab.daemon.command(&["replay", &id, "--parked"]).await;
    assert!(done.status.success(), "{}", done.stderr);
    is_well(&lab.daemon).await;
    assert!(metric(port, &series).await < 0.5);
}

#[tokio::test]
async fn a_hook_that_was_removed_is_not_forgotten_by_the_status() {
    let port = free_port();
    let lab = Lab::with(|daemon| {
        let daemon = daemon.env("PROM_ENABLED", "true").env("PROM_PORT", &port.to_string());
        daemon.set("hooks.retryIntervals", vec![10_u64, 6000])
    })
    .await;
    let destroyed = lab.hook("/destroyed", &[]).await;
    lab.daemon.destroy(&destroyed).await;
    let removed = |reason: &str| format!("bbb_webhooks_hooks_removed_total{{reason=\"{reason}\"}}");
    for reason in ["exhausted", "suspended"] {
        assert!(metric(port, &removed(reason)).await < 0.5, "nobody gave it up");
    }
    lab.hook("/x", &[]).await;
    lab.receiver.answer("/x", [Reply::status(500)]);
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    eventually("it is foreseen when the hook is removed", async || {
        let json: Value = serde_json::from_str(&lab.daemon.command(&["status", "--json"]).await.stdout).unwrap();
        let hook = &json["hooks"][0];
        let (since, removed_at) = (hook["failingSince"].as_u64()?, hook["removedAt"].as_u64()?);
        assert!((1..9000).contains(&(removed_at - since)), "{json}");
        Some(())
    })
    .await;
    let screen = needs(&lab.daemon, "1 hook was removed since the start").await;
    assert!(screen.contains("There are no hooks") && screen.contains("create them again"), "{screen}");
    assert!((metric(port, &removed("exhausted")).await - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn messages_for_which_there_is_no_room_are_lost_data() {
    let lab = Lab::start().await;
    // It waits for the other, and what is published waits with it.
    let second = Daemon::on(&lab.redis).start().await;
    let (meeting, text) = (Meeting::new("math-101"), "x".repeat(12 << 20));
    let message = meeting.chat("ada", &text);
    for n in 1..=6 {
        lab.redis.publish(&message).await;
        until("both have it", async || {
            let received = async |daemon: &Daemon| {
                let status: Value =
                    serde_json::from_str(&daemon.command(&["status", "--json"]).await.stdout).unwrap_or_default();
                status["messages"]["received"].as_u64().unwrap_or(0)
            };
            received(&lab.daemon).await >= n && received(&second).await >= n
        })
        .await;
    }
    let screen = needs(&second, "1 message of BigBlueButton was dropped since the start").await;
    assert!(screen.contains("6 received"), "{screen}");
    second.logs("the newest are dropped").await;
    let log = second.log();
    let line = log.lines().find(|line| line.contains("the newest are dropped")).unwrap();
    assert!(line.contains("ERROR"), "{line}");
}
