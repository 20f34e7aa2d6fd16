//! The log of accepted events, its readers, and its copy in Redis.
//!
//! Appending numbers an event and wakes the readers who want it; it waits for nobody. Each reader goes through the log at
//! its own pace, finishes events in its own order, and says how far it is. The [`Committer`] writes all of it to Redis, in
//! groups: events into one stream, the readers' [`cursor`]s beside it. So readers go on where they were after a restart.
//!
//! Memory keeps what the slowest reader is not done with and what Redis does not have, but never more bytes than its
//! limit: then the oldest events go, and who still needs them reads them off the stream. What Redis has makes room for
//! messages that wait to be mapped and for deliveries under way too, down to a quarter of the limit.

mod commit;
mod committer;
pub mod cursor;
mod entry;
mod holder;
mod length;
mod link;
mod log;
mod reader;
mod readers;
mod stream;
mod trouble;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use redis::Pipeline;
use redis::RedisError;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::books::Books;
use crate::books::End;
use crate::connection::Connection;
use crate::event::Event;
use crate::event::HookId;
use crate::event::MappedEvent;
use crate::hook::Interest;
pub use crate::journal::committer::Committer;
pub use crate::journal::committer::OpenError;
pub use crate::journal::committer::Recollection;
use crate::journal::cursor::Cursor;
use crate::journal::log::Log;
pub use crate::journal::reader::Found;
pub use crate::journal::reader::Reader;

/// Whether Redis has what it should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It has, or will in a moment.
    Good,
    /// It does not, and why. Events wait in memory.
    Degraded(String),
    /// Nobody knows: what an earlier run left there was not read yet, and why. Nothing is mapped or delivered before.
    Unread(String),
}

/// Something could not be stored.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotStored(String);

/// The journal's copy in Redis cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the journal in Redis cannot be read: {0}")]
pub struct Unreadable(#[from] RedisError);

/// Commands that somebody waits for, to be carried out with the next commit.
#[derive(Debug)]
struct Request {
    commands: Pipeline,
    cursor: Option<(HookId, Cursor)>,
    done: oneshot::Sender<Result<(), NotStored>>,
}

#[derive(Debug)]
struct Shared {
    log: Mutex<Log>,
    /// Told when there are news for Redis.
    news: Notify,
    requests: UnboundedSender<Request>,
    health: watch::Sender<Health>,
    /// The stream was cut up to this number because it was too long, whoever still needed that.
    cut_up_to: AtomicU64,
    /// Bytes of the limit that deliveries under way take.
    taken: AtomicUsize,
    /// For reading the stream.
    connection: Arc<Connection>,
}

/// The log. Clones are the same log.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

impl Journal {
    /// An empty log that holds at most `limit` bytes of events in memory, and the requests that its committer carries out.
    /// The stream is read over `connection`.
    fn new(limit: usize, connection: Arc<Connection>) -> (Self, UnboundedReceiver<Request>) {
        let (requests, receiver) = unbounded_channel();
        let shared = Shared {
            log: Mutex::new(Log::new(limit)),
            news: Notify::new(),
            requests,
            health: watch::Sender::new(Health::Good),
            cut_up_to: AtomicU64::new(0),
            taken: AtomicUsize::new(0),
            connection,
        };
        (Self { shared: Arc::new(shared) }, receiver)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends events in order, accepted at `now_ms` (ms since 1970), and wakes the readers who want one.
    pub fn append(&self, events: Vec<MappedEvent>, now_ms: u64) {
        self.append_for(None, events, now_ms);
    }

    /// Says how many bytes are taken by what waits to become events: so many fewer of events are kept in memory, and so many
    /// as were [taken](Self::take_room).
    pub fn leave_room(&self, bytes: usize) {
        self.log().leave_room(bytes + self.shared.taken.load(Relaxed));
    }

    /// Takes bytes that fewer of events are kept in memory, for as long as the result lives; from the next
    /// [`leave_room`](Self::leave_room) on.
    #[must_use]
    pub fn take_room(&self, bytes: usize) -> Room<'_> {
        self.shared.taken.fetch_add(bytes, Relaxed);
        Room { taken: &self.shared.taken, bytes }
    }

    /// Appends events for one hook alone, whatever its filters say.
    pub fn append_to(&self, hook: &HookId, events: Vec<MappedEvent>, now_ms: u64) {
        self.append_for(Some(hook), events, now_ms);
    }

    fn append_for(&self, to: Option<&HookId>, events: Vec<MappedEvent>, now_ms: u64) {
        if events.is_empty() {
            return;
        }
        let wakes = {
            let mut log = self.log();
            events.into_iter().for_each(|event| log.append(to.cloned(), event, now_ms));
            log.readers.take_wakes()
        };
        self.shared.news.notify_one();
        wakes.into_iter().for_each(|wake| wake.notify_one());
    }

    /// A new reader, which sees what is appended from now on.
    #[must_use]
    pub fn reader(&self, name: HookId, interest: Interest) -> Reader {
        let mut log = self.log();
        let cursor = Cursor::at(log.end());
        let reader = self.register(&mut log, name, interest, cursor);
        // A daemon that is killed before anything is finished has to know where it began.
        log.readers.store_cursor(reader.key);
        drop(log);
        self.shared.news.notify_one();
        reader
    }

    /// A reader that goes on from where it was.
    #[must_use]
    pub fn reader_from(&self, name: HookId, interest: Interest, cursor: Cursor) -> Reader {
        self.register(&mut self.log(), name, interest, cursor)
    }

    fn register(&self, log: &mut Log, name: HookId, interest: Interest, cursor: Cursor) -> Reader {
        let (wake, interest, books) = (Arc::new(Notify::new()), Arc::new(interest), Arc::new(Books::default()));
        let key =
            log.readers.register(name, Arc::clone(&interest), Arc::clone(&wake), Arc::clone(&books), cursor.clone());
        let position = cursor.watermark;
        Reader { journal: self.clone(), key, interest, wake, position, books, start: cursor }
    }

    /// Forgets how far a reader was: it will not come back.
    pub fn forget(&self, name: &HookId) {
        self.log().readers.forget(name);
        self.shared.news.notify_one();
    }

    /// Carries out commands with the next commit, and stores a reader's cursor with them.
    ///
    /// # Errors
    /// If Redis cannot be reached or refuses. Then they may be carried out all the same.
    pub async fn store(&self, commands: Pipeline, cursor: Option<(HookId, Cursor)>) -> Result<(), NotStored> {
        let (done, stored) = oneshot::channel();
        let stopped = || NotStored("the daemon is stopping".to_owned());
        self.shared.requests.send(Request { commands, cursor, done }).map_err(|_| stopped())?;
        self.shared.news.notify_one();
        stored.await.map_err(|_| stopped())?
    }

    /// Waits until Redis has what was appended so far, with however many commits.
    ///
    /// # Errors
    /// If Redis cannot be reached or refuses.
    pub async fn flush(&self) -> Result<(), NotStored> {
        let end = self.end();
        loop {
            self.store(redis::pipe(), None).await?;
            if self.log().is_committed(end) {
                return Ok(());
            }
        }
    }

    /// The number of the last event that was appended.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.log().end()
    }

    /// Does something between two events: nothing is appended meanwhile. It is told the number of the last.
    pub fn between_events(&self, what: impl FnOnce(u64)) {
        let log = self.log();
        what(log.end());
    }

    /// A page of the events after `position` that Redis has, and the number of its last; `None` if there are none.
    ///
    /// # Errors
    /// If Redis cannot be read.
    pub async fn page_after(&self, position: u64) -> Result<(Vec<Event>, Option<u64>), Unreadable> {
        Ok(stream::page(&self.shared.connection, position).await?)
    }

    /// Says that there is something for the committer to write.
    pub fn nudge(&self) {
        self.shared.news.notify_one();
    }

    /// Whether Redis has what it should have, now and as it changes.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// Says that what an earlier run left in Redis was not read yet, and why.
    pub fn is_unread(&self, why: String) {
        self.becomes(Health::Unread(why));
    }

    /// Says that it was read.
    pub fn is_read(&self) {
        self.becomes(Health::Good);
    }

    fn becomes(&self, now: Health) {
        self.shared.health.send_if_modified(|health| {
            let changes = *health != now;
            *health = now;
            changes
        });
    }

    /// What became of an event around this number that neither memory nor the stream has any more: there were too many, and
    /// the stream was cut, whoever still needed that; or Redis lost it.
    #[must_use]
    pub fn end_of_lost(&self, number: u64) -> End {
        if number <= self.shared.cut_up_to.load(Relaxed) { End::Overflowed } else { End::RedisLost }
    }

    /// How many events memory holds, and how many bytes they take.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        self.log().size()
    }

    /// The books of all readers.
    #[must_use]
    pub fn books(&self) -> Vec<(HookId, Arc<Books>)> {
        self.log().readers.books()
    }

    /// The books of a reader.
    #[must_use]
    pub fn books_of(&self, name: &HookId) -> Option<Arc<Books>> {
        self.log().readers.books_of(name)
    }

    /// How many entries the stream has.
    ///
    /// # Errors
    /// If Redis cannot be read.
    pub async fn stored(&self) -> Result<u64, Unreadable> {
        Ok(stream::length(&self.shared.connection).await?)
    }

    /// Events by number, from memory or from the stream; those that neither has are missing.
    ///
    /// # Errors
    /// If the stream has to be read and cannot be.
    pub async fn fetch(&self, numbers: &[u64]) -> Result<Vec<Arc<Event>>, Unreadable> {
        let here: Vec<_> = {
            let log = self.log();
            numbers.iter().map(|number| log.event(*number)).collect()
        };
        let missing: Vec<u64> =
            numbers.iter().zip(&here).filter_map(|(number, event)| event.is_none().then_some(*number)).collect();
        if missing.is_empty() {
            return Ok(here.into_iter().flatten().collect());
        }
        let stored = stream::events(&self.shared.connection, &missing).await?;
        let mut stored: HashMap<_, _> = stored.into_iter().map(|event| (event.number, Arc::new(event))).collect();
        Ok(numbers.iter().zip(here).filter_map(|(number, event)| event.or_else(|| stored.remove(number))).collect())
    }

    /// Puts back into memory what the stream has that some reader needs. Readers find it as if it were new. After a failure,
    /// it goes on where it was. Gives how many events it put back.
    ///
    /// # Errors
    /// If the stream cannot be read.
    pub async fn restore(&self) -> Result<usize, Unreadable> {
        let mut position = self.log().restore_after();
        let mut restored = 0;
        loop {
            let (events, last) = stream::page(&self.shared.connection, position).await?;
            let Some(last) = last else {
                self.log().restored();
                return Ok(restored);
            };
            position = last;
            restored += events.len();
            let wakes = {
                let mut log = self.log();
                events.into_iter().for_each(|event| log.restore(event));
                log.readers.take_wakes()
            };
            wakes.into_iter().for_each(|wake| wake.notify_one());
        }
    }
}

/// Memory taken out of the limit for events; it is given back when this is dropped.
#[derive(Debug)]
pub struct Room<'a> {
    taken: &'a AtomicUsize,
    bytes: usize,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Relaxed);
    }
}

/// Entries of the stream, whatever they are: for targets of fuzzing.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing {
    use crate::event::Event;
    use crate::journal::entry;
    use crate::journal::stream;

    /// Reads fields as Redis gives them, as the entry with this id.
    pub(crate) fn read(id: &[u8], fields: &redis::Value) {
        for event in stream::of_value(id, fields) {
            let _ = (event.memory_bytes(), event.json(true).is_some());
            there_and_back(&event);
        }
    }

    /// Writes an event, and reads it again.
    pub(crate) fn there_and_back(event: &Event) {
        let read = entry::through_redis(event);
        assert_eq!(
            read.map(|event| event.mapped.json),
            Some(event.mapped.json.clone()),
            "what is written is read back"
        );
    }
}

#[cfg(test)]
mod tests;
