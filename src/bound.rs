//! How often something may be said: a few times at once, then now and then; the rest is counted. Pure.

use std::time::Duration;

/// What may be said of something that happens now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// It may be said.
    Say,
    /// It is only counted, and the first since the count was taken.
    CountFirst,
    /// It is only counted.
    Count,
}

/// Says what may be said.
#[derive(Debug)]
pub struct Bound {
    at_once: u32,
    one_more_after: Duration,
    /// What was said, as the time after which it counts no more.
    busy_until: Duration,
    unsaid: u64,
}

impl Bound {
    /// Lets `at_once` be said at once of what was not said for a while, and one more each time after `one_more_after`.
    #[must_use]
    pub fn new(at_once: u32, one_more_after: Duration) -> Self {
        Self { at_once, one_more_after, busy_until: Duration::ZERO, unsaid: 0 }
    }

    /// Something happens, at a time since any fixed moment.
    pub fn happens(&mut self, now: Duration) -> May {
        let busy_until = self.busy_until.max(now) + self.one_more_after;
        if busy_until <= now + self.one_more_after * self.at_once {
            self.busy_until = busy_until;
            return May::Say;
        }
        self.unsaid += 1;
        if self.unsaid == 1 { May::CountFirst } else { May::Count }
    }

    /// How many were only counted since this was asked last.
    pub fn take_unsaid(&mut self) -> u64 {
        std::mem::take(&mut self.unsaid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_a_few_at_once_and_then_one_a_second() {
        let mut bound = Bound::new(5, Duration::from_secs(1));
        let at = Duration::from_millis;
        let said = |bound: &mut Bound, ms: u64| (0..100).filter(|_| bound.happens(at(ms)) == May::Say).count();
        assert_eq!(said(&mut bound, 0), 5);
        assert_eq!(bound.take_unsaid(), 95);
        assert_eq!(said(&mut bound, 999), 0);
        assert_eq!(said(&mut bound, 1000), 1);
        assert_eq!(said(&mut bound, 3500), 2);
        assert_eq!(said(&mut bound, 60_000), 5);
        assert_eq!(bound.take_unsaid(), 100 + 99 + 98 + 95);
        assert_eq!(bound.take_unsaid(), 0);
    }

    #[test]
    fn tells_the_first_that_is_only_counted() {
        let mut bound = Bound::new(5, Duration::from_secs(1));
        let mut all: Vec<May> = (0..7).map(|_| bound.happens(Duration::ZERO)).collect();
        assert_eq!(all.split_off(5), [May::CountFirst, May::Count]);
        bound.take_unsaid();
        assert_eq!(bound.happens(Duration::ZERO), May::CountFirst);
    }
}
