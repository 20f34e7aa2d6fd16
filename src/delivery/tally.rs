//! Counts what came of attempts.

use std::sync::Arc;

use crate::books::Books;
use crate::clock;
use crate::delivery::sender::Answered;
use crate::event::Event;

/// Takes note of an attempt to deliver these events, and whether its answer means that they are.
pub fn tally(books: &Books, answered: &Answered, delivered: bool, events: &[Arc<Event>]) {
    let (answer, now_ms) = (answered.answer, clock::unix_ms());
    books.note(|calls| {
        if delivered {
            calls.attempted(answer.class(), answer.class().into(), now_ms);
            events.iter().for_each(|event| calls.delivered(&event.mapped.id, event.accepted_ms, now_ms));
        } else {
            calls.attempted(answer.class(), answered.to_string().into(), now_ms);
            events.iter().for_each(|event| calls.failed(&answer.reason(), &event.mapped.id));
        }
    });
}
