//! How long the stream is, and how long it is to be. Pure.
//!
//! Events are numbered without gaps while the daemon runs, and further on after each start. So what the stream holds is a
//! few runs of numbers; how many entries lie behind a number is a subtraction, not a question to Redis.

use std::collections::VecDeque;

/// What the stream holds, as runs of numbers without gaps: first and last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stored(VecDeque<(u64, u64)>);

/// How many entries of the stream are to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) entries: usize,
    /// Entries up to this number go although some reader needs them: there are too many.
    pub(super) cut_up_to: Option<u64>,
}

impl Stored {
    /// A stream that holds one run, or nothing.
    pub(super) fn new(run: Option<(u64, u64)>) -> Self {
        Self(run.into_iter().collect())
    }

    /// An entry was added.
    pub(super) fn add(&mut self, number: u64) {
        match self.0.back_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => self.0.push_back((number, number)),
        }
    }

    /// What is to stay when no reader needs anything up to `needed_after`: at least `least`, at most `most`.
    pub(super) fn wanted(&mut self, needed_after: u64, least: usize, most: usize) -> Wanted {
        while self.0.len() > 1 && self.0.front().is_some_and(|(_, last)| *last <= needed_after) {
            self.0.pop_front();
        }
        let needed = |(first, last): &(u64, u64)| (last + 1).saturating_sub((*first).max(needed_after + 1));
        let needed = usize::try_from(self.0.iter().map(needed).sum::<u64>()).unwrap_or(usize::MAX);
        Wanted { entries: needed.clamp(least, most), cut_up_to: (needed > most).then(|| self.number_before_last(most)) }
    }

    /// The number of the entry that has so many after it; 0 if there are not so many.
    fn number_before_last(&self, entries: usize) -> u64 {
        let mut left = entries as u64;
        for (first, last) in self.0.iter().rev() {
            let length = last + 1 - first;
            if length > left {
                return last - left;
            }
            left -= length;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(numbers: impl IntoIterator<Item = u64>) -> Stored {
        let mut stored = Stored::default();
        numbers.into_iter().for_each(|number| stored.add(number));
        stored
    }

    #[test]
    fn what_is_needed_stays_within_bounds() {
        let mut stored = stored((1..=10).chain(101..=110));
        assert_eq!(stored.0, [(1, 10), (101, 110)]);
        for (needed_after, least, most, entries, cut_up_to) in [
            (0, 0, 100, 20, None),
            (4, 0, 100, 16, None),
            (4, 18, 100, 18, None),
            (4, 0, 12, 12, Some(8)),
            (4, 0, 10, 10, Some(10)),
            (4, 0, 3, 3, Some(107)),
            (50, 0, 100, 10, None),
            (105, 0, 100, 5, None),
            (110, 2, 100, 2, None),
        ] {
            assert_eq!(
                stored.wanted(needed_after, least, most),
                Wanted { entries, cut_up_to },
                "{needed_after} {most}"
            );
        }
        assert_eq!(stored, Stored::new(Some((101, 110))), "a run that nobody needs is forgotten");
    }

    #[test]
    fn agrees_with_a_list_of_numbers() {
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..1000 {
            let mut number = 0;
            let numbers: Vec<u64> = (0..random.usize(1..40))
                .map(|_| {
                    number += if random.u8(..5) == 0 { random.u64(2..50) } else { 1 };
                    number
                })
                .collect();
            let (needed_after, most) = (random.u64(..=number), random.usize(1..40));
            let needed = numbers.iter().filter(|number| **number > needed_after).count();
            let cut = (needed > most).then(|| numbers[numbers.len() - most - 1]);
            let wanted = stored(numbers.iter().copied()).wanted(needed_after, 0, most);
            assert_eq!(wanted, Wanted { entries: needed.min(most), cut_up_to: cut }, "{numbers:?}");
        }
    }
}
