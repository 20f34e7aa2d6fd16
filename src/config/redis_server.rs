//! How to reach a Redis server: host and port, or a URL, set for one module or for all.

use url::Url;

use super::resolve::Resolver;
use super::values::{self, Found, Reading};
use super::{RedisServer, Secret};

/// The server for one module. `module` is the canonical key under which it has settings of its own. What is missing or empty
/// there, or set in a stronger layer for all modules, is taken from `redis`. A URL, wherever it is set (of two, the one in the
/// stronger layer), is used instead
/// of host, port, username and password; a notice says so where one of these was set in a stronger layer.
pub(super) fn read(from: &mut Resolver<'_>, module: &str) -> RedisServer {
    let pick = |from: &Resolver<'_>, field: &str| {
        let candidates = [format!("redis.{field}"), format!("{module}.{field}")];
        let found = candidates.iter().filter_map(|key| from.get(key)).filter(|found| !found.is_empty());
        // Of two in one layer, the last: the module's own.
        found.max_by_key(|found| found.rank).cloned()
    };
    let host = pick(from, "host");
    let urls = [host.clone().filter(looks_like_a_url), pick(from, "url")];
    if let Some(url) = urls.into_iter().flatten().max_by_key(|url| url.rank) {
        for field in ["host", "port", "username", "password"] {
            if let Some(beaten) = pick(from, field).filter(|beaten| beaten.rank > url.rank) {
                from.report.notice(format!("{}: ignored, because a URL is set ({})", beaten.place, url.place));
            }
        }
        return RedisServer::Url(from.take(server_url(&url)).unwrap_or_else(|| Secret::new("")));
    }
    RedisServer::Tcp {
        host: host.and_then(|host| from.take(host_name(&host))).unwrap_or_else(|| "127.0.0.1".to_owned()),
        port: pick(from, "port").and_then(|port| from.take(values::port(&port))).unwrap_or(6379),
        username: pick(from, "username").and_then(|name| from.take(values::text(&name))),
        password: pick(from, "password").and_then(|password| from.take(values::text(&password))).map(Secret::new),
    }
}

fn looks_like_a_url(found: &Found) -> bool {
    found.value.as_str().is_some_and(|text| text.contains("://"))
}

fn server_url(found: &Found) -> Reading<Secret> {
    let text = values::text(found)?;
    let text = text.trim();
    let usable = Url::parse(text).is_ok_and(|url| match url.scheme() {
        "redis" | "rediss" => url.host_str().is_some_and(|host| !host.is_empty()),
        "unix" | "redis+unix" => url.path().len() > 1,
        _ => false,
    });
    if usable && text.contains("://") {
        Ok(Secret::new(text))
    } else {
        found.expected("a URL such as redis://HOST:6379, rediss://HOST:6379 or unix:///run/redis/redis.sock")
    }
}

/// A name or an address; `HOST:PORT` is refused, because it would be looked up as a name and never be found.
fn host_name(found: &Found) -> Reading<String> {
    let text = values::text(found)?;
    let text = text.trim();
    let is_address = text.parse::<std::net::IpAddr>().is_ok();
    if is_address || !text.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '@' | ':')) {
        Ok(text.to_owned())
    } else {
        found.expected("a host name or an IP address; its port is a key of its own")
    }
}
