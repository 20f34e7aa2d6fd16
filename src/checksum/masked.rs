//! What had to be signed, as a log may show it. Pure.

use std::borrow::Cow;
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

/// How often a value may have been encoded. What still changes when it is decoded once more is not looked through.
const ENCODED: usize = 8;

/// The hex digits of the shortest checksum. A longer row may have one within it.
const DIGEST: usize = 40;

/// The text that the checksum of an API call covers, byte for byte as it was sent; but with masks for the secrets, for what
/// may be one in the callback URL (who, its query and fragment), for whatever looks like such a URL elsewhere or like a checksum,
/// and for values that the API does not know. How often something was encoded does not matter: twice is a usual mistake.
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
    if !SHOWN.contains(&name) {
        return match name.chars().all(|c| c.is_ascii_alphabetic()) && name.len() < 20 {
            true => format!("{name}={MASK}"),
            false => format!("{MASK}={MASK}"),
        };
    }
    let meant = form_urlencoded::parse(parameter.as_bytes()).next().map(|(_, value)| value).unwrap_or_default();
    let decoded = decoded(value);
    let has = |secret: &str| meant.contains(secret) || decoded.as_ref().is_some_and(|text| text.contains(secret));
    let shown = match decoded {
        Some(_) if secrets.iter().any(|secret| has(secret)) => None,
        Some(_) if name == "callbackURL" => without_credentials(value),
        Some(text) => says_nothing_else(name, &text).then(|| Cow::from(value)),
        None => None,
    };
    format!("{name}={}", shown.map_or_else(|| MASK.to_owned(), |shown| without_digests(&shown)))
}

/// Whether a value is what the API expects there, and not the rest of a URL or a URL itself.
fn says_nothing_else(name: &str, text: &str) -> bool {
    match name {
        "getRaw" => text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") || text.is_empty(),
        // Ids are made of these, and a list of commas and blanks.
        "eventID" | "hookID" => {
            text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ',' | ' ' | '+'))
        }
        // Anything may be an id; what ends with `=` is most often Base64.
        _ => !text.contains("//") && !text.trim_end_matches('=').contains(['@', '?', '#', '&', '=', '\\']),
    }
}

/// A URL, however often encoded, without who asks and without its query and fragment; none if that cannot be told apart.
fn without_credentials(url: &str) -> Option<Cow<'_, str>> {
    let mut rest = url;
    let (mut at_sign, mut end) = (None, None);
    while let Some((unit, meant)) = first_unit(rest) {
        let at = url.len() - rest.len();
        match meant {
            b'?' | b'#' => {
                end = Some(at);
                break;
            }
            b'@' => at_sign = Some((at, at + unit.len())),
            _ => {}
        }
        rest = &rest[unit.len()..];
    }
    let (from, after) = at_sign.unwrap_or_default();
    let shown = &url[..end.unwrap_or(url.len())];
    // There are ways to encode that hide a mark from whoever decodes character by character.
    if decoded(&shown[after..])?.contains(['?', '#', '@']) {
        return None;
    }
    let before = if at_sign.is_some() { MASK } else { "" };
    let query = if end.is_some() { MASK } else { "" };
    Some(format!("{before}{}{query}", &shown[from..]).into())
}

/// A text with a mask for each row of hex digits that may be a checksum.
fn without_digests(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let (mut rest, mut row, mut digits) = (text, 0, 0);
    loop {
        let unit = first_unit(rest);
        if let Some((unit, _)) = unit.filter(|(_, meant)| meant.is_ascii_hexdigit()) {
            (row, digits, rest) = (row + unit.len(), digits + 1, &rest[unit.len()..]);
            continue;
        }
        let end = text.len() - rest.len();
        shown += if digits < DIGEST { &text[end - row..end] } else { MASK };
        (row, digits) = (0, 0);
        let Some((unit, _)) = unit else { return shown };
        shown += unit;
        rest = &rest[unit.len()..];
    }
}

/// A text without any encoding left; none if it was encoded too often.
fn decoded(text: &str) -> Option<String> {
    let mut text = text.to_owned();
    for _ in 0..ENCODED {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some((unit, meant)) = first_unit(rest) {
            match unit.len() {
                _ if unit.starts_with('%') => bytes.push(meant),
                _ => bytes.extend(unit.as_bytes()),
            }
            rest = &rest[unit.len()..];
        }
        let once_more = String::from_utf8_lossy(&bytes).into_owned();
        if once_more == text {
            return Some(text);
        }
        text = once_more;
    }
    None
}

/// What a text begins with: a character, or one that is encoded, however often (`%3F`, `%253F`). And the byte that it means;
/// of characters that are longer, the first.
fn first_unit(text: &str) -> Option<(&str, u8)> {
    let first = text.chars().next()?;
    let bytes = text.as_bytes();
    if first == '%' {
        let mut digits = 1;
        while bytes.get(digits..digits + 2) == Some(b"25") {
            digits += 2;
        }
        let value = |at: usize| bytes.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        if let (Some(high), Some(low)) = (value(digits), value(digits + 1)) {
            return Some((&text[..digits + 2], u8::try_from(high << 4 | low).unwrap_or_default()));
        }
        return Some((&text[..digits], b'%'));
    }
    Some((&text[..first.len_utf8()], bytes[0]))
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
    fn shows_what_is_no_secret_however_it_is_encoded() {
        for (query, is_shown) in [
            ("callbackURL=http%253A%252F%252Fh%252Fx%253Fa", "callbackURL=http%253A%252F%252Fh%252Fx***"),
            ("callbackURL=http%3A%2F%2Fu%3Ap%40h%2Fx", "callbackURL=***%40h%2Fx"),
            ("eventID=user-joined%2C+Rap_x,y&getRaw=True", "eventID=user-joined%2C+Rap_x,y&getRaw=True"),
            ("meetingID=Zm9v+bA%3D%3D&hookID=7", "meetingID=Zm9v+bA%3D%3D&hookID=7"),
            ("meetingID=50%25%20%C3%BC%e2%ff,100%", "meetingID=50%25%20%C3%BC%e2%ff,100%"),
            ("meetingID=183f0bf3a0982a127bdb8161-1700000000000", "meetingID=183f0bf3a0982a127bdb8161-1700000000000"),
        ] {
            assert_eq!(shown(query), format!("hooks/create{is_shown}***SECRET***"));
        }
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
            "callbackURL=http%253A%252F%252Fuser%253ATOKEN%2540h%252Fx%253Fkey%253DTOKEN",
            "callbackURL=http%25253A%25252F%25252Fuser%25253ATOKEN%252540h%25252Fx%25253Fkey%25253DTOKEN",
            "callbackURL=http:%5C%5Cuser:TOKEN%40h%5C%23TOKEN",
            "callbackURL=http%3A%2F%2Fh%2Fx%23TOKEN",
            "callbackURL=http://h/x#TOKEN",
            // A digit of the encoding is encoded itself.
            "callbackURL=http://h/x%3%46TOKEN",
            "callbackURL=http://user:TOKEN%%34%30h/x",
            "callbackURL=http%2525252525252525253A//h/%25%2533%2546TOKEN",
            "meetingID=http%3A%2F%2Fuser%3ATOKEN%40h%2Fx",
            "meetingID=http%253A%252F%252Fh%252FTOKEN",
            "meetingID=h/x?key=TOKEN",
            "meetingID=a%26token=TOKEN",
            "eventID=http://h/TOKEN",
            "eventID=a,key=TOKEN",
            "getRaw=TOKEN",
            "hookID=http://TOKEN@h",
            "CHECKSUM=TOKEN",
            "secret=TOKEN",
        ] {
            let text = shown(query);
            assert!(!text.contains("TOKEN"), "{query}: {text}");
        }
        for query in ["meetingID=pr3vious", "pr3vious", "callbackURL=http://h/pr3vious", "a&pr3vious=1"] {
            assert!(!shown(query).contains("pr3vious"), "{query}: {}", shown(query));
        }
        for query in ["meetingID=s%2533cret", "callbackURL=http://h/s%252533cret"] {
            assert!(shown(query).ends_with("=******SECRET***"), "{query}: {}", shown(query));
        }
        for query in ["meetingID=s3cret", "meetingID=s%33cret", "s3cret", "hookID=1s3cret", "a=s3cret", "s3cret=1"] {
            assert!(!shown(query).contains("3cret"), "{query}: {}", shown(query));
            assert!(!shown(query).contains("%33"), "{query}: {}", shown(query));
        }
        let digest = "0123456789abcdefABCD".repeat(2);
        for (query, is_shown) in [
            (format!("meetingID={digest}"), "meetingID=***"),
            (format!("meetingID={digest}-3-4"), "meetingID=***-3-4"),
            (format!("meetingID=a%3A%30{digest}%C3%BC"), "meetingID=a%3A***%C3%BC"),
            (format!("hookID=1,{digest}{digest}"), "hookID=1,***"),
            (format!("callbackURL=http://h/{digest}/x"), "callbackURL=http://h/***/x"),
        ] {
            assert_eq!(shown(&query), format!("hooks/create{is_shown}***SECRET***"));
        }
        for query in ["checksum=aa&checksum=bb&a=1", "checksum=aa&checksum=aa&checksum=bb&checksum=bb"] {
            assert!(!shown(query).contains("bb"), "{}", shown(query));
        }
        assert!(!to_sign("hooks/list", "meetingID=a&eventID=b", &["a&eventID=b"]).contains("a&eventID"));
        assert!(shown(&format!("meetingID={}", "é".repeat(5000))).chars().count() < 1100);
    }
}
