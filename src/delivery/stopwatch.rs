//! The clock of lanes, which know none themselves: milliseconds since a deliverer started.

use std::time::Duration;

use tokio::time::Instant;

/// A clock that begins at zero.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    started: Instant,
}

impl Stopwatch {
    /// One that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// How long ago it started.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.started.elapsed()
    }

    /// What it shows, in ms.
    #[must_use]
    pub fn now(self) -> u64 {
        ms(self.elapsed())
    }

    /// What it shows after a while, in ms.
    #[must_use]
    pub fn after(self, wait: Duration) -> u64 {
        self.now().saturating_add(ms(wait))
    }

    /// When it shows this.
    #[must_use]
    pub fn at(self, ms: u64) -> Instant {
        self.started + Duration::from_millis(ms)
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
