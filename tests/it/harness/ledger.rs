//! The ledger of a load: what the journal in Redis accepted, what the receivers took, and whether that agrees.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::time::Duration;

use redis::cmd;
use serde_json::Value;
use tokio::time::Instant;

use super::audience::Arrival;
use super::audience::Audience;
use super::audience::Deed;
use super::audience::mark_of;
use super::load::Crowd;
use super::load::meeting_of;
use super::redis::Redis;
use super::wait::PATIENCE;

/// The stream of accepted events.
pub(crate) const JOURNAL: &str = "bigbluebutton:webhooks:out:journal";

/// The hash of the hooks' cursors.
pub(crate) const CURSORS: &str = "bigbluebutton:webhooks:out:cursors";

/// How often it looks whether all is delivered.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the daemon promised of one hook when it ended: what is done is not sent again.
#[derive(Debug, Default)]
struct Promise {
    watermark: u64,
    done: Vec<(u64, u64)>,
}

impl Promise {
    fn of(cursor: &str) -> Self {
        let cursor: Value = serde_json::from_str(cursor).unwrap();
        let range = |range: &Value| (range[0].as_u64().unwrap(), range[1].as_u64().unwrap());
        let done = cursor["d"].as_array().map(|done| done.iter().map(range).collect()).unwrap_or_default();
        Self { watermark: cursor["w"].as_u64().unwrap(), done }
    }

    fn is_done(&self, number: u64) -> bool {
        number <= self.watermark || self.done.iter().any(|(first, last)| (*first..=*last).contains(&number))
    }
}

/// The end of one of the daemon's lives.
#[derive(Debug)]
struct Ending {
    at: Instant,
    /// By the number of the hook.
    promises: Vec<Promise>,
}

/// What is known of a load.
#[derive(Debug)]
pub(crate) struct Ledger {
    crowd: Crowd,
    /// The marks of accepted events, by their number in the journal.
    accepted: BTreeMap<u64, usize>,
    endings: Vec<Ending>,
}

/// What does not agree, and what is worth knowing.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) accepted: usize,
    pub(crate) callbacks: usize,
    /// Accepted, wanted, and not taken: hook and mark.
    pub(crate) lost: Vec<(usize, usize)>,
    /// Taken by a hook that does not want it.
    pub(crate) astray: Vec<(usize, usize)>,
    /// First taken after a later one of its meeting.
    pub(crate) inverted: Vec<(usize, usize)>,
    /// Taken again in the life in which it was taken before, without need.
    pub(crate) repeated: Vec<(usize, usize)>,
    /// Taken again although the cursor in Redis said between the two that it is done.
    pub(crate) forgotten: Vec<(usize, usize)>,
    /// How many were taken again, by the ending between.
    pub(crate) again: Vec<usize>,
    /// The longest time before the ending at which something came that came again.
    pub(crate) oldest_again: Duration,
}

impl Findings {
    /// Says that nothing is lost, astray, out of order or needlessly repeated.
    #[track_caller]
    pub(crate) fn hold(&self) {
        let few = |list: &[(usize, usize)]| list.iter().take(10).copied().collect::<Vec<_>>();
        let bad = [
            ("lost", &self.lost),
            ("astray", &self.astray),
            ("out of order", &self.inverted),
            ("repeated", &self.repeated),
            ("sent again though its cursor was stored", &self.forgotten),
        ];
        for (what, list) in bad {
            assert!(list.is_empty(), "{} {what}, (hook, mark) such as {:?}: {}", list.len(), few(list), self.summary());
        }
    }

    /// All figures in a line.
    pub(crate) fn summary(&self) -> String {
        let most = self.again.iter().max().copied().unwrap_or_default();
        format!(
            "{} events accepted, {} callbacks, {} lost, {} astray, {} out of order, {} repeated, {} forgotten, {} sent again after {} endings (at most {most} after one, {:?} old)",
            self.accepted,
            self.callbacks,
            self.lost.len(),
            self.astray.len(),
            self.inverted.len(),
            self.repeated.len(),
            self.forgotten.len(),
            self.again.iter().sum::<usize>(),
            self.again.len(),
            self.oldest_again,
        )
    }
}

impl Ledger {
    pub(crate) fn new(crowd: Crowd) -> Self {
        Self { crowd, accepted: BTreeMap::new(), endings: Vec::new() }
    }

    /// Takes down what the journal accepted since the last look. What was there must still be there at the end.
    pub(crate) async fn look(&mut self, redis: &Redis) {
        let after = self.accepted.last_key_value().map_or(0, |(number, _)| *number);
        self.accepted.extend(stored(redis, after).await);
    }

    /// Takes down what holds at the end of a life that ended at `at`.
    pub(crate) async fn life_ended(&mut self, redis: &Redis, at: Instant) {
        self.look(redis).await;
        let cursors = redis.hash(CURSORS).await;
        let promise = |id: &String| cursors.get(id).map(|cursor| Promise::of(cursor)).unwrap_or_default();
        self.endings.push(Ending { at, promises: self.crowd.ids.iter().map(promise).collect() });
    }

    /// The highest number in the journal, as far as it looked.
    pub(crate) fn last_number(&self) -> u64 {
        self.accepted.last_key_value().map_or(0, |(number, _)| *number)
    }

    /// The marks accepted, in order.
    pub(crate) fn marks(&self) -> Vec<usize> {
        self.accepted.values().copied().collect()
    }

    /// Reckons with all marks that any hook took as accepted: the daemon received them.
    pub(crate) fn reckon_with_received(&mut self, audience: &Audience) {
        let known: BTreeSet<_> = self.accepted.values().copied().collect();
        let received: BTreeSet<_> = audience.arrivals().iter().map(|arrival| arrival.mark).collect();
        // No number in the journal is so low.
        let new = received.into_iter().filter(|mark| !known.contains(mark));
        self.accepted.extend(new.map(|mark| (mark as u64 + 1, mark)).collect::<Vec<_>>());
    }

    /// Waits until all that is accepted is taken by all who want it, for as long as there is progress.
    #[track_caller]
    pub(crate) fn all_is_delivered(&self, audience: &Audience) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let (mut count, mut since) = (audience.count(), Instant::now());
            loop {
                let lost = self.lost(&audience.arrivals());
                if lost.is_empty() {
                    return;
                }
                if audience.count() != count {
                    (count, since) = (audience.count(), Instant::now());
                }
                let few: Vec<_> = lost.iter().take(10).collect();
                assert!(
                    since.elapsed() < PATIENCE,
                    "{caller}: {} never came, (hook, mark) such as {few:?}",
                    lost.len()
                );
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }

    fn lost(&self, arrivals: &[Arrival]) -> Vec<(usize, usize)> {
        let last = self.accepted.values().max().map_or(0, |last| last + 1);
        let mut taken = vec![vec![false; last]; self.crowd.wishes.len()];
        for arrival in arrivals.iter().filter(|arrival| arrival.deed == Deed::Take && arrival.mark < last) {
            taken[arrival.hook][arrival.mark] = true;
        }
        let mut lost = Vec::new();
        for (hook, wish) in self.crowd.wishes.iter().enumerate() {
            let missing = self.accepted.values().filter(|mark| wish.wants(**mark) && !taken[hook][**mark]);
            lost.extend(missing.map(|mark| (hook, *mark)));
        }
        lost
    }

    /// Compares what was accepted with what came. The order of marks within a meeting is the order published.
    pub(crate) fn findings(&self, arrivals: &[Arrival]) -> Findings {
        let mut findings = Findings {
            accepted: self.accepted.len(),
            callbacks: arrivals.len(),
            lost: self.lost(arrivals),
            again: vec![0; self.endings.len()],
            ..Findings::default()
        };
        let numbers: HashMap<usize, u64> = self.accepted.iter().map(|(number, mark)| (*mark, *number)).collect();
        let mut first: HashMap<(usize, usize), &Arrival> = HashMap::new();
        let mut latest: HashMap<(usize, usize), usize> = HashMap::new();
        for arrival in arrivals.iter().filter(|arrival| arrival.deed == Deed::Take) {
            let (hook, mark) = (arrival.hook, arrival.mark);
            if !self.crowd.wishes[hook].wants(mark) {
                findings.astray.push((hook, mark));
            }
            if let Some(before) = first.insert((hook, mark), arrival) {
                self.came_again(&mut findings, before, arrival, numbers.get(&mark).copied());
                continue;
            }
            let latest = latest.entry((hook, meeting_of(mark))).or_default();
            if mark < *latest {
                findings.inverted.push((hook, mark));
            }
            *latest = mark.max(*latest);
        }
        findings
    }

    fn came_again(&self, findings: &mut Findings, before: &Arrival, again: &Arrival, number: Option<u64>) {
        let what = (again.hook, again.mark);
        if before.life == again.life {
            findings.repeated.push(what);
            return;
        }
        let endings = &self.endings[before.life..again.life];
        let promised = |ending: &Ending| number.is_some_and(|number| ending.promises[again.hook].is_done(number));
        if endings.iter().any(promised) {
            findings.forgotten.push(what);
        }
        findings.again[again.life - 1] += 1;
        let age = self.endings[before.life].at.saturating_duration_since(before.at);
        findings.oldest_again = findings.oldest_again.max(age);
    }

    /// Checks that the journal still holds everything that it ever accepted, once.
    pub(crate) async fn is_whole(&self, redis: &Redis) {
        let now = stored(redis, 0).await;
        let gone: Vec<_> = self.accepted.iter().filter(|(number, mark)| now.get(number) != Some(mark)).collect();
        assert!(gone.is_empty(), "{} events are gone from the journal, such as {:?}", gone.len(), gone.first());
        let different: BTreeSet<_> = now.values().collect();
        assert_eq!(different.len(), now.len(), "some event stands in the journal twice");
    }
}

/// The marks of the events in the journal with a number beyond `after`, by number.
pub(crate) async fn stored(redis: &Redis, mut after: u64) -> BTreeMap<u64, usize> {
    const PAGE: usize = 200;
    let mut found = BTreeMap::new();
    loop {
        let mut range = cmd("XRANGE");
        range.arg(JOURNAL).arg(format!("{}-0", after + 1)).arg("+").arg("COUNT").arg(PAGE);
        let entries: Vec<(String, HashMap<String, String>)> = redis.run(&range).await;
        for (id, fields) in &entries {
            after = id.split('-').next().unwrap().parse().unwrap();
            found.extend(mark_of(&fields["json"]).map(|mark| (after, mark)));
        }
        if entries.len() < PAGE {
            return found;
        }
    }
}
