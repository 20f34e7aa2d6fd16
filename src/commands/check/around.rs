//! What is around the daemon: Redis, the ports of the API and the metrics, receivers.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::bail;
use redis::Client;
use redis::RedisError;
use redis::RedisResult;
use tokio::time::timeout;
use url::Host;
use url::Url;

use super::Finding;
use super::Grade;
use crate::commands::client;
use crate::commands::client::Ping;
use crate::commands::client::Prober;
use crate::config::Config;
use crate::config::Input;
use crate::config::PermanentHook;
use crate::config::RedisServer;
use crate::config::Trust;
use crate::config::Xapi;
use crate::config::masked_url;
use crate::connection;
use crate::connection::Connection;
use crate::delivery::guard::Guard;
use crate::delivery::guard::Nowhere;
use crate::delivery::policy::Policy;
use crate::delivery::policy::Refusal;

/// Written to see whether Redis takes it, and removed at once.
const PROBE_KEY: &str = "bigbluebutton:webhooks:out:check";

/// How long Redis may take.
const PATIENCE: Duration = Duration::from_secs(5);

const EVENTS: &str = "Redis, events";
const HOOKS: &str = "Redis, hooks";
const API: &str = "API";
const METRICS: &str = "metrics server";
const LRS: &str = "xAPI";
const PERMANENT: &str = "permanent hooks";

/// Looks at all of it.
pub(super) async fn look(config: &Config, online: bool) -> Vec<Finding> {
    let (events, hooks, api) = tokio::join!(events(&config.input), hooks(&config.redis), api(config));
    let mut findings = vec![events, hooks];
    findings.extend(api);
    findings.extend(metrics(config).await);
    findings.extend(permanent(config, online).await);
    findings.extend(lrs(&config.xapi, online).await);
    findings
}

/// The server to listen to: the daemon only subscribes there.
async fn events(input: &Input) -> Finding {
    let client = match connection::client(&input.redis) {
        Ok(client) => client,
        Err(error) => return Finding::new(EVENTS, Grade::Failed, format!("no server can be asked: {error}")),
    };
    let server = connection::display(&client);
    let subscribing = async {
        let mut subscription = client.get_async_pubsub().await?;
        for name in &input.channels {
            match name.contains(['*', '?', '[']) {
                true => subscription.psubscribe(name).await?,
                false => subscription.subscribe(name).await?,
            }
        }
        Ok::<_, RedisError>(())
    };
    match timeout(PATIENCE, subscribing).await {
        Ok(Ok(())) => {
            let (version, grade) = version(&client).await;
            Finding::new(
                EVENTS,
                grade,
                format!("{server}{version}: {} channels can be subscribed", input.channels.len()),
            )
        }
        Ok(Err(error)) => Finding::new(EVENTS, Grade::Failed, format!("{server}: {}", said(&error))),
        Err(_) => Finding::new(EVENTS, Grade::Failed, format!("{server}: no answer in time")),
    }
}

/// The server to keep hooks and events in: it has to take what is written.
async fn hooks(server: &RedisServer) -> Finding {
    let client = match connection::client(server) {
        Ok(client) => client,
        Err(error) => return Finding::new(HOOKS, Grade::Failed, format!("no server can be asked: {error}")),
    };
    let server = connection::display(&client);
    let writing = async {
        let mut connection = client.get_multiplexed_async_connection().await?;
        let set = redis::cmd("SET").arg(PROBE_KEY).arg("by bbb-webhooks check").arg("EX").arg(10).to_owned();
        set.query_async::<()>(&mut connection).await?;
        redis::cmd("DEL").arg(PROBE_KEY).query_async::<()>(&mut connection).await
    };
    match timeout(PATIENCE, writing).await {
        Ok(Ok(())) => {
            let (version, grade) = version(&client).await;
            Finding::new(HOOKS, grade, format!("{server}{version}: it takes what is written"))
        }
        Ok(Err(error)) => Finding::new(HOOKS, Grade::Failed, format!("{server}: {}", said(&error))),
        Err(_) => Finding::new(HOOKS, Grade::Failed, format!("{server}: no answer in time")),
    }
}

/// The version, which an ACL may hide; too old a one is worth a warning.
async fn version(client: &Client) -> (String, Grade) {
    let connection = Connection::new(client.clone());
    let info: RedisResult<(String,)> = connection.run(redis::pipe().cmd("INFO").arg("server")).await;
    let info = info.map(|(info,)| info).unwrap_or_default();
    let Some(version) = info.lines().find_map(|line| line.strip_prefix("redis_version:")) else {
        return (String::new(), Grade::Well);
    };
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major < 5 => (format!(", Redis {version}, which is too old: 5.0 is needed"), Grade::Warning),
        _ => (format!(", Redis {version}"), Grade::Well),
    }
}

/// An error of Redis, and what to do about those that have a usual reason.
fn said(error: &RedisError) -> String {
    let hint = match error.code() {
        Some("MISCONF") => ". It cannot save to its disk: is that full?",
        Some("NOAUTH" | "WRONGPASS") => ". Look at redis.password",
        Some("OOM") => ". Its memory is full (maxmemory)",
        Some("READONLY") => ". It is a replica: name its master",
        _ if error.is_connection_refusal() => ". Does it run, and there?",
        _ => "",
    };
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}{hint}"),
        _ => format!("{error}{hint}"),
    }
}

/// The port: free, or held by the daemon; then it has to take what this configuration signs.
async fn api(config: &Config) -> Vec<Finding> {
    let (bind, port) = (config.api.bind, config.api.port);
    let address = SocketAddr::new(bind, port);
    let finding = |grade, text: String| vec![Finding::new(API, grade, text)];
    match TcpListener::bind(address) {
        Ok(_) => return finding(Grade::Well, format!("{address} is free: no daemon runs")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {}
        Err(error) => return finding(Grade::Failed, format!("{address} cannot be listened on: {error}")),
    }
    let asked = async {
        let client = client::Client::new(config)?;
        match client.ping().await? {
            Ping::Daemon => anyhow::Ok(client.ask("hooks/list", &[]).await?),
            Ping::Other(said) => bail!("its answer to a ping is {said}"),
        }
    };
    match asked.await {
        Ok(answer) if answer.is_success() => finding(
            Grade::Well,
            format!("{address} is held by the running daemon; it has {} hooks", answer.hooks.len()),
        ),
        Ok(answer) if answer.get("messageKey") == Some("checksumError") => finding(
            Grade::Warning,
            format!("{address} is held by a daemon that runs with another secret: restart it to take this one"),
        ),
        Ok(_) => finding(Grade::Warning, format!("{address} is held by the running daemon; it waits for Redis")),
        Err(error) => finding(Grade::Failed, format!("{address} is held by another program: {error:#}")),
    }
}

/// The port of the metrics: free, or held by the daemon.
async fn metrics(config: &Config) -> Option<Finding> {
    let settings = config.metrics.enabled.then_some(&config.metrics)?;
    let address = SocketAddr::new(settings.bind, settings.port);
    let finding = |grade, text| Some(Finding::new(METRICS, grade, text));
    if address == SocketAddr::new(config.api.bind, config.api.port) {
        return finding(Grade::Failed, format!("{address} is the API's too: change server.port or prometheus.port"));
    }
    match TcpListener::bind(address) {
        Ok(_) => return finding(Grade::Well, format!("{address} is free: no daemon serves metrics there")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {}
        Err(error) => return finding(Grade::Failed, format!("{address} cannot be listened on: {error}")),
    }
    let reached = SocketAddr::new(client::reached_at(settings.bind), settings.port);
    let text = match Prober::new(PATIENCE, &Trust::Usual, None) {
        Ok(prober) => prober.text(&format!("http://{reached}{}", settings.path)).await,
        Err(error) => return finding(Grade::Failed, format!("{error:#}")),
    };
    match text {
        Some(text) if text.contains("bbb_webhooks_subscribed") => {
            finding(Grade::Well, format!("{address} is held by the running daemon, at {}", settings.path))
        }
        _ => finding(
            Grade::Failed,
            format!(
                "{address} is held by another program, or has no metrics at {}: see prometheus.port",
                settings.path
            ),
        ),
    }
}

/// The Learning Record Store of the configuration. What it thinks of the credentials shows only when statements come.
async fn lrs(settings: &Xapi, online: bool) -> Option<Finding> {
    let url = settings.lrs_endpoint.as_deref().filter(|_| settings.enabled)?;
    let shown = masked_url(url);
    if !online {
        return Some(Finding::new(LRS, Grade::Skipped, format!("{shown}; --online asks whether it is there")));
    }
    let asked = match Prober::new(settings.request_timeout, &Trust::Usual, settings.ca_file.as_deref()) {
        Ok(prober) => prober.probe(url).await,
        Err(error) => Err(format!("{error:#}")),
    };
    Some(match asked {
        Ok(status) => Finding::new(LRS, Grade::Well, format!("{shown}: there, status {status} to HEAD")),
        Err(why) => Finding::new(LRS, Grade::Failed, format!("{shown}: {why}")),
    })
}

/// Permanent hooks: those that the configuration forbids to call, and with `online` whether the others are there.
async fn permanent(config: &Config, online: bool) -> Vec<Finding> {
    let hooks = &config.hooks.permanent;
    if hooks.is_empty() {
        return Vec::new();
    }
    let guard = Guard::new(Policy::of_callbacks(config));
    if online {
        let probes = hooks.iter().map(|hook| probe(config, &guard, hook));
        return futures_util::future::join_all(probes).await;
    }
    let urls = hooks.iter().filter_map(|hook| Url::parse(&hook.url).ok());
    let mut findings: Vec<_> = urls
        .filter_map(|url| guard.judge_at_once(&url).err().map(|refusal| not_called(url.as_str(), &refusal)))
        .collect();
    let text = format!("{} configured; --online asks whether they are there", hooks.len());
    findings.push(Finding::new(PERMANENT, Grade::Skipped, text));
    findings
}

/// Asks the receiver of a permanent hook, as a callback would: nothing goes to where none may go.
async fn probe(config: &Config, guard: &Guard, hook: &PermanentHook) -> Finding {
    let shown = masked_url(&hook.url);
    let failed = |why: String| Finding::new(PERMANENT, Grade::Failed, format!("{shown}: {why}"));
    let (limit, also) = (config.hooks.request_timeout, config.hooks.ca_file.as_deref());
    let url = match Url::parse(&hook.url) {
        Ok(url) => url,
        Err(error) => return failed(error.to_string()),
    };
    let prober = match timeout(limit, allowed(guard, &url)).await {
        Ok(Ok(Some((name, addresses)))) => Prober::to((name, &addresses), limit, &hook.trust, also),
        Ok(Ok(None)) => Prober::new(limit, &hook.trust, also),
        Ok(Err(Nowhere::Refused(refusal))) => return not_called(&hook.url, &refusal),
        Ok(Err(Nowhere::Unknown(error))) => return failed(error.to_string()),
        Err(_) => return failed("its name was not found in time".to_owned()),
    };
    let asked = match prober {
        Ok(prober) => prober.probe(&hook.url).await,
        Err(error) => Err(format!("{error:#}")),
    };
    match asked {
        Ok(status) => Finding::new(PERMANENT, Grade::Well, format!("{shown}: there, status {status} to HEAD")),
        Err(why) => failed(why),
    }
}

/// The name in a URL and those of its addresses that may be called; nothing if the URL says the address itself.
async fn allowed<'a>(guard: &Guard, url: &'a Url) -> Result<Option<(&'a str, Vec<SocketAddr>)>, Nowhere> {
    guard.judge(url).await?;
    let Some(Host::Domain(name)) = url.host() else { return Ok(None) };
    let addresses = guard.resolve(name, url.port_or_known_default().unwrap_or_default()).await?;
    Ok(Some((name, addresses)))
}

fn not_called(url: &str, refusal: &Refusal) -> Finding {
    let text = format!("{} is not called: {refusal} ({})", masked_url(url), refusal.key());
    Finding::new(PERMANENT, Grade::Warning, text)
}
