//! What had to be signed, as a log may show it. Pure.

use std::cmp::Reverse;

use url::form_urlencoded;

use crate::checksum::signed_query;

/// What stands for what nobody is to see.
const MASK: &str = "***";

/// What stands for the secret.
const SECRET_MASK: &str = "***SECRET***";

/// The parameters whose values may be seen. Others are often the rest of a callback URL that was not encoded.
const SHOWN: [&str; 5] = ["meetingID", "eventID", "getRaw", "hookID", "callbackURL"];

/// Most characters that are shown.
const LONGEST: usize = 1000;

/// The text that the checksum of an API call covers, byte for byte as it was sent; but with masks for the secrets, for what
/// may be one in the callback URL (who, and its query), and for values that the API does not know.
#[must_use]
pub fn to_sign(method: &str, query: &str, secrets: &[&str]) -> String {
    let query = signed_query(query);
    let query: Vec<_> = query.split('&').map(|parameter| masked(parameter, secrets)).collect();
    let mut text = format!("{method}{}", query.join("&"));
    // Whatever it is made of: parameters beside each other may be it too.
    let mut secrets: Vec<_> = secrets.iter().filter(|secret| !secret.is_empty()).collect();
    // One may begin with another.
    secrets.sort_unstable_by_key(|secret| Reverse(secret.len()));
    for secret in secrets {
        text = text.replace(secret, SECRET_MASK);
    }
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text += "...";
    }
    text + SECRET_MASK
}

fn masked(parameter: &str, secrets: &[&str]) -> String {
    let Some((name, value)) = parameter.split_once('=') else {
        return if parameter.is_empty() { String::new() } else { MASK.to_owned() };
    };
    let meant = form_urlencoded::parse(parameter.as_bytes()).next().map(|(_, value)| value).unwrap_or_default();
    if !SHOWN.contains(&name) {
        return match name.chars().all(|c| c.is_ascii_alphabetic()) && name.len() < 20 {
            true => format!("{name}={MASK}"),
            false => format!("{MASK}={MASK}"),
        };
    }
    if secrets.iter().any(|secret| meant.contains(secret)) {
        return format!("{name}={MASK}");
    }
    if name == "callbackURL" { format!("{name}={}", without_credentials(value)) } else { parameter.to_owned() }
}

/// A URL, encoded or not, without who asks and without its query.
fn without_credentials(url: &str) -> String {
    let lower = url.to_ascii_lowercase();
    let first = |marks: [&str; 2]| marks.into_iter().filter_map(|mark| lower.find(mark)).min();
    let (shown, query) = match first(["?", "%3f"]) {
        Some(at) => (&url[..at], MASK),
        None => (url, ""),
    };
    let at_sign = [shown.rfind('@'), shown.rfind("%40")].into_iter().flatten().max();
    match at_sign {
        Some(at) => format!("{MASK}{}{query}", &shown[at..]),
        None => format!("{shown}{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(query: &str) -> String {
        to_sign("hooks/create", query, &["s3cret", "pr3vious"])
    }

    #[test]
    fn shows_what_was_sent_without_the_checksum() {
        let query = "callbackURL=http%3A%2f%2Fh%2Fx&meetingID=a+b%20c&checksum=00ff";
        assert_eq!(shown(query), "hooks/createcallbackURL=http%3A%2f%2Fh%2Fx&meetingID=a+b%20c***SECRET***");
        assert_eq!(shown(""), "hooks/create***SECRET***");
    }

    #[test]
    fn masks_whatever_may_be_secret() {
        for query in [
            "callbackURL=http%3A%2F%2Fh%2Fx%3Fkey%3DTOKEN",
            "callbackURL=http%3A%2F%2Fh%2Fx%3fkey%3DTOKEN",
            "callbackURL=http://h/x?key=TOKEN",
            "callbackURL=http://h/x?a=1&key=TOKEN",
            "callbackURL=http://h/x?a=1&TOKEN",
            "callbackURL=http://user:TOKEN@h/x",
            "callbackURL=http%3A%2F%2Fuser%3ATOKEN%40h%2Fx",
            "CHECKSUM=TOKEN",
            "secret=TOKEN",
        ] {
            let text = shown(query);
            assert!(!text.contains("TOKEN"), "{query}: {text}");
        }
        for query in ["meetingID=pr3vious", "pr3vious", "callbackURL=http://h/pr3vious", "a&pr3vious=1"] {
            assert!(!shown(query).contains("pr3vious"), "{query}: {}", shown(query));
        }
        for query in ["meetingID=s3cret", "meetingID=s%33cret", "s3cret", "hookID=1s3cret", "a=s3cret", "s3cret=1"] {
            assert!(!shown(query).contains("3cret"), "{query}: {}", shown(query));
            assert!(!shown(query).contains("%33"), "{query}: {}", shown(query));
        }
        for query in ["checksum=aa&checksum=bb&a=1", "checksum=aa&checksum=aa&checksum=bb&checksum=bb"] {
            assert!(!shown(query).contains("bb"), "{}", shown(query));
        }
        assert!(!to_sign("hooks/list", "meetingID=a&eventID=b", &["a&eventID=b"]).contains("a&eventID"));
        assert!(shown(&format!("meetingID={}", "é".repeat(5000))).chars().count() < 1100);
    }
}
