//! Hooks that are far behind: they cost the others nothing, and no memory beyond the bound.

use std::time::Duration;

use crate::harness::Audience;
use crate::harness::Crowd;
use crate::harness::Daemon;
use crate::harness::Deed;
use crate::harness::Ledger;
use crate::harness::MARK;
use crate::harness::MEETINGS;
use crate::harness::Meeting;
use crate::harness::PATIENCE;
use crate::harness::Publisher;
use crate::harness::Redis;
use crate::harness::Wish;
use crate::harness::free_port;
use crate::harness::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_a_hanging_and_a_slow_hook_cost_the_others_nothing() {
    const EVENTS: usize = 300;
    const HEALTHY: usize = 48;
    let redis = Redis::start().await;
    let audience = Audience::start().await;
    audience.behaves(|hook, _| match hook {
        0 => (Deed::Hang, Duration::ZERO),
        1 => (Deed::Take, Duration::from_secs(2)),
        _ => (Deed::Take, Duration::ZERO),
    });
    let daemon = Daemon::on(&redis)
        .env("LOG_LEVEL", "info")
        // Nobody who waited for it would be through within the test's patience.
        .set("hooks.requestTimeout", 60_000)
        .start()
        .await;
    daemon.create(&format!("http://127.0.0.1:{}/dead", free_port()), &[]).await;
    Crowd::create(&daemon, &redis, &audience, vec![Wish::All; 2 + HEALTHY]).await;
    Publisher::start(&redis, EVENTS, 300).finish(PATIENCE).await;
    until("the healthy ones have all", async || {
        let taken = audience.taken_by_hook();
        (2..2 + HEALTHY).all(|hook| taken.get(&hook) == Some(&EVENTS))
    })
    .await;
    let arrivals = audience.arrivals();
    let came = |hook: usize| arrivals.iter().filter(|arrival| arrival.hook == hook).count();
    assert_eq!(came(0), 8, "the hanging one holds its eight attempts");
    assert!(came(1) < EVENTS, "the slow one is not through: {}", came(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_memory_has_no_room_for_is_read_off_the_stream() {
    const EVENTS: usize = 4000;
    const LIMIT: usize = 4 << 20;
    let redis = Redis::start().await;
    let audience = Audience::start().await;
    audience.behaves(|hook, _| (if hook == 0 { Deed::Hang } else { Deed::Take }, Duration::ZERO));
    let daemon = Daemon::on(&redis)
        .env("LOG_LEVEL", "info")
        .set("hooks.queueSize", 100_000)
        .set("hooks.memoryLimit", LIMIT)
        .set("hooks.requestTimeout", 5000)
        .set("hooks.retryIntervals", vec![10; 100])
        .start()
        .await;
    let crowd = Crowd::create(&daemon, &redis, &audience, vec![Wish::All, Wish::Meeting(0)]).await;
    let mut ledger = Ledger::new(crowd);
    let before = daemon.memory();
    let meetings: Vec<_> = (0..MEETINGS).map(|number| Meeting::new(&format!("meeting-{number}"))).collect();
    let filling = "x".repeat(20_000);
    let mut most = before;
    for mark in 0..EVENTS {
        redis.publish(&meetings[mark % MEETINGS].chat("ada", &format!("{MARK}{mark} {filling}"))).await;
        if mark % 100 == 99 {
            // No faster than it is taken in.
            until("it is stored", async || redis_has(&redis, mark + 1).await).await;
            most = most.max(daemon.memory());
        }
    }
    ledger.look(&redis).await;
    audience.behaves(|_, _| (Deed::Take, Duration::ZERO));
    ledger.all_is_delivered(&audience).await;
    most = most.max(daemon.memory());
    println!("memory: {} KiB before, {} KiB at most, with {} KiB of events", before >> 10, most >> 10, EVENTS * 20);
    let findings = ledger.findings(&audience.arrivals());
    findings.hold();
    assert_eq!(findings.accepted, EVENTS);
    assert!(most - before < 14 * LIMIT, "{} KiB more", (most - before) >> 10);
}

/// Whether that many marked events are stored; the meetings' own come first.
async fn redis_has(redis: &Redis, events: usize) -> bool {
    redis.run::<usize>(redis::cmd("XLEN").arg(crate::harness::JOURNAL)).await == MEETINGS + events
}
