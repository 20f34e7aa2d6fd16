//! The daemon as its neighbours see it: the real program, a real Redis, real receivers of callbacks.
//!
//! Every test starts what it needs on free ports and stops it at its end. Tests wait for conditions, with a deadline.

#![allow(clippy::unwrap_used, reason = "a test that finds something amiss fails")]

mod abuse;
mod api;
mod backlog;
mod books;
mod clients;
mod commands_check;
mod commands_events;
mod commands_hooks;
mod commands_pages;
mod commands_receive;
mod commands_sign;
mod commands_status;
mod configuration;
mod corpus_api;
mod corpus_events;
mod corpus_xapi;
mod custom_events;
mod delivery;
mod documented;
mod examples;
mod faults;
mod harness;
mod hooks;
mod input;
mod isolation;
mod keeping;
mod killing;
mod logs;
mod losses;
mod metrics;
mod moody;
mod pace;
mod policy;
mod redirects;
mod refusals;
mod reload;
mod replaying;
mod signatures;
mod soak;
mod stopping;
mod stored;
mod suspending;
mod systemd;
mod tls;
mod unread;
mod verifying;
mod wrong_checksums;
mod xapi;
