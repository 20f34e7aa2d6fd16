//! Callbacks: what is sent, in which order, how often, signed how.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::harness::Algorithm;
use crate::harness::DOMAIN;
use crate::harness::Gate;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Reply;
use crate::harness::Request;
use crate::harness::SECRET;
use crate::harness::holds_for;
use crate::harness::until;

/// The texts of chat messages, in the order in which they arrived.
fn texts(requests: &[Request]) -> Vec<String> {
    let events = requests.iter().flat_map(Request::events);
    let text =
        |event: serde_json::Value| Some(event.pointer("/data/attributes/chat-message/message")?.as_str()?.to_owned());
    events.filter_map(text).collect()
}

/// The texts of one meeting's chat messages.
fn texts_of(requests: &[Request], meeting: &Meeting) -> Vec<String> {
    let of_meeting: Vec<_> = requests.iter().filter(|r| r.body.contains(&meeting.internal)).cloned().collect();
    texts(&of_meeting)
}

#[tokio::test]
async fn events_of_a_meeting_arrive_in_order_at_a_slow_receiver() {
    let lab = Lab::start().await;
    let slow = |delay| Reply::ok().after(Duration::from_millis(delay));
    lab.receiver.answer("/x", (0..60).map(|n| slow(n * 7 % 20)).chain([Reply::ok()]));
    lab.hook("/x", &[]).await;
    let meetings = ["a", "b", "c"].map(Meeting::new);
    let expected: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    for text in &expected {
        for meeting in &meetings {
            lab.redis.publish(&meeting.chat("ada", text)).await;
        }
    }
    let requests = lab.receiver.wait("/x", 90).await;
    for meeting in &meetings {
        assert_eq!(texts_of(&requests, meeting), expected, "of {}", meeting.external);
    }
}

#[tokio::test]
async fn events_keep_their_order_through_failures() {
    let lab = Lab::with(|setup| setup.set("hooks.retryIntervals", json!([10, 10, 10, 10]))).await;
    let replies = (0..40).map(|n| [Reply::ok(), Reply::status(503), Reply::close()][n % 3].clone());
    lab.receiver.answer("/x", replies.chain([Reply::ok()]));
    lab.hook("/x", &[]).await;
    let meeting = Meeting::new("math-101");
    let expected: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    for text in &expected {
        lab.redis.publish(&meeting.chat("ada", text)).await;
    }
    let mut arrived = Vec::new();
    while arrived.last() != expected.last() {
        let requests = lab.receiver.wait("/x", arrived.len() + 1).await;
        arrived = texts(&requests);
    }
    arrived.dedup();
    assert_eq!(arrived, expected, "an event may come again, but never after the next");
}

#[tokio::test]
async fn a_retry_repeats_the_same_bytes() {
    let lab = Lab::with(|setup| setup.set("hooks.retryIntervals", json!([30, 30, 30, 30, 30]))).await;
    let replies = [Reply::status(500), Reply::status(404), Reply::close(), Reply::status(204)];
    lab.receiver.answer("/x", replies);
    lab.hook("/x?key=a%20b", &[]).await;
    let meeting = Meeting::new("math-101");
    lab.redis.publish_all(&[meeting.created(), meeting.ended()]).await;
    lab.receiver.wait("/x", 5).await;
    let requests = lab.receiver.to("/x");
    for retry in &requests[1..4] {
        assert_eq!((&retry.target, &retry.body), (&requests[0].target, &requests[0].body));
        assert_eq!(retry.header("content-type"), requests[0].header("content-type"));
    }
    assert!(
        requests[0].is_signed(&lab.receiver.url("/x?key=a%20b"), SECRET, Algorithm::Sha1),
        "{}",
        requests[0].target
    );
    assert!(requests[4].body.contains("meeting-ended"), "{}", requests[4].body);
}

#[tokio::test]
async fn a_connection_that_is_reset_is_tried_again() {
    let lab = Lab::with(|setup| setup.set("hooks.retryIntervals", json!([30, 30, 30]))).await;
    lab.receiver.answer("/x", [Reply::reset(), Reply::ok()]);
    let id = lab.hook("/x", &[]).await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    let requests = lab.receiver.wait("/x", 2).await;
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!(lab.daemon.ids().await, [id]);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_costs_no_attempt() {
    let lab = Lab::with(|setup| setup.set("hooks.retryIntervals", json!([60_000]))).await;
    lab.receiver.answer("/x", [Reply::ok(), Reply::reset(), Reply::ok(), Reply::close(), Reply::ok()]);
    lab.hook("/x", &[]).await;
    let meeting = Meeting::new("math-101");
    for (message, requests) in [(meeting.created(), 1), (meeting.joined("ada"), 3), (meeting.camera("ada"), 5)] {
        lab.redis.publish(&message).await;
        lab.receiver.wait("/x", requests).await;
    }
    let requests = lab.receiver.to("/x");
    assert_eq!((&requests[1].body, &requests[3].body), (&requests[2].body, &requests[4].body));
    assert!(!lab.daemon.log().contains("Callbacks to this hook fail"));
}

#[tokio::test]
async fn a_receiver_that_takes_a_callback_and_hangs_up_gets_it_once_an_attempt() {
    const WAIT: Duration = Duration::from_millis(500);
    let lab = Lab::with(|setup| setup.set("hooks.retryIntervals", json!(vec![500; 10]))).await;
    let late = Duration::from_millis(300);
    // The first of them on a kept connection, but late; the others at once, but on new connections.
    let replies =
        [Reply::ok(), Reply::close().after(late), Reply::close(), Reply::reset(), Reply::reset(), Reply::ok()];
    lab.receiver.answer("/x", replies);
    lab.hook("/x", &[]).await;
    let meeting = Meeting::new("math-101");
    lab.redis.publish(&meeting.created()).await;
    lab.receiver.wait("/x", 1).await;
    lab.redis.publish(&meeting.joined("ada")).await;
    let requests = lab.receiver.wait("/x", 6).await;
    let waits: Vec<_> = requests[1..].windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    // Where an attempt finds that a connection becomes free while it makes one, that one is kept for the next, which then did not
    // make it. So one may come twice, when this begins.
    let at_once = waits.iter().filter(|wait| **wait < WAIT.mul_f64(0.75)).count();
    assert!(at_once <= 1, "again after {waits:?}");
}

#[tokio::test]
async fn timestamps_of_a_hook_grow_strictly() {
    let lab = Lab::start().await;
    lab.hook("/x", &[]).await;
    let meetings: Vec<_> = (0..5).map(|n| Meeting::new(&format!("m{n}"))).collect();
    for n in 0..40 {
        for meeting in &meetings {
            lab.redis.publish(&meeting.chat("ada", &n.to_string())).await;
        }
    }
    let requests = lab.receiver.wait("/x", 200).await;
    let timestamps: BTreeSet<u64> = requests.iter().map(|request| request.callback().timestamp).collect();
    assert_eq!(timestamps.len(), 200, "each has its own");
    for meeting in &meetings {
        let of_meeting: Vec<u64> = requests
            .iter()
            .filter(|request| request.body.contains(&meeting.internal))
            .map(|request| request.callback().timestamp)
            .collect();
        assert!(of_meeting.is_sorted(), "they grow in the order of events: {of_meeting:?}");
    }
}

#[tokio::test]
async fn what_waits_in_a_lane_goes_together_up_to_multi_event() {
    let lab = Lab::with(|setup| setup.set("hooks.multiEvent", 3)).await;
    let gate = Gate::closed();
    lab.receiver.answer("/x", [Reply::ok().behind(&gate)]);
    lab.hook("/x", &[]).await;
    lab.hook("/seen", &[]).await;
    let (math, other) = (Meeting::new("math-101"), Meeting::new("other"));
    lab.redis.publish(&math.chat("ada", "0")).await;
    lab.receiver.wait("/x", 1).await;
    for text in ["1", "2", "3", "4", "5"] {
        lab.redis.publish(&math.chat("ada", text)).await;
    }
    lab.redis.publish(&other.chat("bob", "elsewhere")).await;
    lab.receiver.wait("/x", 2).await;
    gate.open();
    let requests = lab.receiver.wait("/x", 4).await;
    let sizes: Vec<usize> =
        requests.iter().filter(|r| r.body.contains(&math.internal)).map(|request| request.events().len()).collect();
    assert_eq!(sizes, [1, 3, 2]);
    assert_eq!(texts_of(&requests, &math), ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(texts_of(&requests, &other), ["elsewhere"], "one meeting to a callback");
    let url = lab.receiver.url("/x");
    assert!(requests.iter().all(|request| request.is_signed(&url, SECRET, Algorithm::Sha1)));
}

#[tokio::test]
async fn events_are_included_and_excluded_by_the_configuration() {
    let config = json!({"modules": {"../out/webhooks/index.js": {"config": {
        "includeEvents": ["meeting-created", "User-Joined", "user-left"],
        "excludeEvents": ["user-left"],
    }}}});
    let lab = Lab::with(|setup| setup.file("local.yml", &config.to_string())).await;
    lab.hook("/mapped", &[]).await;
    lab.hook("/raw", &[("getRaw", "true")]).await;
    lab.hook("/narrow", &[("eventID", "user-left,user-joined")]).await;
    let meeting = Meeting::new("math-101");
    let messages =
        [meeting.created(), meeting.chat("ada", "x"), meeting.joined("ada"), meeting.left("ada"), meeting.ended()];
    lab.redis.publish_all(&messages).await;
    lab.redis.publish(&meeting.created()).await;
    lab.receiver.wait("/mapped", 3).await;
    lab.receiver.wait("/raw", 3).await;
    assert_eq!(lab.receiver.ids("/mapped"), ["meeting-created", "user-joined", "meeting-created"]);
    let raw = ["MeetingCreatedEvtMsg", "UserJoinedMeetingEvtMsg", "MeetingCreatedEvtMsg"];
    assert_eq!(lab.receiver.ids("/raw"), raw);
    assert_eq!(lab.receiver.ids("/narrow"), ["user-joined"]);
}

#[tokio::test]
async fn a_raw_hook_gets_the_message_byte_for_byte() {
    let lab = Lab::start().await;
    lab.hook("/raw", &[("getRaw", "true")]).await;
    let message = r#"  {"core" :{ "body":{"userId":"w_ada","stream":"a\u00e9é\/\"&+ %😀"},"header":{"name":"UserBroadcastCamStartedEvtMsg",
 "meetingId":"m-1","userId":"w_ada"}, "big":12345678901234567890123, "float":1.0, "exp":1E+2, "twice":1, "twice":2},
	"envelope":{"name":"UserBroadcastCamStartedEvtMsg","routing":{"meetingId":"m-1","userId":"w_ada"}} } "#;
    lab.redis.publish_on("from-akka-apps-redis-channel", message).await;
    let requests = lab.receiver.wait("/raw", 1).await;
    let event = requests[0].callback().event;
    let inner = event.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).expect("a list");
    assert_eq!(inner.trim(), message.trim());
}

#[tokio::test]
async fn half_a_character_costs_no_event() {
    let lab = Lab::start().await;
    lab.hook("/mapped", &[]).await;
    lab.hook("/raw", &[("getRaw", "true")]).await;
    let message = Meeting::new("math-101").chat("ada", "cut: HALF").json.replace("HALF", r"\ud83d");
    lab.redis.publish_on("from-akka-apps-chat-redis-channel", &message).await;
    let requests = lab.receiver.wait("/mapped", 1).await;
    assert_eq!(texts(&requests), ["cut: \u{fffd}"]);
    let requests = lab.receiver.wait("/raw", 1).await;
    assert_eq!(requests[0].callback().event, format!("[{}]", message.replace(r"\ud83d", r"\ufffd")));
}

#[tokio::test]
async fn callbacks_are_signed_with_the_algorithm_configured() {
    for (name, algorithm) in Algorithm::ALL {
        let lab = Lab::with(|setup| setup.env("HOOK_CHECKSUM_ALGORITHM", name)).await;
        let paths = ["/plain", "/query?a=b&c=%C3%A4+d", "/path%20with/%7Etilde?x=[1]"];
        for path in paths {
            lab.hook(path, &[]).await;
        }
        lab.redis.publish(&Meeting::new("math-101").chat("ada", "Füße + 100% & <b>*-._~</b>\n")).await;
        for path in paths {
            let requests = lab.receiver.wait(path.split('?').next().unwrap(), 1).await;
            assert!(
                requests[0].is_signed(&lab.receiver.url(path), SECRET, algorithm),
                "{name}: {}",
                requests[0].target
            );
            assert_eq!(requests[0].header("authorization"), None);
            assert_eq!(requests[0].callback().domain, DOMAIN);
        }
    }
}

#[tokio::test]
async fn a_bearer_token_replaces_the_checksum() {
    let lab = Lab::with(|setup| setup.env("BEARER_AUTH", "true")).await;
    lab.hook("/x?a=b", &[]).await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    let request = &lab.receiver.wait("/x", 1).await[0];
    assert_eq!(request.target, "/x?a=b");
    assert_eq!(request.header("authorization"), Some(format!("Bearer {SECRET}").as_str()));
    assert_eq!(request.callback().domain, DOMAIN);
}

#[tokio::test]
async fn bearer_auth_false_means_a_checksum() {
    let lab = Lab::with(|setup| setup.env("BEARER_AUTH", "false")).await;
    lab.hook("/x", &[]).await;
    lab.redis.publish(&Meeting::new("math-101").created()).await;
    let request = &lab.receiver.wait("/x", 1).await[0];
    assert!(request.is_signed(&lab.receiver.url("/x"), SECRET, Algorithm::Sha1));
}

#[tokio::test]
async fn the_checksum_may_cover_json_as_in_version_2() {
    let lab = Lab::with(|setup| setup.set("hooks.checksumFormat", "json")).await;
    lab.hook("/x", &[]).await;
    lab.redis.publish(&Meeting::new("math-101").chat("ada", "\"Füße\" \\ \n")).await;
    let request = &lab.receiver.wait("/x", 1).await[0];
    let callback = request.callback();
    let event = serde_json::to_string(&callback.event).unwrap();
    let signed = format!(r#"{{"event":{event},"timestamp":{},"domain":"{DOMAIN}"}}"#, callback.timestamp);
    let checksum = Algorithm::Sha1.hex(&[&lab.receiver.url("/x"), &signed, SECRET]);
    assert_eq!(request.checksum(), Some(checksum));
}

#[tokio::test]
async fn status_401_is_success_and_other_refusals_are_not() {
    let lab = Lab::with(|setup| setup.set("hooks.retryIntervals", json!([10, 10, 10, 10, 10, 10, 10]))).await;
    lab.receiver.answer("/denies", [Reply::status(401)]);
    let refusals = [400, 403, 404, 410, 429, 500, 503].map(Reply::status);
    lab.receiver.answer("/refuses", refusals.into_iter().chain([Reply::status(299)]));
    lab.hook("/denies", &[]).await;
    lab.hook("/refuses", &[]).await;
    let meeting = Meeting::new("math-101");
    lab.redis.publish_all(&[meeting.created(), meeting.joined("ada")]).await;
    lab.receiver.wait("/refuses", 9).await;
    lab.receiver.wait("/denies", 2).await;
    assert_eq!(lab.receiver.ids("/denies"), ["meeting-created", "user-joined"]);
    assert_eq!(lab.receiver.ids("/refuses"), [&["meeting-created"; 8][..], &["user-joined"]].concat());
}

#[tokio::test]
async fn destroying_a_hook_stops_its_delivery() {
    let lab = Lab::start().await;
    let gate = Gate::closed();
    lab.receiver.answer("/x", [Reply::ok().behind(&gate)]);
    let id = lab.hook("/x", &[]).await;
    lab.hook("/seen", &[]).await;
    let meeting = Meeting::new("math-101");
    for n in 0..10 {
        lab.redis.publish(&meeting.chat("ada", &n.to_string())).await;
    }
    lab.receiver.wait("/x", 1).await;
    lab.receiver.wait("/seen", 10).await;
    assert_eq!(lab.daemon.destroy(&id).await.text_of("removed").as_deref(), Some("true"));
    gate.open();
    lab.redis.publish(&meeting.chat("ada", "more")).await;
    lab.receiver.wait("/seen", 11).await;
    holds_for(Duration::from_millis(300), "nothing more comes", async || lab.receiver.count("/x") == 1).await;
}

#[tokio::test]
async fn a_hook_that_is_too_far_behind_loses_the_oldest_events_and_keeps_the_newest() {
    let lab = Lab::with(|setup| setup.set("hooks.queueSize", 5)).await;
    let gate = Gate::closed();
    lab.receiver.answer("/x", [Reply::ok().behind(&gate)]);
    lab.hook("/x", &[]).await;
    lab.hook("/seen", &[]).await;
    let meeting = Meeting::new("math-101");
    for n in 0..20 {
        lab.redis.publish(&meeting.chat("ada", &n.to_string())).await;
        // Not a burst, or the hook that keeps up overflows too.
        lab.receiver.wait("/seen", n + 1).await;
        lab.receiver.wait("/x", 1).await;
    }
    lab.daemon.logs("too far behind").await;
    let lost = "hook 1 lost 15 events since the start: more waited";
    until("all excess is dropped", async || lab.daemon.command(&["status"]).await.stdout.contains(lost)).await;
    gate.open();
    let requests = lab.receiver.wait("/x", 5).await;
    assert_eq!(texts(&requests), ["0", "16", "17", "18", "19"], "the one in flight, and the newest");
    lab.redis.publish(&meeting.chat("ada", "20")).await;
    let requests = lab.receiver.wait("/x", 6).await;
    assert_eq!(texts(&requests)[5], "20", "it goes on");
    let log = lab.daemon.log();
    let said: Vec<_> = log.lines().filter(|line| line.contains("too far behind")).collect();
    assert_eq!(said.len(), 1, "one warning for all of it");
    assert!(said[0].contains("WARN"), "it is the hook that misbehaves: {}", said[0]);
    let seen = lab.receiver.wait("/seen", 21).await;
    assert_eq!(texts(&seen).len(), 21, "the other hook lost nothing");
}
