//! Redis loses what it was given: it comes back empty or older, it is flushed, or somebody puts something else under a key.

use std::time::Duration;

use redis::cmd;
use tokio::time::Instant;

use crate::harness::Audience;
use crate::harness::CURSORS;
use crate::harness::Crowd;
use crate::harness::Daemon;
use crate::harness::Deed;
use crate::harness::JOURNAL;
use crate::harness::Lab;
use crate::harness::Ledger;
use crate::harness::MEETINGS;
use crate::harness::Meeting;
use crate::harness::PATIENCE;
use crate::harness::Publisher;
use crate::harness::Receiver;
use crate::harness::Redis;
use crate::harness::Wish;
use crate::harness::chance;
use crate::harness::eventually;
use crate::harness::meeting_of;
use crate::harness::stored;
use crate::harness::until;

const HOOKS: &str = "bigbluebutton:webhooks:out:hooks";
const MAPPINGS: &str = "bigbluebutton:webhooks:proc:mappings";
const EPOCH: &str = "bigbluebutton:webhooks:out:epoch";
const LEASE: &str = "bigbluebutton:webhooks:out:lease";

/// How many members a set or fields a hash has; 0 if there is something else under the key.
async fn length(redis: &Redis, command: &str, key: &str) -> usize {
    let script = "local n = redis.pcall(ARGV[1], KEYS[1]); return type(n) == 'number' and n or 0";
    redis.run(cmd("EVAL").arg(script).arg(1).arg(key).arg(command)).await
}

/// Puts another type than ours under a key, in one go: the daemon writes meanwhile.
async fn put_another_type(redis: &Redis, key: &str) {
    let script = "redis.call('DEL', KEYS[1]); return redis.call('RPUSH', KEYS[1], 'not ours')";
    let _: u64 = redis.run(cmd("EVAL").arg(script).arg(1).arg(key)).await;
}

/// Waits until hooks, meetings and cursors are in Redis. Gives how long that took.
async fn is_whole_again(redis: &Redis, hooks: usize) -> Duration {
    let start = Instant::now();
    until("hooks, meetings and cursors are in Redis", async || {
        length(redis, "SCARD", HOOKS).await == hooks
            && length(redis, "SCARD", MAPPINGS).await == MEETINGS
            && length(redis, "HLEN", CURSORS).await == hooks
    })
    .await;
    start.elapsed()
}

async fn comes_back_empty(name: &str, times: usize) {
    let mut chance = chance(name);
    let mut redis = Redis::start().await;
    let audience = Audience::start().await;
    audience.behaves(|hook, mark| (Deed::Take, Duration::from_millis(((hook + mark) % 5) as u64 * 4)));
    let daemon = Daemon::on(&redis).env("LOG_LEVEL", "info").start().await;
    let crowd = Crowd::create(&daemon, &redis, &audience, Crowd::of_fifty()).await;
    let mut ledger = Ledger::new(crowd);
    let publisher = Publisher::start(&redis, 1_000_000, 100);
    let mut slowest = Duration::ZERO;
    for _ in 0..times {
        tokio::time::sleep(Duration::from_millis(chance.u64(50..400))).await;
        redis.kill();
        redis.start_empty().await;
        slowest = slowest.max(is_whole_again(&redis, 50).await);
        redis.has_a_subscriber().await;
    }
    tokio::time::sleep(Duration::from_millis(chance.u64(50..400))).await;
    publisher.stop().await;
    ledger.look(&redis).await;
    ledger.reckon_with_received(&audience);
    ledger.all_is_delivered(&audience).await;
    let findings = ledger.findings(&audience.arrivals());
    println!("{name}: {}", findings.summary());
    println!("{name}: Redis was whole again within {slowest:?}");
    findings.hold();
    assert!(findings.accepted > 10 * times, "{}", findings.summary());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_back_empty_five_times_loses_nothing() {
    comes_back_empty("five losses", 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long"]
async fn a_redis_that_comes_back_empty_twenty_times_loses_nothing() {
    comes_back_empty("twenty losses", 20).await;
}

/// A hook whose receiver fails has events waiting, another has taken all; `lose` does something to Redis; when Redis is
/// whole again, the daemon is killed. Whatever it knew must have been in Redis by then.
async fn survives(lose: impl AsyncFnOnce(&mut Redis)) {
    let mut redis = Redis::start().await;
    let audience = Audience::start().await;
    audience.behaves(|hook, _| (if hook == 1 { Deed::Refuse(500) } else { Deed::Take }, Duration::ZERO));
    let mut daemon =
        Daemon::on(&redis).env("LOG_LEVEL", "info").set("hooks.retryIntervals", vec![50; 500]).start().await;
    let wishes = vec![Wish::All, Wish::Meeting(0), Wish::Chat];
    let crowd = Crowd::create(&daemon, &redis, &audience, wishes).await;
    let mut ledger = Ledger::new(crowd);
    let healthy_took = async |most: usize| {
        until(format!("{most} events are taken"), async || {
            audience.taken_by_hook().get(&0).is_some_and(|taken| *taken == most)
        })
        .await;
    };
    Publisher::of(&redis, 0..100, 1000).finish(PATIENCE).await;
    healthy_took(100).await;
    until("all is stored", async || stored(&redis, 0).await.len() == 100).await;
    redis.save().await;
    Publisher::of(&redis, 100..200, 1000).finish(PATIENCE).await;
    healthy_took(200).await;

    lose(&mut redis).await;
    is_whole_again(&redis, 3).await;
    redis.has_a_subscriber().await;
    until("the journal is whole again", async || {
        let kind: String = redis.run(cmd("TYPE").arg(JOURNAL)).await;
        // Once it is a stream it stays one.
        let marks: Vec<_> = if kind == "stream" { stored(&redis, 0).await.into_values().collect() } else { Vec::new() };
        (0..200).filter(|mark| meeting_of(*mark) == 0).all(|mark| marks.contains(&mark))
    })
    .await;
    Publisher::of(&redis, 200..300, 1000).finish(PATIENCE).await;
    healthy_took(300).await;
    until("the last event is stored", async || stored(&redis, 0).await.into_values().any(|mark| mark == 299)).await;

    let ended = Instant::now();
    daemon.kill();
    audience.closes_the_book_on_a_life().await;
    ledger.life_ended(&redis, ended).await;
    ledger.reckon_with_received(&audience);
    audience.behaves(|_, _| (Deed::Take, Duration::ZERO));
    daemon.start_again().await;
    ledger.all_is_delivered(&audience).await;
    ledger.findings(&audience.arrivals()).hold();
    assert_eq!(daemon.ids().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_back_empty_has_all_that_the_next_start_needs() {
    survives(async |redis| {
        redis.kill();
        redis.start_empty().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_back_older_is_brought_up_to_date() {
    survives(async |redis| {
        redis.kill();
        redis.start_again().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flushall_while_running_costs_nothing() {
    survives(async |redis| redis.run::<()>(&cmd("FLUSHALL")).await).await;
}

/// Another type than ours under a key, as if somebody had mistaken this Redis for theirs.
async fn another_type_under(key: &str) {
    survives(async |redis| put_another_type(redis, key).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_type_under_the_journal_is_mended() {
    another_type_under(JOURNAL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_type_under_the_cursors_is_mended() {
    another_type_under(CURSORS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_type_under_the_epoch_is_mended() {
    another_type_under(EPOCH).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_type_under_the_lease_is_mended() {
    another_type_under(LEASE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_type_under_the_hooks_and_the_meetings_is_mended() {
    survives(async |redis| {
        for key in [HOOKS, MAPPINGS] {
            put_another_type(redis, key).await;
        }
        // Nothing tells that before one of them is written: here with the rest, as after any loss.
        let _: u64 = redis.run(cmd("DEL").arg(EPOCH)).await;
    })
    .await;
}

#[tokio::test]
async fn another_type_under_the_journal_does_not_hinder_a_start() {
    let redis = Redis::start().await;
    for key in [JOURNAL, CURSORS] {
        put_another_type(&redis, key).await;
    }
    let _: () = redis.run(cmd("SADD").arg(LEASE).arg("not ours")).await;
    let receiver = Receiver::start().await;
    let daemon = Daemon::on(&redis).start().await;
    daemon.knows_its_hooks().await;
    daemon.create(&receiver.url("/x"), &[]).await;
    redis.publish(&Meeting::new("math-101").created()).await;
    receiver.wait("/x", 1).await;
    until("it is stored", async || length(&redis, "HLEN", CURSORS).await == 1).await;
    assert!(daemon.log().contains("is not what it should be"), "{}", daemon.log());
}

/// Redis may come back with what it saved before the daemon was last started: then it holds the lease of that earlier life.
#[tokio::test]
async fn a_lease_of_an_earlier_life_that_comes_back_ends_no_daemon() {
    let mut lab = Lab::start().await;
    lab.hook("/x", &[]).await;
    let lease = async |lab: &Lab| lab.redis.run::<Option<String>>(cmd("GET").arg(LEASE)).await;
    let earlier = eventually("the lease", async || lease(&lab).await).await;
    lab.daemon.kill();
    lab.daemon.start_again().await;
    lab.daemon.knows_its_hooks().await;
    let _: String = lab.redis.run(cmd("SET").arg(LEASE).arg(&earlier)).await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    lab.receiver.wait("/x", 1).await;
    until("the lease is its own again", async || lease(&lab).await.is_some_and(|held| held != earlier)).await;
    until("the event is stored", async || lab.redis.run::<usize>(cmd("XLEN").arg(JOURNAL)).await == 1).await;
    assert!(lab.daemon.is_running());
}
