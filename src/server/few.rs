//! Answers that are long and held whole: only a few exist at a time, and no worker thread makes them.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::Response;
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

/// How many exist at a time: those that wait to be made, the one that is being made, and those that their clients have not
/// taken yet.
const MOST: usize = 4;

/// Lets only a few answers exist at a time. Clones are the same.
#[derive(Clone, Debug)]
pub struct Few {
    exist: Arc<Semaphore>,
    /// Making one takes much more memory than having one, so that is done one by one.
    made: Arc<Semaphore>,
}

impl Default for Few {
    fn default() -> Self {
        Self { exist: Arc::new(Semaphore::new(MOST)), made: Arc::new(Semaphore::new(1)) }
    }
}

/// An answer, which counts until its last byte is taken or given up.
struct Held {
    text: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// Why there is no answer; shown, it is what the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// There are as many as may be.
    #[error("{MOST} clients are being answered, and no more at a time: take the answers, or try again later")]
    TooMany,
    /// It could not be made.
    #[error("the answer cannot be made: see the log")]
    Failed,
}

impl IntoResponse for NoAnswer {
    fn into_response(self) -> Response {
        let status = match self {
            Self::TooMany => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.to_string()).into_response()
    }
}

impl Few {
    /// Begins an answer.
    ///
    /// # Errors
    ///
    /// If there are as many already as may be.
    pub fn begin(&self) -> Result<Begun, NoAnswer> {
        let permit = Arc::clone(&self.exist).try_acquire_owned().map_err(|_| NoAnswer::TooMany)?;
        Ok(Begun { permit, made: Arc::clone(&self.made) })
    }
}

/// An answer that is not made yet, and counts.
#[derive(Debug)]
pub struct Begun {
    permit: OwnedSemaphorePermit,
    made: Arc<Semaphore>,
}

impl Begun {
    /// The text that `make` makes, in a thread where it may take its time.
    ///
    /// # Errors
    ///
    /// If it makes none.
    pub async fn make(self, make: impl FnOnce() -> Option<Vec<u8>> + Send + 'static) -> Result<Bytes, NoAnswer> {
        let Self { permit, made } = self;
        let turn = made.acquire_owned().await.map_err(|_| NoAnswer::Failed)?;
        let making = tokio::task::spawn_blocking(move || {
            // A client that goes away does not end this: it counts until it is done.
            let _turn = turn;
            make().map(|text| Bytes::from_owner(Held { text, _permit: permit }))
        });
        making.await.ok().flatten().ok_or(NoAnswer::Failed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn an_answer_counts_until_its_last_byte_is_gone() {
        let few = Few::default();
        let mut all = Vec::new();
        for _ in 0..MOST {
            all.push(few.begin().unwrap().make(|| Some(b"text".to_vec())).await.unwrap());
        }
        assert_eq!(few.begin().err(), Some(NoAnswer::TooMany));
        let rest = all.pop().unwrap().split_off(3);
        assert_eq!(few.begin().err(), Some(NoAnswer::TooMany), "the rest is there");
        drop(rest);
        let begun = few.begin().unwrap();
        assert_eq!(few.begin().err(), Some(NoAnswer::TooMany), "one that is begun counts");
        assert_eq!(begun.make(|| None).await, Err(NoAnswer::Failed));
        assert!(few.begin().is_ok());
    }

    #[tokio::test]
    async fn one_whose_client_went_away_counts_while_it_is_made() {
        let few = Few::default();
        let (go_on, wait) = mpsc::channel::<()>();
        let mut given_up = Box::pin(few.begin().unwrap().make(move || wait.recv().ok().map(|()| Vec::new())));
        assert!(futures_util::poll!(&mut given_up).is_pending(), "it is being made");
        drop(given_up);
        assert_eq!((few.exist.available_permits(), few.made.available_permits()), (MOST - 1, 0));
        go_on.send(()).unwrap();
        assert_eq!(few.begin().unwrap().make(|| None).await, Err(NoAnswer::Failed), "it has its turn then");
        assert_eq!(few.exist.available_permits(), MOST);
    }
}
