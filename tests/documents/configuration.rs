//! `docs/configuration.md`: every key, with what `config/default.yml` says of it and the names that the program knows.

use std::collections::BTreeMap;
use std::fmt::Write;

use bbb_webhooks::config;
use bbb_webhooks::config::KeyNames;
use serde_yaml::Value;

use crate::generated;

const DEFAULT_FILE: &str = include_str!("../../config/default.yml");

/// The sections of the document: the steps that the names of its keys begin with, and a heading.
const SECTIONS: [(&str, &str); 9] = [
    ("bbb", "BigBlueButton"),
    ("server", "The API"),
    ("hooks", "Hooks and callbacks"),
    ("events", "Events of your own"),
    ("redis", "Redis"),
    ("mappings", "Meetings and users"),
    ("log", "The log"),
    ("prometheus", "Metrics"),
    ("xapi", "xAPI"),
];

/// What the long way to a module's settings is called in the document.
const SHORT: [(&str, &[&str]); 4] = [
    ("W", &["modules", "../out/webhooks/index.js", "config"]),
    ("I", &["modules", "../in/redis/index.js", "config"]),
    ("S", &["modules", "../db/redis/index.js", "config"]),
    ("X", &["modules", "../out/xapi/index.js"]),
];

/// The comment above each key of the default file, by the way to the key.
fn comments() -> BTreeMap<Vec<String>, String> {
    let mut comments = BTreeMap::new();
    let mut way: Vec<(usize, String)> = Vec::new();
    let mut comment = String::new();
    for line in DEFAULT_FILE.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if let Some(more) = text.strip_prefix("# ") {
            comment = format!("{comment} {more}").trim().to_owned();
        } else if let Some((key, _)) = text.split_once(':').filter(|_| !text.starts_with('-')) {
            way.retain(|(at, _)| *at < indent);
            way.push((indent, key.to_owned()));
            comments.insert(way.iter().map(|(_, step)| step.clone()).collect(), std::mem::take(&mut comment));
        } else {
            comment.clear();
        }
    }
    comments
}

/// A way as people write it, short where it can be.
fn name(way: &[&str]) -> String {
    let short = SHORT.iter().find_map(|(short, long)| Some((*short, way.strip_prefix(*long)?)));
    let steps = short.map_or_else(|| way.to_vec(), |(short, rest)| [&[short], rest].concat());
    steps.join(".")
}

fn section(key: &KeyNames) -> &'static str {
    let first = |way: &Vec<&str>| SECTIONS.iter().map(|(first, _)| *first).find(|first| way[0] == *first);
    let module = |way: &Vec<&str>| match name(way) {
        name if name.starts_with("I.redis.") || name.starts_with("S.") => Some("redis"),
        name if name.starts_with("W.api.") => Some("server"),
        name if name.starts_with("W.") => Some("hooks"),
        _ => None,
    };
    key.ways.iter().find_map(first).or_else(|| key.ways.iter().find_map(module)).unwrap_or_default()
}

/// One key as a row of a table; none for those that only say that they mean nothing here.
fn row(key: &KeyNames, comments: &BTreeMap<Vec<String>, String>, defaults: &Value) -> Option<String> {
    let shown = key.ways.iter().min_by_key(|way| way.len())?;
    let owned = |way: &Vec<&str>| way.iter().map(|step| (*step).to_owned()).collect::<Vec<_>>();
    let told = key.ways.iter().find_map(|way| Some((comments.get(&owned(way))?, way)));
    let (says, default) = match told {
        Some((comment, way)) => {
            let value = way.iter().try_fold(defaults, |tree, step| tree.get(*step)).expect("the file has the key");
            let variable = key.variable.map(|variable| format!(". Variable {variable}")).unwrap_or_default();
            (comment.strip_suffix(&variable).unwrap_or(comment).to_owned(), shown_value(value))
        }
        // One module's Redis alone, which the file only speaks of.
        None => {
            let field = shown.last()?;
            let module = if name(shown).starts_with("I.") { "the input" } else { "the store" };
            (format!("`redis.{field}` for {module} alone"), "that of `redis`".to_owned())
        }
    };
    let others = key.ways.iter().filter(|way| *way != shown).map(|way| format!("`{}`", name(way)));
    let others = others.collect::<Vec<_>>().join(", ");
    let variable = key.variable.map(|variable| format!("`{variable}`")).unwrap_or_default();
    Some(format!("| `{}` | {others} | {variable} | {default} | {says} |", name(shown)))
}

fn shown_value(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "none".to_owned(),
        Value::String(text) => format!("`{text}`"),
        Value::Sequence(items) if items.is_empty() => "none".to_owned(),
        Value::Sequence(items) => {
            let items = items.iter().map(|item| match item {
                Value::String(text) => text.clone(),
                other => serde_json::to_string(other).unwrap(),
            });
            format!("`{}`", items.collect::<Vec<_>>().join("`, `"))
        }
        other => format!("`{}`", serde_json::to_string(other).unwrap()),
    }
}

#[test]
fn the_document_has_every_key() {
    let comments = comments();
    let defaults: Value = serde_yaml::from_str(DEFAULT_FILE).unwrap();
    let keys = config::key_names();
    let ignored = |key: &KeyNames| key.ways.iter().all(|way| way.len() == 3 && way[2] == "enabled");
    let mut text = String::new();
    for (first, heading) in SECTIONS {
        let _ =
            writeln!(text, "## {heading}\n\n| key | or | variable | default | what it says |\n|---|---|---|---|---|");
        for key in keys.iter().filter(|key| section(key) == first && !ignored(key)) {
            let row = row(key, &comments, &defaults).unwrap();
            assert!(!row.ends_with("|  |"), "config/default.yml says nothing of {row}");
            let _ = writeln!(text, "{row}");
        }
        text.push('\n');
    }
    for key in keys.iter().filter(|key| !ignored(key)) {
        let shown = name(key.ways.iter().min_by_key(|way| way.len()).unwrap());
        assert!(text.contains(&format!("| `{shown}` |")), "{shown} is in no section");
    }
    generated::check("docs/configuration.md", &text);
}
