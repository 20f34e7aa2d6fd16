//! Redis is there, but does not take what it is given: it refuses writes, stands still, or belongs to another daemon.

use std::time::Duration;

use redis::cmd;
use rustix::process::Signal;
use tokio::time::Instant;

use crate::harness::Audience;
use crate::harness::Crowd;
use crate::harness::Daemon;
use crate::harness::Deed;
use crate::harness::Lab;
use crate::harness::Ledger;
use crate::harness::Meeting;
use crate::harness::PATIENCE;
use crate::harness::Publisher;
use crate::harness::Redis;
use crate::harness::Wish;
use crate::harness::free_port;
use crate::harness::holds_for;
use crate::harness::stored;
use crate::harness::until;

/// Whether Redis refuses writes now, and with what.
async fn refuses(redis: &Redis, code: &str) -> bool {
    let script = "return redis.pcall('SET', KEYS[1], 'x')['err'] or ''";
    let answer: String = redis.run(cmd("EVAL").arg(script).arg(1).arg("a-try")).await;
    answer.contains(code)
}

/// The ids of the connections that are subscribed.
async fn subscribers(redis: &Redis) -> Vec<String> {
    let list: String = redis.run(cmd("CLIENT").arg("LIST").arg("TYPE").arg("pubsub")).await;
    list.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// For `lasts`, Redis refuses writes. Callbacks go on, the subscription is not dropped, the journal is whole afterwards.
async fn survives(
    arguments: &[&str],
    begin: impl AsyncFnOnce(&Redis),
    end: impl AsyncFnOnce(&Redis),
    code: &str,
    lasts: Duration,
) {
    let redis = Redis::start_with(arguments, None).await;
    let audience = Audience::start().await;
    let mut daemon = Daemon::on(&redis).env("LOG_LEVEL", "info").start().await;
    let crowd = Crowd::create(&daemon, &redis, &audience, vec![Wish::All, Wish::Chat, Wish::Meeting(0)]).await;
    let mut ledger = Ledger::new(crowd);
    let taken = || audience.taken_by_hook().get(&0).copied().unwrap_or_default();
    Publisher::of(&redis, 0..40, 1000).finish(PATIENCE).await;
    until("all is taken", async || taken() == 40).await;
    until("all is stored", async || stored(&redis, 0).await.len() == 40).await;
    let subscribed = subscribers(&redis).await;
    let lines = daemon.log().lines().count();

    begin(&redis).await;
    until(format!("Redis says {code}"), async || refuses(&redis, code).await).await;
    let count = usize::try_from(lasts.as_millis() / 10).unwrap();
    Publisher::of(&redis, 40..40 + count, 100).finish(lasts + PATIENCE).await;
    until("callbacks go on", async || taken() == 40 + count).await;
    assert_eq!(stored(&redis, 0).await.len(), 40, "nothing can have been stored");
    assert_eq!(subscribers(&redis).await, subscribed, "the subscription is not dropped");
    let said = daemon.log().lines().count() - lines;
    assert!(said <= 5 + usize::try_from(lasts.as_secs()).unwrap() / 30, "{said} lines: {}", daemon.log());

    end(&redis).await;
    let well = Instant::now();
    until("the journal is whole", async || stored(&redis, 0).await.len() == 40 + count).await;
    println!("{code}: the journal was whole again after {:?}", well.elapsed());
    ledger.look(&redis).await;
    assert_eq!(ledger.marks(), (0..40 + count).collect::<Vec<_>>());
    let (status, _) = daemon.terminate().await;
    assert!(status.success());
    audience.closes_the_book_on_a_life().await;
    ledger.life_ended(&redis, Instant::now()).await;
    daemon.start_again().await;
    Publisher::of(&redis, 40 + count..100 + count, 1000).finish(PATIENCE).await;
    until("all is stored", async || stored(&redis, 0).await.len() == 100 + count).await;
    ledger.look(&redis).await;
    ledger.all_is_delivered(&audience).await;
    let findings = ledger.findings(&audience.arrivals());
    findings.hold();
    assert_eq!(findings.again, [0], "{}", findings.summary());
    ledger.is_whole(&redis).await;
}

/// Redis cannot save, as on a full disk: its folder is gone.
async fn cannot_save(lasts: Duration) {
    let begin = async |redis: &Redis| {
        std::fs::remove_dir_all(redis.folder()).unwrap();
        until("two writes and a save that fails", async || {
            let _: () = redis.run(cmd("EVAL").arg("redis.pcall('SET', 'a-try', 'x')").arg(0)).await;
            refuses(redis, "MISCONF").await
        })
        .await;
    };
    let end = async |redis: &Redis| redis.configure("stop-writes-on-bgsave-error", "no").await;
    survives(&["--save", "1 1"], begin, end, "MISCONF", lasts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_cannot_save_costs_nothing() {
    cannot_save(Duration::from_secs(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long"]
async fn a_redis_that_cannot_save_for_a_minute_costs_nothing() {
    cannot_save(Duration::from_secs(60)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_without_its_replicas_costs_nothing() {
    let begin = async |redis: &Redis| redis.configure("min-replicas-to-write", "1").await;
    let end = async |redis: &Redis| redis.configure("min-replicas-to-write", "0").await;
    survives(&[], begin, end, "NOREPLICAS", Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_without_memory_costs_nothing() {
    let begin = async |redis: &Redis| redis.configure("maxmemory", "1").await;
    let end = async |redis: &Redis| redis.configure("maxmemory", "0").await;
    survives(&[], begin, end, "OOM", Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_became_a_replica_costs_nothing() {
    let master = free_port().to_string();
    let replicate = async |redis: &Redis, of: [&str; 2]| {
        let _: String = redis.run(cmd("REPLICAOF").arg(&of)).await;
    };
    let begin = async |redis: &Redis| replicate(redis, ["127.0.0.1", &master]).await;
    let end = async |redis: &Redis| replicate(redis, ["NO", "ONE"]).await;
    survives(&[], begin, end, "READONLY", Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_commits_that_find_no_memory_lose_nothing() {
    const EVENTS: usize = 1000;
    let redis = Redis::start().await;
    let audience = Audience::start().await;
    let daemon = Daemon::on(&redis).env("LOG_LEVEL", "info").start().await;
    let crowd = Crowd::create(&daemon, &redis, &audience, vec![Wish::All, Wish::Cameras]).await;
    let mut ledger = Ledger::new(crowd);
    let publisher = Publisher::start(&redis, EVENTS, 500);
    for _ in 0..20 {
        redis.configure("maxmemory", "1").await;
        until("Redis says OOM", async || refuses(&redis, "OOM").await).await;
        redis.configure("maxmemory", "0").await;
        let before = stored(&redis, 0).await.len();
        until("something is stored", async || stored(&redis, 0).await.len() > before || before == EVENTS).await;
    }
    publisher.finish(PATIENCE).await;
    until("all is stored", async || stored(&redis, 0).await.len() == EVENTS).await;
    ledger.look(&redis).await;
    assert_eq!(ledger.marks(), (0..EVENTS).collect::<Vec<_>>(), "in the order published");
    ledger.all_is_delivered(&audience).await;
    ledger.findings(&audience.arrivals()).hold();
    ledger.is_whole(&redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_stands_still_is_waited_for() {
    let redis = Redis::start().await;
    let audience = Audience::start().await;
    audience.behaves(|hook, _| (if hook == 1 { Deed::Refuse(500) } else { Deed::Take }, Duration::ZERO));
    let mut daemon =
        Daemon::on(&redis).env("LOG_LEVEL", "info").set("hooks.retryIntervals", vec![50; 1000]).start().await;
    let crowd = Crowd::create(&daemon, &redis, &audience, vec![Wish::All, Wish::Meeting(0)]).await;
    let mut ledger = Ledger::new(crowd);
    let taken = |hook: usize| audience.taken_by_hook().get(&hook).copied().unwrap_or_default();
    Publisher::of(&redis, 0..100, 1000).finish(PATIENCE).await;
    until("the healthy hook took all", async || taken(0) == 100).await;
    until("all is stored", async || stored(&redis, 0).await.len() == 100).await;

    redis.signal(Signal::STOP);
    // Longer than the daemon waits for an answer.
    holds_for(Duration::from_secs(6), "the daemon runs on", async || daemon.is_running()).await;
    audience.behaves(|_, _| (Deed::Take, Duration::ZERO));
    until("deliveries go on", async || taken(1) == 5).await;
    redis.signal(Signal::CONT);
    redis.has_a_subscriber().await;
    let mut next = 100;
    until("events flow again", async || {
        Publisher::of(&redis, next..next + 1, 1000).finish(PATIENCE).await;
        next += 1;
        taken(0) > 100
    })
    .await;
    until("the last is stored", async || stored(&redis, 0).await.into_values().any(|mark| mark == next - 1)).await;
    let (status, _) = daemon.terminate().await;
    assert!(status.success());
    audience.closes_the_book_on_a_life().await;
    ledger.life_ended(&redis, Instant::now()).await;
    daemon.start_again().await;
    ledger.all_is_delivered(&audience).await;
    let findings = ledger.findings(&audience.arrivals());
    findings.hold();
    assert_eq!(findings.again, [0], "what went through while Redis stood still is not sent again");
}

#[tokio::test]
async fn a_second_daemon_on_the_same_redis_waits_for_the_first() {
    let mut lab = Lab::start().await;
    lab.hook("/x", &[]).await;
    let meeting = Meeting::new("math-101");
    lab.redis.publish(&meeting.created()).await;
    lab.receiver.wait("/x", 1).await;
    let second = Daemon::on(&lab.redis).start().await;
    second.logs("another daemon works with this Redis").await;
    lab.redis.publish(&meeting.chat("ada", "once")).await;
    lab.receiver.wait("/x", 2).await;
    holds_for(Duration::from_millis(500), "only one of them delivers", async || lab.receiver.count("/x") == 2).await;
    let (status, _) = lab.daemon.terminate().await;
    assert!(status.success());
    second.knows_its_hooks().await;
    lab.redis.publish(&meeting.chat("ada", "twice")).await;
    until("the second delivers", async || lab.receiver.all().iter().any(|request| request.body.contains("twice")))
        .await;
}
