//! Whether a measure grows: the median of the end against the median soon after the start. Pure.

/// How much more the end may be: of the beginning, in percent, and on top of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slack {
    pub(super) percent: usize,
    pub(super) more: usize,
}

/// A measure over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) least: usize,
    pub(super) median: usize,
    pub(super) most: usize,
    /// The median of the second fifth: the first is for warming up.
    pub(super) early: usize,
    /// The median of the last fifth.
    pub(super) late: usize,
}

fn median(samples: &[usize]) -> usize {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

impl Summary {
    /// Of samples in the order taken.
    pub(super) fn of(samples: &[usize]) -> Self {
        let fifth = samples.len() / 5;
        Self {
            least: samples.iter().min().copied().unwrap_or_default(),
            median: median(samples),
            most: samples.iter().max().copied().unwrap_or_default(),
            early: median(&samples[fifth..2 * fifth]),
            late: median(&samples[samples.len() - fifth..]),
        }
    }

    /// Whether the end is more than the beginning, beyond the slack.
    pub(super) fn grows(&self, slack: Slack) -> bool {
        self.late > self.early + self.early * slack.percent / 100 + slack.more
    }
}

/// Samples over a time of any length, in bounded memory: when there are too many, every other is dropped, and from then on
/// only every other taken.
#[derive(Debug)]
pub(super) struct Series {
    samples: Vec<usize>,
    every: usize,
    seen: usize,
}

/// How many samples are kept at most.
const KEPT: usize = 20_000;

impl Default for Series {
    fn default() -> Self {
        Self { samples: Vec::new(), every: 1, seen: 0 }
    }
}

impl Series {
    pub(super) fn push(&mut self, sample: usize) {
        if self.seen.is_multiple_of(self.every) {
            self.samples.push(sample);
        }
        self.seen += 1;
        if self.samples.len() == KEPT {
            self.samples = self.samples.iter().copied().step_by(2).collect();
            self.every *= 2;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    pub(super) fn summary(&self) -> Summary {
        Summary::of(&self.samples)
    }
}

#[test]
fn a_leak_is_told_from_a_measure_that_goes_up_and_down() {
    let slack = Slack { percent: 10, more: 5 };
    let summary = |sample: fn(usize) -> usize| Summary::of(&(0..1000).map(sample).collect::<Vec<_>>());
    assert!(!summary(|_| 100).grows(slack));
    assert!(!summary(|n| 100 + n % 40).grows(slack));
    assert!(!summary(|n| if n < 200 { n } else { 200 }).grows(slack), "it warms up");
    assert!(!summary(|n| if n == 950 { 9000 } else { 100 }).grows(slack), "one peak");
    assert!(summary(|n| 100 + n / 20).grows(slack));
    assert!(summary(|n| 100 + n % 40 + n / 20).grows(slack));
    assert!(!Summary::of(&[]).grows(slack));
}

#[test]
fn a_series_of_any_length_takes_bounded_memory() {
    let mut series = Series::default();
    (0..1_000_000).for_each(|n| series.push(n));
    assert!(series.samples.len() < KEPT);
    let summary = series.summary();
    assert!((290_000..310_000).contains(&summary.early) && (890_000..910_000).contains(&summary.late), "{summary:?}");
}
