//! The log: what `tracing` is told goes to standard output, to a file, or to both.
//!
//! [`mod@format`] has the three forms of a line; which one goes where depends on who is going to read it.

mod file;
mod format;

use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Log;
use crate::config::LogFormat;
use crate::config::LogLevel;
use crate::logging::file::LogFile;
use crate::logging::format::Json;
use crate::logging::format::OneLine;

/// What lies below the level: the level may change while the program runs.
type Filtered = tracing_subscriber::layer::Layered<reload::Layer<Targets, Registry>, Registry>;

/// The log could not be set up, or its file not be opened again.
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

/// The log of this process, where it may still be changed.
#[derive(Debug)]
pub struct Logging {
    level: reload::Handle<Targets, Registry>,
    file: Option<LogFile>,
}

impl Logging {
    /// From now on, writes what is at least as severe.
    pub fn set_level(&self, level: LogLevel) {
        // It fails only when there is no log any more, and then there is nobody to tell.
        let _ = self.level.reload(ours(level));
    }

    /// Opens the log file again, by its name: after somebody moved it away, as logrotate does, it is a new one.
    ///
    /// # Errors
    /// If it cannot be written; then what is logged goes on into the old one.
    pub fn reopen(&self) -> Result<(), Error> {
        self.file.as_ref().map_or(Ok(()), LogFile::reopen)
    }
}

/// Sets up the log of this process. `journal` is what systemd says of its journal in the variable `JOURNAL_STREAM`.
///
/// # Errors
/// If the log file cannot be written, or there is a log already.
pub fn start(log: &Log, journal: Option<&str>) -> Result<Logging, Error> {
    let (filter, level) = reload::Layer::new(ours(log.level));
    let file = log.file.then(|| LogFile::open(&log.filename)).transpose()?;
    let stdout = log.stdout.then(|| {
        let (terminal, journal) = (io::stdout().is_terminal(), journal.is_some_and(is_stdout));
        match log.format {
            LogFormat::Auto | LogFormat::Text if terminal => fmt::layer().boxed(),
            LogFormat::Auto | LogFormat::Text if journal => text(io::stdout, OneLine::for_the_journal()),
            LogFormat::Text => text(io::stdout, OneLine::default()),
            LogFormat::Auto | LogFormat::Json => json(io::stdout, journal),
        }
    });
    let to_file = file.clone().map(|file| match log.format {
        LogFormat::Text => text(move || file.clone(), OneLine::default()),
        LogFormat::Auto | LogFormat::Json => json(move || file.clone(), false),
    });
    let layers: Vec<_> = [stdout, to_file].into_iter().flatten().collect();
    let registry = tracing_subscriber::registry().with(filter).with(layers);
    registry.try_init().map_err(|_| Error::Twice)?;
    Ok(Logging { level, file })
}

/// Sets up the log of a command that prints something else: warnings, to standard error.
///
/// # Errors
/// If there is a log already.
pub fn to_stderr() -> Result<(), Error> {
    let stderr = fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(io::stderr);
    tracing_subscriber::registry().with(ours(LogLevel::Warn)).with(stderr).try_init().map_err(|_| Error::Twice)
}

fn text<W>(writer: W, format: OneLine) -> Box<dyn Layer<Filtered> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // A reader that went away is no reason to write elsewhere.
    fmt::layer().with_ansi(false).log_internal_errors(false).event_format(format).with_writer(writer).boxed()
}

fn json<W>(writer: W, for_the_journal: bool) -> Box<dyn Layer<Filtered> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let format = Json { for_the_journal };
    fmt::layer().with_ansi(false).log_internal_errors(false).event_format(format).with_writer(writer).boxed()
}

/// Only what this program says: libraries would write URLs with checksums into the log.
fn ours(level: LogLevel) -> Targets {
    Targets::new().with_target(
        "bbb_webhooks",
        match level {
            LogLevel::Trace => LevelFilter::TRACE,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Off => LevelFilter::OFF,
        },
    )
}

/// Whether standard output is what systemd names by device and inode: a variable alone is handed on to every child, whatever
/// its output is.
fn is_stdout(stream: &str) -> bool {
    let Ok(stdout) = io::stdout().as_fd().try_clone_to_owned() else { return false };
    let metadata = File::from(stdout).metadata();
    metadata.is_ok_and(|metadata| stream == format!("{}:{}", metadata.dev(), metadata.ino()))
}
