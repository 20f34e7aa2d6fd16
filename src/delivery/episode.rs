//! A receiver that fails for a while: whether its failing, and its working again, are worth a line in the log. Pure.
//!
//! A receiver that refuses every other event begins and ends such an episode all the time.

use std::time::Duration;

use crate::bound::Bound;
use crate::bound::May;

/// How much may be said of one receiver: a few times at once, then once a minute.
#[must_use]
pub fn of_a_receiver() -> Bound {
    Bound::new(5, Duration::from_secs(60))
}

/// The episodes of one receiver.
#[derive(Debug)]
pub struct Episodes {
    bound: Bound,
    /// Whether there is one, and whether anything was said of it.
    now: Option<bool>,
}

impl Episodes {
    /// A receiver of which is known whether it is failing.
    #[must_use]
    pub fn new(failing: bool) -> Self {
        Self { bound: of_a_receiver(), now: failing.then_some(true) }
    }

    /// Whether it is failing.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.now.is_some()
    }

    /// It failed, at a time since any fixed moment. Whether that is worth a line.
    pub fn failed(&mut self, now: Duration) -> bool {
        if self.now.is_some() {
            return false;
        }
        let worth_it = self.bound.happens(now) == May::Say;
        self.now = Some(worth_it);
        worth_it
    }

    /// It works. Whether that is worth a line: if its failing was.
    pub fn works(&mut self) -> bool {
        self.now.take() == Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_the_end_only_of_what_began() {
        let mut episodes = Episodes::new(false);
        let mut said = 0;
        for ms in 0..1000 {
            let at = Duration::from_millis(ms);
            let begun = episodes.failed(at);
            assert!(!episodes.failed(at) && episodes.is_failing());
            assert_eq!(episodes.works(), begun);
            assert!(!episodes.works() && !episodes.is_failing());
            said += usize::from(begun);
        }
        assert_eq!(said, 5);
        assert!(episodes.failed(Duration::from_secs(61)));
        assert!(Episodes::new(true).works());
    }
}
