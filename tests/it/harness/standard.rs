//! The signature in the headers, made anew: not with the daemon's own code.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Sha256;

use super::receiver::Request;

fn hmac(key: &[u8], text: &str) -> String {
    let hmac = Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text);
    BASE64_STANDARD.encode(hmac.finalize().into_bytes())
}

/// The secret of a hook, as the documentation says that it follows from the server's.
pub(crate) fn hook_secret(server_secret: &str, id: &str) -> String {
    format!("whsec_{}", hmac(server_secret.as_bytes(), &format!("bbb-webhooks hook {id}")))
}

/// What `webhook-signature` has to be.
pub(crate) fn webhook_signature(hook_secret: &str, id: &str, timestamp: &str, body: &str) -> String {
    let key = BASE64_STANDARD.decode(hook_secret.strip_prefix("whsec_").unwrap()).unwrap();
    format!("v1,{}", hmac(&key, &format!("{id}.{timestamp}.{body}")))
}

impl Request {
    /// The three headers: id, timestamp and signature.
    #[track_caller]
    pub(crate) fn webhook(&self) -> [&str; 3] {
        ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| self.header(name).unwrap())
    }

    /// Whether its headers say that it was signed with a hook's secret.
    pub(crate) fn is_signed_in_headers(&self, hook_secret: &str) -> bool {
        let [id, timestamp, signature] = self.webhook();
        signature == webhook_signature(hook_secret, id, timestamp, &self.body)
    }
}
