//! What the outputs share: which event goes next, what an answer means, one attempt over HTTP, and the account of it all.
//!
//! [`lanes`] keeps the order, [`retry`] the schedule, and [`episode`] the log short; these are pure, and a [`stopwatch`] tells
//! them the time. [`ledger`] takes events from the journal and says what was finished, [`attempts`] are under way, [`sender`]
//! makes one, [`tally`] counts what came of it.

pub mod attempts;
pub mod episode;
pub mod guard;
pub mod lanes;
pub mod ledger;
mod names;
pub mod policy;
pub mod retry;
pub mod sender;
pub mod stopwatch;
pub mod tally;
