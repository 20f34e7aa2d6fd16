//! A Redis server of a scenario's own.

use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use redis::AsyncConnectionConfig;
use redis::Client;
use redis::FromRedisValue;
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

use crate::meter;
use crate::meter::Usage;
use crate::processes::Process;

/// How long anything may take that should take a moment.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// The channel that messages are published on.
pub(crate) const CHANNEL: &str = "from-akka-apps-redis-channel";

/// A port that nobody listens on.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A `redis-server` as it comes, without persistence. It is killed when dropped.
pub(crate) struct Redis {
    process: Process,
    port: u16,
    connection: MultiplexedConnection,
    _folder: TempDir,
}

impl Redis {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let (folder, port) = (TempDir::with_prefix("bench-redis-")?, free_port()?);
        let mut process = Process::start("Redis", Path::new("redis-server"), folder.path(), |command| {
            command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        })?;
        let client = Client::open(("127.0.0.1", port))?;
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        let mut connection = None;
        let serves = async || {
            connection = client.get_multiplexed_async_connection_with_config(&config).await.ok();
            connection.is_some()
        };
        process.wait_until(PATIENCE, serves).await?;
        Ok(Self { process, port, connection: connection.context("Redis is there")?, _folder: folder })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        meter::usage(self.process.id())
    }

    /// What a command gives.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> anyhow::Result<T> {
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    /// Whether somebody listens to what is published.
    pub(crate) async fn has_subscriber(&self) -> bool {
        let count: anyhow::Result<(String, u64)> = self.ask(redis::cmd("PUBSUB").arg("NUMSUB").arg(CHANNEL)).await;
        count.is_ok_and(|(_, count)| count > 0)
    }
}
