//! Why the checksum of an API call is wrong: the mistakes that clients make, tried one after the other. Pure.
//!
//! This is for people who look for a mistake, not for deciding who may call: that is [`api_call_is_signed`].
//!
//! [`api_call_is_signed`]: crate::checksum::api_call_is_signed

use std::fmt;

use url::form_urlencoded;

use crate::checksum::Algorithm;
use crate::checksum::signed_query;

/// Most parameters that are tried in every order.
const PERMUTED: usize = 5;

/// What is wrong with the checksum of an API call. No text holds the secret or a checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// There is none.
    Missing,
    /// There is more than one.
    Twice,
    /// It has a number of digits that no algorithm makes.
    Length(usize),
    /// It has characters that are no hex digits.
    NotHex,
    /// It is made with an algorithm that the API does not accept.
    NotAccepted(Algorithm),
    /// It would be right, but for this.
    Explained(String),
    /// It is none of the mistakes that are known: then it is most often the secret.
    Unknown,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no checksum"),
            Self::Twice => f.write_str("there is more than one checksum"),
            Self::Length(digits) => {
                write!(f, "a checksum has 40 (sha1), 64 (sha256), 96 (sha384) or 128 (sha512) digits, not {digits}")
            }
            Self::NotHex => f.write_str("a checksum has hex digits only"),
            Self::NotAccepted(algorithm) => write!(f, "{algorithm} is not accepted (supportedChecksumAlgorithms)"),
            Self::Explained(why) => f.write_str(why),
            Self::Unknown => f.write_str("no usual mistake explains it: another secret, or another text was signed"),
        }
    }
}

/// An API call as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// The path before the method: `/bigbluebutton/api`.
    pub api_path: &'a str,
    /// What follows it and a slash: `hooks/create`, as sent.
    pub method: &'a str,
    /// What follows the question mark, as sent.
    pub query: &'a str,
}

/// A part of what may have been signed, and what is wrong with that; nothing for what is right.
struct Variant {
    text: String,
    mistake: Option<&'static str>,
}

/// How a call is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// With this algorithm.
    pub algorithm: Algorithm,
    /// With this secret of those that are accepted, by its place.
    pub secret: usize,
}

/// Checks the checksum in a call's query, made with any of the `secrets` and any of the `accepted` algorithms; if it is wrong, says
/// why, as far as that can be told.
///
/// # Errors
/// What is wrong with it.
pub fn find(call: Call<'_>, secrets: &[&str], accepted: &[Algorithm]) -> Result<Signed, Mistake> {
    let mut found = Err(Mistake::Unknown);
    for (place, secret) in secrets.iter().enumerate() {
        found = find_with(call, secret, accepted).map(|algorithm| Signed { algorithm, secret: place });
        if found != Err(Mistake::Unknown) {
            break;
        }
    }
    found
}

fn find_with(call: Call<'_>, secret: &str, accepted: &[Algorithm]) -> Result<Algorithm, Mistake> {
    let mut given = form_urlencoded::parse(call.query.as_bytes()).filter(|(name, _)| name == "checksum");
    let given = match (given.next(), given.next()) {
        (None, _) => return Err(Mistake::Missing),
        (Some(_), Some(_)) => return Err(Mistake::Twice),
        (Some((_, given)), None) if given.is_empty() => return Err(Mistake::Missing),
        (Some((_, given)), None) => given.into_owned(),
    };
    if !given.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(Mistake::NotHex);
    }
    let algorithm = Algorithm::of_hex_length(given.len()).ok_or(Mistake::Length(given.len()))?;
    match tried(call, secret, algorithm, &given.to_ascii_lowercase()) {
        Some(mistakes) if mistakes.is_empty() => match given.chars().any(|c| c.is_ascii_uppercase()) {
            _ if !accepted.contains(&algorithm) => Err(Mistake::NotAccepted(algorithm)),
            true => Err(Mistake::Explained("its letters have to be in lower case".to_owned())),
            false => Ok(algorithm),
        },
        Some(mistakes) => Err(Mistake::Explained(mistakes.join("; also: "))),
        None if !accepted.contains(&algorithm) => Err(Mistake::NotAccepted(algorithm)),
        None => Err(Mistake::Unknown),
    }
}

/// The fewest mistakes with which the checksum comes out; none if it never does.
fn tried(call: Call<'_>, secret: &str, algorithm: Algorithm, given: &str) -> Option<Vec<&'static str>> {
    let query = signed_query(call.query);
    let (methods, queries) = (methods(call), queries(&query));
    let mut best: Option<Vec<&'static str>> = None;
    for method in &methods {
        for query in &queries {
            let arrangements = [
                (vec![method.text.as_str(), &query.text, secret], None),
                (
                    vec![&method.text, &query.text, secret, "\n"],
                    Some("a line end after the secret was signed (echo; take printf %s)"),
                ),
                (vec![&method.text, "?", &query.text, secret], Some("the ? before the query was signed")),
                (vec![secret, &method.text, &query.text], Some("the secret was put first; it comes last")),
                (vec![&method.text, &query.text], Some("the secret was not signed with the rest")),
            ];
            for (parts, mistake) in arrangements {
                let mistakes: Vec<_> = [method.mistake, query.mistake, mistake].into_iter().flatten().collect();
                if best.as_ref().is_some_and(|best| best.len() <= mistakes.len()) {
                    continue;
                }
                let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
                if algorithm.hex_digest(&parts) == given {
                    best = Some(mistakes);
                }
            }
        }
    }
    best
}

fn methods(call: Call<'_>) -> Vec<Variant> {
    let method = call.method;
    let bare = method.rsplit('/').find(|part| !part.is_empty()).unwrap_or(method);
    let trimmed = method.trim_end_matches('/');
    variants(
        method,
        [
            (bare.to_owned(), "the call's bare name was signed; hooks/ belongs before it"),
            (trimmed.to_owned(), "the call was sent with a slash at its end, and signed without"),
            (trimmed.to_ascii_lowercase(), "the call was sent in other letter case than signed"),
            (format!("/{method}"), "a slash before the call's name was signed"),
            (format!("{}/{method}", call.api_path), "the whole path was signed; it begins after the API's path"),
            (format!("api/{method}"), "api/ before the call's name was signed"),
            (String::new(), "the call's name was not signed with the rest"),
        ],
    )
}

fn queries(query: &str) -> Vec<Variant> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let plus = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
    let decoded = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    const ENCODING: &str =
        "the query was encoded otherwise when it was signed than when it was sent; sign what is sent";
    let mut variants = variants(
        query,
        [
            (decoded, "the decoded query was signed; sign it as it is sent"),
            (query.replace('+', "%20"), ENCODING),
            (query.replace("%20", "+"), ENCODING),
            (plus.replace('+', "%20"), ENCODING),
            (plus, ENCODING),
            (lower_case_escapes(query), ENCODING),
            (query.trim_matches('&').to_owned(), "a & at the query's beginning or end was sent, but not signed"),
            (format!("&{query}"), "a & before the query was signed, but not sent"),
            (format!("{query}&"), "a & after the query was signed, but not sent"),
            (String::new(), "the query was not signed with the rest"),
        ],
    );
    let parameters: Vec<&str> = query.split('&').collect();
    if (2..=PERMUTED).contains(&parameters.len()) {
        let others = permutations(&parameters).into_iter().map(|order| order.join("&")).filter(|order| order != query);
        let mistake = Some("the parameters were signed in another order than sent");
        variants.extend(others.map(|text| Variant { text, mistake }));
    }
    variants
}

fn variants<const N: usize>(right: &str, wrong: [(String, &'static str); N]) -> Vec<Variant> {
    let mut variants = vec![Variant { text: right.to_owned(), mistake: None }];
    for (text, mistake) in wrong {
        if variants.iter().all(|known| known.text != text) {
            variants.push(Variant { text, mistake: Some(mistake) });
        }
    }
    variants
}

/// `%2F` as `%2f`: what some languages write.
fn lower_case_escapes(query: &str) -> String {
    let mut parts = query.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escape, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        text += &format!("%{}{rest}", escape.to_ascii_lowercase());
    }
    text
}

fn permutations<'a>(items: &[&'a str]) -> Vec<Vec<&'a str>> {
    if items.len() < 2 {
        return vec![items.to_vec()];
    }
    let mut all = Vec::new();
    for (at, first) in items.iter().enumerate() {
        let rest: Vec<_> = items.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, item)| *item).collect();
        all.extend(permutations(&rest).into_iter().map(|order| [vec![*first], order].concat()));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "callbackURL=http%3A%2F%2Fh%2Fx+y&meetingID=m&getRaw=true";

    fn found(signed: &str, algorithm: Algorithm, sent: &str) -> Result<Algorithm, Mistake> {
        let checksum = algorithm.hex_digest(&[signed.as_bytes()]);
        let query = format!("{sent}&checksum={checksum}");
        let call = Call { api_path: "/bigbluebutton/api", method: "hooks/create", query: &query };
        find(call, &["s3cret"], &[Algorithm::Sha1, Algorithm::Sha256]).map(|signed| signed.algorithm)
    }

    #[test]
    fn what_is_right_is_right() {
        assert_eq!(found(&format!("hooks/create{QUERY}s3cret"), Algorithm::Sha256, QUERY), Ok(Algorithm::Sha256));
    }

    #[test]
    fn names_the_mistake() {
        let decoded = "callbackURL=http://h/x y&meetingID=m&getRaw=true";
        let sorted = "callbackURL=http%3A%2F%2Fh%2Fx+y&getRaw=true&meetingID=m";
        let spaces = QUERY.replace('+', "%20");
        for (signed, word) in [
            (format!("create{QUERY}s3cret"), "hooks/ belongs before"),
            (format!("/hooks/create{QUERY}s3cret"), "slash before"),
            (format!("/bigbluebutton/api/hooks/create{QUERY}s3cret"), "whole path"),
            (format!("hooks/create?{QUERY}s3cret"), "the ?"),
            (format!("hooks/create{decoded}s3cret"), "decoded"),
            (format!("hooks/create{sorted}s3cret"), "order"),
            (format!("hooks/create{spaces}s3cret"), "encoded otherwise"),
            (format!("hooks/create{}s3cret", QUERY.replace("%2F", "%2f").replace("%3A", "%3a")), "encoded otherwise"),
            ("hooks/creates3cret".to_owned(), "the query was not signed"),
            (format!("hooks/create{QUERY}"), "the secret was not signed"),
            (format!("hooks/create{QUERY}s3cret\n"), "line end"),
            (format!("s3crethooks/create{QUERY}"), "put first"),
        ] {
            match found(&signed, Algorithm::Sha1, QUERY) {
                Err(Mistake::Explained(why)) => {
                    assert!(why.contains(word) && !why.contains("also:"), "{signed}: {why}")
                }
                other => panic!("{signed}: {other:?}"),
            }
        }
        match found(&format!("create{decoded}s3cret"), Algorithm::Sha1, QUERY) {
            Err(Mistake::Explained(why)) => assert!(why.contains("hooks/") && why.contains("decoded"), "{why}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn knows_mistakes_with_either_secret() {
        let found = |signed: &str| {
            let query = format!("{QUERY}&checksum={}", Algorithm::Sha256.hex_digest(&[signed.as_bytes()]));
            let call = Call { api_path: "/bigbluebutton/api", method: "hooks/create", query: &query };
            find(call, &["s3cret", "pr3vious"], &Algorithm::ALL)
        };
        for (place, secret) in ["s3cret", "pr3vious"].into_iter().enumerate() {
            let right = found(&format!("hooks/create{QUERY}{secret}"));
            assert_eq!(right, Ok(Signed { algorithm: Algorithm::Sha256, secret: place }));
            assert!(
                found(&format!("create{QUERY}{secret}")).unwrap_err().to_string().contains("hooks/ belongs before")
            );
        }
        assert_eq!(found(&format!("hooks/create{QUERY}other")), Err(Mistake::Unknown));
    }

    #[test]
    fn knows_what_no_text_explains() {
        assert_eq!(found(&format!("hooks/create{QUERY}other"), Algorithm::Sha1, QUERY), Err(Mistake::Unknown));
        let accepted = Err(Mistake::NotAccepted(Algorithm::Sha512));
        assert_eq!(found(&format!("hooks/create{QUERY}s3cret"), Algorithm::Sha512, QUERY), accepted);
        let of = |query: &str| {
            find(Call { api_path: "/api", method: "hooks/list", query }, &["s"], &Algorithm::ALL).unwrap_err()
        };
        assert_eq!(of(""), Mistake::Missing);
        assert_eq!(of("checksum="), Mistake::Missing);
        assert_eq!(of("checksum=aa&a=1&checksum=bb"), Mistake::Twice);
        assert_eq!(of("checksum=aa"), Mistake::Length(2));
        assert_eq!(of("checksum=zz"), Mistake::NotHex);
        let upper = Algorithm::Sha1.hex_digest(&[b"hooks/lists"]).to_uppercase();
        assert!(of(&format!("checksum={upper}")).to_string().contains("lower case"));
    }
}
