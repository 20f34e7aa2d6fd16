//! What the log says of calls with wrong checksums.

use crate::harness::Algorithm;
use crate::harness::Daemon;
use crate::harness::SECRET;
use crate::harness::api_checksum;

const API: &str = "/bigbluebutton/api/";

#[tokio::test]
async fn the_log_says_who_made_which_mistake_and_at_debug_what_to_sign() {
    let daemon = Daemon::without_redis().start().await;
    let query = "callbackURL=http%3A%2F%2Fh.example%2Fx%3Fkey%3Dt0ken&meetingID=m";
    let bare = api_checksum(Algorithm::Sha256, "create", query);
    let answer = daemon.raw_get(&format!("{API}hooks/create?{query}&checksum={bare}")).await;
    assert_eq!(answer.message_key().as_deref(), Some("checksumError"));
    daemon.logs("What that checksum has to be made of").await;
    let log = daemon.log();
    let line = |text: &str| log.lines().find(|line| line.contains(text)).unwrap();
    let hint = line("A call has a wrong checksum");
    for part in ["INFO", "127.0.0.1", "hooks/ belongs before"] {
        assert!(hint.contains(part), "{part}: {hint}");
    }
    let to_sign = line("What that checksum");
    for part in ["DEBUG", "sha256", "hooks/createcallbackURL=http%3A%2F%2Fh.example%2Fx***&meetingID=m***SECRET***"] {
        assert!(to_sign.contains(part), "{part}: {to_sign}");
    }

    daemon.raw_get(&format!("{API}hooks/list")).await;
    daemon.logs("there is no checksum").await;
    let right = api_checksum(Algorithm::Sha1, "hooks/list", "");
    daemon.raw_get(&format!("{API}hooks/list?checksum={right}&checksum={right}")).await;
    daemon.logs("there is more than one checksum").await;
    daemon.raw_get(&format!("{API}hooks/list?meetingID={SECRET}&checksum={}", &right[1..])).await;
    daemon.logs("not 39").await;
    for secret in [SECRET, "t0ken", &right[1..], &bare] {
        assert!(!daemon.log().contains(secret), "{secret} is in {}", daemon.log());
    }
}

#[tokio::test]
async fn a_flood_of_wrong_checksums_does_not_flood_the_log() {
    let daemon = Daemon::without_redis().env("LOG_LEVEL", "info").start().await;
    let start = tokio::time::Instant::now();
    for _ in 0..300 {
        daemon.raw_get(&format!("{API}hooks/list?checksum=0123456789012345678901234567890123456789")).await;
    }
    daemon.logs("More calls had wrong checksums").await;
    let most = 6 + start.elapsed().as_secs();
    let log = daemon.log();
    let said = log.matches("A call has a wrong checksum").count() as u64;
    assert!((5..=most).contains(&said), "{said} of at most {most}:\n{log}");
    assert!(!log.contains("to_sign"), "{log}");
}
