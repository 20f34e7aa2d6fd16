//! What most tests need: a daemon, its Redis, and a receiver.

use super::daemon::Daemon;
use super::daemon::Setup;
use super::receiver::Receiver;
use super::redis::Redis;

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
}
