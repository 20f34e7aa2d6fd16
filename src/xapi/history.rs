//! What is known of something, event by event: a statement that is made late says what was known when its event came. Pure.

/// What is known of one thing. It never forgets the latest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<T> {
    /// Oldest first: the number of the event that said it, and what it said.
    versions: Vec<(u64, T)>,
}

impl<T: PartialEq> History<T> {
    /// What one event said.
    #[must_use]
    pub fn new(number: u64, said: T) -> Self {
        Self { versions: vec![(number, said)] }
    }

    /// What was known when this event came: by it, or before.
    #[must_use]
    pub fn at(&self, number: u64) -> Option<&T> {
        let after = self.versions.partition_point(|(since, _)| *since <= number);
        self.versions.get(after.checked_sub(1)?).map(|(_, said)| said)
    }

    /// What is known now.
    #[must_use]
    pub fn latest(&self) -> &T {
        &self.versions.last().expect("there is one from the beginning, and the last is kept").1
    }

    /// A later event says something. Gives whether that is new. What only events before `needed_from` saw is forgotten.
    pub fn learn(&mut self, number: u64, said: T, needed_from: u64) -> bool {
        let needed = self.versions.partition_point(|(since, _)| *since <= needed_from).saturating_sub(1);
        self.versions.drain(..needed);
        let is_new = *self.latest() != said;
        if is_new {
            self.versions.push((number, said));
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_sees_what_was_known_when_it_came() {
        let mut name = History::new(5, "Ada");
        assert!(!name.learn(6, "Ada", 0));
        assert!(name.learn(8, "Ada II", 0) && name.learn(9, "Ada III", 7));
        let seen = |name: &History<_>| [4, 5, 7, 8, 9, 100].map(|number| name.at(number).copied());
        assert_eq!(seen(&name), [None, Some("Ada"), Some("Ada"), Some("Ada II"), Some("Ada III"), Some("Ada III")]);
        assert!(name.learn(12, "Ada", 9));
        assert_eq!(seen(&name), [None, None, None, None, Some("Ada III"), Some("Ada")]);
        assert!(!name.learn(13, "Ada", 50));
        assert_eq!((name.versions.len(), *name.latest()), (1, "Ada"));
    }
}
