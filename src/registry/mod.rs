//! The hooks: who is to be called back. In memory for reading, written through to the store.
//!
//! A hook comes with its reader of the journal: from the moment its creation is answered, it misses nothing. Whoever
//! delivers learns of hooks that come and go as [`HookChange`]s.

mod gone;
mod last;
mod permanent;

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex as StdMutex;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::mpsc::unbounded_channel;
use tracing::info;
use tracing::warn;

use crate::config::Current;
use crate::config::Hooks as Settings;
use crate::config::IdFormat;
use crate::event::Event;
use crate::event::ExternalMeetingId;
use crate::event::HookId;
use crate::hook::EventFilter;
use crate::hook::Filters;
use crate::hook::Hook;
use crate::hook::Interest;
use crate::journal::Journal;
use crate::journal::NotStored;
use crate::journal::Reader;
use crate::journal::cursor::Cursor;
pub use crate::registry::gone::GivenUp;
use crate::registry::gone::Gone;
use crate::registry::last::Last;
use crate::store;
use crate::store::Store;
use crate::store::StoredHooks;
use crate::store::WriteBehind;

/// A hook came or went.
#[derive(Debug)]
pub enum HookChange {
    /// Events that this reader reads are to be delivered to this hook.
    Added(Arc<Hook>, Reader),
    /// Somebody asked for this hook again: its receiver is worth a try at once.
    WantedAgain(HookId),
    /// Nothing more is to be delivered to this hook.
    Removed(HookId),
}

/// What somebody asks for who wants to be called back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHook {
    /// Where to POST.
    pub callback_url: String,
    /// Only this meeting's events.
    pub meeting: Option<ExternalMeetingId>,
    /// Only these events, by id in lower case; empty for all.
    pub events: Vec<String>,
    /// Messages as published.
    pub raw: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// There is a new hook.
    New(Arc<Hook>),
    /// There was one for this URL already; it is unchanged.
    Duplicate(Arc<Hook>),
}

/// Why a hook could not be created, destroyed or listed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The hooks were not read from Redis yet.
    #[error("the hooks were not read from Redis yet")]
    NotReady,
    /// There is no such hook, or it is permanent.
    #[error("there is no such hook that could be destroyed")]
    NotFound,
    /// There are as many hooks as there may be.
    #[error("there are {0} hooks already")]
    TooMany(usize),
    /// Redis cannot be read.
    #[error("Redis cannot be read: {0}")]
    Store(#[from] store::Error),
    /// Redis does not take it.
    #[error("Redis does not take it: {0}")]
    NotStored(#[from] NotStored),
}

/// The hooks. Clones are the same registry.
#[derive(Clone, Debug)]
pub struct Registry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    behind: Arc<WriteBehind>,
    journal: Journal,
    config: Current,
    filters: Filters,
    /// None until they were read from Redis once.
    hooks: RwLock<Option<HashMap<HookId, Arc<Hook>>>>,
    /// Held while a hook is created or destroyed: one at a time, so that no URL and no number is given twice.
    last: Mutex<Last>,
    /// The hook that is being stored: Redis may have it already.
    creating: StdMutex<Option<Arc<Hook>>>,
    /// The highest number given so far, for those who cannot wait for `last`.
    highest: AtomicU64,
    gone: Gone,
    changes: UnboundedSender<HookChange>,
}

/// Hooks in the order created.
fn listed<'a>(hooks: impl Iterator<Item = &'a Arc<Hook>>) -> Vec<Arc<Hook>> {
    let mut listed: Vec<_> = hooks.cloned().collect();
    // The order is made of texts, which thousands of hooks need not make more than once each.
    listed.sort_by_cached_key(|hook| hook.list_order());
    listed
}

impl Registry {
    /// A registry that knows no hooks before [`Registry::load`], and whom to tell of its changes.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        behind: Arc<WriteBehind>,
        journal: Journal,
        config: &Current,
    ) -> (Self, UnboundedReceiver<HookChange>) {
        let (changes, receiver) = unbounded_channel();
        let shared = Shared {
            store,
            behind,
            creating: StdMutex::new(None),
            highest: AtomicU64::new(0),
            gone: Gone::default(),
            journal,
            config: config.clone(),
            filters: Filters::new(filter(&config.get().hooks)),
            hooks: RwLock::new(None),
            last: Mutex::default(),
            changes,
        };
        (Self { shared: Arc::new(shared) }, receiver)
    }

    /// Reads the hooks from the store, and makes the permanent ones those of the configuration. They go on from their
    /// `cursors`; those without one start at the journal's end.
    ///
    /// # Errors
    /// If the store cannot be read or written; then no hooks are known still.
    pub async fn load(&self, mut cursors: HashMap<HookId, Cursor>, now_ms: u64) -> Result<(), Error> {
        let mut last = self.shared.last.lock().await;
        let StoredHooks { mut hooks, counter } = self.shared.store.load_hooks().await?;
        hooks.sort_by_key(Hook::list_order);
        *last = Last::of(&hooks, counter);
        self.drop_duplicates(&mut hooks).await?;
        self.reconcile_permanent(&mut hooks, &self.shared.config.get().hooks, &mut last, now_ms).await?;
        self.shared.highest.store(last.number, Relaxed);
        info!(hooks = hooks.len(), "Hooks are known");
        let hooks: Vec<_> = hooks.into_iter().map(Arc::new).collect();
        for hook in &hooks {
            let interest = self.interest_of(hook);
            let reader = match cursors.remove(&hook.id) {
                Some(cursor) => self.shared.journal.reader_from(hook.id.clone(), interest, cursor),
                None => self.shared.journal.reader(hook.id.clone(), interest),
            };
            self.announce(hook, reader);
        }
        for orphan in cursors.keys() {
            self.shared.journal.forget(orphan);
        }
        *self.write() = Some(hooks.into_iter().map(|hook| (hook.id.clone(), hook)).collect());
        Ok(())
    }

    /// One hook for each URL: the oldest. Its receiver would get every event twice.
    async fn drop_duplicates(&self, hooks: &mut Vec<Hook>) -> Result<(), Error> {
        let store = &self.shared.store;
        let mut urls = HashSet::new();
        for newer in hooks.extract_if(.., |hook| !urls.insert(hook.callback_url.clone())) {
            store.carry_out(store.forget_hook(&newer.id)).await?;
            warn!(hook.id = %newer.id, "Redis has two hooks for one URL; the newer is removed");
        }
        Ok(())
    }

    /// Creates a hook, unless there is one for its URL. It is stored when this returns.
    ///
    /// # Errors
    /// If the hooks are not known yet, or the store does not take it; then there is no such hook.
    pub async fn create(&self, new: NewHook, now_ms: u64) -> Result<Created, Error> {
        let registry = self.clone();
        to_its_end(async move { registry.create_at(new, now_ms).await }).await
    }

    async fn create_at(&self, new: NewHook, now_ms: u64) -> Result<Created, Error> {
        let mut last = self.shared.last.lock().await;
        if let Some(known) = self.find(|hook| hook.callback_url == new.callback_url)? {
            self.tell(HookChange::WantedAgain(known.id.clone()));
            return Ok(Created::Duplicate(known));
        }
        let most = self.shared.config.get().hooks.max_hooks;
        let known = self.shared.hooks.read().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, HashMap::len);
        if known >= most {
            return Err(Error::TooMany(most));
        }
        Ok(Created::New(self.add(&mut last, new, false, now_ms).await?))
    }

    /// Stores a new hook, and makes it known.
    async fn add(&self, last: &mut Last, new: NewHook, permanent: bool, now_ms: u64) -> Result<Arc<Hook>, Error> {
        last.number = last.number.max(self.shared.store.hook_counter().await?);
        let hook = Arc::new(Hook {
            id: last.next_id(self.id_format()),
            callback_url: new.callback_url,
            meeting: new.meeting,
            events: new.events,
            permanent,
            raw: new.raw,
            created_ms: last.next_created_ms(now_ms),
        });
        let reader = self.shared.journal.reader(hook.id.clone(), self.interest_of(&hook));
        *self.creating() = Some(Arc::clone(&hook));
        self.shared.highest.store(last.number, Relaxed);
        let commands = self.shared.store.put_hook(&hook, last.number);
        let cursor = (hook.id.clone(), reader.start().clone());
        let stored = self.shared.journal.store(commands, Some(cursor)).await;
        if stored.is_ok() {
            self.write().get_or_insert_default().insert(hook.id.clone(), Arc::clone(&hook));
        }
        *self.creating() = None;
        if let Err(error) = stored {
            // It may be stored all the same; nobody was told of it, so it must not come back after a restart.
            self.leave_no_trace(&hook.id);
            return Err(error.into());
        }
        self.announce(&hook, reader);
        Ok(hook)
    }

    /// Destroys a hook that is not permanent. The store has forgotten it when this returns.
    ///
    /// # Errors
    /// If the hooks are not known yet, there is no such hook, or the store does not take it; then the hook stays.
    pub async fn destroy(&self, id: &str) -> Result<(), Error> {
        let (registry, id) = (self.clone(), id.to_owned());
        to_its_end(async move { registry.destroy_now(&id).await }).await
    }

    async fn destroy_now(&self, id: &str) -> Result<(), Error> {
        let _one_at_a_time = self.shared.last.lock().await;
        let hook = self.find(|hook| hook.id.as_str() == id && !hook.permanent)?.ok_or(Error::NotFound)?;
        self.remove(&hook).await
    }

    /// Removes a hook, in Redis first.
    async fn remove(&self, hook: &Arc<Hook>) -> Result<(), Error> {
        if let Err(error) = self.shared.journal.store(self.shared.store.remove_hook(&hook.id), None).await {
            // It may be removed all the same. Who is told of an error finds the hook where it was and asks again; so it
            // must not be gone after a restart, and what waits for it with it.
            self.while_known(&hook.id, || self.shared.behind.hook_stays(hook));
            return Err(error.into());
        }
        self.let_go(&hook.id);
        Ok(())
    }

    /// How many events of each reader are parked, as Redis has it.
    ///
    /// # Errors
    /// If Redis cannot be read.
    pub async fn count_parked(&self, readers: &[HookId]) -> Result<Vec<u64>, Error> {
        Ok(self.shared.store.count_parked(readers).await?)
    }

    /// Puts an event of a hook aside that its receiver refuses; `reason` says how, `now_ms` is ms since 1970.
    pub fn park(&self, id: &HookId, event: &Event, reason: &str, now_ms: u64) {
        // An attempt that was in flight as its hook was removed must not leave anything.
        self.while_known(id, || self.shared.behind.park(id, event, reason, now_ms));
    }

    /// Everything about hooks that is to be remembered, with the one that is just being stored.
    #[must_use]
    pub fn everything(&self) -> StoredHooks {
        let creating = self.creating().clone();
        let known = self.shared.hooks.read().unwrap_or_else(PoisonError::into_inner);
        let hooks = known.iter().flat_map(HashMap::values).cloned().chain(creating);
        StoredHooks { hooks: hooks.map(|hook| (*hook).clone()).collect(), counter: self.shared.highest.load(Relaxed) }
    }

    /// The hooks in the order created: all, or those that get events of `meeting` (its own and the global ones).
    ///
    /// # Errors
    /// If the hooks are not known yet.
    pub fn list(&self, meeting: Option<&str>) -> Result<Vec<Arc<Hook>>, Error> {
        let hooks = self.shared.hooks.read().unwrap_or_else(PoisonError::into_inner);
        let gets = |hook: &Hook| match (meeting, &hook.meeting) {
            (Some(wanted), Some(own)) => own.as_str() == wanted,
            _ => true,
        };
        let known = hooks.as_ref().ok_or(Error::NotReady)?;
        Ok(listed(known.values().filter(|hook| gets(hook))))
    }

    /// What a hook wants to see of the journal now, whenever it was accepted; `None` if there is no such hook.
    #[must_use]
    pub fn interest(&self, id: &HookId) -> Option<Interest> {
        let hook = self.find(|hook| hook.id == *id).ok()??;
        Some(Interest::of(&hook, &self.shared.filters.now_for_all()))
    }

    /// Whether the configuration names this hook, so that it must not be given up.
    #[must_use]
    pub fn is_permanent(&self, id: &HookId) -> bool {
        matches!(self.find(|hook| hook.id == *id), Ok(Some(hook)) if hook.permanent)
    }

    fn find(&self, is_it: impl Fn(&Hook) -> bool) -> Result<Option<Arc<Hook>>, Error> {
        let hooks = self.shared.hooks.read().unwrap_or_else(PoisonError::into_inner);
        Ok(hooks.as_ref().ok_or(Error::NotReady)?.values().find(|hook| is_it(hook)).cloned())
    }

    /// Does something if there is such a hook; it is not removed meanwhile.
    fn while_known(&self, id: &HookId, what: impl FnOnce()) {
        let hooks = self.shared.hooks.read().unwrap_or_else(PoisonError::into_inner);
        if hooks.as_ref().is_some_and(|hooks| hooks.contains_key(id)) {
            what();
        }
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Option<HashMap<HookId, Arc<Hook>>>> {
        self.shared.hooks.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing of a hook is to stay in Redis: not the hook, not how far it was.
    fn leave_no_trace(&self, id: &HookId) {
        self.shared.behind.hook_gone(id);
        self.shared.journal.forget(id);
    }

    fn creating(&self) -> std::sync::MutexGuard<'_, Option<Arc<Hook>>> {
        self.shared.creating.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id_format(&self) -> IdFormat {
        self.shared.config.get().hooks.id_format
    }

    fn interest_of(&self, hook: &Hook) -> Interest {
        Interest::of(hook, &self.shared.filters)
    }

    fn announce(&self, hook: &Arc<Hook>, reader: Reader) {
        self.tell(HookChange::Added(Arc::clone(hook), reader));
    }

    fn tell(&self, change: HookChange) {
        // Nobody listens any more while the daemon stops.
        let _ = self.shared.changes.send(change);
    }
}

fn filter(settings: &Settings) -> EventFilter {
    EventFilter::new(&settings.include_events, &settings.exclude_events)
}

/// Runs a change of the hooks to its end, even if whoever asked for it goes away meanwhile, as a client of the API does that
/// waits no longer. Left half way, it would be known to Redis and not here, or the other way round.
async fn to_its_end<T: Send + 'static>(change: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(change).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and all that waits with it.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use crate::registry::last::fuzzing;
