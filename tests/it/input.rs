//! Where events come from: channels, and the ways to a Redis server.

use redis::cmd;
use serde_json::json;

use crate::harness::Daemon;
use crate::harness::Lab;
use crate::harness::Meeting;
use crate::harness::Receiver;
use crate::harness::Redis;
use crate::harness::Setup;

/// Whether events and hooks go through, before and after a restart.
async fn works(redis: &Redis, setup: Setup) {
    let receiver = Receiver::start().await;
    let mut daemon = setup.start().await;
    daemon.create(&receiver.url("/x"), &[]).await;
    let meeting = Meeting::new("math-101");
    redis.publish(&meeting.created()).await;
    receiver.wait("/x", 1).await;
    daemon.restart().await;
    redis.publish(&meeting.joined("ada")).await;
    receiver.wait("/x", 2).await;
    assert_eq!(receiver.ids("/x"), ["meeting-created", "user-joined"]);
}

#[tokio::test]
async fn a_channel_may_be_a_pattern() {
    let lab = Lab::with(|setup| {
        setup.set("hooks.channels", json!(["from-*-redis-channel", "from-akka-apps-redis-channel", "exact"]))
    })
    .await;
    lab.hook("/x", &[]).await;
    let send = async |channel: &str, text: &str| {
        lab.redis.publish_on(channel, &Meeting::new("math-101").chat("ada", text).json).await
    };
    assert_eq!(send("from-new-redis-channel", "pattern").await, 1);
    assert_eq!(send("from-akka-apps-redis-channel", "both").await, 2, "it is subscribed to twice");
    assert_eq!(send("exact", "exact").await, 1);
    assert_eq!(send("from-bbb-web", "other").await, 0);
    let requests = lab.receiver.wait("/x", 3).await;
    let texts = ["pattern", "both", "exact"];
    for (request, text) in requests.iter().zip(texts) {
        assert!(request.body.contains(text), "{} is not {text}", request.body);
    }
    send("exact", "the last").await;
    let requests = lab.receiver.wait("/x", 4).await;
    assert!(requests[3].body.contains("the+last"), "nothing came twice");
}

#[tokio::test]
async fn redis_may_ask_for_a_password() {
    const PASSWORD: &str = "p@ss:w/rd#100%?&";
    let redis = Redis::start_with(&[], Some(PASSWORD)).await;
    works(&redis, Daemon::on(&redis).env("REDIS_PASSWORD", PASSWORD)).await;
    works(&redis, Daemon::on(&redis).set("redis.password", PASSWORD)).await;
}

#[tokio::test]
async fn redis_may_ask_for_a_user() {
    let redis = Redis::start_with(&[], Some("of the default user")).await;
    let grants = [">her-password", "~bigbluebutton:webhooks:*", "+@all"];
    let granted: String = redis.run(cmd("ACL").arg("SETUSER").arg("webhooks").arg("on").arg(&grants)).await;
    assert_eq!(granted, "OK");
    // Redis 6.2 and later know users' channels too, and 7 grants none unasked.
    if redis.run::<String>(cmd("INFO").arg("server")).await.contains("redis_version:6.0") {
        println!("this Redis knows no users' channels");
    } else {
        let _: String = redis.run(cmd("ACL").arg("SETUSER").arg("webhooks").arg("allchannels")).await;
    }
    works(&redis, Daemon::on(&redis).env("REDIS_USERNAME", "webhooks").env("REDIS_PASSWORD", "her-password")).await;
}

#[tokio::test]
async fn redis_may_be_behind_a_socket() {
    let redis = Redis::start_with(&["--unixsocket", "socket"], None).await;
    let url = format!("unix://{}", redis.folder().join("socket").display());
    works(&redis, Daemon::without_redis().env("REDIS_URL", &url)).await;
    works(&redis, Daemon::without_redis().env("REDIS_HOST", &url)).await;
}

#[tokio::test]
async fn redis_may_be_named_by_a_url() {
    let redis = Redis::start_with(&[], Some("p@ss")).await;
    let url = format!("redis://:p%40ss@127.0.0.1:{}/", redis.port());
    works(&redis, Daemon::without_redis().env("REDIS_URL", &url)).await;
    works(&redis, Daemon::without_redis().set("redis.url", url)).await;
}

#[tokio::test]
async fn events_may_come_from_another_redis_than_hooks_are_kept_in() {
    let (input, store) = (Redis::start().await, Redis::start().await);
    let receiver = Receiver::start().await;
    let settings = json!({"modules": {
        "../in/redis/index.js": {"config": {"redis": {"host": "127.0.0.1", "port": input.port()}}},
        "../db/redis/index.js": {"config": {"redis": {"host": "127.0.0.1", "port": store.port()}}},
    }});
    let daemon = Daemon::without_redis().file("local.yml", &settings.to_string()).start().await;
    let id = daemon.create(&receiver.url("/x"), &[]).await;
    assert_eq!(store.set("bigbluebutton:webhooks:out:hooks").await, [id].into());
    let meeting = Meeting::new("math-101");
    assert_eq!(store.publish(&meeting.ended()).await, 0);
    assert_eq!(input.publish(&meeting.created()).await, 1);
    receiver.wait("/x", 1).await;
    assert_eq!(receiver.ids("/x"), ["meeting-created"]);
}
