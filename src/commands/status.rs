//! `status`: what is stuck, and why.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;

use crate::cli;
use crate::commands::Outcome;
use crate::commands::client::Client;
use crate::commands::say;
use crate::commands::table;
use crate::commands::told_to_stop;
use crate::config::Config;

/// How often it is shown again.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// A hook whose oldest event has waited for longer needs a person, in ms.
const LONG_MS: u64 = 5 * 60 * 1000;

/// Clears a terminal's screen, and goes to its top.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Shows how the daemon does.
///
/// # Errors
/// If the daemon does not answer.
pub async fn status(config: &Config, asked: &cli::Status) -> anyhow::Result<Outcome> {
    let client = Client::new(config)?;
    if asked.watch {
        let stop = told_to_stop()?;
        tokio::pin!(stop);
        loop {
            let screen = match client.status().await {
                Ok(status) => screen(&status),
                Err(error) => format!("{error:#}\n"),
            };
            if !say(&format!("{CLEAR}{screen}")) {
                return Ok(String::new().into());
            }
            tokio::select! {
                () = &mut stop => return Ok(String::new().into()),
                () = tokio::time::sleep(WATCH_EVERY) => {}
            }
        }
    }
    let status = client.status().await?;
    let text = if asked.json { format!("{status:#}\n") } else { screen(&status) };
    Ok(Outcome { text, status: u8::from(!needs(&status).is_empty()) })
}

/// What needs a person, a line each.
fn needs(status: &Value) -> Vec<String> {
    let mut needs = Vec::new();
    if status["subscribed"] != true {
        needs.push("BigBlueButton's events are not subscribed to: is Redis there?".to_owned());
    }
    if let Some(why) = status["degraded"].as_str() {
        needs.push(format!("Redis does not take what it should keep: {why}"));
    }
    for (name, reader) in readers(status) {
        if reader["state"] == "suspended" {
            needs.push(format!("{name} is suspended: its receiver does nothing but fail ({})", answer(reader)));
        } else if number(reader, "lagMs") > LONG_MS {
            let age = ago(number(reader, "lagMs"));
            needs.push(format!("{name} is behind: its oldest event has waited for {age} ({})", answer(reader)));
        }
        match number(reader, "parked") {
            0 => {}
            parked => needs.push(format!("{name} refused {parked} events since the start: see bbb-webhooks parked")),
        }
    }
    needs
}

/// The hooks by id, and the xAPI output.
fn readers(status: &Value) -> Vec<(String, &Value)> {
    let hooks = status["hooks"].as_array().into_iter().flatten();
    let mut readers: Vec<_> =
        hooks.map(|hook| (format!("hook {}", hook["id"].as_str().unwrap_or_default()), hook)).collect();
    if status["xapi"].is_object() {
        readers.push(("xapi".to_owned(), &status["xapi"]));
    }
    readers
}

fn screen(status: &Value) -> String {
    let is = |well: bool, good: &str, bad: &str| if well { good.to_owned() } else { bad.to_owned() };
    let (messages, journal) = (&status["messages"], &status["journal"]);
    let stored = journal["stored"].as_u64().map_or_else(|| "unknown".to_owned(), |stored| stored.to_string());
    let mut text = String::new();
    let lines = [
        ("Version", status["version"].as_str().unwrap_or_default().to_owned()),
        ("Subscription", is(status["subscribed"] == true, "is there", "is lost")),
        ("Redis", is(status["degraded"].is_null(), "takes everything", "does not take everything")),
        (
            "Messages",
            format!(
                "{} received: {} mapped, {} ignored, {} unparseable, {} dropped",
                number(messages, "received"),
                number(messages, "mapped"),
                number(messages, "ignored"),
                number(messages, "unparseable"),
                number(messages, "dropped")
            ),
        ),
        ("Remembered", format!("{} meetings, {} users", number(status, "meetings"), number(status, "users"))),
        (
            "Journal",
            format!(
                "{stored} events in Redis, {} in memory ({} KiB)",
                number(journal, "inMemory"),
                number(journal, "bytesInMemory") / 1024
            ),
        ),
    ];
    for (name, value) in lines {
        // Writing to a text does not fail.
        let _ = writeln!(text, "{name:<13} {value}");
    }
    let now = number(status, "at");
    let rows: Vec<_> = readers(status)
        .into_iter()
        .map(|(name, reader)| {
            let next = reader["nextTry"].as_u64().map(|at| format!("in {}", ago(at.saturating_sub(now))));
            let lag = match number(reader, "lag") {
                0 => String::new(),
                lag => format!("{lag}, {}", ago(number(reader, "lagMs"))),
            };
            let count = |what: &str| number(reader, what).to_string();
            [
                name.trim_start_matches("hook ").to_owned(),
                reader["host"].as_str().unwrap_or_default().to_owned(),
                reader["state"].as_str().unwrap_or_default().to_owned(),
                lag,
                count("inFlight"),
                count("delivered"),
                count("parked"),
                count("dropped"),
                answer(reader),
                next.unwrap_or_default(),
            ]
        })
        .collect();
    text.push('\n');
    text += &match rows.is_empty() {
        true => "There are no hooks.\n".to_owned(),
        false => table(
            &[
                "HOOK",
                "HOST",
                "STATE",
                "BEHIND",
                "IN FLIGHT",
                "DELIVERED",
                "PARKED",
                "DROPPED",
                "LAST ANSWER",
                "NEXT TRY",
            ],
            &rows,
        ),
    };
    let needs = needs(status);
    text += if needs.is_empty() { "\nAll is well.\n" } else { "\nNeeds a person:\n" };
    needs.iter().for_each(|need| text += &format!("  {need}\n"));
    text
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or(0)
}

/// How the last attempt ended.
fn answer(reader: &Value) -> String {
    reader["lastAnswer"]["answer"].as_str().unwrap_or_default().to_owned()
}

/// A time span, to the second.
fn ago(ms: u64) -> String {
    humantime::format_duration(Duration::from_secs(ms / 1000)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_needs_a_person_is_said() {
        let well = json!({
            "subscribed": true, "degraded": null,
            "hooks": [{"id": "1", "state": "failing", "lag": 3, "lagMs": 299_000, "parked": 0}],
        });
        assert_eq!(needs(&well), [""; 0]);
        let ill = json!({
            "subscribed": false, "degraded": "READONLY",
            "hooks": [
                {"id": "1", "state": "suspended", "lastAnswer": {"at": 1, "answer": "status 500"}},
                {"id": "2", "state": "failing", "lagMs": 301_000},
                {"id": "3", "state": "well", "parked": 2},
            ],
            "xapi": {"state": "suspended"},
        });
        let needs = needs(&ill).join("\n");
        for word in [
            "not subscribed",
            "READONLY",
            "hook 1 is suspended",
            "status 500",
            "hook 2 is behind",
            "5m 1s",
            "hook 3 refused 2",
            "xapi is suspended",
        ] {
            assert!(needs.contains(word), "{word}: {needs}");
        }
    }
}
