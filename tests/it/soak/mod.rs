//! A soak: for hours, events flow while receivers, Redis and the daemon fail at random; nothing may get lost, and nothing grow.
//!
//! `scripts/soak.sh HOURS` runs it with the release build; a few seconds of it are a test like any other. In the first half,
//! the daemon is killed and stopped, too. In the second, one process lives through all that happens to Redis and to
//! receivers: what it keeps shows in its memory.

mod faults;
mod growth;
mod hooks;
mod load;
mod moods;
mod tally;
mod watch;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::Client;
use redis::cmd;
use serde_json::json;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::sleep_until;

use self::faults::Fault;
use self::faults::Victims;
use self::hooks::WISHES;
use self::load::Load;
use self::tally::Tally;
use self::watch::Watch;
use crate::harness::Audience;
use crate::harness::Daemon;
use crate::harness::PATIENCE;
use crate::harness::Process;
use crate::harness::Redis;
use crate::harness::chance;
use crate::harness::free_port;

/// Events that wait for a hook at most. Nothing may be dropped.
const QUEUE: usize = 10_000;

/// How long a receiver may take. It is what a receiver that hangs costs.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the publisher looks how much is due.
const TICK: Duration = Duration::from_millis(5);

/// When this machine stood still, from and to.
type Stalls = Arc<Mutex<VecDeque<(Instant, Instant)>>>;

/// Five times that is a stall.
const PULSE: Duration = Duration::from_millis(100);

/// How much is to happen.
struct Extent {
    lasts: Duration,
    per_second: u32,
    /// How long a fault takes at most.
    longest_fault: Duration,
    /// Between two faults of Redis or the daemon, at most.
    pause: Duration,
    /// How many messages a meeting has, at least and at most.
    meetings: (usize, usize),
    /// How long the daemon remembers meetings in which nothing happens.
    memory: Duration,
    row_every: Duration,
}

impl Extent {
    /// Whether it would show what grows: by its first fifth, everything that is remembered has been forgotten once.
    fn is_long(&self) -> bool {
        self.lasts >= 10 * self.memory
    }
}

const CI: Extent = Extent {
    lasts: Duration::from_secs(10),
    per_second: 100,
    longest_fault: Duration::from_millis(600),
    pause: Duration::from_millis(800),
    meetings: (20, 80),
    memory: Duration::from_secs(20),
    row_every: Duration::from_secs(3),
};

const LONG: Extent = Extent {
    lasts: Duration::ZERO,
    per_second: 200,
    longest_fault: Duration::from_secs(6),
    pause: Duration::from_secs(24),
    meetings: (200, 800),
    memory: Duration::from_secs(120),
    row_every: Duration::from_secs(60),
};

/// Who has a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Receiver,
    Redis,
    Daemon,
}

/// What all parts of a soak work on.
#[derive(Debug)]
struct Shared {
    /// One for each hook. Who holds this decides when they open and close.
    audiences: tokio::sync::Mutex<Vec<Audience>>,
    tally: Mutex<Tally>,
    /// Whether what is published is sure to be heard.
    calm: AtomicBool,
    /// Whether the daemon lives to the end from here on.
    steady: AtomicBool,
    /// While it runs.
    process: Mutex<Option<Process>>,
    /// The port of the daemon's metrics.
    metrics: u16,
    faults: [AtomicUsize; 3],
    /// The last ones of Redis and the daemon, and when they began.
    last_faults: Mutex<VecDeque<(Duration, String)>>,
    start: Instant,
    /// Nothing more is published.
    over: AtomicBool,
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap()
    }

    /// Takes down what the receivers got.
    async fn drain(&self) {
        for audience in &*self.audiences.lock().await {
            let arrivals = audience.take_arrivals();
            self.tally().take_down(arrivals);
        }
    }

    fn calm(&self, calm: bool) {
        self.calm.store(calm, SeqCst);
    }

    fn is_steady(&self) -> bool {
        self.steady.load(SeqCst)
    }

    fn runs(&self, process: Option<Process>) {
        *self.process.lock().unwrap() = process;
    }

    fn process(&self) -> Option<Process> {
        *self.process.lock().unwrap()
    }

    fn fault(&self, whose: Whose) {
        self.faults[whose as usize].fetch_add(1, SeqCst);
    }

    fn faults(&self) -> [usize; 3] {
        self.faults.each_ref().map(|count| count.load(SeqCst))
    }

    fn note(&self, what: String) {
        let mut last = self.last_faults.lock().unwrap();
        if last.len() == 10 {
            last.pop_front();
        }
        last.push_back((self.start.elapsed(), what));
    }

    fn is_wrong(&self) -> bool {
        !self.tally().wrong().is_empty()
    }
}

/// Publishes until it is over, whatever Redis does; after a pause of Redis, what was due meanwhile.
async fn publish(shared: &Shared, port: u16, per_second: u32, mut load: Load) {
    let client = Client::open(("127.0.0.1", port)).unwrap();
    let mut connection = None;
    let start = Instant::now();
    for number in 0_u32.. {
        if shared.over.load(SeqCst) {
            return;
        }
        let due = start + Duration::from_secs(1) / per_second * number;
        if due > Instant::now() {
            sleep_until(due.max(Instant::now() + TICK)).await;
        }
        if connection.is_none() {
            let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
            connection = client.get_multiplexed_async_connection_with_config(&config).await.ok();
        }
        let Some(live) = &mut connection else { continue };
        let (message, events) = {
            // The word that it is no longer calm comes before a look at what was said last, under the same lock.
            let mut tally = shared.tally();
            let Some(next) = load.next(shared.calm.load(SeqCst)) else { continue };
            tally.publishing(&next.1);
            next
        };
        let command = cmd("PUBLISH").arg(message.channel).arg(&message.json).clone();
        let subscribers = command.query_async::<u64>(live).await;
        shared.tally().published(&events, subscribers.as_ref().ok().copied());
        if subscribers.is_err() {
            connection = None;
        }
    }
}

/// Notes when this machine stands still, and forgets it after a while. For ever.
async fn feel_the_pulse(stalls: Stalls) {
    loop {
        let before = Instant::now();
        sleep(PULSE).await;
        let now = Instant::now();
        if now - before > 5 * PULSE {
            let mut stalls = stalls.lock().unwrap();
            stalls.retain(|(_, to)| to.elapsed() < Duration::from_secs(120));
            stalls.push_back((before, now));
        }
    }
}

/// Faults of Redis and, in the first half, of the daemon, until the time is over or something is wrong.
async fn go_wrong(victims: &mut Victims<'_>, extent: &Extent) {
    let start = Instant::now();
    let shared = victims.shared;
    let pause = u64::try_from(extent.pause.as_millis()).unwrap();
    for turn in 0_usize.. {
        let next = Instant::now() + Duration::from_millis(victims.chance.u64(pause / 8..=pause));
        while Instant::now() < next {
            // One fault of each at least.
            if turn >= 2 && start.elapsed() > extent.lasts || shared.is_wrong() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        if turn >= 2 && start.elapsed() > extent.lasts / 2 && !shared.is_steady() {
            shared.note("From here on the daemon lives to the end".to_owned());
            shared.steady.store(true, SeqCst);
        }
        let of_daemon = !shared.is_steady() && turn % 5 % 2 == 1;
        let list = if of_daemon { &Fault::OF_THE_DAEMON[..] } else { &Fault::OF_REDIS[..] };
        let fault = *victims.chance.choice(list).expect("there are faults");
        victims.suffer(fault).await;
    }
}

/// Waits until all is delivered, for as long as there is progress.
async fn all_is_delivered(shared: &Shared) {
    let (mut last, mut since) = (usize::MAX, Instant::now());
    while !shared.is_wrong() {
        shared.drain().await;
        let owed = shared.tally().owed();
        if owed == 0 {
            return;
        }
        if owed != last {
            (last, since) = (owed, Instant::now());
        }
        if since.elapsed() > 3 * PATIENCE {
            let mut tally = shared.tally();
            let what = format!("{owed} events are owed, and nothing more comes: {}", tally.some_owed());
            tally.complain(&what);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn soak(name: &str, extent: &Extent) {
    let mut chance = chance(name);
    let redis = Redis::start().await;
    let audiences = moods::receivers(WISHES.len()).await;
    let metrics = free_port();
    // The schedule outlasts every fault, and goes on soon after it.
    let retries: Vec<u64> = [100, 200, 500].into_iter().chain([1000; 120]).collect();
    let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap();
    let daemon = Daemon::on(&redis)
        .env("LOG_LEVEL", "info")
        .env("PROM_ENABLED", "true")
        .env("PROM_PORT", &metrics.to_string())
        .set("hooks.permanentURLs", hooks::permanent_urls(&audiences))
        .set("hooks.queueSize", QUEUE)
        .set("hooks.requestTimeout", milliseconds(REQUEST_TIMEOUT))
        .set("hooks.retryIntervals", json!(retries))
        .set("mappings.timeout", milliseconds(extent.memory))
        .set("mappings.cleanupInterval", 1000)
        .start()
        .await;
    let ids = hooks::create(&daemon, &audiences).await;
    redis.has_a_subscriber().await;
    let stalls = Stalls::default();
    // A task of its own: the others have work to do.
    let pulse = tokio::spawn(feel_the_pulse(Arc::clone(&stalls)));
    let shared = Shared {
        audiences: tokio::sync::Mutex::new(audiences),
        tally: Mutex::new(Tally::new(stalls)),
        calm: AtomicBool::new(true),
        steady: AtomicBool::new(false),
        process: Mutex::new(Some(daemon.process())),
        metrics,
        faults: Default::default(),
        last_faults: Mutex::default(),
        start: Instant::now(),
        over: AtomicBool::new(false),
    };
    let mut watch = Watch::new(&shared, redis.port(), ids, extent.row_every);
    let load = Load::new(chance.fork(), extent.meetings);
    let published = publish(&shared, redis.port(), extent.per_second, load);
    let moods = moods::change(&shared, chance.fork(), extent.longest_fault);
    let mut victims = Victims {
        redis,
        daemon,
        shared: &shared,
        chance: chance.fork(),
        longest: extent.longest_fault,
        started: shared.start,
    };
    tokio::join!(published, async {
        tokio::select! {
            () = moods => unreachable!("they go on for ever"),
            () = watch.go_on() => unreachable!("it goes on for ever"),
            () = go_wrong(&mut victims, extent) => shared.over.store(true, SeqCst),
        }
    });
    moods::all_are_well(&shared).await;
    tokio::select! {
        () = watch.go_on() => unreachable!("it goes on for ever"),
        () = all_is_delivered(&shared) => {}
    }
    pulse.abort();
    shared.tally().finish();
    println!("\n{}", watch.finish(extent.is_long()));
    let wrong = shared.tally().wrong().join("\n");
    let last_faults = shared.last_faults.lock().unwrap().clone();
    assert!(wrong.is_empty(), "{name}: it did not hold:\n{wrong}\nThe last faults: {last_faults:?}");
    let counts = shared.tally().counts();
    assert!(counts.delivered > counts.published, "hardly anything was delivered: {counts:?}");
    assert!(shared.faults().iter().all(|count| *count > 0), "somebody had no fault: {:?}", shared.faults());
    println!("All held: nothing accepted was lost, out of order, or sent again without need.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_in_a_few_seconds_of_faults() {
    soak("a short soak", &CI).await;
}

/// As many hours as the variable `SOAK_HOURS` says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long"]
async fn for_hours() {
    let hours = std::env::var("SOAK_HOURS").map_or(0.05, |hours| hours.parse().expect("SOAK_HOURS is a number"));
    soak("a soak", &Extent { lasts: Duration::from_secs_f64(hours * 3600.0), ..LONG }).await;
}
