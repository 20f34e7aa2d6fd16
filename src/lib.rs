//! Delivers BigBlueButton events to the webhooks registered for them.
//!
//! # Flow
//!
//! ```text
//! Redis pub/sub -> input -> processor (mapper + state) -> journal -> a reader per hook -> webhooks -> HTTP callback
//!                                                         |     ^ \-> one more reader -> xapi -> LRS
//!                     api (create, destroy, list) -> registry   |
//!                                                         v     v
//!                                       committer: events, cursors, hooks, mappings -> Redis
//! ```
//!
//! # Layout
//!
//! Pure, without I/O, runtime or clock: [`event`], [`hook`], [`bound`], [`checksum`], [`state`], [`mapper`], and what decides in the
//! outputs ([`webhooks::callback`], [`webhooks::signature`], [`delivery::retry`], [`delivery::lanes`], [`xapi::statement`],
//! [`api::xml`]).
//!
//! Tasks: [`input`] listens, [`processor`] maps, [`webhooks`] delivers, [`xapi`] tells a Learning Record Store, [`api`]
//! answers, [`journal::Committer`] writes all there is to Redis, [`replay`] sends events again when ordered to; [`app`] starts,
//! watches and stops them. Between them stand [`journal`], the log of accepted events, and [`registry`], the hooks. [`store`]
//! knows how hooks and mappings stand in Redis, over a [`connection`]; [`delivery`] is what the outputs share; [`books`] counts
//! what became of messages, events and calls. [`status`] is one look at all of it, for [`metrics`] and for the command line.
//!
//! Around them: [`config`], [`logging`], [`systemd`], [`cli`], [`commands`], [`clock`], [`pulse`], [`seldom`], and [`server`], which
//! serves HTTP.

pub mod api;
pub mod app;
pub mod books;
pub mod bound;
pub mod checksum;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod connection;
pub mod delivery;
pub mod event;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod hook;
pub mod input;
pub mod journal;
pub mod logging;
pub mod mapper;
pub mod metrics;
pub mod processor;
pub mod pulse;
pub mod registry;
pub mod replay;
pub mod seldom;
pub mod server;
pub mod state;
pub mod status;
pub mod store;
pub mod systemd;
pub mod webhooks;
pub mod xapi;
