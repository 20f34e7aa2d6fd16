//! The hooks of a soak, and what each wants.

use super::load::Event;
use super::load::Kind;
use super::load::external_id;
use crate::harness::Audience;
use crate::harness::Daemon;

/// What a hook wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// Of one room; none: of all.
    room: Option<usize>,
    /// Events of these ids only; none: all.
    events: &'static [(&'static str, Kind)],
    raw: bool,
    permanent: bool,
}

const ALL: Wish = Wish { room: None, events: &[], raw: false, permanent: false };
const CHAT: &[(&str, Kind)] = &[("chat-group-message-sent", Kind::Chat)];
const CAMERAS: &[(&str, Kind)] = &[("user-cam-broadcast-start", Kind::Camera)];
const COMING_AND_GOING: &[(&str, Kind)] = &[
    ("meeting-created", Kind::Created),
    ("user-joined", Kind::Joined),
    ("user-left", Kind::Left),
    ("meeting-ended", Kind::Ended),
];

/// The number of a hook is its place here.
pub(super) const WISHES: [Wish; 10] = [
    ALL,
    Wish { permanent: true, ..ALL },
    Wish { raw: true, permanent: true, ..ALL },
    Wish { raw: true, ..ALL },
    Wish { events: CHAT, ..ALL },
    Wish { events: COMING_AND_GOING, ..ALL },
    Wish { events: CAMERAS, raw: true, ..ALL },
    Wish { room: Some(0), ..ALL },
    Wish { room: Some(1), raw: true, ..ALL },
    Wish { room: Some(2), events: COMING_AND_GOING, ..ALL },
];

impl Wish {
    /// Whether an event is wanted.
    pub(super) fn wants(&self, event: &Event) -> bool {
        self.room.is_none_or(|room| room == event.room)
            && (self.events.is_empty() || self.events.iter().any(|(_, kind)| *kind == event.kind))
    }
}

/// What goes into `hooks.permanentURLs`.
pub(super) fn permanent_urls(audiences: &[Audience]) -> serde_json::Value {
    let urls = WISHES.iter().enumerate().filter(|(_, wish)| wish.permanent);
    urls.map(|(hook, wish)| serde_json::json!({"url": audiences[hook].url(hook), "getRaw": wish.raw})).collect()
}

/// Creates the hooks that are not permanent. Gives the ids of all.
pub(super) async fn create(daemon: &Daemon, audiences: &[Audience]) -> Vec<String> {
    for (hook, wish) in WISHES.iter().enumerate().filter(|(_, wish)| !wish.permanent) {
        let room = wish.room.map(external_id).unwrap_or_default();
        let events: Vec<_> = wish.events.iter().map(|(id, _)| *id).collect();
        let events = events.join(",");
        let raw = wish.raw.to_string();
        let parameters = [("meetingID", room.as_str()), ("eventID", events.as_str()), ("getRaw", raw.as_str())];
        daemon.create(&audiences[hook].url(hook), &parameters).await;
    }
    let listed = daemon.hooks().await;
    let id = |hook: usize| {
        let url = audiences[hook].url(hook);
        listed.iter().find(|listed| listed.url == url).expect("each hook is listed").id.clone()
    };
    (0..WISHES.len()).map(id).collect()
}
