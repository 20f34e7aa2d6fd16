//! Writes the journal to Redis: what is new, in groups; and everything, to a Redis that lost it.
//!
//! As soon as one commit is answered, the next goes with all that waits, but not two within a millisecond. While Redis cannot
//! be reached or refuses writes, all waits in memory. When Redis turns out not to be as it was left, one transaction makes it
//! so again.

use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use redis::Client;
use redis::Pipeline;
use redis::RedisError;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::clock;
use crate::config::Hooks;
use crate::connection;
use crate::connection::Connection;
use crate::event::Event;
use crate::event::HookId;
use crate::journal::Health;
use crate::journal::Journal;
use crate::journal::Request;
use crate::journal::commit::CURSORS;
use crate::journal::commit::Commit;
use crate::journal::commit::add_cursors;
use crate::journal::commit::add_event;
use crate::journal::commit::answer;
use crate::journal::commit::probe;
use crate::journal::cursor::Cursor;
use crate::journal::length::Stored;
use crate::journal::link::Link;
use crate::journal::link::Outcome;
use crate::journal::log::News;
use crate::journal::stream;
use crate::journal::stream::JOURNAL;
use crate::journal::trouble::Trouble;
use crate::pulse::Pulse;
use crate::seldom::Seldom;
use crate::store::WriteBehind;

/// Where a new journal is written before it takes the old one's place.
const REBUILT: &str = "bigbluebutton:webhooks:out:journal:rebuilt";

/// Most events, and most bytes of them, in one transaction.
const MOST_EVENTS: usize = 1000;
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// A transaction goes at least so often: it renews the lease, and notices a Redis that was emptied.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Between two commits passes at least so much: at thousands of events a second each then has many, and what a transaction
/// costs by itself is shared by them. No delivery waits for it, and the first event after a pause does not either.
const PACE: Duration = Duration::from_millis(1);

/// The stream's length is cut at most so often, in commits.
const TRIM_EVERY: u64 = 32;

/// Adds the commands that write everything else that the daemon keeps in Redis: hooks and mappings.
pub type Recollection = Box<dyn Fn(&mut Pipeline) + Send + Sync>;

/// The journal of an earlier run cannot be taken up yet.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another daemon holds the lease.
    #[error("another daemon works with this Redis ({other}); waiting for it to end")]
    Held {
        /// Which.
        other: String,
        /// Until when it is known to have worked.
        until: Instant,
    },
    /// Redis cannot be reached or refuses.
    #[error("{0}")]
    Redis(#[from] RedisError),
    /// Redis refuses writes.
    #[error("Redis refuses writes: {0}")]
    Refused(String),
}

/// The one writer of the journal's copy.
pub struct Committer {
    journal: Journal,
    requests: UnboundedReceiver<Request>,
    link: Link,
    connection: Arc<Connection>,
    behind: Arc<WriteBehind>,
    recollection: Option<Recollection>,
    queue_size: usize,
    journal_size: usize,
    stored: Stored,
    commits: u64,
    /// Requests that go with the next commit after a recovery.
    kept: Vec<Request>,
    trouble: Trouble,
    /// Events that memory had to let go before they were stored, and of which nothing was said.
    never_stored: u64,
    dropped: Seldom,
    pulse: Pulse,
    stop: CancellationToken,
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer").field("commits", &self.commits).finish_non_exhaustive()
    }
}

impl Committer {
    /// A committer, and the journal that it writes: over a connection of its own to `client`; what is read goes over
    /// `connection`. With the journal it writes the changes that wait in `behind`.
    #[must_use]
    pub fn new(
        client: Client,
        connection: Arc<Connection>,
        behind: Arc<WriteBehind>,
        settings: &Hooks,
        stop: CancellationToken,
    ) -> (Self, Journal) {
        let (journal, requests) = Journal::new(settings.memory_limit, Arc::clone(&connection));
        let committer = Self {
            journal: journal.clone(),
            requests,
            link: Link::new(client, probe()),
            connection,
            behind,
            recollection: None,
            queue_size: settings.queue_size,
            journal_size: settings.journal_size.max(settings.queue_size),
            stored: Stored::default(),
            commits: 0,
            kept: Vec::new(),
            trouble: Trouble::none(),
            never_stored: 0,
            dropped: Seldom::default(),
            pulse: Pulse::default(),
            stop,
        };
        (committer, journal)
    }

    /// Beats while this goes on, whether Redis is there or not: each wait for it has an end.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Takes up the journal of an earlier run: takes the lease, and gives the readers' cursors.
    ///
    /// # Errors
    /// If another daemon holds the lease, or Redis is not there. Try again then.
    pub async fn open(&mut self) -> Result<HashMap<HookId, Cursor>, OpenError> {
        self.pulse.beat();
        if let Some(other) = self.link.take_lease().await? {
            let silence = Duration::from_millis(self.link.others_silence().await?.unwrap_or(0));
            return Err(OpenError::Held {
                other,
                until: Instant::now().checked_sub(silence).unwrap_or_else(Instant::now),
            });
        }
        connection::clear(&self.connection, &[(JOURNAL, "stream"), (CURSORS, "hash")]).await?;
        let (cursors,): (HashMap<String, String>,) = self.connection.run(redis::pipe().hgetall(CURSORS)).await?;
        let read = |(name, text): (String, String)| match Cursor::from_text(&text) {
            Ok(cursor) => Some((HookId::from(name), cursor)),
            Err(error) => {
                error!(hook.id = name, %error, "A cursor in Redis cannot be read; this hook starts at the end");
                None
            }
        };
        let cursors: HashMap<_, _> = cursors.into_iter().filter_map(read).collect();
        let last_stored = stream::last_number(&self.connection).await?;
        let highest = cursors.values().map(Cursor::highest).max().unwrap_or(0);
        // Never the same number for two events, whatever Redis forgot.
        let next = last_stored.max(highest).max(clock::unix_us()) + 1;
        match self.link.begin().await {
            Outcome::Applied => {}
            Outcome::Usurped(other) => return Err(OpenError::Held { other, until: Instant::now() }),
            Outcome::Unreachable(error) => return Err(error.into()),
            Outcome::Refused(why) | Outcome::Surprise(why) | Outcome::InPart(why) => {
                return Err(OpenError::Refused(why));
            }
        }
        self.journal.log().begin_at(next);
        self.stored = Stored::new(stream::span(&self.connection).await?);
        Ok(cursors)
    }

    /// The outcome of `task`, with the lease held meanwhile: while what Redis remembers is read, nothing is committed.
    pub async fn hold_lease_during<T>(&mut self, task: impl Future<Output = T>) -> T {
        let mut task = pin!(task);
        loop {
            self.pulse.beat();
            match timeout(HEARTBEAT, task.as_mut()).await {
                Ok(outcome) => return outcome,
                // To its end, while the task waits: of a transaction that is given up nobody knows whether it was applied.
                // If it fails, the first commit finds out.
                Err(_late) => _ = self.link.apply(&redis::pipe()).await,
            }
        }
    }

    /// Says how to write hooks and mappings anew.
    pub fn recollect_with(&mut self, recollection: Recollection) {
        self.recollection = Some(recollection);
    }

    /// Writes until told to stop; then what is left, and gives the lease back.
    pub async fn run(mut self) {
        let mut next_heartbeat = Instant::now() + HEARTBEAT;
        // A commit whose reply was lost, and is tried until it is known to be applied.
        let mut uncertain: Option<Commit> = None;
        let mut next_commit = Instant::now();
        loop {
            self.pulse.beat();
            tokio::time::sleep_until(next_commit).await;
            let stopping = self.stop.is_cancelled();
            let commit = uncertain.take().unwrap_or_else(|| self.collect());
            if commit.is_empty() && stopping {
                self.link.release().await;
                return;
            }
            if commit.is_empty() && Instant::now() < next_heartbeat {
                tokio::select! {
                    () = self.journal.shared.news.notified() => {}
                    () = tokio::time::sleep_until(next_heartbeat) => {}
                    () = self.stop.cancelled() => {}
                }
                continue;
            }
            (next_commit, next_heartbeat) = (Instant::now() + PACE, Instant::now() + HEARTBEAT);
            match self.link.apply(&commit.commands).await {
                Outcome::Applied => self.applied(commit),
                Outcome::Refused(why) => {
                    self.not_applied(commit, &why);
                    self.wait_out(&why).await;
                }
                Outcome::Unreachable(error) => {
                    let mut commit = commit;
                    answer(&mut commit.requests, Err(&error.to_string()));
                    uncertain = Some(commit).filter(|commit| !commit.commands.is_empty());
                    self.wait_out(&error.to_string()).await;
                }
                Outcome::Surprise(why) => {
                    if !self.begin_anew(commit, &why).await {
                        return;
                    }
                }
                Outcome::InPart(why) => {
                    let mut commit = commit;
                    if self.trouble.in_part_again() {
                        // That everything was written anew did not help.
                        answer(&mut commit.requests, Err(&why));
                        self.wait_out(&why).await;
                    }
                    if !self.begin_anew(commit, &why).await {
                        return;
                    }
                }
                Outcome::Usurped(other) => {
                    error!(other, "Another daemon took over this Redis; this one ends");
                    return;
                }
            }
        }
    }

    /// All that waits, as far as it goes into one transaction.
    fn collect(&mut self) -> Commit {
        let never_stored = self.journal.log().take_never_stored();
        self.never_stored += never_stored;
        if never_stored > 0 && self.dropped.may_say() {
            let events = std::mem::take(&mut self.never_stored);
            error!(
                events,
                "Memory is full (hooks.memoryLimit) before Redis took everything: the oldest events are dropped for hooks that still need them"
            );
        }
        let mut news = self.journal.log().take_news(MOST_EVENTS, MOST_BYTES);
        let behind = self.behind.take();
        if behind.leaves_more() {
            let cursors = std::mem::take(&mut news.cursors);
            self.journal.log().not_committed(News { cursors, ..News::default() });
        }
        let mut requests = std::mem::take(&mut self.kept);
        while let Ok(request) = self.requests.try_recv() {
            requests.push(request);
        }
        let mut commit = Commit::of(news, behind, requests, &self.behind);
        if !commit.news.events.is_empty() && self.commits.is_multiple_of(TRIM_EVERY) {
            let needed_after = self.journal.log().needed_after();
            let wanted = self.stored.wanted(needed_after, self.queue_size, self.journal_size);
            if let Some(number) = wanted.cut_up_to {
                self.journal.shared.cut_up_to.store(number, Relaxed);
            }
            commit.cut_to(wanted.entries + commit.news.events.len());
        }
        commit
    }

    fn applied(&mut self, mut commit: Commit) {
        self.commits += 1;
        commit.news.events.iter().for_each(|event| self.stored.add(event.number));
        self.journal.log().committed(&commit.news);
        answer(&mut commit.requests, Ok(()));
        self.journal.becomes(Health::Good);
        self.trouble.ends();
    }

    fn not_applied(&self, mut commit: Commit, why: &str) {
        answer(&mut commit.requests, Err(why));
        self.journal.log().not_committed(commit.news);
        self.behind.put_back(commit.behind);
    }

    /// Says that Redis does not have what it should, and waits a little.
    async fn wait_out(&mut self, why: &str) {
        self.pulse.beat();
        self.journal.becomes(Health::Degraded(why.to_owned()));
        tokio::time::sleep(self.trouble.goes_on(why)).await;
        // What somebody waits for does not wait for Redis to be well.
        while let Ok(request) = self.requests.try_recv() {
            self.kept.push(request);
        }
        answer(&mut self.kept, Err(why));
    }

    /// Writes everything anew, and with the next commit what was asked for with this one. Gives false if another daemon
    /// works with this Redis.
    async fn begin_anew(&mut self, mut commit: Commit, why: &str) -> bool {
        self.kept.append(&mut commit.requests);
        self.not_applied(commit, why);
        self.recover(why).await
    }

    /// Makes Redis have everything that it should. Gives false if it must not, because another daemon works with it.
    async fn recover(&mut self, why: &str) -> bool {
        warn!(reason = why, "Redis is not as it was left; everything in memory is written anew");
        loop {
            let news = self.journal.log().everything();
            let rebuilt = self.rebuild(&news.events).await;
            let outcome = match rebuilt {
                Ok(()) => {
                    let mut commands = redis::pipe();
                    if news.events.is_empty() {
                        commands.del(JOURNAL).ignore();
                    } else {
                        commands.rename(REBUILT, JOURNAL).ignore();
                    }
                    commands.del(CURSORS).ignore();
                    add_cursors(&mut commands, &news.cursors);
                    if let Some(recollection) = &self.recollection {
                        recollection(&mut commands);
                    }
                    self.link.replace(&commands).await
                }
                Err(error) => Outcome::Unreachable(error),
            };
            match outcome {
                Outcome::Applied => {
                    info!(events = news.events.len(), "Redis has everything again");
                    self.stored = Stored::default();
                    let commit = Commit { news, commands: redis::pipe(), ..Commit::default() };
                    self.applied(commit);
                    return true;
                }
                Outcome::Usurped(other) => {
                    error!(other, "Another daemon took over this Redis; this one ends");
                    return false;
                }
                Outcome::Refused(why) | Outcome::Surprise(why) | Outcome::InPart(why) => {
                    self.journal.log().not_committed(news);
                    self.wait_out(&why).await;
                }
                Outcome::Unreachable(error) => {
                    self.journal.log().not_committed(news);
                    self.wait_out(&error.to_string()).await;
                }
            }
        }
    }

    /// Writes the events to a stream beside the journal, in pieces: they may be more than one command should hold.
    async fn rebuild(&self, events: &[Arc<Event>]) -> Result<(), RedisError> {
        let () = self.connection.run(redis::pipe().del(REBUILT).ignore()).await?;
        for piece in events.chunks(MOST_EVENTS) {
            let mut commands = redis::pipe();
            for event in piece {
                add_event(&mut commands, REBUILT, event);
            }
            let () = self.connection.run(&commands).await?;
            self.pulse.beat();
        }
        Ok(())
    }
}
