//! What is measured. Each scenario starts a Redis, a daemon and receivers of its own.

use std::time::Duration;
use std::time::Instant;

use anyhow::bail;
use anyhow::ensure;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde_json::Value;
use serde_json::json;

use crate::daemon::Daemon;
use crate::daemon::Program;
use crate::load::Pace;
use crate::load::Publisher;
use crate::meter::Usage;
use crate::receiver::Receivers;
use crate::redis::Redis;
use crate::redis::free_port;
use crate::table::Column;
use crate::table::Figures;

/// How long to wait for the last deliveries of a scenario. What has not come by then counts as lost.
const DRAINED_WITHIN: Duration = Duration::from_secs(60);

/// How long a daemon that was just started is left alone, to be idle.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// How often to look whether all has come.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Something to measure.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What it is, for the table.
    pub(crate) what: &'static str,
    pub(crate) run: fn(&Program, quick: bool) -> LocalBoxFuture<'_, anyhow::Result<Figures>>,
}

/// All there is to measure.
pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        name: "sustained",
        what: "10 hooks, 20 meetings, an event a callback; deliveries",
        run: |program, quick| {
            let load = Load { hooks: 10, events: 40_000, ahead: 40, ..Load::default() };
            deliveries(program, load.scaled(quick)).boxed_local()
        },
    },
    Scenario {
        name: "one-hook",
        what: "1 hook, 20 meetings, an event a callback; deliveries",
        run: |program, quick| {
            let load = Load { hooks: 1, events: 100_000, ahead: 200, ..Load::default() };
            deliveries(program, load.scaled(quick)).boxed_local()
        },
    },
    Scenario {
        name: "multi-event",
        what: "10 hooks, 20 meetings, up to 10 events a callback; events delivered",
        run: |program, quick| {
            let load = Load { hooks: 10, events: 100_000, ahead: 2000, multi_event: 10, ..Load::default() };
            deliveries(program, load.scaled(quick)).boxed_local()
        },
    },
    Scenario {
        name: "latency",
        what: "10 hooks, 1,000 events a second; deliveries",
        run: |program, quick| {
            let load = Load { hooks: 10, events: 20_000, pace: Pace::PerSecond(1000), ..Load::default() };
            deliveries(program, load.scaled(quick)).boxed_local()
        },
    },
    Scenario {
        name: "unmapped",
        what: "messages that nobody maps",
        run: |program, quick| unmapped(program, scaled(2_000_000, quick)).boxed_local(),
    },
    Scenario {
        name: "accepted",
        what: "100 hooks whose receivers take a second, 50,000 events a second; events accepted",
        run: |program, quick| accepted(program, scaled(3_000_000, quick)).boxed_local(),
    },
    Scenario {
        name: "dead",
        what: "100 hooks whose receivers are gone, a million events; events accepted",
        run: |program, quick| dead(program, scaled(1_000_000, quick)).boxed_local(),
    },
    Scenario { name: "start", what: "start with an empty Redis", run: |program, _| start(program).boxed_local() },
    Scenario {
        name: "start-full",
        what: "start with 100,000 undelivered events in the journal",
        run: |program, quick| start_full(program, scaled(100_000, quick)).boxed_local(),
    },
];

impl Scenario {
    pub(crate) fn named(name: &str) -> anyhow::Result<&'static Self> {
        match ALL.iter().find(|scenario| scenario.name == name) {
            Some(scenario) => Ok(scenario),
            None => bail!("there is no scenario {name}; --list shows them"),
        }
    }
}

fn scaled(count: u64, quick: bool) -> u64 {
    if quick { count / 10 } else { count }
}

/// What is published, and for whom.
#[derive(Clone, Copy, Debug)]
struct Load {
    hooks: usize,
    events: u64,
    pace: Pace,
    /// How many events may be published that were not delivered everywhere.
    ahead: u64,
    multi_event: u64,
}

impl Default for Load {
    fn default() -> Self {
        Self { hooks: 1, events: 1, pace: Pace::Free, ahead: u64::MAX, multi_event: 1 }
    }
}

impl Load {
    fn scaled(self, quick: bool) -> Self {
        Self { events: scaled(self.events, quick), ..self }
    }
}

/// Everything around a daemon, and what it cost when the measurement began.
struct Stage {
    redis: Redis,
    receivers: Receivers,
    daemon: Daemon,
    publisher: Publisher,
    idle: Usage,
    redis_before: Usage,
    begun: Instant,
}

impl Stage {
    /// A daemon with these settings and hooks, idle; meetings are open.
    async fn set(program: &Program, settings: Value, hooks: usize, answer_after: Duration) -> anyhow::Result<Self> {
        let redis = Redis::start().await?;
        let receivers = Receivers::start(hooks, answer_after).await?;
        let daemon = Daemon::start(program, &redis, settings).await?;
        tokio::time::sleep(SETTLED_AFTER).await;
        let idle = daemon.usage()?;
        let mut publisher = Publisher::connect(&redis).await?;
        publisher.open_meetings().await?;
        // Not before the meetings are known: what opens them is not counted.
        tokio::time::sleep(SETTLED_AFTER).await;
        for url in receivers.urls() {
            daemon.create(&url).await?;
        }
        let mut stage = Self { redis_before: idle, redis, receivers, daemon, publisher, idle, begun: Instant::now() };
        stage.begin()?;
        Ok(stage)
    }

    /// The measurement begins.
    fn begin(&mut self) -> anyhow::Result<()> {
        (self.idle.cpu, self.redis_before) = (self.daemon.usage()?.cpu, self.redis.usage()?);
        self.begun = Instant::now();
        Ok(())
    }

    /// Waits until so many events came; less, if that takes too long.
    async fn drained(&self, events: u64) {
        let deadline = Instant::now() + DRAINED_WITHIN;
        while self.receivers.events() < events && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What it took, each of `count` things, `accepted` events of them.
    fn figures(&self, count: u64, accepted: u64) -> anyhow::Result<Figures> {
        let (took, daemon, redis) = (self.begun.elapsed(), self.daemon.usage()?, self.redis.usage()?);
        let mut figures = Figures::default();
        figures.set(Column::Rate, as_f64(count) / took.as_secs_f64());
        figures.set(Column::Cpu, us_each(daemon.cpu - self.idle.cpu, count));
        figures.set(Column::RedisCpu, us_each(redis.cpu - self.redis_before.cpu, accepted));
        figures.set(Column::Idle, mib(self.idle.resident));
        figures.set(Column::Peak, mib(daemon.peak));
        Ok(figures)
    }
}

async fn deliveries(program: &Program, load: Load) -> anyhow::Result<Figures> {
    let settings = json!({"multiEvent": load.multi_event});
    let mut stage = Stage::set(program, settings, load.hooks, Duration::ZERO).await?;
    let hooks = load.hooks as u64;
    let receivers = &stage.receivers;
    let may = |number: u64| number.saturating_sub(receivers.events() / hooks) < load.ahead;
    stage.publisher.publish(0..load.events, load.pace, may).await?;
    stage.drained(load.events * hooks).await;
    let sight = stage.receivers.sight();
    let mut figures = stage.figures(sight.events, load.events)?;
    for (column, part) in [(Column::P50, 0.5), (Column::P99, 0.99)] {
        if let Some(latency) = sight.quantile(part) {
            figures.set(column, latency.as_secs_f64() * 1e3);
        }
    }
    figures.set(Column::Lost, as_f64((load.events * hooks).saturating_sub(sight.events)));
    figures.set(Column::Repeated, as_f64(sight.repeated));
    figures.set(Column::OutOfOrder, as_f64(sight.out_of_order));
    Ok(figures)
}

/// Between the messages there is an event now and then: when it is delivered, all before it were looked at. Redis cuts
/// off a subscriber that is 32 MiB behind, so nobody gets that far ahead.
async fn unmapped(program: &Program, count: u64) -> anyhow::Result<Figures> {
    const PIECE: u64 = 5000;
    const AHEAD: u64 = 4;
    let mut stage = Stage::set(program, json!({}), 1, Duration::ZERO).await?;
    let receivers = &stage.receivers;
    let pieces = count / PIECE;
    for piece in 0..pieces {
        stage.publisher.publish_noise(PIECE).await?;
        let may = |number: u64| number.saturating_sub(receivers.events()) < AHEAD;
        stage.publisher.publish(piece..piece + 1, Pace::Free, may).await?;
    }
    stage.drained(pieces).await;
    ensure!(stage.receivers.events() == pieces, "the daemon does not come to the end of what nobody maps");
    stage.figures(count, count)
}

/// Events for receivers that take far too long for them. What the daemon accepted, it says in its metrics.
async fn accepted(program: &Program, count: u64) -> anyhow::Result<Figures> {
    let mut stage = Stage::set(program, json!({}), 100, Duration::from_secs(1)).await?;
    overwhelm(&mut stage, count, Pace::PerSecond(50_000)).await
}

async fn dead(program: &Program, count: u64) -> anyhow::Result<Figures> {
    let mut stage = Stage::set(program, json!({}), 0, Duration::ZERO).await?;
    let nobody = free_port()?;
    for number in 0..100 {
        stage.daemon.create(&format!("http://127.0.0.1:{nobody}/{number}")).await?;
    }
    stage.begin()?;
    overwhelm(&mut stage, count, Pace::PerSecond(20_000)).await
}

async fn overwhelm(stage: &mut Stage, count: u64, pace: Pace) -> anyhow::Result<Figures> {
    const MAPPED: &str = "bbb_webhooks_messages_total{outcome=\"mapped\"}";
    const DROPPED: &str = "bbb_webhooks_messages_total{outcome=\"dropped\"}";
    let Some(before) = stage.daemon.metric(MAPPED).await? else {
        bail!("this daemon does not say how many messages it accepted");
    };
    stage.publisher.publish(0..count, pace, |_| true).await?;
    let deadline = Instant::now() + DRAINED_WITHIN;
    let mut accepted = 0.0;
    let mut dropped = 0.0;
    while accepted + dropped < as_f64(count) && Instant::now() < deadline {
        accepted = stage.daemon.metric(MAPPED).await?.unwrap_or_default() - before;
        dropped = stage.daemon.metric(DROPPED).await?.unwrap_or_default();
        tokio::time::sleep(LOOK_EVERY).await;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let mut figures = stage.figures(accepted as u64, accepted as u64)?;
    figures.set(Column::Lost, as_f64(count) - accepted);
    Ok(figures)
}

async fn start(program: &Program) -> anyhow::Result<Figures> {
    let redis = Redis::start().await?;
    let daemon = Daemon::start(program, &redis, json!({})).await?;
    let mut figures = Figures::default();
    figures.set(Column::Subscribed, daemon.subscribed_after.as_secs_f64() * 1e3);
    daemon.stop().await?;
    Ok(figures)
}

async fn start_full(program: &Program, count: u64) -> anyhow::Result<Figures> {
    let settings = json!({"queueSize": count * 2, "journalSize": count * 2, "requestTimeout": 1000});
    let mut stage = Stage::set(program, settings.clone(), 1, Duration::from_secs(3600)).await?;
    stage.publisher.publish(0..count, Pace::PerSecond(20_000), |_| true).await?;
    stage.daemon.stop().await?;
    let before = stage.receivers.events();
    stage.receivers.answer_after(Duration::ZERO);
    let begun = Instant::now();
    let daemon = Daemon::start(program, &stage.redis, settings).await?;
    let mut figures = Figures::default();
    figures.set(Column::Subscribed, daemon.subscribed_after.as_secs_f64() * 1e3);
    while stage.receivers.events() == before && begun.elapsed() < DRAINED_WITHIN {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    figures.set(Column::First, begun.elapsed().as_secs_f64() * 1e3);
    let deadline = Instant::now() + DRAINED_WITHIN;
    while stage.receivers.events() < count && Instant::now() < deadline {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let sight = stage.receivers.sight();
    figures.set(Column::Peak, mib(daemon.usage()?.peak));
    figures.set(Column::Lost, as_f64(count.saturating_sub(sight.events)));
    figures.set(Column::OutOfOrder, as_f64(sight.out_of_order));
    daemon.stop().await?;
    Ok(figures)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

fn us_each(cpu: Duration, count: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / as_f64(count.max(1))
}

fn mib(bytes: u64) -> f64 {
    as_f64(bytes) / f64::from(1024 * 1024)
}
