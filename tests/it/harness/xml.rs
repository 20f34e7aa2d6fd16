//! XML as a strict client reads it.

use quick_xml::Reader;
use quick_xml::events::Event;

/// An element, its text and what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) children: Vec<Self>,
}

impl Element {
    /// Reads a document.
    ///
    /// # Errors
    /// If it is not well-formed.
    pub(crate) fn parse(xml: &str) -> Result<Self, String> {
        let wrong = |error: &dyn std::fmt::Display| format!("not well-formed ({error}): {xml}");
        let mut reader = Reader::from_str(xml);
        let mut open = vec![Self::default()];
        loop {
            let event = reader.read_event().map_err(|error| wrong(&error))?;
            let innermost = open.last_mut().ok_or_else(|| wrong(&"too many ends"))?;
            match event {
                Event::Start(start) => {
                    let name = start.name().as_ref().to_owned();
                    open.push(Self { name, ..Self::default() });
                }
                Event::End(_) => {
                    let closed = open.pop().ok_or_else(|| wrong(&"too many ends"))?;
                    open.last_mut().ok_or_else(|| wrong(&"too many ends"))?.children.push(closed);
                }
                Event::Text(text) => innermost.text += &text,
                Event::CData(text) => innermost.text += &text,
                Event::GeneralRef(reference) => {
                    let character = match reference.resolve_char_ref().map_err(|error| wrong(&error))? {
                        Some(character) => character,
                        None => match &*reference {
                            "lt" => '<',
                            "gt" => '>',
                            "amp" => '&',
                            "quot" => '"',
                            "apos" => '\'',
                            _ => return Err(wrong(&format_args!("&{}; is unknown", &*reference))),
                        },
                    };
                    innermost.text.push(character);
                }
                Event::Eof => break,
                other => return Err(wrong(&format_args!("{other:?} has no place here"))),
            }
        }
        match open.as_mut_slice() {
            [document] if document.children.len() == 1 && document.text.is_empty() => Ok(document.children.remove(0)),
            _ => Err(wrong(&"there is more or less than one element at the top")),
        }
    }

    /// The text of the element at `path` (`hooks/hook/hookID`), the first at each step.
    pub(crate) fn text_of(&self, path: &str) -> Option<&str> {
        let mut element = self;
        for step in path.split('/') {
            element = element.children.iter().find(|child| child.name == step)?;
        }
        Some(&element.text)
    }
}
