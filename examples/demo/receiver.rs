//! A receiver of callbacks: what a learning management system would run.
//!
//! It uses nothing of the daemon's code. It checks the checksum itself, as every receiver should.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Instant;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::routing::post;
use serde_json::Value;
use sha1::Digest;
use sha1::Sha1;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use url::form_urlencoded;

/// A running receiver.
pub(crate) struct Receiver {
    url: String,
    posts: UnboundedReceiver<Post>,
    check: Check,
    names: HashMap<String, String>,
    server: JoinHandle<()>,
}

/// A request as it came.
struct Post {
    at: Instant,
    query: String,
    body: String,
}

/// What a callback must agree with.
struct Check {
    secret: &'static str,
    domain: &'static str,
}

/// A callback, understood.
pub(crate) struct Callback {
    at: Instant,
    /// Which event it brought.
    pub(crate) event_id: String,
    what: String,
    /// What is wrong with it, if something is.
    pub(crate) problem: Option<String>,
}

impl Receiver {
    /// Listens on a free port.
    pub(crate) async fn start(secret: &'static str, domain: &'static str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("the receiver cannot listen")?;
        let url = format!("http://{}/callback", listener.local_addr()?);
        let (sender, posts) = mpsc::unbounded_channel();
        let router = Router::new().route("/callback", post(take)).with_state(sender);
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("The receiver failed: {error}");
            }
        });
        Ok(Self { url, posts, check: Check { secret, domain }, names: HashMap::new(), server })
    }

    /// The URL to register.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The next callback.
    pub(crate) async fn next(&mut self) -> Option<Callback> {
        let post = self.posts.recv().await?;
        let event = self.check.event_of(&self.url, &post);
        let problem = event.as_ref().err().map(|error| format!("{error:#}"));
        let event = event.unwrap_or_default();
        let event_id = event["data"]["id"].as_str().unwrap_or("?").to_owned();
        let what = self.describe(&event_id, &event["data"]["attributes"]);
        Some(Callback { at: post.at, event_id, what, problem })
    }

    /// The names of the columns that [`Callback::print`] writes.
    pub(crate) fn print_head(&self) {
        println!("{:>9}  {:<9}  {:<28}  who, what", "time", "checksum", "event");
    }

    /// An event in words. Only a `user-joined` says a user's name, so names are remembered.
    fn describe(&mut self, id: &str, attributes: &Value) -> String {
        let user = &attributes["user"];
        if let (Some(id), Some(name)) = (user["internal-user-id"].as_str(), user["name"].as_str()) {
            self.names.insert(id.to_owned(), name.to_owned());
        }
        let who = user["internal-user-id"].as_str().and_then(|id| self.names.get(id)).cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match id {
            "meeting-created" => format!("\"{}\"", text(&attributes["meeting"]["name"])),
            "user-joined" => format!("{who}, {}", text(&user["role"]).to_lowercase()),
            "user-audio-voice-enabled" if user["listening-only"] == true => format!("{who} listens"),
            "user-audio-voice-enabled" => format!("{who} speaks and listens"),
            "user-raise-hand-changed" if user["raise-hand"] == true => format!("{who}, hand up"),
            "user-raise-hand-changed" => format!("{who}, hand down"),
            "chat-group-message-sent" => {
                let chat = &attributes["chat-message"];
                format!("{}: {}", text(&chat["sender"]["name"]), text(&chat["message"]))
            }
            "poll-started" => {
                let poll = &attributes["poll"];
                let answers = poll["answers"].as_array().map(Vec::as_slice).unwrap_or_default();
                let answers: Vec<String> = answers.iter().map(|answer| text(&answer["key"])).collect();
                format!("{who}: {} {}", text(&poll["question"]), answers.join(" / "))
            }
            "poll-responded" => format!("{who}, answers {}", attributes["poll"]["answerIds"]),
            "rap-publish-ended" => text(&attributes["recording"]["playback"]["link"]),
            _ if id.starts_with("rap-") => match attributes["step-time"].as_u64() {
                Some(time) => {
                    format!("recording of {}, {time} ms", text(&attributes["meeting"]["external-meeting-id"]))
                }
                None => format!("recording of {}", text(&attributes["meeting"]["external-meeting-id"])),
            },
            _ if who.is_empty() => text(&attributes["meeting"]["external-meeting-id"]),
            _ => who,
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Takes a request in; it is looked at later, so that the daemon has its answer at once.
async fn take(State(posts): State<UnboundedSender<Post>>, uri: Uri, body: String) -> StatusCode {
    let post = Post { at: Instant::now(), query: uri.query().unwrap_or_default().to_owned(), body };
    match posts.send(post) {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl Check {
    /// The event of a callback, if it is what the daemon promises.
    fn event_of(&self, registered_url: &str, post: &Post) -> anyhow::Result<Value> {
        // The checksum covers the URL as it was registered, the body as it came, and the secret.
        let signed = format!("{registered_url}{}{}", post.body, self.secret);
        let expected = format!("checksum={}", hex::encode(Sha1::digest(signed)));
        anyhow::ensure!(post.query == expected, "got {}, expected {expected}", post.query);

        let form: HashMap<String, String> = form_urlencoded::parse(post.body.as_bytes()).into_owned().collect();
        let field = |name: &str| form.get(name).with_context(|| format!("the body has no {name}"));
        anyhow::ensure!(field("domain")? == self.domain, "the domain is {}", field("domain")?);
        field("timestamp")?.parse::<u64>().context("the timestamp is no number")?;
        let mut events: Vec<Value> = serde_json::from_str(field("event")?).context("event is no JSON list")?;
        anyhow::ensure!(events.len() == 1, "it brought {} events", events.len());
        Ok(events.remove(0))
    }
}

impl Callback {
    /// Writes one line; the time is from `start` to the callback's arrival.
    pub(crate) fn print(&self, start: Instant) {
        let time = self.at.saturating_duration_since(start).as_secs_f64() * 1000.0;
        let checksum = if self.problem.is_none() { "right" } else { "WRONG" };
        println!("{time:>6.1} ms  {checksum:<9}  {:<28}  {}", self.event_id, self.what);
    }
}
