//! Where callbacks may go or not, as lists in the configuration name it.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use url::Host;

use super::values::{self, Found, Reading};

const EXPECTED: &str = "a host (lms.example.org), all hosts below a domain (*.example.org), an IP address, or a network \
                        (10.0.0.0/8)";

/// Hosts, or addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The addresses of a network; of one that has a single address, that.
    Network(IpNet),
    /// The host of this name, in lower case.
    Host(String),
    /// All hosts below this domain, in lower case, and not itself.
    Below(String),
}

impl Destination {
    /// Reads what people write; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(network) = text.parse::<IpNet>() {
            return Some(Self::Network(network.trunc()));
        }
        let (domain, whole) = text.strip_prefix("*.").map_or((text, false), |domain| (domain, true));
        // As hosts of URLs are read, so that both compare: names in other letters, numbers that are addresses.
        let bare = text.parse::<IpAddr>().ok();
        let host = bare.map_or_else(|| Host::parse(domain).ok(), |address| Some(address_host(address)))?;
        let network = |address: IpAddr| IpNet::from(address.to_canonical());
        match host {
            Host::Domain(name) if whole => Some(Self::Below(bare_name(&name)?)),
            Host::Domain(name) => Some(Self::Host(bare_name(&name)?)),
            Host::Ipv4(address) if !whole => Some(Self::Network(network(address.into()))),
            Host::Ipv6(address) if !whole => Some(Self::Network(network(address.into()))),
            Host::Ipv4(_) | Host::Ipv6(_) => None,
        }
    }

    /// Whether it is a network that has this address.
    #[must_use]
    pub fn has_address(&self, address: IpAddr) -> bool {
        matches!(self, Self::Network(network) if network.contains(&address) || network.contains(&address.to_canonical()))
    }

    /// Whether it means the host of this name, which is in lower case.
    #[must_use]
    pub fn has_host(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        match self {
            Self::Network(_) => false,
            Self::Host(host) => host == name,
            Self::Below(domain) => name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.')),
        }
    }
}

fn address_host(address: IpAddr) -> Host {
    match address {
        IpAddr::V4(address) => Host::Ipv4(address),
        IpAddr::V6(address) => Host::Ipv6(address),
    }
}

/// A name without the dot at its end, which says only that it is whole.
fn bare_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    (!name.is_empty() && !name.contains('*')).then(|| name.to_owned())
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) if network.prefix_len() == network.max_prefix_len() => {
                write!(f, "{}", network.addr())
            }
            Self::Network(network) => write!(f, "{network}"),
            Self::Host(host) => f.write_str(host),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

/// A list of destinations.
pub(super) fn destinations(found: &Found) -> Reading<Vec<Destination>> {
    values::each(&values::list(found)?, |item| match item.value.as_str().and_then(Destination::parse) {
        Some(destination) => Ok(destination),
        None => item.expected(EXPECTED),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hosts_domains_addresses_and_networks() {
        for (text, shown) in [
            ("LMS.example.org", "lms.example.org"),
            ("lms.example.org.", "lms.example.org"),
            (" *.Example.org ", "*.example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("2130706433", "127.0.0.1"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("fd00::/8", "fd00::/8"),
        ] {
            assert_eq!(Destination::parse(text).map(|read| read.to_string()).as_deref(), Some(shown), "{text}");
        }
        for text in ["", "*", "*.", "*.*.org", "*.10.0.0.1", "http://h", "h:80", "10.0.0.0/33", "a b", "a/b", "."] {
            assert_eq!(Destination::parse(text), None, "{text}");
        }
    }

    #[test]
    fn means_what_it_says() {
        let has = |text: &str, name: &str| Destination::parse(text).unwrap().has_host(name);
        assert!(has("example.org", "example.org") && has("example.org", "example.org."));
        assert!(!has("example.org", "a.example.org") && !has("example.org", "xexample.org"));
        assert!(has("*.example.org", "a.example.org") && has("*.example.org", "a.b.example.org."));
        assert!(!has("*.example.org", "example.org") && !has("*.example.org", "aexample.org"));
        let has = |text: &str, address: &str| Destination::parse(text).unwrap().has_address(address.parse().unwrap());
        assert!(has("10.0.0.0/8", "10.1.2.3") && has("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!has("10.0.0.0/8", "11.1.2.3") && !has("10.0.0.0/8", "::10.1.2.3"));
        assert!(has("fd00::/8", "fd12::1") && !has("fd00::/8", "10.1.2.3"));
    }
}
