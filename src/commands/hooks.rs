//! `hooks`: the API from the command line, with the checksum made for you.

use std::time::Duration;

use anyhow::Context;
use anyhow::anyhow;
use serde_json::Value;
use serde_json::json;
use tokio::time::Instant;

use crate::cli;
use crate::cli::HooksCommand;
use crate::cli::TEST;
use crate::cli::Wanted;
use crate::clock;
use crate::commands::Outcome;
use crate::commands::answer::Answer;
use crate::commands::answer::ListedHook;
use crate::commands::client::Client;
use crate::commands::printable;
use crate::commands::say;
use crate::commands::table;
use crate::config::Config;
use crate::config::masked_url;
use crate::delivery::guard::Guard;
use crate::delivery::policy::Policy;
use crate::delivery::retry::Answer as Delivery;
use crate::delivery::sender::Authorities;
use crate::delivery::sender::Post;
use crate::delivery::sender::Sender;
use crate::webhooks::address::Address;
use crate::webhooks::callback::CONTENT_TYPE;
use crate::webhooks::callback::CallbackBuilder;
use crate::webhooks::standard::HookKey;

/// Lists, creates, destroys or tests hooks.
///
/// # Errors
/// If the daemon does not answer, or says no.
pub async fn hooks(config: &Config, asked: &cli::Hooks) -> anyhow::Result<Outcome> {
    let client = Client::new(config)?;
    match &asked.what {
        HooksCommand::Secret(asked) => Ok(secret_of_hook(config, asked)),
        HooksCommand::List(asked) => list(&client, asked).await.map(Outcome::from),
        HooksCommand::Create(asked) => create(config, &client, asked).await.map(Outcome::from),
        HooksCommand::Destroy(asked) => destroy(&client, asked).await.map(|()| String::new().into()),
        HooksCommand::Test(asked) => test(config, &client, asked).await,
    }
}

/// The secret of a hook.
#[must_use]
pub fn secret_of_hook(config: &Config, asked: &cli::Secret) -> Outcome {
    format!("{}\n", HookKey::derive(&config.bbb.shared_secret, &asked.id).to_text().expose()).into()
}

async fn list(client: &Client, asked: &cli::List) -> anyhow::Result<String> {
    let meeting: Vec<_> = asked.meeting.iter().map(|id| ("meetingID", id.as_str())).collect();
    let hooks = client.call("hooks/list", &meeting).await?.hooks;
    if asked.json {
        return Ok(hooks.iter().map(|hook| format!("{}\n", json_of(hook))).collect());
    }
    if hooks.is_empty() {
        return Ok("There are no hooks.\n".to_owned());
    }
    let rows = hooks.iter().map(|hook| {
        let kind = [(hook.permanent, "permanent"), (hook.raw, "raw")];
        let kind: Vec<_> = kind.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
        [
            hook.id.clone(),
            kind.join(" "),
            hook.meeting.clone().unwrap_or_default(),
            hook.events.join(","),
            hook.url.clone(),
        ]
    });
    Ok(table(&["ID", "KIND", "MEETING", "EVENTS", "URL"], &rows.collect::<Vec<_>>()))
}

fn json_of(hook: &ListedHook) -> Value {
    json!({
        "id": hook.id,
        "url": hook.url,
        "meeting": hook.meeting,
        "events": hook.events,
        "permanent": hook.permanent,
        "raw": hook.raw,
    })
}

async fn create(config: &Config, client: &Client, asked: &cli::Create) -> anyhow::Result<String> {
    let (answer, created) = register(config, client, &asked.url, &asked.wanted).await?;
    let id = answer.get("hookID").context("the daemon did not say the id of the hook")?;
    if asked.json {
        return Ok(format!("{}\n", json!({"id": id, "url": asked.url, "created": created})));
    }
    if created {
        return Ok(format!("Hook {id} is created.\n"));
    }
    let hooks = client.call("hooks/list", &[]).await.map(|answer| answer.hooks).unwrap_or_default();
    let known = hooks.iter().find(|hook| hook.id == id);
    let gets = known.map(|hook| kept(hook, &asked.wanted)).unwrap_or_default();
    Ok(format!("Hook {id} has this URL already; it stays as it is{gets}.\n"))
}

/// What a hook that stays as it is gets, and what to do where something else is wanted.
fn kept(hook: &ListedHook, wanted: &Wanted) -> String {
    let events = if hook.events.is_empty() { "all events".to_owned() } else { hook.events.join(",") };
    let meeting = hook.meeting.as_ref().map_or_else(|| "all meetings".to_owned(), |id| format!("meeting {id}"));
    let raw = if hook.raw { ", raw" } else { "" };
    let ids: Vec<_> = wanted.events.iter().map(|id| id.trim().to_lowercase()).filter(|id| !id.is_empty()).collect();
    let otherwise = match (&hook.meeting, &hook.events, hook.raw) == (&wanted.meeting, &ids, wanted.raw) {
        true => String::new(),
        false => format!(". For others, destroy it first: bbb-webhooks hooks destroy {}", hook.id),
    };
    printable(&format!(", and gets {events} of {meeting}{raw}{otherwise}"))
}

/// Asks for a hook; the answer, and whether the hook is new.
pub(super) async fn register(
    config: &Config,
    client: &Client,
    url: &str,
    wanted: &Wanted,
) -> anyhow::Result<(Answer, bool)> {
    for id in wanted.events.iter().map(|id| id.trim()).filter(|id| !id.is_empty()) {
        if !config.knows_event(&id.to_lowercase()) {
            eprintln!("Warning: {id}: no such event; docs/events.md has all");
        }
    }
    let events = wanted.events.join(",");
    let mut parameters = vec![("callbackURL", url)];
    parameters.extend(wanted.meeting.iter().map(|id| ("meetingID", id.as_str())));
    if !events.is_empty() {
        parameters.push(("eventID", &events));
    }
    if wanted.raw {
        parameters.push(("getRaw", "true"));
    }
    let answer = client.call("hooks/create", &parameters).await?;
    let is_new = answer.get("messageKey").is_none();
    Ok((answer, is_new))
}

async fn destroy(client: &Client, asked: &cli::Destroy) -> anyhow::Result<()> {
    for id in &asked.ids {
        if let Err(error) = client.call("hooks/destroy", &[("hookID", id)]).await {
            let hooks = client.call("hooks/list", &[]).await.map(|answer| answer.hooks).unwrap_or_default();
            let error = match hooks.iter().any(|hook| hook.id == *id && hook.permanent) {
                true => anyhow!("it is permanent: take it out of hooks.permanentURLs, and reload the daemon"),
                false => error,
            };
            return Err(error.context(format!("hook {id} is not destroyed")));
        }
        // At once: the next may fail.
        say(&format!("Hook {id} is destroyed."));
    }
    Ok(())
}

/// Sends a test event straight to a hook's receiver.
async fn test(config: &Config, client: &Client, asked: &cli::Test) -> anyhow::Result<Outcome> {
    let hook = match asked.hook.contains("://") {
        // Registered or not, and with a daemon or without.
        true => {
            let hooks = client.call("hooks/list", &[]).await.map(|answer| answer.hooks).unwrap_or_default();
            let known = hooks.into_iter().find(|hook| hook.url == asked.hook);
            known.unwrap_or_else(|| ListedHook { url: asked.hook.clone(), ..ListedHook::default() })
        }
        false => {
            let hooks = client.call("hooks/list", &[]).await?.hooks;
            let hook = hooks.into_iter().find(|hook| hook.id == asked.hook);
            hook.with_context(|| format!("there is no hook {}; `bbb-webhooks hooks list` shows them", asked.hook))?
        }
    };
    let timeout = config.hooks.request_timeout;
    let guard = Guard::new(Policy::of_callbacks(config));
    let sender =
        Sender::new(timeout, &believed(config, &hook.url)?, Some(guard)).context("callbacks cannot be sent")?;
    let now_ms = clock::unix_ms();
    let event = test_event(hook.meeting.as_deref(), hook.raw || asked.raw, now_ms);
    let address = Address::new(&hook.url).with_context(|| format!("{} is no URL", printable(&hook.url)))?;
    let builder = CallbackBuilder::new(&config.bbb, &config.hooks);
    let callback = builder.build(&address, &[&event.to_string()], now_ms);
    let key = builder.key_of(if hook.id.is_empty() { TEST } else { &hook.id });
    // Numbers of events are far greater: they count microseconds.
    let signature = key.sign((now_ms, now_ms), now_ms, &callback.body);
    let start = Instant::now();
    let answered = sender
        .send(Post {
            url: &callback.url,
            content_type: CONTENT_TYPE,
            headers: &signature.headers(),
            body: callback.body.into(),
            authorization: callback.authorization.as_ref(),
        })
        .await;
    let ms = start.elapsed().as_millis();
    let delivered = answered.answer.is_delivered();
    let (said, hint) = (answered.to_string(), hint(answered.answer, timeout));
    let text = match asked.json {
        true => {
            let status = if let Delivery::Status(status) = answered.answer { Some(status) } else { None };
            let ms = u64::try_from(ms).unwrap_or(u64::MAX);
            let url = masked_url(&hook.url);
            let outcome =
                json!({"url": url, "delivered": delivered, "status": status, "answer": said, "ms": ms, "hint": hint});
            format!("{outcome}\n")
        }
        false => {
            let outcome = if delivered { "delivered" } else { "NOT delivered" };
            format!("POST {}\n{outcome}: {said}, after {ms} ms\n{hint}\n", masked_url(&hook.url))
        }
    };
    Ok(Outcome { text, status: u8::from(!delivered) })
}

/// Whose certificates are believed of the receiver at this URL.
fn believed(config: &Config, url: &str) -> anyhow::Result<Authorities> {
    let permanent = config.hooks.permanent.iter().find(|hook| hook.url == url);
    let trust = permanent.map(|hook| hook.trust.clone()).unwrap_or_default();
    Authorities::of(&trust, config.hooks.ca_file.as_deref()).context("caFile")
}

/// An event, or a message, that cannot be taken for one of BigBlueButton's.
fn test_event(meeting: Option<&str>, raw: bool, now_ms: u64) -> Value {
    if raw {
        return json!({
            "envelope": {"name": TEST, "routing": {"sender": "bbb-webhooks"}, "timestamp": now_ms},
            "core": {"header": {"name": TEST, "meetingId": TEST}, "body": {}},
        });
    }
    let meeting = json!({"internal-meeting-id": TEST, "external-meeting-id": meeting.unwrap_or(TEST)});
    json!({"data": {"type": "event", "id": TEST, "attributes": {"meeting": meeting}, "event": {"ts": now_ms}}})
}

/// What to make of an answer.
fn hint(answer: Delivery, timeout: Duration) -> String {
    let text = match answer {
        Delivery::Status(200..=299) => "The receiver took it.",
        Delivery::Status(401) => {
            "The daemon counts 401 as delivered. But the receiver denied it: does it know the same secret, and expect what is \
             configured (bbb.auth2_0: a Bearer token instead of a checksum; hooks.legacyAuth: neither)?"
        }
        Delivery::Status(300..=399) => "Only 307 and 308 are followed. Register the URL to which it redirects.",
        Delivery::Status(404 | 405 | 410) => "The server is there, but takes no POST at this URL: look at its path.",
        Delivery::Status(413) => "The receiver's limit for the size of a request is too small.",
        Delivery::Status(400..=499) => {
            "The receiver refuses it. Most often that is the checksum: `bbb-webhooks sign --callback` says what it has to be."
        }
        Delivery::Status(_) => "The receiver failed: its own log says why.",
        Delivery::Timeout => {
            return format!(
                "Nothing came in {} ms (hooks.requestTimeout). A receiver should answer first and work afterwards.",
                timeout.as_millis()
            );
        }
        Delivery::Connect => "Does it run? Can this server reach it: name, port, firewall, certificate?",
        Delivery::Broken => "The receiver, or a proxy before it, ended the connection without an answer.",
        Delivery::Refused => {
            "The daemon does not call it either. If it should, see hooks.callbackPolicy in the documentation of the configuration."
        }
        Delivery::Unsent => "The URL cannot be asked: look how it is written.",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must() {
        let rows = [["1".to_owned(), "ü".to_owned(), "x".to_owned()], ["22".to_owned(), String::new(), "y".to_owned()]];
        assert_eq!(table(&["ID", "K", "URL"], &rows), "ID  K  URL\n1   ü  x\n22  -  y\n");
    }

    #[test]
    fn what_others_wrote_moves_no_cursor() {
        let rows = [["a\r\nb".to_owned(), "\u{1b}[31m\u{7f}\u{9b}\t".to_owned()]];
        let shown = "A             B\na\\u{d}\\u{a}b  \\u{1b}[31m\\u{7f}\\u{9b}\\u{9}\n";
        assert_eq!(table(&["A", "B"], &rows), shown);
    }
}
