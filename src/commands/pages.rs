//! `completions` and `man`: what the command line says of itself, for shells and for `man`.

use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;

use crate::cli::Cli;
use crate::cli::Completions;
use crate::cli::Man;

const NAME: &str = "bbb-webhooks";

/// The completions for a shell.
#[must_use]
pub fn completions(asked: &Completions) -> String {
    let mut text = Vec::new();
    clap_complete::generate(asked.shell, &mut Cli::command(), NAME, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The manual page, or all of them into a folder: then nothing is left to print.
///
/// # Errors
/// If the folder cannot be written.
pub fn man(asked: &Man) -> anyhow::Result<String> {
    match &asked.folder {
        Some(folder) => {
            let wrong = || format!("{}: the manual pages cannot be written", folder.display());
            write_pages(folder).with_context(wrong).map(|()| String::new())
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            Ok(String::from_utf8_lossy(&page).into_owned())
        }
    }
}

fn write_pages(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)
}
