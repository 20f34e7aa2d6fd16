//! Metrics for Prometheus: the Node daemon's, and what the journal knows beside.
//!
//! Nothing is kept for them: each scrape is one look at the daemon, so the series of a removed hook are gone with it.
//! [`families`] says what there is.

mod families;
mod process;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use prometheus::Encoder;
use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::config::Config;
use crate::server;
use crate::server::few::Few;
use crate::status::Observer;
use crate::status::Status;

#[derive(Clone)]
struct Exporter {
    observer: Arc<Observer>,
    process: bool,
    scrapes: Few,
}

/// Serves the metrics on `listener` until told to stop.
pub async fn serve(listener: TcpListener, observer: Observer, config: &Config, stop: CancellationToken) {
    let settings = &config.metrics;
    let exporter = Exporter { observer: Arc::new(observer), process: settings.process, scrapes: Few::default() };
    let router = Router::new().route(&settings.path, get(scrape)).with_state(exporter);
    server::serve(listener, config.api.limits, router, |request| request, stop).await;
}

/// Anybody who reaches the port can scrape, and with thousands of hooks a scrape is long and takes a while to be written.
async fn scrape(State(exporter): State<Exporter>) -> Response {
    let text = async {
        let begun = exporter.scrapes.begin()?;
        let status = exporter.observer.look().await;
        begun.make(move || written(&status, exporter.process)).await
    };
    match text.await {
        Ok(text) => ([(CONTENT_TYPE, TextEncoder::new().format_type().to_owned())], text).into_response(),
        Err(error) => error.into_response(),
    }
}

/// A scrape as a text; `process` says whether the process is measured too.
fn written(status: &Status, process: bool) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut written = Ok(());
    let mut write = |family: MetricFamily| {
        if written.is_ok() {
            written = TextEncoder::new().encode(&[family], &mut text);
        }
    };
    families::each(status, &mut write);
    if process {
        process::families().into_iter().for_each(write);
    }
    written.inspect_err(|error| warn!(%error, "The metrics cannot be written")).ok()?;
    Some(text)
}
