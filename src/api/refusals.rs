//! Tells the log why a call has a wrong checksum: a hint, and at `debug` what had to be signed. And of calls that are still
//! signed with the previous secret, because they will be wrong some day.
//!
//! Anybody can send wrong checksums, as many as they like. So what is said is bounded, and so is the search for the
//! mistake, which costs thousands of checksums; it is made aside, and the answer neither waits for it nor depends on it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::request::Parts;
use tokio::time::Instant;
use tracing::debug;
use tracing::info;

use crate::bound::Bound;
use crate::bound::May;
use crate::checksum::Algorithm;
use crate::checksum::masked;
use crate::checksum::mistakes;
use crate::checksum::mistakes::Call;
use crate::config::Secret;
use crate::server::Peer;

/// How many are said at once, and after how long one more.
const AT_ONCE: u32 = 5;
const ONE_MORE_AFTER: Duration = Duration::from_secs(1);

/// After how long one more call with the previous secret is said.
const ONE_MORE_PREVIOUS_AFTER: Duration = Duration::from_secs(60);

/// After how long it is said how many were not said.
const SUM_UP_AFTER: Duration = Duration::from_secs(10);

/// Longest query in which a mistake is searched for, in bytes.
const LONGEST_QUERY: usize = 4096;

/// Most characters of a proxy's word about its client.
const LONGEST_FORWARDED: usize = 100;

/// Takes note of calls with wrong checksums. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Refusals(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    api_path: String,
    /// The one that is to be used, then the previous one.
    secrets: Arc<[Secret]>,
    accepted: Arc<[Algorithm]>,
    start: Instant,
    bound: Mutex<Bound>,
    previous_bound: Mutex<Bound>,
}

impl Refusals {
    pub(super) fn new(api_path: &str, secrets: Arc<[Secret]>, accepted: Arc<[Algorithm]>) -> Self {
        Self(Arc::new(Shared {
            api_path: api_path.to_owned(),
            secrets,
            accepted,
            start: Instant::now(),
            bound: Mutex::new(Bound::new(AT_ONCE, ONE_MORE_AFTER)),
            previous_bound: Mutex::new(Bound::new(AT_ONCE, ONE_MORE_PREVIOUS_AFTER)),
        }))
    }

    /// A call was refused for its checksum.
    pub(super) fn note(&self, parts: &Parts, method: &str, query: &str) {
        let may = self.bound(|bound| bound.happens(self.0.start.elapsed()));
        match may {
            May::Say => {
                let (shared, client) = (Arc::clone(&self.0), client(parts));
                let (method, query) = (method.to_owned(), query.to_owned());
                tokio::task::spawn_blocking(move || shared.say(&client, &method, &query));
            }
            May::CountFirst => {
                let refusals = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(SUM_UP_AFTER).await;
                    let calls = refusals.bound(Bound::take_unsaid);
                    info!(calls, "More calls had wrong checksums");
                });
            }
            May::Count => {}
        }
    }

    /// A call was taken that the previous secret had signed.
    pub(super) fn note_previous_secret(&self, parts: &Parts, method: &str) {
        let mut bound = self.0.previous_bound.lock().unwrap_or_else(PoisonError::into_inner);
        if bound.happens(self.0.start.elapsed()) == May::Say {
            let unsaid = Some(bound.take_unsaid()).filter(|unsaid| *unsaid > 0);
            info!(
                client = client(parts),
                method, unsaid, "A call is signed with the previous secret (bbb.previousSecret)"
            );
        }
    }

    fn bound<T>(&self, change: impl FnOnce(&mut Bound) -> T) -> T {
        change(&mut self.0.bound.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    fn say(&self, client: &str, method: &str, query: &str) {
        let secrets: Vec<&str> = self.secrets.iter().map(Secret::expose).collect();
        let hint = match query.len() {
            0..=LONGEST_QUERY => {
                let call = Call { api_path: &self.api_path, method, query };
                // It was refused, so there is one.
                mistakes::find(call, &secrets, &self.accepted).err().map(|mistake| mistake.to_string())
            }
            _ => Some("the query is too long to look for the mistake".to_owned()),
        };
        info!(client, method, hint, "A call has a wrong checksum");
        let given = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "checksum");
        let algorithm = given.and_then(|(_, checksum)| Algorithm::of_hex_length(checksum.len()));
        let algorithms: Vec<_> = algorithm.map_or_else(|| self.accepted.to_vec(), |algorithm| vec![algorithm]);
        let algorithm = algorithms.into_iter().map(Algorithm::name).collect::<Vec<_>>().join(" or ");
        debug!(to_sign = masked::to_sign(method, query, &secrets), algorithm, "What that checksum has to be made of");
    }
}

/// The client's address; where that is a proxy's on this machine, what the proxy says of its client too.
pub(super) fn client(parts: &Parts) -> String {
    let Some(peer) = parts.extensions.get::<Peer>() else { return "unknown".to_owned() };
    match forwarded(&parts.headers).filter(|_| peer.is_local()) {
        Some(forwarded) => format!("{forwarded} (says {peer})"),
        None => peer.to_string(),
    }
}

fn forwarded(headers: &HeaderMap) -> Option<String> {
    let header = headers.get("x-forwarded-for").or_else(|| headers.get("x-real-ip"))?;
    // Anybody can write anything there: only what addresses are made of goes into the log.
    let address = |c: &char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | ',' | ' ');
    Some(header.to_str().ok()?.chars().filter(address).take(LONGEST_FORWARDED).collect())
        .filter(|s: &String| !s.is_empty())
}
