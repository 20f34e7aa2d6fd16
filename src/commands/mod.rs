//! What the program does beside serving. Each command works with the daemon's own configuration, and prints its outcome for
//! a person.

mod parked;
mod replay;

use std::sync::Arc;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use anyhow::Context;

use crate::config::Config;
use crate::connection;
use crate::connection::Connection;
use crate::event::HookId;
use crate::store::Store;

pub use self::parked::parked;
pub use self::replay::replay;

/// The store, and the hook if there is one of that id.
async fn stored_hook(config: &Config, id: &str) -> anyhow::Result<(Store, HookId)> {
    let client = connection::client(&config.redis).context("the Redis server where hooks are kept")?;
    let server = connection::display(&client);
    let store = Store::new(Arc::new(Connection::new(client)), &config.keys);
    let hooks = store.load_hooks().await.with_context(|| format!("Redis at {server} cannot be read"))?.hooks;
    let hook = hooks.into_iter().find(|hook| hook.id.as_str() == id);
    let hook = hook.with_context(|| format!("there is no hook {id} in Redis at {server}; hooks/list shows the ids"))?;
    Ok((store, hook.id))
}

/// A time in ms since 1970, as a person reads it.
fn time(ms: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}
