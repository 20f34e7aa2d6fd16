//! The log: what `tracing` is told goes to standard output, to a file, or to both.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::IsTerminal;
use std::sync::Mutex;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Log;
use crate::config::LogLevel;

/// The log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log file cannot be written.
    #[error("{filename}: the log file (log.filename) cannot be written: {error}")]
    File {
        /// Its name.
        filename: String,
        /// Why.
        error: io::Error,
    },
    /// There is a log already.
    #[error("the log is set up already")]
    Twice,
}

/// Sets up the log of this process.
///
/// # Errors
/// If the log file cannot be written, or there is a log already.
pub fn start(log: &Log) -> Result<(), Error> {
    // Only what this program says: libraries would write URLs with checksums into the log.
    let ours = Targets::new().with_target("bbb_webhooks", level(log.level));
    let stdout = log.stdout.then(|| fmt::layer().with_ansi(io::stdout().is_terminal()));
    let file = log.file.then(|| open(log)).transpose()?;
    let file = file.map(|file| fmt::layer().with_ansi(false).with_writer(Mutex::new(file)));
    let registry = tracing_subscriber::registry().with(ours).with(stdout).with(file);
    registry.try_init().map_err(|_| Error::Twice)
}

/// Sets up the log of a command that prints something else: warnings, to standard error.
///
/// # Errors
/// If there is a log already.
pub fn to_stderr() -> Result<(), Error> {
    let ours = Targets::new().with_target("bbb_webhooks", LevelFilter::WARN);
    let stderr = fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(io::stderr);
    tracing_subscriber::registry().with(ours).with(stderr).try_init().map_err(|_| Error::Twice)
}

fn open(log: &Log) -> Result<File, Error> {
    let opened = OpenOptions::new().create(true).append(true).open(&log.filename);
    opened.map_err(|error| Error::File { filename: log.filename.display().to_string(), error })
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Off => LevelFilter::OFF,
    }
}
