//! Tables are whole: a blank line in one makes text of the rows behind it.

use crate::documents;
use crate::read;

/// The rows that are part of no table, by their numbers.
fn strays(text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let is_row = |index: usize| lines.get(index).is_some_and(|line| line.trim_start().starts_with('|'));
    let is_rule = |index: usize| lines.get(index).is_some_and(|line| line.trim_start().starts_with("|---"));
    let mut fenced = false;
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        let begins = is_row(index) && !(index > 0 && is_row(index - 1));
        if !fenced && begins && !is_rule(index + 1) {
            found.push(index + 1);
        }
    }
    found
}

#[test]
fn every_row_is_part_of_a_table() {
    let mut found = Vec::new();
    for document in documents() {
        let strays = strays(&read(&document));
        found.extend(strays.into_iter().map(|line| format!("{}:{line}", document.display())));
    }
    assert!(found.is_empty(), "rows outside of tables:\n{}", found.join("\n"));
}

#[test]
fn rows_outside_of_tables_are_found() {
    assert_eq!(strays("| a |\n|---|\n| b |\n\n| c |\n```\n| d |\n```\n"), [5]);
}
