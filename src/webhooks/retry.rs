//! What an answer to a callback means, and when to try again. Pure.

use std::fmt;
use std::time::Duration;

use crate::config::Hooks;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The receiver answered with this HTTP status.
    Status(u16),
    /// There was no answer by the deadline.
    Timeout,
    /// No connection could be made: refused, no such host, or TLS failed.
    Connect,
    /// The connection broke before the answer.
    Broken,
    /// The delivery itself failed here, before anything was sent.
    Unsent,
}

impl Answer {
    /// Whether the callback counts as delivered: any 2xx; and 401, which says that it worked but was denied.
    #[must_use]
    pub fn is_delivered(self) -> bool {
        matches!(self, Self::Status(200..=299 | 401))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status @ 300..=399) => write!(f, "status {status}, a redirect that is not followed"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Connect => f.write_str("no connection"),
            Self::Broken => f.write_str("the connection broke"),
            Self::Unsent => f.write_str("it could not be sent"),
        }
    }
}

/// When to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    intervals: Vec<Duration>,
    /// The wait after the last interval, over and over; none to give up there.
    for_ever: Option<Duration>,
}

impl Schedule {
    /// The configured schedule, for a permanent hook or another.
    #[must_use]
    pub fn new(hooks: &Hooks, permanent: bool) -> Self {
        Self { intervals: hooks.retry_intervals.clone(), for_ever: permanent.then_some(hooks.permanent_interval_reset) }
    }

    /// The wait after `failures` failed attempts, at least 1; `None` when it is time to give up.
    ///
    /// `random`, from 0 to 1, spreads it between 0.8 and 1.2 of what is configured, so that hooks that failed together are
    /// not tried together.
    #[must_use]
    pub fn wait_after(&self, failures: usize, random: f64) -> Option<Duration> {
        let wait = self.intervals.get(failures.saturating_sub(1)).copied().or(self.for_ever)?;
        Some(wait.mul_f64(0.8 + 0.4 * random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_2xx_and_401() {
        let delivered: Vec<u16> = (100..600).filter(|status| Answer::Status(*status).is_delivered()).collect();
        assert_eq!(delivered, (200..300).chain([401]).collect::<Vec<_>>());
        assert!(!Answer::Timeout.is_delivered());
    }

    #[test]
    fn waits_as_configured_then_gives_up_or_goes_on() {
        let seconds = Duration::from_secs;
        let intervals = vec![seconds(1), seconds(10)];
        let mut schedule = Schedule { intervals, for_ever: None };
        assert_eq!(schedule.wait_after(1, 0.5), Some(seconds(1)));
        assert_eq!(schedule.wait_after(2, 0.0), Some(seconds(8)));
        assert_eq!(schedule.wait_after(2, 1.0), Some(seconds(12)));
        assert_eq!(schedule.wait_after(3, 0.5), None);
        schedule.for_ever = Some(seconds(60));
        assert_eq!(schedule.wait_after(3, 0.5), Some(seconds(60)));
        assert_eq!(schedule.wait_after(3000, 0.5), Some(seconds(60)));
    }
}
