//! The places of a message that may name it, read without building anything else of it.
//!
//! Most of what BigBlueButton publishes is mapped by nobody; this look is all that such a message costs. Anything may
//! stand in these places, and any key may come twice (the last counts, as in JavaScript), so everything is read and only
//! text is kept.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;

/// What a message is called, where it says so.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Names<'a> {
    /// `envelope.name`
    pub(super) envelope: Option<Cow<'a, str>>,
    /// `header.name`
    pub(super) header: Option<Cow<'a, str>>,
    /// `data.id`
    pub(super) data_id: Option<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    /// Reads them off JSON text. An error if it is no JSON object.
    pub(super) fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Names<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TopLevel;

        impl<'de> Visitor<'de> for TopLevel {
            type Value = Names<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names<'de>, A::Error> {
                let mut names = Names::default();
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    match key.0.as_deref() {
                        Some("envelope") => names.envelope = map.next_value::<Inner<'de>>()?.name,
                        Some("header") => names.header = map.next_value::<Inner<'de>>()?.name,
                        Some("data") => names.data_id = map.next_value::<Inner<'de>>()?.id,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(names)
            }
        }

        deserializer.deserialize_any(TopLevel)
    }
}

/// `name` and `id` of an object; nothing of anything else.
#[derive(Default)]
struct Inner<'a> {
    name: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
}

/// A text; nothing of anything else.
#[derive(Default)]
struct Text<'a>(Option<Cow<'a, str>>);

/// Reads any JSON value; what a type cares about, it overrides.
macro_rules! lenient {
    ($name:ident, $($method:item)*) => {
        impl<'de: 'a, 'a> Deserialize<'de> for $name<'a> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Lenient;

                impl<'de> Visitor<'de> for Lenient {
                    type Value = $name<'de>;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("any JSON value")
                    }

                    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
                        Ok($name::default())
                    }

                    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
                        Ok($name::default())
                    }

                    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
                        Ok($name::default())
                    }

                    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
                        Ok($name::default())
                    }

                    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                        Ok($name::default())
                    }

                    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                        while seq.next_element::<IgnoredAny>()?.is_some() {}
                        Ok($name::default())
                    }

                    $($method)*
                }

                deserializer.deserialize_any(Lenient)
            }
        }
    };
}

lenient! {
    Inner,
    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Inner::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut inner = Inner::default();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match key.0.as_deref() {
                Some("name") => inner.name = map.next_value::<Text<'de>>()?.0,
                Some("id") => inner.id = map.next_value::<Text<'de>>()?.0,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(inner)
    }
}

lenient! {
    Text,
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_nothing_else() {
        let read = |text: &'static str| Names::read(text).ok().map(|n| (n.envelope, n.header, n.data_id));
        let some = |text: &'static str| Some(Cow::Borrowed(text));
        assert_eq!(
            read(r#"{"core":{"x":[1,{"y":null}]},"envelope":{"name":"A","z":1.5}}"#),
            Some((some("A"), None, None))
        );
        assert_eq!(read(r#"{"header":{"name":"b"},"data":{"id":"c","name":"d"}}"#), Some((None, some("b"), some("c"))));
        assert_eq!(read(r#"{"envelope":"A","header":[{"name":1}],"data":null}"#), Some((None, None, None)));
        assert_eq!(
            read(r#"{"envelope":{"name":{"a":[1]}},"header":{"name":7},"data":true}"#),
            Some((None, None, None))
        );
        assert_eq!(read(r#"{"envelope":{"name":"A"},"envelope":{"name":"\u0042"}}"#), Some((some("B"), None, None)));
        for not_an_object in ["", " ", "{", "42", "null", "[1,2]", "\"text\"", "{not json", "{} x"] {
            assert_eq!(read(not_an_object), None, "{not_an_object}");
        }
    }
}
