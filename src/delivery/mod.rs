//! What the outputs share: which event goes next, what an answer means, and one attempt over HTTP.
//!
//! [`lanes`] keeps the order and [`retry`] the schedule; both are pure. [`sender`] makes an attempt, [`tally`] counts what came of it.

pub mod lanes;
pub mod retry;
pub mod sender;
pub mod tally;
