//! One attempt to send statements.

use std::sync::Arc;

use crate::delivery::attempts::Attempted;
use crate::delivery::attempts::fetch;
use crate::delivery::sender::ATTEMPT_BYTES;
use crate::delivery::sender::Post;
use crate::event::Event;
use crate::journal::Journal;
use crate::xapi::Shared;
use crate::xapi::credentials::Lrs;
use crate::xapi::known::Happening;
use crate::xapi::statement;

const JSON: &str = "application/json";
const VERSION: &[(&str, &str)] = &[("X-Experience-API-Version", "1.0.0")];

/// Makes one attempt to send statements: finds the events, makes the statements, sends them.
pub(super) async fn attempt(journal: Journal, shared: Arc<Shared>, lrs: Arc<Lrs>, numbers: Vec<u64>) -> Attempted {
    let events = match fetch(&journal, &numbers).await {
        Ok(events) => events,
        Err(attempted) => return attempted,
    };
    let statements: Vec<String> = {
        let known = shared.known();
        let statement = |event: &Arc<Event>| {
            let happening = Happening::of(event)?;
            statement::of(&happening, known.meetings.get(&happening.meeting)?, &shared.site)
        };
        events.iter().filter_map(statement).map(|statement| statement.to_string()).collect()
    };
    let lost = numbers.len() - statements.len();
    let body = match statements.as_slice() {
        [] => return Attempted { answered: None, lost, events },
        [one] => one.clone(),
        several => format!("[{}]", several.join(",")),
    };
    let _room = journal.take_room(ATTEMPT_BYTES + body.len());
    let post = Post {
        url: lrs.statements(),
        content_type: JSON,
        headers: VERSION,
        body: body.into(),
        authorization: lrs.authorization(),
    };
    let answered = shared.sender_to(&lrs).send(post).await;
    Attempted { answered: Some(answered), lost, events }
}
