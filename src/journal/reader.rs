//! A reader of the log, at a pace of its own.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::books::Books;
use crate::event::Event;
use crate::hook::Interest;
use crate::journal::Journal;
use crate::journal::Unreadable;
use crate::journal::cursor::Cursor;
use crate::journal::log::Page;
use crate::journal::readers::ReaderKey;
use crate::journal::stream;

/// What a reader found.
#[derive(Debug)]
pub struct Found {
    /// Events that it wants, oldest first.
    pub events: Vec<Arc<Event>>,
    /// Whether there may be more already.
    pub more: bool,
    /// How many events it wanted that it will never find: neither memory nor Redis has them any more.
    pub lost: u64,
}

/// One reader of the log. What it was not done with when it is dropped is kept for its return, unless it is forgotten.
#[derive(Debug)]
pub struct Reader {
    pub(super) journal: Journal,
    pub(super) key: ReaderKey,
    pub(super) interest: Arc<Interest>,
    pub(super) wake: Arc<Notify>,
    pub(super) position: u64,
    pub(super) books: Arc<Books>,
    pub(super) start: Cursor,
}

impl Reader {
    /// Where it started.
    #[must_use]
    pub fn start(&self) -> &Cursor {
        &self.start
    }

    /// The account of its events.
    #[must_use]
    pub fn books(&self) -> &Arc<Books> {
        &self.books
    }

    /// The log that it reads.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The number up to which it has read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Reads on: up to `most` events that it wants, oldest first.
    ///
    /// # Errors
    /// If it is so far behind that it has to read the stream, and that cannot be read.
    pub async fn read(&mut self, most: usize) -> Result<Found, Unreadable> {
        let page = self.journal.log().read(self.key, self.position, most);
        match page {
            Page::Here { events, position, lost } => {
                self.position = position;
                Ok(Found { more: events.len() == most, events, lost })
            }
            Page::Behind(position) => {
                let (events, last) = stream::page(&self.journal.shared.connection, position).await?;
                // An empty stream has nothing of what memory had to let go.
                self.position = last.unwrap_or_else(|| self.journal.log().forgotten());
                let wanted = events.into_iter().filter(|event| self.interest.wants(event)).map(Arc::new);
                Ok(Found { events: wanted.collect(), more: true, lost: 0 })
            }
        }
    }

    /// Waits until there may be more to read. It may wake for nothing.
    pub async fn more(&self) {
        self.wake.notified().await;
    }

    /// Says how far it is.
    pub fn report(&self, cursor: Cursor) {
        self.journal.log().report(self.key, cursor);
        self.journal.shared.news.notify_one();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.journal.log().unregister(self.key);
    }
}
