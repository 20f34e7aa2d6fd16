//! Redis and receivers behind TLS.

use crate::harness::Authority;
use crate::harness::Daemon;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Receiver;
use crate::harness::Redis;
use crate::harness::free_port;

#[tokio::test]
async fn redis_may_be_behind_tls() {
    let authority = Authority::new();
    let (certificate, key) = authority.certificate_and_key();
    let port = free_port().to_string();
    let arguments = ["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let redis = Redis::start_with(&[&arguments[..], &["--tls-auth-clients", "no"]].concat(), Some("p@ss")).await;
    let daemon = Daemon::without_redis()
        .env("REDIS_URL", &format!("rediss://:p%40ss@127.0.0.1:{port}/"))
        .env("SSL_CERT_FILE", &authority.trust())
        .start()
        .await;
    let receiver = Receiver::start().await;
    let id = daemon.create(&receiver.url("/x"), &[]).await;
    assert_eq!(redis.set("bigbluebutton:webhooks:out:hooks").await, [id].into());
    assert_eq!(redis.publish(&Meeting::new("math-101").created()).await, 1);
    receiver.wait("/x", 1).await;
}

#[tokio::test]
async fn a_receiver_behind_tls_is_called_if_its_authority_is_trusted() {
    let authority = Authority::new();
    let trust = authority.trust();
    let trusting = Lab::with(|daemon| daemon.env("SSL_CERT_FILE", &trust)).await;
    let front = format!("https://localhost:{}/x", authority.front(trusting.receiver.port()).await);
    trusting.daemon.create(&front, &[]).await;
    let meeting = Meeting::new("math-101");
    trusting.redis.publish(&meeting.created()).await;
    trusting.receiver.wait("/x", 1).await;
}

#[tokio::test]
async fn a_receiver_whose_authority_nobody_trusts_is_not_called() {
    let lab = Lab::start().await;
    let front = format!("https://localhost:{}/x", Authority::new().front(lab.receiver.port()).await);
    lab.daemon.create(&front, &[]).await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    // It says why.
    lab.daemon.logs("certificate").await;
    assert_eq!(lab.receiver.ids("/x"), [""; 0]);
}
