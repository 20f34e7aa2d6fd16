//! The configuration while the daemon runs: what changes at once, and what waits for a restart.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

use super::Config;
use super::effective;

/// The configuration as it is now. Clones are the same.
#[derive(Clone, Debug)]
pub struct Current(Arc<RwLock<Arc<Config>>>);

/// What came of a new configuration, by the keys as people write them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What changed.
    pub changed: Vec<String>,
    /// What would, but only when the daemon starts the next time.
    pub needs_restart: Vec<String>,
}

impl Current {
    /// What it is at the start.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(config))))
    }

    /// As it is now. Whoever works by it asks again for the next piece of work.
    #[must_use]
    pub fn get(&self) -> Arc<Config> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over what can be changed while the daemon runs.
    pub fn reload(&self, new: &Config) -> Change {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let next = with_what_changes_at_once(&current, new);
        let change = Change {
            changed: effective::differences(&current, &next),
            needs_restart: effective::differences(&next, new),
        };
        *current = Arc::new(next);
        change
    }
}

/// The keys that take effect at once.
fn with_what_changes_at_once(now: &Config, new: &Config) -> Config {
    let mut next = now.clone();
    next.hooks.permanent.clone_from(&new.hooks.permanent);
    next.hooks.include_events.clone_from(&new.hooks.include_events);
    next.hooks.exclude_events.clone_from(&new.hooks.exclude_events);
    next.hooks.retry_intervals.clone_from(&new.hooks.retry_intervals);
    next.hooks.permanent_interval_reset = new.hooks.permanent_interval_reset;
    next.hooks.on_exhausted = new.hooks.on_exhausted;
    next.hooks.suspend_for = new.hooks.suspend_for;
    next.hooks.max_hooks = new.hooks.max_hooks;
    next.log.level = new.log.level;
    next
}
