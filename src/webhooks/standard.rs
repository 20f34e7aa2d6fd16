//! The signature in the headers of every callback, by the specification of [Standard Webhooks](https://www.standardwebhooks.com),
//! version 1: an HMAC-SHA256 over the callback's id, the time of the attempt and the body. Pure.
//!
//! Each hook has a key of its own, which follows from the server's secret and the hook's id, and from which the secret does not
//! follow. So a receiver can check what comes to it without being able to call the API or to sign for other receivers.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use url::form_urlencoded;

use crate::config::Secret;

/// The header with the callback's id, which is the same for each attempt.
pub const ID: &str = "webhook-id";
/// The header with the time of the attempt, in seconds since 1970.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signature.
pub const SIGNATURE: &str = "webhook-signature";

/// How far a timestamp may be from the receiver's clock, in seconds: what the specification's libraries allow.
pub const TOLERANCE: u64 = 5 * 60;

/// What stands before a key in Base64.
const KEY_PREFIX: &str = "whsec_";

/// What stands before a signature in Base64: its version.
const VERSION: &str = "v1,";

/// What a hook's key is derived from, together with its id and the secret.
const DERIVED_FOR: &str = "bbb-webhooks hook ";

/// The key that signs the callbacks of one hook.
#[derive(Clone)]
pub struct HookKey {
    /// The hook's id, as the callbacks' ids begin.
    hook: String,
    bytes: [u8; 32],
    /// Ready to sign: made once for all callbacks.
    keyed: Hmac<Sha256>,
}

/// What says that a callback comes from this server, and when: the values of its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    id: String,
    timestamp: String,
    signature: String,
}

impl HookKey {
    /// The key of a hook: HMAC-SHA256, with the server's secret as its key, over `bbb-webhooks hook ` and the hook's id.
    #[must_use]
    pub fn derive(secret: &Secret, hook: &str) -> Self {
        let mut derived = hmac(secret.expose().as_bytes());
        derived.update(DERIVED_FOR.as_bytes());
        derived.update(hook.as_bytes());
        let bytes: [u8; 32] = derived.finalize().into_bytes().into();
        // An id that came out of Redis may be anything, a header may not.
        let hook = form_urlencoded::byte_serialize(hook.as_bytes()).collect();
        Self { hook, keyed: hmac(&bytes), bytes }
    }

    /// The key as the specification's libraries take it: `whsec_` and Base64.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        Secret::new(format!("{KEY_PREFIX}{}", BASE64_STANDARD.encode(self.bytes)))
    }

    /// Signs an attempt to deliver the events from number `first` to number `last`, made at `now_ms` (ms since 1970).
    #[must_use]
    pub fn sign(&self, (first, last): (u64, u64), now_ms: u64, body: &str) -> Signature {
        let (id, timestamp) = (format!("{}_{first}_{last}", self.hook), (now_ms / 1000).to_string());
        let signature = self.signature(&id, &timestamp, body);
        Signature { id, timestamp, signature }
    }

    fn signature(&self, id: &str, timestamp: &str, body: &str) -> String {
        let mut signed = self.keyed.clone();
        for part in [id, ".", timestamp, ".", body] {
            signed.update(part.as_bytes());
        }
        format!("{VERSION}{}", BASE64_STANDARD.encode(signed.finalize().into_bytes()))
    }
}

impl fmt::Debug for HookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookKey").field("hook", &self.hook).finish_non_exhaustive()
    }
}

impl Signature {
    /// The headers, by name and value.
    #[must_use]
    pub fn headers(&self) -> [(&'static str, &str); 3] {
        [(ID, &self.id), (TIMESTAMP, &self.timestamp), (SIGNATURE, &self.signature)]
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("an HMAC takes a key of any length")
}

/// The headers of a callback as it was received, none where one was missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received<'a> {
    /// `webhook-id`.
    pub id: Option<&'a str>,
    /// `webhook-timestamp`.
    pub timestamp: Option<&'a str>,
    /// `webhook-signature`: one or more, with blanks between them.
    pub signature: Option<&'a str>,
}

/// What is wrong with the headers of a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// It has none of them.
    Unsigned,
    /// One of them is missing.
    Missing(&'static str),
    /// The id does not say which hook's it is.
    Id,
    /// The timestamp is no number of seconds.
    Timestamp,
    /// It was signed so many seconds before or after the receiver's time.
    Replayed(u64),
    /// No signature is right.
    Wrong,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => write!(f, "it has no header {SIGNATURE}"),
            Self::Missing(header) => write!(f, "it has no header {header}"),
            Self::Id => write!(f, "the header {ID} does not end with two numbers of events, with _ before each"),
            Self::Timestamp => write!(f, "the header {TIMESTAMP} is no number of seconds since 1970"),
            Self::Replayed(seconds) => {
                write!(f, "the header {TIMESTAMP} is {seconds} seconds from this clock, and {TOLERANCE} are allowed")
            }
            Self::Wrong => write!(f, "the {SIGNATURE} is wrong: another secret, another header or another body"),
        }
    }
}

impl Received<'_> {
    /// The id of the hook whose callback it is.
    ///
    /// # Errors
    /// If the header says none.
    pub fn hook(&self) -> Result<String, Mistake> {
        let id = self.id.ok_or(Mistake::Missing(ID))?;
        let mut parts = id.rsplitn(3, '_');
        let numbers = [parts.next(), parts.next()];
        let hook = parts.next().filter(|_| numbers.iter().flatten().all(|number| number.parse::<u64>().is_ok()));
        let hook = hook.ok_or(Mistake::Id)?;
        // As an only name, an id without = stays whole.
        Ok(form_urlencoded::parse(hook.as_bytes()).next().map(|(hook, _)| hook.into_owned()).unwrap_or_default())
    }

    /// What the signature has to be.
    ///
    /// # Errors
    /// If what is signed is not all there.
    pub fn expected(&self, body: &str, secret: &Secret) -> Result<String, Mistake> {
        let key = HookKey::derive(secret, &self.hook()?);
        let timestamp = self.timestamp.ok_or(Mistake::Missing(TIMESTAMP))?;
        let digits = timestamp.bytes().all(|byte| byte.is_ascii_digit());
        timestamp.parse::<u64>().ok().filter(|_| digits).ok_or(Mistake::Timestamp)?;
        Ok(key.signature(self.id.unwrap_or_default(), timestamp, body))
    }

    /// Checks the signature with the server's secret.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, body: &str, secret: &Secret) -> Result<(), Mistake> {
        if *self == Self::default() {
            return Err(Mistake::Unsigned);
        }
        let expected = self.expected(body, secret)?;
        let mut given = self.signature.ok_or(Mistake::Missing(SIGNATURE))?.split(' ');
        let right = given.any(|given| given.as_bytes().ct_eq(expected.as_bytes()).into());
        if right { Ok(()) } else { Err(Mistake::Wrong) }
    }

    /// Checks the signature, and that it was made about now (ms since 1970), as a receiver does.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check_at(&self, now_ms: u64, body: &str, secret: &Secret) -> Result<(), Mistake> {
        self.check(body, secret)?;
        let timestamp: u64 = self.timestamp.and_then(|text| text.parse().ok()).ok_or(Mistake::Timestamp)?;
        let seconds = timestamp.abs_diff(now_ms / 1000);
        if seconds <= TOLERANCE { Ok(()) } else { Err(Mistake::Replayed(seconds)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_763_990_000_999;

    fn secret() -> Secret {
        Secret::new("s3cret")
    }

    fn received(signature: &Signature) -> Received<'_> {
        let [id, timestamp, signature] = signature.headers().map(|(_, value)| Some(value));
        Received { id, timestamp, signature }
    }

    #[test]
    fn a_key_follows_from_secret_and_id() {
        // printf %s 'bbb-webhooks hook 7' | openssl dgst -sha256 -hmac s3cret -binary | base64
        assert_eq!(
            HookKey::derive(&secret(), "7").to_text().expose(),
            "whsec_wDVswPvbmhx1QmKan26OtSVnX9R5E+eu39THK5pSsxE="
        );
        assert_ne!(HookKey::derive(&secret(), "8").bytes, HookKey::derive(&secret(), "7").bytes);
        assert_ne!(HookKey::derive(&Secret::new("other"), "7").bytes, HookKey::derive(&secret(), "7").bytes);
        assert_eq!(format!("{:?}", HookKey::derive(&secret(), "7")), r#"HookKey { hook: "7", .. }"#);
    }

    #[test]
    fn id_time_and_body_are_signed() {
        let signature = HookKey::derive(&secret(), "7").sign((11, 12), NOW_MS, "a=b");
        let [id, timestamp, signed] = signature.headers();
        assert_eq!((id, timestamp), (("webhook-id", "7_11_12"), ("webhook-timestamp", "1763990000")));
        // printf %s '7_11_12.1763990000.a=b' | openssl dgst -sha256 -mac HMAC -macopt hexkey:... -binary | base64
        assert_eq!(signed, ("webhook-signature", "v1,yYQM12JQchBgOmCLnXgPRBtefKh3m13Q5NgCn74/QVA="));
        assert_eq!(received(&signature).check_at(NOW_MS, "a=b", &secret()), Ok(()));
    }

    #[test]
    fn whatever_is_changed_is_found() {
        let signature = HookKey::derive(&secret(), "7").sign((11, 12), NOW_MS, "a=b");
        let right = received(&signature);
        for (wrong, mistake) in [
            (Received { id: Some("7_11_13"), ..right }, Mistake::Wrong),
            (Received { id: Some("8_11_12"), ..right }, Mistake::Wrong),
            (Received { id: Some("7-11-12"), ..right }, Mistake::Id),
            (Received { id: Some("7_a_12"), ..right }, Mistake::Id),
            (Received { id: None, ..right }, Mistake::Missing(ID)),
            (Received { timestamp: Some("1763990001"), ..right }, Mistake::Wrong),
            (Received { timestamp: Some("+1763990000"), ..right }, Mistake::Timestamp),
            (Received { timestamp: Some("soon"), ..right }, Mistake::Timestamp),
            (Received { timestamp: None, ..right }, Mistake::Missing(TIMESTAMP)),
            (Received { signature: Some("v1,AAAA"), ..right }, Mistake::Wrong),
            (Received { signature: None, ..right }, Mistake::Missing(SIGNATURE)),
            (Received::default(), Mistake::Unsigned),
        ] {
            assert_eq!(wrong.check("a=b", &secret()), Err(mistake), "{wrong:?}");
        }
        assert_eq!(right.check("a=c", &secret()), Err(Mistake::Wrong));
        assert_eq!(right.check("a=b", &Secret::new("other")), Err(Mistake::Wrong));
        let several = format!("v1,AAAA v2,x {}", right.signature.unwrap());
        assert_eq!(Received { signature: Some(&several), ..right }.check("a=b", &secret()), Ok(()));
    }

    #[test]
    fn what_was_signed_too_long_ago_is_found() {
        let signature = HookKey::derive(&secret(), "7").sign((11, 12), NOW_MS, "a=b");
        for (now_ms, checked) in [
            (NOW_MS + 300_000, Ok(())),
            (NOW_MS - 300_000, Ok(())),
            (NOW_MS + 301_001, Err(Mistake::Replayed(302))),
            (NOW_MS - 301_000, Err(Mistake::Replayed(301))),
        ] {
            assert_eq!(received(&signature).check_at(now_ms, "a=b", &secret()), checked);
        }
    }

    #[test]
    fn any_id_of_a_hook_fits_into_a_header_and_out_again() {
        for hook in ["7", "6f1ab2c3-0b5e-4c57-8d5c-3f2f1f0a9b1e", "a_b", "a b", "ü\n", "a=b&c", "", "%41"] {
            let signature = HookKey::derive(&secret(), hook).sign((1, 2), NOW_MS, "");
            let (_, id) = signature.headers()[0];
            assert!(id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
            assert_eq!(received(&signature).hook().as_deref(), Ok(hook));
            assert_eq!(received(&signature).check("", &secret()), Ok(()));
        }
    }
}
