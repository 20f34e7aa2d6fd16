//! Who holds the lease: a text that names a process, and whether that process is still there.
//!
//! A process of this machine that was killed cannot give its lease back; its successor need not wait for it to expire.

use std::fs;

/// Names this process; `unique` tells it from all others.
pub(super) fn this(unique: &str) -> String {
    let pid = std::process::id();
    format!("{unique} pid={pid} start={} machine={}", start_of(pid).unwrap_or_default(), machine())
}

/// Whether the process that a text names was one of this machine, and is no more.
pub(super) fn is_gone(holder: &str) -> bool {
    let part = |name: &str| holder.split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let (Some(pid), Some(start), Some(machine)) = (part("pid"), part("start"), part("machine")) else { return false };
    let (Ok(pid), false) = (pid.parse(), machine.is_empty()) else { return false };
    machine == self::machine() && start_of(pid).as_deref() != Some(start)
}

/// This run of this machine, as far as processes can see each other: its boot, and the namespace of process ids. Empty where the
/// boot is hidden: the namespace alone is the same on all machines.
fn machine() -> String {
    let Ok(boot) = fs::read_to_string("/proc/sys/kernel/random/boot_id") else { return String::new() };
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{}/{}", boot.trim(), namespace.display())
}

/// When a process started, in the kernel's ticks; ids are used again, ids with a start are not.
fn start_of(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace();
    // A zombie is gone, though its parent has not looked yet.
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_living_from_the_dead() {
        assert!(!is_gone(&this("a")));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let start = start_of(child.id()).unwrap();
        let text = format!("b pid={} start={start} machine={}", child.id(), machine());
        assert!(!is_gone(&text));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_gone(&text));
        assert!(!is_gone(&text.replace("machine=", "machine=other")), "nothing is known of other machines");
        assert!(!is_gone("somebody"));
    }
}
