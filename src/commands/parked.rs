//! `parked`: what a hook's receiver refused to the last retry.

use std::fmt::Write;

use crate::cli;
use crate::commands::printable;
use crate::commands::stored_hook;
use crate::commands::time;
use crate::config::Config;
use crate::store::parked::Parked;

/// Lists or drops the parked events of a hook. Gives what to print.
///
/// # Errors
/// If Redis is not there or there is no such hook.
pub async fn parked(config: &Config, asked: &cli::Parked) -> anyhow::Result<String> {
    let (store, hook) = stored_hook(config, &asked.hook).await?;
    let parked = store.parked(&hook).await?;
    if asked.drop_all || !asked.drop.is_empty() {
        let all: Vec<_> = parked.iter().map(|(number, _)| *number).collect();
        let dropped = store.drop_parked(&hook, if asked.drop_all { &all } else { &asked.drop }).await?;
        return Ok(format!("{dropped} parked events of hook {hook} are dropped.\n"));
    }
    if asked.json {
        return Ok(parked.iter().fold(String::new(), |lines, (number, event)| lines + &json_line(*number, event)));
    }
    if parked.is_empty() {
        return Ok(format!("No events of hook {hook} are parked.\n"));
    }
    let mut table =
        format!("{:<18}  {:<20}  {:<28}  {:<20}  {}\n", "NUMBER", "PARKED", "EVENT", "MEETING", "REFUSED WITH");
    for (number, event) in &parked {
        let (at, meeting) = (time(event.parked), event.external.as_deref().unwrap_or("-"));
        let row = format!("{number:<18}  {at:<20}  {:<28}  {meeting:<20}  {}", event.event, event.reason);
        writeln!(table, "{}", printable(&row))?;
    }
    Ok(table)
}

fn json_line(number: u64, event: &Parked) -> String {
    let mut line = serde_json::json!({"number": number});
    if let (Some(members), Ok(serde_json::Value::Object(more))) = (line.as_object_mut(), serde_json::to_value(event)) {
        members.extend(more);
    }
    format!("{line}\n")
}
