//! `config/default.yml`: the file that the package brings.

use serde_yaml::Value;

use super::super::keys::ROWS;
use super::Server;

const DEFAULT_FILE: &str = include_str!("../../../config/default.yml");

#[test]
fn says_exactly_the_defaults() {
    let with_it = Server::new().file("app/default.yml", DEFAULT_FILE).load().unwrap();
    assert_eq!(with_it, Server::new().load().unwrap());
    assert_eq!(with_it.notices, [""; 0]);
}

#[test]
fn has_every_key() {
    let tree: Value = serde_yaml::from_str(DEFAULT_FILE).unwrap();
    for row in ROWS {
        // One module's Redis is said once, at the top; the other parts cannot be turned off.
        let alternative = ["input.redis.", "store.redis."].iter().any(|module| row.key.starts_with(module));
        if alternative || ["webhooks.enabled", "input.enabled", "store.enabled"].contains(&row.key) {
            continue;
        }
        let has = |way: Vec<&str>| way.iter().try_fold(&tree, |tree, step| tree.get(*step)).is_some();
        assert!(row.ways().any(has), "{}", row.key);
        if let Some(variable) = row.variable {
            assert!(DEFAULT_FILE.contains(&format!("Variable {variable}\n")), "{variable}");
        }
    }
}

/// `bbb-conf --setsecret` and `--setip` replace the rest of each line with the key, in comments too.
#[test]
fn can_be_edited_by_bbb_conf() {
    for key in ["sharedSecret: ", "serverDomain: "] {
        assert_eq!(DEFAULT_FILE.matches(key).count(), 1, "{key}");
        assert!(DEFAULT_FILE.contains(&format!("\n  {key}''\n")), "{key}");
    }
    let edited = DEFAULT_FILE
        .replace("sharedSecret: ''", "sharedSecret: 0123456789")
        .replace("serverDomain: ''", "serverDomain: bbb.example.org");
    let config = Server::new().anonymous().file("app/default.yml", edited).config();
    assert_eq!(config.bbb.shared_secret.expose(), "0123456789");
    assert_eq!(config.bbb.server_domain, "bbb.example.org");
}

#[test]
fn has_the_port_where_bbb_conf_reads_it() {
    let tree: Value = serde_yaml::from_str(DEFAULT_FILE).unwrap();
    assert_eq!(tree["server"]["port"], Value::from(3005));
}
