//! What the API answers, read back. Pure.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

/// An answer: texts by the names of their elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    fields: BTreeMap<String, String>,
    /// The hooks of a list, in order.
    pub(super) hooks: Vec<ListedHook>,
}

/// A hook as `hooks/list` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ListedHook {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) meeting: Option<String>,
    pub(super) events: Vec<String>,
    pub(super) permanent: bool,
    pub(super) raw: bool,
}

impl Answer {
    /// Reads an answer; none if it is no such XML: then somebody else answered.
    pub(super) fn parse(xml: &str) -> Option<Self> {
        let mut reader = Reader::from_str(xml);
        let mut answer = Self::default();
        let mut open: Vec<String> = Vec::new();
        let mut text = String::new();
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => {
                    open.push(start.name().as_ref().to_owned());
                    text.clear();
                    if open == ["response", "hooks", "hook"] {
                        answer.hooks.push(ListedHook::default());
                    }
                }
                Event::End(_) => {
                    let path: Vec<&str> = open.iter().map(String::as_str).collect();
                    match path[..] {
                        ["response", "hooks", "hook", name] => answer.hooks.last_mut()?.set(name, &text),
                        ["response", name] => drop(answer.fields.insert(name.to_owned(), text.clone())),
                        _ => {}
                    }
                    open.pop()?;
                }
                Event::Text(more) => text += &more,
                Event::CData(more) => text += &more,
                Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                    Some(character) => text.push(character),
                    None => text += resolve_predefined_entity(&reference)?,
                },
                Event::Eof => break,
                _ => {}
            }
        }
        (open.is_empty() && answer.fields.contains_key("returncode")).then_some(answer)
    }

    /// The text of an element of the response.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// Whether the call succeeded.
    pub(super) fn is_success(&self) -> bool {
        self.get("returncode") == Some("SUCCESS")
    }
}

impl ListedHook {
    fn set(&mut self, name: &str, text: &str) {
        match name {
            "hookID" => text.clone_into(&mut self.id),
            "callbackURL" => text.clone_into(&mut self.url),
            "meetingID" => self.meeting = Some(text.to_owned()),
            "eventID" => self.events = text.split(',').map(str::to_owned).collect(),
            "permanentHook" => self.permanent = text == "true",
            "rawData" => self.raw = text == "true",
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::xml;
    use crate::hook::Hook;

    #[test]
    fn reads_what_the_api_writes() {
        let hook = Hook {
            id: "7".into(),
            callback_url: "http://h/?a=<b>&c=]]>d".to_owned(),
            meeting: Some("m & n".into()),
            events: vec!["a<b".to_owned(), "c".to_owned()],
            permanent: false,
            raw: true,
            created_ms: 0,
        };
        let list = xml::list([&hook, &hook], 1).collect::<Vec<_>>().concat();
        let answer = Answer::parse(&String::from_utf8(list).unwrap()).unwrap();
        let listed = ListedHook {
            id: "7".to_owned(),
            url: hook.callback_url.clone(),
            meeting: Some("m & n".to_owned()),
            events: hook.events.clone(),
            permanent: false,
            raw: true,
        };
        assert!(answer.is_success());
        assert_eq!(answer.hooks, [listed.clone(), listed]);
        let failed = Answer::parse(&xml::Answer::Failed { key: "someError", message: "a & b" }.to_xml()).unwrap();
        assert!(!failed.is_success());
        assert_eq!((failed.get("messageKey"), failed.get("message")), (Some("someError"), Some("a & b")));
        for other in ["", "nothing here", "<html><body>404</body></html>", "<response>"] {
            assert_eq!(Answer::parse(other), None, "{other}");
        }
    }
}
