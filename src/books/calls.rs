//! What came of the attempts to call a hook back.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::HashMap;

use crate::event::EventId;

/// The upper bounds of [`Latency`]'s buckets, in ms. Above the last is one more bucket without a bound.
pub const LATENCY_BOUNDS_MS: [u64; 14] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 30_000, 300_000, 3_600_000];

/// How long deliveries took, from the event's acceptance to the receiver's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many took at most as long as the bound of the same place, and longer than the one before; the last: longer than
    /// all bounds.
    pub buckets: [u64; LATENCY_BOUNDS_MS.len() + 1],
    /// All of them together, in ms.
    pub sum_ms: u64,
}

impl Latency {
    /// Takes note of a delivery that took so long.
    fn observe(&mut self, took_ms: u64) {
        self.buckets[LATENCY_BOUNDS_MS.partition_point(|bound| *bound < took_ms)] += 1;
        self.sum_ms += took_ms;
    }
}

/// Whether callbacks of a hook succeed; the worst is the greatest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// The last one did, or there was none yet.
    #[default]
    Well,
    /// The last one failed; it will be tried again as scheduled.
    Failing,
    /// No retry helped; its receiver is tried from time to time.
    Suspended,
}

impl Standing {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Well, Self::Failing, Self::Suspended];

    /// Its name for programs and people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Failing => "failing",
            Self::Suspended => "suspended",
        }
    }
}

/// What came of the attempts to call a hook back since the daemon started, and how it stands now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Attempts by the class of their answer: `2xx`, `timeout`.
    pub attempts: BTreeMap<&'static str, u64>,
    /// Events in attempts that failed, by the reason (`500`, `timeout`) and the event.
    pub failures: HashMap<(String, EventId), u64>,
    /// Events delivered, by their id.
    pub delivered: HashMap<EventId, u64>,
    /// Events parked, by their id.
    pub parked: HashMap<EventId, u64>,
    /// How long they took.
    pub latency: Latency,
    /// Attempts under way.
    pub in_flight: usize,
    /// Whether they succeed.
    pub standing: Standing,
    /// Since when they do nothing but fail, in ms since 1970.
    pub failing_since_ms: Option<u64>,
    /// About when no retry will be left and the hook is removed, if they go on to fail, in ms since 1970.
    pub removed_at_ms: Option<u64>,
    /// The number of the oldest event that was taken from the journal and is not finished.
    pub oldest: Option<u64>,
    /// When the last attempt ended (ms since 1970), and how.
    pub last_answer: Option<(u64, Cow<'static, str>)>,
    /// When something will be tried again that failed, in ms since 1970.
    pub next_try_ms: Option<u64>,
}

impl Calls {
    /// Takes note of an attempt that ended at `now_ms` as `answer` says; `class` is the class of the answer.
    pub fn attempted(&mut self, class: &'static str, answer: Cow<'static, str>, now_ms: u64) {
        *self.attempts.entry(class).or_default() += 1;
        self.last_answer = Some((now_ms, answer));
    }

    /// Takes note of an event that was delivered at `now_ms`.
    pub fn delivered(&mut self, event: &EventId, accepted_ms: u64, now_ms: u64) {
        self.latency.observe(now_ms.saturating_sub(accepted_ms));
        match self.delivered.get_mut(event) {
            Some(count) => *count += 1,
            None => drop(self.delivered.insert(event.clone(), 1)),
        }
    }

    /// Takes note of an event that was parked.
    pub fn parked(&mut self, event: &EventId) {
        *self.parked.entry(event.clone()).or_default() += 1;
    }

    /// Takes note of an event in an attempt that failed for this reason.
    pub fn failed(&mut self, reason: &str, event: &EventId) {
        *self.failures.entry((reason.to_owned(), event.clone())).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_in_the_first_bucket_that_it_fits() {
        let mut latency = Latency::default();
        [0, 1, 2, 3, 5, 3_600_000, 3_600_001].into_iter().for_each(|took_ms| latency.observe(took_ms));
        assert_eq!(latency.buckets, [2, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(latency.sum_ms, 7_200_012);
    }
}
