//! How the program starts, or does not, for what it is configured with.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use serde_json::json;

use crate::harness::Algorithm;
use crate::harness::Daemon;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Receiver;
use crate::harness::Redis;
use crate::harness::Reply;
use crate::harness::SECRET;
use crate::harness::api_checksum;
use crate::harness::until;

#[tokio::test]
async fn a_value_of_the_wrong_type_stops_the_start_and_is_pointed_out() {
    let setup = Daemon::without_redis().file("local.yml", "log:\n  level: info\nhooks:\n  queueSize: plenty\n");
    let place = format!("{}:4:", setup.folder().join("local.yml").display());
    let ended = setup.run().await;
    assert_eq!(ended.status.code(), Some(78));
    let line = ended.stderr.lines().find(|line| line.contains(&place)).unwrap_or_else(|| panic!("{}", ended.stderr));
    assert!(line.contains("hooks.queueSize") && line.contains("plenty"), "{line}");
    assert_eq!(ended.stdout, "");
}

#[tokio::test]
async fn every_problem_is_named_at_once_and_no_secret_with_it() {
    let text = "bbb:\n  sharedSecret: [hush-hush]\nhooks:\n  queueSize: -1\n  multiEvent: x\n";
    let ended = Daemon::without_redis().without_env("SHARED_SECRET").file("local.yml", text).run().await;
    assert_eq!(ended.status.code(), Some(78));
    for what in ["bbb.sharedSecret", "hooks.queueSize", "hooks.multiEvent"] {
        assert!(ended.stderr.contains(what), "{what} is not in {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
}

#[tokio::test]
async fn without_a_secret_it_says_where_it_looked() {
    const PROPERTIES: [&str; 2] =
        ["/etc/bigbluebutton/bbb-web.properties", "/usr/share/bbb-web/WEB-INF/classes/bigbluebutton.properties"];
    if PROPERTIES.iter().any(|file| Path::new(file).exists()) {
        println!("not tested: BigBlueButton is installed here, and its secret would be found");
        return;
    }
    let setup = Daemon::without_redis().without_env("SHARED_SECRET");
    let folder = setup.folder().display().to_string();
    let ended = setup.run().await;
    assert_eq!(ended.status.code(), Some(78));
    for place in ["bbb.sharedSecret", "SHARED_SECRET", &folder, "securitySalt"].iter().chain(&PROPERTIES) {
        assert!(ended.stderr.contains(place), "{place} is not in {}", ended.stderr);
    }
}

#[tokio::test]
async fn who_may_not_read_the_settings_is_told_who_may() {
    let setup = Daemon::without_redis().file("local.yml", "bbb:\n  apiPath: /x\n");
    let file = setup.folder().join("local.yml");
    std::fs::set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
    for (arguments, by_hand) in [(&["hooks", "list"][..], true), (&["check"], true), (&["serve"], false)] {
        let mut program = setup.program(arguments);
        if rustix::process::geteuid().is_root() {
            // Whom nothing stops. Another cannot even look into the folder.
            program.uid(65534).gid(65534).current_dir("/");
        }
        let ended = match program.output() {
            Ok(ended) => ended,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                println!("not tested: nobody else can run the program from where it is");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(78), "{said}");
        assert!(said.contains("local.yml: cannot be read: Permission denied"), "{said}");
        assert_eq!(said.contains("sudo -u bigbluebutton bbb-webhooks"), by_hand, "{said}");
        assert_eq!(said.contains("then start bbb-webhooks again"), !by_hand, "{said}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_a_failure_that_names_it() {
    let setup = Daemon::without_redis();
    let address = format!("127.0.0.1:{}", setup.port());
    let _taken = TcpListener::bind(&address).unwrap();
    let ended = setup.run().await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains(&address), "{}", ended.stderr);
}

#[tokio::test]
async fn an_unknown_key_is_warned_of_once() {
    let text = "hooks:\n  queueSizes: 3\nqueue:\n  enabled: true\n";
    let lab = Lab::with(|setup| setup.file("local.yml", text).env("LOG_LEVEL", "warn")).await;
    lab.hook("/x", &[]).await;
    let log = lab.daemon.log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains("local.yml:2:") && warnings[0].contains("hooks.queueSizes"), "{log}");
}

#[tokio::test]
async fn the_log_goes_to_a_file_too_if_asked() {
    let redis = Redis::start().await;
    let setup = Daemon::on(&redis).env("LOG_TO_FILE", "true").env("LOG_FILENAME", "the.log");
    let daemon = setup.start().await;
    let file = daemon.folder().join("the.log");
    until("the file has what standard output has", async || {
        let (file, log) = (std::fs::read_to_string(&file).unwrap_or_default(), daemon.log());
        log.contains("The API listens") && file.contains("The API listens")
    })
    .await;
}

#[tokio::test]
async fn the_secret_and_what_it_signs_stay_out_of_the_log_at_its_loudest() {
    const PASSWORD: &str = "redis-p@ssw0rd";
    const TOKEN: &str = "token-in-a-callback-url";
    const CHAT: &str = "between you and me";
    let mut said = String::new();
    for bearer in ["false", "true"] {
        let mut redis = Redis::start_with(&[], Some(PASSWORD)).await;
        let receiver = Receiver::start().await;
        let permanent = receiver.url(&format!("/permanent?key={TOKEN}"));
        let mut daemon = Daemon::on(&redis)
            .env("LOG_LEVEL", "trace")
            .env("BEARER_AUTH", bearer)
            .env("REDIS_PASSWORD", PASSWORD)
            .set("hooks.permanentURLs", json!([permanent]))
            .set("hooks.retryIntervals", json!([10, 10]))
            .set("hooks.requestTimeout", 200)
            .set("no.such.key", SECRET)
            .start()
            .await;
        let replies = [Reply::status(500), Reply::close(), Reply::ok()];
        receiver.answer("/permanent", replies);
        for (path, reply) in [
            ("/refuses", Reply::status(400)),
            ("/hangs", Reply::hang()),
            ("/resets", Reply::reset()),
            ("/redirects", Reply::redirect(302, &receiver.url(&format!("/x?key={TOKEN}")))),
            ("/follows", Reply::redirect(307, &receiver.url(&format!("/refuses?key={TOKEN}")))),
        ] {
            receiver.answer(path, [reply]);
            daemon.create(&receiver.url(&format!("{path}?key={TOKEN}")), &[]).await;
        }
        daemon.create(&format!("http://user:{TOKEN}@127.0.0.1:1/?key={TOKEN}"), &[]).await;
        daemon.try_create(&format!("ftp://user:{TOKEN}@127.0.0.1/"), &[]).await;
        daemon.raw_get("/bigbluebutton/api/hooks/list?checksum=0123456789012345678901234567890123456789").await;
        let meeting = Meeting::new("math-101");
        redis.publish_all(&[meeting.created(), meeting.chat("ada", CHAT)]).await;
        redis.publish_on("from-akka-apps-redis-channel", &format!("{{\"broken {CHAT}")).await;
        receiver.wait("/permanent", 4).await;
        until("the others are given up", async || daemon.hooks().await.iter().all(|hook| hook.permanent)).await;
        redis.kill();
        daemon.try_create(&receiver.url(&format!("/late?key={TOKEN}")), &[]).await;
        let (status, _) = daemon.terminate().await;
        assert!(status.success());
        said += &(daemon.log() + &daemon.stderr());
        for request in receiver.all() {
            let checksum = request.checksum().unwrap_or_else(|| "no checksum".to_owned());
            assert!(!said.contains(&checksum), "the checksum {checksum} is in {said}");
        }
    }
    assert!(said.contains("DEBUG"), "the log is loud: {said}");
    let list = api_checksum(Algorithm::Sha1, "hooks/list", "");
    for secret in [SECRET, PASSWORD, TOKEN, CHAT, &list] {
        assert!(!said.contains(secret), "{secret} is in {said}");
    }
}
