//! Attempts under way, each in a task of its own, and what they came to.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::Id;
use tokio::task::JoinError;
use tokio::task::JoinSet;
use tracing::debug;
use tracing::error;

use crate::delivery::sender::Answered;
use crate::event::Event;
use crate::journal::Journal;

/// What an attempt came to.
#[derive(Debug)]
pub struct Attempted {
    /// How it ended; none if there was nothing to send, or it could not be read.
    pub answered: Option<Answered>,
    /// How many of its events can no longer be sent: neither memory nor Redis has them any more.
    pub lost: usize,
    /// The events, where they may be needed again: to be parked.
    pub events: Vec<Arc<Event>>,
}

impl Attempted {
    const UNREAD: Self = Self { answered: None, lost: 0, events: Vec::new() };
}

/// The events with these numbers that there still are.
///
/// # Errors
/// What an attempt to deliver them comes to if they cannot be read now: nothing, so it is to be made again.
pub async fn fetch(journal: &Journal, numbers: &[u64]) -> Result<Vec<Arc<Event>>, Attempted> {
    journal.fetch(numbers).await.map_err(|error| {
        debug!(%error, "Events that only Redis has cannot be read; trying again");
        Attempted::UNREAD
    })
}

/// The attempts under way, each for something: a lane.
#[derive(Debug)]
pub struct Attempts<T> {
    tasks: JoinSet<Attempted>,
    what_for: HashMap<Id, T>,
}

impl<T> Default for Attempts<T> {
    fn default() -> Self {
        Self { tasks: JoinSet::new(), what_for: HashMap::new() }
    }
}

impl<T> Attempts<T> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Begins one.
    pub fn begin(&mut self, what_for: T, attempt: impl Future<Output = Attempted> + Send + 'static) {
        let task = self.tasks.spawn(attempt);
        self.what_for.insert(task.id(), what_for);
    }

    /// Waits for one to end; gives none if there is none. Nothing is lost if this is given up.
    pub async fn next(&mut self) -> Option<(T, Attempted)> {
        let ended = self.tasks.join_next_with_id().await?;
        Some(self.end(ended))
    }

    /// One that has ended already.
    pub fn next_now(&mut self) -> Option<(T, Attempted)> {
        let ended = self.tasks.try_join_next_with_id()?;
        Some(self.end(ended))
    }

    fn end(&mut self, ended: Result<(Id, Attempted), JoinError>) -> (T, Attempted) {
        let (task, attempted) = ended.unwrap_or_else(|error| {
            error!(%error, "A delivery came to an end that it should not have");
            (error.id(), Attempted { answered: Some(Answered::UNSENT), lost: 0, events: Vec::new() })
        });
        (self.what_for.remove(&task).expect("every attempt was begun for something"), attempted)
    }
}
