//! `docs/compatibility.md`: every quirk stands there, and what it names as its test exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::project;
use crate::read;

const DOCUMENT: &str = "docs/compatibility.md";

/// The names of the recorded cases in a file.
fn cases(file: &str) -> BTreeSet<String> {
    let name = |line: &str| serde_json::from_str::<Value>(line).unwrap()["name"].as_str().unwrap().to_owned();
    read(file).lines().map(name).collect()
}

/// Texts in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The source files that mark a quirk.
fn marked(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            marked(&path, found);
        } else if fs::read_to_string(&path).is_ok_and(|text| text.contains("COMPAT:")) {
            found.insert(path.strip_prefix(project()).unwrap().display().to_string());
        }
    }
}

#[test]
fn every_quirk_that_is_marked_stands_there() {
    let document = read(DOCUMENT);
    let mut files = BTreeSet::new();
    marked(&project().join("src"), &mut files);
    assert!(!files.is_empty());
    let missing: Vec<_> = files.iter().filter(|file| !document.contains(&format!("`{file}`"))).collect();
    assert!(missing.is_empty(), "COMPAT: in {missing:?}, and nothing of them in {DOCUMENT}");
}

#[test]
fn what_it_names_as_a_test_exists() {
    let document = read(DOCUMENT);
    let files = quoted(&document).filter(|text| text.starts_with("tests/") || text.starts_with("src/"));
    let missing: BTreeSet<_> = files.filter(|file| !project().join(file).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for file in ["tests/corpus/events.jsonl", "tests/corpus/api.jsonl", "tests/corpus/xapi.jsonl"] {
        let cases = cases(file);
        let mentioned = format!("`{file}`: ");
        for mention in document.split(&mentioned).skip(1) {
            let end = mention.find([')', '|', ';', '`']).unwrap_or(mention.len());
            let named = mention[..end].split(',').map(str::trim).filter(|name| !name.is_empty());
            for name in named {
                assert!(cases.contains(name), "{file} has no case {name}");
            }
        }
    }
}

#[test]
fn every_row_of_a_table_says_why_and_how_it_is_tested() {
    let document = read(DOCUMENT);
    let (_, tables) = document.split_once("## Quirks kept").unwrap();
    let (tables, _) = tables.split_once("### Redis").unwrap();
    let rows = tables.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    let untested: Vec<_> =
        rows.filter(|row| !row.ends_with("| tested |") && !row.rsplit('|').nth(1).unwrap().contains('`')).collect();
    assert!(untested.is_empty(), "{untested:#?}");
    let unexplained: Vec<_> = tables.lines().filter(|line| line.starts_with('|') && line.contains("| |")).collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
}
