//! Anything from outside, one function for each way in: none may panic, hang, or take memory without bounds.
//!
//! They are the targets in `fuzz/`, and run as tests over `tests/corpus/fuzz/` and what becomes of it by chance. The daemon
//! has none of this.

mod answer;
mod channel;
mod configuration;
mod hash;
mod request;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use tokio::runtime::Runtime;

use crate::config;
use crate::config::Config;
use crate::config::Sources;

pub use self::answer::answer;
pub use self::channel::channel;
pub use self::configuration::configuration;
pub use self::hash::hash;
pub use self::request::request;

/// The server's secret, wherever one is needed.
const SECRET: &str = "hush";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads can be had")
});

/// A configuration with as little in it as can be, and what `more` says as JSON; `None` if that is wrong.
fn configured(more: &str) -> Option<Config> {
    let environment = [("SHARED_SECRET", SECRET), ("SERVER_DOMAIN", "bbb.example.org"), ("NODE_CONFIG", more)];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    config::load(&Sources { environment, ..Sources::default() }).ok().map(|loaded| loaded.config)
}

fn plain() -> Config {
    configured("{}").expect("secret and domain are all that is needed")
}
