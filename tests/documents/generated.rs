//! Parts of documents that are generated.

use std::fs;

use crate::project;
use crate::read;

const BEGIN: &str = "<!-- generated from here on -->\n";
const END: &str = "<!-- to here -->\n";

/// Checks that the generated part of a document says `content`; or writes it there, if asked to.
pub(crate) fn check(path: &str, content: &str) {
    let text = read(path);
    let (before, rest) = text.split_once(BEGIN).unwrap_or_else(|| panic!("{path} has no line {BEGIN}"));
    let (old, after) = rest.split_once(END).unwrap_or_else(|| panic!("{path} has no line {END}"));
    let content = format!("\n{}\n\n", content.trim());
    if old == content {
        return;
    }
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(project().join(path), format!("{before}{BEGIN}{content}{END}{after}")).unwrap();
        return;
    }
    let difference = old.lines().zip(content.lines()).find(|(old, new)| old != new);
    panic!(
        "{path} is not what it would be if it were generated now; the first difference: {difference:#?}\n\
         UPDATE_DOCUMENTS=1 cargo test --test documents    writes it anew"
    );
}
