//! The account of what became of a hook's events. It balances at any moment.
//!
//! Every event that was accepted and matched is in exactly one place: not taken from the journal yet, taken and
//! unfinished (waiting, in flight, or to be tried again), delivered, parked, or dropped for a reason.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Relaxed);
    }

    /// What it is now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Why an event was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The hook had too many unfinished events.
    Overflow,
    /// Redis lost it before it could be delivered.
    RedisLost,
}

/// The account of one hook, since the daemon started.
#[derive(Debug, Default)]
pub struct Books {
    /// Events accepted that it wanted.
    pub matched: Counter,
    /// Of those, taken from the journal.
    pub taken: Counter,
    /// Of those, delivered.
    pub delivered: Counter,
    /// Of those, parked.
    pub parked: Counter,
    /// Of those, dropped because there were too many.
    pub overflowed: Counter,
    /// Of those, lost by Redis.
    pub redis_lost: Counter,
}

impl Books {
    /// Notes that events were dropped.
    pub fn dropped(&self, reason: Dropped, events: usize) {
        match reason {
            Dropped::Overflow => self.overflowed.add(events),
            Dropped::RedisLost => self.redis_lost.add(events),
        }
    }

    /// How many events were taken from the journal and are not finished.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        let finished = self.delivered.get() + self.parked.get() + self.overflowed.get() + self.redis_lost.get();
        self.taken.get().saturating_sub(finished)
    }
}
