//! See `bbb_webhooks::fuzzing::configuration`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bbb_webhooks::fuzzing::configuration(data));
