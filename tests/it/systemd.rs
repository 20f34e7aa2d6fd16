//! What systemd gets to hear: here a real socket stands where systemd's would.

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::harness::Daemon;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Redis;
use crate::harness::Reply;
use crate::harness::eventually;
use crate::harness::holds_for;
use crate::harness::until;

/// What was told, in order.
struct Told {
    socket: UnixDatagram,
    messages: Vec<String>,
}

impl Told {
    /// Over a socket by this name: with `@` before it, an abstract one.
    fn over(name: &str) -> Self {
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(name),
        };
        let socket = UnixDatagram::bind_addr(&address.unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, messages: Vec::new() }
    }

    /// All so far.
    fn all(&mut self) -> &[String] {
        let mut buffer = [0; 4096];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) => self.messages.push(String::from_utf8(buffer[..length].to_vec()).unwrap()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return &self.messages,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn count(&mut self, message: &str) -> usize {
        self.all().iter().filter(|told| *told == message).count()
    }

    /// Waits until a message has this in it.
    async fn hears(&mut self, part: &str) -> String {
        eventually(format!("systemd hears {part:?}"), async || {
            self.all().iter().find(|told| told.contains(part)).cloned()
        })
        .await
    }
}

#[tokio::test]
async fn systemd_hears_of_the_start_of_hooks_of_a_reload_and_of_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let mut told = Told::over(path.to_str().unwrap());
    let mut lab = Lab::with(|daemon| daemon.env("NOTIFY_SOCKET", path.to_str().unwrap())).await;
    told.hears("READY=1").await;
    assert_eq!(told.all()[0], "READY=1");
    assert!(lab.daemon.log().contains("Subscribed"), "it says so when it is subscribed");
    told.hears("STATUS=0 hooks, nothing waits").await;

    lab.receiver.answer("/x", [Reply::status(500)]);
    lab.hook("/x", &[]).await;
    lab.redis.publish(&Meeting::new("m").created()).await;
    told.hears("STATUS=1 hook, 1 failing, 1 event waiting").await;

    lab.daemon.signal(Signal::HUP);
    let reloading = told.hears("RELOADING=1").await;
    let monotonic: u64 = reloading.split("MONOTONIC_USEC=").nth(1).unwrap().parse().unwrap();
    assert!(monotonic > 0);
    until("it is ready again", async || told.count("READY=1") == 2).await;

    lab.redis.kill();
    told.hears("degraded: ").await;
    lab.daemon.terminate().await;
    let all = told.all();
    assert_eq!(all.iter().filter(|message| message.contains("STOPPING=1")).count(), 1, "{all:?}");
    let statuses: Vec<_> = all.iter().filter(|message| message.starts_with("STATUS=")).collect();
    assert!(statuses.windows(2).all(|pair| pair[0] != pair[1]), "only what changed is told: {statuses:?}");
}

#[tokio::test]
async fn the_name_may_be_abstract() {
    let name = format!("@bbb-webhooks-test-{}", std::process::id());
    let mut told = Told::over(&name);
    let _daemon = Daemon::without_redis().env("NOTIFY_SOCKET", &name).start().await;
    told.hears("READY=1").await;
    told.hears("STATUS=hooks are not known yet, nothing waits; not subscribed to BigBlueButton's events").await;
}

#[tokio::test]
async fn the_watchdog_hears_of_a_daemon_that_lives_also_while_redis_is_dead_or_hangs() {
    let name = format!("@bbb-webhooks-watchdog-{}", std::process::id());
    let mut told = Told::over(&name);
    let mut redis = Redis::start().await;
    let setup = Daemon::on(&redis).env("NOTIFY_SOCKET", &name).env("WATCHDOG_USEC", "1000000");
    let daemon = setup.start().await;
    told.hears("WATCHDOG=1").await;
    redis.signal(Signal::STOP);
    let mut goes_on = async |why: &str| {
        let before = told.count("WATCHDOG=1");
        let start = Instant::now();
        until(format!("the watchdog hears of it while {why}"), async || told.count("WATCHDOG=1") >= before + 8).await;
        assert!(start.elapsed() >= Duration::from_secs(3), "twice a second");
    };
    goes_on("Redis hangs").await;
    redis.signal(Signal::CONT);
    redis.kill();
    goes_on("Redis is dead").await;
    // Nothing of a process that hangs goes on.
    daemon.signal(Signal::STOP);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = told.count("WATCHDOG=1");
    holds_for(Duration::from_secs(2), "nobody tells the watchdog", async || told.count("WATCHDOG=1") == before).await;
    daemon.signal(Signal::CONT);
    until("it goes on", async || told.count("WATCHDOG=1") > before).await;
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_no_reason_not_to_run() {
    for name in ["/nowhere/at/all", "@bbb-webhooks-nobody", ""] {
        let mut daemon = Daemon::without_redis().env("NOTIFY_SOCKET", name).env("WATCHDOG_USEC", "1000").start().await;
        let (status, _) = daemon.terminate().await;
        assert!(status.success(), "{name}: {status}");
    }
}
