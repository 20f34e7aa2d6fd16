//! The configuration as it takes effect, key by key, for a person to read: each value, and where it came from.

use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::json;
use url::Url;

use super::dialects::Settings;
use super::identity::Agreement;
use super::keys::{self, ROWS, Row};
use super::{
    ChecksumFormat, Config, Destination, IdFormat, LogFormat, LogLevel, OnExhausted, Ordering, PermanentHook, Profile,
    RedisServer, Secret, Sources, Trust, identity,
};

/// What stands for a secret.
const MASK: &str = "***";

/// The fields of a Redis server, which may be set for each module or for all.
const REDIS_FIELDS: [&str; 5] = ["url", "host", "port", "username", "password"];

/// A configuration for people to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// Every key as it takes effect, and where it was set.
    pub settings: Vec<Setting>,
    /// Whether BigBlueButton's properties say the same.
    pub agreements: Vec<Agreement>,
}

/// One key of the configuration, as it takes effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The way to it in a file, step by step.
    pub way: Vec<&'static str>,
    /// Its value, secrets masked.
    pub value: Value,
    /// Where that was set (`FILE:LINE`, `NODE_CONFIG`, `variable NAME`, a properties file), or `default`.
    pub from: String,
}

impl Setting {
    /// The key as messages name it.
    #[must_use]
    pub fn key(&self) -> String {
        named(&self.way)
    }
}

fn named(way: &[&str]) -> String {
    let plain = |step: &str| step.chars().all(|c| c.is_alphanumeric() || c == '_');
    let steps = way.iter().map(|step| if plain(step) { (*step).to_owned() } else { format!("{step:?}") });
    steps.collect::<Vec<_>>().join(".")
}

/// The keys with another value in `new` than in `old`, as messages name them: secrets too, which are not shown.
pub(super) fn differences(old: &Config, new: &Config) -> Vec<String> {
    let hidden = |config: &Config, key: &str| match key {
        "bbb.sharedSecret" => vec![config.bbb.shared_secret.clone()],
        "bbb.previousSecret" => config.bbb.previous_secret.iter().cloned().collect(),
        "hooks.permanentURLs" => config.hooks.permanent.iter().map(|hook| Secret::new(&hook.url)).collect(),
        "xapi.lrs_endpoint" => config.xapi.lrs_endpoint.iter().map(Secret::new).collect(),
        "xapi.lrs_password" => config.xapi.lrs_password.iter().cloned().collect(),
        _ => Vec::new(),
    };
    let differs = |key: &str| value(old, key) != value(new, key) || hidden(old, key) != hidden(new, key);
    let mut different: Vec<_> = ROWS.iter().filter(|row| differs(row.key)).map(|row| named(&way(row))).collect();
    let (input, store) =
        (redis_differences(&old.input.redis, &new.input.redis), redis_differences(&old.redis, &new.redis));
    let of = |module: &str, fields: &[&str]| -> Vec<String> {
        let keys: Vec<_> = fields.iter().map(|field| format!("{module}redis.{field}")).collect();
        ROWS.iter().filter(|row| keys.iter().any(|key| key == row.key)).map(|row| named(&way(row))).collect()
    };
    if input == store {
        different.extend(of("", &input));
    } else {
        different.extend(of("input.", &input));
        different.extend(of("store.", &store));
    }
    different
}

fn redis_differences(old: &RedisServer, new: &RedisServer) -> Vec<&'static str> {
    let password = |server: &RedisServer| match server {
        RedisServer::Tcp { password, .. } => password.clone(),
        RedisServer::Url(_) => None,
    };
    match (old, new) {
        (old, new) if old == new => Vec::new(),
        (RedisServer::Tcp { .. }, RedisServer::Tcp { .. }) => {
            let differs = |field: &&str| match *field {
                "password" => password(old) != password(new),
                field => redis_value(old, field) != redis_value(new, field),
            };
            REDIS_FIELDS.into_iter().filter(differs).collect()
        }
        _ => vec!["url"],
    }
}

/// Every key, in the order of the files' sections.
pub(super) fn settings(config: &Config, settings: &Settings, sources: &Sources) -> Vec<Setting> {
    let from = |key: &str| match settings.get(key).filter(|found| !found.is_empty()) {
        Some(found) => found.place.brief(),
        None => identity::taken_from(key, sources).unwrap_or_else(|| "default".to_owned()),
    };
    let mut shown = Vec::new();
    for row in ROWS.iter().filter(|row| !row.key.contains("redis.") || row.key.starts_with("redis.keys.")) {
        if let Some(value) = value(config, row.key) {
            shown.push(Setting { way: way(row), value, from: from(row.key) });
        }
    }
    shown.extend(redis(config, |key| settings.contains_key(key).then(|| from(key)).filter(|from| from != "default")));
    // What belongs together stands together.
    let sections: BTreeSet<_> = shown.iter().map(|setting| setting.way[0]).collect();
    let order = ["bbb", "server", "hooks", "events", "redis", "mappings", "log", "prometheus", "xapi"];
    let rank = |section: &str| order.iter().position(|known| *known == section).unwrap_or(order.len());
    debug_assert!(sections.iter().all(|section| *section == "modules" || order.contains(section)));
    let module = |setting: &Setting| keys::MODULES.iter().position(|name| setting.way.get(1) == Some(name));
    shown.sort_by_key(|setting| (rank(setting.way[0]), module(setting)));
    shown
}

/// The way that people write: version 2's where it has one, which is the shorter.
fn way(row: &Row) -> Vec<&'static str> {
    row.ways().min_by_key(Vec::len).unwrap_or_default()
}

/// The Redis servers: once where both modules have the same from the same place.
fn redis(config: &Config, set: impl Fn(&str) -> Option<String>) -> Vec<Setting> {
    let of_module = |module: &str, server: &RedisServer| -> Vec<(&'static str, Value, String)> {
        let fields = REDIS_FIELDS.iter().filter_map(|field| Some((*field, redis_value(server, field)?)));
        let from = |field: &str| {
            // A URL may stand where the host does.
            let names = if field == "url" { vec!["url", "host"] } else { vec![field] };
            let keys = names.iter().flat_map(|name| [format!("{module}.{name}"), format!("redis.{name}")]);
            keys.into_iter().find_map(|key| set(&key)).unwrap_or_else(|| "default".to_owned())
        };
        fields.map(|(field, value)| (field, value, from(field))).collect()
    };
    let input = of_module("input.redis", &config.input.redis);
    let store = of_module("store.redis", &config.redis);
    let both =
        if input == store { vec![("redis", input)] } else { vec![("input.redis", input), ("store.redis", store)] };
    let mut shown = Vec::new();
    for (section, fields) in both {
        for (field, value, from) in fields {
            let key = format!("{section}.{field}");
            if let Some(row) = ROWS.iter().find(|row| row.key == key) {
                shown.push(Setting { way: row.ways().next().unwrap_or_default(), value, from });
            }
        }
    }
    shown
}

fn redis_value(server: &RedisServer, field: &str) -> Option<Value> {
    let secret = |set: bool| if set { MASK } else { "" };
    match server {
        RedisServer::Url(url) => (field == "url").then(|| json!(masked_url(url.expose()))),
        RedisServer::Tcp { host, port, username, password } => match field {
            "host" => Some(json!(host)),
            "port" => Some(json!(port)),
            "username" => Some(json!(username.clone().unwrap_or_default())),
            "password" => Some(json!(secret(password.is_some()))),
            _ => None,
        },
    }
}

/// A URL without what may be a secret in it: its password, and the values of its query.
#[must_use]
pub fn masked_url(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return MASK.to_owned() };
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return MASK.to_owned();
    }
    if let Some(query) = url.query() {
        let masked: Vec<String> = query
            .split('&')
            .map(|pair| pair.split_once('=').map_or_else(|| MASK.to_owned(), |(name, _)| format!("{name}={MASK}")))
            .collect();
        url.set_query(Some(&masked.join("&")));
    }
    url.set_fragment(None);
    url.to_string()
}

fn permanent_hook(hook: &PermanentHook) -> Value {
    let mut shown = json!({"url": masked_url(&hook.url), "getRaw": hook.raw});
    match &hook.trust {
        Trust::Usual => {}
        Trust::Only(file) => shown["caFile"] = json!(file),
        Trust::Anybody => shown["verify"] = json!(false),
    }
    shown
}

fn listed(destinations: &[Destination]) -> Value {
    destinations.iter().map(|destination| json!(destination.to_string())).collect()
}

/// The value of a key, by its canonical name; none for keys that say nothing here.
fn value(config: &Config, key: &str) -> Option<Value> {
    let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let Config { bbb, api, hooks, input, events, keys, mappings, log, metrics, xapi, .. } = config;
    let secret = |set: bool| if set { MASK } else { "" };
    Some(match key {
        "bbb.serverDomain" => json!(bbb.server_domain),
        "bbb.sharedSecret" => json!(secret(true)),
        "bbb.previousSecret" => json!(secret(bbb.previous_secret.is_some())),
        "bbb.auth2_0" => json!(bbb.bearer_auth),
        "bbb.apiPath" => json!(bbb.api_path),
        "server.bind" => json!(api.bind),
        "server.port" => json!(api.port),
        "api.checksumAlgorithms" => json!(api.checksum_algorithms.iter().map(|a| a.name()).collect::<Vec<_>>()),
        "server.maxConnections" => json!(api.limits.connections),
        "server.maxHeaderSize" => json!(api.limits.header_size),
        "server.headerTimeout" => json!(ms(api.limits.header_timeout)),
        "hooks.checksumAlgorithm" => json!(hooks.checksum_algorithm.name()),
        "hooks.checksumFormat" => json!(match hooks.checksum_format {
            ChecksumFormat::Form => "form",
            ChecksumFormat::Json => "json",
        }),
        "hooks.legacyAuth" => json!(hooks.legacy_auth),
        "hooks.permanentURLs" => hooks.permanent.iter().map(permanent_hook).collect(),
        "hooks.includeEvents" => json!(hooks.include_events),
        "hooks.excludeEvents" => json!(hooks.exclude_events),
        "hooks.queueSize" => json!(hooks.queue_size),
        "hooks.journalSize" => json!(hooks.journal_size),
        "hooks.memoryLimit" => json!(hooks.memory_limit),
        "hooks.multiEvent" => json!(hooks.multi_event),
        "hooks.retryIntervals" => hooks.retry_intervals.iter().map(|wait| json!(ms(*wait))).collect(),
        "hooks.permanentIntervalReset" => json!(ms(hooks.permanent_interval_reset)),
        "hooks.onExhausted" => json!(match hooks.on_exhausted {
            OnExhausted::Remove => "remove",
            OnExhausted::Suspend => "suspend",
        }),
        "hooks.suspendFor" => json!(ms(hooks.suspend_for)),
        "hooks.requestTimeout" => json!(ms(hooks.request_timeout)),
        "hooks.maxHooks" => json!(hooks.max_hooks),
        "hooks.caFile" => json!(hooks.ca_file.clone().unwrap_or_default()),
        "hooks.idFormat" => json!(match hooks.id_format {
            IdFormat::Number => "number",
            IdFormat::Uuid => "uuid",
        }),
        "hooks.ordering" => json!(match hooks.ordering {
            Ordering::Meeting => "meeting",
            Ordering::Hook => "hook",
            Ordering::None => "none",
        }),
        "hooks.concurrency" => json!(hooks.concurrency),
        "hooks.callbackPolicy.profile" => json!(match hooks.callback_policy.profile {
            Profile::Standard => "standard",
            Profile::PublicOnly => "public-only",
            Profile::ListedOnly => "listed-only",
        }),
        "hooks.callbackPolicy.allow" => listed(&hooks.callback_policy.allow),
        "hooks.callbackPolicy.deny" => listed(&hooks.callback_policy.deny),
        "hooks.bearerOverHttp" => json!(hooks.bearer_over_http),
        "events" => events.iter().map(crate::mapper::ConfiguredEvent::to_json).collect(),
        "input.channels" => json!(input.channels),
        "redis.keys.hooks" => json!(keys.hooks),
        "redis.keys.hookPrefix" => json!(keys.hook_prefix),
        "redis.keys.mappings" => json!(keys.mappings),
        "redis.keys.mappingPrefix" => json!(keys.mapping_prefix),
        "redis.keys.userMaps" => json!(keys.user_maps),
        "redis.keys.userMapPrefix" => json!(keys.user_map_prefix),
        "mappings.timeout" => json!(ms(mappings.timeout)),
        "mappings.cleanupInterval" => json!(ms(mappings.cleanup_interval)),
        "log.level" => json!(match log.level {
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
            LogLevel::Off => "off",
        }),
        "log.format" => json!(match log.format {
            LogFormat::Auto => "auto",
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }),
        "log.stdout" => json!(log.stdout),
        "log.file" => json!(log.file),
        "log.filename" => json!(log.filename),
        "prometheus.enabled" => json!(metrics.enabled),
        "prometheus.host" => json!(metrics.bind),
        "prometheus.port" => json!(metrics.port),
        "prometheus.path" => json!(metrics.path),
        "prometheus.collectDefaultMetrics" => json!(metrics.process),
        "xapi.enabled" => json!(xapi.enabled),
        "xapi.lrs_endpoint" => json!(xapi.lrs_endpoint.as_deref().map(masked_url).unwrap_or_default()),
        "xapi.lrs_username" => json!(xapi.lrs_username.clone().unwrap_or_default()),
        "xapi.lrs_password" => json!(secret(xapi.lrs_password.is_some())),
        "xapi.batchSize" => json!(xapi.batch_size),
        "xapi.requestTimeout" => json!(ms(xapi.request_timeout)),
        "xapi.caFile" => json!(xapi.ca_file.clone().unwrap_or_default()),
        "xapi.uuid_namespace" => json!(xapi.uuid_namespace.map(|id| id.to_string()).unwrap_or_default()),
        "xapi.keys.meetings" => json!(xapi.keys.meetings),
        "xapi.keys.meetingPrefix" => json!(xapi.keys.meeting_prefix),
        "xapi.keys.users" => json!(xapi.keys.users),
        "xapi.keys.userPrefix" => json!(xapi.keys.user_prefix),
        "xapi.keys.polls" => json!(xapi.keys.polls),
        "xapi.keys.pollPrefix" => json!(xapi.keys.poll_prefix),
        _ => return None,
    })
}
