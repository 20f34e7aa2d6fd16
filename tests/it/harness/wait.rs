//! Patience: waiting for a condition instead of for a while.

use std::time::Duration;

use tokio::time::Instant;

/// How long a test waits for what has to come. Only a test that fails ever waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `look` finds something, and gives it back.
#[track_caller]
pub(crate) fn eventually<T>(
    what: impl Into<String>,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    let what = what.into();
    async move {
        let start = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(start.elapsed() < PATIENCE, "{caller}: in {PATIENCE:?} it never came: {what}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Waits until `is_so`.
#[track_caller]
pub(crate) fn until(what: impl Into<String>, mut is_so: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    eventually(what, async move || is_so().await.then_some(()))
}

/// Watches for `duration` that `is_so` stays true: for what must not happen. Use it where no later event can prove that.
#[track_caller]
pub(crate) fn holds_for(
    duration: Duration,
    what: impl Into<String>,
    mut is_so: impl AsyncFnMut() -> bool,
) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    let what = what.into();
    async move {
        let start = Instant::now();
        while start.elapsed() < duration {
            assert!(is_so().await, "{caller}: after {:?} it is no longer so: {what}", start.elapsed());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
