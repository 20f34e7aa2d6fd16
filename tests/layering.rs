//! Who may import whom: the layout of `src`, as a table.
//!
//! A room is a module of the library. [`ROOMS`] says of each which others it may use, and which of the libraries that do
//! I/O. What is not in the table is forbidden, so a new way between two rooms is a line here that somebody looks at.

#![allow(clippy::unwrap_used, reason = "a test that finds something amiss fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// A room: its module, what it may use of this crate, and what of the [`WATCHED`].
struct Room {
    name: &'static str,
    uses: &'static [&'static str],
    outside: &'static [&'static str],
}

const fn room(name: &'static str, uses: &'static [&'static str], outside: &'static [&'static str]) -> Room {
    Room { name, uses, outside }
}

/// What does I/O, runs tasks, or tells the time: not for everybody.
const WATCHED: [&str; 17] = [
    "axum",
    "fastrand",
    "hyper",
    "hyper_util",
    "redis",
    "reqwest",
    "rustls",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "tokio_util",
    "tracing",
];

/// Every room. A module within a room may have a line of its own; then that holds for it and for what is in it. Within
/// its outermost room, a module may use what it likes.
const ROOMS: &[Room] = &[
    // Pure: no I/O, no runtime, no clock.
    room("bound", &[], &[]),
    room("checksum", &[], &[]),
    room("event", &[], &[]),
    room("hook", &["event"], &[]),
    room("state", &["event"], &["fastrand"]),
    room("mapper", &["event", "state"], &[]),
    room("store::format", &["event", "hook", "state"], &[]),
    room("webhooks::address", &[], &[]),
    room("webhooks::form", &[], &[]),
    room("webhooks::callback", &["checksum", "config"], &[]),
    room("webhooks::signature", &["checksum", "config"], &[]),
    room("webhooks::standard", &["config"], &[]),
    room("journal::cursor", &[], &[]),
    room("journal::length", &[], &[]),
    // how a cursor says what waits for a retry is the lanes' business too
    room("delivery::lanes", &["config", "event", "journal"], &[]),
    room("delivery::episode", &["bound"], &[]),
    room("delivery::policy", &["config"], &[]),
    room("delivery::retry", &["config"], &[]),
    room("api::xml", &["hook"], &[]),
    room("xapi::credentials", &["config"], &[]),
    room("xapi::history", &[], &[]),
    room("xapi::known", &["event"], &[]),
    room("xapi::outlet", &["delivery", "journal"], &[]),
    room("xapi::records", &["event", "store"], &[]),
    room("xapi::statement", &["event"], &[]),
    // Counters, which everybody may read.
    room("books", &["event"], &[]),
    // Beats, which app listens to.
    room("pulse", &[], &["tokio"]),
    // How often a line is written of what lasts.
    room("seldom", &[], &["tokio"]),
    // The clock, and nothing else.
    room("clock", &[], &["std::time::SystemTime"]),
    // Around.
    room("cli", &["checksum"], &["std::net", "std::time::SystemTime"]),
    room(
        "commands",
        &["cli", "clock", "config", "connection", "delivery", "event", "store", "webhooks"],
        &["std::time::SystemTime", "tokio"],
    ),
    room("commands::answer", &[], &[]),
    room("commands::check", &["cli", "config", "connection", "delivery"], &["redis", "std::net", "tokio"]),
    room("commands::check::log_file", &["config"], &["std::fs"]),
    room("commands::check::show", &["config"], &[]),
    // asks the API, and by HEAD whether receivers are there
    room("commands::client", &["checksum", "config", "delivery"], &["reqwest", "std::net"]),
    room(
        "commands::events",
        &["cli", "clock", "config", "connection", "event", "input", "mapper", "processor", "state", "store"],
        &["fastrand", "redis", "std::fs", "tokio", "tokio_util"],
    ),
    room("commands::explain", &["event", "mapper"], &[]),
    room("commands::pages", &["cli"], &["std::fs"]),
    room("commands::receive", &["cli", "clock", "config", "webhooks"], &["axum", "tokio"]),
    room("commands::sign", &["checksum", "cli", "config", "webhooks"], &["std::fs"]),
    // knows which events are built in, what describes others, and which URLs can be called back
    room("config", &["checksum", "hook", "mapper"], &["std::fs", "std::net"]),
    room("config::sources", &[], &["std::env"]),
    room("logging", &["config"], &["std::fs", "std::time::SystemTime", "tracing"]),
    // tells over a socket
    room("systemd", &["seldom"], &["std::process", "tokio", "tracing"]),
    // In.
    room("connection", &["config"], &["redis", "tokio", "tracing"]),
    room(
        "input",
        &["books", "connection", "event", "seldom"],
        &["fastrand", "redis", "tokio", "tokio_util", "tracing"],
    ),
    room(
        "processor",
        &["books", "clock", "config", "event", "input", "journal", "mapper", "pulse", "state", "store"],
        &["fastrand", "tokio", "tracing"],
    ),
    // Kept.
    room(
        "journal",
        &["books", "clock", "config", "connection", "event", "hook", "pulse", "seldom", "store"],
        &["redis", "tokio", "tokio_util", "tracing"],
    ),
    room("journal::holder", &[], &["std::fs", "std::process"]),
    room("store", &["config", "connection", "event", "hook", "state"], &["redis", "tokio", "tokio_util", "tracing"]),
    room(
        "replay",
        &["clock", "event", "hook", "journal", "mapper", "registry", "store"],
        &["tokio", "tokio_util", "tracing"],
    ),
    room("registry", &["books", "config", "event", "hook", "journal", "store"], &["tokio", "tracing"]),
    // Out.
    room("delivery", &["books", "clock", "config", "event", "journal"], &[]),
    room("delivery::attempts", &["event", "journal"], &["tokio", "tracing"]),
    room("delivery::ledger", &["books", "clock", "event", "journal", "seldom"], &["tokio", "tracing"]),
    // looks names up
    room("delivery::guard", &[], &["std::net", "tokio"]),
    room("delivery::names", &[], &["std::net", "tokio"]),
    room("delivery::stopwatch", &[], &["tokio"]),
    // one deadline over several tries
    room("delivery::sender", &["clock", "config"], &["reqwest", "std::fs", "tokio", "tracing"]),
    room(
        "webhooks",
        &["books", "bound", "clock", "config", "delivery", "event", "hook", "journal", "registry"],
        &["fastrand", "tokio", "tokio_util", "tracing"],
    ),
    room(
        "xapi",
        &["books", "bound", "clock", "config", "delivery", "event", "hook", "journal", "store"],
        &["fastrand", "tokio", "tokio_util", "tracing"],
    ),
    room(
        "api",
        // tells who must not be called before a hook is made for it
        &["books", "bound", "checksum", "clock", "config", "delivery", "event", "hook", "registry", "server", "status"],
        &["axum", "tokio", "tokio_util", "tracing"],
    ),
    // for tests alone
    room(
        "api::fuzzing",
        &["checksum", "config", "delivery", "event", "hook", "server", "status"],
        &["axum", "hyper", "std::net"],
    ),
    // tells who asks
    room("server", &["config"], &["axum", "hyper", "hyper_util", "std::net", "tokio", "tokio_util", "tracing"]),
    // Looks at everything, changes nothing.
    room("status", &["books", "clock", "event", "hook", "journal", "registry", "xapi"], &["tokio"]),
    room(
        "metrics",
        &["books", "config", "event", "hook", "journal", "server", "status"],
        &["axum", "tokio", "tokio_util", "tracing"],
    ),
    room("metrics::process", &[], &["std::fs"]),
    // Every way in, for tests alone.
    room(
        "fuzzing",
        &[
            "api",
            "config",
            "connection",
            "delivery",
            "event",
            "journal",
            "mapper",
            "processor",
            "registry",
            "server",
            "state",
            "status",
            "store",
            "webhooks",
            "xapi",
        ],
        &[
            "axum",
            "fastrand",
            "hyper",
            "hyper_util",
            "redis",
            "rustls",
            "std::env",
            "std::fs",
            "std::process",
            "tokio",
            "tokio_util",
        ],
    ),
    // The only wiring. Nobody uses it but the program.
    room(
        "app",
        &[
            "api",
            "books",
            "clock",
            "config",
            "connection",
            "event",
            "input",
            "journal",
            "logging",
            "mapper",
            "metrics",
            "processor",
            "pulse",
            "registry",
            "replay",
            "seldom",
            "state",
            "status",
            "store",
            "systemd",
            "webhooks",
            "xapi",
        ],
        &["fastrand", "std::net", "tokio", "tokio_util", "tracing"],
    ),
];

/// What is allowed in one place alone: the file, and the path.
const MENTIONS_ALLOWED: &[(&str, &str)] = &[];

/// The source files of the library, with the module that each is.
fn modules() -> Vec<(PathBuf, String)> {
    fn collect(folder: &Path, within: &[String], found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let module: Vec<String> = within.iter().cloned().chain([name.clone()]).collect();
            if path.is_dir() {
                collect(&path, &module, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = if name == "mod" { within } else { &module };
                found.push((path, module.join("::")));
            }
        }
    }
    let mut found = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[], &mut found);
    found.retain(|(_, module)| !matches!(module.as_str(), "lib" | "main"));
    found.sort();
    found
}

/// A file's text without comments and texts in quotes, which may say anything.
fn code(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    for line in source.lines() {
        let mut quoted = false;
        let mut characters = line.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\\' if quoted => drop(characters.next()),
                '\'' if !quoted && characters.peek() == Some(&'"') => drop(characters.next()),
                '"' => quoted = !quoted,
                '/' if !quoted && characters.peek() == Some(&'/') => break,
                _ if quoted => {}
                other => code.push(other),
            }
        }
        code.push('\n');
    }
    code
}

/// Every place where `name` stands in `code` as a path or the beginning of one, and what follows.
fn mentions<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let of_a_name = |character: char| character.is_alphanumeric() || character == '_';
    code.match_indices(name).filter_map(move |(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        let begins = !before.ends_with(of_a_name) && (!before.ends_with("::") || before.ends_with(" ::"));
        let ends = !after.starts_with(of_a_name);
        (begins && ends).then_some(after)
    })
}

/// The rooms with a line in the table that a module is in, the innermost last.
fn rooms_of(module: &str) -> Vec<&'static Room> {
    let is_in = |room: &&Room| module == room.name || module.starts_with(&format!("{}::", room.name));
    let mut rooms: Vec<_> = ROOMS.iter().filter(is_in).collect();
    rooms.sort_by_key(|room| room.name.len());
    rooms
}

fn outermost(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

/// What is wrong with one file.
fn violations(path: &str, module: &str, source: &str) -> Vec<String> {
    let Some(room) = rooms_of(module).pop() else {
        return vec![format!("{path}: the room {module} is not in the table")];
    };
    let code = code(source);
    let mut wrong = Vec::new();
    for after in mentions(&code, "crate") {
        // `pub(crate)`, not a path.
        let Some(rest) = after.strip_prefix("::") else { continue };
        let target: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let pure_neighbour = |name: &str| ROOMS.iter().any(|room| room.name == name && room.outside.is_empty());
        let path_of_target: String =
            rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect();
        if target.is_empty() {
            wrong.push(format!(
                "{path}: an import of several things at once: crate::{}",
                rest.lines().next().unwrap_or_default()
            ));
        } else if target == outermost(module) {
            // A pure room within another keeps away from those that are not.
            let inside = rooms_of(&path_of_target.to_lowercase()).pop().map_or(outermost(module), |room| room.name);
            if room.outside.is_empty() && room.name.contains("::") && inside != room.name && !pure_neighbour(inside) {
                wrong.push(format!("{path}: {} is pure and may not use crate::{path_of_target}", room.name));
            }
        } else if !room.uses.contains(&target.as_str()) {
            wrong.push(format!("{path}: {} may not use crate::{target}", room.name));
        }
    }
    let most_up = module.split("::").count() - 1;
    if code.contains(&"super::".repeat(most_up + 1)) {
        wrong.push(format!("{path}: a way out of {} that does not begin with crate", outermost(module)));
    }
    for watched in WATCHED {
        let allowed = |after: &str| {
            room.outside.contains(&watched)
                || MENTIONS_ALLOWED.iter().any(|(file, mention)| {
                    path.ends_with(file)
                        && mention.strip_prefix(watched).is_some_and(|rest| {
                            after.starts_with(rest) && !after[rest.len()..].starts_with(|c: char| c.is_alphanumeric())
                        })
                })
        };
        let is_path = |after: &&str| after.starts_with("::") || after.starts_with(';') || watched.contains("::");
        let in_a_group = watched.rsplit_once("::").is_some_and(|(within, name)| {
            let groups = mentions(&code, within).filter_map(|after| after.strip_prefix("::{")?.split('}').next());
            groups.into_iter().any(|group| mentions(group, name).next().is_some()) && !room.outside.contains(&watched)
        });
        if in_a_group || mentions(&code, watched).filter(is_path).any(|after| !allowed(after)) {
            wrong.push(format!("{path}: {} may not use {watched}", room.name));
        }
    }
    if room.outside.is_empty() && code.contains("async ") {
        wrong.push(format!("{path}: {} is pure and waits for nobody", room.name));
    }
    wrong
}

/// The part of a file before its unit tests, which may use what they test with.
fn without_tests(source: &str) -> &str {
    source.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(source)
}

#[test]
fn every_room_uses_only_what_it_may() {
    let mut wrong = Vec::new();
    for (path, module) in modules() {
        if module.split("::").any(|part| part == "tests") {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        wrong.extend(violations(&path.to_string_lossy(), &module, without_tests(&source)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_no_line_for_what_is_not_there() {
    let modules: BTreeSet<String> = modules().into_iter().map(|(_, module)| module).collect();
    for room in ROOMS {
        assert!(modules.contains(room.name), "there is no {}", room.name);
        for used in room.uses {
            assert!(modules.contains(*used), "{} may use {used}, which is not there", room.name);
        }
        assert!(room.outside.iter().all(|name| WATCHED.contains(name)), "{}", room.name);
    }
}

#[test]
fn the_table_goes_one_way() {
    /// Whether `from` comes to use `to`, by however many steps.
    fn reaches(from: &str, to: &str) -> bool {
        ROOMS
            .iter()
            .filter(|room| outermost(room.name) == from)
            .flat_map(|room| room.uses)
            .any(|used| *used == to || reaches(used, to))
    }
    for room in ROOMS {
        let room = outermost(room.name);
        assert!(!reaches(room, room), "{room} comes to use itself");
    }
    for (from, to) in [
        ("mapper", "connection"),
        ("api", "webhooks"),
        ("webhooks", "api"),
        ("processor", "webhooks"),
        ("processor", "registry"),
        ("input", "store"),
    ] {
        assert!(!reaches(from, to), "{from} comes to use {to}");
    }
    assert!(ROOMS.iter().all(|room| !room.uses.contains(&"app")), "nobody uses app");
}

#[test]
fn what_is_forbidden_is_found() {
    for (module, source) in [
        ("mapper::meeting", "use crate::store::Store;"),
        ("mapper", "use redis::Client;"),
        ("mapper", "fn f() { crate::clock::unix_ms(); }"),
        ("event", "use std::time::SystemTime;"),
        ("event", "use std::time::{Duration, SystemTime};"),
        ("event", "fn f() { std::time::Instant::now(); }"),
        ("hook", "async fn f() {}"),
        ("api", "use crate::webhooks::Webhooks;"),
        ("api::xml", "use axum::Router;"),
        ("api::xml", "use crate::api::call::Call;"),
        ("webhooks::deliverer", "use reqwest::Client;"),
        ("webhooks::mod", "fn f() { ::redis::cmd(\"GET\"); }"),
        ("delivery::retry", "use crate::webhooks::deliverer::Deliverer;"),
        ("delivery::lanes", "use crate::delivery::sender::Sender;"),
        ("processor", "use crate::registry::Registry;"),
        ("registry", "use {redis::Client};"),
        ("registry", "use crate::{event::Event, hook::Hook};"),
        ("store::format", "use crate::store::writer::Writer;"),
        ("hook", "use super::store::Store;"),
        ("mapper::meeting", "use super::super::store::Store;"),
        ("attic", "fn f() {}"),
    ] {
        assert!(!violations("src/x.rs", module, source).is_empty(), "{module}: {source}");
    }
    for (module, source) in [
        ("mapper::meeting", "use crate::mapper::draft::Draft;\nuse crate::state::State;"),
        ("mapper", "// crate::store is elsewhere\nconst X: &str = \"redis::Client\";"),
        ("mapper", "fn redis_like() { let redis = 1; }"),
        ("api", "pub(crate) fn f() {}"),
        ("delivery::sender", "use reqwest::Client;\nuse crate::delivery::retry::Answer;"),
        ("api::xml", "use crate::hook::Hook;"),
        ("config::files", "use super::report::Report;"),
        ("connection", "use std::time::{Duration};"),
    ] {
        assert_eq!(violations("src/x.rs", module, source), Vec::<String>::new(), "{module}: {source}");
    }
}
