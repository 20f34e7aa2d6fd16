//! Delivers BigBlueButton events to the webhooks registered for them.

pub mod checksum;
pub mod clock;
pub mod event;
pub mod hook;
