//! What travels through the daemon: ids, the message as published, the mapped event, the journal's event. Pure.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Makes a newtype over shared text: cheap to clone, hashed and compared as text, never mixed up with another.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<T: Into<Arc<str>>> From<T> for $name {
            fn from(text: T) -> Self {
                Self(text.into())
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// Names a hook: a number, or a UUID that the Node daemon gave.
    HookId
}
/// The xAPI output's name among hooks, which are numbers or UUIDs.
pub const XAPI_READER: &str = "xapi";

text_id! {
    /// BigBlueButton's own name of one run of a meeting (`<hash>-<create time>`).
    InternalMeetingId
}
text_id! {
    /// The name that the integrating application gave to a meeting: its `meetingID`.
    ExternalMeetingId
}
text_id! {
    /// BigBlueButton's own name of one join of a user (`w_...`).
    InternalUserId
}

/// The id of a mapped event, such as `user-joined`. Built-in ids cost nothing to copy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(Cow<'static, str>);

impl EventId {
    /// A built-in id.
    #[must_use]
    pub const fn built_in(id: &'static str) -> Self {
        Self(Cow::Borrowed(id))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for EventId {
    fn from(id: &str) -> Self {
        Self(Cow::Owned(id.to_owned()))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message as BigBlueButton published it.
#[derive(Clone, Debug)]
pub struct RawMessage {
    /// The bytes, JSON as a rule, but not checked.
    pub bytes: bytes::Bytes,
}

/// What the mapper made of a message; the journal numbers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedEvent {
    /// What happened.
    pub id: EventId,
    /// The meeting it happened in, where one is known. Events of one meeting keep their order.
    pub meeting: Option<InternalMeetingId>,
    /// The same meeting as the integrating application knows it. Hooks are registered by it.
    pub external_meeting: Option<ExternalMeetingId>,
    /// The event as mapped hooks get it: `{"data":{...}}`.
    pub json: Arc<str>,
    /// What raw hooks get for it.
    pub raw: RawForm,
}

/// What a raw hook gets for an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawForm {
    /// The message as published. It may stand for further events, whose ids are `also`: a raw hook gets it once, when
    /// any of the ids passes its filter.
    Message {
        /// The message, JSON text.
        json: Arc<str>,
        /// Ids of the other events made of the same message.
        also: Vec<EventId>,
    },
    /// The mapped form: the event stands for no message.
    Mapped,
    /// Nothing: the message reaches raw hooks with another event made of it.
    Covered,
    /// Nothing: there was no raw hook when the event was accepted.
    NotKept,
}

/// An event that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number in the journal. Grows, never used twice.
    pub number: u64,
    /// When it was accepted, in ms since 1970.
    pub accepted_ms: u64,
    /// Only for this hook, and past its filters; none for all whom it concerns.
    pub to: Option<HookId>,
    /// What happened.
    pub mapped: MappedEvent,
}

impl Event {
    /// The JSON text that a hook gets, mapped or raw; none where a raw hook gets nothing.
    #[must_use]
    pub fn json(&self, raw: bool) -> Option<&str> {
        match &self.mapped.raw {
            _ if !raw => Some(&self.mapped.json),
            RawForm::Message { json, .. } => Some(json),
            RawForm::Mapped => Some(&self.mapped.json),
            RawForm::Covered | RawForm::NotKept => None,
        }
    }

    /// The bytes of its texts.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let raw = match &self.mapped.raw {
            RawForm::Message { json, .. } => json.len(),
            RawForm::Mapped | RawForm::Covered | RawForm::NotKept => 0,
        };
        self.mapped.json.len() + raw
    }

    /// The bytes of memory that it takes, with all that belongs to it: half as much again is its number in the lanes of every hook
    /// that is behind, copies on the way to Redis, and what the allocator cannot give out otherwise. (That is measured, with a
    /// hundred dead hooks: docs/performance.md.)
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        // The texts' and the event's own reference counts, and room up to the next size that the allocator knows.
        let itself = self.text_bytes() + size_of::<Self>() + 96;
        itself + itself / 2
    }
}
