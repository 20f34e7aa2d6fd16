//! Links between the documents.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use crate::documents;
use crate::project;
use crate::read;

/// A document without its fenced blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// The names that the headings of a document can be linked by, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text);
    let headings = headings.lines().filter_map(|line| line.strip_prefix('#')).map(|line| line.trim_start_matches('#'));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    headings
        .map(|heading| {
            let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            let anchor: String = kept.collect::<String>().to_lowercase().replace(' ', "-");
            let times = seen.entry(anchor.clone()).or_default();
            *times += 1;
            if *times == 1 { anchor } else { format!("{anchor}-{}", *times - 1) }
        })
        .collect()
}

/// The targets of a document's links.
fn targets(text: &str) -> Vec<String> {
    let prose = prose(text);
    let opened = prose.split("](").skip(1);
    opened.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut dead = Vec::new();
    for document in documents() {
        let text = read(&document);
        for target in targets(&text).into_iter().filter(|target| !target.contains("://")) {
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = document.parent().unwrap_or(Path::new("")).join(path);
            let there = path.is_empty() || project().join(&file).exists();
            let linked = if path.is_empty() {
                text.clone()
            } else {
                there.then(|| file.clone()).map_or_else(String::new, content)
            };
            if !there || !(anchor.is_empty() || anchors(&linked).contains(anchor)) {
                dead.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

fn content(file: impl AsRef<Path>) -> String {
    if project().join(&file).is_dir() { String::new() } else { read(file) }
}

#[test]
fn dead_links_are_found() {
    let text = "# One thing: `x`!\n## Again\n## Again\n```\n# no heading [no](link)\n```\n[a](b.md#c) and [d](#e)";
    assert_eq!(anchors(text), ["again", "again-1", "one-thing-x"].map(str::to_owned).into());
    assert_eq!(targets(text), ["b.md#c", "#e"]);
}
