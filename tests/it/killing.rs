//! The daemon is killed and stopped, again and again, while events flow to fifty hooks.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::harness::Audience;
use crate::harness::CURSORS;
use crate::harness::Crowd;
use crate::harness::Daemon;
use crate::harness::Deed;
use crate::harness::Ledger;
use crate::harness::MEETINGS;
use crate::harness::PATIENCE;
use crate::harness::Publisher;
use crate::harness::Redis;
use crate::harness::Wish;
use crate::harness::chance;
use crate::harness::meeting_of;
use crate::harness::stored;
use crate::harness::until;

/// How much is to happen.
struct Extent {
    endings: usize,
    events: usize,
    per_second: usize,
    /// The longest time from one start to the next end, in ms.
    longest_life: u64,
}

const CI: Extent = Extent { endings: 30, events: 1500, per_second: 150, longest_life: 400 };
const LONG: Extent = Extent { endings: 200, events: 20_000, per_second: 400, longest_life: 400 };

/// The sizes that the promises are tested with: nothing is dropped for want of room.
const ROOM: usize = 100_000;

struct Field {
    redis: Redis,
    audience: Audience,
    daemon: Daemon,
    ledger: Ledger,
}

impl Field {
    async fn prepare() -> Self {
        let redis = Redis::start().await;
        let audience = Audience::start().await;
        // Some callbacks are always in flight.
        audience.behaves(|hook, mark| (Deed::Take, Duration::from_millis(((hook + mark) % 5) as u64)));
        let daemon = Daemon::on(&redis)
            .env("LOG_LEVEL", "info")
            .set("hooks.queueSize", ROOM)
            .set("hooks.journalSize", ROOM)
            .start()
            .await;
        let crowd = Crowd::create(&daemon, &redis, &audience, Crowd::of_fifty()).await;
        Self { redis, audience, daemon, ledger: Ledger::new(crowd) }
    }

    /// Takes down what holds between two lives of the daemon.
    async fn between_lives(&mut self, ended: Instant) {
        self.audience.closes_the_book_on_a_life().await;
        self.ledger.life_ended(&self.redis, ended).await;
    }
}

async fn killed_at_random_moments(name: &str, extent: &Extent) {
    let mut chance = chance(name);
    let mut field = Field::prepare().await;
    let publisher = Publisher::start(&field.redis, extent.events, extent.per_second);
    for _ in 0..extent.endings {
        // Any moment may be the last, those of the start too.
        tokio::time::sleep(Duration::from_millis(chance.u64(0..=extent.longest_life))).await;
        let ended = Instant::now();
        field.daemon.kill();
        field.between_lives(ended).await;
        field.daemon.spawn();
    }
    field.daemon.answers().await;
    field.redis.has_a_subscriber().await;
    publisher.finish(Duration::from_secs(300)).await;
    field.ledger.look(&field.redis).await;
    field.ledger.all_is_delivered(&field.audience).await;

    let findings = field.ledger.findings(&field.audience.arrivals());
    println!("{name}: {}", findings.summary());
    println!("{name}: sent again after each kill: {:?}", findings.again);
    findings.hold();
    field.ledger.is_whole(&field.redis).await;
    assert!(findings.accepted > extent.events / 10, "hardly anything was accepted: {}", findings.summary());
    // 10 ms while Redis answers within 5: on a busy machine it may take longer, but nothing like this.
    assert!(findings.oldest_again < Duration::from_secs(2), "{}", findings.summary());
}

async fn stopped_again_and_again(name: &str, extent: &Extent) {
    let mut chance = chance(name);
    let mut field = Field::prepare().await;
    let publisher = Publisher::start(&field.redis, extent.events, extent.per_second);
    for _ in 0..extent.endings {
        tokio::time::sleep(Duration::from_millis(chance.u64(0..=extent.longest_life))).await;
        let (status, _) = field.daemon.terminate().await;
        assert!(status.success(), "{status}");
        field.between_lives(Instant::now()).await;
        // It listens to signals from early on, but not from the first instruction.
        field.daemon.start_again().await;
    }
    publisher.finish(Duration::from_secs(300)).await;
    field.ledger.look(&field.redis).await;
    field.ledger.all_is_delivered(&field.audience).await;

    let findings = field.ledger.findings(&field.audience.arrivals());
    println!("{name}: {}", findings.summary());
    findings.hold();
    assert_eq!(findings.again.iter().sum::<usize>(), 0, "a stop in good order repeats nothing: {:?}", findings.again);
    field.ledger.is_whole(&field.redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_over_thirty_kills() {
    killed_at_random_moments("thirty kills", &CI).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long"]
async fn nothing_accepted_is_lost_over_two_hundred_kills() {
    killed_at_random_moments("two hundred kills", &LONG).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_repeated_over_ten_stops() {
    stopped_again_and_again("ten stops", &Extent { endings: 10, events: 1000, per_second: 200, ..CI }).await;
}

/// While a long journal is read after a start, hooks deliver and say how far they are. What they have not read again yet is
/// done all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_soon_after_a_start_repeats_nothing_that_was_done_before() {
    const EVENTS: usize = 6000;
    let redis = Redis::start().await;
    let audience = Audience::start().await;
    // All of the first meeting hangs, so everything after that is done above the watermark.
    audience.behaves(|_, mark| (if meeting_of(mark) == 0 { Deed::Hang } else { Deed::Take }, Duration::ZERO));
    let daemon = Daemon::on(&redis)
        .env("LOG_LEVEL", "info")
        .set("hooks.queueSize", ROOM)
        .set("hooks.requestTimeout", 60_000)
        .start()
        .await;
    let crowd = Crowd::create(&daemon, &redis, &audience, vec![Wish::All]).await;
    let mut field = Field { redis, audience, daemon, ledger: Ledger::new(crowd) };
    Publisher::start(&field.redis, EVENTS, 3000).finish(PATIENCE).await;
    let done = EVENTS - EVENTS / MEETINGS;
    until("all but the first meeting is taken", async || {
        field.audience.taken_by_hook().get(&0).is_some_and(|taken| *taken == done)
    })
    .await;
    field.ledger.look(&field.redis).await;
    let last = field.ledger.last_number();
    until("the cursor says so", async || {
        field.redis.hash(CURSORS).await.values().all(|cursor| cursor.contains(&format!(",{last}]")))
    })
    .await;
    for life in 0..4 {
        let ended = Instant::now();
        field.daemon.kill();
        field.between_lives(ended).await;
        // One event of the first meeting goes through in each life, as soon as it is read.
        field.audience.behaves(move |_, mark| {
            let hangs = meeting_of(mark) == 0 && mark > life * MEETINGS;
            (if hangs { Deed::Hang } else { Deed::Take }, Duration::ZERO)
        });
        field.daemon.spawn();
        field.daemon.answers().await;
        until("one more is taken", async || field.audience.taken_by_hook()[&0] > done + life).await;
    }
    let findings = field.ledger.findings(&field.audience.arrivals());
    println!("a kill soon after a start: {}", findings.summary());
    assert!(findings.forgotten.is_empty() && findings.repeated.is_empty(), "{}", findings.summary());
    assert!(findings.again.iter().sum::<usize>() < 10, "{}", findings.summary());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long"]
async fn nothing_is_lost_or_repeated_over_two_hundred_stops() {
    stopped_again_and_again("two hundred stops", &LONG).await;
}

/// A daemon that is stopped while it still reads its journal has delivered nothing that it would not write down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_soon_after_a_start_repeats_nothing() {
    const EVENTS: usize = 8000;
    let mut field = Field::prepare().await;
    field.audience.behaves(|_, _| (Deed::Refuse(500), Duration::ZERO));
    Publisher::start(&field.redis, EVENTS, 3000).finish(PATIENCE).await;
    until("all is stored", async || stored(&field.redis, 0).await.len() == EVENTS).await;
    field.daemon.kill();
    field.between_lives(Instant::now()).await;
    field.audience.behaves(|_, _| (Deed::Take, Duration::ZERO));
    for _ in 0..3 {
        let before = field.audience.count();
        field.daemon.spawn();
        until("it delivers", async || field.audience.count() > before).await;
        let (status, _) = field.daemon.terminate().await;
        assert!(status.success(), "{status}");
        field.between_lives(Instant::now()).await;
    }
    let findings = field.ledger.findings(&field.audience.arrivals());
    assert_eq!(findings.again.iter().sum::<usize>(), 0, "{}", findings.summary());
    assert!(findings.repeated.is_empty() && findings.forgotten.is_empty(), "{}", findings.summary());
}

/// While attempts in flight hold up a stop, events are still accepted, and the stream is cut. It must not be cut by the
/// measure of the hooks that are no longer served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_takes_long_keeps_what_slow_hooks_need() {
    let redis = Redis::start().await;
    let audience = Audience::start().await;
    // The first hook's receiver fails; the second's hangs at last, and with it the stop.
    audience.behaves(|hook, mark| match (hook, mark) {
        (0, _) => (Deed::Refuse(500), Duration::ZERO),
        (_, ..180) => (Deed::Take, Duration::ZERO),
        _ => (Deed::Hang, Duration::ZERO),
    });
    let mut daemon = Daemon::on(&redis)
        .env("LOG_LEVEL", "info")
        .set("hooks.queueSize", 100)
        .set("hooks.requestTimeout", 2000)
        .set("hooks.retryIntervals", json!([100, 3000, 3000]))
        .start()
        .await;
    let crowd = Crowd::create(&daemon, &redis, &audience, vec![Wish::Meeting(0), Wish::Meeting(1)]).await;
    let mut ledger = Ledger::new(crowd);
    Publisher::start(&redis, 200, 1000).finish(PATIENCE).await;
    until("the second hook hangs", async || audience.arrivals().iter().any(|a| a.deed == Deed::Hang)).await;
    until("all is stored", async || stored(&redis, 0).await.len() == 200).await;
    ledger.look(&redis).await;
    let publisher = Publisher::start(&redis, 10_000, 500);
    let (status, _) = daemon.terminate().await;
    assert!(status.success(), "{status}");
    publisher.stop().await;
    audience.behaves(|_, _| (Deed::Take, Duration::ZERO));
    daemon.start_again().await;
    let of_first = |mark: &usize| meeting_of(*mark) == 0;
    let owed = ledger.marks().iter().filter(|mark| of_first(mark)).count();
    until(format!("the first {owed} events reach the first hook"), async || {
        // Those of the second load have the same marks, and come after them.
        audience.taken_by_hook().get(&0).is_some_and(|taken| *taken >= owed)
    })
    .await;
    let first: Vec<_> =
        audience.arrivals().iter().filter(|a| a.hook == 0 && a.deed == Deed::Take).map(|a| a.mark).collect();
    assert_eq!(first[..owed], ledger.marks().into_iter().filter(of_first).collect::<Vec<_>>());
}
