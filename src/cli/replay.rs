//! `replay` and `parked`: events of the past.

use std::time::SystemTime;

use clap::Args;

/// Which events to send again.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The hook's id, as `hooks list` shows it; `xapi` for statements.
    pub hook: String,
    /// Which of its events.
    #[command(flatten)]
    pub which: Which,
}

/// Which of a hook's events.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Those accepted since then: a time such as 2026-11-23T08:00:00Z, or how long ago, such as 90s, 30m, 2h or 3days.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<SystemTime>,
    /// Those from this number of the journal on.
    #[arg(long, value_name = "NUMBER")]
    pub from: Option<u64>,
    /// Those that are parked.
    #[arg(long)]
    pub parked: bool,
}

/// What to do with parked events.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The hook's id, as `hooks list` shows it; `xapi` for statements.
    pub hook: String,
    /// Drop these, by number, instead of listing them.
    #[arg(long, value_name = "NUMBER", num_args = 1.., conflicts_with_all = ["drop_all", "json"])]
    pub drop: Vec<u64>,
    /// Drop all of them, instead of listing them.
    #[arg(long, conflicts_with = "json")]
    pub drop_all: bool,
    /// List them as JSON, one a line, with all that is known of them.
    #[arg(long)]
    pub json: bool,
}

/// A point in time, or how long ago it was.
fn time(text: &str) -> Result<SystemTime, String> {
    let ago = || humantime::parse_duration(text).ok().and_then(|ago| SystemTime::now().checked_sub(ago));
    let point = humantime::parse_rfc3339_weak(text).ok().or_else(ago);
    point.ok_or_else(|| "expected a time such as 2026-11-23T08:00:00Z, or how long ago, such as 30m".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::Cli;

    #[test]
    fn a_replay_says_which_events() {
        let parse = |arguments: &[&str]| Cli::try_parse_from([&["bbb-webhooks"], arguments].concat());
        assert!(parse(&["replay", "1"]).is_err());
        assert!(parse(&["replay", "1", "--parked", "--from", "7"]).is_err());
        assert!(parse(&["replay", "1", "--since", "yesterday"]).is_err());
        for which in [&["--parked"][..], &["--from", "7"], &["--since", "2h"], &["--since", "2026-11-23T08:00:00Z"]] {
            assert!(parse(&[&["replay", "1"], which].concat()).is_ok(), "{which:?}");
        }
    }
}
