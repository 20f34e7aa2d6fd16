//! A short meeting, in the shapes in which BigBlueButton publishes it.

use std::time::SystemTime;

use serde_json::Value;
use serde_json::json;
use sha1::Digest;
use sha1::Sha1;

/// A message, and the events that have to come of it.
pub(crate) struct Step {
    pub(crate) channel: &'static str,
    pub(crate) message: Value,
    pub(crate) events: &'static [&'static str],
}

/// What in the outcome may surprise.
pub(crate) const REMARKS: &str = "\
(The private chat message reached nobody. Amara was still there when she ended the meeting: her user-left comes first.)";

const APPS: &str = "from-akka-apps-redis-channel";
const CHAT: &str = "from-akka-apps-chat-redis-channel";
const RECORDINGS: &str = "bigbluebutton:from-rap";

const EXTERNAL_ID: &str = "gardening-7b";
const NAME: &str = "Gardening, group 7b";
const AMARA: &str = "w_amara0000001";
const JONAS: &str = "w_jonas0000002";

/// The whole meeting.
pub(crate) fn steps() -> Vec<Step> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let play = Play {
        created_ms: u64::try_from(now.as_millis()).unwrap_or_default(),
        // BigBlueButton makes internal ids this way.
        id: format!("{}-{}", hex::encode(Sha1::digest(EXTERNAL_ID)), now.as_millis()),
    };
    vec![
        play.created(),
        play.joined(AMARA, "teacher-12", "Amara Okafor", "MODERATOR"),
        play.joined(JONAS, "pupil-407", "Jonas Lindqvist", "VIEWER"),
        play.apps(
            "PresenterAssignedEvtMsg",
            AMARA,
            &["user-presenter-assigned"],
            json!({
                "presenterId": AMARA, "presenterName": "Amara Okafor", "assignedBy": AMARA,
            }),
        ),
        play.voice(AMARA, "Amara Okafor", false),
        play.voice(JONAS, "Jonas Lindqvist", true),
        play.recording(true, &["meeting-recording-started"]),
        play.chat(
            "MAIN-PUBLIC-GROUP-CHAT",
            &["chat-group-message-sent"],
            AMARA,
            "Amara Okafor",
            "Good morning! Tomatoes & beans today: 100% seeds + soil 🍅",
        ),
        play.chat("1763990012345-private", &[], JONAS, "Jonas Lindqvist", "Is this going to take long?"),
        play.apps(
            "PollStartedEvtMsg",
            AMARA,
            &["poll-started"],
            json!({
                "userId": AMARA, "pollId": "slide-1/1", "pollType": "YN", "secretPoll": false,
                "question": "Have your seeds sprouted?",
                "poll": {"id": "slide-1/1", "isMultipleResponse": false,
                         "answers": [{"id": 0, "key": "Yes"}, {"id": 1, "key": "No"}]},
            }),
        ),
        play.apps(
            "UserRespondedToPollRespMsg",
            JONAS,
            &["poll-responded"],
            json!({
                "pollId": "slide-1/1", "userId": JONAS, "answerIds": [0],
            }),
        ),
        play.hand(JONAS, true),
        play.hand(JONAS, false),
        play.screenshare("ScreenshareRtmpBroadcastStartedEvtMsg", &["meeting-screenshare-started"]),
        play.screenshare("ScreenshareRtmpBroadcastStoppedEvtMsg", &["meeting-screenshare-stopped"]),
        play.recording(false, &["meeting-recording-stopped"]),
        play.apps(
            "UserLeftMeetingEvtMsg",
            JONAS,
            &["user-left"],
            json!({
                "intId": JONAS, "eject": false, "ejectedBy": "", "reason": "", "reasonCode": "",
            }),
        ),
        play.ended(),
        play.processed("archive_started", &["rap-archive-started"], json!({})),
        play.processed(
            "archive_ended",
            &["rap-archive-ended"],
            json!({
                "success": true, "step_time": 840, "recorded": true, "duration": 1_730_000,
            }),
        ),
        play.processed("process_started", &["rap-process-started"], json!({"workflow": "presentation"})),
        play.processed(
            "process_ended",
            &["rap-process-ended"],
            json!({
                "workflow": "presentation", "success": true, "step_time": 5210,
            }),
        ),
        play.processed("publish_started", &["rap-publish-started"], json!({"workflow": "presentation"})),
        play.published(),
    ]
}

struct Play {
    id: String,
    created_ms: u64,
}

impl Play {
    /// A message of BigBlueButton's core about a user in the meeting.
    fn apps(&self, name: &str, user: &str, events: &'static [&'static str], body: Value) -> Step {
        let message = json!({
            "envelope": {
                "name": name,
                "routing": {"msgType": "BROADCAST_TO_MEETING", "meetingId": self.id, "userId": user},
                "timestamp": self.created_ms,
            },
            "core": {"header": {"name": name, "meetingId": self.id, "userId": user}, "body": body},
        });
        Step { channel: APPS, message, events }
    }

    /// A message of BigBlueButton's core about a meeting as such.
    fn of_the_meeting(&self, name: &str, events: &'static [&'static str], body: Value) -> Step {
        let message = json!({
            "envelope": {"name": name, "routing": {"sender": "bbb-apps-akka"}, "timestamp": self.created_ms},
            "core": {"header": {"name": name}, "body": body},
        });
        Step { channel: APPS, message, events }
    }

    fn created(&self) -> Step {
        self.of_the_meeting(
            "MeetingCreatedEvtMsg",
            &["meeting-created"],
            json!({"props": {
                "meetingProp": {"name": NAME, "extId": EXTERNAL_ID, "intId": self.id, "isBreakout": false},
                "breakoutProps": {"parentId": "bbb-none", "sequence": 0, "freeJoin": false, "record": false},
                "durationProps": {"duration": 45, "createdTime": self.created_ms, "createdDate": "today"},
                "password": {"moderatorPass": "mp", "viewerPass": "ap"},
                "recordProp": {"record": true, "autoStartRecording": false, "allowStartStopRecording": true},
                "voiceProp": {"telVoice": "70007", "voiceConf": "70007", "dialNumber": "555-0100", "muteOnStart": true},
                "usersProp": {"maxUsers": 30, "guestPolicy": "ALWAYS_ACCEPT"},
                "metadataProp": {"metadata": {"course": "7b"}},
            }}),
        )
    }

    fn joined(&self, user: &str, external: &str, name: &str, role: &str) -> Step {
        self.apps(
            "UserJoinedMeetingEvtMsg",
            user,
            &["user-joined"],
            json!({
                "intId": user, "extId": external, "name": name, "role": role, "guest": false, "authed": true,
                "guestStatus": "ALLOW", "emoji": "none", "raiseHand": false, "presenter": false, "locked": true,
                "clientType": "HTML5",
            }),
        )
    }

    fn voice(&self, user: &str, name: &str, listens_only: bool) -> Step {
        self.apps(
            "UserJoinedVoiceConfToClientEvtMsg",
            user,
            &["user-audio-voice-enabled"],
            json!({
                "voiceConf": "70007", "intId": user, "voiceUserId": "1", "callerName": name, "callerNum": name,
                "muted": listens_only, "talking": false, "callingWith": "none", "listenOnly": listens_only,
            }),
        )
    }

    fn chat(&self, chat: &str, events: &'static [&'static str], user: &str, name: &str, text: &str) -> Step {
        let step = self.apps(
            "GroupChatMessageBroadcastEvtMsg",
            user,
            events,
            json!({
                "chatId": chat,
                "msg": {
                    "id": format!("{}-{user}", self.created_ms), "timestamp": self.created_ms,
                    "correlationId": format!("{user}-1"), "sender": {"id": user, "name": name, "role": "VIEWER"},
                    "chatEmphasizedText": false, "message": text,
                },
            }),
        );
        Step { channel: CHAT, ..step }
    }

    fn hand(&self, user: &str, raised: bool) -> Step {
        let body = json!({"userId": user, "raiseHand": raised});
        self.apps("UserRaiseHandChangedEvtMsg", user, &["user-raise-hand-changed"], body)
    }

    fn screenshare(&self, name: &str, events: &'static [&'static str]) -> Step {
        self.apps(
            name,
            "not-used",
            events,
            json!({
                "voiceConf": "70007", "screenshareConf": "70007", "stream": "screen-1", "vidWidth": 0, "vidHeight": 0,
                "timestamp": "1", "hasAudio": false, "contentType": "screenshare",
            }),
        )
    }

    fn recording(&self, on: bool, events: &'static [&'static str]) -> Step {
        self.apps("RecordingStatusChangedEvtMsg", AMARA, events, json!({"recording": on, "setBy": AMARA}))
    }

    fn ended(&self) -> Step {
        let body = json!({"meetingId": self.id});
        self.of_the_meeting("MeetingDestroyedEvtMsg", &["user-left", "meeting-ended"], body)
    }

    /// A message of the scripts that process recordings.
    fn processed(&self, name: &str, events: &'static [&'static str], more: Value) -> Step {
        let mut payload = json!({"record_id": self.id, "meeting_id": self.id, "external_meeting_id": EXTERNAL_ID});
        if let (Value::Object(payload), Value::Object(more)) = (&mut payload, more) {
            payload.extend(more);
        }
        let seconds = self.created_ms / 1000;
        let header = json!({"timestamp": self.created_ms, "name": name, "current_time": seconds, "version": "0.0.1"});
        Step { channel: RECORDINGS, message: json!({"header": header, "payload": payload}), events }
    }

    fn published(&self) -> Step {
        self.processed(
            "publish_ended",
            &["rap-publish-ended"],
            json!({
                "workflow": "presentation", "success": true, "step_time": 760,
                "playback": {
                    "format": "presentation",
                    "link": format!("https://bbb.example.org/playback/presentation/2.3/{}", self.id),
                    "processing_time": "5210", "duration": "1730000", "size": "2048000",
                },
                "metadata": {"isBreakout": "false", "meetingName": NAME, "meetingId": EXTERNAL_ID, "course": "7b"},
                "download": {}, "raw_size": "4096000",
                "start_time": self.created_ms.to_string(), "end_time": (self.created_ms + 1_800_000).to_string(),
            }),
        )
    }
}
