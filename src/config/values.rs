//! Typed reading of one value. Every reader gives the value, or the problems with it, one line each.
//!
//! Numbers and truths may be given as text, because environment variables always are and files often are.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_yaml::Value;
use url::Url;

use super::origin::Place;

/// The longest time that can be configured: 100 years, in ms. Deadlines are computed by adding, and must not overflow.
const LONGEST: u64 = 100 * 36525 * 864_000;

/// A value and where it was found. It may be a secret, so there is no `Debug`.
#[derive(Clone)]
pub(super) struct Found {
    /// The value.
    pub(super) value: Value,
    /// Where.
    pub(super) place: Place,
    /// Whether messages must not show it.
    pub(super) private: bool,
    /// The number of its layer; more is stronger.
    pub(super) rank: usize,
}

/// A value, or the problems with it.
pub(super) type Reading<T> = Result<T, Vec<String>>;

impl Found {
    /// The problem with a value that is not `expected`. Shows the value, unless it is private or may have a secret in it.
    pub(super) fn expected<T>(&self, expected: &str) -> Reading<T> {
        let got = match &self.value {
            value if self.private => kind(value).to_owned(),
            Value::String(text) if text.is_empty() => "an empty text".to_owned(),
            // It may have a password or a token in it.
            Value::String(text) if text.contains("://") => "a URL".to_owned(),
            value @ Value::String(text) if text.contains(['@', '?']) => kind(value).to_owned(),
            Value::String(text) if text.chars().count() > 60 => "a long text".to_owned(),
            Value::String(text) => format!("{text:?}"),
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            value => kind(value).to_owned(),
        };
        Err(vec![format!("{}: got {got}, expected {expected}", self.place)])
    }

    /// Whether it sets nothing: `null` or an empty text.
    pub(super) fn is_empty(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::String(text) => text.trim().is_empty(),
            _ => false,
        }
    }

    fn inner(&self, value: Value, place: Place) -> Self {
        Self { value, place, private: self.private, rank: self.rank }
    }
}

/// What a value is, without showing it.
pub(super) const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
        Value::Tagged(_) => "a value with a tag",
    }
}

/// A text, as written. What looks like a number is one too: `password: 0123` is a password.
pub(super) fn text(found: &Found) -> Reading<String> {
    match &found.value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(found.place.written().unwrap_or_else(|| number.to_string())),
        _ => found.expected("a text"),
    }
}

/// A text, or none if it is empty.
pub(super) fn optional_text(found: &Found) -> Reading<Option<String>> {
    Ok(Some(text(found)?).filter(|text| !text.is_empty()))
}

/// `true` or `false`; as text in any case, and in the other words that stand for it in environment files.
pub(super) fn boolean(found: &Found) -> Reading<bool> {
    let word = match &found.value {
        Value::Bool(truth) => return Ok(*truth),
        Value::String(text) => text.trim().to_ascii_lowercase(),
        _ => String::new(),
    };
    match word.as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => found.expected("true or false"),
    }
}

/// A whole number from `least` to `most`, also as text.
pub(super) fn whole(found: &Found, least: u64, most: u64) -> Reading<u64> {
    let number = match &found.value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match number {
        Some(number) if (least..=most).contains(&number) => Ok(number),
        _ => found.expected(&format!("a whole number from {least} to {most}")),
    }
}

/// How many of something: a whole number from 1 to 4294967295.
pub(super) fn count(found: &Found) -> Reading<usize> {
    let count = whole(found, 1, u64::from(u32::MAX))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// A TCP port, 1 to 65535.
pub(super) fn port(found: &Found) -> Reading<u16> {
    let port = whole(found, 1, u64::from(u16::MAX))?;
    Ok(u16::try_from(port).unwrap_or(u16::MAX))
}

/// A time in milliseconds, `least` to 100 years.
pub(super) fn milliseconds(found: &Found, least: u64) -> Reading<Duration> {
    whole(found, least, LONGEST)
        .map(Duration::from_millis)
        .map_err(|lines| lines.into_iter().map(|line| format!("{line} (milliseconds)")).collect())
}

/// An IP address, or `localhost` for 127.0.0.1.
pub(super) fn address(found: &Found) -> Reading<IpAddr> {
    let text = found.value.as_str().unwrap_or_default().trim();
    match text.parse() {
        Ok(address) => Ok(address),
        Err(_) if text.eq_ignore_ascii_case("localhost") => Ok(Ipv4Addr::LOCALHOST.into()),
        Err(_) => found.expected("an IP address to listen on, such as 127.0.0.1 or 0.0.0.0"),
    }
}

/// One of some names, in any case.
pub(super) fn choice<T: Copy>(found: &Found, choices: &[(&str, T)]) -> Reading<T> {
    let text = found.value.as_str().unwrap_or_default().trim();
    match choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        Some((_, choice)) => Ok(*choice),
        None => {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            found.expected(&format!("one of {}", names.join(", ")))
        }
    }
}

/// A path that begins with `/`.
pub(super) fn rooted(found: &Found) -> Reading<String> {
    let text = text(found)?;
    if text.starts_with('/') { Ok(text) } else { found.expected("a path that begins with /") }
}

/// An absolute `http` or `https` URL, as written but for blanks around it.
pub(super) fn http_url(found: &Found) -> Reading<String> {
    let text = found.value.as_str().unwrap_or_default().trim();
    let lower = text.to_ascii_lowercase();
    let absolute = lower.starts_with("http://") || lower.starts_with("https://");
    if absolute && Url::parse(text).is_ok() {
        Ok(text.to_owned())
    } else {
        found.expected("an absolute http or https URL")
    }
}

/// A list; also as text: JSON if it begins as that does, else items with commas between them.
pub(super) fn list(found: &Found) -> Reading<Vec<Found>> {
    match &found.value {
        Value::String(text) if !text.trim_start().starts_with(['[', '{', '"']) => {
            let items = text.split(',').map(|item| found.inner(Value::String(item.to_owned()), found.place.clone()));
            Ok(items.collect())
        }
        _ => strict_list(found),
    }
}

/// A list; also as text in JSON.
pub(super) fn strict_list(found: &Found) -> Reading<Vec<Found>> {
    let parsed = found.value.as_str().map(serde_json::from_str::<serde_json::Value>);
    let items = match (&found.value, parsed) {
        (Value::Sequence(items), _) => items.clone(),
        (_, Some(Ok(serde_json::Value::Array(items)))) => match serde_yaml::to_value(items) {
            Ok(Value::Sequence(items)) => items,
            _ => return found.expected("a list"),
        },
        (Value::String(text), _) if found.place.is_in_a_file() && !text.trim_start().starts_with('[') => {
            return found.expected("a list: each item in a line of its own below the key that begins with \"- \"");
        }
        (_, Some(_)) => return found.expected("a list in JSON, such as [\"first\",\"second\"]"),
        (_, None) => return found.expected("a list"),
    };
    let places = (0..).map(|index| found.place.item(index));
    Ok(items.into_iter().zip(places).map(|(item, place)| found.inner(item, place)).collect())
}

/// Every item by the same reader; the problems of all of them.
pub(super) fn each<T>(items: &[Found], read: impl Fn(&Found) -> Reading<T>) -> Reading<Vec<T>> {
    let mut values = Vec::new();
    let mut problems = Vec::new();
    for item in items {
        match read(item) {
            Ok(value) => values.push(value),
            Err(lines) => problems.extend(lines),
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

/// A list of texts, without blanks around them and without empty ones.
pub(super) fn texts(found: &Found) -> Reading<Vec<String>> {
    let texts = each(&list(found)?, text)?;
    Ok(texts.iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect())
}

/// The entry `key` of a mapping; none if it is missing or `null`.
pub(super) fn entry(found: &Found, key: &str) -> Option<Found> {
    Some(member(found, key)).filter(|found| !found.value.is_null())
}

/// The entry `key` of a mapping; `null` if it is missing.
pub(super) fn member(found: &Found, key: &str) -> Found {
    let value = found.value.as_mapping().and_then(|mapping| mapping.get(key)).cloned();
    found.inner(value.unwrap_or_default(), found.place.key(key))
}
