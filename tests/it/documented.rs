//! The commands in the documents, as they stand there: those that are marked by `<!-- run -->` or `<!-- run until Ctrl-C -->`.

use std::fmt::Write;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::process::Output;

use tempfile::TempDir;

use crate::harness::Lab;
use crate::harness::SECRET;
use crate::harness::clean;
use crate::harness::free_port;
use crate::harness::interpreter;
use crate::harness::project;

/// A block of commands, and whether it ends by itself.
struct Block {
    commands: String,
    ends: bool,
}

/// The blocks of a document that are to be run.
fn blocks(path: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(project().join(path)).unwrap();
    let mut found = Vec::new();
    for (mark, ends) in [("<!-- run -->", true), ("<!-- run until Ctrl-C -->", false)] {
        for (at, _) in text.match_indices(mark) {
            let (_, rest) = text[at..].split_once("```sh\n").expect("a block follows");
            found.push((at, Block { commands: rest.split("```").next().unwrap().to_owned(), ends }));
        }
    }
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, block)| block).collect()
}

/// What every script begins with. A command that goes on until Ctrl-C is stopped when it says so, and has to end well.
const BEGIN: &str = r#"
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
until_ctrl_c() {
    : >said.log # not what the one before said
    "$@" 2>said.log &
    until grep -q 'Ctrl-C ends it' said.log; do kill -0 $!; sleep 0.05; done
    kill $!
    wait $!
}
"#;

/// One script of all blocks.
fn script(blocks: &[Block]) -> String {
    let mut script = BEGIN.to_owned();
    for Block { commands, ends } in blocks {
        match ends {
            true => script += commands,
            false => commands.lines().for_each(|line| {
                let _ = writeln!(script, "until_ctrl_c {line}");
            }),
        }
        // A person takes a moment, too, before the next; by then Redis is there, the daemon has read it, and the receiver is registered.
        let condition = match commands {
            commands if commands.contains("bbb-webhooks receive") => Some("grep -q /callback list.log"),
            commands => commands.contains(" &\n").then_some("true"),
        };
        if let Some(condition) = condition {
            let _ = writeln!(
                script,
                "for _ in $(seq 200); do bbb-webhooks hooks list >list.log 2>&1 && {condition} && break; sleep 0.05; done"
            );
        }
    }
    script
}

/// Runs a script in a folder of its own, where the program stands as if it had just been built. What it leaves in the background ends
/// with it.
async fn run(script: &str, folder: &TempDir, change: impl FnOnce(&mut Command)) -> Output {
    let release = folder.path().join("target/release");
    std::fs::create_dir_all(&release).unwrap();
    symlink(env!("CARGO_BIN_EXE_bbb-webhooks"), release.join("bbb-webhooks")).unwrap();
    let mut command = clean(interpreter("bash").expect("there is a bash"));
    command.arg("-c").arg(script).current_dir(folder.path());
    change(&mut command);
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

/// What a script printed; it has to have ended well.
fn check(output: &Output, script: &str, folder: &TempDir) -> String {
    let log = std::fs::read_to_string(folder.path().join("bbb-webhooks.log")).unwrap_or_default();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}\n{log}\nof\n{script}", output.status);
    stdout.into_owned()
}

#[tokio::test]
async fn the_first_hook_of_the_readme_is_created() {
    let folder = TempDir::new().unwrap();
    let (redis, api) = (free_port(), free_port());
    let mut text = script(&blocks("README.md"));
    for (documented, here) in [("6390", redis.to_string()), ("127.0.0.1:3005", format!("127.0.0.1:{api}"))] {
        assert!(text.contains(documented), "{text}");
        text = text.replace(documented, &here);
    }
    let output = run(&text, &folder, |command| {
        command.env("LOG_LEVEL", "debug").env("SERVER_PORT", api.to_string()).env("NODE_CONFIG_DIR", folder.path());
    });
    let said = check(&output.await, &text, &folder);
    assert!(said.contains("right  bbb-webhooks-test") && said.contains("\ndelivered: status 200"), "{said}");
    assert!(said.contains("Hook 2 is created."), "{said}");
    assert!(said.contains("<hookID>3</hookID><permanentHook>false</permanentHook>"), "{said}");
}

/// Documents whose commands are for a daemon that runs.
const OTHERS: [&str; 2] = ["docs/custom-events.md", "docs/xapi.md"];

#[tokio::test]
async fn commands_beside_a_running_daemon_do_what_they_should() {
    for document in OTHERS {
        let lab = Lab::start().await;
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("lrs.json"), r#"{"lrs_endpoint":"https://lrs.example.org/"}"#).unwrap();
        let blocks = blocks(document);
        assert!(!blocks.is_empty(), "{document}");
        let text = script(&blocks);
        let output = run(&text, &folder, |command| {
            let path = std::env::var("PATH").unwrap();
            command.env("PATH", format!("{}:{path}", folder.path().join("target/release").display()));
            command.env("REDIS_PORT", lab.redis.port().to_string()).env("SERVER_DOMAIN", "bbb.example.org");
            command.env("SHARED_SECRET", SECRET).env("SECRET", SECRET).env("NODE_CONFIG_DIR", lab.daemon.folder());
        });
        check(&output.await, &text, &folder);
    }
}

#[test]
fn every_document_with_commands_to_run_is_run() {
    let mut found = Vec::new();
    for folder in ["", "docs", "examples/receivers", "monitoring"] {
        for entry in std::fs::read_dir(project().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let is_document = path.extension().is_some_and(|extension| extension == "md");
            let name = path.strip_prefix(project()).unwrap().display().to_string();
            if is_document && name != "CONTRIBUTING.md" && !blocks(&name).is_empty() {
                found.push(name);
            }
        }
    }
    found.sort();
    assert_eq!(found, [&["README.md"], &OTHERS[..]].concat());
}
