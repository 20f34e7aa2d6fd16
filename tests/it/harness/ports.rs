//! Free TCP ports.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Mutex;

/// A port of 127.0.0.1 on which nothing listens, and which this process was not given before.
///
/// It is below the ports that the system gives to outgoing connections, so a server that is away finds its port free when it
/// comes back, and nobody who tries to reach it meanwhile is connected to themselves.
pub(crate) fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = fastrand::u16(10_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && GIVEN.lock().unwrap().insert(port) {
            return port;
        }
    }
}
