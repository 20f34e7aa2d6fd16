//! What is counted, for whoever wants to see how the daemon does: here the account of what became of a hook's events, which
//! balances at any moment; [`calls`], the attempts to deliver them; [`departed`], those of hooks that are gone;
//! [`intake`], the messages they are made of; [`requests`],
//! the calls of the API.
//!
//! Every event that was accepted and that a hook wants is in exactly one place: not taken from the journal yet, taken and
//! unfinished (waiting, in flight, or to be tried again), delivered, parked, or dropped for a reason.

pub mod calls;
pub mod departed;
pub mod intake;
pub mod requests;

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::books::calls::Calls;

/// What became of the events of one hook, since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Events accepted that it wanted: all of the following together.
    pub matched: u64,
    /// Of those, not taken from the journal yet.
    pub waiting: u64,
    /// Of those, taken from the journal and not finished.
    pub unfinished: u64,
    /// Of those, delivered.
    pub delivered: u64,
    /// Of those, parked.
    pub parked: u64,
    /// Of those, dropped because there were too many.
    pub overflowed: u64,
    /// Of those, lost by Redis.
    pub redis_lost: u64,
    /// Of those, dropped because the hook was destroyed or given up.
    pub hook_gone: u64,
    /// Of those, not to be sent after all: no xAPI statement is made of them, or there is nowhere to send it.
    pub unsent: u64,
}

impl Account {
    /// Whether every event is in exactly one place.
    #[must_use]
    pub fn balances(&self) -> bool {
        let dropped = self.overflowed + self.redis_lost + self.hook_gone;
        self.matched == self.waiting + self.unfinished + self.delivered + self.parked + self.unsent + dropped
    }

    fn of(&mut self, end: End) -> &mut u64 {
        match end {
            End::Delivered => &mut self.delivered,
            End::Parked => &mut self.parked,
            End::Overflowed => &mut self.overflowed,
            End::RedisLost => &mut self.redis_lost,
            End::HookGone => &mut self.hook_gone,
            End::Unsent => &mut self.unsent,
        }
    }
}

/// What becomes of an event in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its receiver took it.
    Delivered,
    /// Its receiver works and refused it.
    Parked,
    /// The hook had too many unfinished events.
    Overflowed,
    /// Redis lost it before it could be delivered.
    RedisLost,
    /// The hook was destroyed or given up.
    HookGone,
    /// It is not to be sent after all.
    Unsent,
}

/// The account of one hook and of its calls, kept by several tasks.
#[derive(Debug, Default)]
pub struct Books(Mutex<(Account, Calls)>);

impl Books {
    /// The account as it is now.
    #[must_use]
    pub fn account(&self) -> Account {
        self.open().0
    }

    /// The account and the calls, as they are now.
    #[must_use]
    pub fn copy(&self) -> (Account, Calls) {
        self.open().clone()
    }

    /// Takes note of something about the calls.
    pub fn note(&self, note: impl FnOnce(&mut Calls)) {
        note(&mut self.open().1);
    }

    fn open(&self) -> MutexGuard<'_, (Account, Calls)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Account)) {
        change(&mut self.open().0);
    }

    /// An event was accepted that the hook wants.
    pub fn matched(&self) {
        self.change(|account| {
            account.matched += 1;
            account.waiting += 1;
        });
    }

    /// Events were taken from the journal.
    pub fn taken(&self, events: usize) {
        let events = events as u64;
        self.change(|account| {
            account.waiting = account.waiting.saturating_sub(events);
            account.unfinished += events;
        });
    }

    /// Events that were taken are finished.
    pub fn finished(&self, end: End, events: usize) {
        let events = events as u64;
        self.change(|account| {
            account.unfinished = account.unfinished.saturating_sub(events);
            *account.of(end) += events;
        });
    }

    /// Events that were not taken can no longer be found.
    pub fn never_found(&self, end: End, events: u64) {
        self.change(|account| {
            account.waiting = account.waiting.saturating_sub(events);
            *account.of(end) += events;
        });
    }

    /// The hook is gone, and with it everything that was not finished.
    pub fn close(&self) {
        self.change(|account| {
            account.hook_gone += std::mem::take(&mut account.waiting) + std::mem::take(&mut account.unfinished);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_in_one_place() {
        let books = Books::default();
        (0..11).for_each(|_| books.matched());
        books.taken(9);
        for (end, events) in [
            (End::Delivered, 3),
            (End::Parked, 1),
            (End::Overflowed, 1),
            (End::RedisLost, 1),
            (End::HookGone, 0),
            (End::Unsent, 1),
        ] {
            books.finished(end, events);
            assert!(books.account().balances(), "{:?}", books.account());
        }
        let account = books.account();
        assert_eq!((account.waiting, account.unfinished, account.delivered), (2, 2, 3));
        books.never_found(End::RedisLost, 1);
        assert_eq!((books.account().waiting, books.account().redis_lost), (1, 2));
        books.close();
        assert_eq!(books.account().hook_gone, 3);
        assert!(books.account().balances());
        books.taken(1);
        assert!(!books.account().balances(), "what was never matched cannot be taken");
    }
}
