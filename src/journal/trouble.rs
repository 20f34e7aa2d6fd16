//! Redis in trouble: what is said of it, and how long to wait before it is asked again.

use std::time::Duration;

use tokio::time::Instant;
use tracing::info;
use tracing::warn;

use crate::seldom::Seldom;

/// Trouble is over when there was none for so long.
const STEADY_AFTER: Duration = Duration::from_secs(5);

/// The first wait after a failure; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Whether Redis takes what it should have.
#[derive(Debug)]
pub(super) struct Trouble {
    /// The next wait.
    wait: Duration,
    /// When there was some.
    last: Option<Instant>,
    seldom: Seldom,
    /// Whether its end is worth a word.
    said: bool,
    /// When a transaction was last applied only in part.
    in_part_at: Option<Instant>,
}

impl Trouble {
    /// None so far.
    pub(super) fn none() -> Self {
        Self { wait: FIRST_WAIT, last: None, seldom: Seldom::default(), said: false, in_part_at: None }
    }

    /// Redis did not take something. Gives how long to wait before it is asked again.
    #[must_use]
    pub(super) fn goes_on(&mut self, why: &str) -> Duration {
        self.last = Some(Instant::now());
        if self.seldom.may_say() {
            self.said = true;
            warn!(error = why, "Redis does not take the journal; events wait in memory and are delivered from there");
        }
        let longer = (self.wait * 2).min(LONGEST_WAIT);
        std::mem::replace(&mut self.wait, longer)
    }

    /// Redis took all.
    pub(super) fn ends(&mut self) {
        if std::mem::take(&mut self.said) {
            info!("Redis has the whole journal again");
        }
        if self.last.is_some_and(|at| at.elapsed() >= STEADY_AFTER) {
            // Trouble that comes back at once is still the same.
            (self.wait, self.last) = (FIRST_WAIT, None);
            self.seldom.begins_anew();
        }
    }

    /// A transaction was applied only in part. Gives whether that just happened before: that everything was written anew
    /// did not help.
    pub(super) fn in_part_again(&mut self) -> bool {
        self.in_part_at.replace(Instant::now()).is_some_and(|at| at.elapsed() < STEADY_AFTER)
    }
}
