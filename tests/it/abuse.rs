//! Clients of the API that take too much: they cost little, and the others notice nothing.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Resource;
use rustix::process::getrlimit;
use rustix::process::setrlimit;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::harness::Daemon;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::PATIENCE;
use crate::harness::until;

const PING: &str = "/bigbluebutton/api/hooks/ping";
const WRONG: &str = "/bigbluebutton/api/hooks/list?checksum=0123456789012345678901234567890123456789";

/// How long a ping may take, of the program as it is installed. A debug build shares the machine with all other tests; there it
/// only shows that nobody waits for the time-out of somebody else. Some may take longer: this test is busy on the machine too.
const PROMPT: Duration = Duration::from_millis(if cfg!(debug_assertions) { 2000 } else { 100 });

fn request(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: h\r\n\r\n")
}

async fn connect(daemon: &Daemon) -> TcpStream {
    TcpStream::connect(daemon.address()).await.unwrap()
}

/// What comes on a connection until it is closed.
async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it is closed");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Pings until `abuse` is over, and at least so often; of the answers, three of four have to be prompt.
async fn pings_are_prompt_during<T>(daemon: &Daemon, at_least: usize, abuse: impl Future<Output = T>) -> T {
    let mut took = Vec::new();
    let mut abuse = std::pin::pin!(abuse);
    let mut outcome = None;
    while outcome.is_none() || took.len() < at_least {
        let ping = async {
            let start = Instant::now();
            assert_eq!(daemon.raw_get(PING).await.body, "bbb-webhooks API up!");
            took.push(start.elapsed());
            sleep(Duration::from_millis(5)).await;
        };
        tokio::select! {
            done = &mut abuse, if outcome.is_none() => outcome = Some(done),
            () = ping => {}
        }
    }
    took.sort();
    let late = took.iter().filter(|took| **took > PROMPT).count();
    println!("{} pings, {late} late, the slowest {:?}", took.len(), took.last());
    assert!(late * 4 <= took.len(), "{late} of {} pings were late, the last by {:?}", took.len(), took.last());
    outcome.expect("the loop ends when it is there")
}

/// Lets this process open as many files as it may; how many that are.
fn descriptors() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    limit.maximum.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_idle_connections_hold_up_nobody() {
    let daemon = Daemon::without_redis().env("LOG_LEVEL", "info").set("server.maxConnections", 500).start().await;
    let (memory, files) = (daemon.memory(), daemon.descriptors());
    let count = 10_000.min(descriptors() - 1000);
    let idle = async {
        let mut idle = Vec::with_capacity(count);
        for n in 0..count {
            let mut stream = connect(&daemon).await;
            // Every other has begun to ask.
            if n % 2 == 0 {
                stream.write_all(b"GET /x HT").await.unwrap();
            }
            idle.push(stream);
        }
        idle
    };
    let idle = pings_are_prompt_during(&daemon, 50, idle).await;
    assert!(daemon.descriptors() <= files + 510, "{} descriptors", daemon.descriptors());
    assert!(daemon.memory() < memory + 30_000_000, "{memory} bytes became {}", daemon.memory());
    drop(idle);
    until("their descriptors are free again", async || daemon.descriptors() <= files + 5).await;
}

#[tokio::test]
async fn who_asks_nothing_for_longest_gives_way_and_who_asks_does_not() {
    let daemon = Daemon::without_redis().set("server.maxConnections", 4).start().await;
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(connect(&daemon).await);
        sleep(Duration::from_millis(20)).await;
    }
    // The first asks something, so the second is the one.
    all[0].write_all(request(PING).as_bytes()).await.unwrap();
    let mut answer = [0; 17];
    all[0].read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK\r\n");
    assert_eq!(daemon.raw_get(PING).await.status, 200);
    assert_eq!(read_all(&mut all[1]).await, "");
    all.remove(1);
    for stream in &mut all {
        let mut byte = [0];
        stream.write_all(b"GET ").await.unwrap();
        let closed =
            timeout(Duration::from_millis(50), async { while stream.read(&mut byte).await.unwrap_or(0) > 0 {} });
        assert!(closed.await.is_err(), "it is still open");
    }
}

#[tokio::test]
async fn a_head_that_trickles_in_is_given_up() {
    let daemon = Daemon::without_redis().set("server.headerTimeout", 500).start().await;
    let trickle = async |between_ms: u64| {
        let mut stream = connect(&daemon).await;
        let start = Instant::now();
        let head = format!("GET {PING} HTTP/1.1\r\nx: {}", "y".repeat(10_000));
        for byte in head.bytes() {
            if stream.write_all(&[byte]).await.is_err() || start.elapsed() > PATIENCE {
                break;
            }
            let mut answer = [0; 100];
            if matches!(timeout(Duration::from_millis(between_ms), stream.read(&mut answer)).await, Ok(Ok(0) | Err(_)))
            {
                break;
            }
        }
        start.elapsed()
    };
    let lorises = join_all((0..200).map(|n| trickle(10 + n % 50)));
    let lasted = pings_are_prompt_during(&daemon, 20, lorises).await;
    let longest = lasted.iter().max().unwrap();
    assert!(*longest < Duration::from_secs(5), "{longest:?}");
    // Between requests a connection is kept as long.
    let mut stream = connect(&daemon).await;
    stream.write_all(request(PING).as_bytes()).await.unwrap();
    let start = Instant::now();
    assert!(read_all(&mut stream).await.ends_with("bbb-webhooks API up!"));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn heads_that_are_too_long_are_refused() {
    let daemon = Daemon::without_redis().start().await;
    let memory = daemon.memory();
    let ask = async |head: String| {
        let mut stream = connect(&daemon).await;
        // It may be closed before all was written.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut start = [0; 12];
        let read = stream.read_exact(&mut start).await;
        read.map(|_| String::from_utf8_lossy(&start).into_owned()).unwrap_or_default()
    };
    let long = |bytes: usize| request(&format!("{PING}?x={}", "y".repeat(bytes)));
    assert_eq!(ask(long(30_000)).await, "HTTP/1.1 200");
    assert_eq!(ask(long(33_000)).await, "HTTP/1.1 431");
    let many = format!("GET {PING} HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(150));
    assert_eq!(ask(many).await, "HTTP/1.1 431");
    let flood = async {
        for _ in 0..5 {
            let answers = join_all((0..20).map(|_| ask(long(1024 * 1024)))).await;
            // The rest of what was sent may make it a reset.
            assert!(answers.iter().all(|answer| answer.is_empty() || answer == "HTTP/1.1 431"), "{answers:?}");
        }
    };
    pings_are_prompt_during(&daemon, 20, flood).await;
    assert!(daemon.memory() < memory + 30_000_000, "{memory} bytes became {}", daemon.memory());
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let daemon = Daemon::without_redis().start().await;
    let mut stream = connect(&daemon).await;
    let pipelined: String = (0..1000).map(|n| request(if n % 3 == 0 { WRONG } else { PING })).collect();
    let last = "GET /nowhere HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let (mut reader, mut writer) = stream.split();
    let write = async { writer.write_all((pipelined + last).as_bytes()).await.unwrap() };
    let read = async {
        let mut text = String::new();
        reader.read_to_string(&mut text).await.unwrap();
        text
    };
    let ((), text) = tokio::join!(write, read);
    let answers: Vec<&str> = text.split("HTTP/1.1 ").skip(1).collect();
    assert_eq!(answers.len(), 1001);
    for (n, answer) in answers[..1000].iter().enumerate() {
        let expected = if n % 3 == 0 { "checksumError" } else { "bbb-webhooks API up!" };
        assert!(answer.starts_with("200 ") && answer.contains(expected), "{n}: {answer}");
    }
    assert!(answers[1000].starts_with("404 "));
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let daemon = Daemon::without_redis().start().await;
    for text in [
        &b"\0\0\0\0\0\0\0\0\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nx y: z\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked, nonsense\r\n\r\n",
        b"*4\r\n$7\r\nPUBLISH\r\n$1\r\nx\r\n",
    ] {
        let mut stream = connect(&daemon).await;
        stream.write_all(text).await.unwrap();
        let answer = read_all(&mut stream).await;
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 505");
        assert!(refused, "{}: {answer}", text.escape_ascii());
    }
    // A body without an end is not waited for, nor kept.
    let memory = daemon.memory();
    let mut stream = connect(&daemon).await;
    let head = format!("GET {PING} HTTP/1.1\r\nhost: h\r\ncontent-length: 100000000000\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..200 {
        if stream.write_all(&chunk).await.is_err() {
            break;
        }
    }
    assert!(daemon.memory() < memory + 30_000_000, "{memory} bytes became {}", daemon.memory());
    assert_eq!(daemon.raw_get(PING).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_checksums_at_full_speed_hold_up_nobody() {
    let daemon = Daemon::without_redis().env("LOG_LEVEL", "info").start().await;
    let memory = daemon.memory();
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let mut stream = connect(&daemon).await;
        clients.spawn(async move {
            let end = Instant::now() + Duration::from_secs(2);
            let mut read = vec![0; 1 << 16];
            let mut answers = 0;
            while Instant::now() < end {
                stream.write_all(request(WRONG).repeat(10).as_bytes()).await.unwrap();
                let mut text = String::new();
                while text.matches("</response>").count() < 10 {
                    let count = stream.read(&mut read).await.unwrap();
                    assert!(count > 0, "it is closed");
                    text.push_str(&String::from_utf8_lossy(&read[..count]));
                }
                answers += 10;
            }
            answers
        });
    }
    let answers: usize = pings_are_prompt_during(&daemon, 20, clients.join_all()).await.into_iter().sum();
    assert!(answers > 100, "{answers}");
    assert!(daemon.memory() < memory + 30_000_000, "{memory} bytes became {}", daemon.memory());
}

#[tokio::test]
async fn who_does_not_read_the_answers_holds_up_nobody() {
    let daemon = Daemon::without_redis().set("server.maxConnections", 3).start().await;
    let memory = daemon.memory();
    let mut deaf = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(&daemon).await;
        let flood = request(PING).repeat(1000);
        // Until nothing more is taken.
        while timeout(Duration::from_millis(300), stream.write_all(flood.as_bytes()))
            .await
            .is_ok_and(|done| done.is_ok())
        {}
        deaf.push(stream);
    }
    pings_are_prompt_during(&daemon, 20, async {}).await;
    assert!(daemon.memory() < memory + 30_000_000, "{memory} bytes became {}", daemon.memory());
}

#[tokio::test]
async fn there_are_only_so_many_hooks() {
    let lab = Lab::with(|setup| {
        setup.set("hooks.maxHooks", 2).set("hooks.permanentURLs", serde_json::json!(["http://127.0.0.1:9/permanent"]))
    })
    .await;
    let id = lab.hook("/one", &[]).await;
    let answer = lab.daemon.try_create(&lab.receiver.url("/two"), &[]).await;
    assert_eq!(answer.message_key().as_deref(), Some("createHookError"));
    let message = "There are 2 hooks already, and no more are allowed (hooks.maxHooks). Destroy some.";
    assert_eq!(answer.text_of("message").as_deref(), Some(message));
    let answer = lab.daemon.try_create(&lab.receiver.url("/one"), &[]).await;
    assert_eq!(answer.message_key().as_deref(), Some("duplicateWarning"), "it is there already");
    lab.daemon.destroy(&id).await;
    lab.hook("/two", &[]).await;
}

/// Nothing limits how often a receiver may say that it goes on: an attempt hears it until its deadline. There are as many of them
/// here as the daemon has threads for deliveries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_that_say_without_end_that_they_go_on_hold_up_nobody() {
    const FLOODS: usize = 2;
    const SAID: &str = "HTTP/1.1 100 Continue\r\n\r\n";
    let lab = Lab::with(|setup| setup.set("hooks.requestTimeout", 3000)).await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Threads of their own: the pings below are not to wait for them.
    let floods = thread::spawn(move || {
        let flood = |stream: io::Result<std::net::TcpStream>| {
            let (mut stream, mut bytes) = (stream.unwrap(), 0);
            let said = SAID.repeat(1000);
            let _request = stream.read(&mut [0; 4096]).unwrap();
            while stream.write_all(said.as_bytes()).is_ok() {
                bytes += said.len();
            }
            bytes
        };
        let floods: Vec<_> =
            listener.incoming().take(FLOODS).map(|stream| thread::spawn(move || flood(stream))).collect();
        floods.into_iter().map(|flood| flood.join().unwrap()).collect::<Vec<_>>()
    });
    lab.daemon.create(&format!("http://127.0.0.1:{port}/"), &[]).await;
    let meetings: Vec<_> = (0..FLOODS).map(|n| Meeting::new(&format!("m{n}")).created()).collect();
    lab.redis.publish_all(&meetings).await;
    // Not one may wait for the floods to end, which takes three times as long.
    let (start, mut pings) = (Instant::now(), 0);
    while !floods.is_finished() {
        assert!(start.elapsed() < PATIENCE, "the floods do not come, or do not end");
        let answer = timeout(Duration::from_secs(1), lab.daemon.raw_get(PING)).await.expect("nobody waits for a flood");
        assert_eq!(answer.body, "bbb-webhooks API up!");
        pings += 1;
    }
    assert!(pings > 20, "{pings}");
    let heard = floods.join().unwrap();
    assert!(heard.iter().all(|bytes| *bytes > 1_000_000), "{heard:?}");
}
