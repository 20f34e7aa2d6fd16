//! Accepts connections and serves HTTP/1 on them until told to stop.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::debug;
use tracing::warn;

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long calls may take that were under way when the server was told to stop. A client that connected and never asked
/// anything would else hold up the stop until [`HEAD_TIMEOUT`].
const STOP_PATIENCE: Duration = Duration::from_millis(300);

/// How long to wait when no connection can be accepted, as when there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who sent a request: an extension of each. Behind a proxy that is the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(SocketAddr);

impl Peer {
    /// Whether it is on this machine, as a proxy is.
    #[must_use]
    pub fn is_local(self) -> bool {
        self.0.ip().to_canonical().is_loopback()
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.ip().to_canonical().fmt(f)
    }
}

/// Serves `router` on `listener`; `rewrite` sees each request first. When told to stop, it accepts no more and finishes
/// what was asked, within [`STOP_PATIENCE`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    rewrite: impl Fn(Request<Incoming>) -> Request<Incoming> + Clone + Send + Sync + 'static,
    stop: CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, address)) => {
                let rewrite = rewrite.clone();
                let service = router.clone().map_request(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(Peer(address));
                    rewrite(request).map(Body::new)
                });
                let service = TowerToHyperService::new(service);
                let connection = connections.watch(http.serve_connection(TokioIo::new(stream), service));
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        debug!(%error, "A connection ended early");
                    }
                });
            }
            Err(error) => {
                warn!(%error, "No connection can be accepted; trying on");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if timeout(STOP_PATIENCE, connections.shutdown()).await.is_err() {
        debug!("Connections are closed, finished or not");
    }
}
