//! The numbers of a lane's events, lowest first. Pure.
//!
//! A hook whose receiver is dead has thousands, and there may be a hundred such hooks: as a rule a number takes four bytes.

use std::collections::VecDeque;

/// Ascending numbers.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    base: u64,
    /// Those that are not far above the base, less the base.
    near: VecDeque<u32>,
    /// The others, all of them higher: what came after a restart, for the numbers go on from the time of day then.
    far: VecDeque<u64>,
}

impl Numbers {
    /// Adds one that is higher than all.
    pub(super) fn push(&mut self, number: u64) {
        if self.is_empty() {
            self.base = number;
        }
        match u32::try_from(number - self.base) {
            Ok(offset) if self.far.is_empty() => push_tightly(&mut self.near, offset),
            _ => push_tightly(&mut self.far, number),
        }
    }

    /// The lowest.
    pub(super) fn first(&self) -> Option<u64> {
        self.get(0)
    }

    /// The one at this place, from 0.
    pub(super) fn get(&self, place: usize) -> Option<u64> {
        match self.near.get(place) {
            Some(offset) => Some(self.base + u64::from(*offset)),
            None => self.far.get(place.checked_sub(self.near.len())?).copied(),
        }
    }

    /// Takes away the one at this place.
    pub(super) fn remove(&mut self, place: usize) {
        if self.near.remove(place).is_none() {
            self.far.remove(place.saturating_sub(self.near.len()));
        }
        self.come_near();
    }

    /// Takes away the lowest, so many at most.
    pub(super) fn take_first(&mut self, most: usize) -> Vec<u64> {
        let taken: Vec<u64> = (0..most.min(self.len())).filter_map(|place| self.get(place)).collect();
        let near = taken.len().min(self.near.len());
        self.near.drain(..near);
        self.far.drain(..taken.len() - near);
        self.come_near();
        taken
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.near.len() + self.far.len()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where only far ones are left, they are near each other.
    fn come_near(&mut self) {
        if let (true, Some(first)) = (self.near.is_empty(), self.far.front()) {
            self.base = *first;
            while let Some(offset) = self.far.front().and_then(|number| u32::try_from(number - self.base).ok()) {
                push_tightly(&mut self.near, offset);
                self.far.pop_front();
            }
        }
    }
}

/// With an eighth to spare rather than twice the room.
fn push_tightly<T>(numbers: &mut VecDeque<T>, number: T) {
    if numbers.len() == numbers.capacity() && numbers.len() >= 32 {
        numbers.reserve_exact(numbers.len() / 8);
    }
    numbers.push_back(number);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the plainest there is.
    #[test]
    fn agrees_with_a_plain_list() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut numbers, mut plain, mut highest) = (Numbers::default(), VecDeque::new(), 0);
        for _ in 0..20_000 {
            match random.u8(0..8) {
                0..4 => {
                    highest += random.choice([1, 1, 1, 2, 1000, 1 << 30, 1 << 33]).unwrap_or(1);
                    numbers.push(highest);
                    plain.push_back(highest);
                }
                4 => {
                    let most = random.usize(0..10);
                    let taken: Vec<u64> = plain.drain(..most.min(plain.len())).collect();
                    assert_eq!(numbers.take_first(most), taken);
                }
                _ => {
                    let place = random.usize(0..10);
                    assert_eq!(numbers.get(place), plain.get(place).copied());
                    numbers.remove(place);
                    plain.remove(place);
                }
            }
            assert_eq!((numbers.first(), numbers.len()), (plain.front().copied(), plain.len()));
        }
    }
}
