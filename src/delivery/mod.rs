//! What the outputs share: which event goes next, what an answer means, and one attempt over HTTP.
//!
//! [`lanes`] keeps the order, [`retry`] the schedule, and [`episode`] the log short; these are pure. [`sender`] makes an attempt,
//! [`tally`] counts what came of it.

pub mod episode;
pub mod guard;
pub mod lanes;
pub mod policy;
pub mod retry;
pub mod sender;
pub mod tally;
