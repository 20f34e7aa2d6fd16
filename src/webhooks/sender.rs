//! One attempt to deliver a callback over HTTP.

use std::time::Duration;

use reqwest::Client;
use reqwest::Response;
use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::HeaderValue;
use reqwest::header::RETRY_AFTER;
use reqwest::redirect::Policy;
use tracing::warn;

use crate::clock;
use crate::webhooks::callback;
use crate::webhooks::callback::Callback;
use crate::webhooks::retry::Answer;
use crate::webhooks::retry::retry_after;

/// Most redirects that are followed.
const REDIRECTS: usize = 10;

/// Most bytes of an answer that are read; nothing in it matters, but a connection whose answer was read serves again.
const ANSWER_BYTES: usize = 64 * 1024;

/// Sends callbacks. Clones share their connections.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    client: Client,
    /// The deadline of an attempt, from connecting to the end of the answer.
    timeout: Duration,
}

impl Sender {
    /// A sender that gives each attempt `timeout`.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub(super) fn new(timeout: Duration) -> reqwest::Result<Self> {
        let builder = || {
            Client::builder()
                .user_agent(concat!("bbb-webhooks/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::custom(follow))
                // Retries are counted, and they are ours.
                .retry(reqwest::retry::never())
                .no_proxy()
                .tcp_nodelay(true)
        };
        let client = builder().build().or_else(|error| {
            warn!(
                error = &error as &dyn std::error::Error,
                "No CA certificates could be read: callbacks to https will fail. Install the package ca-certificates"
            );
            builder().tls_certs_only([]).build()
        })?;
        Ok(Self { client, timeout })
    }

    /// Makes one attempt. `kept_alive` says that the receiver answered before, so that a connection to it may have been
    /// kept; if it then turns out to be closed, the attempt is made again at once, on a new one.
    pub(super) async fn send(&self, callback: &Callback, kept_alive: bool) -> Answered {
        let first = self.attempt(callback).await;
        match first.answer {
            Answer::Broken if kept_alive => self.attempt(callback).await,
            _ => first,
        }
    }

    async fn attempt(&self, callback: &Callback) -> Answered {
        let failed = |answer| Answered { answer, retry_after: None };
        let request = self.client.post(&callback.url).header(CONTENT_TYPE, callback::CONTENT_TYPE);
        let request = request.body(callback.body.clone()).timeout(self.timeout).build();
        let Ok(mut request) = request else { return failed(Answer::Unsent) };
        if let Some(authorization) = &callback.authorization {
            let Ok(mut value) = HeaderValue::from_str(authorization.expose()) else { return failed(Answer::Unsent) };
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
                Answered { answer, retry_after }
            }
            Err(error) if error.is_timeout() => failed(Answer::Timeout),
            Err(error) if error.is_connect() => failed(Answer::Connect),
            Err(error) if error.is_builder() => failed(Answer::Unsent),
            Err(_) => failed(Answer::Broken),
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) answer: Answer,
    /// How long the receiver asked to be left alone.
    pub(super) retry_after: Option<Duration>,
}

/// Only 307 and 308 promise that method and body are repeated; any other redirect would lose the event.
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
