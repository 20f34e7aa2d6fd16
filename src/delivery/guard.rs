//! Keeps callbacks to where the policy lets them go: looks names up, and leaves of their addresses those that are allowed.
//!
//! The addresses that are judged are the ones that are connected to, so a name that leads elsewhere the next moment gains
//! nothing.

use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use url::Host;
use url::Url;

use crate::delivery::names::Names;
use crate::delivery::policy::Policy;
use crate::delivery::policy::REDIS;
use crate::delivery::policy::Refusal;
use crate::delivery::policy::leads_to;

/// How long whoever creates a hook waits for a name to be looked up.
const LOOK_UP: Duration = Duration::from_secs(1);

/// Watches over connections. Clones are the same.
#[derive(Clone, Debug)]
pub struct Guard {
    policy: Arc<Policy>,
    names: Names,
}

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum Nowhere {
    /// It cannot be looked up.
    #[error(transparent)]
    Unknown(#[from] io::Error),
    /// All its addresses are refused; this is why one of them is.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Guard {
    /// One that goes by this policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy: Arc::new(policy), names: Names::default() }
    }

    /// Judges a URL before its host is connected to. A name is judged again by [`Guard::resolve`].
    ///
    /// # Errors
    /// If nothing may be sent to it.
    pub async fn judge(&self, url: &Url) -> Result<(), Refusal> {
        self.policy.judge(url, is_here)?;
        let port = url.port_or_known_default().unwrap_or_default();
        match address(url) {
            Some(address) if is_kept(&self.kept(port).await, address) => Err(Refusal::Kept(REDIS)),
            _ => Ok(()),
        }
    }

    /// The same without waiting for where Redis is, if that is known by name: its port is refused at all addresses.
    ///
    /// # Errors
    /// If nothing may be sent to it.
    pub fn judge_at_once(&self, url: &Url) -> Result<(), Refusal> {
        self.policy.judge(url, is_here)?;
        let port = url.port_or_known_default().unwrap_or_default();
        let may_be_redis = address(url).is_some() && self.policy.kept_names(port).next().is_some();
        if may_be_redis { Err(Refusal::Kept(REDIS)) } else { Ok(()) }
    }

    /// Judges a URL for whoever wants to have it called: with a policy that most addresses may fail, its name is looked up
    /// as well. A name that is not known yet may be soon.
    ///
    /// # Errors
    /// If nothing may be sent to it.
    pub async fn judge_thoroughly(&self, url: &Url) -> Result<(), Refusal> {
        self.judge(url).await?;
        let Some(Host::Domain(name)) = url.host().filter(|_| self.policy.is_strict()) else { return Ok(()) };
        let port = url.port_or_known_default().unwrap_or_default();
        match timeout(LOOK_UP, self.resolve(name, port)).await {
            Ok(Err(Nowhere::Refused(refusal))) => Err(refusal),
            Ok(Ok(_) | Err(Nowhere::Unknown(_))) | Err(_) => Ok(()),
        }
    }

    /// The addresses of a host, less those to which nothing may be sent at this port.
    ///
    /// # Errors
    /// If it has none, or none of them is left.
    pub async fn resolve(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, Nowhere> {
        let bare = name.strip_suffix('.').unwrap_or(name);
        let kept = self.kept(port).await;
        let (mut allowed, mut refused) = (Vec::new(), None);
        for address in self.look_up(name, port).await? {
            let judged = match is_kept(&kept, address.ip()) {
                true => Err(Refusal::Kept(REDIS)),
                false => self.policy.judge_address(Some(bare), address.ip(), port, is_here),
            };
            match judged {
                Ok(()) => allowed.push(address),
                Err(refusal) => refused = Some(refusal),
            }
        }
        match refused {
            Some(refusal) if allowed.is_empty() => Err(refusal.into()),
            _ => Ok(allowed),
        }
    }

    /// Where Redis is, if that is known by name and at this port.
    async fn kept(&self, port: u16) -> Vec<IpAddr> {
        let mut kept = Vec::new();
        for name in self.policy.kept_names(port) {
            let found = self.look_up(name, port).await;
            kept.extend(found.unwrap_or_default().iter().map(SocketAddr::ip));
        }
        kept
    }

    async fn look_up(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found = self.names.look_up(name, resolve).await?;
        let mut found = found.to_vec();
        found.iter_mut().for_each(|address| address.set_port(port));
        Ok(found)
    }
}

/// The addresses of a name as the system knows them, at any port.
#[cfg(not(test))]
async fn resolve(name: String) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.collect())
}

#[cfg(test)]
use tests::resolve;

fn address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// Whether a connection to this address leads to one of these.
fn is_kept(kept: &[IpAddr], address: IpAddr) -> bool {
    kept.iter().any(|kept| leads_to(address, *kept, is_here))
}

/// Whether an address is this machine's: then it can be bound to.
fn is_here(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified() || UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Names below `test` lead to the address that is their first label, `-` for its dots; of two with an `x` between, to
    /// the first at the first time, and then to the other; with an `n`, to both.
    pub(super) async fn resolve(name: String) -> io::Result<Vec<SocketAddr>> {
        static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let label = name.trim_end_matches('.').strip_suffix(".test").ok_or(io::ErrorKind::NotFound)?;
        let address = |text: &str| SocketAddr::new(text.replace('-', ".").parse().unwrap(), 0);
        if let Some((one, other)) = label.split_once('n') {
            return Ok(vec![address(one), address(other)]);
        }
        let Some((first, then)) = label.split_once('x') else { return Ok(vec![address(label)]) };
        let mut asked = ASKED.lock().unwrap();
        let before = asked.contains(&name);
        asked.push(name.clone());
        Ok(vec![address(if before { then } else { first })])
    }

    fn guard(yaml: &str) -> Guard {
        Guard::new(Policy::of_callbacks(&crate::config::of_text(yaml)))
    }

    async fn resolved(guard: &Guard, name: &str, port: u16) -> Result<Vec<String>, String> {
        let found = guard.resolve(name, port).await.map_err(|error| error.to_string())?;
        Ok(found.iter().map(|address| address.ip().to_string()).collect())
    }

    #[tokio::test]
    async fn names_lead_only_where_they_may() {
        let guard = guard("redis: {host: 10-0-0-9.test}");
        assert_eq!(resolved(&guard, "10-0-0-7.test", 80).await, Ok(vec!["10.0.0.7".to_owned()]));
        assert_eq!(resolved(&guard, "169-254-169-254n10-0-0-7.test.", 80).await, Ok(vec!["10.0.0.7".to_owned()]));
        for (name, port, why) in [
            ("169-254-169-254.test", 80, "169.254.169.254 is a link-local address"),
            ("127-0-0-1.test", 3005, "the API of this daemon listens there"),
            ("0-0-0-0.test", 3005, "the API of this daemon listens there"),
            ("10-0-0-9.test.", 6379, "Redis listens there"),
        ] {
            assert_eq!(resolved(&guard, name, port).await, Err(why.to_owned()), "{name}");
        }
        assert!(resolved(&guard, "unknown", 80).await.is_err());
        let judged = async |url: &str| guard.judge(&Url::parse(url).unwrap()).await.is_ok();
        assert!(!judged("http://10.0.0.9:6379/").await && judged("http://10.0.0.8:6379/").await);
        assert!(!judged("http://[64:ff9b::10.0.0.9]:6379/").await && judged("http://[64:ff9b::10.0.0.8]:6379/").await);
        let local = super::tests::guard("redis: {host: 127-0-0-1.test}");
        assert!(
            local.judge(&Url::parse("http://127.0.0.2:6379/").unwrap()).await.is_err(),
            "Redis listens at all addresses"
        );
        let at_once = |url: &str| guard.judge_at_once(&Url::parse(url).unwrap()).is_ok();
        assert!(!at_once("http://10.0.0.8:6379/") && at_once("http://10.0.0.8:80/"));
    }

    #[tokio::test]
    async fn a_name_is_looked_up_beforehand_where_that_tells_something() {
        let judged = async |guard: &Guard, url: &str| guard.judge_thoroughly(&Url::parse(url).unwrap()).await.is_ok();
        let strict = guard("hooks: {callbackPolicy: {profile: public-only}}");
        assert!(!judged(&strict, "http://10-0-0-7.test/").await && judged(&strict, "http://8-8-8-8.test/").await);
        assert!(judged(&strict, "http://unknown/").await, "it may be known soon");
        assert!(judged(&guard(""), "http://169-254-169-254.test/").await, "it shows on connecting");
    }
}
