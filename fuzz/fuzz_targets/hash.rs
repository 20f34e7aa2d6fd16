//! See `bbb_webhooks::fuzzing::hash`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bbb_webhooks::fuzzing::hash(data));
