//! The clock on the wall. Everything that computes with time takes it as an argument; this is where it comes from.

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// Microseconds since 1970.
#[must_use]
pub fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970.
#[must_use]
pub fn unix_ms() -> u64 {
    unix_us() / 1000
}
