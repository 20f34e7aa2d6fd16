//! A reload: the log file is opened again, and what can follow a changed configuration does.
//!
//! Who works by a key that may change asks [`Current`] for each piece of work. Only who has to do something when it changes is
//! told here: the log, and the registry.
//!
//! [`Current`]: crate::config::Current

use tracing::error;
use tracing::info;
use tracing::warn;

use crate::app::App;
use crate::clock;
use crate::config;
use crate::config::Loaded;
use crate::config::Sources;
use crate::logging::Logging;

/// Reads the configuration again; one that cannot be used changes nothing.
pub(super) async fn reload(app: &App, sources: &Sources, logging: &Logging) {
    if let Err(error) = logging.reopen() {
        error!(%error, "The log file cannot be opened again; the old one is written on");
    }
    let Loaded { config, notices } = match config::load(sources) {
        Ok(loaded) => loaded,
        Err(error) => {
            for notice in error.notices() {
                warn!("{notice}");
            }
            for problem in error.problems() {
                error!(problem, "The configuration cannot be used; the daemon goes on with the one that it has");
            }
            return;
        }
    };
    for notice in notices {
        warn!("{notice}");
    }
    logging.set_level(config.log.level);
    let change = app.config.reload(&config);
    if let Err(error) = app.observer.registry.follow_configuration(clock::unix_ms()).await {
        error!(%error, "The permanent hooks are not as configured; reload again when Redis is well");
    }
    if !change.needs_restart.is_empty() {
        warn!(keys = change.needs_restart.join(", "), "Not everything that changed takes effect: this needs a restart");
    }
    info!(changed = change.changed.join(", "), "The configuration is read again");
}
