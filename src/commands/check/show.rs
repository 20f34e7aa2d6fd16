//! The configuration as YAML, with where each value came from. Pure.

use std::fmt::Write;

use serde_json::Value;

use crate::config::Setting;

/// Where the remarks begin, if the line is not longer.
const REMARK_AT: usize = 46;

/// A list in a longer line has a line for each item.
const LONG: usize = 100;

/// A file with every key, as it could stand in `/etc`; secrets are masked.
pub(super) fn yaml(settings: &[Setting]) -> String {
    let mut text = String::new();
    let mut before: &[&str] = &[];
    for Setting { way, value, from } in settings {
        let Some((last, sections)) = way.split_last() else { continue };
        let known = before.iter().zip(sections).take_while(|(one, other)| one == other).count();
        for (depth, section) in sections.iter().enumerate().skip(known) {
            if depth == 0 && !text.is_empty() {
                text.push('\n');
            }
            let _ = writeln!(text, "{}{section}:", "  ".repeat(depth));
        }
        let indent = "  ".repeat(sections.len());
        let line = format!("{indent}{last}: {}", scalar_or_flow(value));
        match value {
            Value::Array(items) if line.chars().count() > LONG => {
                let _ = writeln!(text, "{:<REMARK_AT$}  # {from}", format!("{indent}{last}:"));
                items.iter().for_each(|item| text += &format!("{indent}  - {}\n", scalar_or_flow(item)));
            }
            _ => drop(writeln!(text, "{line:<REMARK_AT$}  # {from}")),
        }
        before = sections;
    }
    text
}

/// JSON is YAML; texts are easier to read without quotes, where they need none.
fn scalar_or_flow(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "''".to_owned(),
        Value::String(text) if needs_no_quotes(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(scalar_or_flow).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", scalar_or_flow(&key.as_str().into()), scalar_or_flow(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn needs_no_quotes(text: &str) -> bool {
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let fits = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:".contains(c)) && !text.ends_with(':');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let number = text.starts_with(|c: char| c.is_ascii_digit()) && text.split('.').count() == 4;
    fits && (begins || number) && !word.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn is_yaml_with_the_same_keys_and_values() {
        let setting = |way: &[&'static str], value| Setting { way: way.to_vec(), value, from: "a place".to_owned() };
        let settings = [
            setting(&["a", "b"], json!("plain/text:1")),
            setting(&["a", "c", "d"], json!("no")),
            setting(&["a", "c", "e"], json!("***")),
            setting(&["a", "e2"], json!([{"a: b": {"c": "/d"}}])),
            setting(&["a", "f"], json!(["127.0.0.1", 5, "1.5", "x: y", ""])),
            setting(&["m", "../x.js", "g"], json!([{"url": "http://h/?a=***", "getRaw": true}])),
            setting(&["m", "../x.js", "h"], json!(vec!["bigbluebutton:from-bbb-apps:meeting"; 4])),
        ];
        let text = yaml(&settings);
        let tree: serde_yaml::Value = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        for Setting { way, value, .. } in settings {
            let found = way.iter().fold(&tree, |tree, step| &tree[*step]);
            assert_eq!(serde_json::to_value(found).unwrap(), value, "{text}");
        }
    }
}
