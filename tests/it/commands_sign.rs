//! `sign`: its checksums are those that the daemon takes and makes.

use serde_json::Value;

use crate::harness::Algorithm;
use crate::harness::Daemon;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::SECRET;
use crate::harness::api_checksum;

#[tokio::test]
async fn the_daemon_takes_what_was_signed() {
    let lab = Lab::start().await;
    let mut hooks = 0;
    for (name, _) in Algorithm::ALL {
        let query = format!("callbackURL=http://127.0.0.1:1/{name} and more&getRaw=True");
        let ended = lab.daemon.command(&["sign", "create", &query, "--algorithm", name, "--json"]).await;
        assert!(ended.status.success(), "{}", ended.stderr);
        let signed: Value = serde_json::from_str(&ended.stdout).unwrap();
        let target = signed["local"].as_str().unwrap().split_once("http://127.0.0.1:").unwrap().1;
        let answer = lab.daemon.raw_get(&target[target.find('/').unwrap()..]).await;
        hooks += 1;
        assert_eq!(answer.text_of("hookID"), Some(hooks.to_string()), "{signed}: {}", answer.body);
        // A whole URL, with whatever checksum: the right one comes out.
        let url = signed["url"].as_str().unwrap();
        let wrong = url.replace("checksum=", "checksum=00");
        let again = lab.daemon.command(&["sign", &wrong, "--algorithm", name]).await;
        assert!(again.stdout.contains(url), "{}", again.stdout);
        assert!(!again.stdout.contains(SECRET) && !ended.stdout.contains(SECRET));
        let verified = lab.daemon.command(&["sign", "--verify", url]).await;
        assert_eq!(verified.status.code(), Some(0));
        assert!(verified.stdout.starts_with(&format!("RIGHT     {name}\n")), "{}", verified.stdout);
    }
}

#[tokio::test]
async fn a_wrong_checksum_is_explained() {
    let setup = Daemon::without_redis().env("SUPPORTED_CHECKSUM_ALGORITHMS", "sha256");
    let query = "callbackURL=http%3A%2F%2Fh%2F&meetingID=m";
    for (algorithm, method, signed, why) in [
        (Algorithm::Sha256, "create", query, "hooks/ belongs before it"),
        (Algorithm::Sha1, "hooks/create", query, "sha1 is not accepted"),
        (Algorithm::Sha256, "hooks/create", "meetingID=m&callbackURL=http%3A%2F%2Fh%2F", "in another order"),
    ] {
        let checksum = api_checksum(algorithm, method, signed);
        let url = format!("https://h/bigbluebutton/api/hooks/create?{query}&checksum={checksum}");
        let ended = setup.command(&["sign", "--verify", &url]).await;
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(ended.stdout.starts_with("WRONG") && ended.stdout.contains(why), "{}", ended.stdout);
        assert!(ended.stdout.contains("meetingID = m") && !ended.stdout.contains(SECRET), "{}", ended.stdout);
    }
    let ended = setup.command(&["sign", "--verify", "https://h/elsewhere"]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("bbb.apiPath"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_callback_is_checked_as_its_receiver_has_it() {
    let lab = Lab::start().await;
    lab.hook("/x?a=1", &[]).await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    let request = lab.receiver.wait("/x", 1).await.remove(0);
    let url = lab.receiver.url(&request.target);
    let folder = lab.daemon.folder();
    let check = async |url: &str, body: &str, more: &[&str]| {
        std::fs::write(folder.join("body"), body).unwrap();
        let file = folder.join("body").display().to_string();
        lab.daemon.command(&[&["sign", "--callback", url, "--body", &file], more].concat()).await
    };
    let right = check(&url, &request.body, &[]).await;
    assert_eq!(
        (right.status.code(), right.stdout.lines().next()),
        (Some(0), Some("RIGHT     sha1")),
        "{}",
        right.stderr
    );
    let behind_a_proxy = url.replace("http://127.0.0.1", "http://backend");
    let right = check(&behind_a_proxy, &request.body, &["--registered", &lab.receiver.url("/x?a=1")]).await;
    assert_eq!(right.status.code(), Some(0), "{}", right.stdout);
    let callback = request.callback();
    let decoded = format!("domain={}&event={}&timestamp={}\n", callback.domain, callback.event, callback.timestamp);
    for (url, body, why) in [
        (&url, decoded.as_str(), "the body is decoded"),
        (&url, &format!("{}\n", request.body), "line end"),
        (&behind_a_proxy, &request.body, "another URL"),
    ] {
        let wrong = check(url, body, &[]).await;
        assert_eq!(wrong.status.code(), Some(1));
        assert!(wrong.stdout.starts_with("WRONG") && wrong.stdout.contains(why), "{}", wrong.stdout);
        assert!(!wrong.stdout.contains(SECRET), "{}", wrong.stdout);
    }
}

#[tokio::test]
async fn a_secret_is_all_that_signing_needs() {
    let setup = Daemon::without_redis().without_env("SERVER_DOMAIN");
    let ended = setup.command(&["sign", "list", "--algorithm", "sha1"]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains(&api_checksum(Algorithm::Sha1, "hooks/list", "")), "{}", ended.stdout);
    let ended = setup.without_env("SHARED_SECRET").command(&["sign", "list"]).await;
    assert_eq!(ended.status.code(), Some(78));
    assert!(ended.stderr.contains("bbb.sharedSecret"), "{}", ended.stderr);
}
