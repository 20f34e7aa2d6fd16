//! The tally of a soak: which events the daemon owes to which hooks, and what the receivers took. What is settled is forgotten
//! after a while, so that a soak can go on for days.
//!
//! What is published while the daemon or Redis goes away and comes back may never reach the daemon, as with any subscriber. Such
//! an event is *doubtful* until the journal or a receiver shows that it was heard; then it is owed to all. If neither does, once all is
//! well again, it is *unheard*, and owed to nobody.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::REQUEST_TIMEOUT;
use super::Stalls;
use super::hooks::WISHES;
use super::load::Event;
use crate::harness::Arrival;
use crate::harness::Deed;

/// How long a settled event is remembered, to tell what comes again.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What is delivered later than this is lost. The longest fault, and the longest wait for the next try after it, are well within.
pub(super) const DEADLINE: Duration = Duration::from_secs(120);

/// What came so long before a kill must not come again after it: its cursor was stored.
const CURSORS_LAG: Duration = Duration::from_secs(2);

/// Whether an event is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Owed,
    Doubtful,
    /// Nobody heard it, unless it arrives in this life of the daemon or a later one.
    Unheard(usize),
}

#[derive(Debug)]
struct Entry {
    event: Event,
    at: Instant,
    standing: Standing,
    /// By hook: in which life, and when, it was first taken.
    taken: [Option<(usize, Instant)>; WISHES.len()],
}

impl Entry {
    fn missing(&self) -> impl Iterator<Item = usize> {
        let is_missing = |hook: &usize| WISHES[*hook].wants(&self.event) && self.taken[*hook].is_none();
        (0..WISHES.len()).filter(is_missing)
    }

    fn is_settled(&self) -> bool {
        self.standing != Standing::Owed || self.missing().next().is_none()
    }
}

/// What there was, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Events in published messages.
    pub(super) published: usize,
    /// Those that the daemon never heard.
    pub(super) unheard: usize,
    /// Events taken, each time by each hook.
    pub(super) delivered: usize,
    /// Events taken again after a kill that explains it, or because this machine was too slow to answer.
    pub(super) again: usize,
    /// Events that came with a callback that was not taken.
    pub(super) refused: usize,
}

/// What is owed and what was taken.
#[derive(Debug)]
pub(super) struct Tally {
    start: Instant,
    /// By their place in what was published.
    entries: BTreeMap<usize, Entry>,
    places: HashMap<usize, usize>,
    next: usize,
    /// The place of the last event that the daemon has to remember something of.
    last_remembered: usize,
    /// The place of what a hook took last of a meeting.
    latest: HashMap<(usize, usize), usize>,
    /// When each of the daemon's lives ended, and whether by a kill.
    endings: Vec<(Instant, bool)>,
    in_doubt: bool,
    /// What is taken while this machine stands still may be answered too late.
    stalls: Stalls,
    /// What came again without need, unless a stall explains it.
    suspects: Vec<Suspect>,
    counts: Counts,
    wrong: Vec<String>,
}

#[derive(Debug)]
struct Suspect {
    first: Instant,
    again: Instant,
    what: String,
}

impl Tally {
    pub(super) fn new(stalls: Stalls) -> Self {
        Self {
            start: Instant::now(),
            entries: BTreeMap::new(),
            places: HashMap::new(),
            next: 0,
            last_remembered: 0,
            latest: HashMap::new(),
            endings: Vec::new(),
            in_doubt: false,
            stalls,
            suspects: Vec::new(),
            counts: Counts::default(),
            wrong: Vec::new(),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// What is wrong, in sentences.
    pub(super) fn wrong(&self) -> &[String] {
        &self.wrong
    }

    /// Something is wrong.
    pub(super) fn complain(&mut self, what: &str) {
        // The first ones say what there is to say.
        if self.wrong.len() < 20 {
            self.wrong.push(format!("after {:.1?}: {what}", self.start.elapsed()));
        }
    }

    /// These events are about to be published.
    pub(super) fn publishing(&mut self, events: &[Event]) {
        for event in events {
            let standing = if self.in_doubt { Standing::Doubtful } else { Standing::Owed };
            let entry = Entry { event: *event, at: Instant::now(), standing, taken: [None; WISHES.len()] };
            self.places.insert(event.mark, self.next);
            self.entries.insert(self.next, entry);
            if event.kind.is_remembered() {
                self.last_remembered = self.next;
            }
            self.next += 1;
            self.counts.published += 1;
        }
    }

    /// These were published, to so many subscribers; none if that is not known.
    pub(super) fn published(&mut self, events: &[Event], subscribers: Option<u64>) {
        for event in events {
            let entry = self.places.get(&event.mark).and_then(|place| self.entries.get_mut(place));
            let Some(entry) = entry.filter(|entry| entry.standing == Standing::Owed) else { continue };
            if subscribers.is_some_and(|count| count > 0) || entry.taken.iter().any(Option::is_some) {
                continue;
            }
            entry.standing = Standing::Doubtful;
            // A connection that was cut may show only when all is well again.
            if !self.in_doubt && subscribers.is_some() {
                self.complain(&format!("{event:?} found no subscriber although all was well"));
            }
        }
    }

    /// From now on it is doubtful what is heard, and of what was published within `margin` as well. What was taken from a daemon
    /// that lives on was heard.
    pub(super) fn doubt(&mut self, margin: Duration, dies: bool) {
        self.in_doubt = true;
        let margin = margin + self.stood_still();
        for entry in self.entries.values_mut().rev().take_while(|entry| entry.at.elapsed() <= margin) {
            if entry.standing == Standing::Owed && (dies || entry.taken.iter().all(Option::is_none)) {
                entry.standing = Standing::Doubtful;
            }
        }
    }

    /// All that is in doubt so far was heard if the journal has it; or, of a daemon that lives, if it was taken. The rest was not.
    pub(super) fn resolve(&mut self, journal: &HashSet<usize>, lives: bool) {
        let life = self.endings.len();
        for entry in self.entries.values_mut().filter(|entry| entry.standing == Standing::Doubtful) {
            let came = |taken: &(usize, Instant)| taken.0 == life;
            let is_heard = journal.contains(&entry.event.mark) || lives && entry.taken.iter().flatten().any(came);
            entry.standing = if is_heard {
                Standing::Owed
            } else {
                self.counts.unheard += 1;
                Standing::Unheard(life + usize::from(!lives))
            };
        }
    }

    /// From now on, what is published is heard. Gives the place of the next.
    pub(super) fn is_sure(&mut self) -> usize {
        self.in_doubt = false;
        self.next
    }

    /// The daemon's life ended.
    pub(super) fn life_ended(&mut self, at: Instant, killed: bool) {
        self.endings.push((at, killed));
    }

    /// The place of the last event that the daemon has to remember something of.
    pub(super) fn last_remembered(&self) -> usize {
        self.last_remembered
    }

    /// The place of an event that is not forgotten yet, by its mark.
    pub(super) fn place(&self, mark: usize) -> Option<usize> {
        self.places.get(&mark).copied()
    }

    /// How many events some hook still has to take.
    pub(super) fn owed(&self) -> usize {
        self.entries.values().filter(|entry| !entry.is_settled()).count()
    }

    /// Whether all that was published before is settled.
    pub(super) fn is_settled_before(&self, at: Instant) -> bool {
        self.entries.values().take_while(|entry| entry.at < at).all(Entry::is_settled)
    }

    /// Takes down what came, in the order of arrival at each hook.
    pub(super) fn take_down(&mut self, arrivals: Vec<Arrival>) {
        for arrival in arrivals {
            match arrival.deed {
                // A 2xx is success, whatever its body does.
                Deed::Take | Deed::Trickle => self.taken(&arrival),
                _ => self.counts.refused += 1,
            }
        }
    }

    fn taken(&mut self, arrival: &Arrival) {
        let (hook, mark) = (arrival.hook, arrival.mark);
        self.counts.delivered += 1;
        let Some(place) = self.place(mark) else {
            self.complain(&format!("hook {hook} got mark {mark}, which was settled long ago or never published"));
            return;
        };
        let entry = self.entries.get_mut(&place).expect("who has a place has an entry");
        let event = entry.event;
        if let Standing::Unheard(life) = entry.standing
            && arrival.life >= life
        {
            self.counts.unheard -= 1;
            entry.standing = Standing::Owed;
        }
        if entry.standing == Standing::Doubtful && !self.in_doubt {
            entry.standing = Standing::Owed;
        }
        if !WISHES[hook].wants(&event) {
            self.complain(&format!("hook {hook} got {event:?}, which it does not want"));
            return;
        }
        let before = entry.taken[hook];
        if let Some((life, at)) = before {
            self.came_again(arrival, event, life, at);
            return;
        }
        // Until then its answer is read.
        let read = if arrival.deed == Deed::Trickle { REQUEST_TIMEOUT } else { Duration::ZERO };
        entry.taken[hook] = Some((arrival.life, arrival.at + read));
        let latest = self.latest.entry((hook, event.meeting)).or_default();
        let is_late = place < *latest;
        *latest = place.max(*latest);
        if is_late {
            self.complain(&format!("hook {hook} got {event:?} after a later one of its meeting"));
        }
    }

    fn came_again(&mut self, arrival: &Arrival, event: Event, life: usize, at: Instant) {
        let between = self.endings.get(life..arrival.life).unwrap_or_default();
        let explains = |(end, killed): &(Instant, bool)| *killed && end.saturating_duration_since(at) <= CURSORS_LAG;
        if between.iter().any(explains) {
            self.counts.again += 1;
        } else {
            let lives = arrival.life - life;
            let apart = arrival.at.saturating_duration_since(at);
            let hook = arrival.hook;
            let what =
                format!("hook {hook} got {event:?} again after {apart:?} and {lives} restarts, which no kill explains");
            self.suspects.push(Suspect { first: at, again: arrival.at, what });
        }
    }

    /// For how long this machine stood still of late.
    fn stood_still(&self) -> Duration {
        let stalls = self.stalls.lock().unwrap();
        let recent = stalls.iter().filter(|(_, to)| to.elapsed() < Duration::from_secs(15));
        recent.map(|(from, to)| *to - *from).sum()
    }

    /// Some of what is owed.
    pub(super) fn some_owed(&self) -> String {
        let owed = self.entries.values().filter(|entry| !entry.is_settled()).take(5);
        let say = |entry: &Entry| format!("{:?} to the hooks {:?}", entry.event, entry.missing().collect::<Vec<_>>());
        owed.map(say).collect::<Vec<_>>().join("; ")
    }

    /// What came again is wrong unless its first answer may have been late. A stall is known once it is over.
    fn judge(&mut self, after: Duration) {
        let (ripe, rest) =
            std::mem::take(&mut self.suspects).into_iter().partition(|s: &Suspect| s.again.elapsed() >= after);
        self.suspects = rest;
        for Suspect { first, again, what } in ripe {
            let is_late = |(from, to): &(Instant, Instant)| *from < again && *to + REQUEST_TIMEOUT > first;
            if self.stalls.lock().unwrap().iter().any(is_late) {
                self.counts.again += 1;
            } else {
                self.complain(&what);
            }
        }
    }

    /// Nothing more comes: what is wrong is wrong.
    pub(super) fn finish(&mut self) {
        self.judge(Duration::ZERO);
    }

    /// Finds what is lost, and forgets what is settled.
    pub(super) fn settle(&mut self) {
        self.judge(REQUEST_TIMEOUT);
        while let Some(first) = self.entries.first_entry() {
            let entry = first.get();
            let age = entry.at.elapsed();
            if age <= if entry.is_settled() { REMEMBERED } else { DEADLINE } {
                break;
            }
            if !entry.is_settled() {
                let missing: Vec<_> = entry.missing().collect();
                let what = format!("{:?} did not reach the hooks {missing:?} in {DEADLINE:?}: it is lost", entry.event);
                self.places.remove(&entry.event.mark);
                first.remove();
                self.complain(&what);
                continue;
            }
            self.places.remove(&entry.event.mark);
            first.remove();
        }
        let kept = self.entries.first_key_value().map_or(self.next, |(place, _)| *place);
        self.latest.retain(|_, place| *place >= kept);
    }
}

mod tests;
