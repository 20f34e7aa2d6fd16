//! What Prometheus gets to see.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::io::Write;
use std::process::Command;
use std::process::Stdio;

use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Reply;
use crate::harness::Scrape;
use crate::harness::Setup;
use crate::harness::eventually;
use crate::harness::free_port;
use crate::harness::until;

/// A daemon that serves metrics, and their port.
async fn lab(change: impl FnOnce(Setup) -> Setup) -> (Lab, u16) {
    let port = free_port();
    let lab = Lab::with(|daemon| change(daemon.env("PROM_ENABLED", "true").env("PROM_PORT", &port.to_string()))).await;
    (lab, port)
}

#[tokio::test]
async fn the_names_of_the_node_daemon_are_there_with_their_labels() {
    let (lab, port) = lab(|daemon| daemon.set("hooks.retryIntervals", vec![50_u64])).await;
    let url = lab.receiver.url("/x");
    lab.daemon.create(&format!("{url}?token=secret-token"), &[]).await;
    lab.daemon.call("hooks/create", &[("callbackURL", "nonsense")]).await;
    lab.daemon.raw_get("/bigbluebutton/api/hooks/list?checksum=1234").await;
    lab.receiver.answer("/x", [Reply::status(503), Reply::ok()]);
    let meeting = Meeting::new("math-101");
    lab.redis.publish_all(&[meeting.created(), meeting.joined("ada")]).await;
    lab.redis.publish_on("from-akka-apps-redis-channel", "{\"envelope\":{\"name\":\"UserLeftMeetingEvtMsg\"}").await;
    lab.receiver.wait("/x", 3).await;
    let scrape = eventually("two are counted", async || {
        let scrape = Scrape::of(port).await;
        (scrape.with("processed_events").len() == 2).then_some(scrape)
    })
    .await;
    let request = |path: &str, code: &str, key: &str| {
        format!(
            "bbb_webhooks_out_hooks_api_requests{{method=\"GET\",path=\"/bigbluebutton/api/hooks/{path}\",statusCode=\"200\",\
             returncode=\"{code}\",messageKey=\"{key}\"}}"
        )
    };
    for (series, value) in [
        ("bbb_webhooks_module_status{module=\"../in/redis/index.js\",moduleType=\"in\"}".to_owned(), 1.0),
        ("bbb_webhooks_module_status{module=\"../db/redis/index.js\",moduleType=\"db\"}".to_owned(), 1.0),
        ("bbb_webhooks_module_status{module=\"../out/webhooks/index.js\",moduleType=\"out\"}".to_owned(), 1.0),
        ("bbb_webhooks_event_process_failures".to_owned(), 1.0),
        ("bbb_webhooks_meeting_mappings".to_owned(), 1.0),
        ("bbb_webhooks_user_mappings".to_owned(), 1.0),
        (request("create", "SUCCESS", ""), 1.0),
        (request("create", "FAILED", "createHookError"), 1.0),
        (request("list", "FAILED", "checksumError"), 1.0),
        (
            format!(
                "bbb_webhooks_out_hooks_registered_hooks{{callbackURL=\"{url}\",permanent=\"false\",getRaw=\"false\",\
                 enabled=\"true\"}}"
            ),
            1.0,
        ),
        (
            format!(
                "bbb_webhooks_out_hooks_hook_failures{{callbackURL=\"{url}\",reason=\"503\",eventId=\"meeting-created\"}}"
            ),
            1.0,
        ),
        (format!("bbb_webhooks_out_hooks_processed_events{{eventId=\"user-joined\",callbackURL=\"{url}\"}}"), 1.0),
    ] {
        assert!((scrape.value(&series) - value).abs() < 1e-9, "{series} {}", scrape.value(&series));
    }
    assert!(!scrape.text.contains("secret-token"), "{}", scrape.text);
}

#[tokio::test]
async fn counters_of_a_url_that_hooks_share_go_on_when_one_of_them_goes() {
    let (lab, port) = lab(|daemon| daemon.set("hooks.retryIntervals", vec![2000_u64])).await;
    let ids = [lab.hook("/x?token=1", &[]).await, lab.hook("/x?token=2", &[]).await];
    let meeting = Meeting::new("math-101");
    lab.redis.publish(&meeting.created()).await;
    lab.receiver.wait("/x", 2).await;
    lab.receiver.refuse("/x", Some("user-joined"));
    lab.redis.publish(&meeting.joined("ada")).await;
    lab.receiver.wait("/x", 4).await;
    // The receiver works, so what it refuses is parked.
    lab.redis.publish(&Meeting::new("physics-2").created()).await;
    let url = lab.receiver.url("/x");
    let created =
        format!("bbb_webhooks_out_hooks_processed_events{{eventId=\"meeting-created\",callbackURL=\"{url}\"}}");
    let refused =
        format!("bbb_webhooks_out_hooks_hook_failures{{callbackURL=\"{url}\",reason=\"400\",eventId=\"user-joined\"}}");
    let parked =
        "bbb_webhooks_event_dispatch_failures{outputEventId=\"user-joined\",module=\"../out/webhooks/index.js\"}";
    let counted = async || {
        let scrape = Scrape::of(port).await;
        [created.as_str(), &refused, parked].map(|series| scrape.samples.get(series).map(|value| value.round()))
    };
    until("both are counted", async || counted().await == [Some(4.0), Some(4.0), Some(2.0)]).await;
    lab.daemon.destroy(&ids[0]).await;
    assert_eq!(counted().await, [Some(4.0), Some(4.0), Some(2.0)]);
    lab.daemon.destroy(&ids[1]).await;
    assert_eq!(counted().await, [None, None, Some(2.0)], "the last took the series with it");
}

#[tokio::test]
async fn the_books_balance_in_every_scrape_and_a_removed_hook_is_gone_from_it() {
    let (lab, port) =
        lab(|daemon| daemon.set("hooks.queueSize", 60).set("hooks.retryIntervals", vec![20_u64; 500])).await;
    let ids = [lab.hook("/good", &[]).await, lab.hook("/bad", &[]).await];
    lab.receiver.answer("/bad", [Reply::status(500)]);
    let meeting = Meeting::new("math-101");
    let balance = async || {
        let scrape = Scrape::of(port).await;
        for id in &ids {
            let account = scrape.account(id);
            assert!(account.balances(), "hook {id}: {account:?}\n{}", scrape.text);
        }
        scrape
    };
    for n in 0..100 {
        lab.redis.publish(&meeting.chat("ada", &n.to_string())).await;
        balance().await;
    }
    lab.receiver.wait("/good", 100).await;
    // The receiver has the last one before the daemon has its answer.
    let scrape = eventually("the bad one's state is told, and all that the good one took", async || {
        let scrape = balance().await;
        let failing = scrape.with("hook_state").into_iter().any(|series| {
            series.contains(&format!("hook=\"{}\"", ids[1]))
                && series.contains("failing")
                && scrape.samples[series] > 0.5
        });
        let count = scrape.with("hook_delivery_seconds_count").into_iter().map(|series| scrape.samples[series]);
        (failing && (count.sum::<f64>() - 100.0).abs() < 0.5).then_some(scrape)
    })
    .await;
    assert!(scrape.with("hook_lag_seconds").len() == 2);

    lab.daemon.destroy(&ids[1]).await;
    until("its series are gone", async || {
        let scrape = Scrape::of(port).await;
        scrape.with(&format!("hook=\"{}\"", ids[1])).is_empty() && scrape.with("/bad").is_empty()
    })
    .await;
}

#[tokio::test]
async fn the_process_is_measured_only_if_asked() {
    let (_plain, port) = lab(|daemon| daemon).await;
    assert!(Scrape::of(port).await.with("webhooks_process_").is_empty());
    let (_asked, port) = lab(|daemon| daemon.env("PROM_COLLECT_DEFAULT_METRICS", "true")).await;
    let scrape = Scrape::of(port).await;
    let names: BTreeSet<_> = scrape.with("bbb_webhooks_process_").into_iter().cloned().collect();
    assert_eq!(names.len(), 8, "{names:?}");
    assert!(scrape.value("bbb_webhooks_process_process_resident_memory_bytes") > 1e6);
}

#[tokio::test]
async fn a_redis_that_is_away_shows() {
    let (mut lab, port) = lab(|daemon| daemon).await;
    assert!(Scrape::of(port).await.value("bbb_webhooks_degraded") < 0.5);
    lab.redis.kill();
    until("it is degraded", async || Scrape::of(port).await.value("bbb_webhooks_degraded") > 0.5).await;
    until("the subscription is lost", async || Scrape::of(port).await.value("bbb_webhooks_subscribed") < 0.5).await;
    lab.redis.start_again().await;
    until("it is well again", async || Scrape::of(port).await.value("bbb_webhooks_degraded") < 0.5).await;
}

/// The Node daemon's names, which dashboards know: whatever Prometheus's tool thinks of them, they stay.
const OLD_NAMES: [&str; 9] = [
    "bbb_webhooks_module_status",
    "bbb_webhooks_event_process_failures",
    "bbb_webhooks_event_dispatch_failures",
    "bbb_webhooks_meeting_mappings",
    "bbb_webhooks_user_mappings",
    "bbb_webhooks_out_hooks_api_requests",
    "bbb_webhooks_out_hooks_registered_hooks",
    "bbb_webhooks_out_hooks_hook_failures",
    "bbb_webhooks_out_hooks_processed_events",
];

/// What `promtool check metrics` says of a scrape, line by line; none where it is not installed, which is no excuse in CI.
fn promtool(scrape: &str) -> Option<Vec<String>> {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "promtool is not installed: see scripts/prerequisites.sh"
            );
            eprintln!("SKIPPED: promtool is not installed (Debian's package prometheus has it; ./test.sh fetches it)");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    child.stdin.take().unwrap().write_all(scrape.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    // 3 says that it can be read, with remarks.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}: {said}\n{scrape}", output.status);
    Some(said.lines().map(str::to_owned).collect())
}

#[tokio::test]
async fn prometheus_own_tool_reads_it_and_remarks_on_nothing_but_old_names() {
    let (lab, port) =
        lab(|daemon| daemon.env("PROM_COLLECT_DEFAULT_METRICS", "true").set("hooks.retryIntervals", vec![50_u64; 500]))
            .await;
    // A host and a path that are not plain, and everything that has a label.
    lab.hook("/good/\"quoted\"%20%C3%A9?token=x", &[]).await;
    lab.hook("/bad", &[]).await;
    lab.receiver.answer("/bad", [Reply::status(500)]);
    lab.daemon.raw_get("/bigbluebutton/api/hooks/list").await;
    let meeting = Meeting::new("math-101");
    lab.redis.publish_all(&[meeting.created(), meeting.joined("ada")]).await;
    let scrape = eventually("deliveries and failures are counted", async || {
        let scrape = Scrape::of(port).await;
        let counted = |name: &str| !scrape.with(name).is_empty();
        (counted("processed_events{") && counted("hook_failures{")).then_some(scrape)
    })
    .await;
    let Some(remarks) = promtool(&scrape.text) else { return };
    for remark in &remarks {
        assert!(OLD_NAMES.iter().any(|name| remark.starts_with(&format!("{name} "))), "{remark}");
    }
    assert!(!remarks.is_empty(), "it looks: the old names lack _total");
    let broken = promtool("bbb_webhooks_new 1\nbbb_webhooks_new_bytes_total 1\n").unwrap();
    assert!(broken.iter().any(|remark| remark.contains("bbb_webhooks_new ")), "{broken:?}");
}
