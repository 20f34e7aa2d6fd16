//! One attempt to deliver events to a hook.

use std::sync::Arc;

use crate::clock;
use crate::delivery::attempts::Attempted;
use crate::delivery::attempts::fetch;
use crate::delivery::sender::ATTEMPT_BYTES;
use crate::delivery::sender::Answered;
use crate::delivery::sender::Post;
use crate::hook::Hook;
use crate::journal::Journal;
use crate::webhooks::Shared;
use crate::webhooks::address::Address;
use crate::webhooks::callback;
use crate::webhooks::callback::CallbackBuilder;
use crate::webhooks::standard::HookKey;

/// What all callbacks of a hook have in common.
pub(super) struct Target {
    /// Where they go; none if the hook's callback URL is no URL.
    address: Option<Address>,
    /// What signs them.
    key: HookKey,
}

impl Target {
    pub(super) fn of(hook: &Hook, builder: &CallbackBuilder) -> Self {
        Self { address: Address::new(&hook.callback_url), key: builder.key_of(hook.id.as_str()) }
    }
}

/// Makes one attempt to deliver events: finds them, builds the callback, sends it.
pub(super) async fn attempt(
    journal: Journal,
    shared: Arc<Shared>,
    hook: Arc<Hook>,
    target: Arc<Target>,
    numbers: Vec<u64>,
    timestamp: u64,
) -> Attempted {
    let events = match fetch(&journal, &numbers).await {
        Ok(events) => events,
        Err(attempted) => return attempted,
    };
    let json: Vec<_> = events.iter().filter_map(|event| event.json(hook.raw)).collect();
    let lost = numbers.len() - json.len();
    if json.is_empty() {
        return Attempted { answered: None, lost, events };
    }
    let (Some(address), Some(first), Some(last)) = (&target.address, numbers.first(), numbers.last()) else {
        return Attempted { answered: Some(Answered::UNSENT), lost, events };
    };
    let callback = shared.builder.build(address, &json, timestamp);
    let _room = journal.take_room(ATTEMPT_BYTES + callback.body.len());
    // The attempt's time, where the callback's is that of the first: a receiver refuses what was signed minutes ago.
    let signature = target.key.sign((*first, *last), clock::unix_ms(), &callback.body);
    let post = Post {
        url: &callback.url,
        content_type: callback::CONTENT_TYPE,
        headers: &signature.headers(),
        body: callback.body.into(),
        authorization: callback.authorization.as_ref(),
    };
    let answered = match shared.senders.to(&hook.callback_url, &shared.config.get().hooks) {
        Ok(sender) => sender.send(post).await,
        Err(answered) => answered,
    };
    Attempted { answered: Some(answered), lost, events }
}
