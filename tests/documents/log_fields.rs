//! `docs/operations.md` explains every field that a line of the log may have.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::project;
use crate::read;

/// The fields that the macros of a source file give to the log.
fn fields(source: &str) -> Vec<String> {
    let without_comments: Vec<_> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let source = without_comments.join("\n");
    let mut found = Vec::new();
    for level in ["trace!(", "debug!(", "info!(", "warn!(", "error!("] {
        let whole = source.match_indices(level).filter(|(at, _)| {
            let before = source[..*at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
        });
        for (at, _) in whole {
            found.extend(arguments(&source[at + level.len()..]).iter().filter_map(|argument| field(argument)));
        }
    }
    found
}

/// What stands between the commas of a macro, up to its end.
fn arguments(text: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for c in text.chars() {
        match c {
            _ if quoted => {
                quoted = escaped || c != '"';
                escaped = c == '\\' && !escaped;
            }
            '"' => quoted = true,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(String::new());
                continue;
            }
            _ => {}
        }
        found.last_mut().unwrap().push(c);
    }
    found
}

/// The name of the field that an argument gives: `name`, `%name`, `?name` or `name = ...`.
fn field(argument: &str) -> Option<String> {
    let name = argument.split('=').next().unwrap().trim().trim_start_matches(['%', '?']);
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '.');
    is_name.then(|| name.to_owned())
}

/// Where each field is used.
fn used(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            used(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
            let source = read(&path);
            let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
            let place = path.strip_prefix(project()).unwrap().display().to_string();
            found.extend(fields(source).into_iter().map(|field| (field, place.clone())));
        }
    }
}

#[test]
fn every_field_of_the_log_is_explained() {
    let document = read("docs/operations.md");
    let (_, section) = document.split_once("### Log fields\n").expect("docs/operations.md has a section of log fields");
    let section = section.split("\n#").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let listed: Vec<&str> = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)).collect();
    let mut used = BTreeMap::new();
    self::used(&project().join("src"), &mut used);
    assert!(used.len() > 40, "{used:?}");
    let missing: Vec<_> = used.iter().filter(|(field, _)| !listed.contains(&field.as_str())).collect();
    assert!(missing.is_empty(), "not in docs/operations.md, Log fields: {missing:?}");
    let gone: Vec<_> = listed.iter().filter(|field| !used.contains_key(**field)).collect();
    assert!(gone.is_empty(), "in docs/operations.md, Log fields, and in no line of the log: {gone:?}");
}

/// All that the program can say.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { sources(&path) } else { read(&path) }).collect()
}

#[test]
fn the_messages_worth_an_alert_exist() {
    let document = read("docs/operations.md");
    let (_, section) = document.split_once("### Messages worth an alert\n").unwrap();
    let section = section.split("\n#").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `") && !line.starts_with("| `message`"));
    let begins = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    let begins: Vec<&str> = begins.collect();
    assert!(begins.len() > 5, "{begins:?}");
    let sources = sources(&project().join("src"));
    let unknown: Vec<_> = begins.iter().filter(|begin| !sources.contains(&format!("\"{begin}"))).collect();
    assert!(unknown.is_empty(), "no line of the log begins with {unknown:?}");
}

#[test]
fn fields_are_found_in_every_form() {
    let source = r#"
        // warn!(comment = 1, "no");
        warn!(hook.id = %self.id, ?reason, answer, error = f(a, "x, y = 1)"), "Text, with z = {z}");
        my_info!(not = 1, "no");
        debug!("Only a text");
    "#;
    assert_eq!(fields(source), ["hook.id", "reason", "answer", "error"]);
}
