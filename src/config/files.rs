//! The layers: which files there are, what they hold, and what `NODE_CONFIG` holds. Weakest first.

use std::fs;
use std::io;
use std::path::Path;
use std::rc::Rc;

use serde_yaml::{Mapping, Value};

use super::Sources;
use super::keys;
use super::origin::{File, Origin};
use super::report::Report;

/// The three files of each folder, in the order of reading: the first of every folder, then the second of every
/// folder, then the third.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// `default.yml`: what the package brings.
    Default,
    /// `production.yml`, or whatever `NODE_ENV` names.
    Named,
    /// `local.yml`: this server's own.
    Local,
    /// The environment: `NODE_CONFIG`, then single variables.
    Environment,
}

/// What one file or `NODE_CONFIG` says, in whatever dialect.
pub(super) struct Layer {
    /// Its turn.
    pub(super) stage: Stage,
    /// Where it was read.
    pub(super) origin: Origin,
    /// What it says.
    pub(super) tree: Mapping,
}

/// Reads all layers but the single variables. A file that is not there is no layer; one that cannot be used is a
/// problem in `report`.
pub(super) fn read(sources: &Sources, report: &mut Report) -> Vec<Layer> {
    let name = sources.variable("NODE_ENV").unwrap_or("production");
    if name.contains('/') {
        report.problem("environment variable NODE_ENV: expected a name without /, such as production".to_owned());
        return Vec::new();
    }
    for folder in sources.named_folders() {
        let why = match fs::metadata(folder) {
            Ok(there) if there.is_dir() => continue,
            Ok(_) => "is no folder",
            Err(error) if error.kind() == io::ErrorKind::NotFound => "there is no such folder",
            // What is wrong is said of the files in it.
            Err(_) => continue,
        };
        report.notice(format!("environment variable NODE_CONFIG_DIR: {}: {why}", folder.display()));
    }
    let mut layers = Vec::new();
    for (stage, name) in [(Stage::Default, "default"), (Stage::Named, name), (Stage::Local, "local")] {
        for folder in &sources.folders {
            match read_file(&folder.join(format!("{name}.yml")), sources.by_hand) {
                Ok(Some((file, tree))) => layers.push(Layer { stage, origin: Origin::File(Rc::new(file)), tree }),
                Ok(None) => {}
                Err(problem) => report.problem(problem),
            }
        }
    }
    if let Some(json) = sources.variable("NODE_CONFIG") {
        match parse_node_config(json) {
            Ok(tree) => layers.push(Layer { stage: Stage::Environment, origin: Origin::NodeConfig, tree }),
            Err(problem) => report.problem(problem),
        }
    }
    layers
}

/// What to do for a person who may not read what the daemon may. Not to make it readable: it may hold the secret.
pub(super) const AS_THE_DAEMON: &str =
    "run this as the daemon's user, who has to be able to read it: sudo -u bigbluebutton bbb-webhooks ...";

/// One file; none if it is not there.
fn read_file(path: &Path, by_hand: bool) -> Result<Option<(File, Mapping)>, String> {
    let shown = path.display();
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            return Err(format!("{shown}: is a directory, expected a YAML file"));
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && by_hand => {
            return Err(format!("{shown}: cannot be read: {error}; {AS_THE_DAEMON}"));
        }
        Err(error) => {
            return Err(format!("{shown}: cannot be read: {error}; let the daemon's user read it"));
        }
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + good.iter().rev().take_while(|byte| **byte != b'\n').count();
        format!("{shown}:{line}:{column}: is not UTF-8; save the file in that encoding")
    })?;
    let tree = parse_yaml(&text).map_err(|problem| format!("{shown}{problem}"))?;
    Ok(Some((File { path: path.to_owned(), text }, tree)))
}

/// The mapping in a YAML text; an empty text, or one of comments only, is an empty mapping. The error begins with
/// `:LINE:COLUMN: ` as far as they are known.
fn parse_yaml(text: &str) -> Result<Mapping, String> {
    let mut value: Value = serde_yaml::from_str(text)
        .map_err(|error| describe(&error) + &tab_before(text, error.location().map(|at| at.line())))?;
    value.apply_merge().map_err(|error| describe(&error))?;
    match value {
        Value::Null => Ok(Mapping::new()),
        Value::Mapping(tree) => Ok(tree),
        _ => Err(":1:1: expected a mapping (lines of the form \"key: value\") at the top".to_owned()),
    }
}

/// What to say of a tab at the beginning of a line, up to the one where the parser gave up: there YAML takes none, and the
/// parser does not name it.
fn tab_before(text: &str, line: Option<usize>) -> String {
    let begins_with_tab = |line: &str| line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t');
    let lines = (1..).zip(text.lines()).take(line.unwrap_or(usize::MAX).saturating_add(1));
    let tab = lines.filter(|(_, line)| begins_with_tab(line)).last();
    tab.map_or_else(String::new, |(number, _)| {
        format!("; line {number} begins with a tab, where YAML takes blanks only")
    })
}

/// What is wrong with a YAML text, without a word of it, because that may be a secret: the parser names the keys around
/// the fault before a colon, and quotes what it read. Of a key given twice it knows no line of its own, so the key is
/// named, if it is one of ours.
fn describe(error: &serde_yaml::Error) -> String {
    let message = error.to_string();
    let place = error.location().map(|at| format!(":{}:{}", at.line(), at.column())).unwrap_or_default();
    if message.contains("duplicate entry") {
        let key = message.split('"').nth(1).filter(|key| keys::is_part_of_a_key(key));
        let which = key.map_or_else(|| "a key".to_owned(), |key| format!("the key {key}"));
        return format!("{place}: {which} stands twice in this mapping; remove one of them");
    }
    if message.contains("as u128") || message.contains("as i128") {
        return format!("{place}: a number has too many digits; if it is a text, put it in quotes");
    }
    if message.contains("invalid value") || message.contains("invalid type") {
        return format!("{place}: is not valid YAML: a value does not fit its tag");
    }
    let safe = message.rsplit(": ").next().unwrap_or_default();
    let safe = safe.split(['"', '`']).next().unwrap_or_default();
    let safe = safe.split(" at line ").next().unwrap_or_default();
    format!("{place}: is not valid YAML: {}", safe.trim_end())
}

/// The object in `NODE_CONFIG`.
fn parse_node_config(json: &str) -> Result<Mapping, String> {
    const EXPECTED: &str = "expected a JSON object such as {\"log\":{\"level\":\"debug\"}}";
    let value: serde_json::Value = serde_json::from_str(json)
        .map_err(|error| format!("NODE_CONFIG:{}:{}: is not valid JSON, {EXPECTED}", error.line(), error.column()))?;
    match serde_yaml::to_value(value) {
        Ok(Value::Mapping(tree)) => Ok(tree),
        _ => Err(format!("NODE_CONFIG: {EXPECTED}")),
    }
}
