//! Events about what a meeting says, writes and votes: chat, notes, polls, captions.

use crate::event::InternalMeetingId;
use crate::mapper::draft::Attributes;
use crate::mapper::draft::Draft;
use crate::mapper::draft::Message;
use crate::mapper::draft::at;
use crate::mapper::draft::meeting_attributes;
use crate::mapper::draft::text;
use crate::state::State;

/// The chat that everyone in a meeting sees. Other chats are private: nobody gets them.
const PUBLIC_CHAT: &str = "MAIN-PUBLIC-GROUP-CHAT";

/// Somebody wrote in the public chat.
///
/// COMPAT: what nobody sent is no message.
pub(super) fn chat(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let body = message.core()?;
    if text(body.get("chatId"))? != PUBLIC_CHAT {
        return None;
    }
    let said = body.get("msg")?;
    at(said, &["sender"]).filter(|sender| sender.is_object())?;
    let meeting = message.meeting()?;
    let sender = Attributes::of_user(&meeting, at(said, &["sender", "id"]), state)
        .put("name", at(said, &["sender", "name"]))
        .put("time", said.get("timestamp"));
    let chat_message =
        Attributes::new().put("id", said.get("id")).put("message", said.get("message")).group("sender", sender);
    let attributes =
        meeting_attributes(&meeting, state).group("chat-message", chat_message).put("chat-id", body.get("chatId"));
    Some(vec![Draft::new("chat-group-message-sent", meeting, state, attributes)])
}

/// The shared notes changed.
pub(super) fn pad(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let body = message.core()?;
    let meeting = message.meeting()?;
    let pad = Attributes::new()
        .put("id", body.get("padId"))
        .put("external-pad-id", body.get("externalId"))
        .put("rev", body.get("rev"))
        .put("start", body.get("start"))
        .put("end", body.get("end"))
        .put("text", body.get("text"));
    let attributes = meeting_attributes(&meeting, state).group("pad", pad);
    Some(vec![Draft::new("pad-content", meeting, state, attributes)])
}

/// A poll was started.
///
/// COMPAT: without its choices it is none.
pub(super) fn poll_started(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let body = message.core()?;
    body.get("poll").filter(|poll| poll.is_object())?;
    let poll = Attributes::new()
        .put("id", body.get("pollId").or_else(|| at(body, &["poll", "id"])))
        .put("question", body.get("question"))
        .put("answers", at(body, &["poll", "answers"]));
    of_header_user("poll-started", message.meeting()?, message, "poll", poll, state)
}

/// Somebody answered a poll.
///
/// COMPAT: the user is the one in the header, who need not be the one in the body that answered: so recorded.
pub(super) fn poll_responded(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let body = message.core()?;
    let poll = Attributes::new().put("id", body.get("pollId")).put("answerIds", body.get("answerIds"));
    of_header_user("poll-responded", message.meeting()?, message, "poll", poll, state)
}

/// The captions of somebody's speech changed.
pub(super) fn transcript(message: &Message<'_>, state: &mut State) -> Option<Vec<Draft>> {
    let body = message.core()?;
    let transcript = Attributes::new()
        .put("id", body.get("transcriptId"))
        .put("transcript", body.get("transcript"))
        .put("locale", body.get("locale"))
        .put("final", body.get("result"));
    of_header_user("transcript-updated", message.meeting()?, message, "transcript", transcript, state)
}

/// `{meeting, user, <key>}` with the user of the message's header.
fn of_header_user(
    id: &'static str,
    meeting: InternalMeetingId,
    message: &Message<'_>,
    key: &str,
    content: Attributes,
    state: &State,
) -> Option<Vec<Draft>> {
    let user = Attributes::of_user(&meeting, message.header_user(), state);
    let attributes = meeting_attributes(&meeting, state).group("user", user).group(key, content);
    Some(vec![Draft::new(id, meeting, state, attributes)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_answers_a_poll_is_who_stands_in_the_header() {
        let body = json!({"core": {
            "header": {"meetingId": "int", "userId": "w_header"},
            "body": {"pollId": "p", "userId": "w_body", "answerIds": [1]},
        }});
        let message = Message { body: &body, ids: &["poll-responded"], now_ms: 7 };
        let drafts = poll_responded(&message, &mut State::new(fastrand::Rng::with_seed(1))).expect("an event");
        let event = drafts.into_iter().next().map(|draft| draft.finish(crate::event::RawForm::Mapped, 7));
        let json = event.expect("one event").json;
        assert!(json.contains(r#""internal-user-id":"w_header""#) && !json.contains("w_body"), "{json}");
    }
}
