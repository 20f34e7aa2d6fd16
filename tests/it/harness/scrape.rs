//! The metrics as Prometheus reads them.

use std::collections::BTreeMap;

use super::daemon::try_get;

/// A scrape: samples by series, `name{label="value",...}`.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) text: String,
    pub(crate) samples: BTreeMap<String, f64>,
}

/// What became of a hook's events.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Account {
    pub(crate) matched: f64,
    pub(crate) waiting: f64,
    pub(crate) unfinished: f64,
    pub(crate) delivered: f64,
    pub(crate) parked: f64,
    pub(crate) dropped: f64,
}

impl Account {
    /// Whether every event that matched is in exactly one place.
    pub(crate) fn balances(&self) -> bool {
        let parts = self.waiting + self.unfinished + self.delivered + self.parked + self.dropped;
        (parts - self.matched).abs() < 0.5
    }
}

impl Scrape {
    /// What is served at a port of 127.0.0.1.
    pub(crate) async fn of(port: u16) -> Self {
        Self::try_of(port).await.unwrap_or_else(|| panic!("no metrics at port {port}"))
    }

    /// The same, if anything is.
    pub(crate) async fn try_of(port: u16) -> Option<Self> {
        let text = try_get(port, "/metrics").await?.body;
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        });
        Some(Self { samples: samples.collect::<Option<_>>()?, text })
    }

    #[track_caller]
    pub(crate) fn value(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("no {series} in\n{}", self.text))
    }

    /// The series with this in their names or labels.
    pub(crate) fn with(&self, part: &str) -> Vec<&String> {
        self.samples.keys().filter(|series| series.contains(part)).collect()
    }

    /// The account of a hook, by its id.
    pub(crate) fn account(&self, hook: &str) -> Account {
        let of = |name: &str, label: &str| {
            let start = format!("bbb_webhooks_{name}{{hook=\"{hook}\",");
            let series = self.samples.iter().filter(|(series, _)| series.starts_with(&start) && series.contains(label));
            series.map(|(_, value)| value).sum()
        };
        Account {
            matched: of("hook_events_total", "outcome=\"matched\""),
            waiting: of("hook_waiting_events", ""),
            unfinished: of("hook_unfinished_events", ""),
            delivered: of("hook_events_total", "outcome=\"delivered\""),
            parked: of("hook_events_total", "outcome=\"parked\""),
            dropped: of("hook_dropped_events_total", ""),
        }
    }
}
