//! What a process costs: from `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// CPU time and memory of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// The CPU time it took so far, in user and kernel mode.
    pub(crate) cpu: Duration,
    /// The memory it has now, in bytes.
    pub(crate) resident: u64,
    /// The most memory it ever had, in bytes.
    pub(crate) peak: u64,
}

/// What a process cost so far.
pub(crate) fn usage(process: u32) -> anyhow::Result<Usage> {
    let read = |file: &str| {
        fs::read_to_string(format!("/proc/{process}/{file}")).with_context(|| format!("process {process} is gone"))
    };
    let stat = read("stat")?;
    // The name, in parentheses, may hold anything; what follows are numbers. See proc(5).
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    let cpu_ms = (ticks(11) + ticks(12)) * 1000 / rustix::param::clock_ticks_per_second();
    let status = read("status")?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    };
    Ok(Usage { cpu: Duration::from_millis(cpu_ms), resident: bytes("VmRSS"), peak: bytes("VmHWM") })
}
