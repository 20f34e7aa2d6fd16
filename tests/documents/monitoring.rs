//! `monitoring/` and `docs/metrics.md`: every metric that they name is one that the daemon has.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::project;
use crate::read;

const PREFIX: &str = "bbb_webhooks_";

/// The metrics that the daemon has: the names in its table of families.
fn families() -> BTreeSet<String> {
    let source = read("src/metrics/families.rs") + &read("src/metrics/process.rs");
    let mut names = BTreeSet::new();
    for family in ["gauge(", "counter(", "MetricType::HISTOGRAM,"] {
        for rest in source.split(family).skip(1) {
            let name = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
            names.extend(name.map(|name| format!("{PREFIX}{name}")));
        }
    }
    names
}

/// The metrics that a text names, without the endings of a histogram.
fn named(text: &str) -> BTreeSet<String> {
    let names = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| word.starts_with(PREFIX));
    let base = |name: &str| {
        let histogram = name.strip_prefix("bbb_webhooks_hook_delivery_seconds_").is_some();
        if histogram { "bbb_webhooks_hook_delivery_seconds".to_owned() } else { name.to_owned() }
    };
    names.filter(|name| *name != PREFIX && *name != "bbb_webhooks_process_").map(base).collect()
}

#[test]
fn what_the_alerts_and_the_dashboard_name_exists() {
    let families = families();
    assert!(families.len() > 30, "{families:?}");
    for file in ["monitoring/alerts.yml", "monitoring/alerts_test.yml", "monitoring/dashboard.json", "docs/metrics.md"]
    {
        let named = named(&read(file));
        assert!(named.len() > 3, "{file} names {named:?}");
        let unknown: Vec<_> = named.difference(&families).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
}

#[test]
fn the_document_has_every_metric() {
    let document = read("docs/metrics.md");
    let process = format!("{PREFIX}process_");
    // The process's own are named in full.
    let named = |name: &String| if name.starts_with(&process) { name.clone() } else { name.replacen(PREFIX, "", 1) };
    let names: Vec<_> = families().iter().map(named).collect();
    let missing: Vec<_> = names.iter().filter(|name| !document.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_alert_is_tested_to_fire_and_not_to() {
    let (alerts, tests) = (read("monitoring/alerts.yml"), read("monitoring/alerts_test.yml"));
    for alert in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let fires = tests
            .split(&format!("alertname: {alert}\n"))
            .skip(1)
            .any(|rest| rest.trim_start().starts_with("exp_alerts"));
        let keeps_quiet = tests.contains(&format!("alertname: {alert}}}"));
        assert!(fires && keeps_quiet, "{alert}");
    }
}

#[test]
fn every_panel_of_the_dashboard_has_a_place_and_a_question() {
    let dashboard: Value = serde_json::from_str(&read("monitoring/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert!(panel["gridPos"]["w"].is_u64(), "{panel}");
        let targets = panel["targets"].as_array().unwrap();
        let asks = |target: &Value| target["expr"].as_str().is_some_and(|expr| expr.contains("$instance"));
        assert!(!targets.is_empty() && targets.iter().all(asks), "{panel}");
        assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{panel}");
    }
}

/// By Prometheus's own tool, which also evaluates the questions of the dashboard's panels for their grammar.
#[test]
fn prometheus_takes_the_rules_and_they_fire_as_tested() {
    let promtool = |arguments: &[&str]| Command::new("promtool").args(arguments).current_dir(project()).output();
    let mut questions = "groups: [{name: dashboard, rules: [".to_owned();
    let dashboard: Value = serde_json::from_str(&read("monitoring/dashboard.json")).unwrap();
    let targets = dashboard["panels"].as_array().unwrap().iter().filter_map(|panel| panel["targets"].as_array());
    for (index, target) in targets.flatten().enumerate() {
        let question = target["expr"].as_str().unwrap().replace("$__rate_interval", "5m").replace("$__range", "6h");
        questions += &format!("{{record: 'x{index}', expr: {}}},", Value::from(question));
    }
    let file = std::env::temp_dir().join(format!("bbb-webhooks-dashboard-{}.yml", std::process::id()));
    std::fs::write(&file, questions + "]}]").unwrap();
    for arguments in [
        ["check", "rules", "monitoring/alerts.yml"],
        ["test", "rules", "monitoring/alerts_test.yml"],
        ["check", "rules", file.to_str().unwrap()],
    ] {
        match promtool(&arguments) {
            Ok(done) => {
                let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
                assert!(done.status.success(), "{arguments:?}: {said}");
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                assert!(std::env::var_os("NEED_EVERY_LANGUAGE").is_none(), "promtool is needed; ./test.sh installs it");
                println!("not tested: there is no promtool here; ./test.sh installs it");
            }
            Err(error) => panic!("{error}"),
        }
    }
    std::fs::remove_file(file).unwrap();
}
