//! The receivers in `examples/receivers`, each against the running daemon.

use std::path::PathBuf;
use std::process::Command;
use std::time::UNIX_EPOCH;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::Algorithm;
use crate::harness::Daemon;
use crate::harness::Following;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Redis;
use crate::harness::SECRET;
use crate::harness::clean;
use crate::harness::example;
use crate::harness::free_port;
use crate::harness::hook_secret;
use crate::harness::interpreter;
use crate::harness::project;
use crate::harness::until;
use crate::harness::webhook_signature;

/// How to start a receiver that listens on a port; `None` where its language is missing.
type Start = fn(port: u16) -> Option<Command>;

fn python(_port: u16) -> Option<Command> {
    let mut command = clean(interpreter("python3")?);
    command.arg(project().join("examples/receivers/python/receiver.py"));
    Some(command)
}

fn php(port: u16) -> Option<Command> {
    let mut command = clean(interpreter("php")?);
    command.args(["-S", &format!("127.0.0.1:{port}")]).arg(project().join("examples/receivers/php/receiver.php"));
    Some(command)
}

fn node(_port: u16) -> Option<Command> {
    let mut command = clean(interpreter("node")?);
    command.arg(project().join("examples/receivers/node/receiver.mjs"));
    Some(command)
}

fn rust(_port: u16) -> Option<Command> {
    Some(clean(example("receiver")))
}

/// How callbacks are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signed {
    /// In their headers, and in no other way.
    InHeaders,
    ByChecksum,
    ByToken,
}

/// A receiver and its file of events, with its daemon.
struct Example {
    lab: Lab,
    start: Start,
    signed: Signed,
    port: u16,
    folder: TempDir,
    running: Option<Following>,
}

impl Example {
    /// `None` where the language is missing.
    async fn new(start: Start, signed: Signed) -> Option<Self> {
        let port = free_port();
        start(port)?;
        let lab = Lab::on(Redis::start().await, |setup| {
            let setup = setup.env("BEARER_AUTH", &(signed == Signed::ByToken).to_string());
            setup.set("hooks.legacyAuth", signed != Signed::InHeaders).set("hooks.retryIntervals", vec![50; 200])
        })
        .await;
        let mut example = Self { lab, start, signed, port, folder: TempDir::new().unwrap(), running: None };
        example.begin().await;
        Some(example)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/events?course=7", self.port)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("events.jsonl")
    }

    async fn begin(&mut self) {
        let mut command = (self.start)(self.port).expect("it was there before");
        match self.signed {
            // As while it is changed.
            Signed::InHeaders => command.env("WEBHOOK_SECRET", format!("{} {}", hook_secret("older", HOOK), secret())),
            _ => command.env("SHARED_SECRET", SECRET).env("CALLBACK_URL", self.url()),
        };
        command.env("EVENTS_FILE", self.file());
        command.env("PORT", self.port.to_string()).current_dir(self.folder.path());
        self.running = Some(Following::start(command));
        until("the receiver listens", async || TcpStream::connect(("127.0.0.1", self.port)).await.is_ok()).await;
    }

    async fn end(&mut self) {
        let mut running = self.running.take().expect("it runs");
        running.stop(Signal::KILL).await;
    }

    /// The ids of the events that are stored, by whole lines.
    fn stored(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.file()).unwrap_or_default();
        let event = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| event(line)["data"]["id"].as_str().unwrap().to_owned()).collect()
    }

    async fn stores(&self, ids: &[&str]) {
        until(format!("{ids:?} are stored"), async || self.stored() == ids).await;
    }

    /// How many events the daemon has delivered to the hook.
    async fn delivered(daemon: &Daemon) -> u64 {
        let status = daemon.command(&["status", "--json"]).await;
        let status: Value = serde_json::from_str(&status.stdout).unwrap();
        status["hooks"][0]["delivered"].as_u64().unwrap()
    }

    /// The status of the answer to a body that is sent by somebody else.
    async fn post(&self, checksum: &str, authorization: &str, body: &str) -> String {
        self.post_with(checksum, &format!("authorization: {authorization}\r\n"), body).await
    }

    /// The same with a signature in the headers.
    async fn post_signed(&self, [id, timestamp, signature]: [&str; 3], body: &str) -> String {
        let headers = format!(
            "webhook-id: {id}\r\nwebhook-timestamp: {timestamp}\r\nWebhook-Signature: {signature}\r\n\
             authorization: Bearer {SECRET}\r\n"
        );
        let checksum = Algorithm::Sha1.hex(&[&self.url(), body, SECRET]);
        self.post_with(&checksum, &headers, body).await
    }

    async fn post_with(&self, checksum: &str, headers: &str, body: &str) -> String {
        post_to(self.port, checksum, headers, body).await
    }
}

async fn post_to(port: u16, checksum: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!(
        "POST /events?course=7&checksum={checksum} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         {headers}content-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// A receiver takes what is genuine, once each, also when it was away or was killed.
async fn keeps_each_event_once(start: Start, signed: Signed) {
    let Some(mut example) = Example::new(start, signed).await else { return };
    let id = example.lab.daemon.create(&example.url(), &[]).await;
    assert_eq!(id, HOOK);
    let meeting = Meeting::new("Физика 1 & 2");
    example.lab.redis.publish_all(&[meeting.created(), meeting.joined("ada")]).await;
    example.lab.redis.publish(&meeting.chat("ada", "ü + & = \u{1f600} </script> \\ \"")).await;
    let first = ["meeting-created", "user-joined", "chat-group-message-sent"];
    example.stores(&first).await;

    // What comes again is answered, and not stored again: neither at once, nor after the receiver was killed.
    for delivered in [6, 9] {
        let done = example.lab.daemon.command(&["replay", &id, "--since", "1h"]).await;
        assert_eq!(done.stdout, format!("3 events are sent again to hook {id}.\n"), "{}", done.stderr);
        until("all are delivered again", async || Example::delivered(&example.lab.daemon).await == delivered).await;
        assert_eq!(example.stored(), first);
        example.end().await;
        // As if it had been killed in the middle of a line.
        let text = std::fs::read_to_string(example.file()).unwrap();
        std::fs::write(example.file(), text + "{\"data\":{\"ty").unwrap();
        example.begin().await;
    }

    // What happens while it is away comes later.
    example.end().await;
    example.lab.redis.publish(&meeting.left("ada")).await;
    example.lab.daemon.logs("no connection").await;
    example.begin().await;
    let all = [&first[..], &["user-left"]].concat();
    example.stores(&all).await;
    let text = std::fs::read_to_string(example.file()).unwrap();
    assert!(text.contains("Физика 1 & 2") || text.contains("\\u0424\\u0438\\u0437"), "{text}");
    match signed {
        Signed::InHeaders => takes_what_is_signed_in_its_headers(&example, &all).await,
        Signed::ByChecksum | Signed::ByToken => takes_checksums_and_tokens(&example, &all).await,
    }
}

/// The hook's id: it is the only one.
const HOOK: &str = "1";

fn secret() -> String {
    hook_secret(SECRET, HOOK)
}

/// What is not genuine is refused, and not by 401, which would count as delivered.
async fn takes_what_is_signed_in_its_headers(example: &Example, all: &[&str]) {
    let body = "domain=x&event=%5B%7B%22data%22%3A%7B%22id%22%3A%22forged%22%7D%7D%5D&timestamp=1763990000123";
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
    let at = |seconds: u64, body: &str, secret: &str| {
        let time = seconds.to_string();
        (time.clone(), webhook_signature(secret, "1_2_3", &time, body))
    };
    let (time, right) = at(now, body, &secret());
    for ((time, signature), why) in [
        (at(now, body, &hook_secret("guess", HOOK)), "another secret"),
        (at(now, body, &hook_secret(SECRET, "2")), "another hook"),
        (at(now, &body.replace("forged", "other"), &secret()), "another body"),
        (at(now - 310, body, &secret()), "too old"),
        (at(now + 320, body, &secret()), "too new"),
        ((String::new(), right.clone()), "no time"),
        (("soon".to_owned(), webhook_signature(&secret(), "1_2_3", "soon", body)), "no time"),
        (("9".repeat(5000), webhook_signature(&secret(), "1_2_3", &"9".repeat(5000), body)), "no time"),
        (((now - 1).to_string(), right.clone()), "another time"),
        ((time.clone(), String::new()), "no signature"),
        ((time.clone(), right.replace("v1,", "v2,")), "another version"),
        ((time.clone(), right[..20].to_owned()), "half a signature"),
        ((time.clone(), "v1,\u{fc}".to_owned()), "no ASCII"),
    ] {
        assert_eq!(example.post_signed(["1_2_3", &time, &signature], body).await, "403", "{why}");
    }
    assert_eq!(example.post_signed(["1_2_4", &time, &right], body).await, "403");
    // The server's secret is not asked for.
    let checksum = Algorithm::Sha256.hex(&[&example.url(), body, SECRET]);
    assert_eq!(example.post(&checksum, &format!("Bearer {SECRET}"), body).await, "403");
    assert_eq!(example.stored(), all);
    assert_eq!(example.post_signed(["1_2_3", &time, &format!("v1,AAAA v1a,x {right}")], body).await, "200");
    let older = webhook_signature(&hook_secret("older", HOOK), "1_2_3", &time, body);
    assert_eq!(example.post_signed(["1_2_3", &time, &older], body).await, "200");
    assert_eq!(example.stored().last().map(String::as_str), Some("forged"), "somebody knows the secret");
    assert_eq!(example.stored().len(), all.len() + 1);
    for garbage in ["", "event=", "event=%7B", "event=7", "domain=x"] {
        let (time, signature) = at(now, garbage, &secret());
        assert_eq!(example.post_signed(["1_2_3", &time, &signature], garbage).await, "400", "{garbage}");
    }
}

/// What is not genuine is refused, and not by 401, which would count as delivered.
async fn takes_checksums_and_tokens(example: &Example, all: &[&str]) {
    let body = "domain=x&event=%5B%7B%22data%22%3A%7B%22id%22%3A%22forged%22%7D%7D%5D&timestamp=1763990000123";
    let signed = |url: &str, body: &str, secret: &str| Algorithm::Sha256.hex(&[url, body, secret]);
    let url = example.url();
    for (checksum, authorization) in [
        (String::new(), "Bearer "),
        (signed(&url, body, "guess"), ""),
        (signed(&url, &body.replace("forged", "other"), SECRET), ""),
        (signed(&url.replace('7', "8"), body, SECRET), ""),
        ("0".repeat(40), "Bearer guess"),
        ("%C3%BC".repeat(20), "Bearer"),
    ] {
        assert_eq!(example.post(&checksum, authorization, body).await, "403", "{checksum} {authorization}");
    }
    assert_eq!(example.stored(), all);
    for algorithm in [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512] {
        assert_eq!(example.post(&algorithm.hex(&[&url, body, SECRET]), "", body).await, "200");
    }
    assert_eq!(example.post("", &format!("Bearer {SECRET}"), body).await, "200");
    assert_eq!(example.stored().last().map(String::as_str), Some("forged"), "somebody knows the secret");
    assert_eq!(example.stored().len(), all.len() + 1);
    for garbage in ["", "event=", "event=%7B", "event=7", "domain=x"] {
        assert_eq!(example.post(&signed(&url, garbage, SECRET), "", garbage).await, "400", "{garbage}");
    }
}

/// Without a secret, or with a text that is none, a receiver says so; most of them do not even start.
async fn starts_only_with_a_secret(start: Start) {
    let unset = "WEBHOOK_SECRET is not set: `bbb-webhooks hooks secret ID` prints it.";
    let wrong = "WEBHOOK_SECRET is not a secret that `bbb-webhooks hooks secret` prints";
    let right = secret();
    for (variables, sentence) in [
        (vec![], unset),
        (vec![("WEBHOOK_SECRET", " "), ("SHARED_SECRET", ""), ("CALLBACK_URL", "http://127.0.0.1/")], unset),
        (vec![("SHARED_SECRET", SECRET)], unset),
        (
            vec![("WEBHOOK_SECRET", "whsec_..."), ("SHARED_SECRET", SECRET), ("CALLBACK_URL", "http://127.0.0.1/")],
            wrong,
        ),
        (vec![("WEBHOOK_SECRET", "whsec_")], wrong),
        (vec![("WEBHOOK_SECRET", "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVlc=")], wrong), // 23 bytes
        (vec![("WEBHOOK_SECRET", &format!("{right} whsec_..."))], wrong),
        (vec![("WEBHOOK_SECRET", SECRET)], wrong),
    ] {
        let (port, folder) = (free_port(), TempDir::new().unwrap());
        let Some(mut command) = start(port) else { return };
        let file = folder.path().join("events.jsonl");
        command.envs(variables).env("EVENTS_FILE", &file).env("PORT", port.to_string()).current_dir(folder.path());
        let running = Following::start(command);
        if std::ptr::fn_addr_eq(start, php as Start) {
            until("it listens", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
            assert_eq!(post_to(port, "", "", "event=%5B%5D").await, "500");
        }
        running.says(sentence).await;
        assert!(!file.exists());
    }
}

#[tokio::test]
async fn in_php_the_file_of_events_has_no_place_by_default() {
    let (port, folder) = (free_port(), TempDir::new().unwrap());
    let Some(mut command) = php(port) else { return };
    command.env("WEBHOOK_SECRET", secret()).current_dir(folder.path());
    let running = Following::start(command);
    until("it listens", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
    assert_eq!(post_to(port, "", "", "event=%5B%5D").await, "500");
    running.says("EVENTS_FILE is not set").await;
}

macro_rules! receivers {
    ($($name:ident, $with_checksum:ident, $with_token:ident, $only_with_a_secret:ident, $start:ident;)*) => { $(
        #[tokio::test]
        async fn $only_with_a_secret() {
            starts_only_with_a_secret($start).await;
        }

        #[tokio::test]
        async fn $name() {
            keeps_each_event_once($start, Signed::InHeaders).await;
        }

        #[tokio::test]
        async fn $with_checksum() {
            keeps_each_event_once($start, Signed::ByChecksum).await;
        }

        #[tokio::test]
        async fn $with_token() {
            keeps_each_event_once($start, Signed::ByToken).await;
        }
    )* };
}

receivers! {
    the_receiver_in_python_keeps_each_event_once, in_python_by_its_checksum_too, in_python_by_its_token_too,
        in_python_only_with_a_secret, python;
    the_receiver_in_php_keeps_each_event_once, in_php_by_its_checksum_too, in_php_by_its_token_too,
        in_php_only_with_a_secret, php;
    the_receiver_in_node_keeps_each_event_once, in_node_by_its_checksum_too, in_node_by_its_token_too,
        in_node_only_with_a_secret, node;
    the_receiver_in_rust_keeps_each_event_once, in_rust_by_its_checksum_too, in_rust_by_its_token_too,
        in_rust_only_with_a_secret, rust;
}
