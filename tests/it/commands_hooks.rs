//! `hooks`: the API from the command line.

use serde_json::Value;
use serde_json::json;

use crate::harness::Algorithm;
use crate::harness::Daemon;
use crate::harness::Lab;
use crate::harness::Receiver;
use crate::harness::Redis;
use crate::harness::Reply;
use crate::harness::SECRET;
use crate::harness::free_port;
use crate::harness::until;

#[tokio::test]
async fn hooks_are_created_listed_and_destroyed() {
    let lab = Lab::start().await;
    let hooks = async |arguments: &[&str]| {
        let ended = lab.daemon.command(&[&["hooks"], arguments].concat()).await;
        assert!(ended.status.success(), "{}", ended.stderr);
        ended.stdout
    };
    assert_eq!(hooks(&["list"]).await, "There are no hooks.\n");
    let url = lab.receiver.url("/x?a=1&b=ü");
    let wanted = ["--meeting", "m & n", "--events", "user-joined,user-left", "--raw"];
    assert_eq!(hooks(&[&["create", &url], &wanted[..]].concat()).await, "Hook 1 is created.\n");
    let stays = "Hook 1 has this URL already; it stays as it is, and gets user-joined,user-left of meeting m & n, raw";
    assert_eq!(hooks(&[&["create", &url], &wanted[..]].concat()).await, format!("{stays}.\n"));
    let other = hooks(&["create", &url, "--meeting", "other"]).await;
    assert_eq!(other, format!("{stays}. For others, destroy it first: bbb-webhooks hooks destroy 1.\n"));
    let second: Value = serde_json::from_str(&hooks(&["create", &lab.receiver.url("/y"), "--json"]).await).unwrap();
    assert_eq!((&second["id"], &second["created"]), (&json!("2"), &json!(true)));

    let table = hooks(&["list"]).await;
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("ID  KIND"), "{table}");
    assert!(lines[1].contains("raw") && lines[1].contains("m & n") && lines[1].ends_with(&url), "{table}");
    let listed = hooks(&["list", "--json"]).await;
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        listed[0],
        json!({"id": "1", "url": url, "meeting": "m & n", "events": ["user-joined", "user-left"],
               "permanent": false, "raw": true})
    );
    assert_eq!(hooks(&["list", "--meeting", "other", "--json"]).await.lines().count(), 1);
    assert_eq!(hooks(&["destroy", "1", "2"]).await, "Hook 1 is destroyed.\nHook 2 is destroyed.\n");
    assert_eq!(lab.daemon.ids().await, [""; 0]);
}

#[tokio::test]
async fn what_the_daemon_refuses_is_an_error_that_says_why() {
    let lab = Lab::start().await;
    for (arguments, why) in [
        (&["destroy", "77"][..], "destroyMissingHook"),
        (&["create", "ftp://h/"], "no absolute http or https URL"),
        (&["test", "77"], "there is no hook 77"),
    ] {
        let ended = lab.daemon.command(&[&["hooks"], arguments].concat()).await;
        assert_eq!(ended.status.code(), Some(1));
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
    }
    let ended = Daemon::without_redis().command(&["hooks", "list"]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("does not answer") && ended.stderr.contains("refused"), "{}", ended.stderr);
    let port = lab.daemon.address().1.to_string();
    let other = Daemon::without_redis().env("SERVER_PORT", &port).env("SHARED_SECRET", "other");
    let ended = other.command(&["hooks", "list"]).await;
    assert!(ended.stderr.contains("checksumError") && ended.stderr.contains("another secret"), "{}", ended.stderr);
    assert_eq!(lab.daemon.command(&["hooks", "destroy"]).await.status.code(), Some(2));
}

#[tokio::test]
async fn control_characters_are_neither_taken_nor_printed() {
    let redis = Redis::start().await;
    // As other daemons stored it.
    let url = "http://127.0.0.1:9/old\r\n8\u{1b}[2J";
    let fields = [("id", "7"), ("callbackURL", url), ("externalMeetingID", "a\tb"), ("permanent", "false")];
    let out = "bigbluebutton:webhooks:out";
    redis.put(&format!("{out}:hooks"), &format!("{out}:hook"), "7", &fields).await;
    let daemon = Daemon::on(&redis).start().await;
    daemon.knows_its_hooks().await;
    for (url, character) in [
        ("http://127.0.0.1:9/old\r\nEVIL", "\\u{d}"),
        ("http://127.0.0.1:9/\t", "\\u{9}"),
        ("\nhttp://127.0.0.1:9/", "\\u{a}"),
        ("http://127.0.0.1:9/\u{7f}", "\\u{7f}"),
    ] {
        let answer = daemon.try_create(url, &[]).await;
        assert_eq!(answer.message_key().as_deref(), Some("createHookError"), "{}", answer.body);
        let message = answer.text_of("message").unwrap();
        assert_eq!(message, format!("The callbackURL has a control character: {character}."));
    }
    let ended = daemon.command(&["hooks", "list"]).await;
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 2, "{:?}", ended.stdout);
    assert!(!ended.stdout.contains(|c: char| c.is_control() && c != '\n'), "{:?}", ended.stdout);
    assert!(ended.stdout.contains("http://127.0.0.1:9/old\\u{d}\\u{a}8"), "{:?}", ended.stdout);
}

#[tokio::test]
async fn a_permanent_hook_is_destroyed_where_it_is_configured() {
    let receiver = Receiver::start().await;
    let redis = Redis::start().await;
    let daemon = Daemon::on(&redis).set("hooks.permanentURLs", json!([receiver.url("/x")])).start().await;
    let ended = daemon.command(&["hooks", "destroy", "1"]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("it is permanent: take it out of hooks.permanentURLs"), "{}", ended.stderr);
    assert_eq!(daemon.ids().await, ["1"]);
    let answer = daemon.destroy("1").await;
    assert_eq!(answer.message_key().as_deref(), Some("destroyMissingHook"), "clients are told what they always were");
}

#[tokio::test]
async fn an_event_that_there_is_not_is_warned_of_and_taken() {
    let lab = Lab::with(|setup| setup.set("events", json!([{"message": "SomeEvtMsg", "id": "of-ours"}]))).await;
    let asked = ["hooks", "create", &lab.receiver.url("/x"), "--events", "user-join, User-Left,of-ours"];
    let ended = lab.daemon.command(&asked).await;
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(ended.stderr, "Warning: user-join: no such event; docs/events.md has all\n");
    // The daemon says it of whoever asks, but not of each of many.
    for n in 0..20 {
        lab.hook(&format!("/{n}"), &[("eventID", "no-such-event\n,user-left")]).await;
    }
    lab.hook("/known", &[("eventID", "of-ours")]).await;
    let asks = "asks for events that there are not";
    until("five are said", async || lab.daemon.log().matches(asks).count() >= 5).await;
    let log = lab.daemon.log();
    let said: Vec<_> = log.lines().filter(|line| line.contains(asks)).collect();
    assert_eq!(said.len(), 5, "{said:#?}");
    assert!(said[0].contains("user-join") && !said[0].contains("of-ours"), "{}", said[0]);
    assert!(said[1].contains("no-such-event") && !said[1].contains("user-left"), "{}", said[1]);
}

#[tokio::test]
async fn commands_do_without_the_domain_where_they_need_none() {
    let lab = Lab::start().await;
    let port = lab.daemon.address().1.to_string();
    let setup = Daemon::on(&lab.redis).without_env("SERVER_DOMAIN").env("SERVER_PORT", &port);
    let id = lab.hook("/x", &[]).await;
    for arguments in
        [&["hooks", "list"][..], &["status"], &["parked", &id], &["hooks", "secret", &id], &["sign", "list"]]
    {
        let ended = setup.command(arguments).await;
        assert!(ended.status.success(), "{arguments:?}: {}", ended.stderr);
    }
    let ended = setup.command(&["hooks", "test", &id]).await;
    assert_eq!(ended.status.code(), Some(78), "the receiver is told the domain");
    assert!(ended.stderr.contains("bbb.serverDomain"), "{}", ended.stderr);
}

#[tokio::test]
async fn what_redis_says_is_said_once() {
    let setup = Daemon::without_redis().env("REDIS_HOST", "127.0.0.1").env("REDIS_PORT", &free_port().to_string());
    for arguments in [&["parked", "1"][..], &["events"]] {
        let ended = setup.command(arguments).await;
        assert_eq!(ended.status.code(), Some(1));
        assert_eq!(ended.stderr.matches("onnection refused").count(), 1, "{}", ended.stderr);
    }
}

#[tokio::test]
async fn the_api_is_found_where_it_listens_on_all_addresses() {
    let redis = Redis::start().await;
    let daemon =
        Daemon::on(&redis).env("SERVER_BIND_IP", "0.0.0.0").set("bbb.apiPath", "/bigbluebutton/api/").start().await;
    let ended = daemon.command(&["hooks", "list"]).await;
    assert_eq!(ended.stdout, "There are no hooks.\n", "{}", ended.stderr);
}

#[tokio::test]
async fn a_test_event_goes_straight_to_the_receiver_signed() {
    let lab = Lab::with(|setup| setup.env("HOOK_CHECKSUM_ALGORITHM", "sha256")).await;
    let id = lab.hook("/x?a=1", &[("meetingID", "math-101"), ("eventID", "user-left")]).await;
    let ended = lab.daemon.command(&["hooks", "test", &id]).await;
    assert_eq!(ended.status.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("delivered: status 200, after "), "{}", ended.stdout);
    assert!(!ended.stdout.contains("checksum="), "{}", ended.stdout);
    let request = &lab.receiver.to("/x")[0];
    assert!(request.is_signed(&lab.receiver.url("/x?a=1"), SECRET, Algorithm::Sha256));
    assert_eq!(request.ids(), ["bbb-webhooks-test"]);
    assert_eq!(request.events()[0]["data"]["attributes"]["meeting"]["external-meeting-id"], "math-101");
    let kept: u64 = lab.redis.run(redis::cmd("XLEN").arg("bigbluebutton:webhooks:out:journal")).await;
    assert_eq!(kept, 0, "it is no part of the journal");

    let raw = lab.hook("/raw", &[("getRaw", "true")]).await;
    for named in [raw, lab.receiver.url("/raw")] {
        assert!(lab.daemon.command(&["hooks", "test", &named]).await.status.success());
    }
    for request in lab.receiver.to("/raw") {
        assert_eq!(request.events()[0]["core"]["header"]["name"], "bbb-webhooks-test");
    }
}

#[tokio::test]
async fn a_test_says_what_to_make_of_a_bad_answer() {
    let receiver = Receiver::start().await;
    let setup = Daemon::without_redis().env("REQUEST_TIMEOUT", "2000").env("BEARER_AUTH", "true");
    for (path, reply, code, hint) in [
        ("/denies", Reply::status(401), 0, "denied"),
        ("/refuses", Reply::status(403), 1, "checksum"),
        ("/moved", Reply::redirect(302, "/denies"), 1, "Register the URL"),
        ("/hangs", Reply::hang(), 1, "2000 ms"),
        ("/fails", Reply::status(500), 1, "its own log"),
    ] {
        receiver.answer(path, [reply]);
        // Neither a daemon nor a registered hook is needed for a URL.
        let ended = setup.command(&["hooks", "test", &receiver.url(path), "--json"]).await;
        assert_eq!(ended.status.code(), Some(code), "{path} {}", ended.stderr);
        let outcome: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(outcome["delivered"], code == 0, "{outcome}");
        assert!(outcome["hint"].as_str().unwrap().contains(hint), "{outcome}");
        assert_eq!(receiver.to(path)[0].header("authorization"), Some(format!("Bearer {SECRET}").as_str()));
    }
    let ended = setup.command(&["hooks", "test", &format!("http://127.0.0.1:{}/", free_port())]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stdout.contains("NOT delivered: no connection"), "{}", ended.stdout);
}
