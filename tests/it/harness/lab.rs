//! What most tests need: a daemon, its Redis, and a receiver.

use serde_json::Value;

use super::daemon::Daemon;
use super::daemon::Setup;
use super::messages::Meeting;
use super::receiver::Receiver;
use super::redis::Redis;
use super::wait::eventually;

/// A daemon, its Redis, and a receiver. They go in this order.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) daemon: Daemon,
    pub(crate) redis: Redis,
    pub(crate) receiver: Receiver,
}

impl Lab {
    /// As they come.
    pub(crate) async fn start() -> Self {
        Self::with(|setup| setup).await
    }

    /// With a daemon that is set up otherwise.
    pub(crate) async fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        Self::on(Redis::start().await, change).await
    }

    /// On a Redis that is there already.
    pub(crate) async fn on(redis: Redis, change: impl FnOnce(Setup) -> Setup) -> Self {
        let daemon = change(Daemon::on(&redis)).start().await;
        Self { daemon, redis, receiver: Receiver::start().await }
    }

    /// Creates a hook for a path of the receiver; its id.
    pub(crate) async fn hook(&self, path: &str, parameters: &[(&str, &str)]) -> String {
        self.daemon.create(&self.receiver.url(path), parameters).await
    }

    /// Has a hook for `path` park two events, a `meeting-created` and a `user-joined`: what comes of the meeting `bad` is refused
    /// from here on, and what comes of another is taken. Gives them as `bbb-webhooks parked` does.
    pub(crate) async fn park_two(&self, hook: &str, path: &str) -> Vec<Value> {
        let (good, bad) = (Meeting::new("good"), Meeting::new("bad"));
        self.redis.publish(&good.created()).await;
        self.receiver.wait(path, 1).await;
        self.receiver.refuse(path, Some("bad"));
        self.redis.publish_all(&[bad.created(), bad.joined("ada")]).await;
        eventually("both are parked", async || {
            self.redis.publish(&good.chat("ada", "meanwhile")).await;
            let listed = self.daemon.command(&["parked", hook, "--json"]).await;
            assert!(listed.status.success(), "{}", listed.stderr);
            let parked: Vec<Value> = listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            (parked.len() == 2).then_some(parked)
        })
        .await
    }
}
