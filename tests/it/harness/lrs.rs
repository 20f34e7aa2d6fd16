//! A Learning Record Store, as far as the daemon needs one, and what a meeting says of it.

use aes::Aes256;
use aes::cipher::BlockModeEncrypt;
use aes::cipher::KeyIvInit;
use aes::cipher::block_padding::Pkcs7;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use sha2::Sha256;

use super::daemon::Setup;
use super::receiver::Receiver;
use super::receiver::Request;

/// Where statements arrive when an endpoint has no path.
pub(crate) const STATEMENTS: &str = "/xAPI/statements";

/// A namespace.
pub(crate) const NAMESPACE: &str = "22946e5b-1860-4436-a025-cb133ca4c1d3";

/// A daemon that sends statements to this LRS.
pub(crate) fn with_lrs(setup: Setup, lrs: &Receiver) -> Setup {
    setup
        .env("XAPI_ENABLED", "true")
        .set("xapi.lrs.lrs_endpoint", lrs.url(""))
        .set("xapi.lrs.lrs_username", "admin")
        .set("xapi.lrs.lrs_password", "hunter2-of-the-server")
        .set("xapi.uuid_namespace", NAMESPACE)
}

/// The statements in requests, in order.
pub(crate) fn statements(requests: &[Request]) -> Vec<Value> {
    let read = |request: &Request| match serde_json::from_str(&request.body).expect("statements are JSON") {
        Value::Array(statements) => statements,
        statement => vec![statement],
    };
    requests.iter().flat_map(read).collect()
}

/// A text as `openssl aes-256-cbc -pass pass:SECRET -pbkdf2 -a -A` encrypts it, with a salt that is always the same.
pub(crate) fn encrypt(text: &str, secret: &str) -> String {
    let salt = b"NaClNaCl";
    let mut key_and_iv = [0; 48];
    pbkdf2::pbkdf2_hmac::<Sha256>(secret.as_bytes(), salt, 10_000, &mut key_and_iv);
    let (key, iv) = key_and_iv.split_at(32);
    let cipher = cbc::Encryptor::<Aes256>::new_from_slices(key, iv).unwrap();
    let encrypted = cipher.encrypt_padded_vec::<Pkcs7>(text.as_bytes());
    BASE64_STANDARD.encode([&b"Salted__"[..], salt, &encrypted].concat())
}
