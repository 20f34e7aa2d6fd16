//! What was counted of hooks that are gone: a counter of the metrics never goes down while its series is there, and hooks share
//! series.

use std::collections::HashMap;
use std::collections::HashSet;

use crate::books::calls::Calls;
use crate::event::EventId;

/// Of all of them together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Departed {
    /// Events in attempts that failed, by the public callback URL, the reason and the event.
    pub failures: HashMap<(String, String, EventId), u64>,
    /// Events delivered, by the public callback URL and the event.
    pub delivered: HashMap<(String, EventId), u64>,
    /// Events parked.
    pub parked: HashMap<EventId, u64>,
}

impl Departed {
    /// A hook with this public callback URL is gone.
    pub fn add(&mut self, url: &str, calls: &Calls) {
        for ((reason, event), count) in &calls.failures {
            *self.failures.entry((url.to_owned(), reason.clone(), event.clone())).or_default() += count;
        }
        for (event, count) in &calls.delivered {
            *self.delivered.entry((url.to_owned(), event.clone())).or_default() += count;
        }
        for (event, count) in &calls.parked {
            *self.parked.entry(event.clone()).or_default() += count;
        }
    }

    /// Only hooks with these URLs are left: the series of others went with the last hook of each.
    pub fn keep_only(&mut self, urls: &HashSet<String>) {
        self.failures.retain(|(url, ..), _| urls.contains(url));
        self.delivered.retain(|(url, _), _| urls.contains(url));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hooks_of_one_url_counted_is_added_up_for_as_long_as_one_is_left() {
        let event = EventId::built_in("user-joined");
        let mut calls = Calls::default();
        calls.delivered(&event, 0, 1);
        calls.failed("500", &event);
        calls.parked(&event);
        let mut departed = Departed::default();
        ["http://a/", "http://a/", "http://b/"].into_iter().for_each(|url| departed.add(url, &calls));
        assert_eq!(departed.delivered[&("http://a/".to_owned(), event.clone())], 2);
        departed.keep_only(&HashSet::from(["http://a/".to_owned()]));
        assert_eq!((departed.delivered.len(), departed.failures.len()), (1, 1));
        assert_eq!(departed.parked[&event], 3, "that has no URL");
    }
}
