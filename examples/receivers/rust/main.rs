//! Receives BigBlueButton's webhooks: verifies them, drops what came twice, stores the rest, and only then answers 200.
//!
//! ```sh
//! WEBHOOK_SECRET=whsec_... cargo run --example receiver
//! ```
//!
//! - `WEBHOOK_SECRET`: the hook's secret (`bbb-webhooks hooks secret ID`); several, with blanks between them, while it changes
//! - `EVENTS_FILE`: where events are stored, one JSON object a line (`events.jsonl`)
//! - `PORT`: on which to listen, on 127.0.0.1 (8080); TLS is the business of the web server in front
//!
//! From servers that send no signature in the headers, without `WEBHOOK_SECRET`:
//!
//! - `SHARED_SECRET`: the server's secret (`bbb-conf --secret`)
//! - `CALLBACK_URL`: the URL as it was given to `hooks/create`, byte for byte: it is part of what is signed

use std::collections::HashSet;
use std::env::var;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::UNIX_EPOCH;

use anyhow::ensure;
use axum::Router;
use axum::extract::Request;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::post;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use sha1::Sha1;
use sha2::Digest;
use sha2::Sha256;
use sha2::Sha384;
use sha2::Sha512;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use url::form_urlencoded;

const LONGEST_BODY: usize = 16 * 1024 * 1024;

/// The key in a hook's secret. None if there is none, or a short one: Standard Webhooks asks for 24 bytes.
fn key_of(secret: &str) -> Option<Vec<u8>> {
    let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok()?;
    (key.len() >= 24).then_some(key)
}

/// Whether a callback comes from someone who knows one of the hook's secrets, and was sent just now: by its headers.
fn is_signed(id: &str, timestamp: &str, signatures: &str, body: &[u8], secrets: &[String], now: u64) -> bool {
    if !timestamp.parse().is_ok_and(|timestamp: u64| timestamp.abs_diff(now) <= 300) {
        return false;
    }
    secrets.iter().filter_map(|secret| key_of(secret)).any(|key| {
        let Ok(hmac) = Hmac::<Sha256>::new_from_slice(&key) else { return false };
        let signed = hmac.chain_update(format!("{id}.{timestamp}.")).chain_update(body).finalize();
        let expected = format!("v1,{}", BASE64_STANDARD.encode(signed.into_bytes()));
        signatures.split(' ').any(|given| given.as_bytes().ct_eq(expected.as_bytes()).into())
    })
}

/// Whether a callback comes from someone who knows the secret: by its checksum, or by its Bearer token.
fn is_genuine(callback_url: &str, body: &[u8], checksum: &str, authorization: &str, secret: &str) -> bool {
    fn hash<D: Digest>(parts: [&[u8]; 3]) -> String {
        hex::encode(parts.into_iter().fold(D::new(), D::chain_update).finalize())
    }
    if secret.is_empty() {
        return false;
    }
    let signed = [callback_url.as_bytes(), body, secret.as_bytes()];
    let expected = match checksum.len() {
        40 => hash::<Sha1>(signed),
        64 => hash::<Sha256>(signed),
        96 => hash::<Sha384>(signed),
        128 => hash::<Sha512>(signed),
        _ => return format!("Bearer {secret}").as_bytes().ct_eq(authorization.as_bytes()).into(),
    };
    expected.as_bytes().ct_eq(checksum.as_bytes()).into()
}

/// A file of events, each of them once. A database with a unique column for the key does the same.
struct Store {
    file: File,
    /// How long the file is.
    end: u64,
    keys: HashSet<[u8; 32]>,
}

impl Store {
    fn open(path: &str) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // What follows the last line end was cut off in the middle, and never answered with 200.
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
        let end = bytes.len() as u64;
        file.set_len(end)?;
        let keys = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| Sha256::digest(line).into());
        Ok(Self { keys: keys.collect(), file, end })
    }

    /// Adds those that are not there yet. An event that comes again is the same to the last character.
    fn add(&mut self, events: &[Value]) -> io::Result<()> {
        let lines = events.iter().map(|event| format!("{event}\n"));
        let new: Vec<_> = lines.map(|line| (<[u8; 32]>::from(Sha256::digest(&line)), line)).collect();
        let mut seen = HashSet::new();
        let fresh = new.iter().filter(|(key, _)| !self.keys.contains(key) && seen.insert(*key));
        let text: String = fresh.map(|(_, line)| line.as_str()).collect();
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            self.file.set_len(self.end)?;
            return Err(error);
        }
        self.end += text.len() as u64;
        self.keys.extend(seen);
        Ok(())
    }
}

/// What callbacks are checked with.
enum Secrets {
    /// The hook's.
    Hook(Vec<String>),
    /// The server's, for a callback URL.
    Server { secret: String, callback_url: String },
}

impl Secrets {
    fn of_environment() -> anyhow::Result<Self> {
        let [of_hook, secret, callback_url] =
            ["WEBHOOK_SECRET", "SHARED_SECRET", "CALLBACK_URL"].map(|name| var(name).unwrap_or_default());
        let of_hook: Vec<_> = of_hook.split_whitespace().map(str::to_owned).collect();
        if !of_hook.is_empty() {
            let usable = of_hook.iter().all(|secret| key_of(secret).is_some());
            ensure!(usable, "WEBHOOK_SECRET is not a secret that `bbb-webhooks hooks secret` prints");
            return Ok(Self::Hook(of_hook));
        }
        // Nobody may receive without a secret.
        ensure!(
            !secret.is_empty() && !callback_url.is_empty(),
            "WEBHOOK_SECRET is not set: `bbb-webhooks hooks secret ID` prints it. (Or set SHARED_SECRET and CALLBACK_URL.)"
        );
        Ok(Self::Server { secret, callback_url })
    }

    fn have_signed(&self, head: &Parts, body: &[u8]) -> bool {
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match self {
            Self::Hook(secrets) => {
                let [id, timestamp, signatures] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(header);
                let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
                is_signed(id, timestamp, signatures, body, secrets, now)
            }
            Self::Server { secret, callback_url } => {
                let query = head.uri.query().unwrap_or_default();
                let checksum = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "checksum").last();
                let checksum = checksum.map(|(_, value)| value).unwrap_or_default();
                is_genuine(callback_url, body, &checksum, header("authorization"), secret)
            }
        }
    }
}

struct Receiver {
    secrets: Secrets,
    store: Mutex<Store>,
}

async fn receive(State(receiver): State<Arc<Receiver>>, request: Request) -> StatusCode {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST_BODY).await else { return StatusCode::PAYLOAD_TOO_LARGE };
    if !receiver.secrets.have_signed(&head, &body) {
        // Not 401: that counts as delivered.
        return StatusCode::FORBIDDEN;
    }
    let event = form_urlencoded::parse(&body).find(|(name, _)| name == "event");
    let Some(Ok(events)) = event.map(|(_, event)| serde_json::from_str::<Vec<Value>>(&event)) else {
        return StatusCode::BAD_REQUEST;
    };
    let stored = receiver.store.lock().unwrap_or_else(PoisonError::into_inner).add(&events);
    match stored {
        Ok(()) => StatusCode::OK,
        Err(error) => {
            eprintln!("not stored: {error}");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let receiver = Receiver {
        secrets: Secrets::of_environment()?,
        store: Mutex::new(Store::open(&var("EVENTS_FILE").unwrap_or_else(|_| "events.jsonl".to_owned()))?),
    };
    let router: Router = Router::new().fallback(post(receive)).with_state(Arc::new(receiver));
    let port = var("PORT").map_or(Ok(8080), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(router.clone().into_service::<hyper::body::Incoming>());
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move { drop(connection.await) });
    }
}
