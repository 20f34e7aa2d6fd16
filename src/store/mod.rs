//! Everything that reads or writes Redis keys of hooks and mappings, and of the xAPI output's records.
//!
//! A collection is a SET of ids and a HASH for each id, as the Node daemon keeps them. [`mod@format`] says what stands in the
//! hashes. What is written goes with the journal's commits, so the commands are only made here: hooks are written through,
//! before anybody is told; mappings wait in [`behind`].

pub mod behind;
mod format;
pub mod orders;
pub mod parked;
pub mod records;
mod version2;

use std::sync::Arc;

use redis::Pipeline;
use redis::RedisError;
use redis::RedisResult;
use tracing::warn;

use crate::config::Config;
use crate::connection;
use crate::connection::Connection;
use crate::event::HookId;
use crate::hook::HIGHEST_NUMBER;
use crate::hook::Hook;
use crate::state::Change;
pub use crate::store::behind::WriteBehind;
use crate::store::format::Fields;
pub use crate::store::format::StoredMeeting;
pub use crate::store::format::StoredUser;
use crate::store::format::Written;
use crate::store::records::Shelves;

/// The highest number that a hook was ever given.
const COUNTER: &str = "bigbluebutton:webhooks:out:nextHookId";

/// How many hashes are asked for at once.
const CHUNK: usize = 500;

/// What went wrong with Redis.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] RedisError);

/// The keys of hooks and mappings in Redis.
#[derive(Debug)]
pub struct Store {
    connection: Arc<Connection>,
    hooks: Collection,
    meetings: Collection,
    users: Collection,
    shelves: Shelves,
}

/// Everything about hooks that Redis remembers.
#[derive(Debug, Default)]
pub struct StoredHooks {
    /// The hooks that could be read.
    pub hooks: Vec<Hook>,
    /// The highest number that a hook was given, as far as Redis knows.
    pub counter: u64,
}

/// Everything about meetings and users that Redis remembers.
#[derive(Debug, Default)]
pub struct StoredMappings {
    /// The meetings.
    pub meetings: Vec<StoredMeeting>,
    /// The users, in the order joined.
    pub users: Vec<StoredUser>,
}

/// A SET of ids, and a HASH for each.
#[derive(Clone, Debug)]
struct Collection {
    set: String,
    prefix: String,
}

impl Collection {
    fn new(set: &str, prefix: &str) -> Self {
        Self { set: set.to_owned(), prefix: prefix.to_owned() }
    }

    fn key(&self, id: &str) -> String {
        format!("{}:{id}", self.prefix)
    }

    /// Adds the commands that make `fields` the whole hash of `id`.
    fn put(&self, commands: &mut Pipeline, id: &str, fields: &Written) {
        let key = self.key(id);
        commands.sadd(&self.set, id).ignore().del(&key).ignore().hset_multiple(&key, fields).ignore();
    }

    /// Adds the commands that forget `id`.
    fn remove(&self, commands: &mut Pipeline, id: &str) {
        commands.srem(&self.set, id).ignore().del(self.key(id)).ignore();
    }

    /// All ids.
    async fn ids(&self, connection: &Connection) -> RedisResult<Vec<String>> {
        let (mut ids,): (Vec<String>,) = connection.run(redis::pipe().smembers(&self.set)).await?;
        ids.sort_unstable();
        Ok(ids)
    }

    /// Reads every hash.
    async fn load_all(&self, connection: &Connection) -> RedisResult<Vec<(String, Fields)>> {
        self.load(connection, &self.ids(connection).await?).await
    }

    /// Reads the hashes of these ids. One that is missing, or is none, is left out with a warning.
    async fn load(&self, connection: &Connection, ids: &[String]) -> RedisResult<Vec<(String, Fields)>> {
        let mut loaded = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(CHUNK) {
            let mut commands = redis::pipe();
            commands.ignore_errors();
            for id in chunk {
                commands.hgetall(self.key(id));
            }
            let hashes: Vec<RedisResult<Fields>> = connection.run(&commands).await?;
            for (id, fields) in chunk.iter().zip(hashes) {
                match fields {
                    Ok(fields) if fields.is_empty() => warn!(key = self.key(id), "Redis names this key, but has none"),
                    Ok(fields) => loaded.push((id.clone(), fields)),
                    Err(error) => warn!(key = self.key(id), %error, "This key in Redis cannot be read; it is left out"),
                }
            }
        }
        Ok(loaded)
    }
}

impl Store {
    /// The store behind `connection`, under the configured keys.
    #[must_use]
    pub fn new(connection: Arc<Connection>, config: &Config) -> Self {
        let keys = &config.keys;
        Self {
            connection,
            hooks: Collection::new(&keys.hooks, &keys.hook_prefix),
            meetings: Collection::new(&keys.mappings, &keys.mapping_prefix),
            users: Collection::new(&keys.user_maps, &keys.user_map_prefix),
            shelves: Shelves::new(&config.xapi.keys),
        }
    }

    /// Deletes what stands under our keys and cannot be what we or the Node daemon left there.
    ///
    /// # Errors
    /// If Redis is not there or refuses.
    pub async fn clear_strangers(&self) -> Result<(), Error> {
        let sets = [&self.hooks, &self.meetings, &self.users].map(|collection| (collection.set.as_str(), "set"));
        connection::clear(&self.connection, &sets).await?;
        Ok(connection::clear(&self.connection, &[(COUNTER, "string")]).await?)
    }

    /// Reads the hooks.
    ///
    /// # Errors
    /// If Redis is not there or refuses.
    pub async fn load_hooks(&self) -> Result<StoredHooks, Error> {
        let ids = self.hooks.ids(&self.connection).await?;
        let hashes = self.hooks.load(&self.connection, &ids).await?;
        // Whatever became of its hash, a number that Redis names was given.
        let counter = self.hook_counter().await?.max(highest_number(&ids));
        Ok(StoredHooks { hooks: readable(&self.hooks, hashes, format::hook), counter })
    }

    /// Reads meetings and users.
    ///
    /// # Errors
    /// If Redis is not there or refuses.
    pub async fn load_mappings(&self) -> Result<StoredMappings, Error> {
        let meetings = self.meetings.load_all(&self.connection).await?;
        let users = self.users.load_all(&self.connection).await?;
        let mut users = readable(&self.users, users, format::user);
        users.sort_by_key(|stored| stored.user.joined);
        Ok(StoredMappings { meetings: readable(&self.meetings, meetings, format::meeting), users })
    }

    /// The highest number that a hook was given, as far as Redis knows.
    ///
    /// # Errors
    /// If Redis is not there or refuses.
    pub async fn hook_counter(&self) -> Result<u64, Error> {
        let (counter,): (Option<String>,) = self.connection.run(redis::pipe().get(COUNTER)).await?;
        Ok(counter.and_then(|counter| counter.parse().ok()).filter(|counter| *counter <= HIGHEST_NUMBER).unwrap_or(0))
    }

    /// The commands that store a hook, and the highest number given so far.
    #[must_use]
    pub fn put_hook(&self, hook: &Hook, counter: u64) -> Pipeline {
        let mut commands = redis::pipe();
        self.hooks.put(&mut commands, hook.id.as_str(), &format::of_hook(hook));
        commands.set(COUNTER, counter).ignore();
        commands
    }

    /// The commands that forget a hook, and what is parked of it.
    #[must_use]
    pub fn forget_hook(&self, id: &HookId) -> Pipeline {
        let mut commands = self.remove_hook(id);
        parked::forget(&mut commands, id);
        commands
    }

    /// The commands that forget a hook, but nothing else of it: it can be put back.
    #[must_use]
    pub fn remove_hook(&self, id: &HookId) -> Pipeline {
        let mut commands = redis::pipe();
        self.hooks.remove(&mut commands, id.as_str());
        commands
    }

    /// Carries out commands at once, in one transaction: before the journal's commits begin.
    ///
    /// # Errors
    /// If Redis is not there or refuses; if the connection broke, they may have been carried out all the same.
    pub async fn carry_out(&self, mut commands: Pipeline) -> Result<(), Error> {
        Ok(self.connection.run(commands.atomic()).await?)
    }

    /// Adds the commands that make hooks and mappings exactly these, whatever stands in Redis. `state` is the state as
    /// changes from nothing.
    pub fn rewrite(&self, commands: &mut Pipeline, hooks: &StoredHooks, state: &[Change]) {
        for collection in [&self.hooks, &self.meetings, &self.users] {
            commands.del(&collection.set).ignore();
        }
        for hook in &hooks.hooks {
            self.hooks.put(commands, hook.id.as_str(), &format::of_hook(hook));
        }
        commands.set(COUNTER, hooks.counter).ignore();
        // What version 2 left is not to be taken over again.
        commands.set(version2::MIGRATED, version2::BY_US).ignore();
        for change in state {
            self.repeat(commands, change);
        }
    }

    /// Adds the commands that repeat a change of the state.
    fn repeat(&self, commands: &mut Pipeline, change: &Change) {
        match change {
            Change::PutMeeting(id, meeting) => {
                let stored = StoredMeeting::of(id, meeting);
                self.meetings.put(commands, &stored.mapping_id, &format::of_meeting(&stored));
            }
            Change::RemoveMeeting(mapping_id) => self.meetings.remove(commands, mapping_id),
            Change::AddUser(meeting, id, user) | Change::PutUser(meeting, id, user) => {
                self.users.put(commands, &user.mapping_id, &format::of_user(meeting, id, user));
            }
            Change::RemoveUser(mapping_id) | Change::RemoveAddedUser(mapping_id) => {
                self.users.remove(commands, mapping_id)
            }
        }
    }
}

/// The highest of the ids that are numbers.
fn highest_number(ids: &[String]) -> u64 {
    let numbers = ids.iter().filter_map(|id| id.parse().ok());
    numbers.filter(|number| *number <= HIGHEST_NUMBER).max().unwrap_or(0)
}

/// The hashes that make sense; a warning for each other.
fn readable<T>(
    collection: &Collection,
    hashes: Vec<(String, Fields)>,
    read: impl Fn(&str, &Fields) -> Option<T>,
) -> Vec<T> {
    let one = |(id, fields): (String, Fields)| {
        let stored = read(&id, &fields);
        if stored.is_none() {
            warn!(key = collection.key(&id), "This hash in Redis lacks what it is about; it is left out");
        }
        stored
    };
    hashes.into_iter().filter_map(one).collect()
}

/// Hashes and texts, whatever they are: for targets of fuzzing.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing {
    use crate::state::Change;
    use crate::store::StoredHooks;
    use crate::store::StoredMappings;
    use crate::store::StoredMeeting;
    use crate::store::StoredUser;
    use crate::store::format;
    use crate::store::format::Fields;
    use crate::store::format::Written;
    use crate::store::orders::Order;
    use crate::store::parked::Parked;

    /// Reads a hash as a hook, a meeting and a user.
    pub(crate) fn read(fields: &Fields) -> (StoredHooks, StoredMappings) {
        let hooks: Vec<_> = format::hook("1", fields).into_iter().collect();
        for hook in &hooks {
            let _ = (hook.list_order(), hook.host(), hook.public_url(), format::of_hook(hook));
        }
        let counter = fields.get("id").and_then(|id| id.parse().ok()).unwrap_or(0);
        let meetings = format::meeting("1", fields).into_iter().collect();
        let users = format::user("1", fields).into_iter().collect();
        (StoredHooks { hooks, counter }, StoredMappings { meetings, users })
    }

    /// Reads a text as a parked event and as an order.
    pub(crate) fn read_json(text: &str) {
        let _ = serde_json::from_str::<Parked>(text).map(|parked| parked.size());
        let _ = serde_json::from_str::<Order>(text);
    }

    /// Writes changes of the state, and reads them again.
    pub(crate) fn there_and_back(changes: &[Change]) {
        let as_read = |fields: Written| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        for change in changes {
            match change {
                Change::PutMeeting(id, meeting) => {
                    let stored = StoredMeeting::of(id, meeting);
                    let read = format::meeting("1", &as_read(format::of_meeting(&stored)));
                    assert!(id.as_str().is_empty() || read.is_some(), "a meeting is read back");
                }
                Change::AddUser(meeting, id, user) | Change::PutUser(meeting, id, user) => {
                    let mut stored = StoredUser { meeting: meeting.clone(), id: id.clone(), user: user.clone() };
                    format::make_truths(&mut stored.user.attributes);
                    let read = format::user("1", &as_read(format::of_user(meeting, id, user)));
                    let same = read.is_some_and(|read| read.user.attributes == stored.user.attributes);
                    assert!(id.as_str().is_empty() || same, "a user is read back");
                }
                Change::RemoveMeeting(_) | Change::RemoveUser(_) | Change::RemoveAddedUser(_) => {}
            }
        }
    }
}
