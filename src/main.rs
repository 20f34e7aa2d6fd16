//! Arguments to a command, its outcome to an exit status.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bbb_webhooks::app;
use bbb_webhooks::cli::Cli;
use bbb_webhooks::cli::Command;
use bbb_webhooks::config;
use bbb_webhooks::config::Config;
use bbb_webhooks::config::Sources;
use bbb_webhooks::logging;
use clap::Parser;
use tracing::warn;

/// The exit status for a configuration that cannot be used (`EX_CONFIG` of sysexits): trying again will not help.
const BAD_CONFIGURATION: u8 = 78;

fn main() -> ExitCode {
    let Command::Serve = Cli::parse().command.unwrap_or_default();
    let loaded = match config::load(&Sources::of_process()) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    match serve(loaded.config, &loaded.notices) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bbb-webhooks: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config, notices: &[String]) -> anyhow::Result<()> {
    logging::start(&config.log)?;
    for notice in notices {
        warn!("{notice}");
    }
    let crypto = rustls::crypto::ring::default_provider();
    crypto.install_default().ok().context("TLS was set up twice")?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads can be started")?;
    let outcome = runtime.block_on(app::serve(config));
    // Not to be held up by a name that takes long to resolve.
    runtime.shutdown_timeout(Duration::ZERO);
    outcome
}
