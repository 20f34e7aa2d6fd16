//! What the system says of a process.

use std::fs;
use std::time::Duration;

/// A process, by its id. It may have ended: then nothing is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    fn file(self, name: &str) -> Option<String> {
        fs::read_to_string(format!("/proc/{}/{name}", self.0)).ok()
    }

    /// The CPU time that it has used, of all its threads.
    pub(crate) fn cpu_time(self) -> Option<Duration> {
        let stat = self.file("stat")?;
        let after_name = stat.rsplit(") ").next()?;
        let ticks: u64 = after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Some(Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap())
    }

    /// The memory that it holds, in bytes.
    pub(crate) fn memory(self) -> Option<usize> {
        Some(self.status("VmRSS:")? * 1024)
    }

    /// How many threads it has.
    pub(crate) fn threads(self) -> Option<usize> {
        self.status("Threads:")
    }

    /// How many files and connections it has open.
    pub(crate) fn descriptors(self) -> Option<usize> {
        Some(fs::read_dir(format!("/proc/{}/fd", self.0)).ok()?.count())
    }

    fn status(self, name: &str) -> Option<usize> {
        let status = self.file("status")?;
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}
