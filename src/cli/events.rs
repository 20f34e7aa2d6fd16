//! `events` and `receive`: looking at what comes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::Wanted;

/// Which events to print, and how.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Messages as BigBlueButton publishes them, instead of the events made of them; those too of which none is made.
    #[arg(long)]
    pub raw: bool,
    /// For each message, what maps it and what was found in it; those too that nobody maps.
    #[arg(long, conflicts_with = "raw")]
    pub explain: bool,
    /// Only those with one of these ids, such as user-joined, with commas between them.
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub event: Vec<String>,
    /// Only those of this meeting: its meetingID, as the application gave it.
    #[arg(long, value_name = "ID")]
    pub meeting: Option<String>,
    /// Only messages of one of these names, such as `UserJoinedMeetingEvtMsg`, or the events made of them.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub message: Vec<String>,
    /// Print nothing but the JSON, one object a line.
    #[arg(long)]
    pub json: bool,
    /// Also append the JSON to this file, one object a line.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// How to receive.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Receive {
    /// The address to listen on; port 0 is any that is free.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0", value_parser = address)]
    pub listen: SocketAddr,
    /// The URL to register, if the daemon reaches this receiver under another than that of --listen.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// What it gets.
    #[command(flatten)]
    pub wanted: Wanted,
    /// Answer every callback with this status.
    #[arg(long, value_name = "STATUS", default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    pub status: u16,
    /// Wait so long, in milliseconds, before each answer.
    #[arg(long, value_name = "MS", default_value = "0", value_parser = milliseconds)]
    pub delay: Duration,
    /// Print each event whole, as JSON, one a line.
    #[arg(long)]
    pub json: bool,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected ADDRESS:PORT, such as 127.0.0.1:8080".to_owned())
}

fn milliseconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_millis)
}
