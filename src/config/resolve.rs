//! Canonical keys into a [`Config`]: every default, and every rule about what a value may be.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use super::dialects::Settings;
use super::origin::Place;
use super::report::Report;
use super::values::{self, Found, Reading};
use super::{
    Api, Bbb, CallbackPolicy, ChecksumFormat, Config, DEFAULT_CHANNELS, Hooks, IdFormat, Input, Limits, Log, LogFormat,
    LogLevel, Mappings, Metrics, OnExhausted, Ordering, Profile, RedisKeys, Secret, Sources, Xapi, XapiKeys,
    destination, events, identity, permanent, redis_server,
};
use crate::checksum::Algorithm;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const RETRY_INTERVALS: [u64; 12] = [100, 500, 1000, 2000, 4000, 8000, 10_000, 30_000, 60_000, 60_000, 60_000, 60_000];
const PERMANENT_INTERVAL: Duration = Duration::from_secs(60);
const CHECKSUM_FORMATS: [(&str, ChecksumFormat); 2] = [("form", ChecksumFormat::Form), ("json", ChecksumFormat::Json)];
const ID_FORMATS: [(&str, IdFormat); 2] = [("number", IdFormat::Number), ("uuid", IdFormat::Uuid)];
const ON_EXHAUSTED: [(&str, OnExhausted); 2] = [("remove", OnExhausted::Remove), ("suspend", OnExhausted::Suspend)];
const ORDERINGS: [(&str, Ordering); 3] =
    [("meeting", Ordering::Meeting), ("hook", Ordering::Hook), ("none", Ordering::None)];
const PROFILES: [(&str, Profile); 3] =
    [("standard", Profile::Standard), ("public-only", Profile::PublicOnly), ("listed-only", Profile::ListedOnly)];
const LOG_FORMATS: [(&str, LogFormat); 3] =
    [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
const LOG_LEVELS: [(&str, LogLevel); 9] = [
    ("trace", LogLevel::Trace),
    ("debug", LogLevel::Debug),
    ("info", LogLevel::Info),
    ("warn", LogLevel::Warn),
    ("warning", LogLevel::Warn),
    ("error", LogLevel::Error),
    ("fatal", LogLevel::Error),
    ("silent", LogLevel::Off),
    ("off", LogLevel::Off),
];

/// Turns settings into a configuration. Whatever is wrong stands in `report`, with the default in its place, so that
/// all problems are found at once; the result counts only if there are none.
pub(super) fn resolve(
    settings: &Settings,
    placeholders: &BTreeMap<&'static str, Vec<Place>>,
    sources: &Sources,
    report: &mut Report,
) -> Config {
    let incomplete = report.has_problems();
    let mut from = Resolver { settings, placeholders, report, incomplete };
    let config = Config {
        bbb: from.bbb(sources),
        api: from.api(),
        hooks: from.hooks(),
        input: from.input(),
        events: from.read("events", Vec::new(), events::events),
        redis: redis_server::read(&mut from, "store.redis"),
        keys: from.keys(),
        mappings: Mappings {
            timeout: from.read("mappings.timeout", Duration::from_millis(604_800_000), |f| values::milliseconds(f, 1)),
            cleanup_interval: from
                .read("mappings.cleanupInterval", Duration::from_millis(10_000), |f| values::milliseconds(f, 1)),
        },
        log: from.log(),
        metrics: from.metrics(),
        xapi: from.xapi(),
    };
    from.tell_of_disabled_modules();
    from.tell_of_unknown_events(&config);
    config
}

/// Takes values out of the settings, and notes what is wrong with them.
pub(super) struct Resolver<'a> {
    settings: &'a Settings,
    placeholders: &'a BTreeMap<&'static str, Vec<Place>>,
    /// What came up.
    pub(super) report: &'a mut Report,
    /// Whether a layer could not be used: what is missing now may well stand in it.
    pub(super) incomplete: bool,
}

impl<'a> Resolver<'a> {
    /// What is set for a key; none if nothing is, or `null`.
    pub(super) fn get(&self, key: &str) -> Option<&'a Found> {
        self.settings.get(key).filter(|found| !found.value.is_null())
    }

    /// Where a key has a text that sets nothing.
    pub(super) fn placeholders(&self, key: &str) -> &'a [Place] {
        self.placeholders.get(key).map_or(&[], Vec::as_slice)
    }

    /// The value of a key by `reader`; the default if it is not set, or wrong.
    pub(super) fn read<T>(&mut self, key: &str, default: T, reader: impl Fn(&Found) -> Reading<T>) -> T {
        match self.get(key) {
            Some(found) => self.take(reader(found)).unwrap_or(default),
            None => default,
        }
    }

    /// What was read, or none after its problems were noted.
    pub(super) fn take<T>(&mut self, reading: Reading<T>) -> Option<T> {
        match reading {
            Ok(value) => Some(value),
            Err(problems) => {
                problems.into_iter().for_each(|problem| self.report.problem(problem));
                None
            }
        }
    }

    /// A text; an empty one means the default.
    fn text(&mut self, key: &str, default: &str) -> String {
        self.read(key, None, values::optional_text).unwrap_or_else(|| default.to_owned())
    }

    fn bbb(&mut self, sources: &Sources) -> Bbb {
        Bbb {
            server_domain: identity::server_domain(self, sources),
            shared_secret: identity::shared_secret(self, sources),
            previous_secret: self
                .read("bbb.previousSecret", None, |found| {
                    Ok(values::optional_text(found)?.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
                })
                .map(Secret::new),
            bearer_auth: self.read("bbb.auth2_0", false, values::boolean),
            api_path: self.read("bbb.apiPath", "/bigbluebutton/api".to_owned(), |found| {
                Ok(values::rooted(found)?.trim_end_matches('/').to_owned())
            }),
        }
    }

    fn api(&mut self) -> Api {
        Api {
            bind: self.read("server.bind", LOOPBACK, values::address),
            port: self.read("server.port", 3005, values::port),
            checksum_algorithms: self.read("api.checksumAlgorithms", Algorithm::ALL.to_vec(), |found| {
                let mut algorithms = Vec::new();
                for algorithm in values::each(&values::list(found)?, algorithm)? {
                    if !algorithms.contains(&algorithm) {
                        algorithms.push(algorithm);
                    }
                }
                if algorithms.is_empty() { found.expected("at least one algorithm") } else { Ok(algorithms) }
            }),
            limits: Limits {
                connections: self.read("server.maxConnections", 1000, values::count),
                header_size: self.read("server.maxHeaderSize", 32 * 1024, |found| {
                    let bytes = values::whole(found, 8 * 1024, 64 * 1024 * 1024)?;
                    Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
                }),
                header_timeout: self
                    .read("server.headerTimeout", Duration::from_secs(10), |f| values::milliseconds(f, 1)),
            },
        }
    }

    fn hooks(&mut self) -> Hooks {
        Hooks {
            checksum_algorithm: self.read("hooks.checksumAlgorithm", Algorithm::Sha1, algorithm),
            checksum_format: self
                .read("hooks.checksumFormat", ChecksumFormat::Form, |f| values::choice(f, &CHECKSUM_FORMATS)),
            legacy_auth: self.read("hooks.legacyAuth", true, values::boolean),
            permanent: permanent::read(self),
            include_events: self.read("hooks.includeEvents", Vec::new(), event_ids),
            exclude_events: self.read("hooks.excludeEvents", Vec::new(), event_ids),
            queue_size: self.read("hooks.queueSize", 10_000, values::count),
            journal_size: self.read("hooks.journalSize", 200_000, values::count),
            memory_limit: self.read("hooks.memoryLimit", 64 * 1024 * 1024, values::count),
            multi_event: self.read("hooks.multiEvent", 1, values::count),
            retry_intervals: self.read(
                "hooks.retryIntervals",
                RETRY_INTERVALS.map(Duration::from_millis).to_vec(),
                |found| {
                    let items = values::list(found)?;
                    values::each(&items, |item| values::milliseconds(item, 0))
                },
            ),
            permanent_interval_reset: self.read("hooks.permanentIntervalReset", PERMANENT_INTERVAL, |found| {
                // COMPAT: version 2 took an index into the intervals (8 by default), version 3 takes milliseconds.
                let given = values::milliseconds(found, 0)?;
                Ok(if given < Duration::from_secs(1) { PERMANENT_INTERVAL } else { given })
            }),
            request_timeout: self
                .read("hooks.requestTimeout", Duration::from_millis(5000), |f| values::milliseconds(f, 1)),
            on_exhausted: self.read("hooks.onExhausted", OnExhausted::Remove, |f| values::choice(f, &ON_EXHAUSTED)),
            suspend_for: self.read("hooks.suspendFor", Duration::from_secs(24 * 3600), |f| values::milliseconds(f, 1)),
            max_hooks: self.read("hooks.maxHooks", 10_000, values::count),
            ca_file: self.read("hooks.caFile", None, values::optional_text).map(PathBuf::from),
            id_format: self.read("hooks.idFormat", IdFormat::Number, |f| values::choice(f, &ID_FORMATS)),
            ordering: self.read("hooks.ordering", Ordering::Meeting, |f| values::choice(f, &ORDERINGS)),
            concurrency: self.read("hooks.concurrency", 8, values::count),
            callback_policy: CallbackPolicy {
                profile: self.read("hooks.callbackPolicy.profile", Profile::Standard, |f| values::choice(f, &PROFILES)),
                allow: self.read("hooks.callbackPolicy.allow", Vec::new(), destination::destinations),
                deny: self.read("hooks.callbackPolicy.deny", Vec::new(), destination::destinations),
            },
            bearer_over_http: self.read("hooks.bearerOverHttp", true, values::boolean),
        }
    }

    fn input(&mut self) -> Input {
        Input {
            redis: redis_server::read(self, "input.redis"),
            channels: self.read("input.channels", DEFAULT_CHANNELS.map(str::to_owned).to_vec(), |found| {
                let channels = values::texts(found)?;
                if channels.is_empty() { found.expected("at least one channel") } else { Ok(channels) }
            }),
        }
    }

    fn keys(&mut self) -> RedisKeys {
        RedisKeys {
            hooks: self.key_name("redis.keys.hooks", "out:hooks", "hooks"),
            hook_prefix: self.key_name("redis.keys.hookPrefix", "out:hook", "hook"),
            mappings: self.key_name("redis.keys.mappings", "proc:mappings", "mappings"),
            mapping_prefix: self.key_name("redis.keys.mappingPrefix", "proc:mapping", "mapping"),
            user_maps: self.key_name("redis.keys.userMaps", "proc:userMaps", "userMaps"),
            user_map_prefix: self.key_name("redis.keys.userMapPrefix", "proc:userMap", "userMap"),
        }
    }

    /// The name of a key in Redis, by default `default` under our prefix.
    fn key_name(&mut self, key: &str, default: &str, version_2: &str) -> String {
        let ours = |name: &str| format!("bigbluebutton:webhooks:{name}");
        let name = self.text(key, &ours(default));
        // COMPAT: a configuration of version 2 spells out its own defaults; what is stored there is taken over once,
        // not shared, so that the way back to version 2 stays open.
        if name == ours(version_2) { ours(default) } else { name }
    }

    fn log(&mut self) -> Log {
        Log {
            level: self.read("log.level", LogLevel::Info, |f| values::choice(f, &LOG_LEVELS)),
            format: self.read("log.format", LogFormat::Auto, |f| values::choice(f, &LOG_FORMATS)),
            stdout: self.read("log.stdout", true, values::boolean),
            file: self.read("log.file", false, values::boolean),
            filename: PathBuf::from(self.text("log.filename", "/var/log/bbb-webhooks/bbb-webhooks.log")),
        }
    }

    fn metrics(&mut self) -> Metrics {
        Metrics {
            enabled: self.read("prometheus.enabled", false, values::boolean),
            bind: self.read("prometheus.host", LOOPBACK, values::address),
            port: self.read("prometheus.port", 3004, values::port),
            path: self.read("prometheus.path", "/metrics".to_owned(), values::rooted),
            process: self.read("prometheus.collectDefaultMetrics", false, values::boolean),
        }
    }

    fn xapi(&mut self) -> Xapi {
        Xapi {
            enabled: self.read("xapi.enabled", false, values::boolean),
            lrs_endpoint: self.read("xapi.lrs_endpoint", None, |found| unless_empty(found, values::http_url)),
            lrs_username: self.read("xapi.lrs_username", None, values::optional_text),
            lrs_password: self.read("xapi.lrs_password", None, values::optional_text).map(Secret::new),
            batch_size: self.read("xapi.batchSize", 1, values::count),
            request_timeout: self.read("xapi.requestTimeout", Duration::from_secs(10), |f| values::milliseconds(f, 1)),
            ca_file: self.read("xapi.caFile", None, values::optional_text).map(PathBuf::from),
            uuid_namespace: self.read("xapi.uuid_namespace", None, |found| {
                unless_empty(found, |found| match values::text(found)?.trim().parse() {
                    Ok(namespace) => Ok(namespace),
                    Err(_) => found.expected("a UUID, such as 01234567-89ab-cdef-0123-456789abcdef"),
                })
            }),
            keys: XapiKeys {
                meetings: self.text("xapi.keys.meetings", "bigbluebutton:webhooks:xapi:meetings"),
                meeting_prefix: self.text("xapi.keys.meetingPrefix", "bigbluebutton:webhooks:xapi:meeting"),
                users: self.text("xapi.keys.users", "bigbluebutton:webhooks:xapi:users"),
                user_prefix: self.text("xapi.keys.userPrefix", "bigbluebutton:webhooks:xapi:user"),
                polls: self.text("xapi.keys.polls", "bigbluebutton:webhooks:xapi:polls"),
                poll_prefix: self.text("xapi.keys.pollPrefix", "bigbluebutton:webhooks:xapi:poll"),
            },
        }
    }

    /// The Node daemon can run without its webhooks, input or store; this one cannot.
    fn tell_of_disabled_modules(&mut self) {
        for key in ["webhooks.enabled", "input.enabled", "store.enabled"] {
            if !self.read(key, true, values::boolean)
                && let Some(found) = self.get(key)
            {
                self.report.notice(format!("{}: ignored, this part cannot be turned off", found.place));
            }
        }
    }
}

impl Resolver<'_> {
    /// An id that no event has, most often one that is misspelt, filters in silence.
    fn tell_of_unknown_events(&mut self, config: &Config) {
        for key in ["hooks.includeEvents", "hooks.excludeEvents"] {
            let items = self.get(key).and_then(|found| values::list(found).ok()).unwrap_or_default();
            for item in items {
                let id = values::text(&item).unwrap_or_default().trim().to_lowercase();
                if !id.is_empty() && !config.knows_event(&id) {
                    let line = format!("{}: {}: no such event; docs/events.md has all", item.place, id.escape_debug());
                    self.report.notice(line);
                }
            }
        }
    }
}

fn unless_empty<T>(found: &Found, reader: impl Fn(&Found) -> Reading<T>) -> Reading<Option<T>> {
    if found.is_empty() { Ok(None) } else { reader(found).map(Some) }
}

fn algorithm(found: &Found) -> Reading<Algorithm> {
    values::choice(found, &Algorithm::ALL.map(|algorithm| (algorithm.name(), algorithm)))
}

/// Ids of events as they are compared: trimmed, in lower case, without empty ones.
fn event_ids(found: &Found) -> Reading<Vec<String>> {
    Ok(values::texts(found)?.iter().map(|id| id.to_lowercase()).collect())
}
