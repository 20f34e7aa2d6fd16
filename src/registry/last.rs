//! Which numbers and times of creation were given to hooks. Pure.

use crate::config::IdFormat;
use crate::event::HookId;
use crate::hook::HIGHEST_NUMBER;
use crate::hook::Hook;

/// The highest values given so far.
#[derive(Debug, Default)]
pub(super) struct Last {
    pub(super) number: u64,
    created_ms: u64,
}

impl Last {
    /// Those of these hooks, where `counter` is the highest number that a hook was given.
    pub(super) fn of(hooks: &[Hook], counter: u64) -> Self {
        let numbers = hooks.iter().filter_map(|hook| hook.id.as_str().parse().ok());
        Self {
            number: numbers.filter(|number| *number <= HIGHEST_NUMBER).chain([counter]).max().unwrap_or(0),
            created_ms: hooks.iter().map(|hook| hook.created_ms).max().unwrap_or(0),
        }
    }

    /// The time for the next hook: later than all before, so that the order of creation shows.
    pub(super) fn next_created_ms(&mut self, now_ms: u64) -> u64 {
        self.created_ms = now_ms.max(self.created_ms.saturating_add(1));
        self.created_ms
    }

    pub(super) fn next_id(&mut self, format: IdFormat) -> HookId {
        match format {
            IdFormat::Uuid => uuid::Uuid::new_v4().to_string().into(),
            IdFormat::Number => {
                self.number += 1;
                self.number.to_string().into()
            }
        }
    }
}

/// Hooks as Redis has them, whatever they are: for a target of fuzzing.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing {
    use crate::config::IdFormat;
    use crate::registry::last::Last;
    use crate::store::StoredHooks;

    /// Numbers two more hooks.
    pub(crate) fn go_on(stored: &StoredHooks) {
        let counter = stored.counter.min(crate::hook::HIGHEST_NUMBER);
        let mut last = Last::of(&stored.hooks, counter);
        let given = [(); 2].map(|()| (last.next_id(IdFormat::Number), last.next_created_ms(7)));
        assert_ne!(given[0].0, given[1].0, "no number is given twice");
        assert!(stored.hooks.iter().all(|hook| given.iter().all(|(id, _)| *id != hook.id)), "nor one that there is");
    }
}
