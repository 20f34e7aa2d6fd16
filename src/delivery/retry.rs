//! What an answer to a callback means, and when to try again. Pure.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;
use std::time::UNIX_EPOCH;

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
    /// It was not made: the configuration forbids it (`hooks.callbackPolicy`, `hooks.bearerOverHttp`).
    Refused,
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

impl Answer {
    /// The class that it belongs to, for counting.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Status(..200) => "1xx",
            Self::Status(200..=299) => "2xx",
            Self::Status(300..=399) => "3xx",
            Self::Status(401) => "401",
            Self::Status(400..=499) => "4xx",
            Self::Status(_) => "5xx",
            Self::Timeout => "timeout",
            Self::Connect => "no_connection",
            Self::Broken => "broken",
            Self::Refused => "refused",
            Self::Unsent => "unsent",
        }
    }

    /// What went wrong, for counting: the status, or the class where there is none.
    #[must_use]
    pub fn reason(self) -> Cow<'static, str> {
        match self {
            Self::Status(status) => Cow::Owned(status.to_string()),
            other => Cow::Borrowed(other.class()),
        }
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
            Self::Refused => f.write_str("the configuration forbids it"),
            Self::Unsent => f.write_str("it could not be sent"),
        }
    }
}

/// Longest wait that a receiver's `Retry-After` is believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// The wait that the value of a `Retry-After` header asks for: seconds, or a date as HTTP writes it. `now_ms` is the clock,
/// in ms since 1970.
#[must_use]
pub fn retry_after(value: &str, now_ms: u64) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let now = UNIX_EPOCH + Duration::from_millis(now_ms);
            httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// The wait after `failures` failed attempts, at least 1, by the configured `intervals`; `None` when no retry is left.
#[must_use]
pub fn wait_after(intervals: &[Duration], failures: usize, random: f64) -> Option<Duration> {
    intervals.get(failures.saturating_sub(1)).map(|wait| spread(*wait, random))
}

/// How long it takes from the attempt that follows `failures` failed ones to the last, if all of them fail.
#[must_use]
pub fn left_after(intervals: &[Duration], failures: usize) -> Duration {
    intervals.iter().skip(failures).fold(Duration::ZERO, |sum, wait| sum.saturating_add(*wait))
}

/// A wait between 0.8 and 1.2 times as long, by a `random` number from 0 to 1: what failed together is not tried together.
#[must_use]
pub fn spread(wait: Duration, random: f64) -> Duration {
    wait.mul_f64(0.8 + 0.4 * random)
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
    fn waits_as_configured_then_no_more() {
        let seconds = Duration::from_secs;
        let intervals = [seconds(1), seconds(10)];
        assert_eq!(wait_after(&intervals, 1, 0.5), Some(seconds(1)));
        assert_eq!(wait_after(&intervals, 2, 0.0), Some(seconds(8)));
        assert_eq!(wait_after(&intervals, 2, 1.0), Some(seconds(12)));
        assert_eq!(wait_after(&intervals, 3, 0.5), None);
    }

    #[test]
    fn knows_how_long_all_retries_that_are_left_take() {
        let intervals = [1, 10, 100].map(Duration::from_secs);
        let left: Vec<_> = (1..=4).map(|failures| left_after(&intervals, failures).as_secs()).collect();
        assert_eq!(left, [110, 100, 0, 0]);
    }

    #[test]
    fn believes_a_receiver_that_asks_for_time_within_reason() {
        let now = 784_111_777_000; // Sun, 06 Nov 1994 08:49:37 GMT
        let wait = |value| retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait(" 7 "), Some(7));
        assert_eq!(wait("86400"), Some(3600));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:57 GMT"), Some(20));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(wait("-1"), None);
        assert_eq!(wait("soon"), None);
    }
}
