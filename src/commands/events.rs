//! `events`: what BigBlueButton publishes, as it comes.
//!
//! It listens and maps as the daemon does, with a state of its own that begins with what Redis remembers. Nothing is
//! written to Redis.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::cli;
use crate::clock;
use crate::commands::exact_time;
use crate::commands::explain::explained;
use crate::commands::name;
use crate::commands::reason;
use crate::commands::say;
use crate::commands::told_to_stop;
use crate::config::Config;
use crate::connection;
use crate::connection::Connection;
use crate::event::MappedEvent;
use crate::event::RawMessage;
use crate::input::Input;
use crate::mapper::Look;
use crate::mapper::Mapper;
use crate::processor;
use crate::state::State;
use crate::store::Store;
use crate::store::StoredMappings;

/// Prints events until told to stop.
///
/// # Errors
/// If Redis is not there at the start, or the file cannot be written.
pub async fn events(config: &Config, asked: &cli::Events) -> anyhow::Result<()> {
    let stopped = told_to_stop()?;
    let file = asked.output.as_deref().map(|path| open(path).map(|file| (path, file))).transpose()?;
    let client = connection::client(&config.input.redis).context("the Redis server to listen to")?;
    let server = connection::display(&client);
    let ping: redis::RedisResult<()> = Connection::new(client.clone()).run(redis::pipe().ping().ignore()).await;
    ping.with_context(|| format!("Redis at {server} cannot be listened to"))?;
    let mapper = Mapper::new(&config.events);
    let (input, mut queue, mut subscribed) = {
        let (mapper, all) = (mapper.clone(), asked.raw || asked.explain);
        Input::new(client, &config.input.channels, move |message| all || mapper.look(message) == Look::Known)
    };
    let stop = CancellationToken::new();
    let listening = tokio::spawn(input.run(stop.clone()));
    // As the daemon does: what is published while the state is read waits in the queue.
    let _ = subscribed.wait_for(|tried| *tried).await;
    let mut follower = Follower { asked, mapper, state: restored(config).await, file };
    eprintln!("Listening on {} channels of {server}; Ctrl-C ends it.", config.input.channels.len());
    let printing = async {
        while let Some(message) = queue.next().await {
            if !follower.take(&message, clock::unix_ms())? {
                break;
            }
        }
        anyhow::Ok(())
    };
    let outcome = tokio::select! {
        printed = printing => printed,
        () = stopped => Ok(()),
    };
    stop.cancel();
    listening.await.context("the subscriber failed")?;
    outcome
}

/// What Redis remembers of meetings and users; nothing if it cannot be read: then ids are missing in events.
async fn restored(config: &Config) -> State {
    let mappings = async {
        let client = connection::client(&config.redis).context("the Redis server where meetings are kept")?;
        anyhow::Ok(Store::new(Arc::new(Connection::new(client)), config).load_mappings().await?)
    };
    let mappings = mappings.await.unwrap_or_else(|error| {
        eprintln!("Meetings that run already are not known, so some ids will be missing: {}", reason(&error));
        StoredMappings::default()
    });
    processor::restore(mappings, fastrand::Rng::new(), clock::unix_ms())
}

fn open(path: &Path) -> anyhow::Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.with_context(|| format!("{} cannot be written", path.display()))
}

/// Follows messages, and prints what passes the filters.
struct Follower<'a> {
    asked: &'a cli::Events,
    mapper: Mapper,
    state: State,
    file: Option<(&'a Path, File)>,
}

/// What may be printed.
struct Line {
    name: String,
    meeting: Option<String>,
    json: String,
    /// Lines for a person to read, instead of the JSON.
    text: Option<String>,
}

impl Follower<'_> {
    /// Whether somebody still reads.
    fn take(&mut self, message: &RawMessage, now_ms: u64) -> anyhow::Result<bool> {
        for line in lines(message, self.asked, &self.mapper, &mut self.state, now_ms) {
            if let Some((path, file)) = &mut self.file {
                writeln!(file, "{}", line.json).with_context(|| format!("{} cannot be written", path.display()))?;
            }
            let text = match self.asked.json {
                true => line.json,
                false => {
                    let (meeting, time) = (line.meeting.as_deref().unwrap_or("-"), exact_time(now_ms));
                    match line.text {
                        Some(text) => format!("{time}  {}  {meeting}\n{text}", line.name),
                        None => format!("{time}  {:<28}  {meeting:<20}  {}", line.name, line.json),
                    }
                }
            };
            if !say(&text) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What a message comes to, past the filters. The state follows, whatever passes.
fn lines(message: &RawMessage, asked: &cli::Events, mapper: &Mapper, state: &mut State, now_ms: u64) -> Vec<Line> {
    let text = String::from_utf8_lossy(&message.bytes);
    let tree: Value = serde_json::from_str(&text).unwrap_or_default();
    let name = name(&tree).unwrap_or("-");
    // Before and after: an event may begin a meeting, or end it.
    let whole = asked.raw || asked.explain;
    let before = whole.then(|| meeting_of(&tree, state)).flatten();
    let mapped = mapper.map(message, state, now_ms);
    let explanation = asked.explain.then(|| explained(mapper.explain(message), &mapped));
    let events = mapped.unwrap_or_default();
    if !asked.message.is_empty() && !asked.message.iter().any(|wanted| wanted == name) {
        return Vec::new();
    }
    let id_passes = |event: &MappedEvent| {
        asked.event.is_empty() || asked.event.iter().any(|id| id.trim().eq_ignore_ascii_case(event.id.as_str()))
    };
    let meeting_passes = |meeting: Option<&str>| asked.meeting.as_deref().is_none_or(|wanted| meeting == Some(wanted));
    let meeting = |event: &MappedEvent| event.external_meeting.as_ref().map(|id| id.as_str().to_owned());
    if whole {
        let meeting = events.iter().find_map(meeting).or(before).or_else(|| meeting_of(&tree, state));
        let wanted = asked.event.is_empty() || events.iter().any(id_passes);
        let (text, json) = match explanation {
            Some(explanation) => (Some(explanation.text()), explanation.json(name, meeting.as_deref()).to_string()),
            None => (None, one_line(&text, &tree)),
        };
        let line = Line { name: name.to_owned(), meeting, json, text };
        return Some(line).filter(|line| wanted && meeting_passes(line.meeting.as_deref())).into_iter().collect();
    }
    let passing = events.iter().filter(|event| id_passes(event) && meeting_passes(meeting(event).as_deref()));
    passing
        .map(|event| Line {
            name: event.id.to_string(),
            meeting: meeting(event),
            json: event.json.to_string(),
            text: None,
        })
        .collect()
}

/// The meeting that a message names, as the application knows it.
fn meeting_of(message: &Value, state: &State) -> Option<String> {
    const WAYS: [&str; 4] =
        ["/core/header/meetingId", "/envelope/routing/meetingId", "/payload/meeting_id", "/core/body/meetingId"];
    let known = |way: &&str| state.external_meeting_id(message.pointer(way)?.as_str()?);
    WAYS.iter().find_map(known).map(|id| id.as_str().to_owned())
}

/// A message as it was published, unless it has line ends: then they go.
fn one_line(text: &str, tree: &Value) -> String {
    match text.trim() {
        text if !text.contains('\n') => text.to_owned(),
        text if tree.is_null() => text.replace('\n', " "),
        _ => tree.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(name: &str, meeting: &str, body: &Value) -> RawMessage {
        let message = json!({
            "envelope": {"name": name, "routing": {"meetingId": meeting}},
            "core": {"header": {"name": name, "meetingId": meeting}, "body": body},
        });
        RawMessage { bytes: message.to_string().into() }
    }

    fn names(asked: &cli::Events) -> Vec<(String, Option<String>)> {
        let mut state = State::new(fastrand::Rng::with_seed(1));
        let props = json!({"props": {"meetingProp": {"intId": "int", "extId": "ext", "name": "n"}}});
        let user = json!({"intId": "w_ada", "extId": "ada", "name": "Ada", "role": "VIEWER"});
        let messages = [
            message("MeetingCreatedEvtMsg", "-", &props),
            message("NobodyMapsThis", "int", &json!({})),
            message("UserJoinedMeetingEvtMsg", "int", &user),
            message("MeetingDestroyedEvtMsg", "-", &json!({"meetingId": "int"})),
            RawMessage { bytes: "no JSON".into() },
        ];
        let mapper = Mapper::default();
        let lines = messages.iter().flat_map(|message| lines(message, asked, &mapper, &mut state, 7));
        lines.map(|line| (line.name, line.meeting)).collect()
    }

    fn only<const N: usize>(names: [&str; N]) -> Vec<(String, Option<String>)> {
        names.iter().map(|name| ((*name).to_owned(), Some("ext".to_owned()))).collect()
    }

    #[test]
    fn filters_events() {
        let asked = |change: fn(&mut cli::Events)| {
            let mut asked = cli::Events::default();
            change(&mut asked);
            names(&asked)
        };
        assert_eq!(asked(|_| {}), only(["meeting-created", "user-joined", "user-left", "meeting-ended"]));
        assert_eq!(asked(|a| a.event = vec!["User-Left".to_owned()]), only(["user-left"]));
        let ended = |a: &mut cli::Events| a.message = vec!["MeetingDestroyedEvtMsg".to_owned()];
        assert_eq!(asked(ended), only(["user-left", "meeting-ended"]));
        assert_eq!(asked(|a| a.meeting = Some("other".to_owned())), []);
    }

    #[test]
    fn filters_messages() {
        let asked = |change: fn(&mut cli::Events)| {
            let mut asked = cli::Events { raw: true, ..cli::Events::default() };
            change(&mut asked);
            names(&asked)
        };
        let all = ["MeetingCreatedEvtMsg", "NobodyMapsThis", "UserJoinedMeetingEvtMsg", "MeetingDestroyedEvtMsg"];
        assert_eq!(asked(|_| {})[..4], only(all));
        assert_eq!(asked(|_| {})[4], ("-".to_owned(), None));
        assert_eq!(asked(|a| a.meeting = Some("ext".to_owned())), only(all));
        assert_eq!(asked(|a| a.event = vec!["user-left".to_owned()]), only(["MeetingDestroyedEvtMsg"]));
        assert_eq!(asked(|a| a.message = vec!["NobodyMapsThis".to_owned()]), only(["NobodyMapsThis"]));
    }
}
