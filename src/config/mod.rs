//! The configuration: typed, resolved, documented.
//!
//! Every field says its default, its key in the two dialects that stand in the field (v2 and v3; `W` stands for
//! `modules."../out/webhooks/index.js".config`), and its environment variable. [`load`] shows the way from files and
//! environment to a [`Config`] that is known to be sound:
//!
//! ```text
//! files      which layers there are, and what they say
//! dialects   each layer's v2 and v3 keys -> canonical keys, by the table in keys
//! merge      the strongest word on each key
//! resolve    canonical keys -> Config, by the readers in values; redis_server, events and identity (with bigbluebutton)
//!            are its longer stories
//! ```
//!
//! Beside them, `origin` knows where a value came from, `report` collects what came up, `effective` shows the outcome to
//! people, and `reload` changes it while the daemon runs.
//!
//! Nothing here reads the process's environment or a fixed path by itself: both come in as [`Sources`].

mod bigbluebutton;
mod destination;
mod dialects;
mod effective;
mod events;
mod files;
mod identity;
mod keys;
mod merge;
mod origin;
mod permanent;
mod redis_server;
mod reload;
mod report;
mod resolve;
mod sources;
#[cfg(test)]
mod tests;
mod values;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::checksum::Algorithm;
use crate::mapper::{self, ConfiguredEvent};

pub use self::destination::Destination;
pub use self::effective::Explained;
pub use self::effective::Setting;
pub use self::effective::masked_url;
pub use self::identity::Agreement;
pub use self::keys::KeyNames;
pub use self::keys::key_names;
pub use self::reload::Change;
pub use self::reload::Current;
pub use self::report::Error;
pub use self::sources::Sources;
#[cfg(test)]
pub(crate) use self::tests::config_of as of_text;

/// A configuration, and what the operator should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings, one line each, ready to be logged: unknown keys, settings that are ignored. They are logged by the
    /// caller, because only the configuration says how.
    pub notices: Vec<String>,
}

/// Reads the configuration.
///
/// # Errors
/// An [`Error`] with every problem found: files that cannot be used, values that are impossible, a secret or a domain
/// that is set nowhere.
pub fn load(sources: &Sources) -> Result<Loaded, Error> {
    explain(sources, |_, _| ()).map(|(loaded, ())| loaded)
}

/// Reads the configuration, and says where each value of it came from, and whether BigBlueButton's properties agree.
///
/// # Errors
/// As [`load`].
pub fn load_explained(sources: &Sources) -> Result<(Loaded, Explained), Error> {
    explain(sources, |config, settings| Explained {
        settings: effective::settings(config, settings, sources),
        agreements: identity::agreements(&config.bbb, sources),
    })
}

fn explain<T>(
    sources: &Sources,
    explain: impl FnOnce(&Config, &dialects::Settings) -> T,
) -> Result<(Loaded, T), Error> {
    let mut report = report::Report::default();
    let layers = files::read(sources, &mut report);
    let placeholders = dialects::placeholders(&layers, sources);
    let mut translated = dialects::translate(&layers, &mut report);
    translated.push(dialects::variables(sources));
    let settings = merge::merge(translated, &mut report);
    let config = resolve::resolve(&settings, &placeholders, sources, &mut report);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        if sources.variable(name).is_some() {
            // It would go where the callback policy cannot see.
            report.notice(format!("variable {name}: ignored, callbacks are sent without a proxy"));
        }
    }
    let notices = report.finish(sources.by_hand)?;
    let explained = explain(&config, &settings);
    Ok((Loaded { config, notices }, explained))
}

/// Everything that an operator can set.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What this server shares with its clients and receivers.
    pub bbb: Bbb,
    /// The HTTP API.
    pub api: Api,
    /// Hooks and their callbacks.
    pub hooks: Hooks,
    /// Where BigBlueButton publishes.
    pub input: Input,
    /// Events that are mapped beside the built-in ones, and additions to those: a list of `{message, id, meeting, user,
    /// attributes, override}`. Default none. Key `events`.
    pub events: Vec<ConfiguredEvent>,
    /// Where hooks and mappings are kept. Keys `redis.*`, and over them `modules."../db/redis/index.js".config.*` (or
    /// `.config.redis.*`).
    pub redis: RedisServer,
    /// The names of our keys in Redis.
    pub keys: RedisKeys,
    /// How long meetings and users are remembered.
    pub mappings: Mappings,
    /// The log.
    pub log: Log,
    /// Metrics for Prometheus.
    pub metrics: Metrics,
    /// xAPI statements to a Learning Record Store.
    pub xapi: Xapi,
}

impl Config {
    /// Whether callbacks carry the secret itself, as a Bearer token.
    #[must_use]
    pub fn sends_bearer(&self) -> bool {
        self.bbb.bearer_auth && self.hooks.legacy_auth
    }

    /// Whether there are events with this id, in lower case: built in, or configured.
    #[must_use]
    pub fn knows_event(&self, id: &str) -> bool {
        mapper::is_built_in(id) || self.events.iter().any(|event| event.id == id)
    }
}

/// What this server shares with its clients and receivers.
#[derive(Clone, Debug, PartialEq)]
pub struct Bbb {
    /// The host name sent as `domain` in callbacks. No default: without it, the host of `bigbluebutton.web.serverURL` in
    /// BigBlueButton's properties. Key `bbb.serverDomain`; variable `SERVER_DOMAIN`.
    pub server_domain: String,
    /// The secret that signs API calls and callbacks. No default: without it, `securitySalt` of BigBlueButton's
    /// properties. Key `bbb.sharedSecret`; variable `SHARED_SECRET`.
    pub shared_secret: Secret,
    /// The secret that was the shared one before; calls of the API that it signs are taken too. Default none.
    /// Key `bbb.previousSecret`; variable `PREVIOUS_SECRET`.
    pub previous_secret: Option<Secret>,
    /// Send `Authorization: Bearer <secret>` with callbacks instead of a checksum. Default false.
    /// Key `bbb.auth2_0`; variable `BEARER_AUTH`.
    pub bearer_auth: bool,
    /// The path before `/hooks/...`, without a trailing slash. Default `/bigbluebutton/api`. Key `bbb.apiPath`.
    pub api_path: String,
}

impl Bbb {
    /// The secrets that may sign calls of the API, the one that is to be used first.
    pub fn accepted_secrets(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.shared_secret).chain(&self.previous_secret)
    }
}

/// The HTTP API.
#[derive(Clone, Debug, PartialEq)]
pub struct Api {
    /// The address to listen on. Default 127.0.0.1. Keys `server.bind` (v2), `W.api.bind` (v3); variable `SERVER_BIND_IP`.
    pub bind: IpAddr,
    /// The port to listen on. Default 3005. Keys `server.port` (v2), `W.api.port` (v3); variable `SERVER_PORT`.
    pub port: u16,
    /// Algorithms accepted for checksums. Default all four. Key `W.api.supportedChecksumAlgorithms`;
    /// variable `SUPPORTED_CHECKSUM_ALGORITHMS` (a JSON list or a comma list).
    pub checksum_algorithms: Vec<Algorithm>,
    /// What its clients may take. The metrics' server has the same limits.
    pub limits: Limits,
}

/// What clients of an HTTP server may take. A key without a v3 name of its own has the same name under `W.api`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections at once, at least 1. Beyond it, the one that has not asked anything for longest is closed.
    /// Default 1000. Key `server.maxConnections`.
    pub connections: usize,
    /// Most bytes of a request's line and headers, at least 8192. Default 32768. Key `server.maxHeaderSize`.
    pub header_size: usize,
    /// How long a client may take to send them, and how long a connection is kept without, in ms. Default 10000.
    /// Key `server.headerTimeout`.
    pub header_timeout: Duration,
}

/// Hooks and their callbacks. A key without a v3 name of its own has the same name under `W`.
#[derive(Clone, Debug, PartialEq)]
pub struct Hooks {
    /// Signs callbacks. Default sha1. Key `W.hookChecksumAlgorithm`; variable `HOOK_CHECKSUM_ALGORITHM`.
    pub checksum_algorithm: Algorithm,
    /// What the checksum of a callback covers. Default `form`. Key `hooks.checksumFormat`.
    pub checksum_format: ChecksumFormat,
    /// Whether callbacks carry a checksum or a Bearer token beside the signature in their headers. Default true.
    /// Key `hooks.legacyAuth`.
    pub legacy_auth: bool,
    /// Hooks that exist because the configuration says so. Default none. Keys `hooks.permanentURLs` (v2),
    /// `W.permanentURLs` (v3), a list of URLs or of `{url, getRaw, caFile, verify}`; variable `PERMANENT_HOOKS` (JSON).
    pub permanent: Vec<PermanentHook>,
    /// Only these events are sent, by id, in lower case; empty for all. Key `W.includeEvents`; variable `INCLUDE_EVENTS` (JSON).
    pub include_events: Vec<String>,
    /// These events are never sent, by id, in lower case. Default none. Key `W.excludeEvents`; variable `EXCLUDE_EVENTS` (JSON).
    pub exclude_events: Vec<String>,
    /// Most events that match a hook and are not finished; beyond it the oldest are dropped. Default 10000.
    /// Key `hooks.queueSize`.
    pub queue_size: usize,
    /// Most events kept in Redis, delivered or not; beyond it the hook furthest behind loses its oldest. At least
    /// `queue_size` are kept. Default 200000. Key `hooks.journalSize`.
    pub journal_size: usize,
    /// Most bytes of memory for recent events and all that belongs to them; messages that wait to be mapped, and callbacks under way, take room of it. Default 67108864 (64 MiB). Key `hooks.memoryLimit`.
    pub memory_limit: usize,
    /// Most events in one callback, at least 1. Default 1. Key `hooks.multiEvent`.
    pub multi_event: usize,
    /// Waits before each retry of a failed callback, in ms. Default 100, 500, 1000, 2000, 4000, 8000, 10000, 30000, then
    /// 60000 four times. Key `hooks.retryIntervals`.
    pub retry_intervals: Vec<Duration>,
    /// Suspended hooks, as permanent ones are after the last retry: the wait before each further try, in ms. Default 60000. Key `hooks.permanentIntervalReset`
    /// (v2 took an index into the intervals: values below 1000 are read as 60000).
    pub permanent_interval_reset: Duration,
    /// What becomes of a hook that is not permanent when no retry helped and nothing else of it was delivered meanwhile.
    /// Default `remove`. Key `hooks.onExhausted`.
    pub on_exhausted: OnExhausted,
    /// How long a suspended hook may do nothing but fail before it is removed, in ms. Default 86400000 (a day).
    /// Key `hooks.suspendFor`.
    pub suspend_for: Duration,
    /// The deadline of one attempt, in ms, from connecting to the end of the answer; once its status is there, that counts.
    /// Default 5000.
    /// Key `hooks.requestTimeout`; variable `REQUEST_TIMEOUT`.
    pub request_timeout: Duration,
    /// Most hooks; none is created beyond it, but permanent ones are. Default 10000. Key `hooks.maxHooks`.
    pub max_hooks: usize,
    /// A file of certificates (PEM) of authorities that are believed beside the system's when hooks are called. Default none.
    /// Key `hooks.caFile`.
    pub ca_file: Option<PathBuf>,
    /// How ids of new hooks look. Default `number`. Key `hooks.idFormat`.
    pub id_format: IdFormat,
    /// What keeps its order. Default `meeting`. Key `hooks.ordering`.
    pub ordering: Ordering,
    /// Most callbacks of one hook in flight at once, at least 1. Default 8. Key `hooks.concurrency`.
    pub concurrency: usize,
    /// Where callbacks may go. Keys `hooks.callbackPolicy.*`.
    pub callback_policy: CallbackPolicy,
    /// Send `Authorization: Bearer` to `http` URLs too, where anybody on the way can read the secret. Default true.
    /// Key `hooks.bearerOverHttp`.
    pub bearer_over_http: bool,
}

/// Where callbacks may go. Never to the daemon's own ports, nor to Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackPolicy {
    /// Which addresses are allowed that stand on no list. Default `standard`. Key `profile`.
    pub profile: Profile,
    /// Allowed although the profile says otherwise. Default none. Key `allow`.
    pub allow: Vec<Destination>,
    /// Denied, even if it is allowed elsewhere. Default none. Key `deny`.
    pub deny: Vec<Destination>,
}

/// Which addresses callbacks may go to (`hooks.callbackPolicy.profile`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// All but link-local ones and those of clouds' metadata services: LMS and BigBlueButton often share a machine or a
    /// private network.
    Standard,
    /// Those of the public Internet.
    PublicOnly,
    /// Only those that are allowed by name or network.
    ListedOnly,
}

/// A hook that exists because the configuration says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermanentHook {
    /// The callback URL, an absolute http(s) URL without a fragment.
    pub url: String,
    /// Whether it gets messages as BigBlueButton published them. Default false.
    pub raw: bool,
    /// Whose certificate its receiver may have. Keys `caFile` and `verify`.
    pub trust: Trust,
}

/// Whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Those of the system's authorities, and of the further ones that are configured for all.
    #[default]
    Usual,
    /// Those of the authorities in this file (PEM), and of no others.
    Only(PathBuf),
    /// Anybody's. Whoever is on the way can read and change all that is sent.
    Anybody,
}

/// What the checksum of a callback covers (`hooks.checksumFormat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumFormat {
    /// URL, raw body, secret: as version 3 of the Node daemon and BigBlueButton's documentation.
    Form,
    /// URL, `JSON.stringify({event, timestamp, domain})`, secret: as version 2.
    Json,
}

/// How ids of new hooks look (`hooks.idFormat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdFormat {
    /// Numbers that grow, as BigBlueButton's documentation says.
    Number,
    /// Random UUIDs, as version 3 of the Node daemon.
    Uuid,
}

/// What becomes of a hook when no retry helped (`hooks.onExhausted`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExhausted {
    /// It is removed, as BigBlueButton's documentation says.
    Remove,
    /// It stays, with its events, and is tried from time to time. Permanent hooks always do.
    Suspend,
}

/// Which events of a hook wait for each other (`hooks.ordering`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// Those of one meeting.
    Meeting,
    /// All.
    Hook,
    /// None.
    None,
}

/// Where BigBlueButton publishes.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The Redis server to subscribe to. Keys `redis.*`, and over them `modules."../in/redis/index.js".config.redis.*`.
    pub redis: RedisServer,
    /// Channels to subscribe to; a name with `*`, `?` or `[` is a pattern. Default [`DEFAULT_CHANNELS`]. Keys
    /// `hooks.channels` (v2), `modules."../in/redis/index.js".config.redis.inboundChannels` (v3).
    pub channels: Vec<String>,
}

/// The channels on which BigBlueButton publishes what the daemon maps.
pub const DEFAULT_CHANNELS: [&str; 7] = [
    "from-akka-apps-redis-channel",
    "from-bbb-web-redis-channel",
    "from-akka-apps-chat-redis-channel",
    "from-akka-apps-pres-redis-channel",
    "bigbluebutton:from-bbb-apps:meeting",
    "bigbluebutton:from-bbb-apps:users",
    "bigbluebutton:from-rap",
];

/// How to reach a Redis server. A key that is empty for one module is taken from `redis.*`; empty there too, it is not
/// set.
#[derive(Clone, Debug, PartialEq)]
pub enum RedisServer {
    /// Host and port. Keys `.host` (default 127.0.0.1), `.port` (6379), `.username` and `.password` (none); variables
    /// `REDIS_HOST`, `REDIS_PORT`, `REDIS_USERNAME`, `REDIS_PASSWORD`.
    Tcp {
        /// A name or an address.
        host: String,
        /// The TCP port.
        port: u16,
        /// An ACL user's name (Redis 6 and later); none for the default user.
        username: Option<String>,
        /// Its password; none for no authentication.
        password: Option<Secret>,
    },
    /// A URL with the scheme `redis`, `rediss` (TLS), `unix` or `redis+unix`. Key `.url`, or such a URL as `.host`;
    /// variables `REDIS_URL`, `REDIS_HOST`. Used instead of the keys above. It may hold a password, so it is a secret.
    Url(Secret),
}

/// The names of our keys in Redis. Keys `redis.keys.*`; version 2's default names stand for these defaults, because
/// hooks and mappings of version 2 are taken over, not shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisKeys {
    /// SET of hook ids. Default `bigbluebutton:webhooks:out:hooks`. Key `redis.keys.hooks`.
    pub hooks: String,
    /// Before `:<id>`: HASH of a hook. Default `bigbluebutton:webhooks:out:hook`. Key `redis.keys.hookPrefix`.
    pub hook_prefix: String,
    /// SET of meeting mappings' ids. Default `bigbluebutton:webhooks:proc:mappings`. Key `redis.keys.mappings`.
    pub mappings: String,
    /// Before `:<uuid>`: HASH of a meeting mapping. Default `bigbluebutton:webhooks:proc:mapping`. Key `redis.keys.mappingPrefix`.
    pub mapping_prefix: String,
    /// SET of user mappings' ids. Default `bigbluebutton:webhooks:proc:userMaps`. Key `redis.keys.userMaps`.
    pub user_maps: String,
    /// Before `:<uuid>`: HASH of a user mapping. Default `bigbluebutton:webhooks:proc:userMap`. Key `redis.keys.userMapPrefix`.
    pub user_map_prefix: String,
}

/// How long meetings and users are remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mappings {
    /// A meeting without any event for so long is forgotten, in ms. Default 604800000 (a week).
    /// Key `mappings.timeout`; variable `MAPPINGS_TIMEOUT`.
    pub timeout: Duration,
    /// How often to look for such meetings, in ms. Default 10000. Key `mappings.cleanupInterval`.
    pub cleanup_interval: Duration,
}

/// The log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least severe level that is written. Default `info`. Key `log.level`; variable `LOG_LEVEL`.
    pub level: LogLevel,
    /// What lines look like. Default `auto`. Key `log.format`; variable `LOG_FORMAT`.
    pub format: LogFormat,
    /// Write to standard output. Default true. Key `log.stdout`; variable `LOG_TO_STDOUT`.
    pub stdout: bool,
    /// Write to `filename`. Default false. Key `log.file`; variable `LOG_TO_FILE`.
    pub file: bool,
    /// The log file. Default `/var/log/bbb-webhooks/bbb-webhooks.log`. Key `log.filename`; variable `LOG_FILENAME`.
    pub filename: PathBuf,
}

/// Levels of the log, by the Node daemon's names too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// `trace`
    Trace,
    /// `debug`
    Debug,
    /// `info`
    Info,
    /// `warn`, `warning`
    Warn,
    /// `error`, `fatal`
    Error,
    /// `silent`, `off`
    Off,
}

/// What lines of the log look like (`log.format`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal and in the journal, JSON elsewhere.
    Auto,
    /// Text.
    Text,
    /// A JSON object in each line.
    Json,
}

/// Metrics for Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Serve them. Default false. Key `prometheus.enabled`; variable `PROM_ENABLED`.
    pub enabled: bool,
    /// The address to listen on. Default 127.0.0.1. Key `prometheus.host`; variable `PROM_HOST`.
    pub bind: IpAddr,
    /// The port to listen on. Default 3004. Key `prometheus.port`; variable `PROM_PORT`.
    pub port: u16,
    /// The path they are served under. Default `/metrics`. Key `prometheus.path`; variable `PROM_PATH`.
    pub path: String,
    /// Serve the process's own metrics too. Default false. Key `prometheus.collectDefaultMetrics`;
    /// variable `PROM_COLLECT_DEFAULT_METRICS`.
    pub process: bool,
}

/// xAPI statements to a Learning Record Store (LRS). Keys under `X`, `modules."../out/xapi/index.js"`, of which those in
/// `X.config` stand below `xapi` too: `xapi.lrs.lrs_endpoint`, `xapi.uuid_namespace`, `xapi.redis.keys.meetings`.
#[derive(Clone, Debug, PartialEq)]
pub struct Xapi {
    /// Send statements. Default false. Keys `X.enabled`, `xapi.enabled`; variable `XAPI_ENABLED`.
    pub enabled: bool,
    /// The LRS of meetings that bring none of their own. Default none; the Node daemon's example counts as none.
    /// Key `X.config.lrs.lrs_endpoint`.
    pub lrs_endpoint: Option<String>,
    /// User of Basic authentication. Default none. Key `X.config.lrs.lrs_username`.
    pub lrs_username: Option<String>,
    /// Password of Basic authentication. Default none. Key `X.config.lrs.lrs_password`.
    pub lrs_password: Option<Secret>,
    /// Most statements in one request, at least 1; more than one go as a JSON array. Default 1. Key `X.config.lrs.batchSize`.
    pub batch_size: usize,
    /// The deadline of one request to an LRS, in ms, from connecting to the end of the answer; once its status is there, that
    /// counts. Default 10000.
    /// Key `X.config.lrs.requestTimeout`.
    pub request_timeout: Duration,
    /// A file of certificates (PEM) of authorities that are believed beside the system's when an LRS is called.
    /// Default none. Key `X.config.lrs.caFile`.
    pub ca_file: Option<PathBuf>,
    /// The namespace of the version 5 UUIDs. Default none: then there are no statements. Key `X.config.uuid_namespace`.
    pub uuid_namespace: Option<uuid::Uuid>,
    /// The names of its keys in Redis.
    pub keys: XapiKeys,
}

/// The names of the xAPI output's keys in Redis. Keys `X.config.redis.keys.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XapiKeys {
    /// SET of meetings' ids. Default `bigbluebutton:webhooks:xapi:meetings`. Key `meetings`.
    pub meetings: String,
    /// Before `:<id>`: HASH of a meeting. Default `bigbluebutton:webhooks:xapi:meeting`. Key `meetingPrefix`.
    pub meeting_prefix: String,
    /// SET of users' ids. Default `bigbluebutton:webhooks:xapi:users`. Key `users`.
    pub users: String,
    /// Before `:<id>`: HASH of a user. Default `bigbluebutton:webhooks:xapi:user`. Key `userPrefix`.
    pub user_prefix: String,
    /// SET of polls' ids. Default `bigbluebutton:webhooks:xapi:polls`. Key `polls`.
    pub polls: String,
    /// Before `:<id>`: HASH of a poll. Default `bigbluebutton:webhooks:xapi:poll`. Key `pollPrefix`.
    pub poll_prefix: String,
}

/// A text that must not be seen: `Debug` masks it and there is no `Display`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Takes the text in.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
