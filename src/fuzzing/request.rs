//! What is asked of the API.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::LazyLock;

use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use crate::api::fuzzing::Front;
use crate::config::Current;
use crate::connection;
use crate::connection::Connection;
use crate::fuzzing::RUNTIME;
use crate::fuzzing::configured;
use crate::journal::Committer;
use crate::registry::Registry;
use crate::server::as_sent::AsSent;
use crate::status::Observer;
use crate::store::Store;
use crate::store::WriteBehind;
use crate::webhooks::address::Address;

/// Most bytes of a request's head, as by default.
const HEAD: usize = 32 * 1024;

/// The API of a daemon that has no Redis, so that it knows no hooks.
static FRONT: LazyLock<Front> = LazyLock::new(|| {
    // A port that nobody listens on.
    let config = configured(r#"{"redis": {"port": 1}}"#).expect("it is right");
    let client = connection::client(&config.redis).expect("it is an address");
    let connection = Arc::new(Connection::new(client.clone()));
    let store = Arc::new(Store::new(Arc::clone(&connection), &config));
    let behind = Arc::new(WriteBehind::new(Arc::clone(&store)));
    let (_, journal) = Committer::new(client, connection, Arc::clone(&behind), &config.hooks, CancellationToken::new());
    let (registry, _) = Registry::new(store, behind, journal.clone(), &Current::new(config.clone()));
    let observer = Observer { journal, registry, intake: Arc::default(), requests: Arc::default(), xapi: None };
    Front::new(observer, &config, to_be_called)
});

/// The URL of a hook, as callbacks are sent to it.
fn to_be_called(callback_url: &str) {
    let address = Address::new(callback_url).expect("what was parsed once is a URL");
    assert!(address.with_checksum("0a").as_str().ends_with("checksum=0a"), "a checksum is the last parameter");
}

/// What a client of the API sends on a connection. A checksum that is `@` is replaced by the right one: none is, by chance.
pub fn request(data: &[u8]) {
    RUNTIME.block_on(async {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let service = service_fn(async |request: Request<Incoming>| Ok::<_, Infallible>(FRONT.answer(request).await));
        let mut http = http1::Builder::new();
        http.max_header_size(HEAD).max_buf_size(HEAD);
        let serve = async {
            let _ = http.serve_connection(TokioIo::new(AsSent::new(server)), service).await;
        };
        let ask = async {
            let _ = client.write_all(data).await;
            let _ = client.shutdown().await;
            let _ = client.read_to_end(&mut Vec::new()).await;
        };
        tokio::join!(serve, ask);
    });
}
