//! Shows the daemon at work on a demo meeting, with nothing but a Redis server needed on the machine.
//!
//! It starts a Redis of its own, the daemon and a receiver; registers a hook; publishes what BigBlueButton publishes
//! during a short meeting; prints each callback that the receiver got; and stops everything again. The exit status says
//! whether all callbacks came, signed and in order.
//!
//! ```text
//! cargo build && cargo run --example demo              the daemon built beside this example
//! cargo run --example demo -- /path/to/bbb-webhooks    any other (or BBB_WEBHOOKS_BINARY=/path/to/bbb-webhooks)
//! ```

mod meeting;
mod processes;
mod receiver;

use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use anyhow::bail;
use anyhow::ensure;
use sha1::Digest;
use sha1::Sha1;
use tempfile::TempDir;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::time::Instant;
use tokio::time::timeout;
use url::form_urlencoded;

use crate::meeting::Step;
use crate::processes::Process;
use crate::receiver::Callback;
use crate::receiver::Receiver;

const DOMAIN: &str = "bbb.example.org";
const SECRET: &str = "the-secret-of-the-demo";
const API_PATH: &str = "/bigbluebutton/api";

/// How long the daemon may take to answer its API, and the next callback to arrive.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long to listen for callbacks that should not come.
const AFTERWARDS: Duration = Duration::from_millis(300);

#[tokio::main]
async fn main() -> ExitCode {
    // Whatever the outcome is, what was started is stopped when `demo` is dropped.
    let outcome = tokio::select! {
        outcome = demo() => outcome,
        interrupted = interrupted() => interrupted,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe demo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn interrupted() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => bail!("stopped by SIGTERM"),
        _ = interrupt.recv() => bail!("stopped by SIGINT"),
    }
}

async fn demo() -> anyhow::Result<()> {
    let binary = daemon_binary()?;
    let folder = TempDir::with_prefix("bbb-webhooks-demo-").context("no temporary folder can be made")?;
    let http = http_client()?;

    println!("== Start");
    let (redis, redis_port) = start_redis(folder.path()).await?;
    println!("Redis      redis-server on 127.0.0.1:{redis_port}, private to this demo, process {}", redis.id());
    let (mut daemon, api) = start_daemon(&binary, folder.path(), redis_port, &http).await?;
    println!("Daemon     {}, process {}", binary.display(), daemon.id());
    println!("           API at {api}");
    let mut receiver = Receiver::start(SECRET, DOMAIN).await?;
    println!("Receiver   {}", receiver.url());

    println!("\n== Register a hook");
    let call = signed_call("hooks/create", &[("callbackURL", receiver.url())]);
    println!("GET {api}/{call}");
    let answer = http.get(format!("{api}/{call}")).send().await?.text().await?;
    println!("{answer}");
    ensure!(answer.contains("<returncode>SUCCESS</returncode>"), "the hook was not created");

    println!("\n== Play a meeting, as BigBlueButton publishes it, and see what the receiver gets");
    let steps = meeting::steps();
    let expected: Vec<&str> = steps.iter().flat_map(|step| step.events).copied().collect();
    receiver.print_head();
    let ((), got) = tokio::try_join!(publish(&steps, redis_port), listen(&mut receiver, expected.len()))?;
    println!("{}", meeting::REMARKS);

    let right = got.iter().filter(|callback| callback.problem.is_none()).count();
    let in_order = got.iter().map(|callback| callback.event_id.as_str()).eq(expected.iter().copied());
    println!(
        "\n{} messages published, {} callbacks expected, {} received; signatures right: {right} of {}; in order: {}",
        steps.len(),
        expected.len(),
        got.len(),
        got.len(),
        if in_order { "yes" } else { "NO" },
    );

    println!("\n== Stop");
    let status = daemon.terminate(PATIENCE).await?;
    println!("Daemon     SIGTERM, then {status}");
    drop(redis);
    println!("Redis      stopped");

    if let Some(problem) = got.iter().find_map(|callback| callback.problem.as_deref()) {
        bail!("a callback was wrong: {problem}");
    }
    if !in_order {
        bail!("these events were expected, in this order: {}", expected.join(", "));
    }
    ensure!(status.success(), "the daemon did not stop as it should: {status}\n{}", daemon.log());
    Ok(())
}

/// The daemon to run: the one named by the argument or the variable, else the one that was built beside this example.
fn daemon_binary() -> anyhow::Result<PathBuf> {
    let named = std::env::args_os().nth(1).or_else(|| std::env::var_os("BBB_WEBHOOKS_BINARY"));
    let binary = match named.filter(|name| !name.is_empty()) {
        Some(name) => PathBuf::from(name),
        None => {
            let own = std::env::current_exe()?;
            let folder = own.parent().and_then(Path::parent).context("this example stands in no target folder")?;
            folder.join("bbb-webhooks")
        }
    };
    ensure!(binary.is_file(), "{}: there is no such program; build it first (cargo build)", binary.display());
    Ok(binary.canonicalize()?)
}

fn http_client() -> anyhow::Result<reqwest::Client> {
    let installed = rustls::crypto::ring::default_provider().install_default();
    installed.ok().context("TLS was set up twice")?;
    // Only for http on this machine: neither a proxy nor certificates are needed.
    Ok(reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(Duration::from_secs(5)).build()?)
}

/// A port that was free a moment ago.
fn free_port() -> anyhow::Result<u16> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    Ok(listener.local_addr()?.port())
}

async fn start_redis(folder: &Path) -> anyhow::Result<(Process, u16)> {
    let port = free_port()?;
    let data = folder.join("redis");
    std::fs::create_dir(&data)?;
    let mut redis = Process::start("redis-server", Path::new("redis-server"), folder, |command| {
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no", "--dir"]);
        command.arg(&data);
    })
    .context("Redis is needed: install the package redis-server")?;
    let client = redis_client(port)?;
    redis.wait_until(PATIENCE, async || client.get_multiplexed_async_connection().await.is_ok()).await?;
    Ok((redis, port))
}

fn redis_client(port: u16) -> anyhow::Result<redis::Client> {
    Ok(redis::Client::open(format!("redis://127.0.0.1:{port}"))?)
}

/// Starts the daemon in a clean environment, so that no configuration of this machine has a part in the demo.
async fn start_daemon(
    binary: &Path,
    folder: &Path,
    redis_port: u16,
    http: &reqwest::Client,
) -> anyhow::Result<(Process, String)> {
    let port = free_port()?;
    let no_files = folder.join("config");
    std::fs::create_dir(&no_files)?;
    let mut daemon = Process::start("the daemon", binary, folder, |command| {
        command.env_clear().env("NODE_CONFIG_DIR", &no_files);
        command.env("SERVER_DOMAIN", DOMAIN).env("SHARED_SECRET", SECRET);
        command.env("SERVER_BIND_IP", "127.0.0.1").env("SERVER_PORT", port.to_string());
        command.env("REDIS_HOST", "127.0.0.1").env("REDIS_PORT", redis_port.to_string());
    })?;
    let api = format!("http://127.0.0.1:{port}{API_PATH}");
    let ping = async || match http.get(format!("{api}/hooks/ping")).send().await {
        Ok(answer) => answer.status().is_success(),
        Err(_) => false,
    };
    daemon.wait_until(PATIENCE, ping).await?;
    Ok((daemon, api))
}

/// An API call with its checksum: the hash of the call's name, its query and the secret.
fn signed_call(name: &str, parameters: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let checksum = hex::encode(Sha1::digest(format!("{name}{query}{SECRET}")));
    format!("{name}?{query}&checksum={checksum}")
}

/// Publishes all messages, one after the other, without a pause.
async fn publish(steps: &[Step], redis_port: u16) -> anyhow::Result<()> {
    let mut connection = redis_client(redis_port)?.get_multiplexed_async_connection().await?;
    for step in steps {
        let message = step.message.to_string();
        let listeners: u64 = redis::cmd("PUBLISH").arg(step.channel).arg(message).query_async(&mut connection).await?;
        ensure!(listeners == 1, "{listeners} programs listen on {}, not the daemon alone", step.channel);
    }
    Ok(())
}

/// Prints callbacks as they come: as many as expected, and any that come on top.
async fn listen(receiver: &mut Receiver, expected: usize) -> anyhow::Result<Vec<Callback>> {
    let started = Instant::now();
    let mut got = Vec::new();
    loop {
        let patience = if got.len() < expected { PATIENCE } else { AFTERWARDS };
        let Ok(Some(callback)) = timeout(patience, receiver.next()).await else { return Ok(got) };
        callback.print(started.into_std());
        got.push(callback);
    }
}
