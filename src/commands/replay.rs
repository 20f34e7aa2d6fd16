//! `replay`: events of the past again, through the running daemon.

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use anyhow::bail;
use tokio::time::Instant;

use crate::cli;
use crate::commands::stored_hook;
use crate::config::Config;
use crate::store::orders::Order;
use crate::store::orders::What;

/// How long to wait for the daemon to carry an order out.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often to look whether it did.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Sends events of the past to a hook again, through the running daemon. Gives what to print.
///
/// # Errors
/// If Redis is not there, there is no such hook, or the daemon does not answer.
pub async fn replay(config: &Config, asked: &cli::Replay) -> anyhow::Result<String> {
    let (store, hook) = stored_hook(config, &asked.hook).await?;
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

fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
