//! `receive`: a receiver that registers itself.

use rustix::process::Signal;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::free_port;
use crate::harness::until;

/// Posts a form, and gives the answer.
async fn post(address: &str, target: &str, form: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = form.len();
    let head = format!("POST {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{form}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn it_registers_checks_prints_and_unregisters() {
    for (bearer, algorithm, format) in
        [("false", "sha1", "form"), ("false", "sha512", "form"), ("false", "sha256", "json"), ("true", "sha1", "form")]
    {
        let setup = |setup: crate::harness::Setup| {
            let setup = setup.env("BEARER_AUTH", bearer).env("HOOK_CHECKSUM_ALGORITHM", algorithm);
            setup.set("hooks.checksumFormat", format)
        };
        let lab = Lab::with(setup).await;
        let (math, other) = (Meeting::new("math-101"), Meeting::new("other"));
        let wanted = ["--meeting", "math-101", "--events", "meeting-created,user-joined"];
        let mut receiver = lab.daemon.follow(&[&["receive"], &wanted[..]].concat());
        receiver.says("is registered for http://127.0.0.1:").await;
        lab.redis.publish_all(&[other.created(), math.created(), math.joined("ada"), math.chat("ada", "x")]).await;
        let lines = receiver.prints(2).await;
        for (line, id) in lines.iter().zip(["meeting-created", "user-joined"]) {
            assert!(line.contains("  right  ") && line.contains(id) && line.contains("math-101"), "{line}");
        }
        let signal = if bearer == "true" { Signal::TERM } else { Signal::INT };
        assert!(receiver.stop(signal).await.success());
        assert_eq!(lab.daemon.ids().await, [""; 0], "the hook is destroyed");
    }
}

#[tokio::test]
async fn it_answers_as_it_is_told_and_shows_what_is_not_genuine() {
    let lab = Lab::with(|setup| setup.set("hooks.retryIntervals", json!([10]))).await;
    let listen = format!("127.0.0.1:{}", free_port());
    let url = format!("http://localhost:{}/lms?key=1", listen.rsplit(':').next().unwrap());
    let arguments = ["receive", "--listen", &listen, "--url", &url, "--status", "503", "--delay", "20", "--json"];
    let mut receiver = lab.daemon.follow(&arguments);
    receiver.says(&format!("is registered for {url}")).await;
    assert_eq!(lab.daemon.hooks().await[0].url, url);
    let form = "domain=x&event=%5B%7B%22data%22%3A%7B%22id%22%3A%22forged%22%7D%7D%5D&timestamp=1";
    let target = format!("/lms?key=1&checksum={}", "0".repeat(40));
    let start = std::time::Instant::now();
    let answer = post(&listen, &target, form).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(start.elapsed().as_millis() >= 20);
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    let lines = receiver.prints(3).await;
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["signature"], &lines[0]["event"]["data"]["id"]), (&json!("wrong"), &json!("forged")));
    assert_eq!((&lines[1]["signature"], &lines[1]["signed"]), (&json!("right"), &json!("sha1")));
    assert_eq!(lines[1]["event"]["data"]["id"], "meeting-created");
    assert_eq!(lines[1]["event"], lines[2]["event"], "it was sent again");
    until("the daemon gave it up", async || lab.daemon.ids().await.is_empty()).await;
    assert!(receiver.stop(Signal::INT).await.success());
    receiver.says("was gone already").await;
}

#[tokio::test]
async fn it_does_not_start_where_nobody_could_reach_it_or_nobody_is() {
    let mut lab = Lab::start().await;
    let ended = lab.daemon.command(&["receive", "--listen", "0.0.0.0:0"]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("--url"), "{}", ended.stderr);
    lab.daemon.terminate().await;
    let ended = lab.daemon.command(&["receive"]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("does not answer"), "{}", ended.stderr);
}
