//! Statements: through restarts and outages, to several Learning Record Stores, refused, in batches.

use std::collections::BTreeMap;
use std::time::Duration;

use bbb_webhooks::app::App;
use bbb_webhooks::config;
use bbb_webhooks::config::Sources;
use redis::cmd;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use crate::harness::Authority;
use crate::harness::Daemon;
use crate::harness::Gate;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::NAMESPACE;
use crate::harness::Receiver;
use crate::harness::Redis;
use crate::harness::Reply;
use crate::harness::SECRET;
use crate::harness::STATEMENTS;
use crate::harness::Setup;
use crate::harness::check_statement;
use crate::harness::encrypt;
use crate::harness::eventually;
use crate::harness::free_port;
use crate::harness::holds_for;
use crate::harness::statements;
use crate::harness::until;
use crate::harness::with_lrs;

const CHANNEL: &str = "from-akka-apps-redis-channel";
const PARKED: &str = "bigbluebutton:webhooks:out:parked:xapi";
const MEETINGS: &str = "bigbluebutton:webhooks:xapi:meetings";

/// A daemon that sends statements to the lab's receiver.
async fn lab(change: impl FnOnce(Setup) -> Setup) -> Lab {
    let (redis, receiver) = (Redis::start().await, Receiver::start().await);
    let daemon = change(with_lrs(Daemon::on(&redis), &receiver)).start().await;
    Lab { daemon, redis, receiver }
}

/// A message in the chat of a meeting, as an event that is mapped already; `time` tells it from others.
fn said(meeting: &Meeting, time: u64) -> String {
    let event = json!({"data": {"type": "event", "id": "chat-group-message-sent", "event": {"ts": time}, "attributes": {
        "meeting": {"internal-meeting-id": meeting.internal, "external-meeting-id": meeting.external},
        "chat-message": {"id": "1", "message": "hi", "sender": {"name": "Ada", "time": time}},
    }}});
    event.to_string()
}

/// What has to be told of a statement: its verb's last word.
fn verbs(statements: &[Value]) -> Vec<&str> {
    statements.iter().map(|said| said["verb"]["id"].as_str().unwrap().rsplit('/').next().unwrap()).collect()
}

fn session(meeting: &Meeting) -> String {
    Uuid::new_v5(&NAMESPACE.parse().unwrap(), meeting.internal.as_bytes()).to_string()
}

/// The times of statements by session, in the order of arrival.
fn times(statements: &[Value]) -> BTreeMap<String, Vec<String>> {
    const SESSION: &str = "https://w3id.org/xapi/cmi5/context/extensions/sessionid";
    let mut times: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for statement in statements {
        check_statement(statement).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        times
            .entry(text(&statement["context"]["extensions"][SESSION]))
            .or_default()
            .push(text(&statement["timestamp"]));
    }
    times
}

#[tokio::test]
async fn what_is_known_of_a_meeting_survives_a_restart() {
    let mut lab = lab(|setup| setup).await;
    let meeting = Meeting::new("m");
    lab.redis.publish(&meeting.created_with(&json!({"xapi-create-end-actor-name": "LMS"}))).await;
    lab.receiver.wait(STATEMENTS, 1).await;
    lab.daemon.restart().await;
    lab.redis.publish(&meeting.joined("ada")).await;
    let poll = json!({"data": {"type": "event", "id": "poll-started", "event": {"ts": 1}, "attributes": {
        "meeting": {"internal-meeting-id": meeting.internal}, "user": {"internal-user-id": "w_ada"},
        "poll": {"id": "p", "question": "Ready?", "answers": [{"id": 0, "key": "Yes"}]},
    }}});
    lab.redis.publish_on(CHANNEL, &poll.to_string()).await;
    lab.receiver.wait(STATEMENTS, 3).await;
    lab.daemon.kill();
    lab.daemon.start_again().await;
    let answer = json!({"data": {"type": "event", "id": "poll-responded", "event": {"ts": 2}, "attributes": {
        "meeting": {"internal-meeting-id": meeting.internal}, "user": {"internal-user-id": "w_ada"},
        "poll": {"id": "p", "answerIds": [0]},
    }}});
    lab.redis.publish_on(CHANNEL, &answer.to_string()).await;
    lab.redis.publish(&meeting.ended()).await;
    // The kill may have repeated the last one or two.
    let sent = eventually("the meeting's end", async || {
        let sent = statements(&lab.receiver.to(STATEMENTS));
        verbs(&sent).contains(&"terminated").then_some(sent)
    })
    .await;
    let mut said = Vec::new();
    for verb in verbs(&sent) {
        if !said.contains(&verb) {
            said.push(verb);
        }
    }
    assert_eq!(said, ["initialized", "join", "asked", "answered", "leave", "terminated"]);
    assert_eq!(sent.last().unwrap()["actor"]["account"]["name"], "LMS");
    let answered = sent.iter().find(|said| said["result"]["response"] == "0").unwrap();
    assert_eq!(answered["object"]["definition"]["choices"][0]["description"]["en"], "Yes");
    assert_eq!(answered["actor"]["account"]["name"], "ada");
    times(&sent);
}

#[tokio::test]
async fn a_restart_sends_nothing_twice() {
    let mut lab = lab(|setup| setup).await;
    let meeting = Meeting::new("m");
    lab.redis.publish_all(&[meeting.created(), meeting.joined("ada")]).await;
    lab.receiver.wait(STATEMENTS, 2).await;
    lab.daemon.restart().await;
    lab.redis.publish(&meeting.ended()).await;
    let sent = statements(&lab.receiver.wait(STATEMENTS, 4).await);
    assert_eq!(verbs(&sent), ["initialized", "join", "leave", "terminated"]);
}

#[tokio::test]
async fn what_was_in_flight_when_it_was_first_killed_is_sent_again() {
    let mut lab = lab(|setup| setup).await;
    lab.receiver.answer(STATEMENTS, [Reply::hang(), Reply::ok()]);
    let meeting = Meeting::new("m");
    lab.redis.publish_all(&[meeting.created(), meeting.joined("ada")]).await;
    lab.receiver.wait(STATEMENTS, 1).await;
    let length = async || lab.redis.run::<u64>(cmd("XLEN").arg("bigbluebutton:webhooks:out:journal")).await;
    until("both events are stored", async || length().await == 2).await;
    lab.daemon.kill();
    lab.daemon.start_again().await;
    let sent = statements(&lab.receiver.wait(STATEMENTS, 3).await);
    assert_eq!(verbs(&sent), ["initialized", "initialized", "join"]);
}

#[tokio::test]
async fn an_lrs_that_is_down_gets_everything_later() {
    let down = [Reply::status(503)];
    let mut lab = lab(|setup| {
        setup
            .set("hooks.retryIntervals", json!([20, 50, 100]))
            .set("hooks.permanentIntervalReset", 1000)
            // Redis holds what waits, not memory.
            .set("hooks.memoryLimit", 200_000)
    })
    .await;
    lab.receiver.answer(STATEMENTS, down);
    let meetings: Vec<_> = (0..5).map(|number| Meeting::new(&format!("m{number}"))).collect();
    for meeting in &meetings {
        lab.redis.publish(&meeting.created()).await;
    }
    let time = |number: u64| 1_763_990_200_000 + number;
    for number in 0..1000 {
        let meeting = &meetings[usize::try_from(number).unwrap() % 5];
        lab.redis.publish_on(CHANNEL, &said(meeting, time(number))).await;
        if number % 50 == 0 {
            // Memory holds little more than that, and Redis may be slow.
            let length = async || lab.redis.run::<u64>(cmd("XLEN").arg("bigbluebutton:webhooks:out:journal")).await;
            until("all that was published is stored", async || length().await > 5 + number).await;
        }
        if number == 500 {
            lab.daemon.logs("No retry helped").await;
            lab.daemon.kill();
            lab.daemon.start_again().await;
            lab.redis.has_a_subscriber().await;
        }
    }
    let before = lab.receiver.count(STATEMENTS);
    lab.receiver.answer(STATEMENTS, [Reply::ok()]);
    let all = lab.receiver.wait(STATEMENTS, before + 1005).await;
    let taken = times(&statements(&all[all.len() - 1005..]));
    for (number, meeting) in meetings.iter().enumerate() {
        let said = (0..200).map(|index| time(index * 5 + number as u64));
        let stamp =
            |ms: u64| humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + Duration::from_millis(ms)).to_string();
        let expected: Vec<_> = [1_763_990_000_123].into_iter().chain(said).map(stamp).collect();
        assert_eq!(taken[&session(meeting)], expected, "{}", meeting.external);
    }
    let hooks: u64 = lab.redis.run(cmd("HLEN").arg(PARKED)).await;
    assert_eq!(hooks, 0);
}

#[tokio::test]
async fn every_meeting_s_statements_go_to_its_own_lrs_or_nowhere() {
    let mut lab = lab(|setup| setup).await;
    let (a, b) = (Receiver::start().await, Receiver::start().await);
    // One tenant's LRS hangs; the others do not notice.
    let gate = Gate::closed();
    b.answer("/xAPI/statements", [Reply::ok().behind(&gate)]);
    let token = json!({"lrs_endpoint": a.url("/a/"), "lrs_token": "token-of-a"}).to_string();
    let basic = json!({"lrs_endpoint": b.url(""), "lrs_username": "b", "lrs_password": "password-of-b"}).to_string();
    let half = json!({"lrs_endpoint": b.url(""), "lrs_username": "c"}).to_string();
    let payload = |text: &str, secret: &str| json!({"secret-lrs-payload": encrypt(text, secret)});
    let metadata = [
        ("own", json!({})),
        ("hangs", payload(&basic, SECRET)),
        ("token", payload(&token, SECRET)),
        ("half", payload(&half, SECRET)),
        ("other-secret", payload(&token, "other")),
        ("garbage", json!({"secret-lrs-payload": "hunter2"})),
        ("empty", json!({"secret-lrs-payload": ""})),
        ("off", json!({"xapi-enabled": "FALSE"})),
    ];
    for (name, metadata) in &metadata {
        lab.redis.publish(&Meeting::new(name).created_with(metadata)).await;
    }
    b.wait(STATEMENTS, 1).await;
    a.wait("/a/xAPI/statements", 1).await;
    lab.receiver.wait(STATEMENTS, 1).await;
    // Credentials are found again after a restart, what is wrong is still wrong.
    gate.open();
    lab.daemon.restart().await;
    for (name, _) in &metadata {
        lab.redis.publish(&Meeting::new(name).ended()).await;
    }
    let to = |requests: &[crate::harness::Request]| {
        requests.iter().map(|request| request.header("authorization").unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(to(&lab.receiver.wait(STATEMENTS, 2).await), ["Basic YWRtaW46aHVudGVyMi1vZi10aGUtc2VydmVy"; 2]);
    assert_eq!(to(&a.wait("/a/xAPI/statements", 2).await), ["Bearer token-of-a"; 2]);
    assert_eq!(to(&b.wait(STATEMENTS, 2).await), ["Basic YjpwYXNzd29yZC1vZi1i"; 2]);
    let counts = || [lab.receiver.all().len(), a.all().len(), b.all().len()];
    holds_for(Duration::from_millis(300), "nothing goes elsewhere", async || counts() == [2, 2, 2]).await;

    let log = lab.daemon.log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("secret-lrs-payload cannot be used")).collect();
    assert_eq!(warnings.len(), 4, "{warnings:#?}");
    for (name, why) in [
        ("half", "neither an lrs_token nor an lrs_username"),
        ("other-secret", "it "),
        ("garbage", "not Base64 of what"),
        ("empty", "not Base64 of what"),
    ] {
        let one =
            |line: &&&str| line.contains(&format!("meeting=\"{name}\"")) && line.contains(why) && line.contains("WARN");
        assert_eq!(warnings.iter().filter(one).count(), 1, "{name}: {warnings:#?}");
    }
    let keys: Vec<String> = lab.redis.run(cmd("KEYS").arg("*")).await;
    let mut dump = String::new();
    for key in keys {
        let value: Option<Vec<u8>> = lab.redis.run(cmd("DUMP").arg(&key)).await;
        dump += &format!("{key} {}", String::from_utf8_lossy(&value.unwrap_or_default()));
    }
    for secret in ["token-of-a", "password-of-b", "hunter2-of-the-server", "cGFzc3dvcmQtb2YtY", "YjpwYXNzd29yZC1vZi1i"]
    {
        assert!(!log.contains(secret) && !lab.daemon.stderr().contains(secret), "{secret} in the log");
        assert!(!dump.contains(secret), "{secret} in Redis");
    }
}

#[tokio::test]
async fn a_statement_that_is_refused_is_parked_and_the_others_go_on() {
    let lab = lab(|setup| setup).await;
    lab.receiver.refuse(STATEMENTS, Some("/join"));
    let meeting = Meeting::new("m");
    lab.redis.publish_all(&[meeting.created(), meeting.joined("ada"), meeting.ended()]).await;
    let sent = statements(&lab.receiver.wait(STATEMENTS, 4).await);
    assert_eq!(verbs(&sent), ["initialized", "join", "leave", "terminated"]);
    let parked = eventually("it is parked", async || {
        let parked = lab.redis.hash(PARKED).await;
        (parked.len() == 1).then_some(parked)
    })
    .await;
    let parked: Value = serde_json::from_str(parked.values().next().unwrap()).unwrap();
    assert_eq!((parked["event"].as_str(), parked["reason"].as_str()), (Some("user-joined"), Some("status 400")));
    assert_eq!(lab.receiver.count(STATEMENTS), 4, "it is not tried again");

    let listed = lab.daemon.command(&["parked", "xapi"]).await;
    assert!(listed.stdout.contains("user-joined"), "{} {}", listed.stdout, listed.stderr);
    lab.receiver.refuse(STATEMENTS, None);
    let done = lab.daemon.command(&["replay", "xapi", "--parked"]).await;
    assert_eq!(done.stdout, "1 events are sent again to hook xapi.\n", "{}", done.stderr);
    let sent = statements(&lab.receiver.wait(STATEMENTS, 5).await);
    assert_eq!(verbs(&sent[4..]), ["join"]);
    until("nothing is parked", async || lab.redis.hash(PARKED).await.is_empty()).await;
}

#[tokio::test]
async fn what_waits_goes_together_up_to_the_batch_size() {
    let lab = lab(|setup| setup.set("xapi.lrs.batchSize", 3)).await;
    let gate = Gate::closed();
    lab.receiver.answer(STATEMENTS, [Reply::ok().behind(&gate), Reply::ok()]);
    let meeting = Meeting::new("m");
    lab.redis.publish(&meeting.created()).await;
    lab.receiver.wait(STATEMENTS, 1).await;
    lab.receiver.refuse(STATEMENTS, Some("12:00:05.000Z"));
    let time = |second: u64| 1_763_985_600_000 + second * 1000;
    for second in 0..7 {
        lab.redis.publish_on(CHANNEL, &said(&meeting, time(second))).await;
    }
    // Whatever else was to be read is read: another meeting's statement is there.
    let other = Meeting::new("other");
    lab.redis.publish(&other.created()).await;
    lab.receiver.wait(STATEMENTS, 2).await;
    gate.open();
    let all = lab.receiver.wait(STATEMENTS, 8).await;
    let seconds = |body: &str| {
        let value: Value = serde_json::from_str(body).unwrap();
        let second = |statement: &Value| statement["timestamp"].as_str().unwrap()[17..19].parse::<u64>().unwrap();
        value.as_array().map_or_else(|| vec![second(&value)], |all| all.iter().map(second).collect())
    };
    let bodies: Vec<_> = all[2..].iter().map(|request| seconds(&request.body)).collect();
    let expected: [&[u64]; 6] = [&[0, 1, 2], &[3, 4, 5], &[3], &[4], &[5], &[6]];
    assert_eq!(bodies, expected);
    assert!(all[0].body.starts_with('{'), "one alone is no list");
    until("the one that was refused is parked", async || lab.redis.hash(PARKED).await.len() == 1).await;
}

#[tokio::test]
async fn wrong_credentials_lose_nothing() {
    let lab =
        lab(|setup| setup.set("hooks.retryIntervals", json!([10, 20])).set("hooks.permanentIntervalReset", 1000)).await;
    lab.receiver.answer(
        STATEMENTS,
        [Reply::status(401), Reply::status(401), Reply::status(401), Reply::status(403), Reply::ok()],
    );
    let meeting = Meeting::new("m");
    lab.redis.publish_all(&[meeting.created(), meeting.ended()]).await;
    let sent = statements(&lab.receiver.wait(STATEMENTS, 6).await);
    assert_eq!(verbs(&sent[4..]), ["initialized", "terminated"]);
    lab.daemon.logs("succeed again").await;
}

#[tokio::test]
async fn a_poll_counts_whoever_answers_and_nothing_else_of_strangers_is_said() {
    let lab = lab(|setup| setup).await;
    let meeting = Meeting::new("m");
    lab.redis.publish(&meeting.created()).await;
    let user = json!({"internal-user-id": "w_eve", "external-user-id": "ext-eve", "raise-hand": true});
    let event = |id: &str, poll: Value| {
        let meeting = json!({"internal-meeting-id": meeting.internal});
        json!({"data": {"type": "event", "id": id, "event": {"ts": 1}, "attributes": {"meeting": meeting, "user": user, "poll": poll}}})
    };
    let answers = json!([{"id": 7, "key": "Yes"}, {"id": 8}]);
    for event in [
        event("user-left", Value::Null),
        event("user-raise-hand-changed", Value::Null),
        event("meeting-screenshare-started", Value::Null),
        event("poll-started", json!({"id": "p", "answers": answers})),
        event("poll-responded", json!({"id": "p", "answerIds": [8]})),
        event("poll-responded", json!({"id": "q", "answerIds": [8]})),
    ] {
        lab.redis.publish_on(CHANNEL, &event.to_string()).await;
    }
    lab.redis.publish(&meeting.ended()).await;
    let sent = statements(&lab.receiver.wait(STATEMENTS, 4).await);
    assert_eq!(verbs(&sent), ["initialized", "asked", "answered", "terminated"]);
    assert_eq!(sent[2]["actor"]["account"]["name"], "<unknown>");
    assert_eq!(sent[2]["object"]["definition"]["choices"][1], json!({"id": "8", "description": {}}));
    times(&sent);
}

#[tokio::test]
async fn a_statement_says_what_was_known_when_its_event_came() {
    let lab =
        lab(|setup| setup.set("hooks.retryIntervals", json!([20])).set("hooks.permanentIntervalReset", 1000)).await;
    lab.receiver.answer(STATEMENTS, [Reply::status(503)]);
    let meeting = Meeting::new("m");
    lab.redis.publish(&meeting.created()).await;
    lab.receiver.wait(STATEMENTS, 1).await;
    let event = |id: &str, user: Value, poll: Value| {
        let meeting = json!({"internal-meeting-id": meeting.internal});
        json!({"data": {"type": "event", "id": id, "event": {"ts": 1}, "attributes": {"meeting": meeting, "user": user, "poll": poll}}})
    };
    let named = |name: &str| json!({"internal-user-id": "w_1", "external-user-id": "ext-1", "name": name});
    let poll = |question: &str| json!({"id": "p", "question": question, "answers": [{"id": 0, "key": "Yes"}]});
    let user = json!({"internal-user-id": "w_1"});
    // That another one joined under the same external id does not make them the same.
    let stranger = json!({"internal-user-id": "w_2", "external-user-id": "ext-1"});
    for event in [
        event("user-joined", named("Ada"), Value::Null),
        event("poll-started", user.clone(), poll("first?")),
        event("user-left", user.clone(), Value::Null),
        event("user-left", stranger, Value::Null),
        event("user-joined", named("Ada II"), Value::Null),
        event("poll-started", user.clone(), poll("second?")),
        event("poll-responded", user.clone(), json!({"id": "p", "answerIds": [0]})),
        event("user-left", user, Value::Null),
    ] {
        lab.redis.publish_on(CHANNEL, &event.to_string()).await;
    }
    lab.redis.publish(&meeting.ended()).await;
    // Nothing is known beyond this.
    let record = format!(
        "bigbluebutton:webhooks:xapi:poll:{}",
        Uuid::new_v5(&NAMESPACE.parse().unwrap(), format!("{}/p", meeting.internal).as_bytes())
    );
    let question = async || lab.redis.run::<Option<String>>(cmd("HGET").arg(&record).arg("question")).await;
    until("the second question is known", async || question().await.as_deref() == Some("second?")).await;
    lab.receiver.answer(STATEMENTS, [Reply::ok()]);
    let all = async || statements(&lab.receiver.to(STATEMENTS));
    until("the end is said", async || verbs(&all().await).contains(&"terminated")).await;
    // Before these, it was refused a few times.
    let all = all().await;
    let sent = &all[all.len() - 9..];
    let said: Vec<_> = sent
        .iter()
        .map(|statement| {
            let text = |way: &str| statement.pointer(way).and_then(Value::as_str).unwrap_or_default();
            (text("/actor/account/name"), text("/object/definition/description/en"))
        })
        .collect();
    let nobody = ("<unknown>", "");
    let expected = [
        nobody,
        ("Ada", ""),
        ("Ada", "first?"),
        ("Ada", ""),
        ("Ada II", ""),
        ("Ada II", "second?"),
        ("Ada II", "second?"),
        ("Ada II", ""),
        nobody,
    ];
    assert_eq!(said, expected);
}

#[tokio::test]
async fn what_is_known_goes_when_the_meeting_expires() {
    let lab = lab(|setup| setup.env("MAPPINGS_TIMEOUT", "700").set("mappings.cleanupInterval", 50)).await;
    let meeting = Meeting::new("m");
    lab.redis.publish_all(&[meeting.created(), meeting.joined("ada")]).await;
    lab.receiver.wait(STATEMENTS, 2).await;
    let kept = async || {
        let keys: Vec<String> = lab.redis.run(cmd("KEYS").arg("bigbluebutton:webhooks:xapi:*")).await;
        keys.len()
    };
    until("it is kept", async || kept().await == 4).await;
    let record = lab.redis.hash(&format!("bigbluebutton:webhooks:xapi:meeting:{}", session(&meeting))).await;
    let field = |name: &str| record.get(name).map(String::as_str);
    assert_eq!(field("internal_meeting_id"), Some(meeting.internal.as_str()));
    assert_eq!((field("planned_duration"), field("create_time")), (Some("90"), Some("1763990000123")));
    assert_eq!((field("xapi_enabled"), field("create_end_actor_name")), (Some("true"), Some("<unknown>")));
    until("it is forgotten", async || kept().await == 0).await;
}

#[tokio::test]
async fn what_is_known_is_written_again_to_a_redis_that_was_emptied() {
    let mut lab = lab(|setup| setup).await;
    let meeting = Meeting::new("m");
    lab.redis.publish(&meeting.created()).await;
    lab.receiver.wait(STATEMENTS, 1).await;
    until("it is kept", async || lab.redis.set(MEETINGS).await.len() == 1).await;
    let _: String = lab.redis.run(&cmd("FLUSHALL")).await;
    until("it is written again", async || lab.redis.set(MEETINGS).await.len() == 1).await;
    lab.daemon.kill();
    lab.daemon.start_again().await;
    lab.redis.publish(&meeting.joined("ada")).await;
    until("the statement", async || verbs(&statements(&lab.receiver.to(STATEMENTS))).contains(&"join")).await;
}

#[tokio::test]
async fn it_is_off_unless_turned_on_and_runs_with_half_a_configuration() {
    let (redis, lrs) = (Redis::start().await, Receiver::start().await);
    let own = json!({"lrs_endpoint": lrs.url(""), "lrs_token": "t"}).to_string();
    let own = json!({"secret-lrs-payload": encrypt(&own, SECRET)});
    let publish = async |name: &str| {
        redis.publish(&Meeting::new(&format!("plain-{name}")).created()).await;
        redis.publish(&Meeting::new(name).created_with(&own)).await;
    };
    let mut off = with_lrs(Daemon::on(&redis), &lrs).without_env("XAPI_ENABLED").start().await;
    publish("off").await;
    redis.publish(&Meeting::new("off").ended()).await;
    let (status, _) = off.terminate().await;
    assert!(status.success());
    assert_eq!(lrs.all().len(), 0);

    let on = |endpoint: &str, namespace: &str| {
        let setup = Daemon::on(&redis).env("XAPI_ENABLED", "true");
        setup.set("xapi.lrs.lrs_endpoint", endpoint).set("xapi.uuid_namespace", namespace)
    };
    let mut daemon = on("https://your_lrs.endpoint", "01234567-89ab-cdef-0123-456789abcdef").start().await;
    publish("example").await;
    assert_eq!(statements(&lrs.wait(STATEMENTS, 1).await).len(), 1);
    for warning in ["its lrs_endpoint is not set, or still the example's", "still the example's: the ids"] {
        daemon.logs(warning).await;
    }
    daemon.terminate().await;
    let daemon = on("", "").start().await;
    daemon.logs("its uuid_namespace is not set").await;
    drop(daemon);
    for (endpoint, namespace) in [("lrs.example.org", NAMESPACE), ("https://lrs.example.org", "x")] {
        let ended = on(endpoint, namespace).run().await;
        assert_eq!(ended.status.code(), Some(78), "{}", ended.stderr);
    }
    assert_eq!(lrs.all().len(), 1);
}

#[tokio::test]
async fn the_registration_is_of_the_day_where_the_server_is() {
    let lab = lab(|setup| setup.env("TZ", "XST-13")).await;
    lab.redis.publish(&Meeting::new("m").created()).await;
    let sent = statements(&lab.receiver.wait(STATEMENTS, 1).await);
    let day = Uuid::new_v5(&NAMESPACE.parse().unwrap(), b"m_20251125");
    assert_eq!(sent[0]["context"]["registration"], day.to_string());
}

#[tokio::test]
async fn an_authority_of_one_s_own_is_believed() {
    let (redis, lrs) = (Redis::start().await, Receiver::start().await);
    let authority = Authority::new();
    let front = format!("https://localhost:{}", authority.front(lrs.port()).await);
    let named = |file: &str| {
        let setup = with_lrs(Daemon::on(&redis), &lrs).set("xapi.lrs.lrs_endpoint", front.as_str());
        setup.set("xapi.lrs.caFile", file)
    };

    let mut without = named("missing.pem").start().await;
    without.logs("xAPI's caFile cannot be used").await;
    redis.publish(&Meeting::new("m").created()).await;
    without.logs("certificate").await;
    assert_eq!(lrs.all().len(), 0);
    without.terminate().await;

    let with = named(&authority.trust()).start().await;
    assert_eq!(verbs(&statements(&lrs.wait(STATEMENTS, 1).await)), ["initialized"], "what waited is sent");
    drop(with);
}

#[tokio::test]
async fn the_books_of_statements_balance() {
    let (redis, lrs) = (Redis::start().await, Receiver::start().await);
    let lrs_of_ours = json!({"enabled": true, "lrs": {"lrs_endpoint": lrs.url("")}, "uuid_namespace": NAMESPACE});
    let environment = [
        ("SHARED_SECRET", SECRET.to_owned()),
        ("SERVER_DOMAIN", "bbb.example.com".to_owned()),
        ("SERVER_PORT", free_port().to_string()),
        ("REDIS_PORT", redis.port().to_string()),
        ("NODE_CONFIG", json!({"xapi": lrs_of_ours}).to_string()),
    ];
    let environment = environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let config = config::load(&Sources { environment, ..Sources::default() }).unwrap().config;
    // Another test may have done it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut app = App::start(config).await.unwrap();
    let (good, bad) = (Meeting::new("good"), Meeting::new("bad"));
    lrs.refuse(STATEMENTS, Some("/leave"));
    redis.publish_all(&[good.created(), good.joined("ada"), good.camera("bob"), good.left("ada")]).await;
    redis.publish_all(&[bad.created_with(&json!({"secret-lrs-payload": "x"})), bad.joined("ada"), good.ended()]).await;
    let account = eventually("all is finished", async || {
        let books = app.journal().books();
        let account = books.into_iter().find(|(name, _)| name.as_str() == "xapi")?.1.account();
        assert!(account.balances(), "{account:?}");
        (account.delivered + account.parked + account.unsent == 7).then_some(account)
    })
    .await;
    assert_eq!((account.delivered, account.parked, account.unsent), (3, 1, 3), "{account:?}");
    assert_eq!(app.xapi().unwrap().without_lrs(), 2);
    assert_eq!(lrs.to(STATEMENTS)[0].header("authorization"), None, "no user is configured");
    app.stop().await;
}
