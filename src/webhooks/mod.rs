//! The webhooks output: a deliverer for each hook, for as long as the hook exists.
//!
//! [`deliverer`] is the loop, [`attempt`] one turn of it; [`callback`] makes the exact request, [`standard`] signs it, [`signature`]
//! checks one. What both outputs share is in [`crate::delivery`].

pub mod address;
mod attempt;
pub mod callback;
mod deliverer;
mod form;
mod senders;
pub mod signature;
pub mod standard;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use url::Host;
use url::Url;

use crate::config::Current;
use crate::delivery::guard::Guard;
use crate::delivery::policy::Policy;
use crate::delivery::sender::Unusable;
use crate::event::HookId;
use crate::hook::Hook;
use crate::registry::HookChange;
use crate::registry::Registry;
use crate::webhooks::callback::CallbackBuilder;
use crate::webhooks::deliverer::Deliverer;
use crate::webhooks::senders::Senders;

/// What all deliverers share.
#[derive(Debug)]
struct Shared {
    config: Current,
    builder: CallbackBuilder,
    senders: Senders,
    registry: Registry,
}

/// How to speak to a deliverer.
struct Running {
    stop: CancellationToken,
    probe: Arc<Notify>,
}

/// Starts and stops deliverers as hooks come and go.
pub struct Webhooks {
    shared: Arc<Shared>,
    deliverers: JoinSet<()>,
    running: HashMap<HookId, Running>,
    guard: Guard,
    /// Whether callbacks carry the secret itself.
    bearer: bool,
}

impl Webhooks {
    /// An output without deliverers. They give hooks up through `registry`.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(current: &Current, registry: Registry) -> Result<Self, Unusable> {
        let config = current.get();
        let guard = Guard::new(Policy::of_callbacks(&config));
        let shared = Shared {
            config: current.clone(),
            builder: CallbackBuilder::new(&config.bbb, &config.hooks),
            senders: Senders::new(&config.hooks, guard.clone())?,
            registry,
        };
        let (deliverers, running, bearer) = (JoinSet::new(), HashMap::new(), config.sends_bearer());
        Ok(Self { shared: Arc::new(shared), deliverers, running, guard, bearer })
    }

    /// Says what an operator should know of a hook before it is called.
    fn warn_of(&self, hook: &Hook) {
        let Ok(url) = Url::parse(&hook.callback_url) else { return };
        if let Err(refusal) = self.guard.judge_at_once(&url) {
            let what = if hook.permanent { "This permanent hook" } else { "This hook" };
            warn!(hook.id = %hook.id, host = hook.host(), why = %refusal, key = refusal.key(), "{what} is not called: the configuration forbids it");
        } else if self.bearer && url.scheme() == "http" && !leads_here(&url) {
            warn!(hook.id = %hook.id, host = hook.host(), "Callbacks to this hook carry the secret of this server over http, where anybody on the way can read it; hooks.bearerOverHttp: false forbids that");
        }
    }

    /// Delivers until told to stop; attempts in flight are finished then.
    pub async fn run(mut self, mut changes: UnboundedReceiver<HookChange>, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                change = changes.recv() => match change {
                    Some(HookChange::Added(hook, reader)) => {
                        self.warn_of(&hook);
                        let running = Running { stop: stop.child_token(), probe: Arc::new(Notify::new()) };
                        let (id, token) = (hook.id.clone(), running.stop.clone());
                        let probe = Arc::clone(&running.probe);
                        let deliverer = Deliverer::new(hook, reader, Arc::clone(&self.shared), probe);
                        self.running.insert(id, running);
                        self.deliverers.spawn(deliverer.run(token));
                    }
                    Some(HookChange::WantedAgain(id)) => {
                        if let Some(running) = self.running.get(&id) {
                            running.probe.notify_one();
                        }
                    }
                    Some(HookChange::Removed(id)) => {
                        if let Some(running) = self.running.remove(&id) {
                            running.stop.cancel();
                        }
                    }
                    None => break,
                },
                Some(ended) = self.deliverers.join_next() => resume_panic(ended),
            }
        }
        stop.cancel();
        while let Some(ended) = self.deliverers.join_next().await {
            resume_panic(ended);
        }
    }
}

/// Whether a URL leads no further than this machine.
fn leads_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// A deliverer that panicked would leave a hook without callbacks in silence: its panic is this output's.
fn resume_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}
