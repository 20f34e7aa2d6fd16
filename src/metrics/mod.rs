//! Metrics for Prometheus: the Node daemon's, and what the journal knows beside.
//!
//! Nothing is kept for them: each scrape is one look at the daemon, so the series of a removed hook are gone with it.
//! [`families`] says what there is.

mod families;
mod process;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use prometheus::Encoder;
use prometheus::TextEncoder;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::config::Config;
use crate::server;
use crate::status::Observer;

#[derive(Clone)]
struct Exporter {
    observer: Arc<Observer>,
    process: bool,
}

/// Serves the metrics on `listener` until told to stop.
pub async fn serve(listener: TcpListener, observer: Observer, config: &Config, stop: CancellationToken) {
    let settings = &config.metrics;
    let exporter = Exporter { observer: Arc::new(observer), process: settings.process };
    let router = Router::new().route(&settings.path, get(scrape)).with_state(exporter);
    server::serve(listener, config.api.limits, router, |request| request, stop).await;
}

async fn scrape(State(exporter): State<Exporter>) -> Response {
    let status = exporter.observer.look().await;
    let mut families = families::of(&status);
    if exporter.process {
        families.extend(process::families());
    }
    let mut text = Vec::new();
    let encoder = TextEncoder::new();
    match encoder.encode(&families, &mut text) {
        Ok(()) => ([(CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
        Err(error) => {
            warn!(%error, "The metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
