//! What became of the messages that BigBlueButton published.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// A number that only grows, or is set; several tasks may.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn one_more(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// So many from now on.
    pub fn set(&self, count: usize) {
        self.0.store(count as u64, Relaxed);
    }

    /// How many.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What became of the messages since the daemon started. Every message received is ignored, dropped, unparseable, or
/// mapped, or waits to be.
#[derive(Debug, Default)]
pub struct Intake {
    /// Messages received.
    pub received: Count,
    /// Of those, messages that nobody maps.
    pub ignored: Count,
    /// Of those, messages dropped because they came faster than they could be mapped.
    pub dropped: Count,
    /// Of those, messages that could not be understood.
    pub unparseable: Count,
    /// Of those, messages that were mapped; some become no event, some several.
    pub mapped: Count,
    /// How often the subscription was lost.
    pub lost: Count,
    /// Meetings remembered.
    pub meetings: Count,
    /// Users remembered.
    pub users: Count,
    subscribed: AtomicBool,
}

impl Intake {
    /// Says whether there is a subscription.
    pub fn set_subscribed(&self, subscribed: bool) {
        self.subscribed.store(subscribed, Relaxed);
    }

    /// Whether there is a subscription.
    #[must_use]
    pub fn is_subscribed(&self) -> bool {
        self.subscribed.load(Relaxed)
    }
}
