//! How many connections and files may be open.

use rustix::process::Resource;
use rustix::process::getrlimit;
use rustix::process::setrlimit;
use tracing::warn;

/// What Redis, the log and some callbacks need, beside the API's connections.
const OTHERS: u64 = 200;

/// Takes as many as the daemon may have: systemd and shells give 1,024 at first, for the sake of programs that cannot deal
/// with more. Says so if clients of the API, of which there may be `connections`, could take them all.
pub(super) fn raise(connections: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, "The number of files that may be open cannot be raised");
    }
    let needed = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHERS);
    if let Some(limit) = getrlimit(Resource::Nofile).current.filter(|limit| *limit < needed) {
        warn!(
            limit,
            needed, "Too few files may be open for server.maxConnections; raise LimitNOFILE of the unit, or lower it"
        );
    }
}
