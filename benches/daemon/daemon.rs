//! A daemon that is measured: this one, or another with the same configuration.

use std::fmt::Write;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::ensure;
use serde_json::Value;
use sha1::Digest;
use sha1::Sha1;
use tempfile::TempDir;
use url::form_urlencoded::byte_serialize;

use crate::meter;
use crate::meter::Usage;
use crate::processes::Process;
use crate::redis::PATIENCE;
use crate::redis::Redis;
use crate::redis::free_port;

pub(crate) const SECRET: &str = "the-secret-of-the-benchmark";
const DOMAIN: &str = "bbb.example.org";
const API: &str = "/bigbluebutton/api/hooks";

/// How often is looked whether it subscribed: as exact as its start is measured.
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// A program to measure.
#[derive(Debug)]
pub(crate) struct Program {
    /// Its name in the table.
    pub(crate) name: String,
    /// What to run, by a shell, and where.
    command: String,
    folder: PathBuf,
}

impl Program {
    /// The daemon of this project.
    pub(crate) fn ours() -> Self {
        let command = env!("CARGO_BIN_EXE_bbb-webhooks").to_owned();
        Self { name: "this".to_owned(), command, folder: PathBuf::from(".") }
    }

    /// Another daemon, which is run in a folder.
    pub(crate) fn other(command: &str, folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.canonicalize().with_context(|| format!("{} is no folder", folder.display()))?;
        Ok(Self { name: "other".to_owned(), command: command.to_owned(), folder })
    }
}

/// A daemon that runs. It is killed when dropped.
pub(crate) struct Daemon {
    process: Process,
    port: u16,
    metrics_port: u16,
    /// From its start to its subscription.
    pub(crate) subscribed_after: Duration,
    http: reqwest::Client,
    _folder: TempDir,
}

impl Daemon {
    /// Starts a program. `settings` are those of the webhooks output, by their names of version 3.
    pub(crate) async fn start(program: &Program, redis: &Redis, settings: Value) -> anyhow::Result<Self> {
        let (folder, port, metrics_port) = (TempDir::with_prefix("bench-daemon-")?, free_port()?, free_port()?);
        let settings = serde_json::json!({"modules": {"../out/webhooks/index.js": {"config": settings}}});
        let begun = Instant::now();
        let mut process = Process::start("the daemon", Path::new("sh"), folder.path(), |command| {
            let run = format!("cd {:?} && exec {}", program.folder.canonicalize().unwrap_or_default(), program.command);
            command.args(["-c", &run]).env("NODE_ENV", "production").env("LOG_LEVEL", "warn");
            command.env("SHARED_SECRET", SECRET).env("SERVER_DOMAIN", DOMAIN);
            command.env("SERVER_BIND_IP", "127.0.0.1").env("SERVER_PORT", port.to_string());
            command.env("REDIS_HOST", "127.0.0.1").env("REDIS_PORT", redis.port().to_string());
            command
                .env("PROM_ENABLED", "true")
                .env("PROM_HOST", "127.0.0.1")
                .env("PROM_PORT", metrics_port.to_string());
            command.env("NODE_CONFIG", settings.to_string());
        })?;
        while !redis.has_subscriber().await {
            ensure!(begun.elapsed() < PATIENCE, "the daemon does not subscribe\n{}", process.log());
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let subscribed_after = begun.elapsed();
        let http = reqwest::Client::builder().no_proxy().build()?;
        let ping = format!("http://127.0.0.1:{port}{API}/ping");
        process.wait_until(PATIENCE, async || http.get(&ping).send().await.is_ok()).await?;
        Ok(Self { process, port, metrics_port, subscribed_after, http, _folder: folder })
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        meter::usage(self.process.id())
    }

    /// Registers a hook.
    pub(crate) async fn create(&self, callback_url: &str) -> anyhow::Result<()> {
        let query = format!("callbackURL={}", byte_serialize(callback_url.as_bytes()).collect::<String>());
        let mut checksum = String::new();
        for byte in Sha1::digest(format!("hooks/create{query}{SECRET}")) {
            write!(checksum, "{byte:02x}")?;
        }
        let url = format!("http://127.0.0.1:{}{API}/create?{query}&checksum={checksum}", self.port);
        let answer = self.http.get(url).send().await?.text().await?;
        ensure!(answer.contains("SUCCESS"), "the hook is not created: {answer}");
        Ok(())
    }

    /// The value of a metric; `None` if it has no such.
    pub(crate) async fn metric(&self, series: &str) -> anyhow::Result<Option<f64>> {
        let url = format!("http://127.0.0.1:{}/metrics", self.metrics_port);
        let text = self.http.get(url).send().await?.text().await?;
        let value = text.lines().find_map(|line| line.strip_prefix(series));
        Ok(value.and_then(|value| value.trim().parse().ok()))
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.process.terminate(PATIENCE).await.map(drop)
    }
}
