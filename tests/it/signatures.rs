//! The signature in the headers of every callback (Standard Webhooks), and the change of the secret that it follows from.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use serde_json::Value;
use serde_json::json;

use crate::harness::Algorithm;
use crate::harness::Daemon;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Receiver;
use crate::harness::Redis;
use crate::harness::Reply;
use crate::harness::Request;
use crate::harness::SECRET;
use crate::harness::STATEMENTS;
use crate::harness::Setup;
use crate::harness::clean;
use crate::harness::encrypt;
use crate::harness::hook_secret;
use crate::harness::interpreter;
use crate::harness::project;
use crate::harness::until;
use crate::harness::with_lrs;

/// The secret of a hook, as the program prints it.
async fn printed_secret(daemon: &Daemon, id: &str) -> String {
    let ended = daemon.command(&["hooks", "secret", id]).await;
    assert!(ended.status.success(), "{}", ended.stderr);
    ended.stdout.trim_end().to_owned()
}

/// The specification's own library in a language: how to run a script that can use it. `None` where it is missing.
fn official(language: &str) -> Option<Command> {
    let libraries = project().join("target/tools/standardwebhooks");
    let folder: PathBuf = libraries.join(language);
    if !folder.exists() {
        let excused = std::env::var("CI").as_deref() != Ok("true")
            || ["python", "node"].iter().any(|language| libraries.join(language).exists());
        assert!(excused, "the library standardwebhooks is needed in one language; ./test.sh fetches it");
        println!("not tested: there is no library standardwebhooks ({language}) here; ./test.sh fetches it");
        return None;
    }
    let mut command = match language {
        "python" => clean(interpreter("python3")?),
        _ => clean(interpreter("node")?),
    };
    match language {
        "python" => command.env("PYTHONPATH", &folder).args(["-c", PYTHON]),
        _ => command.env("NODE_PATH", folder.join("node_modules")).args(["-e", NODE]),
    };
    Some(command)
}

const PYTHON: &str = r#"
import json, os
from standardwebhooks import Webhook, WebhookVerificationError
for request in json.loads(os.environ["REQUESTS"]):
    try:
        Webhook(os.environ["WEBHOOK_SECRET"]).verify(request["body"], request["headers"], json_parse=False)
        print("genuine")
    except WebhookVerificationError as error:
        print(error)
"#;

const NODE: &str = r#"
const { Webhook } = require('standardwebhooks');
for (const { body, headers } of JSON.parse(process.env.REQUESTS)) {
  try {
    new Webhook(process.env.WEBHOOK_SECRET).verify(body, headers, { jsonParse: false });
    console.log('genuine');
  } catch (error) {
    console.log(error.message);
  }
}
"#;

/// What the library says of requests, one after the other.
async fn verdicts(language: &str, secret: &str, requests: &[Request]) -> Option<Vec<String>> {
    let mut command = official(language)?;
    let request = |request: &Request| {
        let headers: serde_json::Map<String, Value> =
            request.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        json!({"body": request.body, "headers": headers})
    };
    let requests: Vec<Value> = requests.iter().map(request).collect();
    command.env("WEBHOOK_SECRET", secret).env("REQUESTS", json!(requests).to_string());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

/// What the library says of callbacks as they come, and as somebody else made them.
async fn the_official_library_takes_them(language: &str) {
    if official(language).is_none() {
        return;
    }
    for (key, value) in
        [("hooks.multiEvent", json!(5)), ("bbb.auth2_0", json!(true)), ("hooks.legacyAuth", json!(false))]
    {
        let lab = Lab::with(|setup| setup.set(key, value)).await;
        let mapped = lab.hook("/x?a=ü", &[]).await;
        let raw = lab.hook("/raw", &[("getRaw", "true")]).await;
        let meeting = Meeting::new("Физика 1 & 2");
        lab.redis
            .publish_all(&[meeting.created(), meeting.joined("ada"), meeting.chat("ada", "ü + \u{1f600} </script>")])
            .await;
        until("all has come", async || lab.receiver.ids("/x").len() == 3 && lab.receiver.ids("/raw").len() == 3).await;
        for (path, id, other) in [("/x", &mapped, &raw), ("/raw", &raw, &mapped)] {
            let requests = lab.receiver.to(path);
            let secret = printed_secret(&lab.daemon, id).await;
            let said = verdicts(language, &secret, &requests).await.unwrap();
            assert_eq!(said, vec!["genuine"; requests.len()], "{key} {path}");
            let said = verdicts(language, &printed_secret(&lab.daemon, other).await, &requests).await.unwrap();
            assert!(said.iter().all(|said| said.contains("No matching signature")), "{said:?}");
            let mut forged = requests[0].clone();
            forged.body = forged.body.replacen("domain=", "domain=x", 1);
            assert!(verdicts(language, &secret, &[forged]).await.unwrap()[0].contains("No matching signature"));
        }
    }
}

#[tokio::test]
async fn the_official_library_in_python_takes_every_callback() {
    the_official_library_takes_them("python").await;
}

#[tokio::test]
async fn the_official_library_in_javascript_takes_every_callback() {
    the_official_library_takes_them("node").await;
}

#[tokio::test]
async fn the_secret_of_a_hook_needs_no_daemon_and_follows_as_documented() {
    let setup = Daemon::without_redis().without_env("SERVER_DOMAIN");
    for id in ["1", "6f1ab2c3-0b5e-4c57-8d5c-3f2f1f0a9b1e", "bbb-webhooks-test"] {
        let ended = setup.command(&["hooks", "secret", id]).await;
        assert_eq!(ended.stdout, format!("{}\n", hook_secret(SECRET, id)), "{}", ended.stderr);
    }
    let next = setup.env("SHARED_SECRET", "the-next-one");
    assert_eq!(next.command(&["hooks", "secret", "1"]).await.stdout, format!("{}\n", hook_secret("the-next-one", "1")));
    assert_eq!(next.without_env("SHARED_SECRET").command(&["hooks", "secret", "1"]).await.status.code(), Some(78));
}

#[tokio::test]
async fn the_documentation_says_how_the_secret_follows() {
    let document = std::fs::read_to_string(project().join("docs/callbacks.md")).unwrap();
    let documented = hook_secret("my-secret", "1");
    assert!(document.contains(&format!("hooks secret 1\n{documented}\n")), "for my-secret it is {documented}");
    let (Some(bash), Some(_)) = (interpreter("bash"), interpreter("openssl")) else { return };
    let (_, block) = document.split_once("```sh\n").unwrap();
    let commands = block.split("```").next().unwrap().to_owned();
    let output = clean(bash).args(["-c", &commands]).env("ID", "1").env("SECRET", "my-secret").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{documented}\n"));
}

#[tokio::test]
async fn a_meeting_that_runs_while_the_secret_is_changed_keeps_its_learning_record_store() {
    let (redis, receiver, lrs) = (Redis::start().await, Receiver::start().await, Receiver::start().await);
    let payload = json!({"lrs_endpoint": lrs.url(""), "lrs_token": "token-of-a-tenant"}).to_string();
    let payload = json!({"secret-lrs-payload": encrypt(&payload, SECRET)});
    let mut daemon = with_lrs(Daemon::on(&redis), &receiver).start().await;
    let meeting = Meeting::new("math-101");
    redis.publish(&meeting.created_with(&payload)).await;
    lrs.wait(STATEMENTS, 1).await;
    daemon.terminate().await;
    daemon.configure(|setup| setup.env("SHARED_SECRET", "the-next-one").env("PREVIOUS_SECRET", SECRET));
    daemon.start_again().await;
    redis.publish(&meeting.ended()).await;
    lrs.wait(STATEMENTS, 2).await;
}

#[tokio::test]
async fn attempts_share_their_id_over_retries_and_restarts_and_each_has_its_own_time() {
    let mut lab = Lab::with(|setup| setup.set("hooks.retryIntervals", vec![700; 50]).set("hooks.multiEvent", 10)).await;
    let id = lab.hook("/x", &[]).await;
    lab.receiver.answer("/x", [Reply::status(500)]);
    let meeting = Meeting::new("math-101");
    lab.redis.publish_all(&[meeting.created(), meeting.joined("ada")]).await;
    lab.receiver.wait("/x", 3).await;
    lab.daemon.restart().await;
    let before = lab.receiver.count("/x");
    lab.receiver.wait("/x", before + 1).await;
    lab.receiver.answer("/x", [Reply::ok()]);
    until("both are delivered", async || {
        lab.receiver.to("/x").last().is_some_and(|last| last.ids().last().is_some_and(|id| id == "user-joined"))
    })
    .await;
    let requests = lab.receiver.to("/x");
    let secret = hook_secret(SECRET, &id);
    assert!(requests.iter().all(|request| request.is_signed_in_headers(&secret)));
    let first = requests[0].webhook()[0];
    let same: Vec<_> = requests.iter().filter(|request| request.ids() == requests[0].ids()).collect();
    assert!(same.len() > before && same.iter().all(|request| request.webhook()[0] == first), "{first}");
    // Of a callback's own timestamps there is one for all attempts before the restart; the attempts have a time each.
    let times: Vec<u64> = same.iter().map(|request| request.webhook()[1].parse().unwrap()).collect();
    assert!(times.is_sorted() && times[2] > times[0], "{times:?}");
    assert_eq!(same[0].callback().timestamp, same[2].callback().timestamp);
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(now - times.last().unwrap() < 60, "{times:?}");
    let numbers: Vec<&str> = first.strip_prefix(&format!("{id}_")).unwrap().split('_').collect();
    let numbers: Vec<u64> = numbers.iter().map(|number| number.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 2);
    assert_eq!(numbers[1] - numbers[0] + 1, requests[0].ids().len() as u64);
    // Another callback has another id.
    let ids: std::collections::BTreeSet<_> = requests.iter().map(|request| request.webhook()[0]).collect();
    let callbacks: std::collections::BTreeSet<_> = requests.iter().map(Request::ids).collect();
    assert_eq!(ids.len(), callbacks.len());
}

#[tokio::test]
async fn without_the_legacy_proofs_the_secret_stays_at_home_and_the_body_the_same() {
    let sent = async |change: fn(Setup) -> Setup| {
        let lab = Lab::with(change).await;
        lab.hook("/x?a=1", &[]).await;
        lab.redis.publish(&Meeting::new("math-101").created()).await;
        let request = lab.receiver.wait("/x", 1).await.remove(0);
        assert!(request.is_signed_in_headers(&hook_secret(SECRET, "1")));
        let bearer = request.header("authorization").is_some();
        let names: Vec<String> = request.headers.iter().map(|(name, _)| name.clone()).collect();
        assert!(names.contains(&"webhook-id".to_owned()));
        let fields: Vec<String> =
            request.body.split('&').map(|field| field.split('=').next().unwrap().to_owned()).collect();
        (request.target.contains("checksum="), bearer, fields)
    };
    let fields = ["domain", "event", "timestamp"].map(str::to_owned).to_vec();
    assert_eq!(sent(|setup| setup).await, (true, false, fields.clone()));
    assert_eq!(sent(|setup| setup.env("BEARER_AUTH", "true")).await, (false, true, fields.clone()));
    assert_eq!(sent(|setup| setup.set("hooks.legacyAuth", false)).await, (false, false, fields.clone()));
    let neither = |setup: Setup| setup.env("BEARER_AUTH", "true").set("hooks.legacyAuth", false);
    assert_eq!(sent(neither).await, (false, false, fields));
}

#[tokio::test]
async fn a_test_event_is_signed_in_its_headers_too() {
    let lab = Lab::start().await;
    let id = lab.hook("/x", &[]).await;
    for (named, key) in [(id.clone(), id.as_str()), (lab.receiver.url("/y"), "bbb-webhooks-test")] {
        assert!(lab.daemon.command(&["hooks", "test", &named]).await.status.success());
        let request = lab.receiver.all().pop().unwrap();
        assert!(request.is_signed_in_headers(&hook_secret(SECRET, key)), "{named}");
        assert!(request.webhook()[0].starts_with(&format!("{key}_")));
    }
}

/// A call of the API, signed with a secret.
fn signed(secret: &str, method: &str, query: &str) -> String {
    let checksum = Algorithm::Sha256.hex(&[method, query, secret]);
    let separator = if query.is_empty() { "" } else { "&" };
    format!("/bigbluebutton/api/{method}?{query}{separator}checksum={checksum}")
}

#[tokio::test]
async fn while_there_is_a_previous_secret_the_api_takes_both_and_callbacks_are_signed_with_the_new_one() {
    let mut lab = Lab::with(|setup| setup.env("PREVIOUS_SECRET", "the-old-one")).await;
    lab.daemon.logs("until bbb.previousSecret is empty again").await;
    let query = format!("callbackURL={}", lab.receiver.url("/x").replace(':', "%3A").replace('/', "%2F"));
    let created = lab.daemon.raw_get(&signed("the-old-one", "hooks/create", &query)).await;
    let id = created.text_of("hookID").unwrap();
    let duplicate = lab.daemon.raw_get(&signed(SECRET, "hooks/create", &query)).await;
    assert_eq!(duplicate.text_of("hookID"), Some(id.clone()));
    assert_eq!(
        lab.daemon.raw_get(&signed("the-old-one", "hooks/list", "")).await.text_of("hooks/hook/hookID"),
        Some(id.clone())
    );
    let status = lab.daemon.raw_get(&signed("the-old-one", "hooks/status", "")).await;
    assert_eq!((status.status, status.body.contains("delivered")), (200, true));
    let daemon = &lab.daemon;
    until("calls with the previous secret are said", async || {
        daemon.log().matches("A call is signed with the previous secret").count() == 3
    })
    .await;
    assert!(!lab.daemon.log().contains("A call has a wrong checksum"), "{}", lab.daemon.log());
    assert_eq!(
        lab.daemon.raw_get(&signed("another", "hooks/list", "")).await.message_key().as_deref(),
        Some("checksumError")
    );

    // A usual mistake is told, whichever secret is meant; and neither is seen.
    let query = "meetingID=the-old-one";
    let checksum = Algorithm::Sha256.hex(&["list", query, "the-old-one"]);
    lab.daemon.raw_get(&format!("/bigbluebutton/api/hooks/list?{query}&checksum={checksum}")).await;
    lab.daemon.logs("hooks/ belongs before").await;
    lab.daemon.logs("to_sign").await;

    lab.redis.publish(&Meeting::new("math-101").created()).await;
    let request = lab.receiver.wait("/x", 1).await.remove(0);
    assert!(request.is_signed(&lab.receiver.url("/x"), SECRET, Algorithm::Sha1));
    assert!(request.is_signed_in_headers(&hook_secret(SECRET, &id)));
    let destroyed = lab.daemon.raw_get(&signed("the-old-one", "hooks/destroy", &format!("hookID={id}"))).await;
    assert_eq!(destroyed.text_of("removed").as_deref(), Some("true"), "{}", destroyed.body);

    let verified = lab.daemon.command(&["sign", "--verify", &signed("the-old-one", "hooks/list", "")]).await;
    assert!(verified.status.success() && verified.stdout.contains("with the previous secret"), "{}", verified.stdout);
    let checked = lab.daemon.command(&["check"]).await;
    assert!(checked.stdout.contains("previousSecret: \"***\""), "{}", checked.stdout);
    for text in [&lab.daemon.log(), &lab.daemon.stderr(), &checked.stdout, &verified.stdout] {
        assert!(!text.contains("the-old-one") && !text.contains(SECRET), "{text}");
    }

    lab.daemon.terminate().await;
    lab.daemon.configure(|setup| setup.without_env("PREVIOUS_SECRET"));
    lab.daemon.start_again().await;
    let refused = lab.daemon.raw_get(&signed("the-old-one", "hooks/list", "")).await;
    assert_eq!(refused.message_key().as_deref(), Some("checksumError"));
    assert_eq!(lab.daemon.raw_get(&signed("the-old-one", "hooks/status", "")).await.status, 404);
    assert_eq!(lab.daemon.raw_get(&signed(SECRET, "hooks/list", "")).await.message_key(), None);
}

#[tokio::test]
async fn many_calls_with_the_previous_secret_do_not_flood_the_log() {
    let daemon = Daemon::without_redis().env("PREVIOUS_SECRET", "the-old-one").env("LOG_LEVEL", "info").start().await;
    let start = tokio::time::Instant::now();
    for _ in 0..100 {
        daemon.raw_get(&signed("the-old-one", "hooks/status", "")).await;
    }
    let said = daemon.log().matches("A call is signed with the previous secret").count() as u64;
    assert!((1..=5 + start.elapsed().div_duration_f64(Duration::from_secs(60)) as u64).contains(&said), "{said}");
}

#[tokio::test]
async fn receive_and_sign_check_what_the_headers_say() {
    let lab = Lab::with(|setup| setup.set("hooks.legacyAuth", false)).await;
    let receiver = lab.daemon.follow(&["receive", "--json"]);
    receiver.says("is registered for").await;
    let id = lab.hook("/x?a=1", &[]).await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    let line: Value = serde_json::from_str(&receiver.prints(1).await[0]).unwrap();
    assert_eq!((&line["signature"], &line["webhookSignature"]), (&json!("right"), &json!("right")), "{line}");
    assert_eq!((&line["signed"], &line["wrong"]), (&json!("Standard Webhooks"), &json!(null)));
    assert!(line["webhookId"].as_str().unwrap().starts_with("1_"), "{line}");

    let request = lab.receiver.wait("/x", 1).await.remove(0);
    let file = lab.daemon.folder().join("body");
    let [webhook_id, timestamp, signature] = request.webhook();
    let check = async |body: &str, signature: &str| {
        std::fs::write(&file, body).unwrap();
        let headers = [
            format!("Webhook-Id: {webhook_id}"),
            format!("webhook-timestamp: {timestamp}"),
            format!("webhook-signature: {signature}"),
        ];
        let url = lab.receiver.url("/x?a=1");
        let mut arguments = vec!["sign", "--callback", &url, "--body", file.to_str().unwrap()];
        headers.iter().for_each(|header| arguments.extend(["--header", header]));
        lab.daemon.command(&arguments).await
    };
    let right = check(&request.body, signature).await;
    assert_eq!(
        right.stdout,
        format!("RIGHT     webhook-signature of hook {id}\nSignature {signature}\n"),
        "{}",
        right.stderr
    );
    assert_eq!(right.status.code(), Some(0));
    for (body, given, why) in [
        (format!("{}\n", request.body), signature, "line end"),
        (request.body.replace('+', "%20"), "v1,AAAA", "another secret"),
    ] {
        let wrong = check(&body, given).await;
        assert_eq!(wrong.status.code(), Some(1));
        assert!(wrong.stdout.starts_with("WRONG") && wrong.stdout.contains(why), "{}", wrong.stdout);
    }
}
