//! The log: its forms, its file, and how little of it there is.

use std::fs::File;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Child;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::Daemon;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Reply;
use crate::harness::until;

#[tokio::test]
async fn standard_output_that_is_no_terminal_gets_json_lines() {
    let mut daemon = Daemon::without_redis().without_env("LOG_FORMAT").env("LOG_LEVEL", "info").start().await;
    daemon.logs("The API listens").await;
    daemon.terminate().await;
    let lines: Vec<Value> = daemon.log().lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for line in &lines {
        let time = line["time"].as_str().unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z') && time.len() == 27, "{line}");
        assert!(line["target"].as_str().unwrap().starts_with("bbb_webhooks"), "{line}");
        assert!(["info", "warn"].contains(&line["level"].as_str().unwrap()), "{line}");
        assert!(
            line.as_object()
                .unwrap()
                .keys()
                .all(|key| { ["time", "level", "target", "message", "fields"].contains(&key.as_str()) })
        );
    }
    let said = |message: &str| lines.iter().find(|line| line["message"] == message).unwrap();
    assert_eq!(said("The API listens")["fields"]["path"], "/bigbluebutton/api");
    assert_eq!(said("Stopping")["fields"]["signal"], "SIGTERM");
}

#[tokio::test]
async fn levels_have_the_names_of_the_node_daemon() {
    for (level, info, debug) in
        [("trace", true, true), ("info", true, false), ("fatal", false, false), ("silent", false, false)]
    {
        let mut daemon = Daemon::without_redis().env("LOG_LEVEL", level).start().await;
        daemon.raw_get("/bigbluebutton/api/hooks/list").await;
        if debug {
            daemon.logs("to_sign").await;
        }
        daemon.terminate().await;
        assert_eq!(daemon.log().contains("The API listens"), info, "{level}: {}", daemon.log());
        assert_eq!(daemon.log().contains(" DEBUG "), debug, "{level}: {}", daemon.log());
        assert_eq!(daemon.stderr(), "", "{level}");
    }
}

#[tokio::test]
async fn what_had_to_be_signed_shows_no_secret_of_a_url_however_it_is_encoded() {
    let daemon = Daemon::without_redis().env("LOG_LEVEL", "trace").start().await;
    let once = "http%3A%2F%2Fu%3AHUSH%40host%2Fseen%3Ft%3DHUSH";
    let digest = "0123456789abcdef0123456789abcdef01234567";
    for query in [
        format!("callbackURL={once}"),
        format!("callbackURL={}", once.replace('%', "%25")),
        "callbackURL=http%3A%2F%2Fhost%2Fseen%23HUSH".to_owned(),
        format!("eventID={once}&getRaw=HUSH&meetingID={digest}&hookID={once}"),
    ] {
        let before = daemon.log().matches("to_sign").count();
        daemon.raw_get(&format!("/bigbluebutton/api/hooks/create?{query}&checksum={}", "0".repeat(40))).await;
        until("it is said", async || daemon.log().matches("to_sign").count() > before).await;
    }
    let log = daemon.log();
    assert_eq!(log.matches("seen***").count(), 3, "{log}");
    assert!(!log.contains("HUSH") && !log.contains(digest) && !log.contains(&"0".repeat(40)), "{log}");
}

#[tokio::test]
async fn the_journal_gets_text_with_priorities_and_without_time() {
    let setup = Daemon::without_redis().without_env("LOG_FORMAT").env("LOG_LEVEL", "debug");
    let log = setup.folder().join("journal");
    let run = |journal: &dyn Fn(&Metadata) -> String| {
        let output = File::create(&log).unwrap();
        let mut command = setup.program(&[]);
        command.env("JOURNAL_STREAM", journal(&output.metadata().unwrap()));
        command.stdout(output).stderr(Stdio::null());
        Process(command.spawn().unwrap())
    };
    let text = || std::fs::read_to_string(&log).unwrap();
    {
        let _daemon = run(&|output| format!("{}:{}", output.dev(), output.ino()));
        until("it listens", async || text().contains("The API listens")).await;
        until("Redis is missed", async || text().contains("<4>")).await;
        for line in text().lines() {
            let (priority, level) = line.split_at(3);
            let level = level.split_whitespace().next().unwrap();
            let priorities = [("<4>", "WARN"), ("<6>", "INFO"), ("<7>", "DEBUG")];
            assert!(priorities.contains(&(priority, level)), "{line}");
        }
    }
    // The variable alone, handed down from somebody else, says nothing.
    let _daemon = run(&|_| "1:2".to_owned());
    until("it listens", async || text().contains("The API listens")).await;
    assert!(text().starts_with('{'), "{}", text());
}

/// Ended when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_log_file_is_opened_again_after_it_was_moved_away() {
    let setup = Daemon::without_redis().env("LOG_TO_FILE", "true").env("LOG_LEVEL", "info");
    let (name, old) = (setup.folder().join("daemon.log"), setup.folder().join("daemon.log.1"));
    let daemon = setup.env("LOG_FILENAME", name.to_str().unwrap()).start().await;
    let has = |path: &Path, text: &str| std::fs::read_to_string(path).is_ok_and(|log| log.contains(text));
    until("it is written", async || has(&name, "The API listens")).await;
    std::fs::rename(&name, &old).unwrap();
    daemon.signal(Signal::HUP);
    until("there is a new one", async || name.exists()).await;
    until("it is written", async || {
        daemon.raw_get("/bigbluebutton/api/hooks/list").await;
        has(&name, "wrong checksum")
    })
    .await;
    assert!(!has(&old, "wrong checksum"), "nothing more is written to the old one");
}

#[tokio::test]
async fn a_busy_server_writes_a_line_for_a_change_and_not_for_each_event() {
    let lab = Lab::with(|daemon| daemon.env("LOG_LEVEL", "info").set("hooks.retryIntervals", vec![1_u64, 1])).await;
    lab.hook("/good", &[]).await;
    lab.hook("/moody", &[]).await;
    let meeting = Meeting::new("math-101");
    let mut lines = Vec::new();
    for round in 1..=2 {
        let moody = (0..300).map(|n| if n % 2 == 0 { Reply::status(503) } else { Reply::ok() });
        lab.receiver.answer("/moody", moody.collect::<Vec<_>>());
        for n in 0..150 {
            lab.redis.publish(&meeting.chat("ada", &n.to_string())).await;
        }
        lab.receiver.wait("/good", 150 * round).await;
        lab.receiver.wait("/moody", 300 * round).await;
        lines.push(lab.daemon.log().lines().count());
    }
    // Five times it is said of the moody one that it fails, and that it works again.
    assert!(lines[0] < 30 && lines[1] == lines[0], "{lines:?}\n{}", lab.daemon.log());
}

#[tokio::test]
async fn a_receiver_that_refuses_many_events_is_spoken_of_a_few_times() {
    let lab = Lab::with(|daemon| daemon.env("LOG_LEVEL", "info").set("hooks.retryIntervals", vec![1_u64, 100])).await;
    lab.hook("/picky", &[]).await;
    lab.receiver.refuse("/picky", Some("impossible"));
    for n in 0..30 {
        lab.redis.publish(&Meeting::new(&format!("meeting-{n}")).chat("ada", "impossible")).await;
    }
    let other = Meeting::new("other");
    let refused = || lab.receiver.to("/picky").iter().filter(|request| request.body.contains("impossible")).count();
    until("all are refused for the last time", async || {
        lab.redis.publish(&other.chat("ada", "possible")).await;
        refused() == 90
    })
    .await;
    let log = lab.daemon.log();
    let said = log.matches("it is parked").count();
    assert!((1..=5).contains(&said), "{said}\n{log}");
    assert_eq!(lab.daemon.ids().await.len(), 1, "{log}");
}
