//! Where a value came from: a file, `NODE_CONFIG` or an environment variable, and the place in it.

use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A configuration file and its text. The text may hold secrets, so there is no `Debug`.
pub(super) struct File {
    /// Its path, as messages show it.
    pub(super) path: PathBuf,
    /// What it holds; kept so that a message can name line and column, which a parsed tree no longer knows.
    pub(super) text: String,
}

impl File {
    /// The line of a key that is known to be there, if no other line has it, comments aside: much faster than a parse, and a
    /// file has many keys.
    fn only_line_with(&self, step: &Step) -> Option<usize> {
        let Step::Key(key) = step else { return None };
        let is_comment = |line: &str| line.trim_start().starts_with('#');
        let mut lines = (1..).zip(self.text.lines()).filter(|(_, line)| line.contains(key) && !is_comment(line));
        let (number, _) = lines.next()?;
        lines.next().is_none().then_some(number)
    }
}

/// What was read.
#[derive(Clone)]
pub(super) enum Origin {
    /// A file.
    File(Rc<File>),
    /// The JSON object in the environment variable `NODE_CONFIG`.
    NodeConfig,
    /// An environment variable of its own.
    Variable(&'static str),
}

/// One step from the top of a tree to a value.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a list, counted from 0.
    Item(usize),
}

/// The place of one value. Its `Display` is how each message begins: `FILE:LINE:COLUMN: KEY`.
#[derive(Clone)]
pub(super) struct Place {
    /// What it was read from.
    pub(super) origin: Origin,
    /// The way to it; empty for an environment variable.
    pub(super) path: Vec<Step>,
}

impl Place {
    /// The place of the item `index` of the list that is here.
    pub(super) fn item(&self, index: usize) -> Self {
        self.step(Step::Item(index))
    }

    /// The place of the entry `key` of the mapping that is here.
    pub(super) fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    /// Whether it stands in a YAML file.
    pub(super) fn is_in_a_file(&self) -> bool {
        matches!(self.origin, Origin::File(_))
    }

    /// The place without the key: `FILE:LINE`.
    pub(super) fn brief(&self) -> String {
        match &self.origin {
            Origin::File(file) => {
                let only = self.path.last().and_then(|step| file.only_line_with(step));
                match only.or_else(|| self.line_and_column().map(|(line, _)| line)) {
                    Some(line) => format!("{}:{line}", file.path.display()),
                    None => file.path.display().to_string(),
                }
            }
            Origin::NodeConfig => "NODE_CONFIG".to_owned(),
            Origin::Variable(name) => format!("variable {name}"),
        }
    }

    fn step(&self, step: Step) -> Self {
        let mut place = self.clone();
        place.path.push(step);
        place
    }

    /// The scalar here as it is written. YAML reads `0012345e7` as a number, but a secret or a password that looks
    /// like a number has to arrive as its owner wrote it.
    pub(super) fn written(&self) -> Option<String> {
        let Origin::File(file) = &self.origin else { return None };
        walk(&file.text, &self.path, Goal::Text).ok().flatten()
    }

    /// Line and column of the key here, from 1; of the nearest mapping or list around it if the key itself is not
    /// in the text (it may come from a merge key).
    fn line_and_column(&self) -> Option<(usize, usize)> {
        let Origin::File(file) = &self.origin else { return None };
        (1..=self.path.len()).rev().find_map(|length| {
            let stopped = walk(&file.text, &self.path[..length], Goal::Stop).err()?;
            stopped.location().map(|at| (at.line(), at.column()))
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File(file) => {
                write!(f, "{}", file.path.display())?;
                if let Some((line, column)) = self.line_and_column() {
                    write!(f, ":{line}:{column}")?;
                }
            }
            Origin::NodeConfig => f.write_str("NODE_CONFIG")?,
            Origin::Variable(name) => write!(f, "environment variable {name}")?,
        }
        if self.path.is_empty() { Ok(()) } else { write!(f, ": {}", KeyName(&self.path)) }
    }
}

/// Writes a path as people do: `modules."../out/webhooks/index.js".config.retryIntervals[2]`.
pub(super) struct KeyName<'a>(pub(super) &'a [Step]);

impl fmt::Display for KeyName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Item(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    let dot = if depth == 0 { "" } else { "." };
                    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
                    if plain { write!(f, "{dot}{key}")? } else { write!(f, "{dot}{key:?}")? }
                }
            }
        }
        Ok(())
    }
}

/// What to do at the end of the way.
#[derive(Clone, Copy)]
enum Goal {
    /// Fail on purpose: the parser's error then carries line and column, which nothing else gives away.
    Stop,
    /// Take the scalar as it is written.
    Text,
}

/// Follows `path` through the YAML in `text`.
fn walk(text: &str, path: &[Step], goal: Goal) -> Result<Option<String>, serde_yaml::Error> {
    Walker { path, goal }.deserialize(serde_yaml::Deserializer::from_str(text))
}

struct Walker<'a> {
    path: &'a [Step],
    goal: Goal,
}

impl<'de> DeserializeSeed<'de> for Walker<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.goal {
            Goal::Text if self.path.is_empty() => deserializer.deserialize_str(self),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walker<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the way to a value")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        match self.goal {
            Goal::Text if self.path.is_empty() => Ok(Some(text.to_owned())),
            _ => Err(E::custom("here")),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let Some((Step::Key(wanted), rest)) = self.path.split_first() else {
            return Err(A::Error::custom("here"));
        };
        let stop = rest.is_empty() && matches!(self.goal, Goal::Stop);
        let mut text = None;
        while let Some(is_wanted) = entries.next_key_seed(KeyIs { wanted, stop })? {
            if is_wanted {
                text = entries.next_value_seed(Walker { path: rest, goal: self.goal })?;
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let Some((Step::Item(wanted), rest)) = self.path.split_first() else {
            return Err(A::Error::custom("here"));
        };
        for _ in 0..*wanted {
            items.next_element::<IgnoredAny>()?;
        }
        let text = items.next_element_seed(Walker { path: rest, goal: self.goal })?;
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(text.flatten())
    }
}

/// Whether a mapping's key is the one wanted; fails on it if the way ends there.
struct KeyIs<'a> {
    wanted: &'a str,
    stop: bool,
}

impl<'de> DeserializeSeed<'de> for KeyIs<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIs<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<bool, E> {
        match key == self.wanted {
            true if self.stop => Err(E::custom("here")),
            is_wanted => Ok(is_wanted),
        }
    }
}
