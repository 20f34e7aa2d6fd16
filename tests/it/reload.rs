//! SIGHUP: what follows a changed configuration at once, and what does not.

use std::process::Command;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;
use serde_json::json;

use crate::harness::Daemon;
use crate::harness::Gate;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Reply;
use crate::harness::until;

const READ_AGAIN: &str = "The configuration is read again";

/// Changes the configuration of a running daemon, and waits until it has read that.
async fn reload(daemon: &Daemon, text: &str) {
    let before = daemon.log().matches(READ_AGAIN).count();
    std::fs::write(daemon.folder().join("local.yml"), text).unwrap();
    daemon.signal(Signal::HUP);
    until("it is read again", async || daemon.log().matches(READ_AGAIN).count() > before).await;
}

#[tokio::test]
async fn permanent_hooks_come_go_and_stay() {
    let lab = Lab::start().await;
    let (new, old) = (lab.receiver.url("/new"), lab.receiver.url("/old"));
    let id = lab.hook("/old", &[]).await;
    let meeting = Meeting::new("math-101");
    lab.redis.publish(&meeting.created()).await;
    lab.receiver.wait("/old", 1).await;

    reload(&lab.daemon, &format!("hooks: {{permanentURLs: ['{new}', '{old}']}}")).await;
    until("both are permanent", async || {
        let hooks = lab.daemon.hooks().await;
        hooks.len() == 2 && hooks.iter().all(|hook| hook.permanent)
    })
    .await;
    assert_eq!(lab.daemon.hooks().await[0].id, id, "it is still the same");
    assert_eq!(lab.daemon.destroy(&id).await.message_key().as_deref(), Some("destroyMissingHook"));
    lab.redis.publish(&meeting.joined("ada")).await;
    assert_eq!(lab.receiver.wait("/new", 1).await[0].ids(), ["user-joined"]);
    lab.receiver.wait("/old", 2).await;

    reload(&lab.daemon, &format!("hooks: {{permanentURLs: ['{old}']}}")).await;
    until("one is gone", async || lab.daemon.ids().await == [id.clone()]).await;
    lab.redis.publish(&meeting.left("ada")).await;
    lab.receiver.wait("/old", 3).await;
    assert_eq!(lab.receiver.count("/new"), 1);
    assert_eq!(lab.redis.set("bigbluebutton:webhooks:out:hooks").await.into_iter().collect::<Vec<_>>(), [id]);
}

#[tokio::test]
async fn a_permanent_hook_of_a_reload_is_not_given_up_and_is_there_after_a_restart() {
    let mut lab = Lab::with(|daemon| daemon.set("hooks.retryIntervals", vec![500_u64])).await;
    lab.hook("/x", &[]).await;
    lab.receiver.answer("/x", [Reply::status(500)]);
    lab.redis.publish(&Meeting::new("m").created()).await;
    lab.receiver.wait("/x", 1).await;
    reload(&lab.daemon, &format!("hooks: {{permanentURLs: ['{}']}}", lab.receiver.url("/x"))).await;
    lab.daemon.logs("The hook is suspended").await;
    lab.receiver.answer("/x", [Reply::ok()]);
    lab.daemon.restart().await;
    until("the event is delivered", async || lab.receiver.count("/x") >= 3).await;
    assert!(lab.daemon.hooks().await[0].permanent);
}

#[tokio::test]
async fn an_event_goes_out_by_the_lists_under_which_it_was_accepted() {
    let lab = Lab::start().await;
    lab.hook("/x", &[]).await;
    let gate = Gate::closed();
    lab.receiver.answer("/x", [Reply::ok().behind(&gate), Reply::ok()]);
    let meeting = Meeting::new("math-101");
    let (created, joined) = (meeting.created(), meeting.joined("ada"));
    lab.redis.publish_all(&[created.clone(), joined.clone()]).await;
    until("both are accepted", async || books(&lab.daemon).await["lag"] == 2).await;
    reload(&lab.daemon, "modules: {../out/webhooks/index.js: {config: {excludeEvents: [user-joined]}}}").await;
    lab.redis.publish_all(&[meeting.joined("bob"), meeting.left("ada")]).await;
    until("one more is accepted", async || books(&lab.daemon).await["lag"] == 3).await;
    reload(&lab.daemon, "modules: {../out/webhooks/index.js: {config: {includeEvents: [user-joined]}}}").await;
    lab.redis.publish_all(&[meeting.left("bob"), meeting.joined("cleo")]).await;
    until("one more is accepted", async || books(&lab.daemon).await["lag"] == 4).await;
    gate.open();
    lab.receiver.wait("/x", 4).await;
    assert_eq!(lab.receiver.ids("/x"), ["meeting-created", "user-joined", "user-left", "user-joined"]);
    until("the books are even", async || {
        let hook = books(&lab.daemon).await;
        hook["lag"] == 0 && hook["delivered"] == 4
    })
    .await;
}

async fn books(daemon: &Daemon) -> Value {
    let answer = daemon.call("hooks/status", &[]).await;
    serde_json::from_str::<Value>(&answer.body).unwrap()["hooks"][0].clone()
}

#[tokio::test]
async fn the_schedule_and_the_level_of_the_log_change() {
    let lab = Lab::with(|daemon| daemon.env("LOG_LEVEL", "").set("hooks.retryIntervals", vec![20_u64; 5000])).await;
    lab.hook("/x", &[]).await;
    lab.receiver.answer("/x", [Reply::status(500)]);
    lab.redis.publish(&Meeting::new("m").created()).await;
    lab.receiver.wait("/x", 5).await;
    assert!(!lab.daemon.log().contains("DEBUG"));
    reload(&lab.daemon, "log: {level: debug}\nhooks: {retryIntervals: [1, 1]}").await;
    until("no retry is left", async || lab.daemon.ids().await.is_empty()).await;
    lab.daemon.logs("DEBUG").await;
    assert!(lab.daemon.log().contains("changed=\"hooks.retryIntervals, log.level\""), "{}", lab.daemon.log());
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_says_why() {
    let lab = Lab::start().await;
    reload(&lab.daemon, "hooks: {permanentURLs: ['http://127.0.0.1:9/a']}").await;
    until("it is there", async || lab.daemon.ids().await.len() == 1).await;
    for (text, why) in [
        ("hooks:\n  permanentURLs: []\nmappings:\n  cleanupInterval: often\n", "local.yml:4:"),
        ("hooks: [", "local.yml:"),
        ("hooks: {permanentURLs: ['ftp://h']}", "hooks.permanentURLs"),
    ] {
        std::fs::write(lab.daemon.folder().join("local.yml"), text).unwrap();
        let before = lab.daemon.log().len();
        lab.daemon.signal(Signal::HUP);
        until(format!("it is said why: {text}"), async || {
            let log = lab.daemon.log();
            log[before..].lines().any(|line| line.contains(why) && line.contains("ERROR") && line.contains("goes on"))
        })
        .await;
        assert_eq!(lab.daemon.ids().await.len(), 1);
    }
    assert_eq!(lab.daemon.log().matches(READ_AGAIN).count(), 1);
}

#[tokio::test]
async fn what_needs_a_restart_is_named_without_its_value() {
    let daemon =
        Daemon::without_redis().without_env("SHARED_SECRET").set("bbb.sharedSecret", "secret-before").start().await;
    reload(
        &daemon,
        "{bbb: {sharedSecret: secret-after, previousSecret: secret-before}, hooks: {queueSize: 7, suspendFor: 5000}}",
    )
    .await;
    daemon.logs("this needs a restart").await;
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("needs a restart")).unwrap();
    assert!(
        line.contains("WARN") && line.contains("keys=\"bbb.sharedSecret, bbb.previousSecret, hooks.queueSize\""),
        "{line}"
    );
    assert!(log.contains("changed=\"hooks.suspendFor\"") && !log.contains("secret-"), "{log}");
}

#[tokio::test]
async fn a_reload_while_redis_is_away_holds_nothing_up() {
    let mut lab = Lab::start().await;
    lab.redis.kill();
    reload(&lab.daemon, "hooks: {permanentURLs: ['http://127.0.0.1:9/a'], suspendFor: 7000}").await;
    lab.daemon.logs("reload again when Redis is well").await;
    lab.redis.start_empty().await;
    until("Redis is well", async || {
        lab.daemon.signal(Signal::HUP);
        lab.daemon.hooks().await.len() == 1
    })
    .await;
    assert!(lab.daemon.terminate().await.0.success());
}

#[tokio::test]
async fn closing_the_terminal_is_no_reload_and_ends_the_daemon() {
    let setup = Daemon::without_redis().env("LOG_TO_FILE", "true");
    let name = setup.folder().join("daemon.log");
    let setup = setup.env("LOG_FILENAME", name.to_str().unwrap());
    let logs = |text: &str| std::fs::read_to_string(&name).is_ok_and(|log| log.contains(text));
    let mut terminal = Command::new("script");
    terminal.envs(setup.program(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    terminal.args(["-qec", env!("CARGO_BIN_EXE_bbb-webhooks"), "/dev/null"]);
    let terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut terminal = terminal.spawn().unwrap();
    until("it listens", async || logs("The API listens")).await;
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    until("it has stopped", async || logs("the terminal is gone") && logs("Stopped")).await;
}

#[tokio::test]
async fn nothing_is_lost_repeated_or_out_of_order_by_reloads_under_load() {
    let lab = Lab::with(|daemon| daemon.env("LOG_LEVEL", "info")).await;
    lab.hook("/x", &[]).await;
    let fails = |n: usize| n % 50 == 7;
    let moody = (0..3000).map(|n| if fails(n) { Reply::status(503) } else { Reply::ok() });
    lab.receiver.answer("/x", moody.collect::<Vec<_>>());
    let meeting = Meeting::new("math-101");
    let (events, other) = (2000, lab.receiver.url("/other"));
    let publishing = async {
        for n in 0..events {
            lab.redis.publish(&meeting.chat("ada", &format!("mark-{n}-"))).await;
        }
    };
    let reloading = async {
        for n in 0..15 {
            let permanent = if n % 2 == 0 { json!([other]) } else { json!([]) };
            let excluded = if n % 3 == 0 { json!(["user-left"]) } else { json!([]) };
            let text = json!({
                "hooks": {"permanentURLs": permanent, "retryIntervals": vec![n + 1; 12]},
                "modules": {"../out/webhooks/index.js": {"config": {"excludeEvents": excluded}}},
            });
            reload(&lab.daemon, &text.to_string()).await;
        }
    };
    tokio::join!(publishing, reloading);
    let delivered = || {
        let requests = lab.receiver.to("/x").into_iter().enumerate();
        requests.filter(|(n, _)| !fails(*n)).map(|(_, request)| request).collect::<Vec<_>>()
    };
    until("all are delivered", async || delivered().len() >= events).await;
    let marks: Vec<String> = delivered()
        .iter()
        .map(|request| request.callback().event.split("mark-").nth(1).unwrap().split('-').next().unwrap().to_owned())
        .collect();
    assert_eq!(marks, (0..events).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(lab.receiver.count("/other") > 0, "the other hook was there for a while");
}
