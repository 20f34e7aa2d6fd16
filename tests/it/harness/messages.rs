//! Messages as BigBlueButton publishes them.

use serde_json::Value;
use serde_json::json;

/// A message and the channel that it is published on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) channel: &'static str,
    pub(crate) json: String,
}

impl Message {
    fn new(channel: &'static str, json: &Value) -> Self {
        Self { channel, json: json.to_string() }
    }

    /// From akka-apps, about the server.
    fn system(name: &str, body: &Value) -> Self {
        let message = json!({
            "envelope": {"name": name, "routing": {"sender": "bbb-apps-akka"}, "timestamp": 1_763_990_000_000_u64},
            "core": {"header": {"name": name}, "body": body},
        });
        Self::new("from-akka-apps-redis-channel", &message)
    }
}

/// A meeting, and what is published about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meeting {
    /// Its name in the integrating application.
    pub(crate) external: String,
    /// BigBlueButton's name for it.
    pub(crate) internal: String,
}

impl Meeting {
    /// A meeting with this external id; the internal one is made from it.
    pub(crate) fn new(external: &str) -> Self {
        Self { external: external.to_owned(), internal: format!("{external}-internal-1763990000123") }
    }

    /// The meeting is there.
    pub(crate) fn created(&self) -> Message {
        self.created_with(&json!({"bbb-origin": "Moodle"}))
    }

    /// The meeting is there, with these metadata.
    pub(crate) fn created_with(&self, metadata: &Value) -> Message {
        let body = json!({"props": {
            "meetingProp": {"name": "Demo Meeting", "extId": self.external, "intId": self.internal, "isBreakout": false},
            "breakoutProps": {"parentId": "bbb-none", "sequence": 0},
            "durationProps": {"duration": 90, "createdTime": 1_763_990_000_123_u64, "createdDate": "Mon Nov 24 14:33:20 CET 2025"},
            "password": {"moderatorPass": "mp", "viewerPass": "ap"},
            "recordProp": {"record": true, "autoStartRecording": false},
            "voiceProp": {"telVoice": "71347", "voiceConf": "71347", "dialNumber": "613-555-1234", "muteOnStart": false},
            "usersProp": {"maxUsers": 25, "guestPolicy": "ASK_MODERATOR"},
            "metadataProp": {"metadata": metadata},
        }});
        Message::system("MeetingCreatedEvtMsg", &body)
    }

    /// The meeting is over.
    pub(crate) fn ended(&self) -> Message {
        Message::system("MeetingDestroyedEvtMsg", &json!({"meetingId": self.internal}))
    }

    /// A user came: `ada` has the internal id `w_ada` and the external id `ext-ada`.
    pub(crate) fn joined(&self, user: &str) -> Message {
        let body = json!({
            "intId": format!("w_{user}"), "extId": format!("ext-{user}"), "name": user, "role": "MODERATOR",
            "guest": false, "authed": true, "guestStatus": "ALLOW", "emoji": "none", "raiseHand": false,
            "presenter": false, "locked": true, "avatar": "", "color": "#7b1fa2", "clientType": "HTML5",
        });
        self.by_user("UserJoinedMeetingEvtMsg", user, &body)
    }

    /// A user went.
    pub(crate) fn left(&self, user: &str) -> Message {
        let body =
            json!({"intId": format!("w_{user}"), "eject": false, "ejectedBy": "", "reason": "", "reasonCode": ""});
        self.by_user("UserLeftMeetingEvtMsg", user, &body)
    }

    /// A user shares a camera.
    pub(crate) fn camera(&self, user: &str) -> Message {
        let body = json!({"userId": format!("w_{user}"), "stream": format!("w_{user}_cam")});
        self.by_user("UserBroadcastCamStartedEvtMsg", user, &body)
    }

    /// A user wrote to all.
    pub(crate) fn chat(&self, user: &str, text: &str) -> Message {
        let body = json!({"chatId": "MAIN-PUBLIC-GROUP-CHAT", "msg": {
            "id": "1763990012345-abc", "timestamp": 1_763_990_012_345_u64, "correlationId": format!("w_{user}-1"),
            "sender": {"id": format!("w_{user}"), "name": user, "role": "MODERATOR"},
            "chatEmphasizedText": true, "message": text,
        }});
        let mut message = self.by_user("GroupChatMessageBroadcastEvtMsg", user, &body);
        message.channel = "from-akka-apps-chat-redis-channel";
        message
    }

    /// The recording of the meeting went a step on: `archive_started`, `publish_ended`, ...
    pub(crate) fn recording(&self, step: &str) -> Message {
        let message = json!({
            "header": {"timestamp": 123_456_789, "name": step, "current_time": 1_763_999_999, "version": "0.0.1"},
            "payload": {"record_id": self.internal, "meeting_id": self.internal},
        });
        Message::new("bigbluebutton:from-rap", &message)
    }

    fn by_user(&self, name: &str, user: &str, body: &Value) -> Message {
        let user = format!("w_{user}");
        let message = json!({
            "envelope": {
                "name": name,
                "routing": {"msgType": "BROADCAST_TO_MEETING", "meetingId": self.internal, "userId": user},
                "timestamp": 1_763_990_000_000_u64,
            },
            "core": {"header": {"name": name, "meetingId": self.internal, "userId": user}, "body": body},
        });
        Message::new("from-akka-apps-redis-channel", &message)
    }
}
