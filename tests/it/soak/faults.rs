//! What goes wrong with Redis and with the daemon, one after the other: what both lose at once is outside the promise.

use std::collections::HashMap;
use std::collections::HashSet;
use std::time::Duration;

use redis::cmd;
use rustix::process::Signal;
use tokio::time::Instant;

use super::Shared;
use super::Whose;
use super::hooks::WISHES;
use super::load::mark_in_json;
use super::tally::DEADLINE;
use crate::harness::CURSORS;
use crate::harness::Daemon;
use crate::harness::JOURNAL;
use crate::harness::Redis;
use crate::harness::Scrape;
use crate::harness::until;

const HOOKS: &str = "bigbluebutton:webhooks:out:hooks";

/// What is published so long before Redis or a subscription goes may be on its way to the daemon still.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// What is published so long before a kill may not be stored yet.
const NOT_STORED: Duration = Duration::from_secs(2);

/// What is published so long before a stop may not be read yet.
const NOT_READ: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The daemon is stopped in good order, and started again.
    Stop,
    /// The daemon is killed, and started again.
    Kill,
    /// Redis saves and ends, and comes back after a while.
    RedisRestarts,
    /// Redis is killed, and comes back with what it saved at some time.
    RedisIsOlder,
    /// Redis is killed, and comes back empty.
    RedisIsEmpty,
    Flush,
    /// Redis stands still for a while.
    Freeze,
    /// Redis drops the subscription.
    CutSubscriber,
    /// Redis drops all other connections.
    CutCommands,
    /// Redis has no memory for anything more.
    OutOfMemory,
    /// Redis wants replicas, and refuses writes without.
    NoReplicas,
}

impl Fault {
    pub(super) const OF_THE_DAEMON: [Self; 2] = [Self::Stop, Self::Kill];
    pub(super) const OF_REDIS: [Self; 9] = [
        Self::RedisRestarts,
        Self::RedisIsOlder,
        Self::RedisIsEmpty,
        Self::Flush,
        Self::Freeze,
        Self::CutSubscriber,
        Self::CutCommands,
        Self::OutOfMemory,
        Self::NoReplicas,
    ];

    /// Whether Redis forgets what only it knows.
    fn loses_data(self) -> bool {
        matches!(self, Self::RedisIsOlder | Self::RedisIsEmpty | Self::Flush)
    }

    fn whose(self) -> Whose {
        if Self::OF_THE_DAEMON.contains(&self) { Whose::Daemon } else { Whose::Redis }
    }
}

/// What faults happen to.
pub(super) struct Victims<'a> {
    pub(super) redis: Redis,
    pub(super) daemon: Daemon,
    pub(super) shared: &'a Shared,
    pub(super) chance: fastrand::Rng,
    /// How long a fault takes at most.
    pub(super) longest: Duration,
    /// When the daemon was last started.
    pub(super) started: Instant,
}

/// The marks of the last events in the journal.
async fn journal(redis: &Redis, count: usize) -> HashSet<usize> {
    let range = cmd("XREVRANGE").arg(JOURNAL).arg("+").arg("-").arg("COUNT").arg(count).clone();
    let entries: Vec<(String, HashMap<String, String>)> = redis.run(&range).await;
    let mark = |fields: &HashMap<String, String>| mark_in_json(fields.get("json")?);
    entries.iter().filter_map(|(_, fields)| mark(fields)).collect()
}

impl Victims<'_> {
    /// Does it, and waits until all is well again.
    pub(super) async fn suffer(&mut self, fault: Fault) {
        self.shared.note(format!("{fault:?}"));
        // What is remembered of meetings has to be heard: the rest of the meeting would be others' otherwise.
        self.shared.calm(false);
        let last = self.shared.tally().last_remembered();
        self.is_stored(last).await;
        if fault.loses_data() {
            // What the daemon has not in its memory since its start, only Redis knows.
            let since = Instant::now();
            while !self.shared.tally().is_settled_before(self.started) {
                if since.elapsed() > DEADLINE {
                    // The tally says so, if it has not yet.
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                self.shared.drain().await;
            }
        }
        self.shared.fault(fault.whose());
        match fault.whose() {
            Whose::Daemon => self.restart_the_daemon(fault).await,
            _ => self.trouble_redis(fault).await,
        }
        self.is_well().await;
        // Whoever is subscribed gets all from here on; and what came before this is stored when this is.
        let next = self.shared.tally().is_sure();
        self.is_stored(next).await;
        let journal = journal(&self.redis, 8000).await;
        self.shared.drain().await;
        self.shared.tally().resolve(&journal, true);
        self.shared.calm(true);
    }

    /// Waits until the journal has an event that was published at this place or later.
    async fn is_stored(&self, place: usize) {
        until("what was published last is stored", async || {
            let journal = journal(&self.redis, 20).await;
            let tally = self.shared.tally();
            journal.into_iter().filter_map(|mark| tally.place(mark)).any(|stored| stored >= place)
        })
        .await;
    }

    /// Waits until the daemon works with Redis, which has all it should have.
    async fn is_well(&self) {
        let length = async |command: &str, key: &str| {
            let script = "local n = redis.pcall(ARGV[1], KEYS[1]); return type(n) == 'number' and n or 0";
            self.redis.run::<usize>(cmd("EVAL").arg(script).arg(1).arg(key).arg(command)).await
        };
        until("all is well again", async || {
            let Some(scrape) = Scrape::try_of(self.shared.metrics).await else { return false };
            scrape.value("bbb_webhooks_degraded") < 0.5
                && scrape.value("bbb_webhooks_subscribed") > 0.5
                && length("SCARD", HOOKS).await == WISHES.len()
                && length("HLEN", CURSORS).await == WISHES.len()
        })
        .await;
        self.redis.has_a_subscriber().await;
    }

    /// A while, of at most the longest.
    async fn a_while(&mut self) {
        let longest = u64::try_from(self.longest.as_millis()).unwrap();
        tokio::time::sleep(Duration::from_millis(self.chance.u64(longest / 20..=longest))).await;
    }

    async fn restart_the_daemon(&mut self, fault: Fault) {
        let kills = fault == Fault::Kill;
        self.shared.drain().await;
        self.shared.tally().doubt(if kills { NOT_STORED } else { NOT_READ }, true);
        self.shared.runs(None);
        let ended = Instant::now();
        if kills {
            self.daemon.kill();
        } else {
            let (status, _) = self.daemon.terminate().await;
            if !status.success() {
                self.shared.tally().complain(&format!("the daemon was stopped and ended with {status}"));
            }
        }
        for audience in &*self.shared.audiences.lock().await {
            audience.closes_the_book_on_a_life().await;
        }
        self.shared.drain().await;
        let journal = journal(&self.redis, 8000).await;
        self.shared.tally().resolve(&journal, false);
        self.shared.tally().life_ended(ended, kills);
        let together = if self.chance.bool() { 1 } else { 5 };
        self.daemon.configure(|setup| setup.set("hooks.multiEvent", together));
        self.started = Instant::now();
        self.daemon.start_again().await;
        self.shared.runs(Some(self.daemon.process()));
    }

    async fn trouble_redis(&mut self, fault: Fault) {
        let configure = async |victims: &Self, parameter: &str, value: &str| {
            victims.redis.configure(parameter, value).await;
        };
        match fault {
            // The subscription stays, and so does what is owed.
            Fault::OutOfMemory => {
                configure(self, "maxmemory", "1").await;
                self.a_while().await;
                configure(self, "maxmemory", "0").await;
                return;
            }
            Fault::NoReplicas => {
                configure(self, "min-replicas-to-write", "1").await;
                self.a_while().await;
                configure(self, "min-replicas-to-write", "0").await;
                return;
            }
            Fault::Flush => return self.redis.run::<()>(&cmd("FLUSHALL")).await,
            _ => {}
        }
        self.shared.drain().await;
        self.shared.tally().doubt(ON_ITS_WAY, false);
        match fault {
            Fault::RedisRestarts => {
                self.redis.stop().await;
                self.a_while().await;
                self.redis.start_again().await;
            }
            Fault::RedisIsOlder => {
                self.redis.kill();
                self.a_while().await;
                self.redis.start_again().await;
            }
            Fault::RedisIsEmpty => {
                self.redis.kill();
                self.a_while().await;
                self.redis.start_empty().await;
            }
            Fault::Freeze => {
                self.redis.signal(Signal::STOP);
                self.a_while().await;
                self.redis.signal(Signal::CONT);
            }
            Fault::CutSubscriber => {
                let _: u64 = self.redis.run(cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub")).await;
            }
            _ => {
                let kill = cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes").clone();
                let _: u64 = self.redis.run(&kill).await;
            }
        }
    }
}
