//! Lone surrogates in JSON text: `"\ud83d"` without its other half.
//!
//! JavaScript cuts texts in the middle of a character and writes the half as such an escape. JavaScript reads it too, but
//! it stands for no character, and JSON that has to be exchanged must not hold it.

use std::borrow::Cow;

/// What stands for a character that cannot be read, as an escape.
const REPLACEMENT: &str = "\\ufffd";

/// The length of an escape such as `\ud83d`.
const ESCAPE: usize = 6;

/// The text with each escape of a lone surrogate replaced by that of U+FFFD; all else stays as it is, byte for byte.
pub(super) fn replaced(text: &str) -> Cow<'_, str> {
    let mut replaced = String::new();
    // Up to where the text was copied, and how far it was read.
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = text[at..].find('\\') {
        at += found;
        let escape = &text.as_bytes()[at..];
        at += match code_unit(escape) {
            Some(0xd800..=0xdbff) if matches!(code_unit(&escape[ESCAPE..]), Some(0xdc00..=0xdfff)) => 2 * ESCAPE,
            Some(0xd800..=0xdfff) => {
                replaced.push_str(&text[copied..at]);
                replaced.push_str(REPLACEMENT);
                copied = at + ESCAPE;
                ESCAPE
            }
            Some(_) => ESCAPE,
            // What is escaped may be a backslash; it may be longer than a byte only where this is no JSON.
            None => 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    replaced.push_str(&text[copied..]);
    Cow::Owned(replaced)
}

/// The code unit that an escape at the beginning of `text` stands for.
fn code_unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    let digits = digits.iter().map(|digit| char::from(*digit).to_digit(16));
    digits.into_iter().try_fold(0, |code, digit| Some(code << 4 | u16::try_from(digit?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lone_surrogates_are_replaced() {
        for (text, expected) in [
            (r#""A\ud83d""#, r#""A\ufffd""#),
            (r#""\uDE00B""#, r#""\ufffdB""#),
            (r#""\ud83d\ud83d\ude00\ude00""#, r#""\ufffd\ud83d\ude00\ufffd""#),
            (r#"{"\udbff":"\\\ud800\n"}"#, r#"{"\ufffd":"\\\ufffd\n"}"#),
            (r#""\ud83dx\ude00""#, r#""\ufffdx\ufffd""#),
        ] {
            assert_eq!(replaced(text), expected);
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err());
            assert!(serde_json::from_str::<serde_json::Value>(expected).is_ok());
        }
    }

    #[test]
    fn all_else_stays_as_it_is() {
        for text in [
            "",
            r#"{"a":"\u00e9\ud83d\ude00 é😀"}"#,
            r#""\\ud83d""#,
            r#""\\\\ud83d""#,
            // no JSON
            "\\",
            "\\u",
            "\\ud8",
            "\\ud83",
            "\\ud83é",
            "\\é",
            "\\u+d83d",
        ] {
            assert!(matches!(replaced(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }
}
