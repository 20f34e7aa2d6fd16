//! The exact answers of the API. Pure.
//!
//! No white space between tags, no XML declaration, elements in a fixed order: clients have come to rely on it.

use std::borrow::Cow;
use std::io;
use std::iter;
use std::mem;
use std::ops::Deref;

use quick_xml::Writer;
use quick_xml::events::BytesCData;
use quick_xml::events::BytesEnd;
use quick_xml::events::BytesStart;
use quick_xml::events::BytesText;
use quick_xml::events::Event;

use crate::hook::Hook;

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// `hooks/create` made this hook.
    Created(&'a Hook),
    /// `hooks/create` found this hook for the URL.
    Duplicate(&'a Hook),
    /// `hooks/destroy` did.
    Destroyed,
    /// It failed.
    Failed {
        /// What went wrong, for programs.
        key: &'static str,
        /// What went wrong, for people.
        message: &'a str,
    },
}

impl Answer<'_> {
    /// The XML text.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let mut xml = Xml::default();
        xml.response(self).expect(NEVER_FAILS);
        String::from_utf8(xml.0.into_inner()).expect("XML made of texts is text")
    }
}

const NEVER_FAILS: &str = "writing to memory does not fail";

/// What `hooks/list` answers if it found these hooks, in pieces: each has at least so many bytes, but for the last, and ends
/// with a hook. Who takes one after the other never has the whole.
pub fn list<H: Deref<Target = Hook>>(
    hooks: impl IntoIterator<Item = H>,
    at_least: usize,
) -> impl Iterator<Item = Vec<u8>> {
    let mut hooks = Some(hooks.into_iter());
    let mut xml = Xml::default();
    xml.begin_list().expect(NEVER_FAILS);
    iter::from_fn(move || {
        let some = hooks.as_mut()?;
        while xml.0.get_ref().len() < at_least {
            if let Some(hook) = some.next() {
                xml.hook(&hook).expect(NEVER_FAILS);
            } else {
                xml.end_list().expect(NEVER_FAILS);
                hooks = None;
                break;
            }
        }
        Some(mem::take(xml.0.get_mut()))
    })
}

/// Whether XML 1.0 can carry a character at all, escaped or not.
#[must_use]
pub fn can_carry(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{FFFD}' | '\u{10000}'..)
}

/// The text with a replacement for each character that XML cannot carry. Such texts are refused by the API, but may have
/// been stored by the Node daemon.
fn carried(text: &str) -> Cow<'_, str> {
    if text.chars().all(can_carry) {
        return text.into();
    }
    text.chars().map(|character| if can_carry(character) { character } else { char::REPLACEMENT_CHARACTER }).collect()
}

struct Xml(Writer<Vec<u8>>);

impl Default for Xml {
    fn default() -> Self {
        Self(Writer::new(Vec::new()))
    }
}

impl Xml {
    fn response(&mut self, answer: &Answer<'_>) -> io::Result<()> {
        self.element("response", |xml| {
            xml.text("returncode", if matches!(answer, Answer::Failed { .. }) { "FAILED" } else { "SUCCESS" })?;
            match answer {
                Answer::Created(hook) => {
                    xml.text("hookID", hook.id.as_str())?;
                    xml.kind(hook)
                }
                Answer::Duplicate(hook) => {
                    xml.text("hookID", hook.id.as_str())?;
                    xml.text("messageKey", "duplicateWarning")?;
                    xml.text("message", "There is already a hook for this callback URL.")
                }
                Answer::Destroyed => xml.text("removed", "true"),
                Answer::Failed { key, message } => {
                    xml.text("messageKey", key)?;
                    xml.text("message", message)
                }
            }
        })
    }

    fn begin_list(&mut self) -> io::Result<()> {
        self.begin("response")?;
        self.text("returncode", "SUCCESS")?;
        self.begin("hooks")
    }

    fn end_list(&mut self) -> io::Result<()> {
        self.end("hooks")?;
        self.end("response")
    }

    fn hook(&mut self, hook: &Hook) -> io::Result<()> {
        self.element("hook", |xml| {
            xml.text("hookID", hook.id.as_str())?;
            xml.cdata("callbackURL", &hook.callback_url)?;
            if let Some(meeting) = &hook.meeting {
                xml.cdata("meetingID", meeting.as_str())?;
            }
            if !hook.events.is_empty() {
                xml.text("eventID", &hook.events.join(","))?;
            }
            xml.kind(hook)
        })
    }

    fn kind(&mut self, hook: &Hook) -> io::Result<()> {
        self.text("permanentHook", if hook.permanent { "true" } else { "false" })?;
        self.text("rawData", if hook.raw { "true" } else { "false" })
    }

    fn element(&mut self, name: &str, content: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        self.begin(name)?;
        content(self)?;
        self.end(name)
    }

    fn begin(&mut self, name: &str) -> io::Result<()> {
        self.0.write_event(Event::Start(BytesStart::new(name)))
    }

    fn end(&mut self, name: &str) -> io::Result<()> {
        self.0.write_event(Event::End(BytesEnd::new(name)))
    }

    fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.element(name, |xml| xml.0.write_event(Event::Text(BytesText::new(&carried(text)))))
    }

    fn cdata(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.element(name, |xml| {
            for (index, part) in carried(text).split('\r').enumerate() {
                // As it stands, readers of XML take it for the end of a line.
                if index > 0 {
                    xml.0.write_event(Event::Text(BytesText::from_escaped("&#13;")))?;
                }
                BytesCData::escaped(part).try_for_each(|part| xml.0.write_event(Event::CData(part)))?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook() -> Hook {
        Hook {
            id: "7".into(),
            callback_url: "http://h/?a=<b>&c=]]>d\u{0}".to_owned(),
            meeting: Some("m".into()),
            events: vec!["a<b".to_owned(), "c".to_owned()],
            permanent: false,
            raw: true,
            created_ms: 0,
        }
    }

    fn listed(hooks: &[Hook], at_least: usize) -> Vec<String> {
        list(hooks, at_least).map(|piece| String::from_utf8(piece).unwrap()).collect()
    }

    #[test]
    fn answers_as_documented() {
        assert_eq!(
            Answer::Created(&hook()).to_xml(),
            "<response><returncode>SUCCESS</returncode><hookID>7</hookID><permanentHook>false</permanentHook>\
             <rawData>true</rawData></response>"
        );
        assert_eq!(listed(&[], 1), ["<response><returncode>SUCCESS</returncode><hooks>", "</hooks></response>"]);
        assert_eq!(listed(&[], 100), ["<response><returncode>SUCCESS</returncode><hooks></hooks></response>"]);
        assert_eq!(
            Answer::Failed { key: "someError", message: "a & b" }.to_xml(),
            "<response><returncode>FAILED</returncode><messageKey>someError</messageKey><message>a &amp; b</message>\
             </response>"
        );
    }

    #[test]
    fn is_well_formed_whatever_was_registered() {
        assert_eq!(
            listed(&[hook()], usize::MAX).concat(),
            "<response><returncode>SUCCESS</returncode><hooks><hook><hookID>7</hookID>\
             <callbackURL><![CDATA[http://h/?a=<b>&c=]]]]><![CDATA[>d\u{FFFD}]]></callbackURL>\
             <meetingID><![CDATA[m]]></meetingID><eventID>a&lt;b,c</eventID>\
             <permanentHook>false</permanentHook><rawData>true</rawData></hook></hooks></response>"
        );
    }

    #[test]
    fn a_list_is_the_same_in_pieces_of_any_size() {
        let hooks: Vec<Hook> = (0..50).map(|n| Hook { id: n.to_string().as_str().into(), ..hook() }).collect();
        let whole = listed(&hooks, usize::MAX);
        assert_eq!(whole.len(), 1);
        for at_least in (1..2000).chain([whole[0].len() - 1, whole[0].len(), whole[0].len() + 1]) {
            let pieces = listed(&hooks, at_least);
            assert_eq!(pieces.concat(), whole[0]);
            let (_, all_but_last) = pieces.split_last().unwrap();
            assert!(all_but_last.iter().all(|piece| (at_least..at_least + 300).contains(&piece.len())), "{pieces:?}");
        }
        assert_eq!(listed(&hooks, 1).len(), 52, "its beginning, each hook, its end");
    }
}
