//! What sends callbacks: one for all hooks, and one each for permanent hooks that believe other certificates.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use tracing::error;

use crate::config::Hooks;
use crate::config::Trust;
use crate::delivery::guard::Guard;
use crate::delivery::retry::Answer;
use crate::delivery::sender::Answered;
use crate::delivery::sender::Authorities;
use crate::delivery::sender::Sender;
use crate::delivery::sender::Unusable;

/// All of them.
#[derive(Debug)]
pub(super) struct Senders {
    usual: Sender,
    guard: Guard,
    /// Made when they are needed first, for a reload may bring new ones.
    special: Mutex<HashMap<Trust, Sender>>,
}

impl Senders {
    /// The one for all is there at once.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub(super) fn new(settings: &Hooks, guard: Guard) -> Result<Self, Unusable> {
        let authorities = Authorities::of(&Trust::Usual, settings.ca_file.as_deref()).unwrap_or_else(|error| {
            let file = settings.ca_file.clone().unwrap_or_default();
            error!(file = %file.display(), %error, "hooks.caFile cannot be used; only the system's authorities are believed");
            Authorities::Also(Vec::new())
        });
        let usual = Sender::new(settings.request_timeout, &authorities, Some(guard.clone()))?;
        Ok(Self { usual, guard, special: Mutex::default() })
    }

    /// The one for the hook of this URL, as it is configured now.
    ///
    /// # Errors
    /// What an attempt comes to if there is none, because its authority cannot be read.
    pub(super) fn to(&self, callback_url: &str, settings: &Hooks) -> Result<Sender, Answered> {
        let permanent = settings.permanent.iter().find(|hook| hook.url == callback_url);
        let Some(trust) = permanent.map(|hook| &hook.trust).filter(|trust| **trust != Trust::Usual) else {
            return Ok(self.usual.clone());
        };
        let mut special = self.special.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = special.get(trust) {
            return Ok(sender.clone());
        }
        let failed = |cause: String| Answered { answer: Answer::Unsent, retry_after: None, cause: Some(cause) };
        let authorities = Authorities::of(trust, None).map_err(|error| failed(format!("its caFile: {error}")))?;
        let sender = Sender::new(settings.request_timeout, &authorities, Some(self.guard.clone()));
        let sender = sender.map_err(|error| failed(error.to_string()))?;
        special.insert(trust.clone(), sender.clone());
        Ok(sender)
    }
}
