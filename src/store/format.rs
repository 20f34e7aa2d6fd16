//! How hooks, meetings and users stand in Redis hashes, as versions 2 and 3 of the Node daemon write them. Pure.
//!
//! What is read is forgiving (both versions, missing fields); what is written is version 3's, with fields of our own that
//! it does not look at: `created` of a hook, `joined` and `raisedByEmoji` of a user.

use std::collections::HashMap;

use serde_json::Map;
use serde_json::Value;

use crate::event::ExternalMeetingId;
use crate::event::HookId;
use crate::event::InternalMeetingId;
use crate::event::InternalUserId;
use crate::hook;
use crate::hook::Hook;
use crate::state::Meeting;
use crate::state::User;

/// A hash as Redis gives it.
pub type Fields = HashMap<String, String>;

/// A hash as it is written: field, value.
pub type Written = Vec<(&'static str, String)>;

fn filled<'a>(fields: &'a Fields, key: &str) -> Option<&'a str> {
    fields.get(key).map(String::as_str).filter(|value| !value.is_empty())
}

/// The hash of the hook with this id. What it says of its id itself does not count: it could not be found by that.
pub(super) fn hook(id: &str, fields: &Fields) -> Option<Hook> {
    Some(Hook {
        id: HookId::from(id),
        callback_url: filled(fields, "callbackURL")?.to_owned(),
        meeting: filled(fields, "externalMeetingID").map(ExternalMeetingId::from),
        events: event_ids(filled(fields, "eventID").unwrap_or_default()),
        permanent: is_true(fields, "permanent"),
        raw: is_true(fields, "getRaw"),
        created_ms: filled(fields, "created").and_then(|created| created.parse().ok()).unwrap_or(0),
    })
}

fn is_true(fields: &Fields, key: &str) -> bool {
    filled(fields, key).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// A list of event ids: a JSON list (version 3) or a comma list (version 2).
fn event_ids(text: &str) -> Vec<String> {
    match serde_json::from_str(text) {
        Ok(Value::Null) => Vec::new(),
        Ok(Value::String(id)) => hook::event_ids(&id),
        _ => hook::event_ids(text),
    }
}

/// A hook's hash.
pub(super) fn of_hook(hook: &Hook) -> Written {
    let mut fields = vec![("id", hook.id.to_string()), ("callbackURL", hook.callback_url.clone())];
    if let Some(meeting) = &hook.meeting {
        fields.push(("externalMeetingID", meeting.to_string()));
    }
    if !hook.events.is_empty() {
        fields.push(("eventID", Value::from(hook.events.clone()).to_string()));
    }
    fields.push(("permanent", hook.permanent.to_string()));
    fields.push(("getRaw", hook.raw.to_string()));
    fields.push(("created", hook.created_ms.to_string()));
    fields
}

/// A meeting's mapping as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMeeting {
    /// The id of the mapping.
    pub mapping_id: String,
    /// The meeting.
    pub id: InternalMeetingId,
    /// Its name in the integrating application.
    pub external_id: Option<ExternalMeetingId>,
    /// When anything last happened in it, in ms since 1970; none where it does not say.
    pub last_activity_ms: Option<u64>,
}

/// A user's mapping as it was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredUser {
    /// The meeting; empty where it does not say.
    pub meeting: InternalMeetingId,
    /// The user.
    pub id: InternalUserId,
    /// What is known of them.
    pub user: User,
}

impl StoredMeeting {
    /// The mapping of `meeting`, whose name is `id`.
    pub(super) fn of(id: &InternalMeetingId, meeting: &Meeting) -> Self {
        Self {
            mapping_id: meeting.mapping_id.clone(),
            id: id.clone(),
            external_id: meeting.external_id.clone(),
            last_activity_ms: Some(meeting.last_activity_ms),
        }
    }
}

/// A hash of a meeting's mapping.
pub(super) fn meeting(id: &str, fields: &Fields) -> Option<StoredMeeting> {
    Some(StoredMeeting {
        mapping_id: id.to_owned(),
        id: filled(fields, "internalMeetingID")?.into(),
        external_id: filled(fields, "externalMeetingID").map(ExternalMeetingId::from),
        last_activity_ms: filled(fields, "lastActivity").and_then(|at| at.parse().ok()),
    })
}

/// A meeting's hash.
pub(super) fn of_meeting(meeting: &StoredMeeting) -> Written {
    let external = meeting.external_id.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut fields = vec![
        ("id", meeting.mapping_id.clone()),
        ("internalMeetingID", meeting.id.to_string()),
        ("externalMeetingID", external),
    ];
    fields.extend(meeting.last_activity_ms.map(|at| ("lastActivity", at.to_string())));
    fields
}

/// Attributes of a user that are true or false.
const TRUTHS: [&str; 4] = ["presenter", "guest", "screenshare", "raiseHand"];

/// Makes truths of texts. Version 3 of the Node daemon makes a text of each value that it writes. So does BigBlueButton 1.x, which
/// does not say who is a guest; there they stay.
pub(super) fn make_truths(attributes: &mut Map<String, Value>) {
    if !attributes.contains_key("guest") {
        return;
    }
    for (_, value) in attributes.iter_mut().filter(|(name, _)| TRUTHS.contains(&name.as_str())) {
        match value.as_str() {
            Some("true") => *value = true.into(),
            Some("false") => *value = false.into(),
            _ => {}
        }
    }
}

/// A hash of a user's mapping. Version 2 wrote some without a usable `user`: then only the ids are known.
pub(super) fn user(id: &str, fields: &Fields) -> Option<StoredUser> {
    let internal_id = filled(fields, "internalUserID")?;
    let external_id = filled(fields, "externalUserID").filter(|id| *id != "undefined").map(str::to_owned);
    let attributes = match serde_json::from_str(filled(fields, "user").unwrap_or_default()) {
        Ok(Value::Object(mut attributes)) => {
            make_truths(&mut attributes);
            attributes
        }
        _ => {
            let mut ids = Map::new();
            ids.insert("internal-user-id".to_owned(), internal_id.into());
            ids.extend(external_id.clone().map(|id| ("external-user-id".to_owned(), id.into())));
            ids
        }
    };
    Some(StoredUser {
        meeting: filled(fields, "meetingId").unwrap_or_default().into(),
        id: internal_id.into(),
        user: User {
            mapping_id: id.to_owned(),
            external_id,
            attributes,
            joined: filled(fields, "joined").and_then(|at| at.parse().ok()).unwrap_or(0),
            hand_raised_by_emoji: is_true(fields, "raisedByEmoji"),
        },
    })
}

/// A user's hash.
pub(super) fn of_user(meeting: &InternalMeetingId, id: &InternalUserId, user: &User) -> Written {
    vec![
        ("id", user.mapping_id.clone()),
        ("internalUserID", id.to_string()),
        ("externalUserID", user.external_id.clone().unwrap_or_default()),
        ("meetingId", meeting.to_string()),
        ("user", Value::Object(user.attributes.clone()).to_string()),
        ("joined", user.joined.to_string()),
        ("raisedByEmoji", user.hand_raised_by_emoji.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn reads_hooks_of_both_versions() {
        let third = fields(&[
            ("id", "0f1e"),
            ("callbackURL", "http://h/x"),
            ("externalMeetingID", "m"),
            ("eventID", r#"["user-joined","user-left"]"#),
            ("permanent", "false"),
            ("getRaw", "true"),
        ]);
        let second = fields(&[
            ("hookID", "7"),
            ("callbackURL", "http://h/x"),
            ("eventID", "user-joined,User-Left"),
            ("permanent", "true"),
            ("getRaw", "false"),
        ]);
        let elsewhere = hook("8", &third).unwrap();
        assert_eq!(elsewhere.id.as_str(), "8", "it is found, and destroyed, by the id that the set has");
        let third = hook("0f1e", &third).unwrap();
        assert_eq!((third.id.as_str(), third.raw, third.permanent, third.created_ms), ("0f1e", true, false, 0));
        assert_eq!(third.meeting, Some("m".into()));
        assert_eq!(third.events, ["user-joined", "user-left"]);
        let second = hook("7", &second).unwrap();
        assert_eq!((second.id.as_str(), second.raw, second.permanent), ("7", false, true));
        assert_eq!((second.meeting, second.events), (None, third.events));
        assert_eq!(hook("9", &fields(&[])), None);
    }

    #[test]
    fn truths_of_version_3_are_no_texts() {
        let attributes = |text: &str| {
            let stored = fields(&[("internalUserID", "u"), ("user", text)]);
            Value::Object(user("1", &stored).unwrap().user.attributes).to_string()
        };
        assert_eq!(
            attributes(r#"{"name":"true","guest":"false","presenter":"true","raiseHand":"perhaps"}"#),
            r#"{"name":"true","guest":false,"presenter":true,"raiseHand":"perhaps"}"#
        );
        let of_version_1 = r#"{"name":"Ada","presenter":"true","listening-only":"true"}"#;
        assert_eq!(attributes(of_version_1), of_version_1, "BigBlueButton 1.x sends texts");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let written = |fields: Written| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let some = Hook {
            id: "3".into(),
            callback_url: "http://h/ü?a=1".to_owned(),
            meeting: Some("m \"1\"".into()),
            events: vec!["a".to_owned(), "b".to_owned()],
            permanent: false,
            raw: true,
            created_ms: 1_763_990_000_123,
        };
        assert_eq!(hook("3", &written(of_hook(&some))), Some(some));
        let attributes = serde_json::from_str(r#"{"internal-user-id":"u","presenter":true}"#).unwrap();
        let known = User {
            mapping_id: "uuid".to_owned(),
            external_id: None,
            attributes,
            joined: 12,
            hand_raised_by_emoji: true,
        };
        let stored = user("uuid", &written(of_user(&"int".into(), &"u".into(), &known))).unwrap();
        assert_eq!(stored, StoredUser { meeting: "int".into(), id: "u".into(), user: known });
    }

    #[test]
    fn a_user_without_a_usable_record_keeps_the_ids() {
        for record in [None, Some(""), Some("undefined"), Some("[1]")] {
            let mut stored = fields(&[("internalUserID", "u"), ("externalUserID", "x"), ("meetingId", "m")]);
            stored.extend(record.map(|record| ("user".to_owned(), record.to_owned())));
            let stored = user("1", &stored).unwrap();
            assert_eq!(stored.user.external_id.as_deref(), Some("x"));
            assert_eq!(
                Value::Object(stored.user.attributes).to_string(),
                r#"{"internal-user-id":"u","external-user-id":"x"}"#
            );
        }
        assert_eq!(user("1", &fields(&[("externalUserID", "x")])), None);
    }
}
