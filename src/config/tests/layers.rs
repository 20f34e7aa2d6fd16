//! Which layer wins, what happens to files that cannot be used, and where messages say things are.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::RedisServer;
use super::super::Sources;
use super::{Server, problems_of};

#[test]
fn later_layers_win() {
    let files = [
        "app/default.yml",
        "etc/default.yml",
        "app/production.yml",
        "etc/production.yml",
        "app/local.yml",
        "etc/local.yml",
    ];
    let mut server = Server::new();
    for (index, name) in files.iter().enumerate() {
        server = server.file(name, format!("server:\n  port: {}\n", index + 1));
        assert_eq!(usize::from(server.config().api.port), index + 1, "{name}");
    }
    let server = server.variable("NODE_CONFIG", r#"{"server":{"port":7}}"#);
    assert_eq!(server.config().api.port, 7);
    let server = server.variable("SERVER_PORT", "8");
    assert_eq!(server.config().api.port, 8);
}

#[test]
fn mappings_merge_and_lists_are_replaced() {
    let config = Server::new()
        .file("app/default.yml", "log: {level: debug, file: true}\nhooks: {retryIntervals: [1, 2]}\n")
        .file("etc/local.yml", "log: {level: warn}\nhooks: {retryIntervals: [3]}\n")
        .config();
    assert!(config.log.file);
    assert_eq!(config.log.level, super::super::LogLevel::Warn);
    assert_eq!(config.hooks.retry_intervals.len(), 1);
}

#[test]
fn a_server_for_all_modules_in_a_stronger_file_beats_a_module_s_own_in_a_weaker_one() {
    let own = "modules: {../db/redis/index.js: {config: {host: own, port: 1}}, ../in/redis/index.js: {config: {redis: {host: own}}}}";
    let host = |server: &Server| {
        let config = server.config();
        [config.input.redis, config.redis].map(|redis| match redis {
            RedisServer::Tcp { host, port, .. } => format!("{host}:{port}"),
            RedisServer::Url(_) => panic!("no URL was set"),
        })
    };
    let server = Server::new().file("app/default.yml", format!("redis: {{host: all}}\n{own}\n"));
    assert_eq!(host(&server), ["own:6379", "own:1"]);
    let server = server.file("etc/local.yml", "redis: {host: all, port: 2}");
    assert_eq!(host(&server), ["all:2"; 2]);
    let server =
        server.variable("NODE_CONFIG", r#"{"modules":{"../out/webhooks/index.js":{"config":{"redis":{"host":"w"}}}}}"#);
    assert_eq!(host(&server), ["all:2", "w:2"]);
    assert_eq!(host(&server.variable("REDIS_HOST", "v")), ["v:2"; 2]);
}

#[test]
fn a_section_without_lines_says_nothing() {
    let server =
        Server::new().file("app/default.yml", "server:\n  port: 1\n").file("etc/local.yml", "server:\nmodules:\n");
    assert_eq!(server.config().api.port, 1);
}

#[test]
fn the_environment_names_the_second_file() {
    let server =
        Server::new().file("app/production.yml", "server: {port: 1}").file("app/test.yml", "server: {port: 2}");
    assert_eq!(server.config().api.port, 1);
    let server = server.variable("NODE_ENV", "");
    assert_eq!(server.config().api.port, 1);
    let server = server.variable("NODE_ENV", "test");
    assert_eq!(server.config().api.port, 2);
    let server = server.variable("NODE_ENV", "../test");
    assert_eq!(server.problems(), ["environment variable NODE_ENV: expected a name without /, such as production"]);
}

#[test]
fn says_once_where_the_node_daemon_had_it_the_other_way_round() {
    let server = Server::new()
        .file("app/default.yml", "server: {port: 1}")
        .file("etc/default.yml", "server: {port: 2}")
        .file("app/local.yml", "server: {port: 3, bind: 127.0.0.2}\nlog: {level: info}")
        .file("etc/local.yml", "server: {port: 4, bind: 127.0.0.3}\nlog: {level: info}");
    assert_eq!(
        server.notices(),
        ["etc/local.yml wins over app/local.yml, where the Node daemon preferred the latter: server.bind, server.port"]
    );
}

#[test]
fn unknown_keys_are_said_once_with_their_places() {
    let server = Server::new()
        .file("app/default.yml", "hooks:\n  pipelining: 1\nmodules:\n  ../out/other.js:\n    config: {a: 1, b: 2}\n")
        .file("etc/local.yml", "# mine\nhooks:\n    pipelining: 1\n1: 2\n")
        .variable("NODE_CONFIG", r#"{"x":{"y":1}}"#);
    assert_eq!(
        server.notices(),
        [
            "etc/local.yml:4:1: 1: unknown key, ignored",
            "app/default.yml:2:3: hooks.pipelining, etc/local.yml:3:5: hooks.pipelining: unknown key, ignored",
            "app/default.yml:4:3: modules.\"../out/other.js\": unknown key, ignored",
            "NODE_CONFIG: x: unknown key, ignored",
        ]
    );
}

#[test]
fn all_problems_are_listed_with_line_and_column() {
    let server = Server::new()
        .file("app/default.yml", "server:\n  port: 70000\nhooks:\n  retryIntervals:\n    - 1\n    - soon\n    - -1\n")
        .file("app/production.yml", "bbb: [1]\n")
        .variable("NODE_CONFIG", r#"{"log":{"level":"loud"}}"#)
        .variable("REDIS_PORT", "many");
    let error = server.load().unwrap_err();
    assert_eq!(
        server.problems(),
        [
            "app/production.yml:1:1: bbb: got a list, expected a mapping with keys below it",
            "app/default.yml:2:3: server.port: got 70000, expected a whole number from 1 to 65535",
            "app/default.yml:6:7: hooks.retryIntervals[1]: got \"soon\", expected a whole number from 0 to 3155760000000 (milliseconds)",
            "app/default.yml:7:7: hooks.retryIntervals[2]: got -1, expected a whole number from 0 to 3155760000000 (milliseconds)",
            "environment variable REDIS_PORT: got \"many\", expected a whole number from 1 to 65535",
            "NODE_CONFIG: log.level: got \"loud\", expected one of trace, debug, info, warn, warning, error, fatal, silent, off",
        ]
    );
    let text = error.to_string();
    assert!(text.starts_with("the configuration cannot be used:\n  "), "{text}");
    assert!(error.problems().iter().all(|problem| text.contains(problem) && !problem.contains('\n')), "{text}");
}

#[test]
fn merge_keys_work_and_their_problems_have_a_place() {
    let config = super::config_of("x-base: &base\n  port: 1\nserver:\n  <<: *base\n");
    assert_eq!(config.api.port, 1);
    let problems = problems_of("x-base: &base\n  port: 0\nserver:\n  <<: *base\n");
    assert_eq!(problems, ["etc/local.yml:3:1: server.port: got 0, expected a whole number from 1 to 65535"]);
}

#[test]
fn empty_files_and_byte_order_marks_are_fine() {
    for yaml in ["", "# nothing\n", "---\n", "{}", "\u{feff}server:\n  port: 3005\n"] {
        assert_eq!(super::config_of(yaml), Server::new().config(), "{yaml:?}");
    }
}

#[test]
fn files_that_cannot_be_used_are_problems() {
    for (content, problem) in [
        (&b"bbb:\n  a: \xff\n"[..], "etc/local.yml:2:6: is not UTF-8"),
        (b"- a\n", "etc/local.yml:1:1: expected a mapping"),
        (b"hunter2", "etc/local.yml:1:1: expected a mapping"),
        (b"a: 1\nb: [hunter2\n", "etc/local.yml:3:1: is not valid YAML: did not find expected ',' or ']'"),
        (b"a: hunter2: b\n", "etc/local.yml:1:11: is not valid YAML: mapping values are not allowed in this context"),
        (b"a: *hunter2\n", "etc/local.yml:1:4: is not valid YAML: unknown anchor"),
        (b"hunter2: {'hunter2: \"b': *hunter2}\n", "etc/local.yml:1:26: is not valid YAML: unknown anchor"),
        (b"a: 1\n---\nb: 2\n", "etc/local.yml"),
        (
            b"bbb:\n  sharedSecret: hunter2\n  sharedSecret: hunter2\n",
            "etc/local.yml:2:3: the key sharedSecret stands twice",
        ),
        (b"{hunter2: 1, hunter2: 1}\n", "etc/local.yml:1:1: a key stands twice"),
        (b"a: \"\\q hunter2\"\n", "etc/local.yml:1:5: is not valid YAML: found unknown escape"),
        (b"a: !!int hunter2\n", "etc/local.yml:1:4: is not valid YAML: a value does not fit its tag"),
        (
            b"bbb:\n  sharedSecret: 123456789012345678901234567890\n",
            "etc/local.yml:2:17: a number has too many digits; if it is a text, put it in quotes",
        ),
        (b"<<: hunter2\n", "etc/local.yml: is not valid YAML: expected a mapping"),
    ] {
        let server = Server::new().anonymous().file("etc/local.yml", content);
        let problems = server.problems();
        assert_eq!(problems.len(), 1, "what is missing may be in the bad file: {problems:?}");
        assert!(problems[0].contains(problem), "{problems:?} {problem}");
        assert!(!server.load().unwrap_err().to_string().contains("hunter2"), "{problems:?}");
    }
    let server = Server::new();
    std::fs::create_dir(server.path("etc/local.yml")).unwrap();
    assert_eq!(server.problems(), ["etc/local.yml: is a directory, expected a YAML file"]);
}

#[test]
fn node_config_has_to_be_an_object() {
    for (json, problem) in [
        ("{\"a\": hunter2}", "NODE_CONFIG:1:7: is not valid JSON, expected a JSON object such as"),
        ("[\"hunter2\"]", "NODE_CONFIG: expected a JSON object such as"),
    ] {
        let problems = Server::new().variable("NODE_CONFIG", json).problems();
        assert!(problems[0].starts_with(problem), "{problems:?}");
        assert!(!problems[0].contains("hunter2"));
    }
    assert_eq!(Server::new().variable("NODE_CONFIG", "").config(), Server::new().config());
}

#[test]
fn folders_come_from_the_environment_or_are_the_real_ones() {
    let of = |list: &str| Sources::of_environment(BTreeMap::from([("NODE_CONFIG_DIR".to_owned(), list.to_owned())]));
    let real = ["/usr/local/bigbluebutton/bbb-webhooks/config", "/etc/bigbluebutton/bbb-webhooks"];
    assert_eq!(of("").folders, real.map(PathBuf::from));
    assert_eq!(of("/first/:/second:").folders, ["/second", "/first/"].map(PathBuf::from));
    assert_eq!(of("").properties[0], PathBuf::from("/etc/bigbluebutton/bbb-web.properties"));
    assert_eq!(Sources::of_process().properties.len(), 2);
}

#[test]
fn debug_output_shows_no_secret() {
    let server = Server::new().variable("SHARED_SECRET", "hunter2").variable("REDIS_PASSWORD", "hunter2").variable(
        "NODE_CONFIG",
        r#"{"modules":{"../in/redis/index.js":{"config":{"redis":{"url":"redis://:hunter2@h"}}}}}"#,
    );
    let shown = format!("{:?} {:?}", server.sources, server.load().unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("SHARED_SECRET"));
}

#[test]
fn a_tab_is_named() {
    for yaml in ["hooks:\n\tqueueSize: 3\n", "hooks:\n  queueSize: 3\n \tmultiEvent: 3\n"] {
        let problems = problems_of(yaml);
        let line = yaml.lines().position(|line| line.contains('\t')).unwrap() + 1;
        assert!(
            problems[0].ends_with(&format!("; line {line} begins with a tab, where YAML takes blanks only")),
            "{problems:?}"
        );
    }
    let problems = problems_of("hooks:\n  queueSize: [3\n");
    assert!(!problems[0].contains("tab"), "{problems:?}");
}

#[test]
fn a_folder_that_is_named_and_not_there_is_said() {
    let mut server = Server::new().file("file", "");
    let (missing, file) = (server.path("missing"), server.path("file"));
    server.sources.folders.extend([missing, file, "/etc/bigbluebutton/bbb-webhooks/".into()]);
    // What is in the way of a file is said of that.
    server.sources.folders.retain(|folder| !folder.ends_with("file"));
    assert_eq!(server.notices(), [""; 0], "nobody named it");
    let server = server.variable("NODE_CONFIG_DIR", "...");
    assert_eq!(server.notices(), ["environment variable NODE_CONFIG_DIR: missing: there is no such folder"]);
}
