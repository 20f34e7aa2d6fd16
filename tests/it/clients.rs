//! The clients in `docs/api.md`, run against the daemon.

use std::process::Command;

use tempfile::TempDir;

use crate::harness::Daemon;
use crate::harness::Redis;
use crate::harness::SECRET;
use crate::harness::clean;
use crate::harness::interpreter;

const DOCUMENT: &str = include_str!("../../docs/api.md");

/// The first fenced block in a language.
fn block(language: &str) -> &'static str {
    let (_, rest) = DOCUMENT.split_once(&format!("```{language}\n")).unwrap();
    rest.split("```").next().unwrap()
}

/// What a client of the document prints, talking to a daemon of its own; `None` where its language is missing.
async fn printed(language: &str, program: &str, file: &str) -> Option<String> {
    let program = interpreter(program)?;
    let redis = Redis::start().await;
    let daemon = Daemon::on(&redis).start().await;
    let (host, port) = daemon.address();
    let mut text = block(language).to_owned();
    for (documented, here) in [
        ("https://bbb.example.org/bigbluebutton/api", format!("http://{host}:{port}/bigbluebutton/api")),
        ("my-secret", SECRET.to_owned()),
    ] {
        assert!(text.contains(documented), "{text}");
        text = text.replace(documented, &here);
    }
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join(file), text).unwrap();
    let mut command: Command = clean(program);
    command.arg(file).current_dir(folder.path());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    Some(String::from_utf8(output.stdout).unwrap())
}

async fn prints_what_the_document_says(language: &str, program: &str, file: &str) {
    if let Some(printed) = printed(language, program, file).await {
        assert_eq!(printed, block("xml"));
    }
}

#[tokio::test]
async fn the_client_in_bash_does_what_the_document_says() {
    prints_what_the_document_says("bash", "bash", "client.sh").await;
}

#[tokio::test]
async fn the_client_in_php_does_what_the_document_says() {
    prints_what_the_document_says("php", "php", "client.php").await;
}

#[tokio::test]
async fn the_client_in_python_does_what_the_document_says() {
    prints_what_the_document_says("python", "python3", "client.py").await;
}

#[tokio::test]
async fn the_client_in_javascript_does_what_the_document_says() {
    prints_what_the_document_says("js", "node", "client.mjs").await;
}
