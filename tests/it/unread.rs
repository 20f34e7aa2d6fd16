//! Clients that ask for long answers and do not take them: they cost little, and not for long.

use std::fmt::Write;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio::time::interval;
use tokio::time::timeout;

use crate::harness::Algorithm;
use crate::harness::Answer;
use crate::harness::Daemon;
use crate::harness::Lab;
use crate::harness::PATIENCE;
use crate::harness::Setup;
use crate::harness::api_checksum;
use crate::harness::eventually;
use crate::harness::free_port;
use crate::harness::get;
use crate::harness::until;

/// How long a ping may take: nothing may be waited for. A debug build shares the machine with all other tests.
const PROMPT: Duration = Duration::from_millis(if cfg!(debug_assertions) { 2000 } else { 200 });

const MIB: usize = 1 << 20;

fn list(version: &str) -> String {
    let checksum = api_checksum(Algorithm::Sha1, "hooks/list", "");
    format!("GET /bigbluebutton/api/hooks/list?checksum={checksum} HTTP/{version}\r\nhost: h\r\n\r\n")
}

/// Many permanent hooks, to addresses where nobody is.
fn with_hooks(setup: Setup, count: usize, address: impl Fn(usize) -> String) -> Setup {
    setup.set("hooks.permanentURLs", json!((0..count).map(address).collect::<Vec<_>>()))
}

/// A client that takes next to nothing before it reads.
async fn asks(port: u16, request: &str) -> TcpStream {
    asks_with(4096, port, request).await
}

/// One that takes so many bytes, or a few more, before it reads.
async fn asks_with(buffer: u32, port: u16, request: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(buffer).unwrap();
    let mut stream = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn ask_all(count: usize, port: u16, request: &str) -> Vec<TcpStream> {
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        all.push(asks(port, request).await);
    }
    all
}

/// Pings and looks at the daemon's memory for a while, as long as it takes that everything has been asked for.
async fn stays_small_and_prompt(daemon: &Daemon, most: usize) {
    let end = Instant::now() + Duration::from_secs(3);
    let mut late = 0;
    let mut pings = 0;
    while Instant::now() < end || pings < 20 {
        let start = Instant::now();
        assert_eq!(daemon.raw_get("/bigbluebutton/api/hooks/ping").await.body, "bbb-webhooks API up!");
        late += usize::from(start.elapsed() > PROMPT);
        pings += 1;
        let memory = daemon.memory();
        assert!(memory < most, "{} MiB, {} allowed", memory / MIB, most / MIB);
    }
    assert!(late * 4 <= pings, "{late} of {pings} pings were late");
}

#[tokio::test]
async fn lists_that_nobody_takes_are_not_held_and_their_clients_have_to_go() {
    let address = |n: usize| format!("http://127.0.0.1:9/{n}?{}", "x".repeat(20_000));
    let lab = Lab::with(|setup| with_hooks(setup, 300, address)).await;
    until("all are there", async || lab.daemon.ids().await.len() == 300).await;
    let whole = lab.daemon.list().await;
    assert!(whole.len() > 6_000_000);
    let (memory, files) = (lab.daemon.memory(), lab.daemon.descriptors());
    let port = lab.daemon.address().1;
    let steady = tokio::spawn(async move {
        let mut stream = asks_with(256 * 1024, port, &list("1.0")).await;
        let mut bytes = vec![0; whole.len() / 150];
        let (mut text, start) = (Vec::new(), Instant::now());
        // Longer than a client may take nothing.
        let mut pace = interval(Duration::from_millis(100));
        loop {
            pace.tick().await;
            let read = timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap().unwrap();
            if read == 0 {
                break;
            }
            text.extend_from_slice(&bytes[..read]);
        }
        assert!(start.elapsed() > Duration::from_secs(12), "{:?}", start.elapsed());
        let text = String::from_utf8(text).unwrap();
        assert!(text.split_once("\r\n\r\n").unwrap().1 == whole, "{} bytes of {}", text.len(), whole.len());
    });
    let deaf = ask_all(12, port, &list("1.1")).await;
    // Held whole, they would be 72 MB.
    stays_small_and_prompt(&lab.daemon, memory + 30 * MIB).await;
    assert!(lab.daemon.descriptors() >= files + 12, "they are still there");
    until("they have to go", async || lab.daemon.descriptors() <= files + 2).await;
    drop(deaf);
    steady.await.unwrap();
}

#[tokio::test]
async fn a_list_is_the_same_whether_it_is_short_or_long() {
    let lab = Lab::start().await;
    let mut hooks = String::new();
    let mut lengths = Vec::new();
    for n in 0..30 {
        let url = format!("http://127.0.0.1:9/{n}?a=<&b=]]>{}", "x".repeat(3000));
        let id = lab.daemon.create(&url, &[("meetingID", "m"), ("eventID", "a,b")]).await;
        write!(
            hooks,
            "<hook><hookID>{id}</hookID><callbackURL><![CDATA[{}]]></callbackURL><meetingID><![CDATA[m]]></meetingID>\
             <eventID>a,b</eventID><permanentHook>false</permanentHook><rawData>false</rawData></hook>",
            url.replace("]]>", "]]]]><![CDATA[>"),
        )
        .unwrap();
        let expected = format!("<response><returncode>SUCCESS</returncode><hooks>{hooks}</hooks></response>");
        let answer = lab.daemon.call("hooks/list", &[]).await;
        assert_eq!(answer.body, expected);
        assert_eq!(answer.header("content-length"), Some(expected.len().to_string().as_str()));
        assert_eq!(answer.header("content-type"), Some("text/xml; charset=utf-8"));
        assert_eq!(answer.header("transfer-encoding"), None);
        lengths.push(expected.len());
    }
    assert!(lengths[0] < 32 * 1024 && lengths[29] > 2 * 32 * 1024, "{lengths:?}");
    // One after the other on the same connection.
    let mut stream = asks(lab.daemon.address().1, &(list("1.1").repeat(20) + &list("1.0"))).await;
    let mut text = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut text)).await.unwrap().unwrap();
    assert_eq!(text.matches("</hooks></response>").count(), 21);
    assert_eq!(text.matches(&hooks).count(), 21);
}

#[tokio::test]
async fn scrapes_that_nobody_takes_are_few_and_their_clients_have_to_go() {
    let metrics = free_port();
    let address = |n: usize| format!("http://127.0.0.1:9/{n}/{}", "x".repeat(20_000));
    let lab = Lab::with(|setup| {
        let setup = setup.env("PROM_ENABLED", "true").env("PROM_PORT", &metrics.to_string());
        with_hooks(setup, 200, address)
    })
    .await;
    until("all are there", async || lab.daemon.ids().await.len() == 200).await;
    let scrape = async || -> Answer { get(metrics, "/metrics").await };
    let length = scrape().await.body.len();
    assert!(length > 4_000_000, "{length}");
    let memory = lab.daemon.memory();
    let request = "GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n".repeat(3);
    let deaf = ask_all(40, metrics, &request).await;
    // Held whole, they would be 160 MB and more.
    stays_small_and_prompt(&lab.daemon, memory + 60 * MIB).await;
    let refused = scrape().await;
    assert_eq!(refused.status, 503);
    assert_eq!(
        refused.body,
        "4 clients are being answered, and no more at a time: take the answers, or try again later"
    );
    let answer = eventually("those that take nothing have to go", async || {
        let answer = scrape().await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert!(answer.body.len() >= length, "{}", answer.body.len());
    drop(deaf);
}
