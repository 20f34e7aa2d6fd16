//! Whether a callback is genuine, as its receiver checks it; and if it seems not to be, why. Pure.

use std::fmt;

use serde_json::Value;
use subtle::ConstantTimeEq;
use url::Url;
use url::form_urlencoded;

use crate::checksum::Algorithm;
use crate::config::ChecksumFormat;
use crate::config::Secret;
use crate::webhooks::callback::version_2_text;
use crate::webhooks::standard;

/// How a callback is signed that has a signature in its headers alone.
const STANDARD: &str = "Standard Webhooks";

/// A callback as it was received.
#[derive(Clone, Copy)]
pub struct Received<'a> {
    /// The URL that was registered, as it was registered.
    pub registered_url: &'a str,
    /// The checksum that came with it.
    pub checksum: Option<&'a str>,
    /// Its `Authorization` header.
    pub authorization: Option<&'a str>,
    /// Its body, byte for byte.
    pub body: &'a str,
}

/// How a genuine callback is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// By a checksum.
    Checksum(Algorithm, ChecksumFormat),
    /// By `Authorization: Bearer <secret>`.
    Bearer,
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checksum(algorithm, ChecksumFormat::Form) => write!(f, "{algorithm}"),
            Self::Checksum(algorithm, ChecksumFormat::Json) => write!(f, "{algorithm}, as version 2 signed (JSON)"),
            Self::Bearer => f.write_str("Bearer"),
        }
    }
}

/// Why a callback is not genuine, or seems not to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// It has neither a checksum nor a Bearer token.
    Unsigned,
    /// The token is not the secret.
    Token,
    /// The checksum has a number of digits that no algorithm makes.
    Length(usize),
    /// It would be right, but for this.
    Explained(String),
    /// None of the mistakes that are known.
    Unknown,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => {
                f.write_str("it has neither a checksum, nor a Bearer token, nor a signature in its headers")
            }
            Self::Token => f.write_str("the Bearer token is not the secret"),
            Self::Length(digits) => {
                write!(f, "a checksum has 40 (sha1), 64 (sha256), 96 (sha384) or 128 (sha512) digits, not {digits}")
            }
            Self::Explained(why) => f.write_str(why),
            Self::Unknown => f.write_str("no usual mistake explains it: another secret, another URL or another body"),
        }
    }
}

/// What the proofs of one callback come to together: the checksum or Bearer token, and the signature in the headers. Either may be
/// missing, none may be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proofs {
    /// How it is signed, if that is right: by checksum or token if it has one.
    pub signed: Option<String>,
    /// Whether the signature in the headers is `right` or `wrong`; none if there is none.
    pub by_headers: Option<&'static str>,
    /// What is wrong; none if it is genuine.
    pub wrong: Option<String>,
}

impl Proofs {
    /// What came of checking both.
    #[must_use]
    pub fn of(legacy: &Result<Signed, Mistake>, by_headers: &Result<(), standard::Mistake>) -> Self {
        let unsigned_in_headers = *by_headers == Err(standard::Mistake::Unsigned);
        let wrong: Vec<String> = match (legacy, by_headers) {
            (Err(Mistake::Unsigned), Err(standard::Mistake::Unsigned)) => vec![Mistake::Unsigned.to_string()],
            _ => {
                let legacy = legacy.as_ref().err().filter(|mistake| **mistake != Mistake::Unsigned);
                let by_headers = by_headers.as_ref().err().filter(|_| !unsigned_in_headers);
                legacy.map(ToString::to_string).into_iter().chain(by_headers.map(ToString::to_string)).collect()
            }
        };
        let wrong = Some(wrong.join("; ")).filter(|wrong| !wrong.is_empty());
        let signed = legacy.as_ref().map_or_else(|_| STANDARD.to_owned(), ToString::to_string);
        Self {
            signed: wrong.is_none().then_some(signed),
            by_headers: (!unsigned_in_headers).then_some(if by_headers.is_ok() { "right" } else { "wrong" }),
            wrong,
        }
    }
}

/// Splits the checksum off a URL at which a callback came: the registered URL, and the checksum.
#[must_use]
pub fn split_checksum(url: &str) -> (String, Option<&str>) {
    let Some(at) = url.rfind("?checksum=").max(url.rfind("&checksum=")) else { return (url.to_owned(), None) };
    let value = &url[at + "?checksum=".len()..];
    let (checksum, rest) = value.split_once('&').map_or((value, ""), |(checksum, rest)| (checksum, rest));
    let registered = match (rest, url[at..].starts_with('?')) {
        ("", _) => url[..at].to_owned(),
        (rest, true) => format!("{}?{rest}", &url[..at]),
        (rest, false) => format!("{}&{rest}", &url[..at]),
    };
    (registered, Some(checksum))
}

/// Checks a callback as every receiver should, any algorithm and both formats.
///
/// # Errors
/// Why it is not genuine; usual mistakes of a receiver are not looked for here.
pub fn check(received: Received<'_>, secret: &str) -> Result<Signed, Mistake> {
    let Some(given) = received.checksum else {
        let Some(authorization) = received.authorization else { return Err(Mistake::Unsigned) };
        let token = authorization.strip_prefix("Bearer ").ok_or(Mistake::Unsigned)?;
        let same: bool = token.as_bytes().ct_eq(secret.as_bytes()).into();
        return if same { Ok(Signed::Bearer) } else { Err(Mistake::Token) };
    };
    let algorithm = Algorithm::of_hex_length(given.len()).ok_or(Mistake::Length(given.len()))?;
    let is_of = |body: &str| -> bool {
        let parts = [received.registered_url, body, secret].map(str::as_bytes);
        algorithm.hex_digest(&parts).as_bytes().ct_eq(given.as_bytes()).into()
    };
    if is_of(received.body) {
        return Ok(Signed::Checksum(algorithm, ChecksumFormat::Form));
    }
    match Fields::of_form(received.body).and_then(|fields| fields.version_2()) {
        Some(json) if is_of(&json) => Ok(Signed::Checksum(algorithm, ChecksumFormat::Json)),
        _ => Err(Mistake::Unknown),
    }
}

/// Checks the signature in a callback's headers; if it seems wrong, looks for what was done to the body meanwhile. When it was
/// signed does not matter.
///
/// # Errors
/// What is wrong, as far as that can be told, for people to read.
pub fn find_in_headers(headers: standard::Received<'_>, body: &str, secret: &Secret) -> Result<(), String> {
    let found = headers.check(body, secret);
    let Err(standard::Mistake::Wrong) = found else { return found.map_err(|mistake| mistake.to_string()) };
    let right = bodies(body).into_iter().find(|(body, _)| headers.check(body, secret).is_ok());
    Err(right.and_then(|(_, mistake)| mistake).map_or_else(|| standard::Mistake::Wrong.to_string(), str::to_owned))
}

/// Checks a callback; if it seems not to be genuine, looks for what a person who holds URL and body in hand gets wrong.
///
/// # Errors
/// What is wrong, as far as that can be told.
pub fn find(received: Received<'_>, secret: &str) -> Result<Signed, Mistake> {
    match check(received, secret) {
        Err(Mistake::Unknown) => {}
        known => return known,
    }
    let mut best: Option<Vec<&'static str>> = None;
    for (url, wrong_url) in urls(received.registered_url) {
        for (body, wrong_body) in bodies(received.body) {
            let mistakes: Vec<_> = [wrong_url, wrong_body].into_iter().flatten().collect();
            let tried = Received { registered_url: &url, body: &body, ..received };
            if best.as_ref().is_none_or(|best| best.len() > mistakes.len()) && check(tried, secret).is_ok() {
                best = Some(mistakes);
            }
        }
    }
    let upper = received.checksum.filter(|given| given.chars().any(|c| c.is_ascii_uppercase()));
    if let (None, Some(given)) = (&best, upper) {
        let lower = given.to_ascii_lowercase();
        check(Received { checksum: Some(&lower), ..received }, secret)?;
        return Err(Mistake::Explained("its letters have to be in lower case".to_owned()));
    }
    Err(best.map_or(Mistake::Unknown, |mistakes| Mistake::Explained(mistakes.join("; also: "))))
}

/// The URL, and what may have been registered instead.
fn urls(url: &str) -> Vec<(String, Option<&'static str>)> {
    const SCHEME: &str = "the URL was registered with the other scheme (http, https): a proxy may change it";
    const SLASH: &str = "the URL was registered with a slash more or less at the end of its path";
    const QUERY: &str = "the query does not belong to the URL that was registered";
    const FORM: &str = "the URL was registered in another form (what is escaped, letter case of the host, port)";
    let (path, query) = url.split_once('?').map_or((url, String::new()), |(path, query)| (path, format!("?{query}")));
    let slash = path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned);
    let scheme = match url.strip_prefix("http://") {
        Some(rest) => format!("https://{rest}"),
        None => url.replacen("https://", "http://", 1),
    };
    let decoded: String =
        form_urlencoded::parse(url.replace('+', "%2B").replace('&', "%26").replace('=', "%3D").as_bytes())
            .map(|(name, _)| name.into_owned())
            .collect();
    let canonical = Url::parse(url).map(String::from).unwrap_or_default();
    let mut all = vec![
        (url.to_owned(), None),
        (scheme, Some(SCHEME)),
        (format!("{slash}{query}"), Some(SLASH)),
        (path.to_owned(), Some(QUERY)),
        (decoded, Some(FORM)),
        (canonical, Some(FORM)),
    ];
    all.dedup_by(|one, other| one.0 == other.0);
    all
}

/// The body, and what may have come instead.
fn bodies(body: &str) -> Vec<(String, Option<&'static str>)> {
    const DECODED: &str = "the body is decoded; it is signed as it came";
    const ENCODING: &str = "the body was encoded anew, and otherwise; it is signed as it came";
    const LINE_END: &str = "there is a line end after the body that did not come with it";
    const JSON: &str = "the body is JSON; what came was a form (domain=...&event=...&timestamp=...)";
    let trimmed = body.trim_end_matches(['\r', '\n']);
    let mut all = vec![(body.to_owned(), None)];
    let mut add = |text: Option<String>, mistake| {
        if let Some(text) = text.filter(|text| all.iter().all(|(known, _)| known != text)) {
            all.push((text, Some(mistake)));
        }
    };
    add(Some(trimmed.to_owned()), LINE_END);
    add(Fields::of_json(trimmed).map(|fields| fields.form()), JSON);
    add(Fields::of_decoded(trimmed).map(|fields| fields.form()), DECODED);
    add(Fields::of_form(trimmed).map(|fields| fields.form()), ENCODING);
    all
}

/// The fields of a callback's body.
struct Fields {
    domain: String,
    event: String,
    timestamp: String,
}

impl Fields {
    fn of_form(body: &str) -> Option<Self> {
        let field = |wanted| {
            let mut fields = form_urlencoded::parse(body.as_bytes());
            fields.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
        };
        Some(Self { domain: field("domain")?, event: field("event")?, timestamp: field("timestamp")? })
    }

    fn of_decoded(body: &str) -> Option<Self> {
        let (domain, rest) = body.strip_prefix("domain=")?.split_once("&event=")?;
        let (event, timestamp) = rest.rsplit_once("&timestamp=")?;
        Some(Self { domain: domain.to_owned(), event: event.to_owned(), timestamp: timestamp.to_owned() })
    }

    fn of_json(body: &str) -> Option<Self> {
        let tree: Value = serde_json::from_str(body).ok()?;
        let text = |name: &str| match tree.get(name)? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        Some(Self { domain: text("domain")?, event: text("event")?, timestamp: text("timestamp")? })
    }

    fn form(&self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("domain", &self.domain).append_pair("event", &self.event);
        form.append_pair("timestamp", &self.timestamp).finish()
    }

    fn version_2(&self) -> Option<String> {
        Some(version_2_text(&self.event, self.timestamp.parse().ok()?, &self.domain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::webhooks::address::Address;
    use crate::webhooks::callback::CallbackBuilder;
    use crate::webhooks::callback::Proof;

    const URL: &str = "https://lms.example.org/events?key=a%20b";
    const SECRET: &str = "s3cret";

    fn sent(proof: Proof, url: &str) -> (String, String, Option<String>) {
        let callback = CallbackBuilder::with("bbb.example.com", Secret::new(SECRET), proof).build(
            &Address::new(url).unwrap(),
            &[r#"{"data":{"name":"Zoë & co"}}"#],
            1_763_990_000_123,
        );
        (callback.url.into(), callback.body, callback.authorization.map(|secret| secret.expose().to_owned()))
    }

    fn found(url: &str, body: &str) -> Result<Signed, Mistake> {
        let (registered, checksum) = split_checksum(url);
        find(Received { registered_url: &registered, checksum, authorization: None, body }, SECRET)
    }

    #[test]
    fn what_the_daemon_signs_is_genuine() {
        for url in [URL, "http://h/x", "http://h/?checksum=mine"] {
            for format in [ChecksumFormat::Form, ChecksumFormat::Json] {
                for algorithm in Algorithm::ALL {
                    let (url, body, _) = sent(Proof::Checksum(algorithm, format), url);
                    assert_eq!(found(&url, &body), Ok(Signed::Checksum(algorithm, format)), "{url}");
                    assert_eq!(found(&url, &body.replace("123", "124")), Err(Mistake::Unknown), "{url}");
                }
            }
        }
    }

    #[test]
    fn a_token_has_to_be_the_secret() {
        let (url, body, authorization) = sent(Proof::Bearer, URL);
        let checked = |authorization: Option<&str>| {
            check(Received { registered_url: &url, checksum: None, authorization, body: &body }, SECRET)
        };
        assert_eq!(checked(authorization.as_deref()), Ok(Signed::Bearer));
        assert_eq!(checked(Some("Bearer other")), Err(Mistake::Token));
        assert_eq!(checked(None), Err(Mistake::Unsigned));
    }

    #[test]
    fn names_what_a_person_gets_wrong() {
        let (url, body, _) = sent(Proof::Checksum(Algorithm::Sha256, ChecksumFormat::Form), URL);
        let fields = Fields::of_form(&body).unwrap();
        let decoded = format!("domain={}&event={}&timestamp={}", fields.domain, fields.event, fields.timestamp);
        for (url, body, word) in [
            (url.clone(), format!("{body}\n"), "line end"),
            (url.clone(), format!("{decoded}\n"), "decoded"),
            (url.clone(), fields.version_2().unwrap(), "JSON"),
            (url.clone(), body.replace('+', "%20"), "encoded anew"),
            (url.replace("https:", "http:"), body.clone(), "scheme"),
            (url.replace("/events", "/events/"), body.clone(), "slash"),
            (url.replace("lms.", "LMS."), body.clone(), "another form"),
            (url.replace("https:", "http:"), decoded.clone(), "scheme"),
        ] {
            match found(&url, &body) {
                Err(Mistake::Explained(why)) => assert!(why.contains(word), "{url} {body}: {why}"),
                other => panic!("{url} {body}: {other:?}"),
            }
        }
        let (signed, body, _) = sent(Proof::Checksum(Algorithm::Sha1, ChecksumFormat::Form), "http://h/x");
        assert_eq!(found("http://h/x?checksum=abc", &body), Err(Mistake::Length(3)));
        assert_eq!(found("http://h/x", &body), Err(Mistake::Unsigned));
        let upper = format!("http://h/x?checksum={}", split_checksum(&signed).1.unwrap().to_uppercase());
        assert!(found(&upper, &body).unwrap_err().to_string().contains("lower case"));
    }

    #[test]
    fn whatever_proof_there_is_has_to_be_right_and_there_has_to_be_one() {
        let sha1 = Ok(Signed::Checksum(Algorithm::Sha1, ChecksumFormat::Form));
        let unsigned = Err(standard::Mistake::Unsigned);
        for (legacy, by_headers, signed, shown) in [
            (sha1.clone(), Ok(()), Some("sha1"), Some("right")),
            (sha1.clone(), unsigned.clone(), Some("sha1"), None),
            (Err(Mistake::Unsigned), Ok(()), Some(STANDARD), Some("right")),
            (sha1, Err(standard::Mistake::Wrong), None, Some("wrong")),
            (Err(Mistake::Unknown), Ok(()), None, Some("right")),
            (Err(Mistake::Token), unsigned.clone(), None, None),
            (Err(Mistake::Unsigned), unsigned, None, None),
        ] {
            let proofs = Proofs::of(&legacy, &by_headers);
            assert_eq!((proofs.signed.as_deref(), proofs.by_headers), (signed, shown), "{legacy:?} {by_headers:?}");
            assert_eq!(proofs.wrong.is_some(), signed.is_none(), "{proofs:?}");
        }
    }

    #[test]
    fn splits_the_checksum_off() {
        for (url, registered, checksum) in [
            ("http://h/x?checksum=ab", "http://h/x", Some("ab")),
            ("http://h/x?a=1&checksum=ab", "http://h/x?a=1", Some("ab")),
            ("http://h/x?checksum=ab&a=1", "http://h/x?a=1", Some("ab")),
            ("http://h/x?a=1", "http://h/x?a=1", None),
        ] {
            assert_eq!(split_checksum(url), (registered.to_owned(), checksum), "{url}");
        }
    }
}
