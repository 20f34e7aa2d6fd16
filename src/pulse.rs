//! The pulse of a task that must never stand still: it beats as the task goes round, and others see how long it did not.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

/// Stands for a task that has not begun.
const NEVER: u64 = u64::MAX;

/// A pulse. Clones are the same.
#[derive(Clone, Debug)]
pub struct Pulse {
    start: Instant,
    last_ms: Arc<AtomicU64>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { start: Instant::now(), last_ms: Arc::new(AtomicU64::new(NEVER)) }
    }
}

impl Pulse {
    /// The task goes on.
    pub fn beat(&self) {
        self.last_ms.store(self.now_ms(), Relaxed);
    }

    /// How long it was silent; no time at all if it has not begun.
    #[must_use]
    pub fn silence(&self) -> Duration {
        match self.last_ms.load(Relaxed) {
            NEVER => Duration::ZERO,
            last_ms => Duration::from_millis(self.now_ms().saturating_sub(last_ms)),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn grows_silent_from_its_last_beat() {
        let (pulse, again) = (Pulse::default(), Duration::from_millis(20));
        tokio::time::sleep(again).await;
        assert_eq!(pulse.silence(), Duration::ZERO, "it has not begun");
        pulse.beat();
        tokio::time::sleep(again).await;
        let silence = pulse.clone().silence();
        assert!(silence >= again, "{silence:?}");
        pulse.beat();
        assert!(pulse.silence() < silence);
    }
}
