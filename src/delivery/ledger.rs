//! What one reader took from the journal and finished. It keeps the reader's books, and tells the journal how far it is.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::debug;
use tracing::error;
use tracing::warn;

use crate::books::Books;
use crate::books::End;
use crate::clock;
use crate::event::Event;
use crate::event::HookId;
use crate::journal::Journal;
use crate::journal::Reader;
use crate::journal::cursor::Cursor;
use crate::journal::cursor::Progress;
use crate::journal::cursor::Tried;
use crate::seldom::Seldom;

/// Most events taken from the journal at once.
const READ_AT_ONCE: usize = 1024;

/// The wait before Redis is asked again for events that only it has.
pub const REDIS_WAIT: Duration = Duration::from_secs(1);

/// How soon the journal is told of what was finished, and of what failed: a reader whose receiver is dead has long lists of
/// that, and little is lost if the last second of it is not known after a crash.
const REPORT_AFTER: Duration = Duration::from_millis(10);
const REPORT_TRIES_AFTER: Duration = Duration::from_secs(1);

/// A long cursor is written less often: for so many ranges finished out of order, a millisecond later.
const RANGES_A_MS: usize = 10;

/// What was taken from the journal.
#[derive(Debug)]
pub struct Taken {
    /// Events, oldest first. Some may have been [finished before a restart](Ledger::was_finished).
    pub events: Vec<Arc<Event>>,
    /// Whether there may be more already.
    pub more: bool,
}

/// What a reader took and finished.
#[derive(Debug)]
pub struct Ledger {
    name: HookId,
    reader: Reader,
    books: Arc<Books>,
    progress: Progress,
    /// What was finished or tried before a restart.
    start: Cursor,
    /// When to read on, where that is not at once.
    read_again_at: Option<Instant>,
    /// Since when there is something finished to report.
    finished_since: Option<Instant>,
    /// Since when there are failures to report.
    tried_since: Option<Instant>,
    /// Events lost of which nothing was said.
    lost_unsaid: u64,
    lost: Seldom,
}

impl Ledger {
    /// That of the reader with this name, which goes on from where it was.
    #[must_use]
    pub fn new(name: HookId, reader: Reader) -> Self {
        Self {
            name,
            books: Arc::clone(reader.books()),
            progress: Progress::default(),
            start: reader.start().clone(),
            reader,
            read_again_at: None,
            finished_since: None,
            tried_since: None,
            lost_unsaid: 0,
            lost: Seldom::default(),
        }
    }

    /// The journal that it is about.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        self.reader.journal()
    }

    /// The reader's books.
    #[must_use]
    pub fn books(&self) -> &Arc<Books> {
        &self.books
    }

    /// What was being tried before a restart; due in so many ms from now.
    #[must_use]
    pub fn tried_before(&self) -> Vec<Tried> {
        let now_ms = clock::unix_ms();
        self.start.trying.iter().map(|tried| Tried { due_ms: tried.left(now_ms), ..tried.clone() }).collect()
    }

    /// Since when the receiver was suspended before a restart, in ms since 1970, if it was.
    #[must_use]
    pub fn suspended_before(&self) -> Option<u64> {
        self.start.suspended_since_ms
    }

    /// Whether an event was finished before a restart.
    #[must_use]
    pub fn was_finished(&self, number: u64) -> bool {
        self.start.is_done(number)
    }

    /// Whether all is read that was read before a restart.
    #[must_use]
    pub fn is_past_start(&self) -> bool {
        self.reader.position() >= self.start.highest()
    }

    /// How many events are taken and not finished.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.progress.unfinished()
    }

    /// How many ranges are finished out of order.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.progress.ranges()
    }

    /// The lowest number that is taken and not finished.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.progress.oldest()
    }

    /// Takes what the journal has. Gives none if it is not to be read now, or cannot be: then it is read again in a while.
    pub async fn take(&mut self) -> Option<Taken> {
        if self.read_again_at.is_some_and(|at| Instant::now() < at) {
            return None;
        }
        self.read_again_at = None;
        let found = match self.reader.read(READ_AT_ONCE).await {
            Ok(found) => found,
            Err(error) => {
                debug!(hook.id = %self.name, %error, "The journal cannot be read; trying again");
                self.read_again_in(REDIS_WAIT);
                return None;
            }
        };
        if found.lost > 0 {
            let end = self.journal().end_of_lost(self.reader.position());
            self.books.never_found(end, found.lost);
            self.say_lost(found.lost, end);
        }
        let before = self.progress.unfinished();
        for event in &found.events {
            match self.was_finished(event.number) {
                true => self.progress.skip(event.number),
                false => self.progress.take(event.number),
            }
        }
        self.books.taken(self.progress.unfinished() - before);
        Some(Taken { events: found.events, more: found.more })
    }

    /// Reads on after so long, whatever is new.
    pub fn read_again_in(&mut self, wait: Duration) {
        self.read_again_at = Some(Instant::now() + wait);
    }

    /// When to read on; none if [`more`](Self::more) says so.
    #[must_use]
    pub fn read_again_at(&self) -> Option<Instant> {
        self.read_again_at
    }

    /// Waits until there may be more to take. It may wake for nothing.
    pub async fn more(&self) {
        self.reader.more().await;
    }

    /// Events came to this end, in ascending order; but for so many that can no longer be found.
    pub fn finish(&mut self, numbers: &[u64], end: End, lost: usize) {
        self.progress.finish(numbers);
        self.finished_since.get_or_insert_with(Instant::now);
        self.books.finished(end, numbers.len() - lost);
        if let Some(first) = numbers.first().filter(|_| lost > 0) {
            let end = self.journal().end_of_lost(*first);
            self.books.finished(end, lost);
            self.say_lost(lost as u64, end);
        }
    }

    /// None of these events can be found any more.
    pub fn lose(&mut self, numbers: &[u64]) {
        self.finish(numbers, End::RedisLost, numbers.len());
    }

    /// Says that events are lost, but not for each.
    fn say_lost(&mut self, events: u64, reason: End) {
        self.lost_unsaid += events;
        if !self.lost.may_say() {
            return;
        }
        let events = std::mem::take(&mut self.lost_unsaid);
        const DROPPED: &str = "Events for this hook are dropped: neither memory nor Redis has them any more";
        match reason {
            // There were too many: it is the reader that is behind.
            End::Overflowed => warn!(hook.id = %self.name, events, ?reason, "{DROPPED}"),
            _ => error!(hook.id = %self.name, events, ?reason, "{DROPPED}"),
        }
    }

    /// Something failed, which changes what is to be tried again.
    pub fn note_failure(&mut self) {
        self.tried_since.get_or_insert_with(Instant::now);
    }

    /// When the journal is to be told how far this is; none if it knows.
    #[must_use]
    pub fn report_due(&self) -> Option<Instant> {
        let later = Duration::from_millis((self.progress.ranges() / RANGES_A_MS) as u64);
        let finished = self.finished_since.map(|since| since + REPORT_AFTER + later);
        let tried = self.tried_since.map(|since| since + REPORT_TRIES_AFTER);
        [finished, tried].into_iter().flatten().min()
    }

    /// Whether that is due.
    #[must_use]
    pub fn is_report_due(&self) -> bool {
        self.report_due().is_some_and(|due| due <= Instant::now())
    }

    /// Tells the journal how far this is, what is to be tried again and in how long, and since when the receiver is suspended, in
    /// ms since 1970.
    pub fn report(&mut self, trying: impl IntoIterator<Item = Tried>, suspended_since_ms: Option<u64>) {
        (self.finished_since, self.tried_since) = (None, None);
        let now_ms = clock::unix_ms();
        let on_the_wall = |tried: Tried| Tried { due_ms: now_ms.saturating_add(tried.wait_ms), ..tried };
        let position = self.reader.position();
        let mut cursor = Cursor {
            watermark: self.progress.watermark(position),
            done: self.progress.done(),
            trying: trying.into_iter().map(on_the_wall).collect(),
            suspended_since_ms,
        };
        // What was finished or tried before a restart, further on than this reader has come again, still holds.
        cursor.keep_after(position, &self.start);
        self.reader.report(cursor);
    }
}
