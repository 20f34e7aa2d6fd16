//! The exact request of a callback. Pure.
//!
//! The body is a form of three fields in a fixed order; the checksum covers the URL as registered and the body as sent,
//! byte for byte, so a receiver can check it without parsing anything.

use serde::Serialize;
use url::Url;

use crate::checksum::Algorithm;
use crate::config::Bbb;
use crate::config::ChecksumFormat;
use crate::config::Hooks;
use crate::config::Secret;
use crate::webhooks::address::Address;
use crate::webhooks::form;
use crate::webhooks::standard::HookKey;

/// The media type of every callback's body.
pub const CONTENT_TYPE: &str = "application/x-www-form-urlencoded;charset=UTF-8";

/// How far a hook's timestamps may run ahead of the clock to keep growing, in ms.
const AHEAD_MS: u64 = 1000;

/// What a receiver can tell by that a callback comes from this server, beside the signature in its headers.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A checksum in the URL.
    Checksum(Algorithm, ChecksumFormat),
    /// `Authorization: Bearer <secret>`.
    Bearer,
    /// Nothing but the signature in the headers, see [`standard`](crate::webhooks::standard).
    HeadersOnly,
}

/// Builds callbacks the way the configuration says.
#[derive(Clone, Debug)]
pub struct CallbackBuilder {
    domain: String,
    secret: Secret,
    proof: Proof,
}

/// A callback, ready to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// Where to POST it: the registered URL, and the checksum if there is one.
    pub url: Url,
    /// Its body, of type [`CONTENT_TYPE`].
    pub body: String,
    /// The value of its `Authorization` header, if it has one.
    pub authorization: Option<Secret>,
}

impl CallbackBuilder {
    /// A builder with the domain, the secret and the kind of proof that are configured.
    #[must_use]
    pub fn new(bbb: &Bbb, hooks: &Hooks) -> Self {
        let proof = match (hooks.legacy_auth, bbb.bearer_auth) {
            (false, _) => Proof::HeadersOnly,
            (true, true) => Proof::Bearer,
            (true, false) => Proof::Checksum(hooks.checksum_algorithm, hooks.checksum_format),
        };
        Self::with(&bbb.server_domain, bbb.shared_secret.clone(), proof)
    }

    /// A builder with this domain, secret and kind of proof.
    #[must_use]
    pub fn with(domain: &str, secret: Secret, proof: Proof) -> Self {
        Self { domain: domain.to_owned(), secret, proof }
    }

    /// The key that signs the callbacks of a hook.
    #[must_use]
    pub fn key_of(&self, hook: &str) -> HookKey {
        HookKey::derive(&self.secret, hook)
    }

    /// The callback to this address with `events` (JSON texts), built at `timestamp` (ms since 1970).
    #[must_use]
    pub fn build(&self, to: &Address, events: &[&str], timestamp: u64) -> Callback {
        let body = self.body(events, timestamp);
        let (url, authorization) = match self.proof {
            Proof::HeadersOnly => (to.bare(), None),
            Proof::Bearer => (to.bare(), Some(Secret::new(format!("Bearer {}", self.secret.expose())))),
            Proof::Checksum(algorithm, format) => {
                let signed = match format {
                    ChecksumFormat::Form => &body,
                    ChecksumFormat::Json => {
                        &version_2_text(&format!("[{}]", events.join(",")), timestamp, &self.domain)
                    }
                };
                let parts = [to.registered(), signed, self.secret.expose()];
                (to.with_checksum(&algorithm.hex_digest(&parts.map(str::as_bytes))), None)
            }
        };
        Callback { url, body, authorization }
    }

    fn body(&self, events: &[&str], timestamp: u64) -> String {
        let events_length: usize = events.iter().map(|event| event.len()).sum();
        let mut body = Vec::with_capacity(events_length * 2 + 128);
        body.extend_from_slice(b"domain=");
        form::append(&mut body, &self.domain);
        body.extend_from_slice(b"&event=");
        for (place, event) in events.iter().enumerate() {
            form::append(&mut body, if place == 0 { "[" } else { "," });
            form::append(&mut body, event);
        }
        form::append(&mut body, "]");
        body.extend_from_slice(b"&timestamp=");
        body.extend_from_slice(timestamp.to_string().as_bytes());
        String::from_utf8(body).expect("a form is ASCII")
    }
}

/// What version 2 of the Node daemon signed instead of the body, in its order.
pub(super) fn version_2_text(event: &str, timestamp: u64, domain: &str) -> String {
    #[derive(Serialize)]
    struct Version2<'a> {
        event: &'a str,
        timestamp: u64,
        domain: &'a str,
    }

    serde_json::to_string(&Version2 { event, timestamp, domain }).expect("texts and a number are always JSON")
}

/// The timestamp of a hook's next callback: the clock, but later than the `last` one, as the documentation promises.
/// Above 1,000 callbacks a second it cannot be both close to the clock and later: then it repeats.
#[must_use]
pub fn next_timestamp(now_ms: u64, last: u64) -> u64 {
    let later = now_ms.max(last + 1);
    if later <= now_ms + AHEAD_MS { later } else { last }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(proof: Proof) -> CallbackBuilder {
        CallbackBuilder { domain: "bbb.example.com".to_owned(), secret: Secret::new("s3cret"), proof }
    }

    fn to(url: &str) -> Address {
        Address::new(url).unwrap()
    }

    #[test]
    fn the_body_is_a_form_in_a_fixed_order() {
        let callback =
            builder(Proof::Bearer).build(&to("http://h/x"), &[r#"{"a":"ü b+*-._~"}"#, "{}"], 1_763_990_000_123);
        assert_eq!(
            callback.body,
            "domain=bbb.example.com&event=%5B%7B%22a%22%3A%22%C3%BC+b%2B*-._%7E%22%7D%2C%7B%7D%5D&timestamp=1763990000123"
        );
        assert_eq!(callback.url.as_str(), "http://h/x");
        assert_eq!(callback.authorization.unwrap().expose(), "Bearer s3cret");
    }

    #[test]
    fn the_checksum_covers_url_body_and_secret() {
        for algorithm in Algorithm::ALL {
            let callback =
                builder(Proof::Checksum(algorithm, ChecksumFormat::Form)).build(&to("http://h/x?a=ü"), &["{}"], 1);
            let checksum = algorithm.hex_digest(&["http://h/x?a=ü".as_bytes(), callback.body.as_bytes(), b"s3cret"]);
            assert_eq!(callback.url.as_str(), format!("http://h/x?a=%C3%BC&checksum={checksum}"));
            assert_eq!(callback.authorization, None);
        }
    }

    #[test]
    fn version_2_signed_json() {
        let callback = builder(Proof::Checksum(Algorithm::Sha1, ChecksumFormat::Json)).build(
            &to("http://h/x"),
            &[r#"{"a":1}"#],
            1,
        );
        let signed = r#"{"event":"[{\"a\":1}]","timestamp":1,"domain":"bbb.example.com"}"#;
        let checksum = Algorithm::Sha1.hex_digest(&[b"http://h/x", signed.as_bytes(), b"s3cret"]);
        assert_eq!(callback.url.as_str(), format!("http://h/x?checksum={checksum}"));
    }

    #[test]
    fn timestamps_grow_and_stay_near_the_clock() {
        assert_eq!(next_timestamp(5000, 0), 5000);
        assert_eq!(next_timestamp(5000, 5000), 5001);
        assert_eq!(next_timestamp(5000, 5999), 6000);
        assert_eq!(next_timestamp(5000, 6000), 6000);
        assert_eq!(next_timestamp(5000, 9000), 9000, "a clock that was set back does not make them shrink");
    }
}
