//! The table of keys: what each is called here, in version 2, in version 3, and in the environment.

/// The Node daemon's modules, by the keys under `modules`.
pub(super) const MODULES: [&str; 4] = [WEBHOOKS, INPUT, STORE, XAPI];
const WEBHOOKS: &str = "../out/webhooks/index.js";
const INPUT: &str = "../in/redis/index.js";
const STORE: &str = "../db/redis/index.js";
const XAPI: &str = "../out/xapi/index.js";

/// Short forms of the way to a module's entry, for the table below. `W`, `I` and `S` are the `config` of the
/// webhooks, the input and the store; with `^`, the entry itself. `X` is xAPI's entry.
const SHORT: [(&str, &[&str]); 7] = [
    ("W", &["modules", WEBHOOKS, "config"]),
    ("I", &["modules", INPUT, "config"]),
    ("S", &["modules", STORE, "config"]),
    ("W^", &["modules", WEBHOOKS]),
    ("I^", &["modules", INPUT]),
    ("S^", &["modules", STORE]),
    ("X", &["modules", XAPI]),
];

/// One key. To add one, add a row here, read it in [`super::resolve`] and say it in `config/default.yml`.
pub(super) struct Row {
    /// Its name in this room.
    pub(super) key: &'static str,
    /// The ways to it in version 2, and where both versions agree. The first that is there counts.
    pub(super) v2: &'static [&'static str],
    /// The ways to it in version 3; they win over `v2` within one file.
    pub(super) v3: &'static [&'static str],
    /// Its environment variable. One variable may set several keys.
    pub(super) variable: Option<&'static str>,
    /// Whether its value may be, or hold, something that must not be seen.
    pub(super) private: bool,
    /// Texts that packages write where nothing is set yet. They set nothing.
    pub(super) placeholders: &'static [&'static str],
}

type Ways = &'static [&'static str];

const fn row(key: &'static str, v2: Ways, v3: Ways) -> Row {
    Row { key, v2, v3, variable: None, private: false, placeholders: &[] }
}

impl Row {
    const fn variable(mut self, name: &'static str) -> Self {
        self.variable = Some(name);
        self
    }

    const fn private(mut self) -> Self {
        self.private = true;
        self
    }

    const fn placeholders(mut self, texts: Ways) -> Self {
        self.placeholders = texts;
        self
    }

    /// Every way to it, the strongest first.
    pub(super) fn ways(&self) -> impl Iterator<Item = Vec<&'static str>> {
        self.v3.iter().chain(self.v2).map(|way| expand(way))
    }
}

/// The steps of a way in the table.
fn expand(way: &'static str) -> Vec<&'static str> {
    let (first, rest) = way.split_once('.').unwrap_or((way, ""));
    let mut steps =
        SHORT.iter().find(|(short, _)| *short == first).map_or_else(|| vec![first], |(_, long)| long.to_vec());
    steps.extend(rest.split('.').filter(|step| !step.is_empty()));
    steps
}

/// The names of one key, for documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNames {
    /// Every way to it in a file, step by step; the strongest first.
    pub ways: Vec<Vec<&'static str>>,
    /// Its environment variable.
    pub variable: Option<&'static str>,
}

/// The names of every key.
#[must_use]
pub fn key_names() -> Vec<KeyNames> {
    ROWS.iter().map(|row| KeyNames { ways: row.ways().collect(), variable: row.variable }).collect()
}

/// Every key.
#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row("bbb.serverDomain", &["bbb.serverDomain"], &[]).variable("SERVER_DOMAIN").placeholders(&["", "myserver.com"]),
    row("bbb.sharedSecret", &["bbb.sharedSecret"], &[]).variable("SHARED_SECRET").private()
        .placeholders(&["", "sharedSecret", "mysharedsecret"]),
    row("bbb.previousSecret", &["bbb.previousSecret"], &[]).variable("PREVIOUS_SECRET").private(),
    row("bbb.auth2_0", &["bbb.auth2_0"], &[]).variable("BEARER_AUTH"),
    row("bbb.apiPath", &["bbb.apiPath"], &[]),

    row("server.bind", &["server.bind"], &["W.api.bind"]).variable("SERVER_BIND_IP"),
    row("server.port", &["server.port"], &["W.api.port"]).variable("SERVER_PORT"),
    row("api.checksumAlgorithms", &[], &["W.api.supportedChecksumAlgorithms"]).variable("SUPPORTED_CHECKSUM_ALGORITHMS"),
    row("server.maxConnections", &["server.maxConnections"], &["W.api.maxConnections"]),
    row("server.maxHeaderSize", &["server.maxHeaderSize"], &["W.api.maxHeaderSize"]),
    row("server.headerTimeout", &["server.headerTimeout"], &["W.api.headerTimeout"]),

    row("hooks.checksumAlgorithm", &[], &["W.hookChecksumAlgorithm"]).variable("HOOK_CHECKSUM_ALGORITHM"),
    row("hooks.checksumFormat", &["hooks.checksumFormat"], &["W.checksumFormat"]),
    row("hooks.legacyAuth", &["hooks.legacyAuth"], &["W.legacyAuth"]),
    row("hooks.permanentURLs", &["hooks.permanentURLs"], &["W.permanentURLs"]).variable("PERMANENT_HOOKS").private(),
    row("hooks.includeEvents", &["bbb.includeEvents"], &["W.includeEvents"]).variable("INCLUDE_EVENTS"),
    row("hooks.excludeEvents", &["bbb.excludeEvents"], &["W.excludeEvents"]).variable("EXCLUDE_EVENTS"),
    row("hooks.queueSize", &["hooks.queueSize"], &["W.queueSize"]),
    row("hooks.journalSize", &["hooks.journalSize"], &["W.journalSize"]),
    row("hooks.memoryLimit", &["hooks.memoryLimit"], &["W.memoryLimit"]),
    row("hooks.multiEvent", &["hooks.multiEvent"], &["W.multiEvent"]),
    row("hooks.retryIntervals", &["hooks.retryIntervals"], &["W.retryIntervals"]),
    row("hooks.permanentIntervalReset", &["hooks.permanentIntervalReset"], &["W.permanentIntervalReset"]),
    row("hooks.onExhausted", &["hooks.onExhausted"], &["W.onExhausted"]),
    row("hooks.suspendFor", &["hooks.suspendFor"], &["W.suspendFor"]),
    row("hooks.requestTimeout", &["hooks.requestTimeout"], &["W.requestTimeout"]).variable("REQUEST_TIMEOUT"),
    row("hooks.maxHooks", &["hooks.maxHooks"], &["W.maxHooks"]),
    row("hooks.caFile", &["hooks.caFile"], &["W.caFile"]),
    row("hooks.idFormat", &["hooks.idFormat"], &["W.idFormat"]),
    row("hooks.ordering", &["hooks.ordering"], &["W.ordering"]),
    row("hooks.concurrency", &["hooks.concurrency"], &["W.concurrency"]),
    row("hooks.callbackPolicy.profile", &["hooks.callbackPolicy.profile"], &["W.callbackPolicy.profile"]),
    row("hooks.callbackPolicy.allow", &["hooks.callbackPolicy.allow"], &["W.callbackPolicy.allow"]),
    row("hooks.callbackPolicy.deny", &["hooks.callbackPolicy.deny"], &["W.callbackPolicy.deny"]),
    row("hooks.bearerOverHttp", &["hooks.bearerOverHttp"], &["W.bearerOverHttp"]),

    row("events", &["events"], &[]),

    row("input.channels", &["hooks.channels"], &["I.redis.inboundChannels"]),
    row("input.redis.host", &[], &["I.redis.host"]).variable("REDIS_HOST").private(),
    row("input.redis.port", &[], &["I.redis.port"]).variable("REDIS_PORT"),
    row("input.redis.username", &[], &["I.redis.username"]).variable("REDIS_USERNAME").private(),
    row("input.redis.password", &[], &["I.redis.password"]).variable("REDIS_PASSWORD").private(),
    row("input.redis.url", &[], &["I.redis.url"]).variable("REDIS_URL").private(),
    row("store.redis.host", &[], &["S.redis.host", "S.host", "W.redis.host"]).variable("REDIS_HOST").private(),
    row("store.redis.port", &[], &["S.redis.port", "S.port", "W.redis.port"]).variable("REDIS_PORT"),
    row("store.redis.username", &[], &["S.redis.username", "S.username", "W.redis.username"]).variable("REDIS_USERNAME").private(),
    row("store.redis.password", &[], &["S.redis.password", "S.password", "W.redis.password"]).variable("REDIS_PASSWORD").private(),
    row("store.redis.url", &[], &["S.redis.url", "S.url", "W.redis.url"]).variable("REDIS_URL").private(),
    row("redis.host", &["redis.host"], &[]).variable("REDIS_HOST").private(),
    row("redis.port", &["redis.port"], &[]).variable("REDIS_PORT"),
    row("redis.username", &["redis.username"], &[]).variable("REDIS_USERNAME").private(),
    row("redis.password", &["redis.password"], &[]).variable("REDIS_PASSWORD").private(),
    row("redis.url", &["redis.url"], &[]).variable("REDIS_URL").private(),
    row("redis.keys.hooks", &["redis.keys.hooks"], &["W.redis.keys.hooks"]),
    row("redis.keys.hookPrefix", &["redis.keys.hookPrefix"], &["W.redis.keys.hookPrefix"]),
    row("redis.keys.mappings", &["redis.keys.mappings"], &["W.redis.keys.mappings"]),
    row("redis.keys.mappingPrefix", &["redis.keys.mappingPrefix"], &["W.redis.keys.mappingPrefix"]),
    row("redis.keys.userMaps", &["redis.keys.userMaps"], &["W.redis.keys.userMaps"]),
    row("redis.keys.userMapPrefix", &["redis.keys.userMapPrefix"], &["W.redis.keys.userMapPrefix"]),

    row("mappings.timeout", &["mappings.timeout"], &[]).variable("MAPPINGS_TIMEOUT"),
    row("mappings.cleanupInterval", &["mappings.cleanupInterval"], &[]),

    row("log.level", &["log.level"], &[]).variable("LOG_LEVEL"),
    row("log.format", &["log.format"], &[]).variable("LOG_FORMAT"),
    row("log.stdout", &["log.stdout"], &[]).variable("LOG_TO_STDOUT"),
    row("log.file", &["log.file"], &[]).variable("LOG_TO_FILE"),
    row("log.filename", &["log.filename"], &[]).variable("LOG_FILENAME"),

    row("prometheus.enabled", &["prometheus.enabled"], &[]).variable("PROM_ENABLED"),
    row("prometheus.host", &["prometheus.host"], &[]).variable("PROM_HOST"),
    row("prometheus.port", &["prometheus.port"], &[]).variable("PROM_PORT"),
    row("prometheus.path", &["prometheus.path"], &[]).variable("PROM_PATH"),
    row("prometheus.collectDefaultMetrics", &["prometheus.collectDefaultMetrics"], &[])
        .variable("PROM_COLLECT_DEFAULT_METRICS"),

    row("xapi.enabled", &["xapi.enabled"], &["X.enabled"]).variable("XAPI_ENABLED"),
    row("xapi.lrs_endpoint", &["xapi.lrs.lrs_endpoint"], &["X.config.lrs.lrs_endpoint"]).private()
        .placeholders(&["https://your_lrs.endpoint"]),
    row("xapi.lrs_username", &["xapi.lrs.lrs_username"], &["X.config.lrs.lrs_username"]).private(),
    row("xapi.lrs_password", &["xapi.lrs.lrs_password"], &["X.config.lrs.lrs_password"]).private(),
    row("xapi.batchSize", &["xapi.lrs.batchSize"], &["X.config.lrs.batchSize"]),
    row("xapi.requestTimeout", &["xapi.lrs.requestTimeout"], &["X.config.lrs.requestTimeout"]),
    row("xapi.caFile", &["xapi.lrs.caFile"], &["X.config.lrs.caFile"]),
    row("xapi.uuid_namespace", &["xapi.uuid_namespace"], &["X.config.uuid_namespace"]),
    row("xapi.keys.meetings", &["xapi.redis.keys.meetings"], &["X.config.redis.keys.meetings"]),
    row("xapi.keys.meetingPrefix", &["xapi.redis.keys.meetingPrefix"], &["X.config.redis.keys.meetingPrefix"]),
    row("xapi.keys.users", &["xapi.redis.keys.users"], &["X.config.redis.keys.users"]),
    row("xapi.keys.userPrefix", &["xapi.redis.keys.userPrefix"], &["X.config.redis.keys.userPrefix"]),
    row("xapi.keys.polls", &["xapi.redis.keys.polls"], &["X.config.redis.keys.polls"]),
    row("xapi.keys.pollPrefix", &["xapi.redis.keys.pollPrefix"], &["X.config.redis.keys.pollPrefix"]),

    // Only to say that they are ignored: what they name cannot be taken away here.
    row("webhooks.enabled", &[], &["W^.enabled"]),
    row("input.enabled", &[], &["I^.enabled"]),
    row("store.enabled", &[], &["S^.enabled"]),
];

/// Whether the value at `path` is one of ours.
pub(super) fn is_key(path: &[&str]) -> bool {
    ROWS.iter().any(|row| row.ways().any(|way| way == path))
}

/// Whether the Node daemons or their packages know the key, or everything under it, while it means nothing here.
pub(super) fn is_silent(path: &[&str]) -> bool {
    match path {
        ["queue" | "retry" | "type"] | ["hooks", "getRaw"] => true,
        ["redis", "keys", "eventsPrefix"] => true,
        ["modules", module, "type"] => MODULES.contains(module),
        ["modules", module, "config", "queue" | "retry"] => MODULES.contains(module),
        ["modules", WEBHOOKS, "config", "getRaw"] => true,
        ["modules", WEBHOOKS, "config", "redis", "keys", "eventsPrefix"] => true,
        // The Node daemon's xAPI has a connection of its own; here its records are kept with all others.
        ["modules", XAPI, "config", "redis", "host" | "port" | "username" | "password" | "url"] => true,
        _ => false,
    }
}

/// Whether keys of ours can be found below `path`.
pub(super) fn is_section(path: &[&str]) -> bool {
    ROWS.iter().any(|row| row.ways().any(|way| way.len() > path.len() && way.starts_with(path)))
}

/// Whether `text` is one step of the way to some key: then it is no secret.
pub(super) fn is_part_of_a_key(text: &str) -> bool {
    ROWS.iter().any(|row| row.ways().any(|way| way.contains(&text)))
}
