//! Accepts connections and serves HTTP/1 on them until told to stop.
//!
//! Anybody who reaches the port can open connections, and leave them open. So there are only so many, and so much of a
//! request's head is read, within a time; when there are no more, [`places`] makes the one give way that asked nothing for
//! longest. And who asks can leave the answer where it is: so there is a time for taking it, and of answers that have to be held
//! whole there are only [`few`]. A request's target is read [`as_sent`].

pub mod as_sent;
pub mod few;
mod places;

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
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::debug;
use tracing::warn;

use crate::config::Limits;
use crate::server::as_sent::AsSent;
use crate::server::places::Places;

/// How long calls may take that were under way when the server was told to stop. A client that connected and never asked
/// anything would else hold up the stop until [`Limits::header_timeout`].
const STOP_PATIENCE: Duration = Duration::from_millis(300);

/// How long a client may take to read an answer, however steadily it does.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// How long a client may take nothing at all of an answer.
const STALLED_PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait when no connection can be accepted, as when there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who sent a request: an extension of each. Behind a proxy that is the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(SocketAddr);

impl Peer {
    /// Whoever has this address.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self(address)
    }

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

/// Serves `router` on `listener` within the `limits`; `rewrite` sees each request first. When told to stop, it accepts no
/// more and finishes what was asked, within [`STOP_PATIENCE`].
pub async fn serve(
    listener: TcpListener,
    limits: Limits,
    router: Router,
    rewrite: impl Fn(Request<Incoming>) -> Request<Incoming> + Clone + Send + Sync + 'static,
    stop: CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
    // What is not yet parsed is held in a buffer, which so is no greater than what may be.
    http.max_header_size(limits.header_size).max_buf_size(limits.header_size);
    let connections = GracefulShutdown::new();
    let places = Places::new(limits.connections);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, address)) => {
                let place = tokio::select! {
                    place = places.take() => place,
                    () = stop.cancelled() => break,
                };
                let (rewrite, asked) = (rewrite.clone(), place.clone());
                let router = router.clone();
                let service = tower::service_fn(move |mut request: Request<Incoming>| {
                    let asking = asked.asks();
                    request.extensions_mut().insert(Peer::new(address));
                    let answer = router.clone().oneshot(rewrite(request).map(Body::new));
                    async move {
                        let answer = answer.await;
                        drop(asking);
                        answer
                    }
                });
                let service = TowerToHyperService::new(service);
                let mut stream = TimeoutStream::new(AsSent::new(stream));
                stream.set_write_timeout(Some(STALLED_PATIENCE));
                let connection = connections.watch(http.serve_connection(TokioIo::new(Box::pin(stream)), service));
                tokio::spawn(async move {
                    tokio::select! {
                        ended = connection => if let Err(error) = ended {
                            debug!(%error, "A connection ended early");
                        },
                        why = place.gives_way(ANSWER_PATIENCE) => debug!(client = %Peer(address), why, "A connection is closed"),
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
