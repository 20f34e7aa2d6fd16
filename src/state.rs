//! Meetings and users: what the mapper looks up and what it changes. Pure: time and randomness come in as arguments.
//!
//! The state holds what messages alone do not say: a meeting's external id, who is in it, who presents. Each change of
//! it is also noted as a [`Change`], for the copy in Redis.

use std::collections::HashMap;
use std::collections::HashSet;
use std::time::Duration;

use indexmap::IndexMap;
use serde_json::Map;
use serde_json::Value;

use crate::event::ExternalMeetingId;
use crate::event::InternalMeetingId;
use crate::event::InternalUserId;

/// What is known of a meeting. It outlives the meeting's end, because recordings are announced later.
#[derive(Clone, Debug, PartialEq)]
pub struct Meeting {
    /// The id of its mapping in Redis.
    pub mapping_id: String,
    /// Unknown where the daemon did not see the meeting's creation.
    pub external_id: Option<ExternalMeetingId>,
    /// When anything last happened in it, in ms since 1970.
    pub last_activity_ms: u64,
    users: IndexMap<InternalUserId, User>,
}

/// What is known of a user in a meeting.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// The id of its mapping in Redis.
    pub mapping_id: String,
    /// The id that the integrating application gave.
    pub external_id: Option<String>,
    /// The attributes of the join as they were sent, and `presenter`, `screenshare`, `raiseHand` as they last changed.
    pub attributes: Map<String, Value>,
    /// Grows with each join: the order in which users leave when their meeting ends. Roughly ms since 1970.
    pub joined: u64,
    /// The hand was raised as an emoji (BigBlueButton before 2.7), so the next emoji lowers it.
    pub hand_raised_by_emoji: bool,
}

impl User {
    /// The change that this user is gone, where all up to those who joined at `given_out` were given out.
    fn removal(self, given_out: u64) -> Change {
        let change = if self.joined > given_out { Change::RemoveAddedUser } else { Change::RemoveUser };
        change(self.mapping_id)
    }

    /// Whether an attribute is set.
    fn is(&self, attribute: &str) -> bool {
        is_true(self.attributes.get(attribute))
    }
}

/// Whether a value of BigBlueButton's says yes. Version 1.x sent `"true"` as text.
#[must_use]
pub fn is_true(value: Option<&Value>) -> bool {
    value.is_some_and(|value| value.as_bool().unwrap_or_else(|| value.as_str() == Some("true")))
}

/// A change of the state, to be repeated in Redis.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A meeting's mapping is new or changed.
    PutMeeting(InternalMeetingId, Meeting),
    /// A meeting's mapping, by its id in Redis, is gone.
    RemoveMeeting(String),
    /// A user's mapping is new: Redis cannot know it before this is repeated there, or all of the state.
    AddUser(InternalMeetingId, InternalUserId, User),
    /// A user's mapping is new or changed.
    PutUser(InternalMeetingId, InternalUserId, User),
    /// A user's mapping, by its id in Redis, is gone.
    RemoveUser(String),
    /// The same of a mapping that was not in the state when all of it was last given out: if its [`Change::AddUser`] was
    /// not repeated yet, neither need be.
    RemoveAddedUser(String),
}

/// All meetings and users.
#[derive(Debug)]
pub struct State {
    meetings: HashMap<InternalMeetingId, Meeting>,
    /// Meetings whose `last_activity_ms` Redis does not know yet.
    active: HashSet<InternalMeetingId>,
    changes: Vec<Change>,
    last_joined: u64,
    /// `joined` of the last user who may have been in the state when all of it was given out.
    given_out: u64,
    random: fastrand::Rng,
}

impl State {
    /// An empty state. `random` makes the ids of mappings.
    #[must_use]
    pub fn new(random: fastrand::Rng) -> Self {
        Self {
            meetings: HashMap::new(),
            active: HashSet::new(),
            changes: Vec::new(),
            last_joined: 0,
            given_out: 0,
            random,
        }
    }

    /// Puts a meeting back that was read from Redis, less its users.
    pub fn restore_meeting(
        &mut self,
        id: InternalMeetingId,
        mapping_id: String,
        external_id: Option<ExternalMeetingId>,
        last_activity_ms: u64,
    ) {
        let users = self.meetings.remove(&id).map(|known| known.users).unwrap_or_default();
        self.meetings.insert(id, Meeting { mapping_id, external_id, last_activity_ms, users });
    }

    /// Puts a user back that was read from Redis. Call it in the order joined.
    pub fn restore_user(&mut self, meeting: &InternalMeetingId, id: InternalUserId, user: User, now_ms: u64) {
        self.last_joined = self.last_joined.max(user.joined);
        self.meeting_entry(meeting, now_ms).users.insert(id, user);
    }

    /// What changed since this was last called, oldest first.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// The whole state, as changes from nothing.
    #[must_use]
    pub fn everything(&mut self) -> Vec<Change> {
        self.given_out = self.last_joined;
        let mut changes = Vec::new();
        for (id, meeting) in &self.meetings {
            if meeting.external_id.is_some() {
                changes.push(Change::PutMeeting(id.clone(), meeting.without_users()));
            }
            let users = meeting.users.iter();
            changes.extend(users.map(|(user, record)| Change::PutUser(id.clone(), user.clone(), record.clone())));
        }
        changes
    }

    /// How many meetings and users are known.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.meetings.len(), self.meetings.values().map(|meeting| meeting.users.len()).sum())
    }

    /// The external id of a meeting, running or ended.
    #[must_use]
    pub fn external_meeting_id(&self, meeting: &str) -> Option<&ExternalMeetingId> {
        self.meetings.get(meeting)?.external_id.as_ref()
    }

    /// A user in a meeting.
    #[must_use]
    pub fn user(&self, meeting: &str, user: &str) -> Option<&User> {
        let in_meeting = self.meetings.get(meeting).and_then(|known| known.users.get(user));
        // Version 2 could store a user without its meeting; such mappings are read into the meeting without a name.
        in_meeting.or_else(|| self.meetings.get("")?.users.get(user))
    }

    /// Who presents in a meeting.
    #[must_use]
    pub fn presenter(&self, meeting: &str) -> Option<(&InternalUserId, &User)> {
        self.user_with(meeting, "presenter")
    }

    /// Who shares their screen in a meeting.
    #[must_use]
    pub fn screen_sharer(&self, meeting: &str) -> Option<(&InternalUserId, &User)> {
        self.user_with(meeting, "screenshare")
    }

    fn user_with(&self, meeting: &str, attribute: &str) -> Option<(&InternalUserId, &User)> {
        self.meetings.get(meeting)?.users.iter().find(|(_, user)| user.is(attribute))
    }

    /// Notes that something happened in a meeting.
    pub fn touch(&mut self, meeting: &InternalMeetingId, now_ms: u64) {
        if let Some(known) = self.meetings.get_mut(meeting) {
            known.last_activity_ms = now_ms;
            self.active.insert(meeting.clone());
        }
    }

    /// A meeting was created.
    pub fn meeting_created(&mut self, meeting: &InternalMeetingId, external_id: ExternalMeetingId, now_ms: u64) {
        let known = self.meeting_entry(meeting, now_ms);
        known.external_id = Some(external_id);
        known.last_activity_ms = now_ms;
        let change = Change::PutMeeting(meeting.clone(), known.without_users());
        self.changes.push(change);
    }

    /// A meeting ended. Gives those who were still in it, in the order joined; the meeting itself stays known.
    pub fn meeting_ended(&mut self, meeting: &InternalMeetingId) -> Vec<(InternalUserId, User)> {
        let Some(known) = self.meetings.get_mut(meeting) else { return Vec::new() };
        let users: Vec<_> = std::mem::take(&mut known.users).into_iter().collect();
        self.changes.extend(users.iter().map(|(_, user)| user.clone().removal(self.given_out)));
        users
    }

    /// A user joined, with these attributes. Who joins again keeps their place.
    pub fn user_joined(
        &mut self,
        meeting: &InternalMeetingId,
        user: &InternalUserId,
        external_id: Option<String>,
        attributes: Map<String, Value>,
        now_ms: u64,
    ) {
        let mapping_id = self.new_mapping_id();
        let joined = now_ms.max(self.last_joined.saturating_add(1));
        let users = &mut self.meeting_entry(meeting, now_ms).users;
        let known = users.get(user);
        let is_known = known.is_some();
        let record = User {
            mapping_id: known.map_or(mapping_id, |known| known.mapping_id.clone()),
            external_id,
            attributes,
            joined: known.map_or(joined, |known| known.joined),
            hand_raised_by_emoji: false,
        };
        users.insert(user.clone(), record.clone());
        self.last_joined = joined;
        let change = if is_known { Change::PutUser } else { Change::AddUser };
        self.changes.push(change(meeting.clone(), user.clone(), record));
    }

    /// A user left.
    pub fn user_left(&mut self, meeting: &InternalMeetingId, user: &InternalUserId) {
        // shift_remove, because the others keep their order
        let left = self.meetings.get_mut(meeting).and_then(|known| known.users.shift_remove(user));
        if let Some(left) = left {
            self.changes.push(left.removal(self.given_out));
        }
    }

    /// Changes a user, if they are known.
    pub fn update_user(&mut self, meeting: &InternalMeetingId, user: &InternalUserId, update: impl FnOnce(&mut User)) {
        let known = self.meetings.get_mut(meeting).and_then(|known| known.users.get_mut(user));
        if let Some(known) = known {
            let before = known.clone();
            update(known);
            if *known != before {
                self.changes.push(Change::PutUser(meeting.clone(), user.clone(), known.clone()));
            }
        }
    }

    /// Sets an attribute of a user, if they are known.
    pub fn set_attribute(
        &mut self,
        meeting: &InternalMeetingId,
        user: &InternalUserId,
        attribute: &str,
        value: impl Into<Value>,
    ) {
        self.update_user(meeting, user, |known| {
            known.attributes.insert(attribute.to_owned(), value.into());
        });
    }

    /// Forgets meetings in which nothing happened for `timeout`, with their users, and notes the activity of the others.
    pub fn sweep(&mut self, now_ms: u64, timeout: Duration) {
        let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let expired: Vec<_> = self
            .meetings
            .iter()
            .filter(|(_, meeting)| now_ms.saturating_sub(meeting.last_activity_ms) > timeout)
            .map(|(id, _)| id.clone())
            .collect();
        for id in expired {
            if let Some(meeting) = self.meetings.remove(&id) {
                self.changes.extend(meeting.users.into_values().map(|user| user.removal(self.given_out)));
                self.changes.push(Change::RemoveMeeting(meeting.mapping_id));
            }
        }
        for id in std::mem::take(&mut self.active) {
            if let Some(meeting) = self.meetings.get(&id).filter(|meeting| meeting.external_id.is_some()) {
                self.changes.push(Change::PutMeeting(id, meeting.without_users()));
            }
        }
    }

    fn meeting_entry(&mut self, meeting: &InternalMeetingId, now_ms: u64) -> &mut Meeting {
        let random = &mut self.random;
        self.meetings.entry(meeting.clone()).or_insert_with(|| Meeting {
            mapping_id: mapping_id(random),
            external_id: None,
            last_activity_ms: now_ms,
            users: IndexMap::new(),
        })
    }

    fn new_mapping_id(&mut self) -> String {
        mapping_id(&mut self.random)
    }
}

impl Meeting {
    fn without_users(&self) -> Self {
        Self {
            mapping_id: self.mapping_id.clone(),
            external_id: self.external_id.clone(),
            last_activity_ms: self.last_activity_ms,
            users: IndexMap::new(),
        }
    }
}

/// The Node daemon names mappings by random UUIDs.
fn mapping_id(random: &mut fastrand::Rng) -> String {
    uuid::Builder::from_random_bytes(random.u128(..).to_ne_bytes()).into_uuid().to_string()
}
