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

/// What a client of the document prints, talking to that daemon; `None` where its language is missing.
async fn printed(daemon: &Daemon, language: &str, program: &str, file: &str) -> Option<String> {
    let program = interpreter(program)?;
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
    let redis = Redis::start().await;
    let daemon = Daemon::on(&redis).start().await;
    let Some(first) = printed(&daemon, language, program, file).await else { return };
    assert_eq!(first, block("xml"));
    // Hooks of others are left alone.
    let other = daemon.create("https://other.example.org/events", &[]).await;
    let again = printed(&daemon, language, program, file).await.unwrap();
    let created = again.lines().next().unwrap();
    assert!(created.contains("<hookID>3</hookID>"), "{created}");
    assert!(again.ends_with("<removed>true</removed></response>\n"), "{again}");
    assert_eq!(daemon.ids().await, [other]);
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
