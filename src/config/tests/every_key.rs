//! Every row of the table, by every way there is to it.

use std::time::Duration;

use super::super::keys::{ROWS, Row};
use super::super::*;
use super::Server;

/// A value for a key (as YAML, which does as a variable's text too), and what it changes.
#[rustfmt::skip]
pub(super) fn sample(key: &str) -> (&'static str, fn(&mut Config)) {
    fn host(server: &mut RedisServer) -> &mut String {
        let RedisServer::Tcp { host, .. } = server else { panic!() };
        host
    }
    fn port(server: &mut RedisServer) -> &mut u16 {
        let RedisServer::Tcp { port, .. } = server else { panic!() };
        port
    }
    fn username(server: &mut RedisServer) -> &mut Option<String> {
        let RedisServer::Tcp { username, .. } = server else { panic!() };
        username
    }
    fn password(server: &mut RedisServer) -> &mut Option<Secret> {
        let RedisServer::Tcp { password, .. } = server else { panic!() };
        password
    }
    fn url() -> RedisServer { RedisServer::Url(Secret::new("rediss://r:6380/1")) }
    match key {
        "bbb.serverDomain" => ("other.example.org", |c| c.bbb.server_domain = "other.example.org".into()),
        "bbb.sharedSecret" => ("00123e4", |c| c.bbb.shared_secret = Secret::new("00123e4")),
        "bbb.previousSecret" => ("0123", |c| c.bbb.previous_secret = Some(Secret::new("0123"))),
        "bbb.auth2_0" => ("true", |c| c.bbb.bearer_auth = true),
        "bbb.apiPath" => ("/x/api/", |c| c.bbb.api_path = "/x/api".into()),
        "server.bind" => ("0.0.0.0", |c| c.api.bind = [0, 0, 0, 0].into()),
        "server.port" => ("3006", |c| c.api.port = 3006),
        "api.checksumAlgorithms" => ("[\"sha512\", \"SHA256\"]", |c| c.api.checksum_algorithms = vec![Algorithm::Sha512, Algorithm::Sha256]),
        "server.maxConnections" => ("50", |c| c.api.limits.connections = 50),
        "server.maxHeaderSize" => ("8192", |c| c.api.limits.header_size = 8192),
        "server.headerTimeout" => ("2000", |c| c.api.limits.header_timeout = Duration::from_secs(2)),
        "hooks.checksumAlgorithm" => ("sha256", |c| c.hooks.checksum_algorithm = Algorithm::Sha256),
        "hooks.checksumFormat" => ("json", |c| c.hooks.checksum_format = ChecksumFormat::Json),
        "hooks.legacyAuth" => ("false", |c| c.hooks.legacy_auth = false),
        "hooks.permanentURLs" => ("[{\"url\": \"https://x.org/a?b\", \"getRaw\": true}]", |c| {
            c.hooks.permanent = vec![PermanentHook { url: "https://x.org/a?b".into(), raw: true, trust: Trust::Usual }];
        }),
        "hooks.includeEvents" => ("[\" User-Joined\"]", |c| c.hooks.include_events = vec!["user-joined".into()]),
        "hooks.excludeEvents" => ("[\"user-left\", \"\"]", |c| c.hooks.exclude_events = vec!["user-left".into()]),
        "hooks.queueSize" => ("7", |c| c.hooks.queue_size = 7),
        "hooks.journalSize" => ("123456", |c| c.hooks.journal_size = 123_456),
        "hooks.memoryLimit" => ("1000000", |c| c.hooks.memory_limit = 1_000_000),
        "hooks.multiEvent" => ("5", |c| c.hooks.multi_event = 5),
        "hooks.retryIntervals" => ("[0, \"20\"]", |c| c.hooks.retry_intervals = vec![Duration::ZERO, Duration::from_millis(20)]),
        "hooks.permanentIntervalReset" => ("1000", |c| c.hooks.permanent_interval_reset = Duration::from_secs(1)),
        "hooks.requestTimeout" => ("1500", |c| c.hooks.request_timeout = Duration::from_millis(1500)),
        "hooks.onExhausted" => ("suspend", |c| c.hooks.on_exhausted = OnExhausted::Suspend),
        "hooks.suspendFor" => ("3600000", |c| c.hooks.suspend_for = Duration::from_secs(3600)),
        "hooks.maxHooks" => ("7", |c| c.hooks.max_hooks = 7),
        "hooks.caFile" => ("/etc/ssl/lms.pem", |c| c.hooks.ca_file = Some("/etc/ssl/lms.pem".into())),
        "hooks.idFormat" => ("uuid", |c| c.hooks.id_format = IdFormat::Uuid),
        "hooks.ordering" => ("none", |c| c.hooks.ordering = Ordering::None),
        "hooks.concurrency" => ("2", |c| c.hooks.concurrency = 2),
        "hooks.callbackPolicy.profile" => ("public-only", |c| c.hooks.callback_policy.profile = Profile::PublicOnly),
        "hooks.callbackPolicy.allow" => ("[\"10.0.0.0/8\", \"lms.example.org\"]", |c| {
            c.hooks.callback_policy.allow = vec![Destination::Network("10.0.0.0/8".parse().unwrap()), Destination::Host("lms.example.org".into())];
        }),
        "hooks.callbackPolicy.deny" => ("[\"*.example.org\"]", |c| {
            c.hooks.callback_policy.deny = vec![Destination::Below("example.org".into())];
        }),
        "hooks.bearerOverHttp" => ("false", |c| c.hooks.bearer_over_http = false),
        "events" => ("[{\"message\": \"M\", \"id\": \"e\", \"user\": \"/u\", \"attributes\": {\"a\": \"/b\"}}]", |c| {
            let pointer = |text| crate::mapper::Pointer::parse(text).unwrap();
            c.events = vec![ConfiguredEvent {
                message: "M".into(),
                id: "e".into(),
                overrides: false,
                meeting: None,
                user: Some(pointer("/u")),
                attributes: vec![("a".into(), crate::mapper::Source::Pointer(pointer("/b")))],
            }];
        }),
        "input.channels" => ("[\"a:*\"]", |c| c.input.channels = vec!["a:*".into()]),
        "input.redis.host" => ("r", |c| *host(&mut c.input.redis) = "r".into()),
        "input.redis.port" => ("6380", |c| *port(&mut c.input.redis) = 6380),
        "input.redis.username" => ("u", |c| *username(&mut c.input.redis) = Some("u".into())),
        "input.redis.password" => ("0123", |c| *password(&mut c.input.redis) = Some(Secret::new("0123"))),
        "input.redis.url" => ("rediss://r:6380/1", |c| c.input.redis = url()),
        "store.redis.host" => ("r", |c| *host(&mut c.redis) = "r".into()),
        "store.redis.port" => ("6380", |c| *port(&mut c.redis) = 6380),
        "store.redis.username" => ("u", |c| *username(&mut c.redis) = Some("u".into())),
        "store.redis.password" => ("0123", |c| *password(&mut c.redis) = Some(Secret::new("0123"))),
        "store.redis.url" => ("rediss://r:6380/1", |c| c.redis = url()),
        "redis.keys.hooks" => ("k", |c| c.keys.hooks = "k".into()),
        "redis.keys.hookPrefix" => ("k", |c| c.keys.hook_prefix = "k".into()),
        "redis.keys.mappings" => ("k", |c| c.keys.mappings = "k".into()),
        "redis.keys.mappingPrefix" => ("k", |c| c.keys.mapping_prefix = "k".into()),
        "redis.keys.userMaps" => ("k", |c| c.keys.user_maps = "k".into()),
        "redis.keys.userMapPrefix" => ("k", |c| c.keys.user_map_prefix = "k".into()),
        "mappings.timeout" => ("60000", |c| c.mappings.timeout = Duration::from_secs(60)),
        "mappings.cleanupInterval" => ("500", |c| c.mappings.cleanup_interval = Duration::from_millis(500)),
        "log.level" => ("fatal", |c| c.log.level = LogLevel::Error),
        "log.format" => ("JSON", |c| c.log.format = LogFormat::Json),
        "log.stdout" => ("False", |c| c.log.stdout = false),
        "log.file" => ("\"true\"", |c| c.log.file = true),
        "log.filename" => ("/tmp/x.log", |c| c.log.filename = "/tmp/x.log".into()),
        "prometheus.enabled" => ("true", |c| c.metrics.enabled = true),
        "prometheus.host" => ("\"::\"", |c| c.metrics.bind = "::".parse().unwrap()),
        "prometheus.port" => ("\"9100\"", |c| c.metrics.port = 9100),
        "prometheus.path" => ("/m", |c| c.metrics.path = "/m".into()),
        "prometheus.collectDefaultMetrics" => ("true", |c| c.metrics.process = true),
        "xapi.enabled" => ("true", |c| c.xapi.enabled = true),
        "xapi.lrs_endpoint" => ("https://lrs.org/xapi", |c| c.xapi.lrs_endpoint = Some("https://lrs.org/xapi".into())),
        "xapi.lrs_username" => ("u", |c| c.xapi.lrs_username = Some("u".into())),
        "xapi.lrs_password" => ("p", |c| c.xapi.lrs_password = Some(Secret::new("p"))),
        "xapi.batchSize" => ("20", |c| c.xapi.batch_size = 20),
        "xapi.requestTimeout" => ("2500", |c| c.xapi.request_timeout = Duration::from_millis(2500)),
        "xapi.caFile" => ("/etc/ssl/lrs.pem", |c| c.xapi.ca_file = Some("/etc/ssl/lrs.pem".into())),
        "xapi.uuid_namespace" => ("01234567-89ab-cdef-0123-456789abcdef", |c| {
            c.xapi.uuid_namespace = Some("01234567-89ab-cdef-0123-456789abcdef".parse().unwrap());
        }),
        "xapi.keys.meetings" => ("k", |c| c.xapi.keys.meetings = "k".into()),
        "xapi.keys.meetingPrefix" => ("k", |c| c.xapi.keys.meeting_prefix = "k".into()),
        "xapi.keys.users" => ("k", |c| c.xapi.keys.users = "k".into()),
        "xapi.keys.userPrefix" => ("k", |c| c.xapi.keys.user_prefix = "k".into()),
        "xapi.keys.polls" => ("k", |c| c.xapi.keys.polls = "k".into()),
        "xapi.keys.pollPrefix" => ("k", |c| c.xapi.keys.poll_prefix = "k".into()),
        "redis.host" => ("r", |c| both(c, |server| *host(server) = "r".into())),
        "redis.port" => ("6380", |c| both(c, |server| *port(server) = 6380)),
        "redis.username" => ("u", |c| both(c, |server| *username(server) = Some("u".into()))),
        "redis.password" => ("0123", |c| both(c, |server| *password(server) = Some(Secret::new("0123")))),
        "redis.url" => ("rediss://r:6380/1", |c| both(c, |server| *server = url())),
        "webhooks.enabled" | "input.enabled" | "store.enabled" => ("true", |_| {}),
        _ => panic!("no sample for {key}"),
    }
}

fn both(config: &mut Config, change: fn(&mut RedisServer)) {
    change(&mut config.redis);
    change(&mut config.input.redis);
}

/// The YAML text that sets the value at the end of a way.
pub(super) fn yaml(way: &[&str], value: &str) -> String {
    let lines = way.iter().enumerate().map(|(depth, step)| format!("{}{step}:", "  ".repeat(depth)));
    format!("{} {value}\n", lines.collect::<Vec<_>>().join("\n"))
}

fn expected(key: &str) -> Config {
    let mut config = Server::new().config();
    sample(key).1(&mut config);
    config
}

/// A server whose secret and domain come from the weakest file, so that every row can be seen to arrive.
pub(super) fn server(row: &Row) -> Server {
    let name = row.variable.filter(|name| ["SHARED_SECRET", "SERVER_DOMAIN"].contains(name)).unwrap_or_default();
    let mut server = Server::new();
    server.sources.environment.remove(name);
    server
}

#[test]
fn every_key_arrives_from_a_file_in_both_dialects() {
    for row in ROWS {
        for way in row.ways() {
            let loaded = server(row).file("app/default.yml", yaml(&way, sample(row.key).0)).load().unwrap();
            assert_eq!(loaded.config, expected(row.key), "{way:?}");
            assert_eq!(loaded.notices, [""; 0], "{way:?}");
        }
    }
}

#[test]
fn every_key_arrives_from_node_config() {
    for row in ROWS {
        for way in row.ways() {
            let value: serde_json::Value = serde_yaml::from_str(sample(row.key).0).unwrap();
            // JSON has no number that keeps its zeros.
            let value = if value.is_number() { sample(row.key).0.into() } else { value };
            let tree = way.iter().rev().fold(value, |value, step| serde_json::json!({ *step: value }));
            let server = server(row).variable("NODE_CONFIG", &tree.to_string());
            assert_eq!(server.config(), expected(row.key), "{way:?}");
        }
    }
}

#[test]
fn every_variable_arrives_over_every_file() {
    for row in ROWS {
        let Some(name) = row.variable else { continue };
        let text = sample(row.key).0.trim_matches('"');
        // A variable that sets several keys changes what the general one changes.
        let key = match name.strip_prefix("REDIS_") {
            Some(field) => &format!("redis.{}", field.to_lowercase()),
            None => row.key,
        };
        let mut server = server(row).variable(name, text);
        for way in row.ways().filter(|_| !name.starts_with("REDIS_")) {
            server = server.file("etc/local.yml", yaml(&way, "null"));
        }
        assert_eq!(server.config(), expected(key), "{name}");
    }
}

#[test]
fn null_and_empty_variables_mean_not_set() {
    for row in ROWS {
        for way in row.ways() {
            let server = Server::new()
                .file("app/default.yml", yaml(&way, sample(row.key).0))
                .file("etc/default.yml", yaml(&way, "null"));
            assert_eq!(server.config(), Server::new().config(), "{way:?}");
        }
        if let Some(name) = row.variable.filter(|name| !["SHARED_SECRET", "SERVER_DOMAIN"].contains(name)) {
            assert_eq!(Server::new().variable(name, "").config(), Server::new().config(), "{name}");
        }
    }
}

#[test]
fn every_wrong_type_is_a_problem_with_its_place_and_no_value() {
    for row in ROWS {
        for way in row.ways() {
            let problems = server(row).file("app/default.yml", yaml(&way, "{hunter2: hunter2}")).problems();
            let line = way.len();
            let column = 2 * (line - 1) + 1;
            assert_eq!(problems.len(), 1, "{way:?} {problems:?}");
            assert!(problems[0].starts_with(&format!("app/default.yml:{line}:{column}: ")), "{problems:?}");
            assert!(problems[0].contains("got a mapping, expected "), "{problems:?}");
            assert!(!problems[0].contains("hunter2"), "{problems:?}");
        }
    }
}

#[test]
fn in_one_file_version_3_wins_in_a_stronger_one_version_2() {
    let v2 = "hooks:\n  queueSize: 2\n";
    let v3 = "modules:\n  ../out/webhooks/index.js:\n    config:\n      queueSize: 3\n";
    assert_eq!(super::config_of(&format!("{v2}{v3}")).hooks.queue_size, 3);
    assert_eq!(super::config_of(&format!("{v3}{v2}")).hooks.queue_size, 3);
    assert_eq!(Server::new().file("app/default.yml", v3).file("etc/default.yml", v2).config().hooks.queue_size, 2);
    let null = v3.replace('3', "null");
    assert_eq!(super::config_of(&format!("{v2}{null}")).hooks.queue_size, 2);
}

#[test]
fn the_table_has_each_key_and_each_way_once() {
    let mut seen = std::collections::BTreeSet::new();
    for row in ROWS {
        assert!(seen.insert(vec!["key", row.key]), "{}", row.key);
        for way in row.ways() {
            assert!(seen.insert(way.clone()), "{way:?}");
        }
    }
}

#[test]
fn what_the_node_daemons_know_is_accepted_in_silence() {
    let yaml = "
type: x
queue: {enabled: true, maxSize: 5}
retry: {a: {b: 1}}
server: {port: 3005}
hooks: {getRaw: false}
redis: {keys: {eventsPrefix: x}}
modules:
  ../out/webhooks/index.js: {type: out, enabled: true, config: {getRaw: true, queue: {enabled: false}, retry: {x: 1}}}
  ../in/redis/index.js: {type: in, config: null}
  ../db/redis/index.js: {type: db, config: {queue: 1}}
  ../out/xapi/index.js: {type: out, config: {redis: {host: x, port: 1, password: p}}}
";
    let server = Server::new().file("etc/local.yml", yaml).variable("ENABLE_WH_QUEUE", "true");
    assert_eq!(server.load().unwrap(), Server::new().load().unwrap());
}
