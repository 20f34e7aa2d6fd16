//! Looks at everything once a second: the books, the tally, and what might grow.

use std::time::Duration;

use redis::Client;
use redis::cmd;
use redis::pipe;
use tokio::time::Instant;
use tokio::time::timeout;

use super::QUEUE;
use super::Shared;
use super::growth::Series;
use super::growth::Slack;
use crate::harness::JOURNAL;
use crate::harness::PATIENCE;
use crate::harness::Scrape;

const MIB: usize = 1 << 20;

/// How long Redis is given to answer a look: it may be frozen.
const A_LOOK: Duration = Duration::from_millis(500);

/// Something that must not grow.
#[derive(Debug)]
struct Measure {
    name: &'static str,
    unit: usize,
    slack: Slack,
    series: Series,
    last: usize,
}

impl Measure {
    fn new(name: &'static str, unit: usize, percent: usize, more: usize) -> Self {
        Self { name, unit, slack: Slack { percent, more: more * unit }, series: Series::default(), last: 0 }
    }

    /// In its unit: MiB with one digit after the point, others as they are.
    fn shown(&self, value: usize) -> String {
        match self.unit {
            1 => value.to_string(),
            unit => format!("{}.{}", value / unit, value % unit * 10 / unit),
        }
    }

    fn take_down(&mut self, value: usize, counts: bool) {
        self.last = value;
        if counts {
            self.series.push(value);
        }
    }
}

/// What is seen of the daemon and of Redis.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    shared: &'a Shared,
    ids: Vec<String>,
    redis: Client,
    /// Memory, descriptors, threads of the daemon; keys, memory, stream of Redis.
    measures: [Measure; 6],
    longest_stream: usize,
    start: Instant,
    row_every: Duration,
    next_row: Instant,
    /// When the daemon last answered, or was known to be away.
    answered: Instant,
    /// How often the books were checked.
    checks: usize,
    /// The most that was owed at a time.
    backlog: usize,
}

impl<'a> Watch<'a> {
    pub(super) fn new(shared: &'a Shared, redis: u16, ids: Vec<String>, row_every: Duration) -> Self {
        let measures = [
            Measure::new("memory of the daemon, MiB", MIB, 10, 8),
            Measure::new("descriptors", 1, 10, 16),
            Measure::new("threads", 1, 0, 2),
            Measure::new("keys in Redis", 1, 20, 40),
            // It depends on when it was last emptied.
            Measure::new("memory of Redis, MiB", MIB, 50, 8),
            Measure::new("events in the stream", 1, 50, QUEUE / 4),
        ];
        println!("{HEAD}");
        let now = Instant::now();
        Self {
            shared,
            ids,
            redis: Client::open(("127.0.0.1", redis)).unwrap(),
            measures,
            longest_stream: QUEUE + 2000,
            start: now,
            row_every,
            next_row: now + row_every,
            answered: now,
            checks: 0,
            backlog: 0,
        }
    }

    /// Looks once a second, and prints a row now and then. For as long as it is polled.
    pub(super) async fn go_on(&mut self) {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        loop {
            seconds.tick().await;
            self.look().await;
            if Instant::now() >= self.next_row {
                self.next_row += self.row_every;
                println!("{}", self.row());
            }
        }
    }

    async fn look(&mut self) {
        self.shared.drain().await;
        let owed = {
            let mut tally = self.shared.tally();
            tally.settle();
            tally.owed()
        };
        self.backlog = self.backlog.max(owed);
        self.check_the_books().await;
        if let Some(process) = self.shared.process()
            && let (Some(memory), Some(descriptors), Some(threads)) =
                (process.memory(), process.descriptors(), process.threads())
        {
            for (measure, value) in self.measures.iter_mut().zip([memory, descriptors, threads]) {
                measure.take_down(value, self.shared.is_steady());
            }
        }
        if let Ok(Some(seen)) = timeout(A_LOOK, look_at_redis(&self.redis)).await {
            for (measure, value) in self.measures[3..].iter_mut().zip(seen) {
                measure.take_down(value, true);
            }
            if seen[2] > self.longest_stream {
                self.shared.tally().complain(&format!("the stream holds {} events", seen[2]));
            }
        }
    }

    /// Every event that matched a hook is in exactly one place, and no hook loses any.
    async fn check_the_books(&mut self) {
        let before = self.shared.process();
        let scrape = Scrape::try_of(self.shared.metrics).await;
        let Some(scrape) = scrape else {
            if before.is_none() || before != self.shared.process() {
                self.answered = Instant::now();
            } else if self.answered.elapsed() > PATIENCE {
                self.shared.tally().complain(&format!("the daemon shows no metrics for {PATIENCE:?}"));
            }
            return;
        };
        self.answered = Instant::now();
        self.checks += 1;
        for (hook, id) in self.ids.iter().enumerate() {
            let account = scrape.account(id);
            if !account.balances() {
                self.shared.tally().complain(&format!("the books of hook {hook} do not balance: {account:?}"));
            }
            if account.parked + account.dropped > 0.5 {
                self.shared.tally().complain(&format!("hook {hook} has parked or dropped events: {account:?}"));
            }
        }
    }

    /// How it stands now.
    fn row(&self) -> String {
        let tally = self.shared.tally();
        let (counts, owed) = (tally.counts(), tally.owed());
        drop(tally);
        let seconds = self.start.elapsed().as_secs();
        let faults = self.shared.faults().map(|count| count.to_string()).join("/");
        let measures: Vec<_> = self.measures.iter().map(|measure| measure.shown(measure.last)).collect();
        format!(
            "| {}:{:02} | {} | {} | {} | {} | {owed} | {faults} | {} |",
            seconds / 60,
            seconds % 60,
            counts.published,
            counts.unheard,
            counts.delivered,
            counts.again,
            measures.join(" | "),
        )
    }

    /// The last table. What grows is a complaint, if it was long enough to tell.
    pub(super) fn finish(&self, is_long: bool) -> String {
        let mut table = format!("{HEAD}\n{}\n\n{MEASURES}", self.row());
        // Of the daemon there are none yet if it ended before its second half.
        for measure in self.measures.iter().filter(|measure| !measure.series.is_empty()) {
            let summary = measure.series.summary();
            let grows = summary.grows(measure.slack);
            let verdict = match grows {
                _ if !is_long => "too short to tell",
                true => "yes",
                false => "no",
            };
            let [least, median, most, early, late] =
                [summary.least, summary.median, summary.most, summary.early, summary.late]
                    .map(|value| measure.shown(value));
            table += &format!("\n| {} | {least} | {median} | {most} | {early} | {late} | {verdict} |", measure.name);
            if is_long && grows {
                self.shared.tally().complain(&format!("{} grows: from {early} to {late}", measure.name));
            }
        }
        let counts = self.shared.tally().counts();
        let [receivers, redis, daemon] = self.shared.faults();
        table
            + &format!(
                "\n\n{receivers} faults of receivers, {redis} of Redis, {daemon} of the daemon; {} events refused; the books \
                 checked {} times; at most {} events behind.",
                counts.refused, self.checks, self.backlog
            )
    }
}

const HEAD: &str = "\
| time | published | unheard | delivered | again | owed | faults (receivers/Redis/daemon) | MiB | descriptors | threads | keys | Redis MiB | stream |
|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|";

const MEASURES: &str = "\
| | least | median | most | second fifth | last fifth | grows |
|---|---:|---:|---:|---:|---:|---|";

/// How many keys, how much memory, how many events in the stream.
async fn look_at_redis(client: &Client) -> Option<[usize; 3]> {
    let mut connection = client.get_multiplexed_async_connection().await.ok()?;
    let mut commands = pipe();
    commands.cmd("DBSIZE").cmd("XLEN").arg(JOURNAL);
    let (keys, stream): (usize, usize) = commands.query_async(&mut connection).await.ok()?;
    let info: String = cmd("INFO").arg("memory").query_async(&mut connection).await.ok()?;
    let memory = info.lines().find_map(|line| line.strip_prefix("used_memory:"))?.trim().parse().ok()?;
    Some([keys, memory, stream])
}
