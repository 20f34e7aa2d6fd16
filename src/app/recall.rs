//! Going on where an earlier run ended: what Redis remembers is read before anything new is written.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::info;
use tracing::warn;

use crate::clock;
use crate::event::HookId;
use crate::event::InternalMeetingId;
use crate::journal::Committer;
use crate::journal::Journal;
use crate::journal::OpenError;
use crate::journal::Reader;
use crate::journal::cursor::Cursor;
use crate::processor;
use crate::registry::Registry;
use crate::seldom::Seldom;
use crate::state::State;
use crate::store::Store;
use crate::xapi;
use crate::xapi::Xapi;

/// The waits before Redis is asked again for what it remembers.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How often to look whether another daemon ended. What it did not see any more is ours to deliver, and what was published
/// since the last look may be delivered by both.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Everything that is needed to go on where an earlier run ended.
pub(super) struct Recall {
    pub(super) store: Arc<Store>,
    pub(super) registry: Registry,
    pub(super) journal: Journal,
    pub(super) committer: Committer,
    /// Becomes true after the first try.
    pub(super) looked: watch::Sender<bool>,
    pub(super) xapi: Option<Xapi>,
    /// Told when statements can be sent.
    pub(super) begin_xapi: oneshot::Sender<(Reader, xapi::IsMapped)>,
}

/// What an earlier run knew.
struct Remembered {
    state: State,
    xapi: Option<Reader>,
}

/// What is known then.
pub(super) struct Recalled {
    /// Meetings and users.
    pub(super) state: Arc<Mutex<State>>,
    /// Until when another daemon worked with this Redis, if one did: what was published before was its business.
    pub(super) others_until: Option<Instant>,
}

impl Recall {
    /// Reads from Redis what it remembers, however long that takes.
    pub(super) async fn run(mut self) -> (Committer, Recalled) {
        self.journal.is_unread("it is being asked".to_owned());
        let mut wait = FIRST_WAIT;
        let (mut said, mut seldom) = (String::new(), Seldom::default());
        let mut others_until = None;
        let mut remembered = None;
        let remembered = loop {
            let error = match self.try_once(&mut remembered).await {
                Ok(()) => break remembered.expect("a try that succeeds leaves what it found"),
                Err(error) => error,
            };
            self.journal.is_unread(error.to_string());
            self.looked.send_replace(true);
            let pause = if let Some(OpenError::Held { until, .. }) = error.downcast_ref() {
                others_until = Some(*until);
                LOOK_EVERY
            } else {
                let longer = (wait * 2).min(LONGEST_WAIT);
                std::mem::replace(&mut wait, longer)
            };
            let error = error.to_string();
            if said != error {
                seldom.begins_anew();
            }
            if seldom.may_say() {
                warn!(error, "Hooks, meetings and events cannot be read yet; trying on");
                said = error;
            }
            tokio::time::sleep(pause).await;
        };
        let state = Arc::new(Mutex::new(remembered.state));
        if let Some(reader) = remembered.xapi {
            let state = Arc::clone(&state);
            let is_mapped = move |meeting: &InternalMeetingId| {
                let state = state.lock().unwrap_or_else(PoisonError::into_inner);
                state.external_meeting_id(meeting.as_str()).is_some()
            };
            // Nobody sends any more if the daemon stops already.
            let _ = self.begin_xapi.send((reader, Box::new(is_mapped)));
        }
        let (store, registry, xapi, whole) = (self.store, self.registry, self.xapi, Arc::clone(&state));
        self.committer.recollect_with(Box::new(move |commands| {
            let changes = whole.lock().unwrap_or_else(PoisonError::into_inner).everything();
            store.rewrite(commands, &registry.everything(), &changes);
            if let Some(xapi) = &xapi {
                store.rewrite_records(commands, &xapi.everything());
            }
        }));
        self.journal.is_read();
        self.looked.send_replace(true);
        (self.committer, Recalled { state, others_until })
    }

    /// Goes on from where the last try failed: hooks are announced only once.
    async fn try_once(&mut self, remembered: &mut Option<Remembered>) -> anyhow::Result<()> {
        if remembered.is_none() {
            let cursors = self.committer.open().await?;
            let (store, registry, xapi) = (&self.store, &self.registry, self.xapi.as_ref());
            let remembering = remember(store, registry, xapi, &self.journal, cursors);
            *remembered = Some(self.committer.hold_lease_during(remembering).await?);
        }
        let events = self.committer.hold_lease_during(self.journal.restore()).await?;
        info!(events, "The journal goes on");
        Ok(())
    }
}

/// Reads hooks, meetings and users, and what xAPI knows. Readers go on from their cursors.
async fn remember(
    store: &Store,
    registry: &Registry,
    xapi: Option<&Xapi>,
    journal: &Journal,
    mut cursors: HashMap<HookId, Cursor>,
) -> anyhow::Result<Remembered> {
    store.clear_strangers().await?;
    store.take_over_version_2().await?;
    let mappings = store.load_mappings().await?;
    let now_ms = clock::unix_ms();
    let mut xapi_cursor = None;
    if let Some(xapi) = xapi {
        xapi.load().await?;
        xapi_cursor = cursors.remove(xapi::READER);
    }
    // Readers before events: what is appended to the journal reaches only those that are known then.
    registry.load(cursors, now_ms).await?;
    let state = processor::restore(mappings, fastrand::Rng::new(), now_ms);
    let (meetings, users) = state.counts();
    info!(meetings, users, "Meetings and users are known");
    Ok(Remembered { state, xapi: xapi.map(|xapi| xapi.reader(journal, xapi_cursor)) })
}
