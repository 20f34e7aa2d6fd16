//! One attempt to deliver something over HTTP.

use std::cell::Cell;
use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Certificate;
use reqwest::Client;
use reqwest::ClientBuilder;
use reqwest::Response;
use reqwest::StatusCode;
use reqwest::dns::Addrs;
use reqwest::dns::Name;
use reqwest::dns::Resolve;
use reqwest::dns::Resolving;
use reqwest::header::AUTHORIZATION;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::HeaderValue;
use reqwest::header::RETRY_AFTER;
use reqwest::redirect::Policy;
use tokio::time::Instant;
use tower::util::MapRequestLayer;
use tracing::warn;
use url::Url;

use crate::clock;
use crate::config::Secret;
use crate::config::Trust;
use crate::delivery::guard::Guard;
use crate::delivery::guard::Nowhere;
use crate::delivery::policy::Refusal;
use crate::delivery::retry::Answer;
use crate::delivery::retry::retry_after;

/// Most redirects that are followed.
const REDIRECTS: usize = 10;

/// Most bytes of an answer that are read; nothing in it matters, but a connection whose answer was read serves again.
const ANSWER_BYTES: usize = 64 * 1024;

/// Most characters of what an error comes from: some of it the receiver chooses.
const CAUSE_CHARACTERS: usize = 300;

/// What an attempt takes of memory beside its body: 37 KiB were measured with 800 under way, and some for what the allocator
/// cannot give out otherwise. Most of it is the connection's: 8 KiB to read and as much to write, 9 to hand it requests.
pub const ATTEMPT_BYTES: usize = 40 * 1024;

/// A kept connection that turns out to be closed says so when something is sent on it: after the way there and back. Later
/// than this, a connection broke under a receiver that works on the callback.
const CLOSED_SAYS_SO_WITHIN: Duration = Duration::from_millis(100);

tokio::task_local! {
    /// What the parts of the client say and hear of the attempt that they work for.
    static ATTEMPT: Attempt;
}

#[derive(Debug, Default)]
struct Attempt {
    /// Whether it made a connection of its own.
    connected: Cell<bool>,
    /// The port that it connects to: whoever looks names up is not told.
    port: Cell<u16>,
    /// Why it must not go on.
    refused: RefCell<Option<Refusal>>,
}

impl Attempt {
    fn heads_for(&self, url: &Url) {
        self.port.set(url.port_or_known_default().unwrap_or_default());
    }
}

/// What to send by POST.
#[derive(Clone, Debug)]
pub struct Post<'a> {
    /// Where to.
    pub url: &'a Url,
    /// The media type of the body.
    pub content_type: &'static str,
    /// Further headers, by name and value.
    pub headers: &'a [(&'static str, &'a str)],
    /// The body.
    pub body: Bytes,
    /// The value of the `Authorization` header, if it has one.
    pub authorization: Option<&'a Secret>,
}

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up: {0}")]
pub struct Unusable(#[from] reqwest::Error);

/// A file of certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadAuthorities {
    /// It cannot be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// It holds something else.
    #[error("the file holds no certificates in PEM")]
    NoCertificates,
}

/// The certificates in a PEM file.
///
/// # Errors
/// If it cannot be read or holds none.
pub fn authorities(file: &Path) -> Result<Vec<Certificate>, BadAuthorities> {
    let certificates = Certificate::from_pem_bundle(&fs::read(file)?);
    certificates.ok().filter(|all| !all.is_empty()).ok_or(BadAuthorities::NoCertificates)
}

/// Whose certificates are believed.
#[derive(Clone, Debug)]
pub enum Authorities {
    /// The system's, and these.
    Also(Vec<Certificate>),
    /// These alone.
    Only(Vec<Certificate>),
    /// Nobody has to be believed.
    Any,
}

impl Authorities {
    /// Those whom `trust` means, where `also` is a file of further ones for all.
    ///
    /// # Errors
    /// If a file cannot be read or holds none.
    pub fn of(trust: &Trust, also: Option<&Path>) -> Result<Self, BadAuthorities> {
        Ok(match trust {
            Trust::Usual => Self::Also(also.map_or(Ok(Vec::new()), authorities)?),
            Trust::Only(file) => Self::Only(authorities(file)?),
            Trust::Anybody => Self::Any,
        })
    }

    /// A client that believes them.
    pub fn believed_by(&self, builder: ClientBuilder) -> ClientBuilder {
        match self {
            Self::Also(certificates) => builder.tls_certs_merge(certificates.iter().cloned()),
            Self::Only(certificates) => builder.tls_certs_only(certificates.iter().cloned()),
            Self::Any => builder.tls_danger_accept_invalid_certs(true),
        }
    }
}

/// Sends what it is given. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Sender {
    client: Client,
    /// The deadline of an attempt, from connecting to the end of the answer.
    timeout: Duration,
    guard: Option<Guard>,
}

impl Sender {
    /// A sender that gives each attempt `timeout`, believes these `authorities`, and connects only to where `guard` lets it; without one, to anywhere.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(timeout: Duration, authorities: &Authorities, guard: Option<Guard>) -> Result<Self, Unusable> {
        let builder = || {
            let builder = Client::builder();
            let builder = match guard.clone() {
                Some(guard) => builder.dns_resolver(Arc::new(GuardedNames(guard))),
                None => builder,
            };
            let guard = guard.clone();
            builder
                .user_agent(concat!("bbb-webhooks/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::custom(move |attempt| follow(attempt, guard.as_ref())))
                // A callback URL is a secret as a rule, and not for where its receiver redirects to.
                .referer(false)
                // Retries are counted, and they are ours.
                .retry(reqwest::retry::never())
                .connector_layer(MapRequestLayer::new(|destination| {
                    // Some connections are made outside of any attempt, for the next one.
                    let _ = ATTEMPT.try_with(|attempt| attempt.connected.set(true));
                    destination
                }))
                // A proxy would go where the guard cannot see.
                .no_proxy()
                .tcp_nodelay(true)
        };
        let client = authorities.believed_by(builder()).build().or_else(|error| {
            let Authorities::Also(others) = authorities else { return Err(error) };
            warn!(
                error = &error as &dyn Error,
                "No CA certificates could be read: what goes to https will fail. Install the package ca-certificates"
            );
            builder().tls_certs_only(others.iter().cloned()).build()
        })?;
        Ok(Self { client, timeout, guard })
    }

    /// Makes one attempt. If a connection that was kept turns out to be closed, the attempt is made again at once, on a new
    /// one, within the same deadline.
    ///
    /// Nothing says for certain that a connection was closed before the callback came. It is taken to be so if this attempt
    /// did not make the connection itself, and it broke at once. A receiver that takes callbacks and hangs up breaks the
    /// connections that it was sent them on, so it gets one twice at most when it begins to do so.
    pub async fn send(&self, post: Post<'_>) -> Answered {
        let begun = Instant::now();
        let attempt =
            async { (self.attempt(&post, self.timeout).await, ATTEMPT.with(|attempt| attempt.connected.get())) };
        let (first, connected) = ATTEMPT.scope(Attempt::default(), attempt).await;
        let took = begun.elapsed();
        let was_closed = !connected && took < CLOSED_SAYS_SO_WITHIN;
        match first.answer {
            Answer::Broken if was_closed => {
                let again = self.attempt(&post, self.timeout.saturating_sub(took));
                ATTEMPT.scope(Attempt::default(), again).await
            }
            _ => first,
        }
    }

    async fn attempt(&self, post: &Post<'_>, timeout: Duration) -> Answered {
        let failed = |answer| Answered { answer, ..Answered::UNSENT };
        let mut request = self.client.post(post.url.clone()).header(CONTENT_TYPE, post.content_type);
        for (name, value) in post.headers {
            request = request.header(*name, *value);
        }
        let request = request.body(post.body.clone()).timeout(timeout).build();
        let Ok(mut request) = request else { return Answered::UNSENT };
        if let Some(authorization) = post.authorization {
            let Ok(mut value) = HeaderValue::from_str(authorization.expose()) else { return Answered::UNSENT };
            value.set_sensitive(true);
            // Instead of what a user and password in the URL would say.
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        if let Some(guard) = &self.guard
            && let Err(refusal) = guard.judge(request.url()).await
        {
            return refused(&refusal);
        }
        ATTEMPT.with(|attempt| attempt.heads_for(request.url()));
        let outcome = self.client.execute(request).await;
        if let Some(refusal) = ATTEMPT.with(|attempt| attempt.refused.take()) {
            return refused(&refusal);
        }
        match outcome {
            Ok(response) => {
                let answer = Answer::Status(response.status().as_u16());
                let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let retry_after = asked.and_then(|value| retry_after(value, clock::unix_ms()));
                read_answer(response).await;
                Answered { answer, retry_after, cause: None }
            }
            Err(error) if error.is_timeout() => failed(Answer::Timeout),
            Err(error) if error.is_connect() => {
                Answered { cause: Some(root(&error.without_url())), ..failed(Answer::Connect) }
            }
            Err(error) if error.is_builder() => Answered::UNSENT,
            Err(error) => Answered { cause: Some(root(&error.without_url())), ..failed(Answer::Broken) },
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// What was answered, or what came instead.
    pub answer: Answer,
    /// How long the receiver asked to be left alone.
    pub retry_after: Option<Duration>,
    /// Why there was no answer, in the words of the system or of TLS.
    pub cause: Option<String>,
}

impl Answered {
    /// Nothing could be sent.
    pub const UNSENT: Self = Self { answer: Answer::Unsent, retry_after: None, cause: None };
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.answer)?;
        self.cause.as_ref().map_or(Ok(()), |cause| write!(f, ": {cause}"))
    }
}

/// What an error comes from in the end: those around it only say that it came, and where from. A certificate with a thousand names
/// would make it long: it is cut.
#[must_use]
pub fn root(error: &reqwest::Error) -> String {
    let mut root: &dyn Error = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    let text = root.to_string();
    match text.char_indices().nth(CAUSE_CHARACTERS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// An attempt that was not made, or not to its end.
fn refused(refusal: &Refusal) -> Answered {
    Answered { answer: Answer::Refused, retry_after: None, cause: Some(format!("{refusal} ({})", refusal.key())) }
}

/// Only 307 and 308 promise that method and body are repeated; any other redirect would lose the body.
fn follow(redirect: reqwest::redirect::Attempt<'_>, guard: Option<&Guard>) -> reqwest::redirect::Action {
    let keeps_the_body = matches!(redirect.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    if !keeps_the_body || redirect.previous().len() > REDIRECTS {
        return redirect.stop();
    }
    match guard.map_or(Ok(()), |guard| guard.judge_at_once(redirect.url())) {
        Ok(()) => {
            let _ = ATTEMPT.try_with(|attempt| attempt.heads_for(redirect.url()));
            redirect.follow()
        }
        Err(refusal) => {
            let _ = ATTEMPT.try_with(|attempt| attempt.refused.replace(Some(refusal.clone())));
            redirect.error(refusal)
        }
    }
}

/// Looks names up, and finds only addresses to which something may be sent.
#[derive(Debug)]
struct GuardedNames(Guard);

impl Resolve for GuardedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0.clone();
        let port = ATTEMPT.try_with(|attempt| attempt.port.get());
        Box::pin(async move {
            // It would be for some attempt to come, which may make one of its own.
            let port = port.map_err(|_| "no attempt waits for this connection")?;
            match guard.resolve(name.as_str(), port).await {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
                Err(Nowhere::Unknown(error)) => Err(error.into()),
                Err(Nowhere::Refused(refusal)) => {
                    let _ = ATTEMPT.try_with(|attempt| attempt.refused.replace(Some(refusal.clone())));
                    Err(refusal.into())
                }
            }
        })
    }
}

/// Reads an answer to its end, to [`ANSWER_BYTES`], or to the deadline. The status counts, however this goes.
async fn read_answer(mut response: Response) {
    let mut left = ANSWER_BYTES;
    while let Ok(Some(chunk)) = response.chunk().await {
        left = left.saturating_sub(chunk.len());
        if left == 0 {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::delivery::policy::Policy as CallbackPolicy;

    /// A receiver on 127.0.0.1 that answers each connection once; its port.
    async fn receiver(answer: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut read = [0; 4096];
                let _ = stream.read(&mut read).await;
                let answer = answer.replace("PORT", &port.to_string());
                stream.write_all(format!("HTTP/1.1 {answer}\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
            }
        });
        port
    }

    fn sender(yaml: &str) -> Sender {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let guard = Guard::new(CallbackPolicy::of_callbacks(&crate::config::of_text(yaml)));
        Sender::new(Duration::from_secs(5), &Authorities::Also(Vec::new()), Some(guard)).unwrap()
    }

    async fn sent(sender: &Sender, url: &str) -> (Answer, String) {
        let url = &Url::parse(url).unwrap();
        let post = Post { url, content_type: "text/plain", headers: &[], body: Bytes::from("x"), authorization: None };
        let answered = sender.send(post).await;
        (answered.answer, answered.cause.unwrap_or_default())
    }

    #[tokio::test]
    async fn the_address_that_is_connected_to_is_the_one_that_was_judged() {
        let port = receiver("200 OK\r\ncontent-length: 0").await;
        let sender = sender("");
        let to = |name: &str| format!("http://{name}.test:{port}/");
        assert_eq!(sent(&sender, &to("127-0-0-1")).await.0, Answer::Status(200));
        assert_eq!(sent(&sender, &to("169-254-169-254n127-0-0-1")).await.0, Answer::Status(200));
        let (answer, why) = sent(&sender, &to("169-254-169-254")).await;
        assert_eq!(answer, Answer::Refused);
        assert_eq!(why, "169.254.169.254 is a link-local address (hooks.callbackPolicy)");
        let rebound = to("127-0-0-1x169-254-169-254");
        assert_eq!(sent(&sender, &rebound).await.0, Answer::Status(200));
        assert_eq!(sent(&sender, &rebound).await.0, Answer::Refused, "it leads elsewhere now");
    }

    #[tokio::test]
    async fn redirects_are_judged_each() {
        for (location, expected) in [
            ("http://169.254.169.254/latest", Answer::Refused),
            ("http://[::ffff:a9fe:a9fe]/", Answer::Refused),
            ("http://2852039166/", Answer::Refused),
            ("http://169-254-169-254.test/", Answer::Refused),
            ("http://127-0-0-1.test:3005/", Answer::Refused),
            ("http://127.0.0.1:6379/", Answer::Refused),
        ] {
            let answer = format!("307 Temporary Redirect\r\nlocation: {location}\r\ncontent-length: 0");
            let port = receiver(answer.leak()).await;
            let url = format!("http://127.0.0.1:{port}/");
            assert_eq!(sent(&sender(""), &url).await.0, expected, "{location}");
        }
    }

    #[tokio::test]
    async fn without_a_guard_it_goes_anywhere() {
        let port = receiver("200 OK\r\ncontent-length: 0").await;
        let url = format!("http://127.0.0.1:{port}/");
        let strict = sender("hooks: {callbackPolicy: {profile: public-only}}");
        assert_eq!(sent(&strict, &url).await.0, Answer::Refused);
        let open = Sender { client: Client::builder().tls_certs_only([]).build().unwrap(), guard: None, ..strict };
        assert_eq!(sent(&open, &url).await.0, Answer::Status(200));
    }
}
