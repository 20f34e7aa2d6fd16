//! See `bbb_webhooks::fuzzing::answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bbb_webhooks::fuzzing::answer(data));
