//! The calls of the API, counted.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;

/// A call of the API and what was answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiRequest {
    /// The HTTP method.
    pub method: String,
    /// The route, in its canonical form and with the API's path: `/bigbluebutton/api/hooks/create`.
    pub path: String,
    /// The HTTP status.
    pub status: u16,
    /// `SUCCESS` or `FAILED`; empty where the answer is no XML.
    pub returncode: &'static str,
    /// What went wrong or was noteworthy; empty otherwise.
    pub message_key: &'static str,
}

/// How often each call was answered how, since the daemon started.
#[derive(Debug, Default)]
pub struct ApiRequests(Mutex<BTreeMap<ApiRequest, u64>>);

impl ApiRequests {
    /// Takes note of a call that was answered.
    pub fn answered(&self, request: ApiRequest) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(request).or_default() += 1;
    }

    /// All of them.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<ApiRequest, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
