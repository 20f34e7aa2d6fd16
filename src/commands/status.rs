//! `status`: what is stuck, and why.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;

use crate::cli;
use crate::commands::Outcome;
use crate::commands::client::Client;
use crate::commands::printable;
use crate::commands::reason;
use crate::commands::say;
use crate::commands::table;
use crate::commands::told_to_stop;
use crate::config::Config;

/// How often it is shown again.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// A hook whose oldest event has waited for longer needs a person, in ms.
const LONG_MS: u64 = 5 * 60 * 1000;

/// So does one that is going to be removed, if it has failed for longer, in ms.
const FAILING_MS: u64 = 60 * 1000;

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
                Err(error) => format!("{}\n", reason(&error)),
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
    match status["degraded"].as_str() {
        Some(why) if status["read"] == false => {
            needs.push(format!("hooks and meetings were not read from Redis yet: {why}"));
        }
        Some(why) => needs.push(format!("Redis does not take what it should keep: {why}")),
        None => {}
    }
    match number(&status["messages"], "dropped") {
        0 => {}
        dropped => needs.push(format!(
            "{} dropped since the start: they came faster than this machine could map them",
            counted(dropped, "message of BigBlueButton was", "messages of BigBlueButton were")
        )),
    }
    let now = number(status, "at");
    for (name, reader) in readers(status) {
        if reader["state"] == "suspended" {
            needs.push(format!("{name} is suspended: its receiver does nothing but fail ({})", answer(reader)));
        } else if let (Some(since), Some(removed_at)) = (reader["failingSince"].as_u64(), reader["removedAt"].as_u64())
            && now.saturating_sub(since) > FAILING_MS
        {
            let left = removed_at.saturating_sub(now).div_ceil(60_000).max(1);
            let left = counted(left, "minute", "minutes");
            needs.push(format!(
                "{name} fails ({}): it is removed in about {left} unless its receiver answers",
                answer(reader)
            ));
        } else if number(reader, "lagMs") > LONG_MS {
            let age = ago(number(reader, "lagMs"));
            needs.push(format!("{name} is behind: its oldest event has waited for {age} ({})", answer(reader)));
        }
        match number(reader, "parked") {
            0 => {}
            parked => {
                let events = counted(parked, "parked event", "parked events");
                needs.push(format!("{name} has {events}: bbb-webhooks parked {}", name.trim_start_matches("hook ")));
            }
        }
        for (dropped, why) in [
            ("overflowed", "more waited than hooks.queueSize and hooks.journalSize allow"),
            ("redisLost", "Redis lost them before they were delivered"),
        ] {
            match number(reader, dropped) {
                0 => {}
                events => {
                    needs.push(format!("{name} lost {} since the start: {why}", counted(events, "event", "events")))
                }
            }
        }
    }
    let removed: u64 = status["removed"]
        .as_object()
        .into_iter()
        .flat_map(|by_reason| by_reason.values())
        .filter_map(Value::as_u64)
        .sum();
    if removed > 0 {
        needs.push(format!(
            "{} removed since the start, because nothing but failure came of them: the log has their hosts (\"The hook is removed\"); \
             whoever needs them has to create them again",
            counted(removed, "hook was", "hooks were")
        ));
    }
    needs
}

/// `1 hook`, `2 hooks`.
fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
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
    let (messages, journal, read) = (&status["messages"], &status["journal"], status["read"] != false);
    let stored = journal["stored"].as_u64().map_or_else(|| "unknown".to_owned(), |stored| stored.to_string());
    let mut text = String::new();
    let lines = [
        ("Version", status["version"].as_str().unwrap_or_default().to_owned()),
        ("Subscription", is(status["subscribed"] == true, "is there", "is lost")),
        (
            "Redis",
            is(
                status["degraded"].is_null(),
                "takes everything",
                if read { "does not take everything" } else { "was not read yet" },
            ),
        ),
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
                reader["parked"].as_u64().map_or_else(|| "unknown".to_owned(), |parked| parked.to_string()),
                count("dropped"),
                answer(reader),
                next.unwrap_or_default(),
            ]
        })
        .collect();
    text.push('\n');
    text += &match rows.is_empty() {
        true if read => "There are no hooks.\n".to_owned(),
        true => "Hooks are not known yet.\n".to_owned(),
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
    needs.iter().for_each(|need| text += &format!("  {}\n", printable(need)));
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
                {"id": "4", "state": "well", "parked": null, "overflowed": 1, "redisLost": 7},
            ],
            "xapi": {"state": "suspended", "parked": 1},
            "messages": {"dropped": 3},
            "removed": {"exhausted": 1, "suspended": 1},
        });
        let needs = needs(&ill).join("\n");
        for word in [
            "not subscribed",
            "READONLY",
            "hook 1 is suspended",
            "status 500",
            "hook 2 is behind",
            "5m 1s",
            "hook 3 has 2 parked events: bbb-webhooks parked 3",
            "hook 4 lost 1 event since the start: more waited than hooks.queueSize",
            "hook 4 lost 7 events since the start: Redis lost them",
            "xapi is suspended",
            "xapi has 1 parked event: bbb-webhooks parked xapi",
            "3 messages of BigBlueButton were dropped since the start",
            "2 hooks were removed since the start",
        ] {
            assert!(needs.contains(word), "{word}: {needs}");
        }
    }

    #[test]
    fn a_hook_that_is_about_to_be_removed_needs_a_person_after_a_minute() {
        let needs_of = |failing_since: u64, removed_at: Value| {
            let hook = json!({
                "id": "1", "state": "failing", "lag": 3, "lagMs": 61_001, "failingSince": failing_since,
                "removedAt": removed_at, "lastAnswer": {"at": 1, "answer": "status 500"},
            });
            needs(&json!({"at": 1_000_000, "subscribed": true, "degraded": null, "read": true, "hooks": [hook]}))
        };
        let said = "hook 1 fails (status 500): it is removed in about 4 minutes unless its receiver answers";
        assert_eq!(needs_of(938_999, json!(1_200_000)), [said]);
        assert_eq!(needs_of(940_001, json!(1_200_000)), [""; 0], "it may be over in a moment");
        assert_eq!(needs_of(938_999, Value::Null), [""; 0], "it is suspended, and keeps its events");
        assert!(needs_of(938_999, json!(990_000))[0].contains("in about 1 minute "), "what is due is soon");
    }

    #[test]
    fn what_was_not_read_yet_is_not_taken_for_empty() {
        let status =
            json!({"subscribed": true, "degraded": "another daemon works with this Redis", "read": false, "hooks": []});
        assert_eq!(
            needs(&status),
            ["hooks and meetings were not read from Redis yet: another daemon works with this Redis"]
        );
        let screen = screen(&status);
        assert!(screen.contains("Hooks are not known yet") && screen.contains("was not read yet"), "{screen}");
        assert!(!screen.contains("All is well"), "{screen}");
    }
}
