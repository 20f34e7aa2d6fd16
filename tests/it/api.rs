//! The API over HTTP, beyond the recorded conversations.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio::time::timeout;

use crate::harness::Algorithm;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::api_checksum;

#[tokio::test]
async fn head_answers_as_get_without_a_body() {
    let lab = Lab::start().await;
    lab.hook("/x", &[]).await;
    let list = format!("/bigbluebutton/api/hooks/list?checksum={}", api_checksum(Algorithm::Sha1, "hooks/list", ""));
    for target in ["/bigbluebutton/api/hooks/ping", &list] {
        let get = lab.daemon.raw_get(target).await;
        let head = lab.daemon.request("HEAD", target).await;
        assert_eq!((get.status, head.status), (200, 200));
        assert_eq!(head.body, "");
        for name in ["content-type", "content-length"] {
            assert!(get.header(name).is_some(), "{name} of {get:?}");
            assert_eq!(get.header(name), head.header(name), "{name}");
        }
    }
}

#[tokio::test]
async fn letter_case_and_a_slash_at_the_end_of_the_path_do_not_count() {
    let lab = Lab::start().await;
    let id = lab.hook("/x", &[]).await;
    for path in ["hooks/list", "HOOKS/LIST", "Hooks/List/", "hooks/list/"] {
        let checksum = api_checksum(Algorithm::Sha256, path, "");
        for api in ["/bigbluebutton/api/", "/BigBlueButton/API/"] {
            let answer = lab.daemon.raw_get(&format!("{api}{path}?checksum={checksum}")).await;
            assert_eq!(answer.text_of("hooks/hook/hookID").as_ref(), Some(&id), "{api}{path}: {}", answer.body);
        }
    }
    for path in ["hooks/lis", "hooks/list/all", "hooks", "", "../hooks/list"] {
        let answer = lab.daemon.raw_get(&format!("/bigbluebutton/api/{path}")).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn concurrent_creates_for_one_url_make_one_hook() {
    let lab = Lab::start().await;
    let url = lab.receiver.url("/x");
    let answers = join_all((0..25).map(|_| lab.daemon.try_create(&url, &[]))).await;
    let new = answers.iter().filter(|answer| answer.message_key().is_none()).count();
    let duplicates = answers.iter().filter(|a| a.message_key().as_deref() == Some("duplicateWarning")).count();
    assert_eq!((new, duplicates), (1, 24));
    let ids = lab.daemon.ids().await;
    assert_eq!(ids.len(), 1);
    assert!(answers.iter().all(|answer| answer.text_of("hookID").as_ref() == Some(&ids[0])));

    let others: Vec<String> = (0..25).map(|n| lab.receiver.url(&format!("/{n}"))).collect();
    let mut created = join_all(others.iter().map(|url| lab.daemon.create(url, &[]))).await;
    created.sort();
    created.dedup();
    assert_eq!(created.len(), 25, "each has an id of its own");
}

#[tokio::test]
async fn a_hook_misses_nothing_from_the_answer_to_its_creation_on() {
    let lab = Lab::start().await;
    for n in 0..20 {
        let path = format!("/{n}");
        lab.hook(&path, &[]).await;
        lab.redis.publish(&Meeting::new("math-101").chat("ada", &path)).await;
        let requests = lab.receiver.wait(&path, 1).await;
        assert!(requests[0].body.contains(&format!("%2F{n}%22")), "{}", requests[0].body);
    }
}

#[tokio::test]
async fn the_list_of_a_meeting_has_its_hooks_and_the_global_ones() {
    let lab = Lab::start().await;
    let mine = lab.hook("/mine", &[("meetingID", "math 101")]).await;
    lab.hook("/other", &[("meetingID", "other")]).await;
    let global = lab.hook("/global", &[]).await;
    let listed = async |meeting: &str| {
        let answer = lab.daemon.call("hooks/list", &[("meetingID", meeting)]).await;
        answer.body.matches("<hook>").count()
    };
    assert_eq!(listed("math 101").await, 2);
    assert_eq!(listed("nobody").await, 1);
    assert_eq!(listed("").await, 3);
    let answer = lab.daemon.call("hooks/list", &[("meetingID", "math 101")]).await;
    let place = |id: &str| answer.body.find(&format!("<hookID>{id}</hookID>"));
    assert!(place(&mine).is_some() && place(&mine) < place(&global), "in the order created: {}", answer.body);
}

#[tokio::test]
async fn a_request_head_that_never_ends_is_cut_off() {
    let lab = Lab::start().await;
    let mut stream = TcpStream::connect(lab.daemon.address()).await.unwrap();
    stream.write_all(b"GET /bigbluebutton/api/hooks/ping HTTP/1.1\r\nhost: ").await.unwrap();
    let start = Instant::now();
    let mut rest = Vec::new();
    let closed = timeout(Duration::from_secs(15), stream.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "the connection is still open");
    assert!(start.elapsed() > Duration::from_secs(1), "a slow client has some time");
    assert!(!String::from_utf8_lossy(&rest).contains("API up"), "nothing was asked");
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let lab = Lab::start().await;
    let mut stream = TcpStream::connect(lab.daemon.address()).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /bigbluebutton/api/hooks/ping HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with("bbb-webhooks API up!") {
            let mut bytes = [0; 1024];
            let read = timeout(Duration::from_secs(10), stream.read(&mut bytes)).await.unwrap().unwrap();
            assert!(read > 0, "it was closed after {answer:?}");
            answer.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    }
}
