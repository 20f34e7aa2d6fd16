//! What systemd is told of this service, over the socket that it names in `NOTIFY_SOCKET` (see `sd_notify(3)`). Started by
//! anybody else, there is no such socket, and nothing happens.
//!
//! The library `sd-notify` knows no abstract sockets, which container managers use; the protocol is a datagram of lines.

use std::collections::BTreeMap;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::debug;
use tracing::warn;

use crate::seldom::Seldom;

/// How often a new status is told, at most.
const STATUS_EVERY: Duration = Duration::from_secs(3);

/// How long to wait for systemd to take a message, if so many wait already.
const SEND_PATIENCE: Duration = Duration::from_millis(100);

/// Longest status, in characters: it is for one line of `systemctl status`.
const LONGEST_STATUS: usize = 400;

/// Who is to be told.
#[derive(Debug)]
pub struct Systemd {
    socket: UnixDatagram,
    address: SocketAddr,
    watchdog: Option<Duration>,
    status_every: Duration,
}

impl Systemd {
    /// By the variables `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` of this process; none without the first.
    #[must_use]
    pub fn of(environment: &BTreeMap<String, String>) -> Option<Self> {
        let name = environment.get("NOTIFY_SOCKET").filter(|name| !name.is_empty())?;
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(name),
        };
        match address.and_then(|address| Ok((socket()?, address))) {
            Ok((socket, address)) => {
                Some(Self { socket, address, watchdog: watchdog(environment), status_every: STATUS_EVERY })
            }
            Err(error) => {
                warn!(%error, "systemd cannot be told anything: its NOTIFY_SOCKET cannot be used");
                None
            }
        }
    }

    /// The start is finished, or a reload.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The configuration is read again; [`Systemd::ready`] is to follow.
    pub fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now_us = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now_us}"));
    }

    /// The stop began.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=Stopping");
    }

    /// Tells the status as it changes; and in time for the watchdog that all is alive, as long as it is.
    pub async fn keep_posted(&self, status: impl Fn() -> String, is_alive: impl Fn() -> bool) {
        let mut told = String::new();
        let mut look = tokio::time::interval(self.status_every);
        let mut watch = tokio::time::interval(self.watchdog.map_or(Duration::from_secs(3600), |limit| limit / 2));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seldom = Seldom::default();
        loop {
            tokio::select! {
                _ = look.tick() => {
                    let status = one_line(&status());
                    if status != told {
                        self.tell(&format!("STATUS={status}"));
                        told = status;
                    }
                }
                _ = watch.tick(), if self.watchdog.is_some() => match is_alive() {
                    true => self.tell("WATCHDOG=1"),
                    false => {
                        if seldom.may_say() {
                            warn!("A task stands still; systemd's watchdog is not told that all is well");
                        }
                    }
                },
            }
        }
    }

    fn tell(&self, lines: &str) {
        if let Err(error) = self.socket.send_to_addr(lines.as_bytes(), &self.address) {
            debug!(%error, lines, "systemd does not listen");
        }
    }
}

fn socket() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(SEND_PATIENCE))?;
    Ok(socket)
}

/// How often systemd wants to hear from this process; none if it does not, or means another.
fn watchdog(environment: &BTreeMap<String, String>) -> Option<Duration> {
    let number = |name: &str| environment.get(name)?.parse::<u64>().ok();
    let is_ours =
        !environment.contains_key("WATCHDOG_PID") || number("WATCHDOG_PID") == Some(std::process::id().into());
    number("WATCHDOG_USEC").filter(|us| is_ours && *us > 1).map(Duration::from_micros)
}

/// A new line would begin another message.
fn one_line(status: &str) -> String {
    status.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_STATUS).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::sync::Notify;

    use super::*;

    /// What systemd would be, and who tells it.
    fn pair(folder: &tempfile::TempDir, watchdog_us: &str) -> (UnixDatagram, Systemd) {
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", watchdog_us)];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        (listener, Systemd::of(&environment).unwrap())
    }

    fn received(listener: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 4096];
        let next = || listener.recv(&mut buffer).ok().map(|length| String::from_utf8_lossy(&buffer[..length]).into());
        std::iter::from_fn(next).collect()
    }

    #[tokio::test]
    async fn a_status_is_told_as_it_changes_and_on_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let (listener, mut systemd) = pair(&folder, "0");
        systemd.status_every = Duration::from_millis(1);
        let (looks, enough) = (Cell::new(0), Notify::new());
        let status = || {
            looks.set(looks.get() + 1);
            if looks.get() == 20 {
                enough.notify_one();
            }
            format!("{} hooks\nREADY=1", looks.get() / 10)
        };
        tokio::select! {
            () = enough.notified() => {}
            () = systemd.keep_posted(status, || true) => {}
        }
        let told = ["STATUS=0 hooks READY=1", "STATUS=1 hooks READY=1", "STATUS=2 hooks READY=1"];
        assert_eq!(received(&listener), told);
    }

    #[tokio::test]
    async fn the_watchdog_is_told_only_while_all_is_alive() {
        let folder = tempfile::tempdir().unwrap();
        let (listener, systemd) = pair(&folder, "2000");
        let (looks, enough, told) = (Cell::new(0), Notify::new(), Cell::new(0));
        let is_alive = || {
            // A socket holds a few messages, and no more.
            let news = received(&listener);
            told.set(told.get() + news.iter().filter(|message| *message == "WATCHDOG=1").count());
            looks.set(looks.get() + 1);
            if looks.get() == 20 {
                enough.notify_one();
            }
            // On a busy machine there are looks after the last that counts.
            matches!(looks.get(), ..5 | 10..=20)
        };
        tokio::select! {
            () = enough.notified() => {}
            () = systemd.keep_posted(String::new, is_alive) => {}
        }
        assert_eq!(told.get() + received(&listener).len(), 15);
    }

    #[test]
    fn a_runtime_that_hangs_starves_the_watchdog() {
        let folder = tempfile::tempdir().unwrap();
        let (listener, systemd) = pair(&folder, "20000");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let blocking = async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                received(&listener);
                std::thread::sleep(Duration::from_millis(500));
                assert_eq!(received(&listener), [""; 0]);
            };
            tokio::select! {
                () = blocking => {}
                () = systemd.keep_posted(String::new, || true) => {}
            }
        });
    }

    #[test]
    fn a_watchdog_of_another_process_is_none() {
        let of = |pid: String| {
            watchdog(&[("WATCHDOG_USEC".to_owned(), "1000".to_owned()), ("WATCHDOG_PID".to_owned(), pid)].into())
        };
        assert_eq!(of(std::process::id().to_string()), Some(Duration::from_millis(1)));
        assert_eq!(of("1".to_owned()), None);
        assert_eq!(watchdog(&BTreeMap::new()), None);
    }
}
