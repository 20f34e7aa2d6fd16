//! What a new configuration changes, key by key.

use super::super::effective;
use super::super::keys::ROWS;
use super::super::*;
use super::every_key::sample;
use super::*;

#[test]
fn every_key_changes_at_once_or_is_said_to_need_a_restart() {
    let now = config_of("");
    let mut at_once = Vec::new();
    for row in ROWS.iter().filter(|row| !row.key.ends_with(".enabled") || row.key == "xapi.enabled") {
        let mut new = now.clone();
        sample(row.key).1(&mut new);
        let current = Current::new(now.clone());
        let Change { changed, needs_restart } = current.reload(&new);
        assert_eq!(changed.len() + needs_restart.len(), 1, "{}: {changed:?} {needs_restart:?}", row.key);
        assert_eq!(*current.get() == new, needs_restart.is_empty(), "{}", row.key);
        assert_eq!(*current.get() == now, changed.is_empty(), "{}", row.key);
        at_once.extend(changed);
        // Names only: a value may be a secret.
        assert!(needs_restart.iter().all(|key| !key.contains("0123") && !key.contains("rediss")), "{needs_restart:?}");
        assert_eq!(current.reload(&new).changed, [""; 0], "{}: once is enough", row.key);
    }
    at_once.sort();
    let expected = [
        "bbb.excludeEvents",
        "bbb.includeEvents",
        "hooks.maxHooks",
        "hooks.onExhausted",
        "hooks.permanentIntervalReset",
        "hooks.permanentURLs",
        "hooks.retryIntervals",
        "hooks.suspendFor",
        "log.level",
    ];
    assert_eq!(at_once, expected);
}

#[test]
fn a_secret_that_changed_is_named() {
    let [now, new] = ["one", "two"].map(|secret| Server::new().variable("SHARED_SECRET", secret).config());
    assert_eq!(effective::differences(&now, &new), ["bbb.sharedSecret"]);
    let [now, new] = ["one", "two"].map(|secret| config_of(&format!("redis: {{password: {secret}}}")));
    assert_eq!(effective::differences(&now, &new), ["redis.password"]);
    let [now, new] = ["one", "two"].map(|secret| config_of(&format!("redis: {{url: 'redis://:{secret}@h'}}")));
    assert_eq!(effective::differences(&now, &new), ["redis.url"]);
    let hook = |token: &str| config_of(&format!("hooks: {{permanentURLs: ['https://h/?t={token}']}}"));
    assert_eq!(effective::differences(&hook("one"), &hook("two")), ["hooks.permanentURLs"]);
}
