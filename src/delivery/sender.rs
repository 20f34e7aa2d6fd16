//! One attempt to deliver something over HTTP.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use reqwest::Certificate;
use reqwest::Client;
use reqwest::Response;
use reqwest::StatusCode;
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
use crate::delivery::retry::Answer;
use crate::delivery::retry::retry_after;

/// Most redirects that are followed.
const REDIRECTS: usize = 10;

/// Most bytes of an answer that are read; nothing in it matters, but a connection whose answer was read serves again.
const ANSWER_BYTES: usize = 64 * 1024;

/// A kept connection that turns out to be closed says so when something is sent on it: after the way there and back. Later
/// than this, a connection broke under a receiver that works on the callback.
const CLOSED_SAYS_SO_WITHIN: Duration = Duration::from_millis(100);

tokio::task_local! {
    /// Whether an attempt made a connection of its own.
    static CONNECTED: Cell<bool>;
}

/// What to send by POST.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    /// Where to.
    pub url: &'a Url,
    /// The media type of the body.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: &'static [(&'static str, &'static str)],
    /// The body.
    pub body: &'a str,
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

/// Sends what it is given. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Sender {
    client: Client,
    /// The deadline of an attempt, from connecting to the end of the answer.
    timeout: Duration,
}

impl Sender {
    /// A sender that gives each attempt `timeout`, and believes `authorities` beside those of the system.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(timeout: Duration, authorities: &[Certificate]) -> Result<Self, Unusable> {
        let builder = || {
            Client::builder()
                .tls_certs_merge(authorities.iter().cloned())
                .user_agent(concat!("bbb-webhooks/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::custom(follow))
                // A callback URL is a secret as a rule, and not for where its receiver redirects to.
                .referer(false)
                // Retries are counted, and they are ours.
                .retry(reqwest::retry::never())
                .connector_layer(MapRequestLayer::new(|destination| {
                    // Some connections are made outside of any attempt, for the next one.
                    let _ = CONNECTED.try_with(|connected| connected.set(true));
                    destination
                }))
                .no_proxy()
                .tcp_nodelay(true)
        };
        let client = builder().build().or_else(|error| {
            warn!(
                error = &error as &dyn Error,
                "No CA certificates could be read: what goes to https will fail. Install the package ca-certificates"
            );
            builder().tls_certs_only(authorities.iter().cloned()).build()
        })?;
        Ok(Self { client, timeout })
    }

    /// Makes one attempt. If a connection that was kept turns out to be closed, the attempt is made again at once, on a new
    /// one, within the same deadline.
    ///
    /// Nothing says for certain that a connection was closed before the callback came. It is taken to be so if this attempt
    /// did not make the connection itself, and it broke at once. A receiver that takes callbacks and hangs up breaks the
    /// connections that it was sent them on, so it gets one twice at most when it begins to do so.
    pub async fn send(&self, post: Post<'_>) -> Answered {
        let begun = Instant::now();
        let attempt = async { (self.attempt(post, self.timeout).await, CONNECTED.with(Cell::get)) };
        let (first, connected) = CONNECTED.scope(Cell::new(false), attempt).await;
        let took = begun.elapsed();
        let was_closed = !connected && took < CLOSED_SAYS_SO_WITHIN;
        match first.answer {
            Answer::Broken if was_closed => self.attempt(post, self.timeout.saturating_sub(took)).await,
            _ => first,
        }
    }

    async fn attempt(&self, post: Post<'_>, timeout: Duration) -> Answered {
        let failed = |answer| Answered { answer, ..Answered::UNSENT };
        let mut request = self.client.post(post.url.clone()).header(CONTENT_TYPE, post.content_type);
        for (name, value) in post.headers {
            request = request.header(*name, *value);
        }
        let request = request.body(post.body.to_owned()).timeout(timeout).build();
        let Ok(mut request) = request else { return Answered::UNSENT };
        if let Some(authorization) = post.authorization {
            let Ok(mut value) = HeaderValue::from_str(authorization.expose()) else { return Answered::UNSENT };
            value.set_sensitive(true);
            // Instead of what a user and password in the URL would say.
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        match self.client.execute(request).await {
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

/// What an error comes from in the end: those around it only say that it came, and where from.
#[must_use]
pub fn root(error: &reqwest::Error) -> String {
    let mut root: &dyn Error = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root.to_string()
}

/// Only 307 and 308 promise that method and body are repeated; any other redirect would lose the body.
fn follow(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let keeps_the_body = matches!(attempt.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    if keeps_the_body && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
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
