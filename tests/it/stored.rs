//! What Redis holds: written by the Node daemons and read here, and the other way round.

use std::collections::BTreeMap;

use redis::cmd;
use serde_json::Value;

use crate::harness::Daemon;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Receiver;
use crate::harness::Redis;
use crate::harness::until;

const OUT: &str = "bigbluebutton:webhooks:out";
const PROC: &str = "bigbluebutton:webhooks:proc";
const V2: &str = "bigbluebutton:webhooks";

const GLOBAL: &str = "5c4aa4e2-5e0e-4a8f-9df1-0c1a76ad5b3e";
const NARROW: &str = "a0d7bb32-9a34-4d15-8d4e-8e6a1a2a4b11";

/// As version 3 writes a user: every value is a text.
const ADA: &str = r#"{"internal-user-id":"w_ada","external-user-id":"ext-ada","name":"ada","role":"MODERATOR","presenter":"true","guest":"false"}"#;

/// The user of the last event that came to a path: internal and external id; and the external id of its meeting.
fn last_event(receiver: &Receiver, path: &str) -> [Option<String>; 3] {
    let event = receiver.to(path).last().unwrap().events().pop().unwrap();
    let text = |way: &str| event.pointer(way).and_then(Value::as_str).map(str::to_owned);
    [
        text("/data/attributes/user/internal-user-id"),
        text("/data/attributes/user/external-user-id"),
        text("/data/attributes/meeting/external-meeting-id"),
    ]
}

fn ids(user: &str, meeting: &str) -> [Option<String>; 3] {
    [format!("w_{user}"), format!("ext-{user}"), meeting.to_owned()].map(Some)
}

#[tokio::test]
async fn what_node_3_left_in_redis_is_read() {
    let redis = Redis::start().await;
    let receiver = Receiver::start().await;
    let (all, narrow) = (receiver.url("/all"), receiver.url("/narrow"));
    let (hooks, hook) = (format!("{OUT}:hooks"), format!("{OUT}:hook"));
    redis
        .put(
            &hooks,
            &hook,
            GLOBAL,
            &[("id", GLOBAL), ("callbackURL", &all), ("permanent", "false"), ("getRaw", "false")],
        )
        .await;
    let fields = [
        ("id", NARROW),
        ("callbackURL", &*narrow),
        ("externalMeetingID", "math-101"),
        // After a restart of version 3, which reads its own list as one with commas.
        ("eventID", r#"["[\"user-joined\"","\"user-cam-broadcast-start\"]"]"#),
        ("permanent", "false"),
        ("getRaw", "false"),
    ];
    redis.put(&hooks, &hook, NARROW, &fields).await;
    let _: u64 = redis.run(cmd("SADD").arg(&hooks).arg("41")).await;
    let (math, other) = (Meeting::new("math-101"), Meeting::new("other"));
    for (id, meeting) in [("m-1", &math), ("m-2", &other)] {
        let fields = [
            ("id", id),
            ("internalMeetingID", &*meeting.internal),
            ("externalMeetingID", &*meeting.external),
            ("lastActivity", "1763990000123"),
        ];
        redis.put(&format!("{PROC}:mappings"), &format!("{PROC}:mapping"), id, &fields).await;
    }
    let fields = [
        ("id", "u-1"),
        ("internalUserID", "w_ada"),
        ("externalUserID", "ext-ada"),
        ("meetingId", &*math.internal),
        ("user", ADA),
    ];
    redis.put(&format!("{PROC}:userMaps"), &format!("{PROC}:userMap"), "u-1", &fields).await;

    let daemon = Daemon::on(&redis).set("mappings.timeout", 100_u64 * 365 * 86_400_000).start().await;
    let listed = daemon.hooks().await;
    let of = |id: &str| listed.iter().find(|hook| hook.id == id).unwrap_or_else(|| panic!("{id} is not in {listed:?}"));
    assert_eq!((listed.len(), of(GLOBAL).url.as_str(), of(NARROW).url.as_str()), (2, &*all, &*narrow));
    assert_eq!((of(GLOBAL).meeting.as_deref(), of(GLOBAL).events.as_deref()), (None, None));
    assert_eq!(of(NARROW).meeting.as_deref(), Some("math-101"));
    assert_eq!(of(NARROW).events.as_deref(), Some("user-joined,user-cam-broadcast-start"));

    redis.publish_all(&[other.joined("bob"), math.camera("ada"), math.left("ada"), math.joined("eve")]).await;
    receiver.wait("/narrow", 2).await;
    receiver.wait("/all", 4).await;
    assert_eq!(receiver.ids("/narrow"), ["user-cam-broadcast-start", "user-joined"]);
    assert_eq!(last_event(&receiver, "/narrow"), ids("eve", "math-101"));
    let camera = receiver.to("/narrow")[0].events().pop().unwrap();
    assert_eq!(camera.pointer("/data/attributes/user/external-user-id"), Some(&"ext-ada".into()));

    let answer = daemon.destroy(NARROW).await;
    assert_eq!(answer.text_of("removed").as_deref(), Some("true"), "a hook with a UUID can be destroyed");
    assert_eq!(daemon.create(&receiver.url("/new"), &[]).await, "42", "no number that Redis names is given again");
}

#[tokio::test]
async fn who_leaves_at_the_end_is_known_from_what_node_3_left() {
    let redis = Redis::start().await;
    let receiver = Receiver::start().await;
    let math = Meeting::new("math-101");
    let fields = [
        ("id", "m-1"),
        ("internalMeetingID", &*math.internal),
        ("externalMeetingID", "math-101"),
        ("lastActivity", "1"),
    ];
    redis.put(&format!("{PROC}:mappings"), &format!("{PROC}:mapping"), "m-1", &fields).await;
    let fields = [
        ("id", "u-1"),
        ("internalUserID", "w_ada"),
        ("externalUserID", "ext-ada"),
        ("meetingId", &*math.internal),
        ("user", ADA),
    ];
    redis.put(&format!("{PROC}:userMaps"), &format!("{PROC}:userMap"), "u-1", &fields).await;
    let daemon = Daemon::on(&redis).set("mappings.timeout", 100_u64 * 365 * 86_400_000).start().await;
    daemon.create(&receiver.url("/x"), &[("meetingID", "math-101")]).await;
    redis.publish(&math.ended()).await;
    receiver.wait("/x", 2).await;
    assert_eq!(receiver.ids("/x"), ["user-left", "meeting-ended"]);
    let left = receiver.to("/x")[0].events().pop().unwrap();
    let user = serde_json::json!({
        "internal-user-id": "w_ada", "external-user-id": "ext-ada", "name": "ada", "role": "MODERATOR",
        "presenter": true, "guest": false,
    });
    assert_eq!(left.pointer("/data/attributes/user"), Some(&user), "with the attributes of the join");
}

#[tokio::test]
async fn what_is_written_has_the_format_of_node_3() {
    let lab = Lab::start().await;
    let id =
        lab.hook("/a", &[("meetingID", "math-101"), ("eventID", "user-joined, User-Left"), ("getRaw", "true")]).await;
    let hash = lab.redis.hash(&format!("{OUT}:hook:{id}")).await;
    let field = |name: &str| hash.get(name).map(String::as_str);
    assert_eq!(field("id"), Some(&*id));
    assert_eq!(field("callbackURL"), Some(&*lab.receiver.url("/a")));
    assert_eq!(field("externalMeetingID"), Some("math-101"));
    assert_eq!(field("eventID"), Some(r#"["user-joined","user-left"]"#));
    assert_eq!((field("permanent"), field("getRaw")), (Some("false"), Some("true")));
    assert!(field("created").is_some_and(|created| created.len() == 13), "{hash:?}");

    let plain = lab.hook("/b", &[]).await;
    let hash = lab.redis.hash(&format!("{OUT}:hook:{plain}")).await;
    assert!(!hash.contains_key("externalMeetingID") && !hash.contains_key("eventID"), "{hash:?}");
    assert_eq!(lab.redis.set(&format!("{OUT}:hooks")).await, [id, plain].into());

    let meeting = Meeting::new("math-101");
    lab.redis.publish_all(&[meeting.created(), meeting.joined("ada")]).await;
    until("the user is stored", async || !lab.redis.set(&format!("{PROC}:userMaps")).await.is_empty()).await;
    let only = async |set: &str, prefix: &str| -> (String, BTreeMap<String, String>) {
        let ids = lab.redis.set(&format!("{PROC}:{set}")).await;
        let id = ids.first().unwrap().clone();
        assert_eq!(ids.len(), 1);
        let hash = lab.redis.hash(&format!("{PROC}:{prefix}:{id}")).await;
        (id, hash)
    };
    let (id, hash) = only("mappings", "mapping").await;
    assert_eq!(uuid::Uuid::parse_str(&id).map(|id| id.to_string()), Ok(id.clone()));
    let field = |name: &str| hash.get(name).map(String::as_str);
    assert_eq!((field("id"), field("internalMeetingID")), (Some(&*id), Some(&*meeting.internal)));
    assert_eq!(field("externalMeetingID"), Some("math-101"));
    assert!(field("lastActivity").is_some_and(|at| at.len() == 13), "{hash:?}");
    let (id, hash) = only("userMaps", "userMap").await;
    let field = |name: &str| hash.get(name).map(String::as_str);
    assert_eq!((field("id"), field("internalUserID")), (Some(&*id), Some("w_ada")));
    assert_eq!((field("externalUserID"), field("meetingId")), (Some("ext-ada"), Some(&*meeting.internal)));
    let user: Value = serde_json::from_str(field("user").unwrap()).unwrap();
    assert_eq!(user["internal-user-id"], "w_ada");
    assert_eq!(user["external-user-id"], "ext-ada");
    assert_eq!(user["name"], "ada");

    lab.redis.publish(&meeting.left("ada")).await;
    until("the user is forgotten", async || {
        lab.redis.set(&format!("{PROC}:userMaps")).await.is_empty()
            && lab.redis.hash(&format!("{PROC}:userMap:{id}")).await.is_empty()
    })
    .await;
}

/// Everything under version 2's keys.
async fn version_2(redis: &Redis) -> BTreeMap<String, String> {
    let keys: Vec<String> = redis.run(cmd("KEYS").arg(format!("{V2}:*"))).await;
    let mut dump = BTreeMap::new();
    for key in keys.into_iter().filter(|key| !key.starts_with(OUT) && !key.starts_with(PROC)) {
        let value = match redis.run::<String>(cmd("TYPE").arg(&key)).await.as_str() {
            "set" => format!("{:?}", redis.set(&key).await),
            "hash" => format!("{:?}", redis.hash(&key).await),
            other => other.to_owned(),
        };
        dump.insert(key, value);
    }
    dump
}

#[tokio::test]
async fn what_node_2_left_in_redis_is_taken_over_once_and_stays_where_it_was() {
    let redis = Redis::start().await;
    let receiver = Receiver::start().await;
    let (all, narrow) = (receiver.url("/all"), receiver.url("/narrow"));
    let (hooks, hook) = (format!("{V2}:hooks"), format!("{V2}:hook"));
    let (mappings, mapping) = (format!("{V2}:mappings"), format!("{V2}:mapping"));
    let (user_maps, user_map) = (format!("{V2}:userMaps"), format!("{V2}:userMap"));
    let fields = [("hookID", "3"), ("callbackURL", &*all), ("permanent", "false"), ("getRaw", "false")];
    redis.put(&hooks, &hook, "3", &fields).await;
    let fields = [
        ("hookID", "7"),
        ("callbackURL", &*narrow),
        ("externalMeetingID", "math-101"),
        ("eventID", "user-left,user-cam-broadcast-start"),
        ("permanent", "false"),
        ("getRaw", "false"),
    ];
    redis.put(&hooks, &hook, "7", &fields).await;
    // Its URL has a hook, so it is not taken over; its number was given all the same.
    let fields = [("hookID", "9"), ("callbackURL", &*all), ("permanent", "false"), ("getRaw", "false")];
    redis.put(&hooks, &hook, "9", &fields).await;
    let math = Meeting::new("math-101");
    let fields = [
        ("id", "1"),
        ("internalMeetingID", &*math.internal),
        ("externalMeetingID", "math-101"),
        ("lastActivity", "1763990000123"),
    ];
    redis.put(&mappings, &mapping, "1", &fields).await;
    let meeting = ("meetingId", math.internal.as_str());
    let whole = [("id", "1"), ("internalUserID", "w_ada"), ("externalUserID", "ext-ada"), meeting, ("user", ADA)];
    redis.put(&user_maps, &user_map, "1", &whole).await;
    let broken =
        [("id", "2"), ("internalUserID", "w_bob"), ("externalUserID", "ext-bob"), meeting, ("user", "[object Object]")];
    redis.put(&user_maps, &user_map, "2", &broken).await;
    redis.put(&user_maps, &user_map, "3", &[]).await;
    let before = version_2(&redis).await;
    assert_eq!(before.len(), 9, "{before:?}");

    let mut daemon = Daemon::on(&redis).set("mappings.timeout", 100_u64 * 365 * 86_400_000).start().await;
    let listed = daemon.hooks().await;
    assert_eq!(daemon.ids().await, ["3", "7"], "{listed:?}");
    assert_eq!((listed[1].url.as_str(), listed[1].meeting.as_deref()), (&*narrow, Some("math-101")));
    assert_eq!(listed[1].events.as_deref(), Some("user-left,user-cam-broadcast-start"));
    let hash = redis.hash(&format!("{OUT}:hook:7")).await;
    assert_eq!(hash["id"], "7");
    assert_eq!(hash["eventID"], r#"["user-left","user-cam-broadcast-start"]"#);

    redis.publish(&math.camera("ada")).await;
    receiver.wait("/narrow", 1).await;
    assert_eq!(last_event(&receiver, "/narrow"), ids("ada", "math-101"));
    redis.publish(&math.camera("bob")).await;
    receiver.wait("/narrow", 2).await;
    assert_eq!(last_event(&receiver, "/narrow"), ids("bob", "math-101"), "the ids of an unusable user count");
    receiver.wait("/all", 2).await;

    assert_eq!(daemon.destroy("3").await.text_of("removed").as_deref(), Some("true"));
    daemon.restart().await;
    assert_eq!(daemon.ids().await, ["7"], "it is not taken over again");
    assert_eq!(daemon.create(&receiver.url("/new"), &[]).await, "10", "one more than the highest of version 2");
    assert_eq!(version_2(&redis).await, before, "version 2 finds everything as it was");
}
