//! Where statements go and by what right: from the configuration, or from what a meeting brings, encrypted. Pure.

use std::fmt;

use aes::Aes256;
use aes::cipher::BlockModeDecrypt;
use aes::cipher::KeyIvInit;
use aes::cipher::block_padding::Pkcs7;
use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::GeneralPurpose;
use base64::engine::GeneralPurposeConfig;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use sha2::Sha256;
use url::Url;

use crate::config::Secret;
use crate::config::Xapi;

/// What `openssl enc -aes-256-cbc -pbkdf2` puts before the salt, and how it makes key and IV.
const MAGIC: &[u8] = b"Salted__";
const SALT: usize = 8;
const ROUNDS: u32 = 10_000;
const KEY: usize = 32;
const IV: usize = 16;

/// The path of statements below an LRS's endpoint.
const STATEMENTS: &str = "xAPI/statements";

/// A Learning Record Store: where it is, and what opens it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Lrs {
    /// The URL of statements. It may hold a password.
    statements: Url,
    /// The value of the `Authorization` header.
    authorization: Option<Secret>,
}

/// What is wrong with what a meeting brings. No text shows anything of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPayload {
    /// Not what `openssl` writes.
    #[error("it is not Base64 of what `openssl aes-256-cbc -pbkdf2` writes")]
    NotEncrypted,
    /// Another secret, as a rule.
    #[error("it does not decrypt with the secret of this server")]
    WrongSecret,
    /// Decrypted, it is something else.
    #[error("it is no JSON object")]
    NotAnObject,
    /// There is no usable URL.
    #[error("it has no lrs_endpoint that is an absolute http or https URL")]
    NoEndpoint,
    /// Nothing opens the LRS.
    #[error("it has neither an lrs_token nor an lrs_username with an lrs_password")]
    NoCredentials,
}

impl Lrs {
    /// The one of the configuration, if there is one.
    #[must_use]
    pub fn of_configuration(settings: &Xapi) -> Option<Self> {
        let statements = statements_url(settings.lrs_endpoint.as_deref()?)?;
        let password = settings.lrs_password.as_ref().map_or("", Secret::expose);
        let authorization = settings.lrs_username.as_deref().map(|username| basic(username, password));
        Some(Self { statements, authorization })
    }

    /// The one that a meeting brings, encrypted with one of the server's secrets: a meeting goes on while that is changed.
    ///
    /// # Errors
    /// If it cannot be decrypted, or does not say all that is needed.
    pub fn of_payload(payload: &str, secrets: &[Secret]) -> Result<Self, BadPayload> {
        let mut found = Err(BadPayload::WrongSecret);
        for secret in secrets {
            found = Self::of_payload_by(payload, secret);
            // One wrong secret in 256 passes for a right one by its padding: then the text is no JSON.
            if !matches!(found, Err(BadPayload::WrongSecret | BadPayload::NotAnObject)) {
                break;
            }
        }
        found
    }

    fn of_payload_by(payload: &str, secret: &Secret) -> Result<Self, BadPayload> {
        Self::of_decrypted(&decrypt(payload, secret)?)
    }

    /// The one of which a decrypted payload tells.
    pub(crate) fn of_decrypted(plain: &[u8]) -> Result<Self, BadPayload> {
        #[derive(Deserialize)]
        struct Payload {
            lrs_endpoint: Option<String>,
            lrs_token: Option<String>,
            lrs_username: Option<String>,
            lrs_password: Option<String>,
        }
        let text = std::str::from_utf8(plain).map_err(|_| BadPayload::WrongSecret)?;
        let payload: Payload = serde_json::from_str(text).map_err(|_| BadPayload::NotAnObject)?;
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let statements = filled(payload.lrs_endpoint).and_then(|endpoint| statements_url(endpoint.trim()));
        let statements = statements.ok_or(BadPayload::NoEndpoint)?;
        let authorization =
            match (filled(payload.lrs_token), filled(payload.lrs_username), filled(payload.lrs_password)) {
                (Some(token), ..) => Secret::new(format!("Bearer {token}")),
                (None, Some(username), Some(password)) => basic(&username, &password),
                _ => return Err(BadPayload::NoCredentials),
            };
        Ok(Self { statements, authorization: Some(authorization) })
    }

    /// The URL of statements.
    #[must_use]
    pub fn statements(&self) -> &Url {
        &self.statements
    }

    /// The value of the `Authorization` header, if there is one.
    #[must_use]
    pub fn authorization(&self) -> Option<&Secret> {
        self.authorization.as_ref()
    }

    /// Its host and port: all of it that a log may show.
    #[must_use]
    pub fn host(&self) -> String {
        let host = self.statements.host_str().unwrap_or_default();
        self.statements.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

impl fmt::Debug for Lrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lrs").field("host", &self.host()).finish_non_exhaustive()
    }
}

fn basic(username: &str, password: &str) -> Secret {
    Secret::new(format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}"))))
}

/// The URL of statements at an endpoint; `None` if that is no absolute http(s) URL.
///
/// COMPAT: `/xapi` or `/xapi/statements` at its end is taken away, and the path of statements takes the place of what then
/// follows the last slash: `https://h/a/b` stands for `https://h/a/`, as for a link on a page.
fn statements_url(endpoint: &str) -> Option<Url> {
    let lower = endpoint.to_ascii_lowercase();
    let endings = ["/xapi", "/xapi/", "/xapi/statements", "/xapi/statements/"];
    let ending = endings.iter().filter(|ending| lower.ends_with(*ending)).map(|ending| ending.len()).max();
    // Only ASCII was changed, so both have the same length.
    let base = Url::parse(&endpoint[..endpoint.len() - ending.unwrap_or(0)]).ok()?;
    if !matches!(base.scheme(), "http" | "https") {
        return None;
    }
    base.join(STATEMENTS).ok()
}

fn decrypt(payload: &str, secret: &Secret) -> Result<Vec<u8>, BadPayload> {
    // Without padding, with line breaks, or in the alphabet for URLs: all that others read.
    let settings = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let text: String = payload.chars().filter(|character| !character.is_whitespace()).collect();
    let text = text.replace('-', "+").replace('_', "/");
    let bytes = GeneralPurpose::new(&alphabet::STANDARD, settings).decode(text);
    let bytes = bytes.map_err(|_| BadPayload::NotEncrypted)?;
    let salted = bytes.strip_prefix(MAGIC).ok_or(BadPayload::NotEncrypted)?;
    let (salt, encrypted) = salted.split_at_checked(SALT).ok_or(BadPayload::NotEncrypted)?;
    if encrypted.is_empty() || !encrypted.len().is_multiple_of(IV) {
        return Err(BadPayload::NotEncrypted);
    }
    let mut key_and_iv = [0; KEY + IV];
    pbkdf2::pbkdf2_hmac::<Sha256>(secret.expose().as_bytes(), salt, ROUNDS, &mut key_and_iv);
    let (key, iv) = key_and_iv.split_at(KEY);
    let cipher = cbc::Decryptor::<Aes256>::new_from_slices(key, iv).expect("key and IV have these lengths");
    cipher.decrypt_padded_vec::<Pkcs7>(encrypted).map_err(|_| BadPayload::WrongSecret)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `openssl aes-256-cbc -pass pass:s3cret -pbkdf2 -a -A`.
    const TOKEN: &str = "U2FsdGVkX1/2IAlFjgkvPiQ8CfgXxtPv4SY8NltCA9NSmwF61e0jSY6xEZ5DQpq9kGylzptzXjO/PEBPXwXzKu0+oPvqXwDiXiLkTzJSKzcacQZ2JfQQilTln1qqUaDc";
    const BASIC: &str = "U2FsdGVkX19Jgl5/yNhco92iaPA56d71IrSaVqYgQq7GFG09cF/tIq/kb35uPeUUbSPhJQtX411jN+kW7rf5uMFDakD2lZLgWwjTLKwHepZbLb6bpInzFtEfziPbuA5ZDBeh+r+Sbb5b+L9Xp5ep0ZztzRixAui3yGjiqsjOdhE=";
    const NO_CREDENTIALS: &str = "U2FsdGVkX1+Mq3XQ6xPcblaa/M9t5KS+g9Pxu9AD+hgGo3jqul+5h6JDR2pM1xNA9xSuZC9IJSJS3O9UN0EwLOqyyetsDXpJ86BabUGKPxrwYo9vlh7GumjZFJuOHo+/";
    const NO_ENDPOINT: &str =
        "U2FsdGVkX19JM54m6ZmK5BvBZwkdc6X82f9HVu520mttPkdDTfoYbIshGl3n6dYRCeMrOdmSKMr/Ip1LWH/u5g==";
    const A_LIST: &str = "U2FsdGVkX1+dRjM7lAUacyHWUGHUzQeB0tEtyePLhpQ=";

    fn of(payload: &str) -> Result<(String, String), BadPayload> {
        let lrs = Lrs::of_payload(payload, &[Secret::new("s3cret")])?;
        Ok((lrs.statements().to_string(), lrs.authorization().unwrap().expose().to_owned()))
    }

    #[test]
    fn reads_what_openssl_encrypts() {
        let token = ("https://lrs.example.org/a/xAPI/statements".to_owned(), "Bearer AAF-1".to_owned());
        assert_eq!(of(TOKEN), Ok(token.clone()));
        assert_eq!(of(&format!(" {}\n{}", &TOKEN[..40], TOKEN[40..].trim_end_matches('='))), Ok(token));
        let basic = ("http://lrs.example.org:8080/xAPI/statements".to_owned(), "Basic dXNlcjpwYXNz".to_owned());
        assert_eq!(of(BASIC), Ok(basic));
    }

    #[test]
    fn says_what_is_wrong_and_shows_nothing_of_it() {
        let secrets = ["other", "s3cret"].map(Secret::new);
        assert_eq!(Lrs::of_payload(TOKEN, &secrets), Lrs::of_payload(TOKEN, &secrets[1..]));
        let wrong = Lrs::of_payload(TOKEN, &[Secret::new("other")]).unwrap_err();
        assert!(matches!(wrong, BadPayload::WrongSecret | BadPayload::NotAnObject), "{wrong}");
        for none in ["", "bm90IGVuY3J5cHRlZA==", "*", "U2FsdGVkX18=", "U2FsdGVkX18xMjM0NTY3OA=="] {
            assert_eq!(of(none), Err(BadPayload::NotEncrypted), "{none}");
        }
        assert_eq!(of(NO_CREDENTIALS), Err(BadPayload::NoCredentials));
        assert_eq!(of(NO_ENDPOINT), Err(BadPayload::NoEndpoint));
        assert_eq!(of(A_LIST), Err(BadPayload::NotAnObject));
        let lrs = Lrs::of_payload(TOKEN, &[Secret::new("s3cret")]).unwrap();
        assert_eq!(format!("{lrs:?}"), "Lrs { host: \"lrs.example.org\", .. }");
        assert_eq!(lrs.host(), "lrs.example.org");
    }

    #[test]
    fn statements_go_below_the_endpoint() {
        for (endpoint, url) in [
            ("https://h", "https://h/xAPI/statements"),
            ("https://h/", "https://h/xAPI/statements"),
            ("https://h/a/b", "https://h/a/xAPI/statements"),
            ("https://h/a/b/", "https://h/a/b/xAPI/statements"),
            ("https://h/xapi", "https://h/xAPI/statements"),
            ("https://h/xAPI/", "https://h/xAPI/statements"),
            ("https://h/a/b/xAPI/statements", "https://h/a/xAPI/statements"),
            ("https://h/a/b//xapi/statements/", "https://h/a/b/xAPI/statements"),
            ("https://h/myxapi/", "https://h/myxapi/xAPI/statements"),
            ("https://h/é?q=1", "https://h/xAPI/statements"),
        ] {
            assert_eq!(statements_url(endpoint).unwrap().as_str(), url, "{endpoint}");
        }
        for none in ["", "h/xapi", "ftp://h/", "/xapi"] {
            assert_eq!(statements_url(none), None, "{none}");
        }
    }
}
