//! The configuration as people are shown it.

use serde_json::Value;
use serde_json::json;

use super::super::keys::ROWS;
use super::super::{Agreement, Setting, load_explained, masked_url};
use super::Server;
use super::every_key;

fn settings(server: &Server) -> Vec<Setting> {
    load_explained(&server.sources).unwrap().1.settings
}

/// The settings as the object that `NODE_CONFIG` takes.
fn tree(settings: &[Setting]) -> Value {
    let mut tree = json!({});
    for Setting { way, value, .. } in settings {
        let place = way.iter().fold(&mut tree, |tree, step| &mut tree[*step]);
        assert!(place.is_null(), "{way:?} stands there twice");
        *place = value.clone();
    }
    tree
}

#[test]
fn every_value_is_shown_as_it_takes_effect_and_where_it_was_set() {
    let without = ["webhooks.enabled", "input.enabled", "store.enabled"];
    for row in ROWS.iter().filter(|row| !without.contains(&row.key)) {
        for way in row.ways() {
            let server =
                every_key::server(row).file("app/default.yml", every_key::yaml(&way, every_key::sample(row.key).0));
            let shown = settings(&server);
            let place = format!("{}:{}", server.path("app/default.yml").display(), way.len());
            assert!(shown.iter().any(|setting| setting.from == place), "{way:?} {shown:#?}");
            if shown
                .iter()
                .all(|setting| !setting.value.to_string().contains("***") || setting.way == ["bbb", "sharedSecret"])
            {
                let secret = server.config().bbb.shared_secret;
                let again = Server::new().variable("SERVER_DOMAIN", "").variable("SHARED_SECRET", secret.expose());
                assert_eq!(
                    again.variable("NODE_CONFIG", &tree(&shown).to_string()).config(),
                    server.config(),
                    "{way:?}"
                );
            }
        }
    }
}

#[test]
fn what_is_set_nowhere_is_a_default() {
    let shown = settings(&Server::new());
    assert!(shown.len() > 50);
    for setting in shown.iter().filter(|setting| setting.from != "default") {
        assert!(["sharedSecret", "serverDomain"].contains(setting.way.last().unwrap()), "{setting:?}");
    }
}

#[test]
fn secrets_are_masked_wherever_they_stand() {
    let server = Server::new()
        .variable("SHARED_SECRET", "hush")
        .variable("REDIS_PASSWORD", "hush")
        .variable("PERMANENT_HOOKS", r#"["https://u:hush@h/x?token=hush&b"]"#)
        .file(
            "etc/local.yml",
            "modules: {../out/xapi/index.js: {config: {lrs: {lrs_endpoint: 'https://u:hush@h/', lrs_password: hush}}}}",
        );
    let shown = format!("{:?}", settings(&server));
    assert!(!shown.contains("hush"), "{shown}");
    assert!(shown.contains("https://u:***@h/x?token=***&***"), "{shown}");
    let url = Server::new().variable("REDIS_URL", "unix:///run/redis.sock?pass=hush");
    let shown = format!("{:?}", settings(&url));
    assert!(shown.contains("unix:///run/redis.sock?pass=***") && !shown.contains("hush"), "{shown}");
    assert_eq!(masked_url("no URL with hush"), "***");
}

#[test]
fn a_module_s_own_redis_is_shown_apart() {
    let ways = |server: &Server| -> Vec<String> {
        settings(server).iter().map(|setting| setting.way.join(".")).filter(|way| way.ends_with("redis.host")).collect()
    };
    assert_eq!(ways(&Server::new()), ["redis.host"]);
    let own = "modules: {../in/redis/index.js: {config: {redis: {host: other}}}}";
    let modules =
        ["../in/redis/index.js", "../db/redis/index.js"].map(|module| format!("modules.{module}.config.redis.host"));
    assert_eq!(ways(&Server::new().file("etc/local.yml", own)), modules);
}

#[test]
fn says_whether_bigbluebutton_agrees_and_never_its_secret() {
    let agreements = |server: &Server| load_explained(&server.sources).unwrap().1.agreements;
    let properties = "securitySalt=hush\nbigbluebutton.web.serverURL=https://bbb.example.org\n";
    let same = Server::new().file("bbb.properties", properties).properties("bbb.properties");
    assert!(agreements(&same).iter().all(|a| matches!(a, Agreement::Agree(_))), "{:?}", agreements(&same));
    let other = Server::new().file("bbb.properties", properties.replace("hush", "murmur").replace("bbb.", "c."));
    let other = agreements(&other.properties("bbb.properties"));
    assert!(other.iter().all(|a| matches!(a, Agreement::Differ(_))), "{other:?}");
    assert!(!format!("{other:?}").contains("murmur"), "{other:?}");
    assert!(agreements(&Server::new()).iter().all(|a| matches!(a, Agreement::Unknown(_))));
    let taken = Server::new().anonymous().file("bbb.properties", properties).properties("bbb.properties");
    let from: Vec<_> = settings(&taken).into_iter().take(2).map(|setting| taken.shorten(&setting.from)).collect();
    assert_eq!(from, ["bbb.properties (bigbluebutton.web.serverURL)", "bbb.properties (securitySalt)"]);
}
