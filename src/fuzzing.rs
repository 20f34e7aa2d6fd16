//! Anything from outside, one function for each way in: none may panic, hang, or take memory without bounds.
//!
//! They are the targets in `fuzz/`, and run as tests over `tests/corpus/fuzz/` and what becomes of it by chance. The daemon
//! has none of this.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::http::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use url::Url;

use crate::api;
use crate::config;
use crate::config::Config;
use crate::config::Secret;
use crate::config::Sources;
use crate::delivery::guard::Guard;
use crate::delivery::policy::Policy;
use crate::delivery::sender::Authorities;
use crate::delivery::sender::Post;
use crate::delivery::sender::Sender;
use crate::event::RawMessage;
use crate::journal;
use crate::journal::cursor::Cursor;
use crate::mapper;
use crate::mapper::Mapper;
use crate::state::State;
use crate::store;
use crate::store::records::Shelf;
use crate::xapi::credentials::Lrs;
use crate::xapi::known::Known;
use crate::xapi::records;

/// Most bytes of a request's head, as by default.
const HEAD: usize = 32 * 1024;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads can be had")
});

/// Messages on a channel, one in each line.
pub fn channel(data: &[u8]) {
    let mapper = Mapper::new(&[]);
    let mut state = State::new(fastrand::Rng::with_seed(1));
    for (now_ms, line) in (1..).zip(data.split(|byte| *byte == b'\n')) {
        let raw = RawMessage { bytes: bytes::Bytes::copy_from_slice(line) };
        let _ = mapper.look(line);
        let _ = mapper.explain(&raw);
        for event in mapper.map(&raw, &mut state, now_ms).unwrap_or_default() {
            assert!(serde_json::from_str::<serde_json::Value>(&event.json).is_ok(), "an event is JSON");
        }
        let _ = state.take_changes();
    }
}

/// What a client of the API sends on a connection.
pub fn request(data: &[u8]) {
    RUNTIME.block_on(async {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let service = service_fn(async |request: Request<Incoming>| {
            api::fuzzing::take_apart(request);
            Ok::<_, Infallible>(Response::new(Body::from("ok")))
        });
        let mut http = http1::Builder::new();
        http.max_header_size(HEAD).max_buf_size(HEAD);
        let serve = async {
            let _ = http.serve_connection(TokioIo::new(server), service).await;
        };
        let ask = async {
            let _ = client.write_all(data).await;
            let _ = client.shutdown().await;
            let _ = client.read_to_end(&mut Vec::new()).await;
        };
        tokio::join!(serve, ask);
    });
}

/// The configuration: the first line says whether the rest is a file, `NODE_CONFIG`, or the value of the variable that it
/// names.
pub fn configuration(data: &[u8]) {
    let (first, rest) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    let text = String::from_utf8_lossy(rest).into_owned();
    let folder = folder();
    let mut environment = [("SHARED_SECRET", HIDDEN), ("SERVER_DOMAIN", "bbb.example.org")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    match first {
        b"file" => std::fs::write(folder.join("local.yml"), rest).expect("there is a disk"),
        b"NODE_CONFIG" => environment.push(("NODE_CONFIG".to_owned(), text.trim().to_owned())),
        name => environment.push((String::from_utf8_lossy(name).into_owned(), text.trim().to_owned())),
    }
    let sources =
        Sources { folders: vec![folder.clone()], environment: environment.into_iter().collect(), ..Sources::default() };
    if let Ok((loaded, explained)) = config::load_explained(&sources) {
        let _ = Mapper::new(&loaded.config.events);
        let _ = Policy::of_callbacks(&loaded.config);
        let shown: String = explained.settings.iter().map(|setting| setting.value.to_string()).collect();
        assert!(loaded.config.bbb.shared_secret.expose() != HIDDEN || !shown.contains(HIDDEN), "the secret is masked");
    }
    let _ = std::fs::remove_file(folder.join("local.yml"));
}

/// A secret that no input has by chance.
const HIDDEN: &str = "not-to-be-shown";

/// A folder of this process's own.
fn folder() -> PathBuf {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = std::env::temp_dir().join(format!("bbb-webhooks-fuzzing-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("there is a disk");
        folder
    });
    FOLDER.clone()
}

/// A hash in Redis: names and values of its fields, in turn, one in each line.
pub fn hash(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines: Vec<&str> = text.split('\n').collect();
    let fields: HashMap<String, String> =
        lines.chunks(2).filter_map(|pair| Some((pair[0].to_owned(), pair.get(1)?.to_string()))).collect();
    store::fuzzing::read(&fields);
    journal::fuzzing::read(lines[0], fields.clone());
    let mut known = Known::default();
    for shelf in Shelf::ALL {
        let _ = records::read(&mut known, shelf, &fields);
    }
    for value in fields.values() {
        if let Ok(cursor) = Cursor::from_text(value) {
            let _ = (cursor.is_done(7), cursor.highest(), cursor.clipped(9), Cursor::from_text(&cursor.to_text()));
        }
        let _ = mapper::of_version_2(value);
    }
    if let Some(payload) = fields.get("lrs_payload").filter(|payload| !payload.is_empty()) {
        let _ = Lrs::of_payload(payload, &[Secret::new("hush")]);
    }
}

/// What a receiver answers.
pub fn answer(data: &[u8]) {
    static SENDER: LazyLock<Sender> = LazyLock::new(|| {
        let mut config = plain();
        // Wherever it redirects to, only this test's own receivers are called.
        config.hooks.callback_policy.profile = config::Profile::ListedOnly;
        config.hooks.callback_policy.allow = config::Destination::parse(RECEIVER).into_iter().collect();
        let guard = Guard::new(Policy::of_callbacks(&config));
        Sender::new(Duration::from_secs(1), &Authorities::Only(Vec::new()), Some(guard)).expect("TLS can be set up")
    });
    RUNTIME.block_on(async {
        let listener = TcpListener::bind((RECEIVER, 0)).await.expect("there are ports");
        let port = listener.local_addr().expect("it is bound").port();
        let serve = async {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(data).await;
            }
        };
        let url = Url::parse(&format!("http://{RECEIVER}:{port}/")).expect("it is one");
        let post = Post { url: &url, content_type: "text/plain", headers: &[], body: "x", authorization: None };
        tokio::select! {
            () = serve => {}
            answered = SENDER.send(post) => drop(answered.to_string()),
        }
    });
}

/// An address that is this machine's, and nobody else listens on.
const RECEIVER: &str = "127.83.61.7";

fn plain() -> Config {
    let environment = [("SHARED_SECRET", "hush"), ("SERVER_DOMAIN", "bbb.example.org")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let loaded = config::load(&Sources { environment, ..Sources::default() });
    loaded.expect("secret and domain are all that is needed").config
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    use super::*;

    /// How long each target gets, and how long one input may take at most in a program that is not optimized.
    const TIME: Duration = Duration::from_secs(2);
    const PATIENCE: Duration = Duration::from_secs(5);

    /// Words that are worth a try, for whatever reads them.
    const WORDS: [&[u8]; 16] = [
        b"\0",
        b"\xff\xfe",
        b"\r\n\r\n",
        b"%00",
        b"%",
        b"\\ud800",
        b"99999999999999999999",
        b"-1",
        b"1e999",
        b"null",
        b"[[[[[[[[",
        b"{\"a\":",
        b"&a *a",
        b"checksum=",
        b"\xf0\x9f\x98\x80",
        b"true",
    ];

    /// The input with a few changes.
    fn mutated(input: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(0..=bytes.len());
            let end = (at + random.usize(0..40)).min(bytes.len());
            match random.u8(0..6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << random.u8(0..8),
                1 => drop(bytes.drain(at..end)),
                2 => {
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part.repeat(random.usize(1..20)));
                }
                3 => drop(bytes.splice(at..at, random.choice(WORDS).unwrap_or_default().iter().copied())),
                4 => bytes.truncate(at),
                _ => bytes.insert(at, random.u8(..)),
            }
        }
        bytes
    }

    fn run(name: &str, target: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/fuzz").join(name);
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let inputs: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        let take = |input: &[u8]| {
            let start = Instant::now();
            target(input);
            assert!(start.elapsed() < PATIENCE, "{name} took {:?} for {}", start.elapsed(), input.escape_ascii());
        };
        inputs.iter().for_each(|input| take(input));
        let mut random = fastrand::Rng::with_seed(7);
        let start = Instant::now();
        while start.elapsed() < TIME {
            let input = mutated(&inputs[random.usize(0..inputs.len())], &mut random);
            // What breaks is shown by the panic's neighbour in the output.
            if std::panic::catch_unwind(|| take(&input)).is_err() {
                panic!("{name} breaks by {}", input.escape_ascii());
            }
        }
    }

    #[test]
    fn any_bytes_on_a_channel() {
        run("channel", channel);
    }

    #[test]
    fn any_request() {
        run("request", request);
    }

    #[test]
    fn any_configuration() {
        run("configuration", configuration);
    }

    #[test]
    fn any_hash_in_redis() {
        run("hash", hash);
    }

    #[test]
    fn any_answer_of_a_receiver() {
        run("answer", answer);
    }
}
