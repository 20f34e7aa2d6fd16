//! The process's own metrics, read off `/proc`, named as the Node daemon names its own.

use std::fs;

use prometheus::proto::MetricFamily;
use rustix::param::clock_ticks_per_second;
use rustix::param::page_size;

use crate::metrics::families::Family;

/// What can be read; nothing on a system without `/proc`.
pub(super) fn families() -> Vec<MetricFamily> {
    let Some(stat) = Stat::read() else { return Vec::new() };
    let mut families = vec![
        Family::counter("process_process_cpu_user_seconds_total", "CPU time spent in the program").with(&[], stat.user),
        Family::counter("process_process_cpu_system_seconds_total", "CPU time spent in the system")
            .with(&[], stat.system),
        Family::counter("process_process_cpu_seconds_total", "CPU time spent").with(&[], stat.user + stat.system),
        Family::gauge("process_process_resident_memory_bytes", "Memory held").with(&[], stat.resident),
        Family::gauge("process_process_virtual_memory_bytes", "Memory mapped").with(&[], stat.mapped),
    ];
    if let Some(started) = stat.started {
        let help = "When the process started, in seconds since 1970";
        families.push(Family::gauge("process_process_start_time_seconds", help).with(&[], started));
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        let open = u32::try_from(open.count()).unwrap_or(u32::MAX);
        families.push(Family::gauge("process_process_open_fds", "Open file descriptors").with(&[], open.into()));
    }
    if let Some(most) = most_descriptors() {
        families.push(Family::gauge("process_process_max_fds", "Most file descriptors allowed").with(&[], most));
    }
    families.into_iter().map(Family::done).collect()
}

/// In seconds and bytes.
struct Stat {
    user: f64,
    system: f64,
    started: Option<f64>,
    mapped: f64,
    resident: f64,
}

impl Stat {
    #[allow(clippy::cast_precision_loss, reason = "a metric is a floating-point number")]
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // After the name, which is in parentheses and may hold anything.
        let fields: Vec<f64> =
            text.rsplit_once(')')?.1.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
        let ticks = clock_ticks_per_second() as f64;
        let seconds = |place: usize| Some(fields.get(place)? / ticks);
        let booted = fs::read_to_string("/proc/stat").ok();
        let booted = booted.as_ref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("btime ")));
        let booted: Option<f64> = booted.and_then(|seconds| seconds.trim().parse().ok());
        Some(Self {
            user: seconds(11)?,
            system: seconds(12)?,
            started: booted.zip(seconds(19)).map(|(booted, after)| booted + after),
            mapped: *fields.get(20)?,
            resident: fields.get(21)? * page_size() as f64,
        })
    }
}

fn most_descriptors() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
