//! Where callbacks may go (`hooks.callbackPolicy`). Pure.
//!
//! Whoever may create hooks can make the daemon call what only the daemon can reach. So each address is judged, of a name
//! those that it has at the moment of connecting; what a name is called says nothing about where it leads.

use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::net::Ipv6Addr;

use ipnet::IpNet;
use url::Host;
use url::Url;

use crate::config::CallbackPolicy;
use crate::config::Config;
use crate::config::Destination;
use crate::config::Profile;
use crate::config::RedisServer;

/// Where the cloud tells a machine its secrets, beside link-local addresses: Alibaba, Azure, Oracle; AWS and Google by IPv6.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// What is neither public nor of another class: for documentation, benchmarks, protocols, and not in use (RFC 6890).
const SPECIAL: [&str; 10] = [
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
];

/// What kind of address it is: the further down, the more is to be had there that is nobody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Anybody's.
    Public,
    /// For no host at all, or for examples.
    Special,
    /// A network of one's own.
    Private,
    /// This machine.
    Loopback,
    /// The cable to the next machine, and where clouds tell a machine its secrets.
    LinkLocal,
    /// Where clouds tell a machine its secrets, elsewhere.
    Metadata,
}

impl Class {
    const fn said(self) -> &'static str {
        match self {
            Self::Public => "is a public address",
            Self::Loopback => "is this server itself",
            Self::Private => "is in a private network",
            Self::LinkLocal => "is a link-local address",
            Self::Metadata => "is a cloud's metadata service",
            Self::Special => "is no address of a public host",
        }
    }

    /// The class of an address; of one that carries others within it, as translators of IPv4 use them, the gravest.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let classes = meant(address).into_iter().map(Self::of_itself);
        classes.max().unwrap_or_else(|| Self::of_itself(address))
    }

    fn of_itself(address: IpAddr) -> Self {
        if METADATA.contains(&address) {
            return Self::Metadata;
        }
        let (private, loopback, link_local) = match address {
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                // Shared by customers of a provider (RFC 6598).
                let shared = a == 100 && (64..128).contains(&b);
                // Linux takes 0.0.0.0 for itself.
                (v4.is_private() || shared, v4.is_loopback() || a == 0, v4.is_link_local())
            }
            IpAddr::V6(v6) => {
                // Site-local addresses (fec0::/10) are no more given, and still routed by some.
                let private = v6.is_unique_local() || v6.segments()[0] & 0xffc0 == 0xfec0;
                (private, v6.is_loopback() || v6.is_unspecified(), v6.is_unicast_link_local())
            }
        };
        let global = match address {
            IpAddr::V4(_) => true,
            IpAddr::V6(v6) => v6.segments()[0] & 0xe000 == 0x2000,
        };
        match () {
            () if loopback => Self::Loopback,
            () if link_local => Self::LinkLocal,
            () if private => Self::Private,
            () if !global || is_special(address) => Self::Special,
            () => Self::Public,
        }
    }
}

fn is_special(address: IpAddr) -> bool {
    SPECIAL.iter().filter_map(|network| network.parse::<IpNet>().ok()).any(|network| network.contains(&address))
}

/// All addresses to which a connection to this one may lead: those of IPv4 that an IPv6 one carries, and the address itself
/// unless it stands for nothing but the other. The only place that knows how IPv4 is written within IPv6.
fn meant(address: IpAddr) -> Vec<IpAddr> {
    let address = address.to_canonical();
    let IpAddr::V6(v6) = address else { return vec![address] };
    let octets = v6.octets();
    let at = |places: [usize; 4]| IpAddr::from(places.map(|place| octets[place]));
    let last = at([12, 13, 14, 15]);
    let carried = match v6.segments() {
        // The well-known translator (NAT64, RFC 6052) has no other use.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => return vec![last],
        // Translators of one's own (RFC 8215). How much of this network is a prefix is theirs to say, and so where the address is
        // (RFC 6052, 2.2); whatever begins with 0 leads nowhere, and is what is left over of another place.
        [0x64, 0xff9b, 1, ..] => {
            let places = [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], [12, 13, 14, 15]];
            places.into_iter().filter(|places| octets[places[0]] != 0).map(at).collect()
        }
        // Translated without a state (SIIT, RFC 2765); compatible.
        [0, 0, 0, 0, 0xffff, 0, ..] => vec![last],
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => vec![last],
        // 6to4
        [0x2002, ..] => vec![at([2, 3, 4, 5])],
        // Teredo: its server, and its client upside down.
        [0x2001, 0, ..] => vec![at([4, 5, 6, 7]), IpAddr::from([12, 13, 14, 15].map(|place| !octets[place]))],
        // ISATAP, in any network.
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => vec![last],
        _ => Vec::new(),
    };
    carried.into_iter().chain([address]).collect()
}

/// Whether a connection to this address may lead to where one to `kept` does, however both are written. This machine listens at
/// many addresses; `is_here` tells which.
#[must_use]
pub fn leads_to(address: IpAddr, kept: IpAddr, is_here: impl Fn(IpAddr) -> bool) -> bool {
    let (meant, kept) = (meant(address), meant(kept));
    let any_is_here = |addresses: &[IpAddr]| addresses.iter().any(|address| is_here(*address));
    meant.iter().any(|address| kept.contains(address)) || any_is_here(&kept) && any_is_here(&meant)
}

/// Why a callback must not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The profile refuses addresses of this class.
    #[error("{0} {said}", said = .1.said())]
    Class(IpAddr, Class),
    /// It is on the list of what is denied.
    #[error("{0} is denied by {1}")]
    Denied(String, Destination),
    /// Only what is on the list is allowed, and this is not.
    #[error("{0} is not on the list of what is allowed")]
    Unlisted(String),
    /// Something of BigBlueButton listens there.
    #[error("{0} listens there")]
    Kept(&'static str),
    /// The Bearer token is the server's secret.
    #[error("over http, anybody on the way can read the Bearer token")]
    Readable,
}

impl Refusal {
    /// The key of the configuration that says so.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Readable => "hooks.bearerOverHttp",
            _ => "hooks.callbackPolicy",
        }
    }
}

/// A port that is no receiver's.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    what: &'static str,
    place: Place,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// All addresses of this machine.
    Here,
    Address(IpAddr),
    Name(String),
}

/// Says where callbacks may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    settings: CallbackPolicy,
    kept: Vec<Kept>,
    /// Whether `http` shows what nobody else may see.
    only_https: bool,
}

impl Policy {
    /// The one that is configured for callbacks, which also keeps them away from the daemon's own ports and from Redis.
    #[must_use]
    pub fn of_callbacks(config: &Config) -> Self {
        let only_https = config.sends_bearer() && !config.hooks.bearer_over_http;
        Self { only_https, ..Self::of_guests(config) }
    }

    /// The one for other addresses that come from outside: they bring their own secrets.
    #[must_use]
    pub fn of_guests(config: &Config) -> Self {
        let mut kept = vec![Kept { what: "the API of this daemon", place: Place::Here, port: config.api.port }];
        if config.metrics.enabled {
            kept.push(Kept { what: "this daemon", place: Place::Here, port: config.metrics.port });
        }
        kept.extend([&config.input.redis, &config.redis].into_iter().filter_map(redis));
        kept.dedup();
        Self { settings: config.hooks.callback_policy.clone(), kept, only_https: false }
    }

    /// Whether a name has to be looked up to know more than its URL tells, before anything is sent.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.settings.profile != Profile::Standard || !self.settings.deny.is_empty()
    }

    /// Names of Redis servers at this port: what they lead to must not be called.
    pub fn kept_names(&self, port: u16) -> impl Iterator<Item = &str> {
        self.kept.iter().filter(move |kept| kept.port == port).filter_map(|kept| match &kept.place {
            Place::Name(name) => Some(name.as_str()),
            Place::Here | Place::Address(_) => None,
        })
    }

    /// Judges a URL by what it says: an address, or a name that is listed. Where other names lead is not known yet.
    /// `is_here` tells addresses of this machine.
    ///
    /// # Errors
    /// If no callback may be sent to it.
    pub fn judge(&self, url: &Url, is_here: impl Fn(IpAddr) -> bool) -> Result<(), Refusal> {
        if self.only_https && url.scheme() != "https" {
            return Err(Refusal::Readable);
        }
        let port = url.port_or_known_default().unwrap_or_default();
        let name = match url.host() {
            Some(Host::Ipv4(address)) => return self.judge_address(None, address.into(), port, is_here),
            Some(Host::Ipv6(address)) => return self.judge_address(None, address.into(), port, is_here),
            Some(Host::Domain(name)) => name.strip_suffix('.').unwrap_or(name),
            None => return Err(Refusal::Unlisted(String::new())),
        };
        if self.kept_names(port).any(|kept| kept.eq_ignore_ascii_case(name)) {
            return Err(Refusal::Kept(REDIS));
        }
        self.judge_name(name)?;
        if is_localhost(name) {
            return self.judge_address(Some(name), Ipv4Addr::LOCALHOST.into(), port, is_here);
        }
        let CallbackPolicy { profile, allow, .. } = &self.settings;
        let may_lead_there = |entry: &Destination| matches!(entry, Destination::Network(_)) || entry.has_host(name);
        if *profile == Profile::ListedOnly && !allow.iter().any(may_lead_there) {
            return Err(Refusal::Unlisted(name.to_owned()));
        }
        Ok(())
    }

    fn judge_name(&self, name: &str) -> Result<(), Refusal> {
        match self.settings.deny.iter().find(|denied| denied.has_host(name)) {
            Some(denied) => Err(Refusal::Denied(name.to_owned(), denied.clone())),
            None => Ok(()),
        }
    }

    /// Judges an address to connect to, of a host with this name if it has one.
    ///
    /// # Errors
    /// If no callback may be sent to it.
    pub fn judge_address(
        &self,
        name: Option<&str>,
        address: IpAddr,
        port: u16,
        is_here: impl Fn(IpAddr) -> bool,
    ) -> Result<(), Refusal> {
        let address = address.to_canonical();
        let meant = meant(address);
        let leads_here = || meant.iter().any(|address| is_here(*address));
        let is_at = |place: &Place| match place {
            Place::Here => leads_here(),
            Place::Address(kept) => leads_to(address, *kept, &is_here),
            Place::Name(_) => false,
        };
        if let Some(kept) = self.kept.iter().find(|kept| kept.port == port && is_at(&kept.place)) {
            return Err(Refusal::Kept(kept.what));
        }
        name.map_or(Ok(()), |name| self.judge_name(name))?;
        let CallbackPolicy { profile, allow, deny } = &self.settings;
        let lists = |entry: &&Destination| {
            entry.has_address(address) || meant.iter().any(|address| entry.has_address(*address))
        };
        if let Some(denied) = deny.iter().find(lists) {
            return Err(Refusal::Denied(address.to_string(), denied.clone()));
        }
        if allow.iter().any(|entry| entry.has_address(address)) {
            return Ok(());
        }
        let class = Class::of(address);
        // An allowed name may lead into a private network, but not where a machine is told its secrets: whoever answers for a
        // name can let it lead anywhere.
        let secretive = matches!(class, Class::LinkLocal | Class::Metadata);
        let is_allowed = name.is_some_and(|name| allow.iter().any(|entry| entry.has_host(name)));
        match profile {
            _ if is_allowed && !secretive => Ok(()),
            Profile::Standard if secretive => Err(Refusal::Class(address, class)),
            Profile::Standard => Ok(()),
            Profile::PublicOnly if class == Class::Public => Ok(()),
            Profile::PublicOnly => Err(Refusal::Class(address, class)),
            Profile::ListedOnly => Err(Refusal::Unlisted(address.to_string())),
        }
    }
}

/// What is said of Redis.
pub const REDIS: &str = "Redis";

/// Where Redis is, if it is reached by TCP.
fn redis(server: &RedisServer) -> Option<Kept> {
    let (host, port) = match server {
        RedisServer::Tcp { host, port, .. } => (host.clone(), *port),
        RedisServer::Url(url) => {
            let url = Url::parse(url.expose()).ok().filter(|url| matches!(url.scheme(), "redis" | "rediss"))?;
            (url.host_str()?.to_owned(), url.port().unwrap_or(6379))
        }
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    let place = match bare.parse::<IpAddr>() {
        Ok(address) if Class::of(address) == Class::Loopback => Place::Here,
        Ok(address) => Place::Address(address.to_canonical()),
        Err(_) if is_localhost(bare) => Place::Here,
        Err(_) => Place::Name(bare.to_ascii_lowercase()),
    };
    Some(Kept { what: REDIS, place, port })
}

/// Names that lead to this machine wherever they are looked up (RFC 6761).
fn is_localhost(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn policy(profile: Profile, allow: &[&str], deny: &[&str]) -> Policy {
        let list = |texts: &[&str]| texts.iter().map(|text| Destination::parse(text).unwrap()).collect();
        let kept = vec![
            Kept { what: "the API", place: Place::Here, port: 3005 },
            Kept { what: REDIS, place: Place::Name("redis.internal".to_owned()), port: 6379 },
            Kept { what: REDIS, place: Place::Address("10.0.0.9".parse().unwrap()), port: 6380 },
        ];
        let settings = CallbackPolicy { profile, allow: list(allow), deny: list(deny) };
        Policy { settings, kept, only_https: false }
    }

    fn is_here(address: IpAddr) -> bool {
        address.is_loopback() || address.is_unspecified() || address == IpAddr::from([10, 0, 0, 1])
    }

    fn judged(policy: &Policy, url: &str) -> Result<(), String> {
        policy.judge(&Url::parse(url).unwrap(), is_here).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn addresses_have_classes_however_they_are_written() {
        for (class, addresses) in [
            (
                Class::Loopback,
                &["127.0.0.1", "127.8.8.8", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1"][..],
            ),
            (
                Class::LinkLocal,
                &["169.254.169.254", "169.254.0.1", "fe80::1", "::ffff:169.254.169.254", "2002:a9fe:a9fe::1"],
            ),
            (
                Class::Metadata,
                &["100.100.100.200", "168.63.129.16", "fd00:ec2::254", "192.0.0.192", "64:ff9b::a83f:8110"],
            ),
            (
                Class::Private,
                &["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "fec0::1", "::10.0.0.1"],
            ),
            (
                Class::Special,
                &[
                    "192.0.2.1",
                    "198.18.0.1",
                    "224.0.0.1",
                    "255.255.255.255",
                    "240.0.0.1",
                    "2001:db8::1",
                    "ff02::1",
                    "100::1",
                ],
            ),
            (
                Class::Public,
                &["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::808:808", "192.0.1.1"],
            ),
        ] {
            for address in addresses {
                assert_eq!(Class::of(address.parse().unwrap()), class, "{address}");
            }
        }
    }

    #[test]
    fn an_address_within_another_is_judged_wherever_it_stands() {
        /// All ways to write an address of IPv4 within one of IPv6.
        fn written(address: Ipv4Addr) -> Vec<String> {
            let [a, b, c, d] = address.octets();
            let [x, y] = [[a, b], [c, d]].map(u16::from_be_bytes).map(|half| format!("{half:x}"));
            let [not_x, not_y] = [[!a, !b], [!c, !d]].map(u16::from_be_bytes).map(|half| format!("{half:x}"));
            vec![
                format!("::ffff:{x}:{y}"),
                format!("::{x}:{y}"),
                format!("::ffff:0:{x}:{y}"),
                format!("64:ff9b::{x}:{y}"),
                format!("64:ff9b:1::{x}:{y}"),
                format!("64:ff9b:1:fffe:fe:fffe:{x}:{y}"),
                format!("64:ff9b:1:{x}:{c:x}:{d:x}00::"),
                format!("64:ff9b:1:{a:x}:{b:x}:{y}::"),
                format!("64:ff9b:1:0:{a:x}:{b:02x}{c:02x}:{d:x}00:0"),
                format!("2002:{x}:{y}::"),
                format!("2002:{x}:{y}:1::5"),
                format!("2001:0:{x}:{y}::"),
                format!("2001:0:505:505:8000:ffff:{not_x}:{not_y}"),
                format!("2600::5efe:{x}:{y}"),
                format!("2600::200:5efe:{x}:{y}"),
            ]
        }
        let standard = policy(Profile::Standard, &[], &["10.2.0.0/16"]);
        for (address, port, why) in [
            ([169, 254, 169, 254], 80, "is a link-local address"),
            ([100, 100, 100, 200], 80, "is a cloud's metadata service"),
            ([10, 2, 3, 4], 80, "is denied by 10.2.0.0/16"),
            ([127, 0, 0, 1], 3005, "the API listens there"),
            ([10, 0, 0, 1], 3005, "the API listens there"),
            ([10, 0, 0, 9], 6380, "Redis listens there"),
        ] {
            for host in written(address.into()) {
                let judged = judged(&standard, &format!("http://[{host}]:{port}/"));
                assert!(judged.as_ref().is_err_and(|said| said.ends_with(why)), "{address:?} as {host}: {judged:?}");
            }
        }
        let public = policy(Profile::PublicOnly, &[], &[]);
        for host in [[127, 0, 0, 1], [10, 0, 0, 1], [192, 168, 1, 1]].into_iter().flat_map(|v4| written(v4.into())) {
            assert!(judged(&public, &format!("http://[{host}]/")).is_err(), "{host}");
        }
        // What leads to somebody else is not mistaken for this, and an operator's translator is not the Internet's.
        for host in written([93, 184, 216, 34].into()) {
            assert_eq!(judged(&standard, &format!("http://[{host}]:3005/")), Ok(()), "{host}");
        }
        assert_eq!(judged(&public, "http://[64:ff9b::5db8:d822]/"), Ok(()));
        assert!(judged(&public, "http://[64:ff9b:1::5db8:d822]/").is_err());
        // Redis may be written so itself.
        let leads = |one: &str, other: &str| leads_to(one.parse().unwrap(), other.parse().unwrap(), is_here);
        assert!(leads("64:ff9b::a00:9", "10.0.0.9") && leads("10.0.0.9", "64:ff9b::a00:9"));
        assert!(!leads("64:ff9b::a00:9", "10.0.0.8"));
    }

    #[test]
    fn by_default_only_what_is_nobodys_receiver_is_refused() {
        let policy = policy(Profile::Standard, &[], &[]);
        for url in [
            "http://127.0.0.1/",
            "http://localhost/x",
            "https://10.0.0.7:8443/",
            "http://[fd00::1]/",
            "http://lms.example.org/",
            "http://8.8.8.8/",
            "http://10.0.0.9:6379/",
        ] {
            assert_eq!(judged(&policy, url), Ok(()), "{url}");
        }
        for (url, why) in [
            ("http://169.254.169.254/latest", "169.254.169.254 is a link-local address"),
            ("http://2852039166/", "169.254.169.254 is a link-local address"),
            ("http://0xa9.0xfe.43518/", "169.254.169.254 is a link-local address"),
            ("http://[::ffff:169.254.169.254]/", "169.254.169.254 is a link-local address"),
            ("http://[64:ff9b::a9fe:a9fe]/", "64:ff9b::a9fe:a9fe is a link-local address"),
            ("http://[fe80::1]/", "fe80::1 is a link-local address"),
            ("http://100.100.100.200/", "100.100.100.200 is a cloud's metadata service"),
            ("http://127.0.0.1:3005/bigbluebutton/api", "the API listens there"),
            ("http://[::ffff:127.0.0.1]:3005/", "the API listens there"),
            ("http://0:3005/", "the API listens there"),
            ("http://LOCALHOST.:3005/", "the API listens there"),
            ("http://x.localhost:3005/", "the API listens there"),
            ("http://10.0.0.1:3005/", "the API listens there"),
            ("http://redis.internal.:6379/", "Redis listens there"),
            ("http://10.0.0.9:6380/", "Redis listens there"),
            ("http://[::ffff:10.0.0.9]:6380/", "Redis listens there"),
        ] {
            assert_eq!(judged(&policy, url), Err(why.to_owned()), "{url}");
        }
    }

    #[test]
    fn public_only_leaves_the_public_and_what_is_allowed() {
        let policy =
            policy(Profile::PublicOnly, &["lms.internal", "10.1.0.0/16", "169.254.7.7"], &["8.8.8.0/24", "*.evil.org"]);
        let at = |name: Option<&str>, address: &str| {
            policy.judge_address(name, address.parse().unwrap(), 80, is_here).is_ok()
        };
        assert!(at(None, "1.1.1.1") && at(Some("a.org"), "2606:4700::1111"));
        assert!(!at(None, "127.0.0.1") && !at(None, "10.0.0.1") && !at(Some("a.org"), "192.168.0.1"));
        assert!(at(None, "10.1.2.3") && at(None, "::ffff:10.1.2.3") && at(None, "169.254.7.7"));
        assert!(at(Some("lms.internal"), "10.0.0.1") && !at(Some("lms.internal"), "169.254.169.254"));
        assert!(!at(None, "8.8.8.8") && !at(Some("lms.internal"), "8.8.8.8"), "what is denied is denied");
        assert!(judged(&policy, "http://a.evil.org/").is_err() && judged(&policy, "http://a.org/").is_ok());
        assert!(judged(&policy, "http://localhost/").is_err());
    }

    #[test]
    fn listed_only_leaves_what_is_listed() {
        let names = policy(Profile::ListedOnly, &["lms.example.org"], &[]);
        assert!(judged(&names, "https://lms.example.org/").is_ok() && judged(&names, "https://a.org/").is_err());
        assert!(judged(&names, "https://8.8.8.8/").is_err());
        let at = |name: &str| names.judge_address(Some(name), [8, 8, 8, 8].into(), 80, is_here).is_ok();
        assert!(at("lms.example.org") && !at("a.org"));
        let networks = policy(Profile::ListedOnly, &["10.0.0.0/8"], &[]);
        assert!(judged(&networks, "https://a.org/").is_ok(), "where it leads shows on connecting");
        assert!(networks.judge_address(Some("a.org"), [8, 8, 8, 8].into(), 80, is_here).is_err());
        assert!(networks.judge_address(Some("a.org"), [10, 8, 8, 8].into(), 80, is_here).is_ok());
    }

    #[test]
    fn nothing_allows_the_daemons_own_ports() {
        let policy = policy(Profile::Standard, &["0.0.0.0/0", "localhost"], &[]);
        assert!(
            judged(&policy, "http://localhost:3005/").is_err() && judged(&policy, "http://127.0.0.1:3005/").is_err()
        );
        assert!(judged(&policy, "http://169.254.169.254/").is_ok(), "but all else");
    }

    #[test]
    fn a_secret_in_the_clear_can_be_forbidden() {
        let policy = Policy { only_https: true, ..policy(Profile::Standard, &[], &[]) };
        assert!(judged(&policy, "http://a.org/").is_err() && judged(&policy, "https://a.org/").is_ok());
    }

    #[test]
    fn redis_is_known_by_all_ways_to_say_where_it_is() {
        let tcp = |host: &str| {
            redis(&RedisServer::Tcp { host: host.to_owned(), port: 7, username: None, password: None }).unwrap().place
        };
        assert_eq!(tcp("127.0.0.1"), Place::Here);
        assert_eq!(tcp("localhost"), Place::Here);
        assert_eq!(tcp("10.0.0.9"), Place::Address([10, 0, 0, 9].into()));
        assert_eq!(tcp("Redis.internal"), Place::Name("redis.internal".to_owned()));
        let url = |url: &str| redis(&RedisServer::Url(Secret::new(url))).map(|kept| (kept.place, kept.port));
        assert_eq!(url("redis://u:p@[::1]:1/0"), Some((Place::Here, 1)));
        assert_eq!(url("rediss://r.example"), Some((Place::Name("r.example".to_owned()), 6379)));
        assert_eq!(url("unix:///run/redis.sock"), None);
    }
}
