//! Arguments to a command, its outcome to an exit status.

use std::future::Future;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bbb_webhooks::app;
use bbb_webhooks::cli::Cli;
use bbb_webhooks::cli::Command;
use bbb_webhooks::commands;
use bbb_webhooks::config;
use bbb_webhooks::config::Config;
use bbb_webhooks::config::Loaded;
use bbb_webhooks::config::Sources;
use bbb_webhooks::logging;
use clap::Parser;
use tracing::warn;

/// The exit status for a configuration that cannot be used (`EX_CONFIG` of sysexits): trying again will not help.
const BAD_CONFIGURATION: u8 = 78;

fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or_default();
    let Loaded { config, notices } = match config::load(&Sources::of_process()) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let outcome = match command {
        Command::Serve => serve(config, &notices),
        Command::Replay(asked) => print(commands::replay(&config, &asked)),
        Command::Parked(asked) => print(commands::parked(&config, &asked)),
    };
    match outcome {
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
    run(app::serve(config))
}

/// Runs a command and prints what it gives.
fn print(command: impl Future<Output = anyhow::Result<String>>) -> anyhow::Result<()> {
    let text = run(command)?;
    // A reader that has seen enough, as `head`, closes the pipe.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn run<T>(task: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let crypto = rustls::crypto::ring::default_provider();
    crypto.install_default().ok().context("TLS was set up twice")?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads can be started")?;
    let outcome = runtime.block_on(task);
    // Not to be held up by a name that takes long to resolve.
    runtime.shutdown_timeout(Duration::ZERO);
    outcome
}
