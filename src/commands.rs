//! What the program does beside serving. Each command speaks to Redis with the daemon's own configuration, and prints its
//! outcome for a person.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use anyhow::bail;
use tokio::time::Instant;

use crate::cli;
use crate::config::Config;
use crate::connection;
use crate::connection::Connection;
use crate::event::HookId;
use crate::event::XAPI_READER;
use crate::store::Store;
use crate::store::orders::Order;
use crate::store::orders::What;
use crate::store::parked::Parked;

/// How long to wait for the daemon to carry an order out.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often to look whether it did.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Sends events of the past to a hook again, through the running daemon. Gives what to print.
///
/// # Errors
/// If Redis is not there, there is no such hook, or the daemon does not answer.
pub async fn replay(config: &Config, asked: &cli::Replay) -> anyhow::Result<String> {
    let (store, hook) = hook(config, &asked.hook).await?;
    let what = match &asked.which {
        cli::Which { since: Some(time), .. } => What::Since(unix_ms(*time)),
        cli::Which { from: Some(number), .. } => What::From(*number),
        _ => What::Parked,
    };
    let order = Order::new(&hook, what);
    store.give_order(&order).await?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(outcome) = store.outcome(&order).await? {
            return match outcome.parse::<usize>() {
                Ok(events) => Ok(format!("{events} events are sent again to hook {hook}.\n")),
                Err(_) => bail!("{outcome}"),
            };
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!("the daemon did not take the order in {} s; it will when it runs with this Redis", PATIENCE.as_secs())
}

/// Lists or drops the parked events of a hook. Gives what to print.
///
/// # Errors
/// If Redis is not there or there is no such hook.
pub async fn parked(config: &Config, asked: &cli::Parked) -> anyhow::Result<String> {
    let (store, hook) = hook(config, &asked.hook).await?;
    let parked = store.parked(&hook).await?;
    if asked.drop_all || !asked.drop.is_empty() {
        let all: Vec<_> = parked.iter().map(|(number, _)| *number).collect();
        let dropped = store.drop_parked(&hook, if asked.drop_all { &all } else { &asked.drop }).await?;
        return Ok(format!("{dropped} parked events of hook {hook} are dropped.\n"));
    }
    if asked.json {
        return Ok(parked.iter().fold(String::new(), |lines, (number, event)| lines + &json_line(*number, event)));
    }
    if parked.is_empty() {
        return Ok(format!("No events of hook {hook} are parked.\n"));
    }
    let mut table =
        format!("{:<18}  {:<20}  {:<28}  {:<20}  {}\n", "NUMBER", "PARKED", "EVENT", "MEETING", "REFUSED WITH");
    for (number, event) in &parked {
        let (at, meeting) = (time(event.parked), event.external.as_deref().unwrap_or("-"));
        writeln!(table, "{number:<18}  {at:<20}  {:<28}  {meeting:<20}  {}", event.event, event.reason)?;
    }
    Ok(table)
}

/// The store, and the hook if there is one of that id; the xAPI output passes for one.
async fn hook(config: &Config, id: &str) -> anyhow::Result<(Store, HookId)> {
    let client = connection::client(&config.redis).context("the Redis server where hooks are kept")?;
    let server = connection::display(&client);
    let store = Store::new(Arc::new(Connection::new(client)), config);
    if id == XAPI_READER && config.xapi.enabled {
        return Ok((store, id.into()));
    }
    let hooks = store.load_hooks().await.with_context(|| format!("Redis at {server} cannot be read"))?.hooks;
    let hook = hooks.into_iter().find(|hook| hook.id.as_str() == id);
    let hook = hook.with_context(|| format!("there is no hook {id} in Redis at {server}; hooks/list shows the ids"))?;
    Ok((store, hook.id))
}

fn json_line(number: u64, event: &Parked) -> String {
    let mut line = serde_json::json!({"number": number});
    if let (Some(members), Ok(serde_json::Value::Object(more))) = (line.as_object_mut(), serde_json::to_value(event)) {
        members.extend(more);
    }
    format!("{line}\n")
}

fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn time(ms: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}
