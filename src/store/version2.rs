//! The take-over of what version 2 of the Node daemon left in Redis.
//!
//! It happens once. The old keys stay as they are, for the way back.

use std::collections::HashSet;

use tracing::info;

use crate::event::HookId;
use crate::hook::Hook;
use crate::store::COUNTER;
use crate::store::Collection;
use crate::store::Error;
use crate::store::Store;
use crate::store::StoredMeeting;
use crate::store::StoredUser;
use crate::store::format;
use crate::store::highest_number;
use crate::store::orders;
use crate::store::orders::Order;
use crate::store::orders::What;
use crate::store::readable;

/// Set once the take-over is done.
pub(super) const MIGRATED: &str = "bigbluebutton:webhooks:out:migrated";

/// Its value.
pub(super) const BY_US: &str = "2";

/// The LIST of a hook's undelivered events.
fn events_key(hook: &str) -> String {
    format!("bigbluebutton:webhooks:events:{hook}")
}

impl Store {
    /// Copies hooks and mappings of version 2 to where they are kept now, unless that was done before.
    ///
    /// A hook whose URL or id has a hook already is left: there is one hook per URL.
    ///
    /// # Errors
    /// If Redis is not there or refuses; then nothing was copied, or all.
    pub async fn take_over_version_2(&self) -> Result<(), Error> {
        let (migrated,): (bool,) = self.connection.run(redis::pipe().exists(MIGRATED)).await?;
        if migrated {
            return Ok(());
        }
        let collection = |set: &str, prefix: &str| {
            Collection::new(&format!("bigbluebutton:webhooks:{set}"), &format!("bigbluebutton:webhooks:{prefix}"))
        };
        let (hooks, meetings, users) =
            (collection("hooks", "hook"), collection("mappings", "mapping"), collection("userMaps", "userMap"));
        let old_ids = hooks.ids(&self.connection).await?;
        let mut old_hooks: Vec<Hook> = readable(&hooks, hooks.load(&self.connection, &old_ids).await?, format::hook);
        let mut counter = 0;
        if !old_ids.is_empty() {
            let known = self.load_hooks().await?;
            let known_ids: HashSet<_> = known.hooks.iter().map(|hook| hook.id.clone()).collect();
            let mut urls: HashSet<_> = known.hooks.into_iter().map(|hook| hook.callback_url).collect();
            old_hooks.retain(|hook| !known_ids.contains(&hook.id) && urls.insert(hook.callback_url.clone()));
            counter = known.counter.max(highest_number(&old_ids));
        }
        let old_meetings: Vec<StoredMeeting> =
            readable(&meetings, meetings.load_all(&self.connection).await?, format::meeting);
        let old_users: Vec<StoredUser> = readable(&users, users.load_all(&self.connection).await?, format::user);

        let mut commands = redis::pipe();
        commands.atomic().set(MIGRATED, BY_US).ignore();
        if counter > 0 {
            commands.set(COUNTER, counter).ignore();
        }
        for hook in &old_hooks {
            if self.left_events(&hook.id).await? {
                orders::give(&mut commands, &Order::new(&hook.id, What::Version2));
            }
            self.hooks.put(&mut commands, hook.id.as_str(), &format::of_hook(hook));
        }
        for meeting in &old_meetings {
            self.meetings.put(&mut commands, &meeting.mapping_id, &format::of_meeting(meeting));
        }
        for StoredUser { meeting, id, user } in &old_users {
            self.users.put(&mut commands, &user.mapping_id, &format::of_user(meeting, id, user));
        }
        let () = self.connection.run(&commands).await?;
        if !(old_hooks.is_empty() && old_meetings.is_empty() && old_users.is_empty()) {
            info!(
                hooks = old_hooks.len(),
                meetings = old_meetings.len(),
                users = old_users.len(),
                "Took over what version 2 left in Redis"
            );
        }
        Ok(())
    }

    /// What version 2 left undelivered of a hook, the oldest first: JSON texts.
    ///
    /// # Errors
    /// If Redis is not there or refuses.
    pub async fn version_2_events(&self, hook: &str) -> Result<Vec<String>, Error> {
        let (events,): (Vec<String>,) = self.connection.run(redis::pipe().lrange(events_key(hook), 0, -1)).await?;
        Ok(events)
    }

    /// Whether version 2 left anything undelivered of a hook.
    async fn left_events(&self, hook: &HookId) -> Result<bool, Error> {
        let (any,): (bool,) = self.connection.run(redis::pipe().exists(events_key(hook.as_str()))).await?;
        Ok(any)
    }
}
