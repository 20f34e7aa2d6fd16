//! The API as its client sees it: the address and the checksum from the configuration.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use anyhow::bail;
use serde_json::Value;
use url::form_urlencoded;

use crate::checksum::Algorithm;
use crate::commands::answer::Answer;
use crate::config;
use crate::config::Config;
use crate::config::Secret;
use crate::config::Trust;
use crate::delivery::sender::Authorities;
use crate::delivery::sender::root;

/// How long the API may take: the daemon waits for Redis before it answers.
const PATIENCE: Duration = Duration::from_secs(15);

/// A client of the daemon that runs with this configuration.
pub(super) struct Client {
    http: reqwest::Client,
    api: String,
    secret: Secret,
    algorithm: Algorithm,
}

/// Who is behind the API's port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ping {
    /// The daemon.
    Daemon,
    /// Something else, which answered this.
    Other(String),
}

impl Client {
    pub(super) fn new(config: &Config) -> anyhow::Result<Self> {
        // The API speaks HTTP without TLS, so no certificates are needed.
        let http = reqwest::Client::builder().tls_certs_only([]).no_proxy().timeout(PATIENCE).build();
        Ok(Self {
            http: http.context("HTTP cannot be set up")?,
            api: address(config),
            secret: config.bbb.shared_secret.clone(),
            algorithm: algorithm(&config.api),
        })
    }

    /// Calls a method, such as `hooks/list`. An answer that says FAILED is an error.
    pub(super) async fn call(&self, method: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let answer = self.ask(method, parameters).await?;
        if !answer.is_success() {
            let text = |name: &str| answer.get(name).unwrap_or("no reason").to_owned();
            let hint = match answer.get("messageKey") {
                Some("checksumError") => " The running daemon has another secret: was it changed since the start?",
                _ => "",
            };
            bail!("the daemon answered {}: {}{hint}", text("messageKey"), text("message"));
        }
        Ok(answer)
    }

    /// Calls a method, whatever the answer says.
    pub(super) async fn ask(&self, method: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let (status, body) = self.get_signed(method, parameters).await?;
        Answer::parse(&body).with_context(|| format!("at {} somebody else answers: status {status}", self.api))
    }

    /// How the daemon does, as it says itself.
    pub(super) async fn status(&self) -> anyhow::Result<Value> {
        match self.get_signed("hooks/status", &[]).await? {
            (200, body) => serde_json::from_str(&body).context("the daemon's answer is no JSON"),
            (status, _) => bail!(
                "at {} no status is to be had (HTTP status {status}): the running daemon has another secret, or is another",
                self.api
            ),
        }
    }

    async fn get_signed(&self, method: &str, parameters: &[(&str, &str)]) -> anyhow::Result<(u16, String)> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let checksum =
            self.algorithm.hex_digest(&[method.as_bytes(), query.as_bytes(), self.secret.expose().as_bytes()]);
        let separator = if query.is_empty() { "" } else { "&" };
        self.get(&format!("{method}?{query}{separator}checksum={checksum}")).await
    }

    /// Asks who is there.
    pub(super) async fn ping(&self) -> anyhow::Result<Ping> {
        let (status, body) = self.get("hooks/ping").await?;
        Ok(if body == "bbb-webhooks API up!" { Ping::Daemon } else { Ping::Other(format!("status {status}")) })
    }

    async fn get(&self, target: &str) -> anyhow::Result<(u16, String)> {
        let asked = async {
            let response = self.http.get(format!("{}/{target}", self.api)).send().await?;
            Ok((response.status().as_u16(), response.text().await?))
        };
        asked.await.map_err(|error: reqwest::Error| {
            let why = if error.is_timeout() { "no answer in time".to_owned() } else { root(&error.without_url()) };
            anyhow::anyhow!("the daemon does not answer at {}: {why}. Does it run, with this configuration?", self.api)
        })
    }
}

/// Whether anything answers at a URL, by HEAD: the status, or why not.
pub(super) struct Prober(reqwest::Client);

impl Prober {
    /// One that gives each attempt `timeout`, and believes whom `trust` means, with the authorities in the file `also`.
    pub(super) fn new(timeout: Duration, trust: &Trust, also: Option<&Path>) -> anyhow::Result<Self> {
        Self::built(timeout, trust, also, |http| http)
    }

    /// The same, to which a name leads to these addresses alone: they were judged, and may be others at the next look-up.
    pub(super) fn to(
        (name, addresses): (&str, &[SocketAddr]),
        timeout: Duration,
        trust: &Trust,
        also: Option<&Path>,
    ) -> anyhow::Result<Self> {
        Self::built(timeout, trust, also, |http| http.resolve_to_addrs(name, addresses))
    }

    fn built(
        timeout: Duration,
        trust: &Trust,
        also: Option<&Path>,
        more: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(timeout);
        let named = also.filter(|_| *trust == Trust::Usual).map(|file| file.display().to_string());
        let authorities =
            Authorities::of(trust, also).with_context(|| named.unwrap_or_else(|| "its caFile".to_owned()))?;
        Ok(Self(
            authorities
                .believed_by(more(http))
                .build()
                .context("HTTPS cannot be set up; is the package ca-certificates installed?")?,
        ))
    }

    pub(super) async fn probe(&self, url: &str) -> Result<u16, String> {
        match self.0.head(url).send().await {
            Ok(response) => Ok(response.status().as_u16()),
            Err(error) if error.is_timeout() => Err("no answer in time".to_owned()),
            Err(error) => Err(root(&error.without_url())),
        }
    }

    /// The text at a URL, by GET; none if there is nothing to read.
    pub(super) async fn text(&self, url: &str) -> Option<String> {
        self.0.get(url).send().await.ok()?.text().await.ok()
    }
}

/// The API's URL, up to `/hooks`, as it is reached from this machine.
pub(super) fn address(config: &Config) -> String {
    let address = SocketAddr::new(reached_at(config.api.bind), config.api.port);
    format!("http://{address}{}", config.bbb.api_path)
}

/// Where this machine reaches what listens on an address.
pub(super) fn reached_at(bind: IpAddr) -> IpAddr {
    match bind {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

/// What to sign calls with: the strongest accepted, but SHA-256 rather than what few clients know.
pub(super) fn algorithm(api: &config::Api) -> Algorithm {
    let accepted = &api.checksum_algorithms;
    let strongest = || accepted.iter().copied().max_by_key(|algorithm| algorithm.hex_length());
    accepted
        .iter()
        .copied()
        .find(|algorithm| *algorithm == Algorithm::Sha256)
        .or_else(strongest)
        .unwrap_or(Algorithm::Sha1)
}
