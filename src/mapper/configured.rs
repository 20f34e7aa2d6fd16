//! Events that the configuration adds, and what it adds to built-in ones. Pure.
//!
//! A [`ConfiguredEvent`] says of messages of one name which event they become. The ids of the meeting and the user are
//! filled in as for built-in events; all else is picked from the message by JSON pointers.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::event::InternalMeetingId;
use crate::mapper::draft::Attributes;
use crate::mapper::draft::Draft;
use crate::mapper::draft::Message;
use crate::mapper::draft::NOBODY;
use crate::mapper::draft::text;
use crate::state::State;

/// Where the user stands whom a message is about, unless the configuration says otherwise.
const HEADER_USER: &str = "/core/header/userId";

/// Where the meeting stands in messages of the recording scripts.
const RECORDED_MEETING: &str = "/payload/meeting_id";

/// The way to a value in a message, as in RFC 6901: `/core/body/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(String);

impl Pointer {
    /// A pointer that begins with `/` and escapes nothing but `~` (`~0`) and `/` (`~1`); `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let escapes = text.split('~').skip(1);
        let sound = text.starts_with('/') && escapes.into_iter().all(|rest| rest.starts_with(['0', '1']));
        sound.then(|| Self(text.to_owned()))
    }

    /// The pointer as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of<'a>(&self, message: &'a Value) -> Option<&'a Value> {
        message.pointer(&self.0)
    }
}

/// What an attribute is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The value at this place of the message; the attribute is left out where there is none.
    Pointer(Pointer),
    /// Always this value.
    Constant(Value),
    /// Attributes below it.
    Group(Group),
}

/// Attributes by name, in the order in which events have them.
pub type Group = Vec<(String, Source)>;

impl Source {
    fn to_json(&self) -> Value {
        match self {
            Self::Pointer(pointer) => pointer.as_str().into(),
            Self::Constant(value) => json!({"constant": value}),
            Self::Group(group) => group_to_json(group),
        }
    }
}

fn group_to_json(group: &Group) -> Value {
    group.iter().map(|(name, source)| (name.clone(), source.to_json())).collect::<Map<_, _>>().into()
}

/// An event that messages of one name become because the configuration says so.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfiguredEvent {
    /// The name of the message, exact: `envelope.name`, or `header.name` where there is no envelope.
    pub message: String,
    /// The event's id, in lower case.
    pub id: String,
    /// Whether the id may be a built-in one. Where the message becomes the built-in event anyway, attributes are put over
    /// the built-in ones.
    pub overrides: bool,
    /// Where the internal id of the meeting stands; by default where BigBlueButton's messages have it.
    pub meeting: Option<Pointer>,
    /// Where the internal id of the user stands; by default in the message's header.
    pub user: Option<Pointer>,
    /// The attributes beside the ids.
    pub attributes: Group,
}

/// What a configured event finds in one message.
#[derive(Clone, Debug, PartialEq)]
pub struct Findings {
    /// The event's id.
    pub id: String,
    /// Whether its attributes are put over those of a built-in event that the message becomes anyway.
    pub overrides: bool,
    /// The meeting's internal id.
    pub meeting: Finding,
    /// The user's internal id.
    pub user: Finding,
    /// Each attribute by its name, with dots between groups.
    pub picked: Vec<(String, Finding)>,
}

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The pointer by which it was looked for; none for a constant, and where it was looked for as in any message.
    pub pointer: Option<String>,
    /// What was found, if anything was.
    pub value: Option<Value>,
}

impl ConfiguredEvent {
    /// As the configuration has it, with every key.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut entry = json!({"message": self.message, "id": self.id});
        for (key, pointer) in [("meeting", &self.meeting), ("user", &self.user)] {
            if let Some(pointer) = pointer {
                entry[key] = pointer.as_str().into();
            }
        }
        entry["attributes"] = group_to_json(&self.attributes);
        entry["override"] = self.overrides.into();
        entry
    }

    /// What it finds in a message of its name.
    pub(super) fn findings(&self, message: &Message<'_>) -> Findings {
        fn collect(group: &Group, within: &str, body: &Value, picked: &mut Vec<(String, Finding)>) {
            for (name, source) in group {
                let name = format!("{within}{name}");
                let (pointer, value) = match source {
                    Source::Pointer(pointer) => (Some(pointer.as_str().to_owned()), pointer.of(body).cloned()),
                    Source::Constant(value) => (None, Some(value.clone())),
                    Source::Group(group) => {
                        collect(group, &format!("{name}."), body, picked);
                        continue;
                    }
                };
                picked.push((name, Finding { pointer, value }));
            }
        }
        let finding = |pointer: &Option<Pointer>, value: Option<&str>| Finding {
            pointer: pointer.as_ref().map(|pointer| pointer.as_str().to_owned()),
            value: value.map(Value::from),
        };
        let mut picked = Vec::new();
        collect(&self.attributes, "", message.body, &mut picked);
        Findings {
            id: self.id.clone(),
            overrides: message.ids.contains(&self.id.as_str()),
            meeting: finding(&self.meeting, self.meeting(message).as_ref().map(InternalMeetingId::as_str)),
            user: finding(&self.user, self.user(message)),
            picked,
        }
    }

    /// The external id of the user that a message is about, while the state still knows it: the message may end that.
    pub(super) fn external_user(&self, message: &Message<'_>, state: &State) -> Option<String> {
        let meeting = self.meeting(message)?;
        state.user(meeting.as_str(), self.user(message)?)?.external_id.clone()
    }

    /// The event that a message of its name becomes, all ids and attributes in it. `external_user` is from before the
    /// message changed the state.
    pub(super) fn draft(&self, message: &Message<'_>, state: &State, external_user: Option<String>) -> Draft {
        let meeting = self.meeting(message);
        let mut attributes = Attributes::new();
        if let Some(meeting) = &meeting {
            attributes = attributes.group("meeting", Attributes::of_meeting(meeting, state));
        }
        if let Some(user) = self.user(message) {
            let external = self.external_user(message, state).or(external_user);
            let user = Attributes::new().set("internal-user-id", user).set_if("external-user-id", external);
            attributes = attributes.group("user", user);
        }
        Draft::configured(self.id.as_str().into(), meeting, state, attributes.overlaid(self.picked(message)))
    }

    /// The attributes that are configured.
    pub(super) fn picked(&self, message: &Message<'_>) -> Map<String, Value> {
        pick(&self.attributes, message.body)
    }

    fn meeting(&self, message: &Message<'_>) -> Option<InternalMeetingId> {
        match &self.meeting {
            Some(pointer) => text(pointer.of(message.body)).map(InternalMeetingId::from),
            None => message.meeting().or_else(|| text(message.body.pointer(RECORDED_MEETING)).map(Into::into)),
        }
    }

    fn user<'a>(&self, message: &Message<'a>) -> Option<&'a str> {
        let pointer = self.user.as_ref().map_or(HEADER_USER, Pointer::as_str);
        text(message.body.pointer(pointer)).filter(|user| !NOBODY.contains(user))
    }
}

/// What the message has of a group of attributes. A group of which it has nothing is left out.
fn pick(group: &Group, body: &Value) -> Map<String, Value> {
    let value = |source: &Source| match source {
        Source::Pointer(pointer) => pointer.of(body).cloned(),
        Source::Constant(value) => Some(value.clone()),
        Source::Group(group) => Some(pick(group, body)).filter(|found| !found.is_empty()).map(Value::Object),
    };
    group.iter().filter_map(|(name, source)| Some((name.clone(), value(source)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RawMessage;
    use crate::mapper::Look;
    use crate::mapper::Mapper;

    fn pointer(text: &str) -> Source {
        Source::Pointer(Pointer::parse(text).unwrap())
    }

    fn event(message: &str, id: &str) -> ConfiguredEvent {
        ConfiguredEvent {
            message: message.to_owned(),
            id: id.to_owned(),
            overrides: false,
            meeting: None,
            user: None,
            attributes: Vec::new(),
        }
    }

    fn message(name: &str, user: &str, body: &Value) -> RawMessage {
        let message = json!({
            "envelope": {"name": name, "routing": {"meetingId": "int", "userId": user}},
            "core": {"header": {"name": name, "meetingId": "int", "userId": user}, "body": body},
        });
        RawMessage { bytes: message.to_string().into() }
    }

    fn state() -> State {
        let mut state = State::new(fastrand::Rng::with_seed(1));
        state.meeting_created(&"int".into(), "ext".into(), 1);
        state.user_joined(&"int".into(), &"w_ada".into(), Some("ada".to_owned()), Map::new(), 1);
        state
    }

    /// The ids and attributes of what a message becomes.
    fn mapped(events: &[ConfiguredEvent], message: &RawMessage, state: &mut State) -> Vec<(String, Value)> {
        let mapped = Mapper::new(events).map(message, state, 7).unwrap_or_default();
        let attributes = |json: &str| serde_json::from_str::<Value>(json).unwrap()["data"]["attributes"].take();
        mapped.iter().map(|event| (event.id.to_string(), attributes(&event.json))).collect()
    }

    #[test]
    fn picks_attributes_and_fills_in_ids() {
        let mut lock = event("LockMsg", "locked");
        lock.attributes = vec![
            ("source".to_owned(), Source::Constant(json!("lock"))),
            (
                "lock".to_owned(),
                Source::Group(vec![
                    ("camera".to_owned(), pointer("/core/body/disableCam")),
                    ("second".to_owned(), pointer("/core/body/list/1")),
                    ("missing".to_owned(), pointer("/core/body/nothing")),
                ]),
            ),
            ("none".to_owned(), Source::Group(vec![("x".to_owned(), pointer("/y"))])),
            ("user".to_owned(), Source::Group(vec![("role".to_owned(), pointer("/core/body/a~1b"))])),
        ];
        let body = json!({"disableCam": true, "list": [1, 2.0], "a/b": null});
        let expected = json!({
            "meeting": {"internal-meeting-id": "int", "external-meeting-id": "ext"},
            "user": {"internal-user-id": "w_ada", "external-user-id": "ada", "role": null},
            "source": "lock",
            "lock": {"camera": true, "second": 2},
        });
        let found = mapped(&[lock], &message("LockMsg", "w_ada", &body), &mut state());
        assert_eq!(found, [("locked".to_owned(), expected)]);
    }

    #[test]
    fn meeting_and_user_can_stand_elsewhere_or_be_missing() {
        let mut elsewhere = event("Msg", "x");
        elsewhere.meeting = Pointer::parse("/core/body/parent");
        elsewhere.user = Pointer::parse("/core/body/who");
        let whole = json!({"parent": "int", "who": "w_ada"});
        let ids = json!({
            "meeting": {"internal-meeting-id": "int", "external-meeting-id": "ext"},
            "user": {"internal-user-id": "w_ada", "external-user-id": "ada"},
        });
        let found = mapped(&[elsewhere.clone()], &message("Msg", NOBODY[0], &whole), &mut state());
        assert_eq!(found, [("x".to_owned(), ids)]);
        let found = mapped(&[elsewhere], &message("Msg", "w_ada", &json!({})), &mut state());
        assert_eq!(found, [("x".to_owned(), json!({}))]);
        let of_meeting = json!({"meeting": {"internal-meeting-id": "int", "external-meeting-id": "ext"}});
        for nobody in NOBODY {
            let found = mapped(&[event("Msg", "x")], &message("Msg", nobody, &json!({})), &mut state());
            assert_eq!(found, [("x".to_owned(), of_meeting.clone())]);
        }
    }

    #[test]
    fn adds_an_event_beside_a_built_in_one_that_carries_the_message() {
        let events = [event("UserLeftMeetingEvtMsg", "gone"), event("UserLeftMeetingEvtMsg", "gone-too")];
        let left = message("UserLeftMeetingEvtMsg", "w_ada", &json!({"intId": "w_ada"}));
        let mapped = Mapper::new(&events).map(&left, &mut state(), 7).unwrap();
        let ids: Vec<_> = mapped.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids, ["user-left", "gone", "gone-too"]);
        assert!(mapped[1].json.contains("\"external-user-id\":\"ada\""), "known from before: {}", mapped[1].json);
        assert_eq!(mapped[1].raw, crate::event::RawForm::Covered);
        assert!(matches!(&mapped[0].raw, crate::event::RawForm::Message { also, .. } if also.len() == 2));
    }

    #[test]
    fn an_override_is_put_over_the_built_in_event_and_never_makes_another() {
        let mut muted = event("UserMutedVoiceEvtMsg", "user-audio-muted");
        muted.overrides = true;
        muted.attributes =
            vec![("user".to_owned(), Source::Group(vec![("by".to_owned(), pointer("/core/body/mutedBy"))]))];
        let said = |muted_: bool| {
            let body = json!({"intId": "w_ada", "muted": muted_, "mutedBy": "w_bob"});
            mapped(std::slice::from_ref(&muted), &message("UserMutedVoiceEvtMsg", "w_ada", &body), &mut state())
        };
        let [(id, attributes)] = <[_; 1]>::try_from(said(true)).unwrap();
        assert_eq!((id.as_str(), &attributes["user"]["by"]), ("user-audio-muted", &json!("w_bob")));
        assert_eq!(
            (&attributes["user"]["muted"], &attributes["user"]["external-user-id"]),
            (&json!(true), &json!("ada"))
        );
        let [(id, attributes)] = <[_; 1]>::try_from(said(false)).unwrap();
        assert_eq!((id.as_str(), attributes["user"].get("by")), ("user-audio-unmuted", None));
    }

    #[test]
    fn a_built_in_id_can_have_another_source() {
        let mut raised = event("RenamedHandEvtMsg", "user-raise-hand-changed");
        raised.overrides = true;
        let found = mapped(&[raised], &message("RenamedHandEvtMsg", "w_ada", &json!({})), &mut state());
        assert_eq!(found[0].0, "user-raise-hand-changed");
    }

    #[test]
    fn only_configured_names_are_worth_a_parse() {
        let mapper = Mapper::new(&[event("LockMsg", "locked")]);
        let look = |mapper: &Mapper, name: &str| mapper.look(&message(name, "", &Value::Null).bytes);
        assert_eq!(look(&mapper, "LockMsg"), Look::Known);
        assert_eq!(look(&mapper, "lockmsg"), Look::Unknown);
        assert_eq!(look(&Mapper::default(), "LockMsg"), Look::Unknown);
        assert_eq!(look(&mapper, "UserJoinedMeetingEvtMsg"), Look::Known);
    }

    #[test]
    fn pointers_are_those_of_rfc_6901() {
        for sound in ["/", "/a", "/a~0b~1c/0", "/ä b"] {
            assert_eq!(Pointer::parse(sound).map(|p| p.0).as_deref(), Some(sound));
        }
        for wrong in ["", "a/b", "core.body", "/a~", "/a~2", "#/a"] {
            assert_eq!(Pointer::parse(wrong), None, "{wrong}");
        }
    }
}
