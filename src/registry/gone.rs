//! Hooks that are gone: why, and what was counted of them.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::books::departed::Departed;
use crate::event::HookId;
use crate::hook::Hook;
use crate::registry::HookChange;
use crate::registry::Registry;
use crate::registry::listed;

/// Most series of hooks that are gone, before it is looked which of them are needed.
const MOST_DEPARTED: usize = 1000;

/// Why a hook was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// No retry of an event helped.
    Exhausted,
    /// Its receiver did nothing but fail while it was suspended.
    Suspended,
}

impl GivenUp {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Exhausted, Self::Suspended];

    /// Its name for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Suspended => "suspended",
        }
    }
}

/// What is known of hooks that are gone.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// How many were given up, in the order of [`GivenUp::ALL`].
    given_up: [AtomicU64; 2],
    /// What was counted of them until they were gone; an attempt that ends later is in no counter. Locked only while the hooks are.
    departed: Mutex<Departed>,
}

impl Gone {
    fn departed(&self) -> MutexGuard<'_, Departed> {
        self.departed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn public_urls(hooks: &HashMap<HookId, Arc<Hook>>) -> HashSet<String> {
    hooks.values().map(|hook| hook.public_url()).collect()
}

impl Registry {
    /// Removes a hook whose receiver is given up: at once in memory, in Redis as soon as it can be.
    pub fn give_up(&self, id: &HookId, why: GivenUp) {
        if self.let_go(id) {
            self.shared.gone.given_up[why as usize].fetch_add(1, Relaxed);
        }
    }

    /// Forgets a hook; gives whether there was one.
    pub(super) fn let_go(&self, id: &HookId) -> bool {
        let books = self.shared.journal.books_of(id);
        let known = {
            let mut hooks = self.write();
            let hooks = hooks.get_or_insert_default();
            let known = hooks.remove(id);
            if let (Some(hook), Some(books)) = (&known, books) {
                let mut departed = self.shared.gone.departed();
                departed.add(&hook.public_url(), &books.copy().1);
                if departed.delivered.len() + departed.failures.len() > MOST_DEPARTED {
                    departed.keep_only(&public_urls(hooks));
                }
            }
            known.is_some()
        };
        self.leave_no_trace(id);
        self.tell(HookChange::Removed(id.clone()));
        known
    }

    /// The hooks in the order created, none until they are known; and at the same moment what was counted of those that are gone
    /// and shared a public URL with one of these.
    #[must_use]
    pub fn all_and_departed(&self) -> (Vec<Arc<Hook>>, Departed) {
        let hooks = self.shared.hooks.read().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = hooks.as_ref() else { return <_>::default() };
        let mut departed = self.shared.gone.departed();
        if *departed != Departed::default() {
            departed.keep_only(&public_urls(known));
        }
        (listed(known.values()), departed.clone())
    }

    /// How many hooks were given up since the daemon started, and why.
    #[must_use]
    pub fn given_up(&self) -> [(GivenUp, u64); 2] {
        GivenUp::ALL.map(|why| (why, self.shared.gone.given_up[why as usize].load(Relaxed)))
    }
}
