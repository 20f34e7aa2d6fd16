//! What each value may be, and where secret and domain come from.

use std::time::Duration;

use super::super::{LogLevel, PermanentHook, RedisServer, Secret, Trust};
use super::{Server, config_of, problems_of};

const INPUT: &str = "../in/redis/index.js";
const STORE: &str = "../db/redis/index.js";

#[test]
fn impossible_values_are_problems() {
    for yaml in [
        "server: {port: 0}",
        "server: {port: 65536}",
        "server: {port: 3005.5}",
        "server: {port: 3e3}",
        "server: {port: ''}",
        "server: {bind: eth0}",
        "bbb: {auth2_0: 1}",
        "bbb: {auth2_0: perhaps}",
        "bbb: {apiPath: api}",
        "bbb: {apiPath: ''}",
        "hooks: {requestTimeout: 0}",
        "hooks: {requestTimeout: -5}",
        "hooks: {requestTimeout: 3155760000001}",
        "hooks: {requestTimeout: '99999999999999999999999'}",
        "hooks: {requestTimeout: 18446744073709551615}",
        "hooks: {retryIntervals: [-1]}",
        "hooks: {retryIntervals: 5}",
        "hooks: {permanentIntervalReset: -1}",
        "hooks: {multiEvent: 0}",
        "hooks: {queueSize: 0}",
        "hooks: {memoryLimit: 0}",
        "hooks: {concurrency: 0}",
        "hooks: {checksumFormat: xml}",
        "hooks: {idFormat: 1}",
        "hooks: {ordering: any}",
        "hooks: {channels: []}",
        "hooks: {channels: ['']}",
        "hooks: {permanentURLs: [example.org]}",
        "hooks: {permanentURLs: ['ftp://example.org']}",
        "hooks: {permanentURLs: ['http:example.org']}",
        "hooks: {permanentURLs: ['http:///example.org']}",
        "hooks: {permanentURLs: ['https://example.org/#x']}",
        r#"hooks: {permanentURLs: ["https://example.org/\r\nx"]}"#,
        "hooks: {permanentURLs: [{getRaw: true}]}",
        "hooks: {permanentURLs: [{url: 'https://example.org/', getRaw: maybe}]}",
        "hooks: {permanentURLs: 'https://example.org/'}",
        "mappings: {timeout: 0}",
        "mappings: {cleanupInterval: 0}",
        "redis: {port: 0}",
        "redis: {url: 'http://localhost'}",
        "redis: {url: 'redis:///1'}",
        "redis: {url: 'unix://'}",
        "redis: {url: localhost}",
        "redis: {host: 'http://localhost'}",
        "redis: {host: 'localhost:6379'}",
        "log: {level: loud}",
        "prometheus: {path: metrics}",
        "prometheus: {enabled: 'never'}",
        "modules: {../out/webhooks/index.js: {config: {api: {supportedChecksumAlgorithms: []}}}}",
        "modules: {../out/webhooks/index.js: {config: {api: {supportedChecksumAlgorithms: [md5]}}}}",
        "modules: {../out/webhooks/index.js: {config: {hookChecksumAlgorithm: md5}}}",
        "modules: {../out/xapi/index.js: {config: {uuid_namespace: x}}}",
        "modules: {../out/xapi/index.js: {config: {lrs: {lrs_endpoint: lrs.example.org}}}}",
    ] {
        let problems = problems_of(yaml);
        assert_eq!(problems.len(), 1, "{yaml} {problems:?}");
        assert!(problems[0].starts_with("etc/local.yml:1:"), "{problems:?}");
        assert!(problems[0].contains(", expected "), "{problems:?}");
    }
}

#[test]
fn what_may_hold_a_password_is_not_repeated() {
    for (value, got) in
        [("http://u:HUSH@x", "a URL"), ("u:HUSH@x", "a text"), ("x/y?key=HUSH", "a text"), ("a b", "\"a b\"")]
    {
        for yaml in [
            format!("hooks: {{callbackPolicy: {{allow: ['{value}']}}}}"),
            format!("hooks: {{callbackPolicy: {{deny: ['{value}']}}}}"),
            format!("hooks: {{callbackPolicy: {{profile: '{value}'}}}}"),
            format!("hooks: {{multiEvent: '{value}'}}"),
        ] {
            let problems = problems_of(&yaml);
            assert!(problems.len() == 1 && problems[0].contains(&format!(": got {got}, ")), "{yaml}: {problems:?}");
        }
    }
}

#[test]
fn possible_values_are_read() {
    assert!(config_of("bbb: {auth2_0: 'TRUE'}").bbb.bearer_auth);
    for (word, means) in [("false", false), ("No", false), ("0", false), ("TRUE", true), ("yes", true), ("1", true)] {
        assert_eq!(Server::new().variable("BEARER_AUTH", word).config().bbb.bearer_auth, means, "{word}");
    }
    assert_eq!(config_of("bbb: {apiPath: /}").bbb.api_path, "");
    assert_eq!(config_of("bbb: {apiPath: /a//}").bbb.api_path, "/a");
    assert!(config_of("server: {bind: localhost}").api.bind.is_loopback());
    assert_eq!(config_of("server: {port: ' 3007 '}").api.port, 3007);
    assert!(config_of("hooks: {retryIntervals: []}").hooks.retry_intervals.is_empty());
    assert_eq!(config_of("hooks: {permanentIntervalReset: 8}").hooks.permanent_interval_reset, Duration::from_secs(60));
    assert_eq!(
        config_of("hooks: {permanentIntervalReset: 999}").hooks.permanent_interval_reset,
        Duration::from_secs(60)
    );
    assert_eq!(config_of("log: {level: Warning}").log.level, LogLevel::Warn);
    assert_eq!(config_of("log: {level: silent}").log.level, LogLevel::Off);
    assert_eq!(
        config_of("modules: {../out/xapi/index.js: {config: {lrs: {lrs_endpoint: ''}, uuid_namespace: ''}}}"),
        Server::new().config()
    );
}

#[test]
fn lists_in_variables_are_json_or_have_commas() {
    for text in ["{}", "{\"a\":1}", "\"user-joined\"", "[{}]"] {
        let problem = Server::new().variable("INCLUDE_EVENTS", text).load().unwrap_err().to_string();
        assert!(problem.contains("INCLUDE_EVENTS") && problem.contains(", expected "), "{problem}");
    }
    for (json, commas) in [("[\"A\",\" b \",\"\"]", "A, b,,"), ("[\"a\",\"b\"]", "a,b")] {
        for text in [json, commas] {
            assert_eq!(
                Server::new().variable("INCLUDE_EVENTS", text).config().hooks.include_events,
                ["a", "b"],
                "{text}"
            );
            assert_eq!(
                Server::new().variable("EXCLUDE_EVENTS", text).config().hooks.exclude_events,
                ["a", "b"],
                "{text}"
            );
        }
    }
    for text in ["[\"sha256\",\"sha1\",\"sha256\"]", "sha256, sha1"] {
        let config = Server::new().variable("SUPPORTED_CHECKSUM_ALGORITHMS", text).config();
        assert_eq!(config.api.checksum_algorithms.map_names(), ["sha256", "sha1"], "{text}");
    }
    let problems = Server::new().variable("SUPPORTED_CHECKSUM_ALGORITHMS", "[\"sha1\",\"md5\"]").problems();
    assert_eq!(
        problems,
        [
            "environment variable SUPPORTED_CHECKSUM_ALGORITHMS: [1]: got \"md5\", expected one of sha1, sha256, sha384, sha512"
        ]
    );
    let problems = Server::new().variable("PERMANENT_HOOKS", "[\"https://hunter2\"").problems();
    assert_eq!(
        problems,
        ["environment variable PERMANENT_HOOKS: got a text, expected a list in JSON, such as [\"first\",\"second\"]"]
    );
}

#[test]
fn a_list_that_is_none_is_told_as_its_place_would_have_it() {
    let problems = problems_of("hooks:\n  permanentURLs: http://x\n");
    let expected = "expected a list: each item in a line of its own below the key that begins with \"- \"";
    assert_eq!(problems, [format!("etc/local.yml:2:3: hooks.permanentURLs: got a text, {expected}")]);
    let problems = Server::new().variable("PERMANENT_HOOKS", "http://x").problems();
    assert!(problems[0].contains("expected a list in JSON"), "{problems:?}");
}

#[test]
fn ids_that_no_event_has_are_said() {
    let yaml = "
events: [{message: M, id: of-ours}]
bbb:
  includeEvents:
    - user-joind
    - USER-JOINED
    - of-ours
    - user-audio-listen-only-enabled
";
    let server = Server::new().file("etc/local.yml", yaml).variable("EXCLUDE_EVENTS", "user-left,nothing\n");
    assert_eq!(
        server.notices(),
        [
            "etc/local.yml:5:7: bbb.includeEvents[0]: user-joind: no such event; docs/events.md has all",
            "environment variable EXCLUDE_EVENTS: nothing: no such event; docs/events.md has all",
        ]
    );
}

#[test]
fn what_else_is_wrong_is_said_with_what_stops_the_start() {
    let yaml = "hooks:\n  queueSizes: 1\n  multiEvent: x\n";
    let mut server = Server::new().file("etc/local.yml", yaml);
    let said = server.load().unwrap_err().to_string();
    assert!(said.contains("hooks.multiEvent") && said.contains("hooks.queueSizes: unknown key, ignored"), "{said}");
    assert!(said.ends_with("then start bbb-webhooks again."), "{said}");
    server.sources.by_hand = true;
    let said = server.load().unwrap_err().to_string();
    assert!(said.ends_with("unknown key, ignored"), "a command is nothing that is started: {said}");
}

trait Names {
    fn map_names(&self) -> Vec<&'static str>;
}

impl Names for Vec<crate::checksum::Algorithm> {
    fn map_names(&self) -> Vec<&'static str> {
        self.iter().map(|algorithm| algorithm.name()).collect()
    }
}

#[test]
fn permanent_hooks_are_urls_or_mappings() {
    let json = r#"["https://a.org/?x=1", {"url": "http://b.org"}, {"url": "http://c.org", "getRaw": "True"}]"#;
    let hook = |url: &str, raw| PermanentHook { url: url.to_owned(), raw, trust: Trust::Usual };
    let expected = [hook("https://a.org/?x=1", false), hook("http://b.org", false), hook("http://c.org", true)];
    assert_eq!(Server::new().variable("PERMANENT_HOOKS", json).config().hooks.permanent, expected);
    assert_eq!(config_of(&format!("hooks: {{permanentURLs: {json}}}")).hooks.permanent, expected);
    let problems = problems_of("hooks:\n  permanentURLs:\n    - url: https://a.org/hunter2#x\n    - getRaw: 1\n");
    assert_eq!(
        problems,
        [
            "etc/local.yml:3:7: hooks.permanentURLs[0].url: got a text, expected a URL that can be called back; this one must not have a fragment (#...)",
            "etc/local.yml:4:7: hooks.permanentURLs[1]: got a mapping, expected a URL or a mapping with url, and perhaps getRaw, caFile, verify",
        ]
    );
}

#[test]
fn what_does_not_count_of_a_permanent_hook_is_said() {
    let yaml =
        "hooks:\n  permanentURLs:\n    - {url: 'http://h', getraw: true}\n    - {url: 'http://h', getRaw: true}\n";
    let server = Server::new().file("etc/local.yml", yaml);
    let first = PermanentHook { url: "http://h".to_owned(), raw: false, trust: Trust::Usual };
    assert_eq!(server.config().hooks.permanent, [first]);
    assert_eq!(
        server.notices(),
        [
            "etc/local.yml:3:25: hooks.permanentURLs[0].getraw: unknown key, ignored",
            "etc/local.yml:4:7: hooks.permanentURLs[1]: ignored, because its URL stands in the list before",
        ]
    );
}

#[test]
fn a_permanent_hook_says_whose_certificates_are_believed() {
    let trust = |hook: &str| config_of(&format!("hooks: {{permanentURLs: [{hook}]}}")).hooks.permanent[0].trust.clone();
    assert_eq!(trust("{url: 'https://h', caFile: /a.pem}"), Trust::Only("/a.pem".into()));
    assert_eq!(trust("{url: 'https://h', verify: false}"), Trust::Anybody);
    assert_eq!(trust("{url: 'https://h', caFile: '', verify: true}"), Trust::Usual);
    let problems = problems_of("hooks: {permanentURLs: [{url: 'https://h', caFile: /a.pem, verify: false}]}");
    assert!(problems[0].contains("either a caFile or verify: false"), "{problems:?}");
}

#[test]
fn version_2_names_of_redis_keys_stand_for_the_defaults() {
    let yaml = "redis:\n  keys:\n    hooks: bigbluebutton:webhooks:hooks\n    hookPrefix: bigbluebutton:webhooks:hook
    mappings: bigbluebutton:webhooks:mappings\n    mappingPrefix: bigbluebutton:webhooks:mapping
    userMaps: bigbluebutton:webhooks:userMaps\n    userMapPrefix: bigbluebutton:webhooks:userMap
    eventsPrefix: bigbluebutton:webhooks:events\n";
    assert_eq!(config_of(yaml), Server::new().config());
    assert_eq!(config_of("redis: {keys: {hooks: ''}}"), Server::new().config());
}

fn tcp(host: &str, port: u16, password: Option<&str>) -> RedisServer {
    RedisServer::Tcp { host: host.to_owned(), port, username: None, password: password.map(Secret::new) }
}

#[test]
fn a_module_s_redis_wins_over_the_general_one_field_by_field() {
    let general = "redis: {host: general, port: 1, password: p}\n";
    let modules = format!(
        "modules:\n  {INPUT}: {{config: {{redis: {{host: in, password: ''}}}}}}\n  {STORE}: {{config: {{port: 2}}}}\n"
    );
    let server = Server::new().file("app/default.yml", format!("{general}{modules}"));
    assert_eq!(server.config().input.redis, tcp("in", 1, Some("p")));
    assert_eq!(server.config().redis, tcp("general", 2, Some("p")));
    let server = server.variable("REDIS_HOST", "env").variable("REDIS_PORT", "3");
    assert_eq!(server.config().input.redis, tcp("env", 3, Some("p")));
    assert_eq!(server.config().redis, tcp("env", 3, Some("p")));
}

#[test]
fn an_empty_password_is_none() {
    let server =
        Server::new().file("app/default.yml", "redis: {password: p}").file("etc/local.yml", "redis: {password: ''}");
    assert_eq!(server.config().redis, tcp("127.0.0.1", 6379, None));
}

#[test]
fn a_url_is_used_instead_of_host_and_port() {
    for url in ["redis://h", "rediss://u:p@h:1/2", "unix:///run/redis.sock", "redis+unix:///run/redis.sock"] {
        let expected = RedisServer::Url(Secret::new(url));
        for key in ["url", "host"] {
            let server = Server::new()
                .file("app/default.yml", "redis: {host: general, port: 1}")
                .file("etc/local.yml", format!("redis: {{{key}: '{url}'}}"));
            let loaded = server.load().unwrap();
            assert_eq!(loaded.config.redis, expected);
            assert_eq!(loaded.config.input.redis, expected);
            assert_eq!(loaded.notices, [""; 0]);
        }
    }
}

#[test]
fn a_host_that_a_url_beats_is_said() {
    let server = Server::new().file("etc/local.yml", "redis:\n  url: redis://:hunter2@h\n").variable("REDIS_HOST", "r");
    assert_eq!(server.config().redis, RedisServer::Url(Secret::new("redis://:hunter2@h")));
    assert_eq!(
        server.notices(),
        ["environment variable REDIS_HOST: ignored, because a URL is set (etc/local.yml:2:3: redis.url)"]
    );
}

#[test]
fn of_two_urls_the_stronger_layer_s_is_used() {
    let server = Server::new().file("etc/local.yml", "redis:\n  url: redis://a\n").variable("REDIS_HOST", "redis://b");
    assert_eq!(server.config().redis, RedisServer::Url(Secret::new("redis://b")));
    let server = server.variable("REDIS_URL", "redis://c");
    assert_eq!(server.config().redis, RedisServer::Url(Secret::new("redis://c")));
    assert_eq!(server.notices(), [""; 0]);
}

#[test]
fn the_example_s_learning_record_store_is_none() {
    let example = "xapi: {lrs: {lrs_endpoint: 'https://your_lrs.endpoint', lrs_username: user, lrs_password: pass}}";
    assert_eq!(config_of(example).xapi.lrs_endpoint, None);
    let both = "
xapi: {lrs: {batchSize: 5}, enabled: true}
modules: {../out/xapi/index.js: {config: {lrs: {batchSize: 7}}}}";
    assert_eq!((config_of(both).xapi.batch_size, config_of(both).xapi.enabled), (7, true));
    assert_eq!(problems_of("xapi: {uuid_namespace: 123}").len(), 1);
}

#[test]
fn no_message_shows_a_secret() {
    let server = Server::new().anonymous().variable("SERVER_DOMAIN", "d");
    let server = server.file("etc/local.yml", "bbb:\n  sharedSecret: true\n");
    assert_eq!(server.problems(), ["etc/local.yml:2:3: bbb.sharedSecret: got true or false, expected a text"]);
    for yaml in [
        "bbb: {sharedSecret: [hunter2]}",
        "bbb: {sharedSecret: !tag hunter2}",
        "bbb: hunter2",
        "redis: {url: 'http://:hunter2@h'}",
        "redis: {host: 'hunter2@h'}",
        "redis: {password: {a: hunter2}}",
        "hooks: {permanentURLs: ['x://a/?token=hunter2']}",
        "modules: {../out/xapi/index.js: {config: {lrs: {lrs_endpoint: 'x://u:hunter2@h', lrs_password: [hunter2]}}}}",
    ] {
        let error = Server::new().anonymous().file("etc/local.yml", yaml).load().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
fn parts_that_cannot_be_turned_off_say_so() {
    let yaml = format!("modules:\n  {INPUT}:\n    enabled: false\n  ../out/webhooks/index.js:\n    enabled: false\n");
    assert_eq!(
        Server::new().file("etc/local.yml", yaml).notices(),
        [
            "etc/local.yml:5:5: modules.\"../out/webhooks/index.js\".enabled: ignored, this part cannot be turned off",
            "etc/local.yml:3:5: modules.\"../in/redis/index.js\".enabled: ignored, this part cannot be turned off",
        ]
    );
}

#[test]
fn secret_and_domain_come_from_bigbluebutton_s_properties() {
    let server = Server::new()
        .anonymous()
        .file("app/default.yml", "bbb: {sharedSecret: mysharedsecret, serverDomain: myserver.com}")
        .file("etc/local.yml", "bbb: {sharedSecret: '', serverDomain: null}")
        .file("first", "# none\nsecuritySalt=\nbigbluebutton.web.serverURL = https://bbb.example.org:8443/\n")
        .file("second", "securitySalt=hush\nbigbluebutton.web.serverURL=http://wrong\n")
        .properties("missing")
        .properties("first")
        .properties("second");
    let config = server.config();
    assert_eq!(config.bbb.shared_secret.expose(), "hush");
    assert_eq!(config.bbb.server_domain, "bbb.example.org");
    assert_eq!(server.notices(), [""; 0]);
    let server = server.file("app/local.yml", "bbb: {sharedSecret: mine}");
    assert_eq!(server.config().bbb.shared_secret.expose(), "mine");
}

#[test]
fn a_placeholder_does_not_hide_what_a_weaker_layer_says() {
    let server = Server::new().anonymous().variable("SHARED_SECRET", "sharedSecret");
    let server = server.file("app/default.yml", "bbb: {sharedSecret: real, serverDomain: d}");
    assert_eq!(server.config().bbb.shared_secret.expose(), "real");
}

#[test]
fn without_secret_or_domain_every_place_looked_at_is_named() {
    let server =
        Server::new().anonymous().file("second", "x=y").properties("missing").properties("second").properties("dir");
    std::fs::create_dir(server.path("dir")).unwrap();
    let problems = server.problems();
    assert_eq!(problems.len(), 2);
    for (problem, key, variable, property) in [
        (&problems[0], "bbb.serverDomain", "SERVER_DOMAIN", "bigbluebutton.web.serverURL"),
        (&problems[1], "bbb.sharedSecret", "SHARED_SECRET", "securitySalt"),
    ] {
        assert_eq!(
            *problem,
            format!(
                "{key}: not set; looked at: environment variable {variable}; {key} in the files in {home}/etc; \
                 {key} in the files in {home}/app; {property} in missing (no such file); {property} in second (not set there); \
                 {property} in dir (cannot be read: Is a directory (os error 21)). Set it in etc/local.yml, or let the \
                 daemon's user read BigBlueButton's properties",
                home = "",
            )
            .replace("in /", "in ")
        );
    }
}

#[test]
fn a_placeholder_is_said_where_it_leaves_nothing() {
    let server =
        Server::new().anonymous().variable("SERVER_DOMAIN", "d").file("app/default.yml", "bbb: {sharedSecret: ''}");
    let server = server.file("etc/local.yml", "bbb:\n  apiPath: /x\n  sharedSecret: mysharedsecret\n");
    let problems = server.problems();
    let said = "bbb.sharedSecret: not set (etc/local.yml:3: a placeholder, counts as not set); looked at: ";
    assert!(problems.len() == 1 && problems[0].starts_with(said), "{problems:?}");
    let problems = server.variable("SHARED_SECRET", "sharedSecret").problems();
    let said = "not set (variable SHARED_SECRET: a placeholder, counts as not set; etc/local.yml:3: a placeholder";
    assert!(problems[0].contains(said), "{problems:?}");
}

#[test]
fn a_properties_file_that_cannot_be_read_is_said_even_if_the_next_one_helps() {
    let server = Server::new().anonymous().file("second", "securitySalt=hush").properties("dir").properties("second");
    let server = server.variable("SERVER_DOMAIN", "d");
    std::fs::create_dir(server.path("dir")).unwrap();
    assert_eq!(
        server.notices(),
        ["dir: cannot be read: Is a directory (os error 21); securitySalt was found in the next place"]
    );
}
