//! Callbacks that must not be made: `hooks.callbackPolicy` and `hooks.bearerOverHttp`.

use serde_json::Value;
use serde_json::json;

use crate::harness::Daemon;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Receiver;
use crate::harness::Redis;
use crate::harness::Reply;
use crate::harness::SECRET;
use crate::harness::STATEMENTS;
use crate::harness::Setup;
use crate::harness::encrypt;
use crate::harness::free_port;
use crate::harness::get;
use crate::harness::until;
use crate::harness::with_lrs;

const PUBLIC_ONLY: &str = "hooks: {callbackPolicy: {profile: public-only}}";

/// The first hook's account in the status.
async fn account(daemon: &Daemon) -> Value {
    let answer = daemon.call("hooks/status", &[]).await;
    serde_json::from_str::<Value>(&answer.body).unwrap()["hooks"][0].clone()
}

#[tokio::test]
async fn what_is_never_called_cannot_be_registered() {
    let lab = Lab::with(|setup| setup.set("hooks.callbackPolicy.deny", json!(["*.evil.example", "10.9.0.0/16"]))).await;
    let (api, redis) = (lab.daemon.address().1, lab.redis.port());
    for (url, why) in [
        ("http://169.254.169.254/latest/meta-data".to_owned(), "169.254.169.254 is a link-local address"),
        ("http://2852039166/".to_owned(), "169.254.169.254 is a link-local address"),
        ("http://[::ffff:169.254.169.254]/".to_owned(), "169.254.169.254 is a link-local address"),
        ("http://[64:ff9b:1::a9fe:a9fe]/".to_owned(), "64:ff9b:1::a9fe:a9fe is a link-local address"),
        ("http://[::ffff:0:10.9.1.1]/".to_owned(), "::ffff:0:a09:101 is denied by 10.9.0.0/16"),
        (format!("http://127.0.0.1:{api}/bigbluebutton/api"), "the API of this daemon listens there"),
        (format!("http://[::ffff:127.0.0.1]:{api}/"), "the API of this daemon listens there"),
        (format!("http://[64:ff9b::127.0.0.1]:{api}/"), "the API of this daemon listens there"),
        (format!("http://localhost:{redis}/"), "Redis listens there"),
        (format!("http://[2002:7f00:1::]:{redis}/"), "Redis listens there"),
        (format!("http://0:{redis}/"), "Redis listens there"),
        ("https://hooks.evil.example/x".to_owned(), "hooks.evil.example is denied by *.evil.example"),
        ("http://10.9.1.1/".to_owned(), "10.9.1.1 is denied by 10.9.0.0/16"),
    ] {
        let answer = lab.daemon.try_create(&url, &[]).await;
        assert_eq!(answer.message_key().as_deref(), Some("createHookError"), "{url}: {}", answer.body);
        let message = answer.text_of("message").unwrap();
        assert_eq!(message, format!("No callbacks are sent to this callbackURL: {why} (hooks.callbackPolicy)."));
    }
    for url in ["http://10.0.0.1/", "http://127.0.0.1:9/", "http://lms.example.org/", "https://evil.example/"] {
        lab.daemon.create(url, &[]).await;
    }
    assert_eq!(lab.daemon.ids().await.len(), 4);
}

#[tokio::test]
async fn a_hook_that_is_forbidden_later_is_not_called_and_shows_why() {
    let mut lab = Lab::with(|setup| setup.env("PROM_ENABLED", "true").env("PROM_PORT", &free_port().to_string())).await;
    lab.hook("/x", &[]).await;
    lab.daemon.terminate().await;
    let metrics = free_port();
    lab.daemon.configure(|setup| setup.file("local.yml", PUBLIC_ONLY).env("PROM_PORT", &metrics.to_string()));
    lab.daemon.start_again().await;
    lab.daemon.logs("This hook is not called: the configuration forbids it").await;
    let meeting = Meeting::new("math-101");
    lab.redis.publish(&meeting.created()).await;
    let why = "the configuration forbids it: 127.0.0.1 is this server itself (hooks.callbackPolicy)";
    until("it was refused", async || account(&lab.daemon).await["lastAnswer"]["answer"] == why).await;
    let hook = account(&lab.daemon).await;
    assert_eq!((&hook["state"], &hook["lag"]), (&json!("failing"), &json!(1)), "{hook:#}");
    let scraped = get(metrics, "/metrics").await.body;
    let counted =
        |line: &str| line.starts_with("bbb_webhooks_hook_attempts_total") && line.contains("answer=\"refused\"");
    assert!(scraped.lines().any(counted), "{scraped}");
    let log = lab.daemon.log();
    assert!(log.lines().any(|line| line.contains("WARN") && line.contains(why)), "{log}");
    assert_eq!(lab.receiver.all().len(), 0);
    // Nothing is lost if that was a mistake.
    lab.daemon.terminate().await;
    lab.daemon.configure(|setup| setup.file("local.yml", ""));
    lab.daemon.start_again().await;
    lab.receiver.wait("/x", 1).await;
    assert_eq!(lab.receiver.ids("/x"), ["meeting-created"]);
}

#[tokio::test]
async fn a_redirect_leads_nowhere_else() {
    let lab = Lab::with(|setup| setup.set("hooks.retryIntervals", json!([10]))).await;
    let api = lab.daemon.address().1;
    let targets = [
        "http://169.254.169.254/".to_owned(),
        "http://[::ffff:169.254.169.254]/".to_owned(),
        format!("http://127.0.0.1:{api}/bigbluebutton/api/hooks/ping"),
        format!("http://localhost:{}/", lab.redis.port()),
    ];
    for (n, target) in targets.iter().enumerate() {
        lab.receiver.answer(&format!("/{n}"), [Reply::redirect(307, target)]);
        lab.hook(&format!("/{n}"), &[]).await;
    }
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    until("all hooks are given up", async || lab.daemon.ids().await.is_empty()).await;
    let log = lab.daemon.log();
    let removed: Vec<_> = log.lines().filter(|line| line.contains("The hook is removed")).collect();
    assert_eq!(removed.len(), targets.len());
    assert!(removed.iter().all(|line| line.contains("the configuration forbids it: ")), "{removed:#?}");
}

#[tokio::test]
async fn a_permanent_hook_that_is_not_called_is_spoken_of() {
    let forbidden = "http://169.254.169.254/x";
    let lab = Lab::with(|setup| setup.set("hooks.permanentURLs", json!([forbidden]))).await;
    lab.daemon.logs("This permanent hook is not called: the configuration forbids it").await;
    let ended = lab.daemon.command(&["check"]).await;
    let line = ended.stdout.lines().find(|line| line.starts_with("WARNING  permanent hooks")).unwrap();
    let why = "is not called: 169.254.169.254 is a link-local address (hooks.callbackPolicy)";
    assert!(line.contains(forbidden) && line.contains(why), "{line}");
    let ended = lab.daemon.command(&["hooks", "test", forbidden]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stdout.contains("NOT delivered: the configuration forbids it"), "{}", ended.stdout);
}

#[tokio::test]
async fn check_asks_only_receivers_that_may_be_called() {
    let redis = Redis::start().await;
    let receiver = Receiver::start().await;
    receiver.answer("/away", [Reply::redirect(307, &receiver.url("/elsewhere"))]);
    let by_name = receiver.url("/listed").replace("127.0.0.1", "localhost");
    // What is not listed, has an address that is denied, is Redis, or takes no secret in the clear.
    let urls = [receiver.url("/x"), format!("http://localhost:{}/", redis.port()), by_name, receiver.url("/away")];
    let setup = || Daemon::on(&redis).set("hooks.permanentURLs", json!(urls));
    let warned = async |setup: Setup| {
        let ended = setup.command(&["check", "--online"]).await;
        let lines = ended.stdout.lines().filter(|line| line.contains("permanent hooks")).map(str::to_owned);
        lines.partition::<Vec<_>, _>(|line| line.starts_with("WARNING") && line.contains("is not called: "))
    };
    let (refused, asked) = warned(setup().set("hooks.callbackPolicy", json!({"profile": "listed-only"}))).await;
    assert_eq!((refused.len(), asked.len()), (4, 0), "{refused:#?} {asked:#?}");
    let (refused, asked) = warned(setup().set("hooks.callbackPolicy.deny", json!(["127.0.0.0/8", "::1"]))).await;
    assert_eq!((refused.len(), asked.len()), (4, 0), "{refused:#?} {asked:#?}");
    let bearer = setup().env("BEARER_AUTH", "true").set("hooks.bearerOverHttp", false);
    assert_eq!(warned(bearer).await.0.len(), 4);
    assert!(receiver.all().is_empty());

    let listed = json!({"profile": "listed-only", "allow": ["localhost"]});
    let (refused, asked) = warned(setup().set("hooks.callbackPolicy", listed)).await;
    assert_eq!((refused.len(), asked.len()), (3, 1), "{refused:#?} {asked:#?}");
    assert!(asked[0].contains("/listed: there, status 200 to HEAD"), "{asked:#?}");
    assert_eq!(receiver.all().len(), 1);
    // As it is: where it leads is not asked.
    let (refused, asked) = warned(setup()).await;
    assert_eq!((refused.len(), asked.len()), (1, 3), "{refused:#?} {asked:#?}");
    assert!(asked.iter().any(|line| line.contains("/away: there, status 307")), "{asked:#?}");
    assert_eq!(receiver.count("/elsewhere"), 0);
}

#[tokio::test]
async fn a_meeting_s_learning_record_store_is_called_only_where_callbacks_may_go() {
    let own = Receiver::start().await;
    let lab = Lab::with(|setup| with_lrs(setup, &own).file("local.yml", PUBLIC_ONLY)).await;
    let guest = json!({"lrs_endpoint": lab.receiver.url(""), "lrs_token": "t"}).to_string();
    let guest = json!({"secret-lrs-payload": encrypt(&guest, SECRET)});
    lab.redis.publish_all(&[Meeting::new("guest").created_with(&guest), Meeting::new("own").created()]).await;
    own.wait(STATEMENTS, 1).await;
    lab.daemon.logs("the configuration forbids it: 127.0.0.1 is this server itself").await;
    assert_eq!((own.all().len(), lab.receiver.all().len()), (1, 0));
}

#[tokio::test]
async fn bearer_tokens_over_http_are_warned_of_or_forbidden() {
    let mut lab = Lab::with(|setup| setup.env("BEARER_AUTH", "true")).await;
    lab.hook("/x", &[]).await;
    lab.daemon.create("http://192.0.2.1/x", &[]).await;
    lab.daemon.create("https://192.0.2.1/x", &[]).await;
    let warned = || lab.daemon.log().matches("carry the secret of this server over http").count();
    until("it is warned of", async || warned() > 0).await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    lab.receiver.wait("/x", 1).await;
    assert_eq!(warned(), 1, "once, and not for what stays on this machine");

    lab.daemon.terminate().await;
    lab.daemon.configure(|setup| setup.set("hooks.bearerOverHttp", false));
    lab.daemon.start_again().await;
    let answer = lab.daemon.try_create("http://192.0.2.2/x", &[]).await;
    assert_eq!(answer.message_key().as_deref(), Some("createHookError"));
    assert!(answer.text_of("message").unwrap().ends_with("(hooks.bearerOverHttp)."), "{}", answer.body);
    lab.redis.publish(&Meeting::new("math-102").created()).await;
    let is_refused = async || {
        let answer = account(&lab.daemon).await["lastAnswer"]["answer"].to_string();
        answer.contains("(hooks.bearerOverHttp)")
    };
    until("it is refused", is_refused).await;
    assert_eq!(lab.receiver.count("/x"), 1);
}
