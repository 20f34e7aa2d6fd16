//! One LRS, and the statements that wait for it: what goes next, and whether the LRS is there. Pure.
//!
//! An LRS is to its statements what a receiver is to a permanent hook's events: never given up, tried from time to time when no
//! retry helped. Each has lanes of its own, so one that is gone costs the others nothing.

use std::sync::Arc;

use crate::delivery::episode::Episodes;
use crate::delivery::lanes::Job;
use crate::delivery::lanes::Lanes;
use crate::journal::cursor::Tried;
use crate::xapi::credentials::Lrs;

/// An LRS and its lanes. Times are of the lanes' clock.
pub(super) struct Outlet {
    pub(super) lrs: Arc<Lrs>,
    pub(super) lanes: Lanes,
    pub(super) in_flight: usize,
    /// When to try it again, if it is known to answer nothing but failures.
    pub(super) suspended: Option<u64>,
    /// Whether the last attempt failed: an episode is logged once.
    pub(super) episodes: Episodes,
}

impl Outlet {
    /// An outlet without statements. Those in `tried` go on as they were before a restart.
    pub(super) fn new(lrs: Arc<Lrs>, batch: usize, tried: Vec<Tried>) -> Self {
        let lanes = Lanes::new(batch, tried);
        Self { lrs, lanes, in_flight: 0, suspended: None, episodes: Episodes::new(false) }
    }

    /// What may be sent now, if there may be `most` requests in flight.
    pub(super) fn next_job(&mut self, most: usize, now: u64) -> Option<Job> {
        let job = match self.suspended {
            Some(probe_at) if self.in_flight > 0 || probe_at > now => None,
            Some(_) => self.lanes.probe(),
            None if self.in_flight >= most => None,
            None => self.lanes.next_job(),
        };
        self.in_flight += usize::from(job.is_some());
        job
    }

    /// The request with its oldest statement, if that may be sent now.
    pub(super) fn oldest_job(&mut self, now: u64) -> Option<Job> {
        if self.suspended.is_some() {
            return self.next_job(1, now);
        }
        let job = self.lanes.oldest_job();
        self.in_flight += usize::from(job.is_some());
        job
    }

    /// When something is due.
    pub(super) fn due(&mut self) -> Option<u64> {
        match self.suspended {
            Some(_) if self.in_flight > 0 || self.lanes.is_empty() => None,
            Some(probe_at) => Some(probe_at),
            None => self.lanes.next_due(),
        }
    }

    /// It took a statement. Whether that is news worth a line.
    pub(super) fn works(&mut self) -> bool {
        if self.suspended.take().is_some() {
            self.lanes.begin_anew();
        }
        self.episodes.works()
    }

    /// Whether nothing would be lost with it.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.lanes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Secret;
    use crate::delivery::lanes::LaneKey;

    #[test]
    fn a_suspended_one_is_probed_with_its_oldest_alone() {
        // openssl aes-256-cbc -pbkdf2: {"lrs_endpoint":"https://lrs.example.org/a/","lrs_token":"AAF-1"}
        let lrs = Lrs::of_payload(include_str!("token.txt").trim(), &[Secret::new("s3cret")]).unwrap();
        let mut outlet = Outlet::new(Arc::new(lrs), 1, Vec::new());
        let lane = |meeting: &str| LaneKey::Meeting(Some(meeting.into()));
        outlet.lanes.push((&lane("a")).into(), 1);
        outlet.lanes.push((&lane("b")).into(), 2);
        assert_eq!(outlet.next_job(1, 0).unwrap().events, [1]);
        assert_eq!(outlet.next_job(1, 0), None);
        outlet.in_flight = 0;
        outlet.lanes.retry_at(&lane("a"), 50);
        outlet.suspended = Some(50);
        assert_eq!((outlet.next_job(8, 49), outlet.due()), (None, Some(50)));
        assert_eq!(outlet.next_job(8, 50).unwrap().events, [1]);
        assert_eq!((outlet.next_job(8, 50), outlet.due()), (None, None));
        outlet.in_flight = 0;
        outlet.lanes.delivered(&lane("a"));
        assert!(outlet.episodes.failed(Duration::ZERO));
        assert!(outlet.works() && !outlet.works());
        assert_eq!(outlet.next_job(8, 50).unwrap().events, [2]);
        assert!(!outlet.is_idle());
    }
}
