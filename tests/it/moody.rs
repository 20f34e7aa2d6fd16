//! Receivers that fail at random.

use std::sync::Mutex;
use std::time::Duration;

use crate::harness::Audience;
use crate::harness::Crowd;
use crate::harness::Daemon;
use crate::harness::Deed;
use crate::harness::Ledger;
use crate::harness::Publisher;
use crate::harness::Redis;
use crate::harness::Wish;
use crate::harness::chance;
use crate::harness::stored;
use crate::harness::until;

/// Three in ten callbacks are refused, never answered, or reset; all take from 1 to 200 ms.
async fn order_is_kept(name: &str, events: usize) {
    let chance = Mutex::new(chance(name));
    let redis = Redis::start().await;
    let audience = Audience::start().await;
    audience.behaves(move |_, _| {
        let mut chance = chance.lock().unwrap();
        let deed = match chance.u8(0..10) {
            0 => Deed::Refuse(500),
            1 => Deed::Hang,
            2 => Deed::Reset,
            _ => Deed::Take,
        };
        (deed, Duration::from_millis(chance.u64(1..=200)))
    });
    let daemon = Daemon::on(&redis)
        .env("LOG_LEVEL", "info")
        .set("hooks.requestTimeout", 1000)
        .set("hooks.concurrency", 20)
        .set("hooks.retryIntervals", vec![10; 100])
        .set("hooks.queueSize", 100_000)
        .start()
        .await;
    let crowd = Crowd::create(&daemon, &redis, &audience, vec![Wish::All]).await;
    let mut ledger = Ledger::new(crowd);
    Publisher::start(&redis, events, 1000).finish(Duration::from_secs(60)).await;
    until("all is stored", async || stored(&redis, 0).await.len() == events).await;
    ledger.look(&redis).await;
    ledger.all_is_delivered(&audience).await;
    let findings = ledger.findings(&audience.arrivals());
    println!("{name}: {}", findings.summary());
    findings.hold();
    assert!(findings.callbacks > events * 5 / 4, "hardly anything failed: {}", findings.summary());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_meeting_keep_their_order_at_a_moody_receiver() {
    order_is_kept("a moody receiver", 400).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long"]
async fn ten_thousand_events_keep_their_order_at_a_moody_receiver() {
    order_is_kept("a moody receiver for long", 10_000).await;
}
