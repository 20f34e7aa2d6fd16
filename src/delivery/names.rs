//! Looks names up with the system's resolver, so that names that lead nowhere cost the others nothing.
//!
//! The resolver takes a thread for each lookup, and keeps it far longer than an attempt lasts if a name server stays silent. There
//! is no way to call it off. So whoever asks for a name that is being looked up waits for the same answer, and names share threads
//! with their like only: those that were found at once the last time, those of which nothing is known, and those that took long.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::future::Shared;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Most lookups at a time of names that were found at once the last time, of unknown ones, and of those that took long. There are
/// 512 threads for such things, and three who look names up: callbacks, xAPI, and the API.
const SWIFT_AT_ONCE: usize = 32;
const UNKNOWN_AT_ONCE: usize = 96;
const SLOW_AT_ONCE: usize = 16;

/// A lookup that takes longer than this is a slow one: a name server did not answer.
const SLOW_AFTER: Duration = Duration::from_secs(2);

/// Most names of which it is remembered how long they took.
const MOST_KNOWN: usize = 20_000;

type Found = Result<Arc<[SocketAddr]>, Arc<io::Error>>;

/// How a name's lookup went the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Swift,
    Slow,
}

/// Looks names up. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    known: Mutex<Known>,
    swift: Semaphore,
    unknown: Semaphore,
    slow: Semaphore,
    /// A lookup that takes longer is a slow one.
    slow_after: Duration,
}

#[derive(Debug, Default)]
struct Known {
    under_way: HashMap<String, Shared<BoxFuture<'static, Found>>>,
    paces: HashMap<String, Pace>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            swift: Semaphore::new(SWIFT_AT_ONCE),
            unknown: Semaphore::new(UNKNOWN_AT_ONCE),
            slow: Semaphore::new(SLOW_AT_ONCE),
            slow_after: SLOW_AFTER,
        }
    }
}

impl Names {
    /// The addresses of a name, with port 0. `resolve` finds them, if nobody asked it yet.
    ///
    /// # Errors
    /// If it cannot.
    pub(super) async fn look_up<R>(
        &self,
        name: &str,
        resolve: impl FnOnce(String) -> R,
    ) -> io::Result<Arc<[SocketAddr]>>
    where
        R: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        let lookup = {
            let mut known = self.0.known();
            // One that ended and still stands there failed in a way that it should not have.
            match known.under_way.get(name).filter(|lookup| lookup.peek().is_none()) {
                Some(lookup) => lookup.clone(),
                None => {
                    let pace = known.paces.get(name).copied();
                    let lookup = Arc::clone(&self.0).begin(name.to_owned(), pace, resolve(name.to_owned()));
                    known.under_way.insert(name.to_owned(), lookup.clone());
                    lookup
                }
            }
        };
        // Who shares an error cannot have it itself.
        lookup.await.map_err(|error| io::Error::new(error.kind(), error.to_string()))
    }
}

impl Inner {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lookup that goes on even if all who wait for it give up: then it is known how long it takes.
    fn begin(
        self: Arc<Self>,
        name: String,
        pace: Option<Pace>,
        resolve: impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    ) -> Shared<BoxFuture<'static, Found>> {
        let lookup = tokio::spawn(async move {
            let turns = match pace {
                Some(Pace::Swift) => &self.swift,
                None => &self.unknown,
                Some(Pace::Slow) => &self.slow,
            };
            let _turn = turns.acquire().await;
            let begun = Instant::now();
            let found = resolve.await;
            let pace = if begun.elapsed() < self.slow_after { Pace::Swift } else { Pace::Slow };
            let mut known = self.known();
            known.under_way.remove(&name);
            if known.paces.len() >= MOST_KNOWN {
                known.paces.clear();
            }
            known.paces.insert(name, pace);
            found
        });
        let found = async {
            let found = lookup.await.unwrap_or_else(|error| Err(io::Error::other(error)));
            found.map(Arc::from).map_err(Arc::new)
        };
        found.boxed().shared()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    fn here() -> Vec<SocketAddr> {
        vec![SocketAddr::from(([127, 0, 0, 1], 0))]
    }

    /// A name server that is silent until the end of the test, and whom it was asked for.
    #[derive(Default)]
    struct Silent(Arc<AtomicUsize>);

    impl Silent {
        fn ask(&self) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static {
            let asked = Arc::clone(&self.0);
            async move {
                asked.fetch_add(1, Relaxed);
                std::future::pending().await
            }
        }

        async fn was_asked(&self, times: usize) {
            while self.0.load(Relaxed) < times {
                tokio::task::yield_now().await;
            }
            assert_eq!(self.0.load(Relaxed), times);
        }
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_at_a_time_even_if_who_asked_gives_up() {
        let (names, silent) = (Names::default(), Silent::default());
        for _ in 0..10 {
            let asked = names.look_up("a.test", |_| silent.ask());
            tokio::select! {
                biased;
                _ = asked => panic!("nobody answers"),
                () = silent.was_asked(1) => {}
            }
        }
        assert_eq!(names.look_up("b.test", async |_| Ok(here())).await.unwrap()[..], here());
        let refused = || names.look_up("b.test", async |_| Err(io::ErrorKind::NotFound.into()));
        assert_eq!(refused().await.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(refused().await.is_err() && names.look_up("b.test", async |_| Ok(here())).await.is_ok());
    }

    #[tokio::test]
    async fn names_that_lead_nowhere_leave_room_for_those_that_do() {
        let (names, silent) = (Names::default(), Silent::default());
        names.look_up("good.test", async |_| Ok(here())).await.unwrap();
        names.0.known().paces.insert("slow.test".to_owned(), Pace::Slow);
        let asking: Vec<_> = (0..700)
            .map(|number| {
                let (names, silent) = (names.clone(), silent.ask());
                tokio::spawn(async move { names.look_up(&format!("dead-{number}.test"), |_| silent).await })
            })
            .collect();
        silent.was_asked(UNKNOWN_AT_ONCE).await;
        names.look_up("good.test", async |_| Ok(here())).await.unwrap();
        names.look_up("slow.test", async |_| Ok(here())).await.unwrap();
        assert_eq!(names.0.known().paces["slow.test"], Pace::Swift, "it mended its ways");
        asking.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn names_that_took_long_share_few_threads_the_next_time() {
        let names = Names(Arc::new(Inner { slow_after: Duration::ZERO, ..Inner::default() }));
        let slow: Vec<_> = (0..SLOW_AT_ONCE + 10).map(|number| format!("slow-{number}.test")).collect();
        for name in &slow {
            names.look_up(name, async |_| Ok(here())).await.unwrap();
        }
        let silent = Silent::default();
        let asking: Vec<_> = slow
            .into_iter()
            .map(|name| {
                let (names, silent) = (names.clone(), silent.ask());
                tokio::spawn(async move { names.look_up(&name, |_| silent).await })
            })
            .collect();
        silent.was_asked(SLOW_AT_ONCE).await;
        names.look_up("unknown.test", async |_| Ok(here())).await.unwrap();
        silent.was_asked(SLOW_AT_ONCE).await;
        asking.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn a_lookup_that_panics_is_not_the_last_of_its_name() {
        let names = Names::default();
        let panics = names.look_up("a.test", async |_| panic!("as no resolver should"));
        assert!(panics.await.is_err());
        assert!(names.look_up("a.test", async |_| Ok(here())).await.is_ok());
    }
}
