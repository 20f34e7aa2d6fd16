//! The exact answers of the API. Pure.
//!
//! No white space between tags, no XML declaration, elements in a fixed order: clients have come to rely on it.

use std::io;

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
    /// `hooks/list` found these.
    Listed(Vec<&'a Hook>),
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
        let mut xml = Xml(Writer::new(Vec::new()));
        xml.response(self).expect("writing to memory does not fail");
        String::from_utf8(xml.0.into_inner()).expect("XML made of texts is text")
    }
}

/// Whether XML 1.0 can carry a character at all, escaped or not.
#[must_use]
pub fn can_carry(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{FFFD}' | '\u{10000}'..)
}

/// The text with a replacement for each character that XML cannot carry. Such texts are refused by the API, but may have
/// been stored by the Node daemon.
fn carried(text: &str) -> String {
    text.chars().map(|character| if can_carry(character) { character } else { char::REPLACEMENT_CHARACTER }).collect()
}

struct Xml(Writer<Vec<u8>>);

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
                Answer::Listed(hooks) => xml.element("hooks", |xml| hooks.iter().try_for_each(|hook| xml.hook(hook))),
                Answer::Failed { key, message } => {
                    xml.text("messageKey", key)?;
                    xml.text("message", message)
                }
            }
        })
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
        self.0.write_event(Event::Start(BytesStart::new(name)))?;
        content(self)?;
        self.0.write_event(Event::End(BytesEnd::new(name)))
    }

    fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.element(name, |xml| xml.0.write_event(Event::Text(BytesText::new(&carried(text)))))
    }

    fn cdata(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.element(name, |xml| {
            BytesCData::escaped(&carried(text)).try_for_each(|part| xml.0.write_event(Event::CData(part)))
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

    #[test]
    fn answers_as_documented() {
        assert_eq!(
            Answer::Created(&hook()).to_xml(),
            "<response><returncode>SUCCESS</returncode><hookID>7</hookID><permanentHook>false</permanentHook>\
             <rawData>true</rawData></response>"
        );
        assert_eq!(
            Answer::Listed(Vec::new()).to_xml(),
            "<response><returncode>SUCCESS</returncode><hooks></hooks></response>"
        );
        assert_eq!(
            Answer::Failed { key: "someError", message: "a & b" }.to_xml(),
            "<response><returncode>FAILED</returncode><messageKey>someError</messageKey><message>a &amp; b</message>\
             </response>"
        );
    }

    #[test]
    fn is_well_formed_whatever_was_registered() {
        assert_eq!(
            Answer::Listed(vec![&hook()]).to_xml(),
            "<response><returncode>SUCCESS</returncode><hooks><hook><hookID>7</hookID>\
             <callbackURL><![CDATA[http://h/?a=<b>&c=]]]]><![CDATA[>d\u{FFFD}]]></callbackURL>\
             <meetingID><![CDATA[m]]></meetingID><eventID>a&lt;b,c</eventID>\
             <permanentHook>false</permanentHook><rawData>true</rawData></hook></hooks></response>"
        );
    }
}
