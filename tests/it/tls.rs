//! Redis and receivers behind TLS.

use serde_json::Value;
use serde_json::json;

use crate::harness::Authority;
use crate::harness::Daemon;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Receiver;
use crate::harness::Redis;
use crate::harness::Reply;
use crate::harness::Setup;
use crate::harness::free_port;
use crate::harness::until;

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
async fn a_redirect_from_https_to_http_is_followed_unless_bearer_tokens_are_kept_off_http() {
    let authority = Authority::new();
    let trust = authority.trust();
    let setup = |daemon: Setup| daemon.env("SSL_CERT_FILE", &trust).env("BEARER_AUTH", "true");
    let mut lab = Lab::with(|daemon| setup(daemon).set("hooks.retryIntervals", json!([10]))).await;
    let front = format!("https://localhost:{}/x", authority.front(lab.receiver.port()).await);
    lab.receiver.answer("/x", [Reply::redirect(307, &lab.receiver.url("/clear"))]);
    lab.daemon.create(&front, &[]).await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    let clear = lab.receiver.wait("/clear", 1).await;
    let sent = lab.receiver.to("/x");
    assert_eq!(clear[0].body, sent[0].body);
    assert!(sent[0].header("authorization").is_some() && clear[0].header("authorization").is_none());
    lab.daemon.terminate().await;

    lab.daemon.configure(|daemon| daemon.set("hooks.bearerOverHttp", false));
    lab.daemon.start_again().await;
    lab.redis.publish(&Meeting::new("math-102").created()).await;
    until("it is given up", async || lab.daemon.ids().await.is_empty()).await;
    assert!(lab.daemon.log().contains("(hooks.bearerOverHttp)"), "{}", lab.daemon.log());
    assert_eq!((lab.receiver.count("/x"), lab.receiver.count("/clear")), (3, 1));
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

/// A lab with a permanent hook for its receiver behind TLS, of this authority; and what else is said of the hook.
async fn permanent(authority: &Authority, of_the_hook: Value, change: impl FnOnce(Setup) -> Setup) -> Lab {
    let receiver = Receiver::start().await;
    let front = authority.front(receiver.port()).await;
    let mut hook = json!({"url": format!("https://localhost:{front}/x")});
    hook.as_object_mut().unwrap().extend(of_the_hook.as_object().unwrap().clone());
    let mut lab = Lab::with(|setup| change(setup.set("hooks.permanentURLs", json!([hook])))).await;
    lab.receiver = receiver;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    lab
}

#[tokio::test]
async fn a_further_authority_may_be_believed_by_all_hooks_or_by_one_alone() {
    let authority = Authority::new();
    let lab = permanent(&authority, json!({}), |setup| setup.set("hooks.caFile", authority.trust())).await;
    lab.receiver.wait("/x", 1).await;
    let lab = permanent(&authority, json!({"caFile": authority.trust()}), |setup| setup).await;
    lab.receiver.wait("/x", 1).await;
    // Pinned is pinned, whomever the system believes.
    let other = Authority::new();
    let trust = authority.trust();
    let lab = permanent(&authority, json!({"caFile": other.trust()}), |setup| setup.env("SSL_CERT_FILE", &trust)).await;
    lab.daemon.logs("certificate").await;
    assert_eq!(lab.receiver.all().len(), 0);
    let lab = permanent(&authority, json!({"caFile": "/nowhere.pem"}), |setup| setup).await;
    lab.daemon.logs("its caFile: the file cannot be read").await;
}

#[tokio::test]
async fn a_certificate_is_not_verified_only_where_that_is_said_loudly() {
    let lab = permanent(&Authority::new(), json!({"verify": false}), |setup| setup).await;
    lab.receiver.wait("/x", 1).await;
    let said = "the certificate of localhost is not verified (verify: false)";
    let log = lab.daemon.log();
    assert!(log.lines().any(|line| line.contains("WARN") && line.contains(said)), "{log}");
    let ended = lab.daemon.command(&["check"]).await;
    assert!(ended.stdout.lines().any(|line| line.starts_with("WARNING") && line.contains(said)), "{}", ended.stdout);
}

#[tokio::test]
async fn a_proxy_in_the_environment_is_ignored_and_that_is_said() {
    let lab =
        Lab::with(|setup| setup.env("http_proxy", "http://127.0.0.1:9").env("HTTPS_PROXY", "http://127.0.0.1:9")).await;
    lab.hook("/x", &[]).await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    lab.receiver.wait("/x", 1).await;
    for name in ["http_proxy", "HTTPS_PROXY"] {
        assert!(lab.daemon.log().contains(&format!("variable {name}: ignored")), "{}", lab.daemon.log());
    }
}
