//! Every command in the documents says by what it is run.

use crate::documents;
use crate::project;
use crate::read;

/// What may stand on the line before a block of commands, beside `<!-- run by PATH -->`.
const MARKS: [&str; 3] = ["<!-- run -->", "<!-- run until Ctrl-C -->", "<!-- needs a BigBlueButton server -->"];

/// The lines before blocks of commands that say nothing, or something wrong.
fn unmarked(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let is_command = |line: &str| ["```sh", "```bash", "```console"].contains(&line.trim());
    let marked = |mark: &str| {
        let by = mark.strip_prefix("<!-- run by ").and_then(|rest| rest.strip_suffix(" -->"));
        MARKS.contains(&mark) || by.is_some_and(|path| project().join(path).is_file())
    };
    let blocks = (1..lines.len()).filter(|index| is_command(lines[*index]));
    blocks
        .filter(|index| !marked(lines[index - 1].trim()))
        .map(|index| format!("{}: {:?}", index + 1, lines[index - 1]))
        .collect()
}

#[test]
fn every_block_of_commands_says_by_what_it_is_run() {
    let mut missing = Vec::new();
    for document in documents() {
        let found = unmarked(&read(&document));
        missing.extend(found.into_iter().map(|line| format!("{}:{line}", document.display())));
    }
    assert!(missing.is_empty(), "CONTRIBUTING.md, Documents, says how to mark these:\n{}", missing.join("\n"));
}

#[test]
fn what_is_not_marked_is_found() {
    assert_eq!(unmarked("<!-- run -->\n```sh\nx\n```\n<!-- run by test.sh -->\n```console\nx\n```\n"), [""; 0]);
    assert_eq!(unmarked("\n```sh\n```\n<!-- run by no/such/file -->\n```bash\n```\n").len(), 2);
}
