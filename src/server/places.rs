//! The places for connections: only so many, and who asks nothing gives way to who comes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// All places. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    idle: Arc<Mutex<Idle>>,
}

/// Connections that wait for their clients, those that wait for longest first.
#[derive(Debug, Default)]
struct Idle {
    /// How often one began to wait: names the waits.
    waits: u64,
    waiting: BTreeMap<u64, CancellationToken>,
}

impl Places {
    /// So many places, at least one.
    pub(super) fn new(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS))), idle: Arc::default() }
    }

    /// Takes a place. If there is none, the connection that has waited for its client longest is told to give way; if all
    /// are being answered, the first that is done with that will.
    pub(super) async fn take(&self) -> Place {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                break permit;
            }
            self.make_one_give_way();
            // One that begins to wait meanwhile tells nobody, so it is looked for again.
            if let Ok(Ok(permit)) = tokio::time::timeout(LOOK_AGAIN, Arc::clone(&self.free).acquire_owned()).await {
                break permit;
            }
        };
        let place = Place {
            shared: Arc::new(Shared {
                idle: Arc::clone(&self.idle),
                told: CancellationToken::new(),
                wait: Mutex::default(),
                _permit: permit,
            }),
        };
        place.shared.waits();
        place
    }

    fn make_one_give_way(&self) {
        let oldest = self.idle.lock().unwrap_or_else(PoisonError::into_inner).waiting.pop_first();
        if let Some((_, told)) = oldest {
            told.cancel();
        }
    }
}

/// How often a connection that could give way is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The place of one connection, until the last clone is dropped.
#[derive(Clone, Debug)]
pub(super) struct Place {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    idle: Arc<Mutex<Idle>>,
    told: CancellationToken,
    /// Its wait for its client, and since when; none while it is being answered.
    wait: Mutex<Option<(u64, Instant)>>,
    _permit: OwnedSemaphorePermit,
}

impl Shared {
    fn wait(&self) -> MutexGuard<'_, Option<(u64, Instant)>> {
        self.wait.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waits(&self) {
        let mut idle = self.idle();
        idle.waits += 1;
        let wait = idle.waits;
        if !self.told.is_cancelled() {
            idle.waiting.insert(wait, self.told.clone());
        }
        *self.wait() = Some((wait, Instant::now()));
    }

    fn waits_no_more(&self) {
        let wait = self.wait().take();
        if let Some((wait, _)) = wait {
            self.idle().waiting.remove(&wait);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.waits_no_more();
    }
}

impl Place {
    /// Its client asks something: it gives way to nobody before that is answered and this is dropped.
    pub(super) fn asks(&self) -> Asking {
        self.shared.waits_no_more();
        Asking(Arc::clone(&self.shared))
    }

    /// Waits until the connection has to end, and says why: another one needs its place, or its client did not do anything for
    /// longer than `patience`, not even take its answer.
    pub(super) async fn gives_way(&self, patience: Duration) -> &'static str {
        loop {
            let since = self.shared.wait().map(|(_, since)| since);
            let until = since.unwrap_or_else(Instant::now) + patience;
            tokio::select! {
                () = self.shared.told.cancelled() => return "others need its place",
                () = tokio::time::sleep_until(until) => {}
            }
            if since.is_some() && self.shared.wait().map(|(_, since)| since) == since {
                return "its client does not take the answer";
            }
        }
    }
}

/// While this is there, something is answered.
#[derive(Debug)]
pub(super) struct Asking(Arc<Shared>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.waits();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_told(place: &Place) -> bool {
        tokio::time::timeout(Duration::from_millis(1), place.shared.told.cancelled()).await.is_ok()
    }

    #[tokio::test]
    async fn who_waits_longest_gives_way_and_who_is_answered_does_not() {
        let places = Places::new(3);
        let (answered, patient, young) = (places.take().await, places.take().await, places.take().await);
        let asking = answered.asks();
        drop(patient.asks());
        let new = tokio::spawn({
            let places = places.clone();
            async move { places.take().await }
        });
        // It asked later than the youngest came.
        while !is_told(&young).await {}
        assert!(!is_told(&answered).await && !is_told(&patient).await && !new.is_finished());
        drop(young);
        let new = new.await.unwrap();
        drop(asking);
        assert_eq!(places.idle.lock().unwrap().waiting.len(), 3);
        drop((new, answered, patient));
        assert_eq!(places.idle.lock().unwrap().waiting.len(), 0, "nothing is left of those that are gone");
        assert_eq!(places.free.available_permits(), 3);
    }

    #[tokio::test]
    async fn where_all_are_answered_the_first_that_is_done_gives_way() {
        let places = Places::new(1);
        let only = places.take().await;
        let asking = only.asks();
        let mut new = Box::pin(places.take());
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut new).await.is_err());
        drop(asking);
        let gives_way = async {
            only.gives_way(Duration::from_secs(60)).await;
            drop(only);
        };
        tokio::join!(gives_way, async { drop(new.await) });
    }

    #[tokio::test]
    async fn who_does_nothing_for_too_long_has_to_go() {
        let places = Places::new(1);
        let place = places.take().await;
        let asking = place.asks();
        let patience = Duration::from_millis(20);
        let mut gives_way = Box::pin(place.gives_way(patience));
        assert!(tokio::time::timeout(patience * 5, &mut gives_way).await.is_err(), "while it is answered, it stays");
        let done = Instant::now();
        drop(asking);
        assert_eq!(gives_way.await, "its client does not take the answer");
        assert!(done.elapsed() >= patience);
    }
}
