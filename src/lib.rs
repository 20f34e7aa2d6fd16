//! Delivers BigBlueButton events to the webhooks registered for them.

pub mod checksum;
pub mod clock;
pub mod config;
pub mod event;
pub mod hook;
pub mod mapper;
pub mod state;
