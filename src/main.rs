//! Arguments to a command, its outcome to an exit status.

use std::future::Future;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bbb_webhooks::app;
use bbb_webhooks::cli;
use bbb_webhooks::cli::Cli;
use bbb_webhooks::cli::Command;
use bbb_webhooks::cli::HooksCommand;
use bbb_webhooks::commands;
use bbb_webhooks::commands::Outcome;
use bbb_webhooks::commands::check::Check;
use bbb_webhooks::config;
use bbb_webhooks::config::Config;
use bbb_webhooks::config::Loaded;
use bbb_webhooks::config::Sources;
use bbb_webhooks::logging;
use clap::Parser;
use tracing::warn;

/// The exit status for a configuration that cannot be used (`EX_CONFIG` of sysexits): trying again will not help.
const BAD_CONFIGURATION: u8 = 78;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or_default();
    match carry_out(command) {
        Ok(Outcome { text, status }) => {
            // A reader that has seen enough, as `head`, closes the pipe.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::from(status)
        }
        Err(error) => match error.downcast::<config::Error>() {
            Ok(error) => {
                eprintln!("{error}");
                ExitCode::from(BAD_CONFIGURATION)
            }
            Err(error) => {
                eprintln!("bbb-webhooks: {}", commands::reason(&error));
                ExitCode::FAILURE
            }
        },
    }
}

fn carry_out(command: Command) -> anyhow::Result<Outcome> {
    let sources = Sources { by_hand: command != Command::Serve, ..Sources::of_process() };
    let load = || with_any_domain(&sources);
    let no_text = |()| String::new().into();
    match command {
        Command::Serve => serve(&sources).map(no_text),
        Command::Check(asked) => check(&sources, &asked),
        Command::Hooks(cli::Hooks { what: HooksCommand::Secret(asked) }) => {
            Ok(commands::secret_of_hook(&load()?, &asked))
        }
        // A callback names the domain.
        Command::Hooks(asked @ cli::Hooks { what: HooksCommand::Test(_) }) => {
            run(commands::hooks(&config::load(&sources)?.config, &asked))
        }
        Command::Hooks(asked) => run(commands::hooks(&load()?, &asked)),
        Command::Status(asked) => run(commands::status(&load()?, &asked)),
        Command::Events(asked) => {
            logging::to_stderr()?;
            run(commands::events(&load()?, &asked)).map(no_text)
        }
        Command::Receive(asked) => run(commands::receive(&load()?, &asked)).map(no_text),
        Command::Sign(asked) => commands::sign(&load()?, &asked),
        Command::Replay(asked) => run(commands::replay(&load()?, &asked)).map(Outcome::from),
        Command::Parked(asked) => run(commands::parked(&load()?, &asked)).map(Outcome::from),
        Command::Completions(asked) => Ok(commands::completions(&asked).into()),
        Command::Man(asked) => commands::man(&asked).map(Outcome::from),
    }
}

fn serve(sources: &Sources) -> anyhow::Result<()> {
    let Loaded { config, notices } = config::load(sources)?;
    let journal = sources.environment.get("JOURNAL_STREAM");
    let logging = logging::start(&config.log, journal.map(String::as_str))?;
    for notice in notices {
        warn!("{notice}");
    }
    run(app::serve(config, sources, logging))
}

fn check(sources: &Sources, asked: &cli::Check) -> anyhow::Result<Outcome> {
    let check = Check::of_configuration(sources)?;
    // Without the network, there is nothing to wait for: no runtime, no TLS.
    let check = match asked.config_only {
        true => check,
        false => run(async { Ok(check.surroundings(asked.online).await) })?,
    };
    Ok(check.outcome(asked))
}

/// The configuration; where nothing but the domain is missing, with any. A secret is enough to sign with, and to make a hook's own: an integrator
/// has no server.
fn with_any_domain(sources: &Sources) -> Result<Config, config::Error> {
    let loaded = config::load(sources).or_else(|error| {
        let mut sources = sources.clone();
        sources.environment.insert("SERVER_DOMAIN".to_owned(), "bbb.example.org".to_owned());
        config::load(&sources).map_err(|_| error)
    });
    loaded.map(|loaded| loaded.config)
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
