//! The xAPI output: statements about what happens in meetings, to a Learning Record Store (LRS).
//!
//! It is one reader of the journal with a cursor of its own. [`deliverer`] is the loop, with an [`outlet`] for each LRS: the
//! server's own, and those that meetings bring. [`learner`] takes note of what happens. What is said is pure: [`known`] (what statements need to
//! know, of some with its [`history`]), [`statement`] (the statement of an event), [`credentials`] (where it goes), [`records`]
//! (how all that is kept in Redis).

mod attempt;
pub mod credentials;
mod deliverer;
pub mod history;
pub mod known;
mod learner;
mod outlet;
pub mod records;
pub mod statement;

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::error;
use tracing::info;
use tracing::warn;
use uuid::Uuid;
use uuid::uuid;

use crate::config::Current;
use crate::config::Secret;
use crate::delivery::guard::Guard;
use crate::delivery::policy::Policy;
use crate::delivery::sender;
use crate::delivery::sender::Authorities;
use crate::delivery::sender::Sender;
use crate::event::HookId;
use crate::event::InternalMeetingId;
use crate::hook::Interest;
use crate::journal::Journal;
use crate::journal::Reader;
use crate::journal::cursor::Cursor;
use crate::store;
use crate::store::Store;
use crate::store::WriteBehind;
use crate::store::records::Record;
use crate::store::records::Shelf;
use crate::xapi::credentials::Lrs;
use crate::xapi::deliverer::Deliverer;
use crate::xapi::known::Known;
use crate::xapi::statement::EVENTS;
use crate::xapi::statement::Site;

pub use crate::event::XAPI_READER as READER;

/// The namespace in the Node daemon's example.
const EXAMPLE: Uuid = uuid!("01234567-89ab-cdef-0123-456789abcdef");

/// Whether a meeting's mapping has not expired.
pub type IsMapped = Box<dyn Fn(&InternalMeetingId) -> bool + Send + Sync>;

/// The output. Clones are the same.
#[derive(Clone)]
pub struct Xapi {
    shared: Arc<Shared>,
}

/// What the output and its attempts share.
struct Shared {
    known: Mutex<Known>,
    site: Site,
    zone: TimeZone,
    /// The LRS of meetings that bring none.
    own: Option<Arc<Lrs>>,
    secrets: Vec<Secret>,
    /// Sends to the LRS of the configuration, wherever that is.
    sender: Sender,
    /// Sends to those that meetings bring, where callbacks may go too.
    guest_sender: Sender,
    store: Arc<Store>,
    behind: Arc<WriteBehind>,
    config: Current,
    batch: usize,
    sweep_every: Duration,
    /// Statements that were not sent, because their meeting has no LRS.
    without_lrs: AtomicU64,
}

impl fmt::Debug for Xapi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Xapi").field("site", &self.shared.site).finish_non_exhaustive()
    }
}

impl Xapi {
    /// The output, if there is to be one.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(
        current: &Current,
        store: Arc<Store>,
        behind: Arc<WriteBehind>,
    ) -> Result<Option<Self>, sender::Unusable> {
        let config = current.get();
        let settings = &config.xapi;
        if !settings.enabled {
            return Ok(None);
        }
        let Some(namespace) = settings.uuid_namespace else {
            warn!("xAPI is on, but its uuid_namespace is not set: no statements are sent");
            return Ok(None);
        };
        if namespace == EXAMPLE {
            warn!("xAPI's uuid_namespace is still the example's: the ids in statements are not this server's own");
        }
        let own = Lrs::of_configuration(settings).map(Arc::new);
        match &own {
            None => warn!(
                "xAPI is on, but its lrs_endpoint is not set, or still the example's: only meetings that bring a Learning Record Store of their own get statements"
            ),
            Some(lrs) => info!(host = lrs.host(), "Statements go to this Learning Record Store"),
        }
        let authorities = match settings.ca_file.as_deref().map(|file| (file, sender::authorities(file))) {
            Some((_, Ok(authorities))) => authorities,
            Some((file, Err(error))) => {
                error!(file = %file.display(), %error, "xAPI's caFile cannot be used; only the system's authorities are believed");
                Vec::new()
            }
            None => Vec::new(),
        };
        let authorities = Authorities::Also(authorities);
        let guard = Guard::new(Policy::of_guests(&config));
        let shared = Shared {
            known: Mutex::default(),
            site: Site { domain: config.bbb.server_domain.clone(), namespace },
            zone: TimeZone::system(),
            own,
            secrets: config.bbb.accepted_secrets().cloned().collect(),
            sender: Sender::new(settings.request_timeout, &authorities, None)?,
            guest_sender: Sender::new(settings.request_timeout, &authorities, Some(guard))?,
            store,
            behind,
            config: current.clone(),
            batch: settings.batch_size,
            sweep_every: config.mappings.cleanup_interval,
            without_lrs: AtomicU64::new(0),
        };
        Ok(Some(Self { shared: Arc::new(shared) }))
    }

    /// Reads what an earlier run knew.
    ///
    /// # Errors
    /// If Redis is not there or refuses.
    pub async fn load(&self) -> Result<(), store::Error> {
        let mut known = Known::default();
        let mut strange = 0;
        // Meetings first: users and polls are theirs.
        for shelf in Shelf::ALL {
            for (_, fields) in self.shared.store.load_records(shelf).await? {
                strange += usize::from(!records::read(&mut known, shelf, &fields));
            }
        }
        if strange > 0 {
            info!(records = strange, "Some records of xAPI in Redis are not this daemon's; they are left alone");
        }
        *self.shared.known() = known;
        Ok(())
    }

    /// What it wants to see of the journal.
    #[must_use]
    pub fn interest() -> Interest {
        Interest::in_events(HookId::from(READER), &EVENTS)
    }

    /// The reader: it goes on from its `cursor`, or begins at the journal's end.
    #[must_use]
    pub fn reader(&self, journal: &Journal, cursor: Option<Cursor>) -> Reader {
        let (name, interest) = (HookId::from(READER), Self::interest());
        match cursor {
            Some(cursor) => journal.reader_from(name, interest, cursor),
            None => journal.reader(name, interest),
        }
    }

    /// All that is known, to be written to a Redis that lost it.
    #[must_use]
    pub fn everything(&self) -> Vec<Record> {
        let known = self.shared.known();
        known.meetings.iter().flat_map(|(id, meeting)| records::of_all(id, meeting, &self.shared.site)).collect()
    }

    /// How many statements were not sent, because their meeting has no LRS.
    #[must_use]
    pub fn without_lrs(&self) -> u64 {
        self.shared.without_lrs.load(Relaxed)
    }

    /// Sends statements from when the reader is there until told to stop; attempts in flight are finished then.
    pub async fn run(self, begin: oneshot::Receiver<(Reader, IsMapped)>, stop: CancellationToken) {
        let (reader, is_mapped) = tokio::select! {
            Ok(begun) = begin => begun,
            () = stop.cancelled() => return,
        };
        Deliverer::new(self.shared, reader, is_mapped).run(stop).await;
    }
}

impl Shared {
    /// What sends to this LRS.
    fn sender_to(&self, lrs: &Lrs) -> &Sender {
        if self.own.as_deref() == Some(lrs) { &self.sender } else { &self.guest_sender }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
