//! How far a reader is. Pure.
//!
//! A reader finishes events out of order, since some wait for a retry while others go on. [`Progress`] keeps account as it
//! goes; a [`Cursor`] is what is stored of it: a watermark up to which all is finished, and the ranges finished above it.

use std::collections::BTreeMap;

use roaring::RoaringTreemap;
use serde::Deserialize;
use serde::Serialize;

/// The highest number that an event can have. They are µs since 1970 or little more, so this leaves room for all there will
/// be; what is above was written by somebody else, and after the highest `u64` there would be none left.
pub const HIGHEST: u64 = u64::MAX / 2;

/// What is wrong with a stored cursor.
#[derive(Debug, thiserror::Error)]
pub enum BadCursor {
    /// It is something else.
    #[error(transparent)]
    NotOurs(#[from] serde_json::Error),
    /// It speaks of numbers beyond [`HIGHEST`].
    #[error("it speaks of numbers that no event has")]
    TooHigh,
}

/// Where a reader goes on after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Every event up to this number is finished, as far as the reader wanted it.
    #[serde(rename = "w")]
    pub watermark: u64,
    /// Ranges of numbers above it, first and last, in which every wanted event is finished, in order.
    #[serde(rename = "d", default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<(u64, u64)>,
    /// Callbacks that failed and are to be tried again.
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    pub trying: Vec<Tried>,
    /// Since when nothing but failures is known of the receiver, in ms since 1970, if the reader is suspended.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub suspended_since_ms: Option<u64>,
}

/// A callback that failed and is to be tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// The number of its first event.
    #[serde(rename = "n")]
    pub first: u64,
    /// How many events of its lane it holds.
    #[serde(rename = "e")]
    pub events: usize,
    /// How often it failed.
    #[serde(rename = "f")]
    pub failures: usize,
    /// When it is due again, in ms since 1970.
    #[serde(rename = "at")]
    pub due_ms: u64,
    /// How long that was off when this was written, in ms: the clock may have been set meanwhile.
    #[serde(rename = "in", default = "longest")]
    pub wait_ms: u64,
    /// Whether another event was delivered since it was first tried.
    #[serde(rename = "o")]
    pub others_delivered: bool,
}

fn longest() -> u64 {
    u64::MAX
}

impl Tried {
    /// How long it is still to wait at `now_ms`: never longer than when it was written.
    #[must_use]
    pub fn left(&self, now_ms: u64) -> u64 {
        self.due_ms.saturating_sub(now_ms).min(self.wait_ms)
    }
}

impl Cursor {
    /// The cursor of a reader that has seen all up to `number`.
    #[must_use]
    pub fn at(number: u64) -> Self {
        Self { watermark: number, ..Self::default() }
    }

    /// Reads a stored cursor.
    ///
    /// # Errors
    /// If the text is none that was ever written.
    pub fn from_text(text: &str) -> Result<Self, BadCursor> {
        let cursor: Self = serde_json::from_str(text)?;
        if cursor.highest() > HIGHEST { Err(BadCursor::TooHigh) } else { Ok(cursor) }
    }

    /// The text that is stored.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("numbers are always JSON")
    }

    /// Whether an event that the reader wanted is finished.
    #[must_use]
    pub fn is_done(&self, number: u64) -> bool {
        let next = self.done.partition_point(|(first, _)| *first <= number);
        number <= self.watermark || next.checked_sub(1).is_some_and(|before| number <= self.done[before].1)
    }

    /// The highest number that it speaks of.
    #[must_use]
    pub fn highest(&self) -> u64 {
        let done = self.done.iter().map(|(_, last)| *last);
        let trying = self.trying.iter().map(|tried| tried.first);
        done.chain(trying).fold(self.watermark, u64::max)
    }

    /// Adds what an earlier cursor says of events after `position`: the reader, which went on from there, has not come to them
    /// again yet.
    pub fn keep_after(&mut self, position: u64, before: &Self) {
        let done = before.done.iter().filter(|(_, last)| *last > position);
        self.done.extend(done.map(|(first, last)| ((*first).max(position + 1), *last)));
        self.trying.extend(before.trying.iter().filter(|tried| tried.first > position).cloned());
    }

    /// What it says of numbers up to `last`: a cursor must not speak of what is not stored.
    #[must_use]
    pub fn clipped(&self, last: u64) -> Self {
        let done = self.done.iter().filter(|(first, _)| *first <= last);
        Self {
            watermark: self.watermark.min(last),
            done: done.map(|(first, end)| (*first, (*end).min(last))).collect(),
            trying: self.trying.iter().filter(|tried| tried.first <= last).cloned().collect(),
            suspended_since_ms: self.suspended_since_ms,
        }
    }
}

/// The account of what a reader took and finished. Only events that it wants are taken, in the order of their numbers.
///
/// A hook whose receiver is dead has as many unfinished events as its queue holds, and there may be a hundred such hooks: of an
/// event two bytes are kept, or a bit where there are thousands near each other.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    unfinished: RoaringTreemap,
    /// How many they are.
    count: usize,
    /// Ranges finished above the first unfinished one: first number to last. Between two of them something is unfinished.
    done: BTreeMap<u64, u64>,
}

impl Progress {
    /// The reader took an event, later than all before.
    pub fn take(&mut self, number: u64) {
        self.count += usize::from(self.unfinished.insert(number));
    }

    /// The reader read over an event that was finished before.
    pub fn skip(&mut self, number: u64) {
        self.add_done(number, number);
    }

    /// The reader finished events that it took, in ascending order.
    pub fn finish(&mut self, numbers: &[u64]) {
        let finished: Vec<u64> = numbers.iter().copied().filter(|number| self.unfinished.remove(*number)).collect();
        self.count -= finished.len();
        let mut finished = finished.into_iter().peekable();
        while let Some(first) = finished.next() {
            // With a hook's oldest events, all of them in a row, this is worth the trouble.
            let done_from = self.done.range(first..).next().map_or(u64::MAX, |(start, _)| *start);
            let end = self.unfinished_from(first).unwrap_or(u64::MAX).min(done_from);
            let mut last = first;
            while let Some(number) = finished.next_if(|number| *number < end) {
                last = number;
            }
            self.add_done(first, last);
        }
    }

    /// How many events are taken and not finished.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.count
    }

    /// How many ranges are finished out of order.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.done.len()
    }

    /// The lowest number that is taken and not finished.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.unfinished.min()
    }

    /// The number up to which all is finished, where `read_up_to` is the last that was looked at.
    #[must_use]
    pub fn watermark(&self, read_up_to: u64) -> u64 {
        self.oldest().map_or(read_up_to, |oldest| oldest - 1)
    }

    /// The ranges that are finished above the watermark.
    #[must_use]
    pub fn done(&self) -> Vec<(u64, u64)> {
        self.done.iter().map(|(first, last)| (*first, *last)).collect()
    }

    /// The lowest unfinished number from this one on.
    fn unfinished_from(&self, number: u64) -> Option<u64> {
        // Not by the iterator's `advance_to`: in 0.11.3 it goes too far where numbers jump by 2^32, as they do at a start.
        let below = number.checked_sub(1).map_or(0, |before| self.unfinished.rank(before));
        self.unfinished.select(below)
    }

    /// Whether anything between these numbers is unfinished.
    fn is_gap(&self, from: u64, to: u64) -> bool {
        self.unfinished_from(from).is_some_and(|unfinished| unfinished < to)
    }

    /// Adds a range in which all is finished, and joins those between which nothing is unfinished any more.
    fn add_done(&mut self, mut first: u64, mut last: u64) {
        let before = self.done.range(..=first).next_back().map(|(start, end)| (*start, *end));
        let after = self.done.range(last..).next().map(|(start, end)| (*start, *end));
        if let Some((start, end)) = after.filter(|(start, _)| !self.is_gap(last, *start)) {
            self.done.remove(&start);
            last = end;
        }
        if let Some((start, end)) = before.filter(|(_, end)| !self.is_gap(*end, first)) {
            (first, last) = (start, end.max(last));
        }
        match self.oldest() {
            Some(oldest) if first > oldest => drop(self.done.insert(first, last)),
            // Up to its end all is finished now; the watermark says so.
            Some(_) => drop(self.done.remove(&first)),
            None => self.done.clear(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_watermark_waits_for_the_oldest() {
        let mut progress = Progress::default();
        for number in [10, 20, 30, 40, 50] {
            progress.take(number);
        }
        assert_eq!(progress.watermark(60), 9);
        progress.finish(&[30]);
        progress.finish(&[50]);
        assert_eq!((progress.watermark(60), progress.done()), (9, vec![(30, 30), (50, 50)]));
        progress.finish(&[40]);
        assert_eq!(progress.done(), [(30, 50)]);
        progress.finish(&[10]);
        assert_eq!((progress.watermark(60), progress.done()), (19, vec![(30, 50)]));
        progress.finish(&[20]);
        assert_eq!((progress.watermark(60), progress.done(), progress.unfinished()), (60, vec![], 0));
    }

    #[test]
    fn numbers_that_jump_at_a_start_stay_apart() {
        let mut progress = Progress::default();
        let numbers = [(1 << 32) + 100, (2 << 32) + 0xF000_0000, (3 << 32) + 5, (3 << 32) + 6];
        numbers.into_iter().for_each(|number| progress.take(number));
        progress.finish(&[numbers[1], numbers[3]]);
        assert_eq!(progress.done(), [(numbers[1], numbers[1]), (numbers[3], numbers[3])]);
        progress.finish(&[numbers[0]]);
        assert_eq!((progress.oldest(), progress.done()), (Some(numbers[2]), vec![(numbers[3], numbers[3])]));
    }

    #[test]
    fn what_is_finished_in_a_row_is_one_range() {
        let mut progress = Progress::default();
        (0..100_000).for_each(|number| progress.take(number));
        progress.finish(&(1..50_000).collect::<Vec<_>>());
        progress.finish(&(50_001..99_999).collect::<Vec<_>>());
        assert_eq!(progress.done(), [(1, 49_999), (50_001, 99_998)]);
        progress.finish(&[0, 7]);
        assert_eq!((progress.oldest(), progress.unfinished()), (Some(50_000), 2));
        progress.finish(&[50_000]);
        assert_eq!((progress.oldest(), progress.done()), (Some(99_999), vec![]));
    }

    #[test]
    fn a_cursor_is_read_back_and_clipped() {
        let tried = Tried { first: 11, events: 2, failures: 3, due_ms: 99, wait_ms: 7, others_delivered: true };
        let cursor =
            Cursor { watermark: 10, done: vec![(20, 30), (40, 50)], trying: vec![tried], suspended_since_ms: Some(5) };
        assert_eq!(Cursor::from_text(&cursor.to_text()).unwrap(), cursor);
        assert_eq!(Cursor::from_text(r#"{"w":7}"#).unwrap(), Cursor::at(7));
        assert!(Cursor::from_text("nonsense").is_err());
        for beyond in [r#"{"w":9223372036854775808}"#, r#"{"w":1,"d":[[2,18446744073709551615]]}"#] {
            assert!(matches!(Cursor::from_text(beyond), Err(BadCursor::TooHigh)), "{beyond}");
        }
        assert_eq!(cursor.highest(), 50);
        assert_eq!(cursor.clipped(25).done, [(20, 25)]);
        assert_eq!(cursor.clipped(5), Cursor { suspended_since_ms: Some(5), ..Cursor::at(5) });
        assert!(cursor.is_done(10) && cursor.is_done(25) && !cursor.is_done(35));
    }

    #[test]
    fn a_reader_that_goes_on_forgets_nothing_that_it_has_not_come_to() {
        let tried = |first| Tried { first, events: 1, failures: 1, due_ms: 9, wait_ms: 9, others_delivered: false };
        let before = Cursor {
            watermark: 10,
            done: vec![(20, 30), (40, 50)],
            trying: vec![tried(15), tried(35)],
            ..Cursor::default()
        };
        let mut cursor = Cursor { watermark: 14, done: vec![(20, 25)], trying: vec![tried(15)], ..Cursor::default() };
        cursor.keep_after(25, &before);
        assert_eq!(cursor.done, [(20, 25), (26, 30), (40, 50)]);
        assert_eq!(cursor.trying, [tried(15), tried(35)]);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_wait_longer() {
        let tried = Tried { first: 1, events: 1, failures: 1, due_ms: 10_000, wait_ms: 700, others_delivered: false };
        assert_eq!([9_900, 9_000, 20_000].map(|now_ms| tried.left(now_ms)), [100, 700, 0]);
        let old: Tried = serde_json::from_str(r#"{"n":1,"e":1,"f":1,"at":10000,"o":false}"#).unwrap();
        assert_eq!(old.left(9_000), 1_000);
    }

    /// Against the plainest account there is: a set of what is finished.
    #[test]
    fn agrees_with_a_plain_set() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..500 {
            let mut progress = Progress::default();
            let mut taken: Vec<u64> = Vec::new();
            let mut finished: BTreeSet<u64> = BTreeSet::new();
            let mut read_up_to = 0;
            for _ in 0..random.usize(1..60) {
                let open: Vec<_> = taken.iter().copied().filter(|number| !finished.contains(number)).collect();
                if open.is_empty() || random.bool() {
                    read_up_to += random.choice([1, 1, 1, 2, 3, 1 << 31, 1 << 32, 1 << 33]).unwrap_or(1);
                    progress.take(read_up_to);
                    taken.push(read_up_to);
                } else {
                    let several: Vec<_> = open.into_iter().filter(|_| random.u8(..3) == 0).collect();
                    progress.finish(&several);
                    finished.extend(several);
                }
                let cursor =
                    Cursor { watermark: progress.watermark(read_up_to), done: progress.done(), ..Cursor::default() };
                for number in &taken {
                    assert_eq!(cursor.is_done(*number), finished.contains(number), "{number} {cursor:?} {finished:?}");
                }
                let runs = taken.windows(2).filter(|w| !finished.contains(&w[0]) && finished.contains(&w[1])).count();
                assert!(progress.ranges() <= runs, "{cursor:?} {finished:?} {taken:?}");
            }
        }
    }
}
