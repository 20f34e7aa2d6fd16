//! What lasts is said when it begins, and then once a minute.

use std::time::Duration;

use tokio::time::Instant;

/// Between two lines about the same.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Something that lasts, or happens over and over. Each time, [`may_say`](Self::may_say) tells whether it is worth a line.
#[derive(Debug, Default)]
pub struct Seldom {
    said_at: Option<Instant>,
}

impl Seldom {
    /// Whether it may be said now. Then it counts as said.
    pub fn may_say(&mut self) -> bool {
        self.may_say_at(Instant::now())
    }

    fn may_say_at(&mut self, now: Instant) -> bool {
        let may = self.said_at.is_none_or(|at| now.duration_since(at) >= SAY_EVERY);
        if may {
            self.said_at = Some(now);
        }
        may
    }

    /// It is over, or is about something else now: the next time it is said at once.
    pub fn begins_anew(&mut self) {
        self.said_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_it_at_once_and_then_once_a_minute() {
        let (mut seldom, begin) = (Seldom::default(), Instant::now());
        let may_say = |seldom: &mut Seldom, ms| seldom.may_say_at(begin + Duration::from_millis(ms));
        assert!(may_say(&mut seldom, 0));
        assert!(!may_say(&mut seldom, 59_999));
        assert!(may_say(&mut seldom, 60_000));
        assert!(!may_say(&mut seldom, 60_001));
        seldom.begins_anew();
        assert!(may_say(&mut seldom, 60_002));
        assert!(!may_say(&mut seldom, 60_003));
    }
}
