//! From events to xAPI statements, by the virtual-classroom profile. Pure.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use crate::event::InternalMeetingId;
use crate::xapi::known::Happening;
use crate::xapi::known::Meeting;
use crate::xapi::known::NOBODY;

/// The events of which statements can be made.
pub const EVENTS: [&str; 16] = [
    "meeting-created",
    "meeting-ended",
    "user-joined",
    "user-left",
    "user-audio-voice-enabled",
    "user-audio-voice-disabled",
    "user-audio-muted",
    "user-audio-unmuted",
    "user-cam-broadcast-start",
    "user-cam-broadcast-end",
    "meeting-screenshare-started",
    "meeting-screenshare-stopped",
    "user-raise-hand-changed",
    "chat-group-message-sent",
    "poll-started",
    "poll-responded",
];

const PROFILE: &str = "https://w3id.org/xapi/virtual-classroom";
const CLASSROOM: &str = "https://w3id.org/xapi/virtual-classroom/activity-types/virtual-classroom";
const SESSION: &str = "https://w3id.org/xapi/cmi5/context/extensions/sessionid";
const PLANNED: &str = "http://id.tincanapi.com/extension/planned-duration";
const EMOJI: &str = "https://w3id.org/xapi/virtual-classroom/extensions/emoji";

/// The emoji that a raised hand stands for.
const RAISED_HAND: &str = "U+1F590";

/// What all statements of a server have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The server's host name.
    pub domain: String,
    /// The namespace of all ids.
    pub namespace: Uuid,
}

impl Site {
    /// The id that stands for a text.
    #[must_use]
    pub fn id_of(&self, text: &str) -> Uuid {
        Uuid::new_v5(&self.namespace, text.as_bytes())
    }

    fn activity(&self, of: &str) -> String {
        format!("https://{}/xapi/activities/{}", self.domain, self.id_of(of))
    }
}

/// The parts of a statement that differ from event to event.
struct Draft {
    actor: String,
    verb: &'static str,
    object: Object,
    /// How long the meeting is to last is said too.
    planned: bool,
    at_ms: i64,
    result: Option<Value>,
}

/// What a statement is about.
enum Object {
    /// The meeting.
    Meeting,
    /// Something within it: its id and what it is.
    Within(String, Value),
}

/// The statement that says what happened; `None` if there is nothing to say, or what is needed is not known.
#[must_use]
pub fn of(happening: &Happening, meeting: &Meeting, site: &Site) -> Option<Value> {
    let draft = draft(happening, meeting, site)?;
    let room = site.activity(&meeting.external_id);
    let mut context = json!({
        "registration": meeting.registration.to_string(),
        "contextActivities": {
            "category": [{"id": PROFILE, "definition": {"type": "http://adlnet.gov/expapi/activities/profile"}}],
        },
        "extensions": {SESSION: site.id_of(happening.meeting.as_str()).to_string()},
    });
    if draft.planned {
        context["extensions"][PLANNED] = minutes(meeting.planned_minutes).into();
    }
    let object = match draft.object {
        Object::Meeting => {
            json!({"id": room, "definition": {"type": CLASSROOM, "name": in_english(meeting.name.as_deref())}})
        }
        Object::Within(id, definition) => {
            context["contextActivities"]["parent"] = json!([{"id": room, "definition": {"type": CLASSROOM}}]);
            json!({"id": id, "definition": definition})
        }
    };
    let mut statement = json!({
        "actor": {"account": {"name": draft.actor, "homePage": format!("https://{}", site.domain)}},
        "verb": {"id": draft.verb},
        "object": object,
        "context": context,
        "timestamp": Timestamp::from_millisecond(draft.at_ms).ok()?.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
    });
    if let Some(result) = draft.result {
        statement["result"] = result;
    }
    Some(statement)
}

fn draft(happening: &Happening, meeting: &Meeting, site: &Site) -> Option<Draft> {
    const START: &str = "http://activitystrea.ms/start";
    const STOPPED: &str = "https://w3id.org/xapi/virtual-classroom/verbs/stopped";
    let of_meeting = |verb, result| Draft {
        actor: meeting.actor.clone(),
        verb,
        object: Object::Meeting,
        planned: true,
        at_ms: happening.at_ms,
        result,
    };
    let of_user = |verb| {
        let actor = meeting.user(happening)?.name.clone();
        Some(Draft { actor, planned: false, ..of_meeting(verb, None) })
    };
    let of_media = |verb, media: &str| {
        let draft = of_user(verb)?;
        let id = site.activity(&format!("{}_{media}", happening.text("/user/internal-user-id")?));
        let kind = format!("{PROFILE}/activity-types/{media}");
        let object =
            Object::Within(id, json!({"type": kind, "name": in_english(Some(&format!("{}'s {media}", draft.actor)))}));
        Some(Draft { object, ..draft })
    };
    match happening.id.as_str() {
        "meeting-created" => {
            let draft = of_meeting("http://adlnet.gov/expapi/verbs/initialized", None);
            Some(Draft { at_ms: meeting.created_ms, ..draft })
        }
        "meeting-ended" => {
            let lasted = happening.at_ms.saturating_sub(meeting.created_ms);
            let result = json!({"duration": seconds(lasted)});
            Some(of_meeting("http://adlnet.gov/expapi/verbs/terminated", Some(result)))
        }
        "user-joined" => of_user("http://activitystrea.ms/join"),
        "user-left" => of_user("http://activitystrea.ms/leave"),
        // Who only listens, or is muted, speaks into no microphone.
        "user-audio-voice-enabled"
            if happening.says("/user/listening-only", true)
                || happening.says("/user/muted", true)
                || happening.says("/user/sharing-mic", false) =>
        {
            None
        }
        "user-audio-voice-enabled" | "user-audio-unmuted" => of_media(START, "micro"),
        "user-audio-voice-disabled" | "user-audio-muted" => of_media(STOPPED, "micro"),
        "user-cam-broadcast-start" => of_media(START, "camera"),
        "user-cam-broadcast-end" => of_media(STOPPED, "camera"),
        "meeting-screenshare-started" => of_media("http://activitystrea.ms/share", "screen"),
        "meeting-screenshare-stopped" => of_media("http://activitystrea.ms/unshare", "screen"),
        "user-raise-hand-changed" => {
            let verb = match happening.says("/user/raise-hand", true) {
                true => "https://w3id.org/xapi/virtual-classroom/verbs/reacted",
                false => "https://w3id.org/xapi/virtual-classroom/verbs/unreacted",
            };
            Some(Draft { result: Some(json!({"extensions": {EMOJI: RAISED_HAND}})), ..of_user(verb)? })
        }
        "chat-group-message-sent" => Some(chat(happening, site, &of_meeting)),
        "poll-started" => poll(happening, meeting, site, of_meeting("http://adlnet.gov/expapi/verbs/asked", None)),
        "poll-responded" => {
            let answers = happening.get("/poll/answerIds")?.as_array()?;
            let answers: Vec<_> = answers.iter().map(plain).collect();
            let draft = of_meeting("http://adlnet.gov/expapi/verbs/answered", None);
            let draft = poll(happening, meeting, site, draft)?;
            Some(Draft { result: Some(json!({"response": answers.join(",")})), ..draft })
        }
        _ => None,
    }
}

/// Somebody wrote. What, is not said.
fn chat(happening: &Happening, site: &Site, draft: &dyn Fn(&'static str, Option<Value>) -> Draft) -> Draft {
    let time = happening.get("/chat-message/sender/time");
    // COMPAT: the id of a message is that of `undefined_<time>`: the Node daemon looks for the sender under a name that the
    // event does not have.
    let id = site.activity(&format!("undefined_{}", time.map_or_else(|| "undefined".to_owned(), plain)));
    Draft {
        actor: happening.text("/chat-message/sender/name").unwrap_or(NOBODY).to_owned(),
        object: Object::Within(id, json!({"type": "https://w3id.org/xapi/acrossx/activities/message"})),
        planned: false,
        at_ms: time.and_then(super::known::whole).unwrap_or(happening.at_ms),
        ..draft("https://w3id.org/xapi/acrossx/verbs/posted", None)
    }
}

/// A poll was started or answered. Nothing is said of a poll whose start is not known.
///
/// COMPAT: who asks or answers without being known is nobody, where other events then make no statement.
fn poll(happening: &Happening, meeting: &Meeting, site: &Site, draft: Draft) -> Option<Draft> {
    let id = happening.text("/poll/id")?;
    let poll = meeting.poll(happening)?;
    let choice = |(id, text): &(String, Option<String>)| json!({"id": id, "description": in_english(text.as_deref())});
    let definition = json!({
        "description": in_english(poll.question.as_deref()),
        "type": "http://adlnet.gov/expapi/activities/cmi.interaction",
        "interactionType": "choice",
        "choices": poll.choices.iter().map(choice).collect::<Vec<_>>(),
    });
    Some(Draft {
        actor: meeting.user(happening).map_or(NOBODY, |user| &user.name).to_owned(),
        object: Object::Within(site.activity(id), definition),
        planned: false,
        ..draft
    })
}

/// A language map. What is not known is in no language: `null` is no text.
fn in_english(text: Option<&str>) -> Value {
    text.map_or_else(|| json!({}), |text| json!({"en": text}))
}

/// A number or a text, as a text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A number of minutes as an ISO 8601 duration; none is `PT0S`.
fn minutes(minutes: f64) -> String {
    if minutes == 0.0 { "PT0S".to_owned() } else { format!("PT{minutes}M") }
}

/// A number of ms as an ISO 8601 duration in seconds. It has no sign, so a clock that was set back counts as no time.
fn seconds(ms: i64) -> String {
    let ms = ms.max(0);
    let fraction = format!("{:03}", ms % 1000);
    match fraction.trim_end_matches('0') {
        "" => format!("PT{}S", ms / 1000),
        fraction => format!("PT{}.{fraction}S", ms / 1000),
    }
}

/// The key by which a meeting's own things are told from those of others.
#[must_use]
pub fn within(meeting: &InternalMeetingId, thing: &str) -> String {
    format!("{meeting}/{thing}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_iso_8601() {
        for (ms, text) in [
            (0, "PT0S"),
            (1, "PT0.001S"),
            (10, "PT0.01S"),
            (120_000, "PT120S"),
            (120_877, "PT120.877S"),
            (90 * 60_000, "PT5400S"),
            (-5, "PT0S"),
        ] {
            assert_eq!(seconds(ms), text);
        }
        assert_eq!([minutes(0.0), minutes(90.0), minutes(0.5)], ["PT0S", "PT90M", "PT0.5M"]);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        assert_eq!(in_english(None).to_string(), "{}");
        assert_eq!(in_english(Some("")).to_string(), r#"{"en":""}"#);
    }
}
