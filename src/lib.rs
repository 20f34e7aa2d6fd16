//! Delivers BigBlueButton events to the webhooks registered for them.
//!
//! # Flow
//!
//! ```text
//! Redis pub/sub -> input -> processor (mapper + state) -> journal -> a reader per hook -> webhooks -> HTTP callback
//!                               |  write-behind
//!                               v
//!                             store <- registry (write-through) <- api (create, destroy, list)
//! ```
//!
//! # Layout
//!
//! Pure, without I/O, runtime or clock: [`event`], [`hook`], [`checksum`], [`state`], [`mapper`], and what decides in the
//! outputs ([`webhooks::callback`], [`webhooks::retry`], [`webhooks::lanes`], [`api::xml`]).
//!
//! Tasks: [`input`] listens, [`processor`] maps, [`webhooks`] delivers, [`api`] answers, [`store::Writer`] writes behind;
//! [`app`] starts, watches and stops them. Between them stand [`journal`], the log of accepted events, and [`registry`],
//! the hooks. [`store`] holds what Redis remembers, over a [`connection`].
//!
//! Around them: [`config`], [`logging`], [`cli`], [`clock`].

pub mod api;
pub mod app;
pub mod books;
pub mod checksum;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connection;
pub mod event;
pub mod hook;
pub mod input;
pub mod journal;
pub mod logging;
pub mod mapper;
pub mod processor;
pub mod registry;
pub mod state;
pub mod store;
pub mod webhooks;
