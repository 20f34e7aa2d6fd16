//! The documents against the program: what can be generated is generated, and what is written by hand is checked.
//!
//! `UPDATE_DOCUMENTS=1 cargo test --test documents` writes the generated parts anew.

#![allow(clippy::unwrap_used, reason = "a test that finds something amiss fails")]

mod commands;
mod compatibility;
mod configuration;
mod events;
mod generated;
mod links;
mod log_fields;
mod monitoring;
mod tables;
mod worked;

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// The folder of the project.
fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the project.
fn read(path: impl AsRef<Path>) -> String {
    let path = project().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every document: the Markdown files at the top, in `docs`, and beside the examples, by their path in the project.
fn documents() -> Vec<PathBuf> {
    fn collect(folder: &Path, deep: bool, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && deep {
                collect(&path, deep, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path.strip_prefix(project()).unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    collect(project(), false, &mut found);
    for folder in ["docs", "examples", "monitoring", "tests"] {
        if project().join(folder).exists() {
            collect(&project().join(folder), true, &mut found);
        }
    }
    found.sort();
    found
}
