//! `receive`: a receiver of callbacks for development, which registers itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::ensure;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header::AUTHORIZATION;
use serde_json::Value;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;
use url::form_urlencoded;

use crate::cli;
use crate::clock;
use crate::commands::client::Client;
use crate::commands::exact_time;
use crate::commands::hooks::register;
use crate::commands::name;
use crate::commands::say;
use crate::commands::told_to_stop;
use crate::config::Config;
use crate::config::Secret;
use crate::webhooks::signature;
use crate::webhooks::signature::Proofs;
use crate::webhooks::signature::Received;
use crate::webhooks::standard;

/// Receives and prints until told to stop.
///
/// # Errors
/// If it cannot listen, or the daemon does not register it.
pub async fn receive(config: &Config, asked: &cli::Receive) -> anyhow::Result<()> {
    let listener = TcpListener::bind(asked.listen).await;
    let listener = listener.with_context(|| format!("{} cannot be listened on", asked.listen))?;
    let address = listener.local_addr()?;
    let url = match &asked.url {
        Some(url) => url.clone(),
        None => {
            ensure!(
                !address.ip().is_unspecified(),
                "{address} is no address to call: name the URL to register (--url)"
            );
            format!("http://{address}/callback")
        }
    };
    let client = Client::new(config)?;
    let (lines, said) = mpsc::unbounded_channel();
    let receiver = Receiver {
        url: url.clone(),
        secret: config.bbb.shared_secret.clone(),
        status: StatusCode::from_u16(asked.status).context("the status to answer with")?,
        delay: asked.delay,
        json: asked.json,
        lines,
    };
    // Callbacks may come before the daemon answered, so the receiver is there first.
    let router = Router::new().fallback(take).layer(DefaultBodyLimit::disable()).with_state(Arc::new(receiver));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    // Listened for from here on, so that a Ctrl-C while it registers leaves no hook behind.
    let stopped = told_to_stop()?;
    let (answer, is_new) = register(config, &client, &url, &asked.wanted).await?;
    let id = answer.get("hookID").context("the daemon did not say the id of the hook")?;
    match is_new {
        true => eprintln!("Hook {id} is registered for {url}; Ctrl-C ends it."),
        false => eprintln!("Hook {id} has {url} already, and stays as it is; Ctrl-C ends this receiver, not the hook."),
    }
    tokio::select! {
        () = stopped => {}
        () = print(said) => {}
    }
    if is_new {
        let destroyed = client.ask("hooks/destroy", &[("hookID", id)]).await;
        let destroyed = destroyed.with_context(|| format!("hook {id} is still registered"))?;
        match destroyed.is_success() {
            true => eprintln!("Hook {id} is destroyed."),
            false => eprintln!("Hook {id} was gone already: the daemon gave it up, or somebody destroyed it."),
        }
    }
    serving.abort();
    Ok(())
}

/// Prints what comes, as long as somebody reads it.
async fn print(mut lines: UnboundedReceiver<String>) {
    while let Some(line) = lines.recv().await {
        if !say(&line) {
            return;
        }
    }
}

struct Receiver {
    url: String,
    secret: Secret,
    status: StatusCode,
    delay: Duration,
    json: bool,
    lines: UnboundedSender<String>,
}

/// Takes a request in, prints it, and answers as it was told.
async fn take(
    State(receiver): State<Arc<Receiver>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    if method != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED;
    }
    for line in receiver.lines_of(uri.query(), &headers, &body, clock::unix_ms()) {
        // Nobody reads them at the end.
        let _ = receiver.lines.send(line);
    }
    sleep(receiver.delay).await;
    receiver.status
}

impl Receiver {
    /// What to print of a callback, a line for each event.
    fn lines_of(&self, query: Option<&str>, headers: &HeaderMap, body: &str, now_ms: u64) -> Vec<String> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let came_to = query.map(|query| format!("?{query}")).unwrap_or_default();
        let (_, checksum) = signature::split_checksum(&came_to);
        let authorization = header(AUTHORIZATION.as_str());
        let received = Received { registered_url: &self.url, checksum, authorization, body };
        let legacy = signature::check(received, self.secret.expose());
        let webhook = standard::Received {
            id: header(standard::ID),
            timestamp: header(standard::TIMESTAMP),
            signature: header(standard::SIGNATURE),
        };
        let by_headers = webhook.check_at(now_ms, body, &self.secret);
        let proofs = Proofs::of(&legacy, &by_headers);
        let form: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let events: Vec<Value> = field("event").and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default();
        // What is no callback is worth a line too.
        let events = if events.is_empty() { vec![Value::Null] } else { events };
        let line = |event: &Value| {
            if self.json {
                let signature = if proofs.wrong.is_none() { "right" } else { "wrong" };
                let whole = json!({
                    "received": exact_time(now_ms), "signature": signature, "signed": proofs.signed,
                    "webhookId": webhook.id, "webhookSignature": proofs.by_headers, "wrong": proofs.wrong, "domain": field("domain"), "timestamp": field("timestamp"), "event": event,
                });
                return whole.to_string();
            }
            let signature = if proofs.wrong.is_none() { "right" } else { "WRONG" };
            let why = proofs.wrong.as_ref().map(|why| format!("  {why}")).unwrap_or_default();
            let (id, meeting) = (name(event).unwrap_or("no event"), meeting(event).unwrap_or("-"));
            format!("{}  {signature}  {id:<28}  {meeting}{why}", exact_time(now_ms))
        };
        events.iter().map(line).collect()
    }
}

/// The meeting of an event; BigBlueButton's own name of it where it is a message.
fn meeting(event: &Value) -> Option<&str> {
    const WAYS: [&str; 3] =
        ["/data/attributes/meeting/external-meeting-id", "/core/header/meetingId", "/payload/meeting_id"];
    WAYS.iter().find_map(|way| event.pointer(way)?.as_str())
}
