//! The two dialects into one: what a layer says in keys of version 2 or 3, said in canonical keys.
//!
//! This happens to each layer before they are merged: within a file version 3 wins, but a version 2 key in a stronger
//! file beats a version 3 key in a weaker one.

use std::collections::BTreeMap;

use serde_yaml::{Mapping, Value};

use super::Sources;
use super::files::{Layer, Stage};
use super::keys::{self, ROWS, Row};
use super::origin::{KeyName, Origin, Place, Step};
use super::report::Report;
use super::values::{Found, kind};

/// Values by canonical key. `null` is a value here: it means "not set after all".
pub(super) type Settings = BTreeMap<&'static str, Found>;

/// What one layer says, in canonical keys.
pub(super) struct Translated {
    /// The layer's turn.
    pub(super) stage: Stage,
    /// What it says.
    pub(super) settings: Settings,
}

/// Translates the layers, and says which of their keys nobody knows.
pub(super) fn translate(layers: &[Layer], report: &mut Report) -> Vec<Translated> {
    let mut unknown = Unknown::default();
    for layer in layers {
        unknown.search(&layer.origin, &layer.tree, &mut Vec::new(), report);
    }
    unknown.tell(report);
    layers
        .iter()
        .map(|layer| {
            let settings = ROWS.iter().filter_map(|row| Some((row.key, find(row, layer)?))).collect();
            Translated { stage: layer.stage, settings }
        })
        .collect()
}

/// The strongest layer: what single environment variables say. An empty one says nothing.
pub(super) fn variables(sources: &Sources) -> Translated {
    let settings = ROWS.iter().filter_map(|row| {
        let name = row.variable?;
        let value = Value::String(sources.variable(name)?.to_owned());
        let place = Place { origin: Origin::Variable(name), path: Vec::new() };
        (!is_placeholder(row, &value)).then(|| (row.key, Found { value, place, private: row.private, rank: 0 }))
    });
    Translated { stage: Stage::Environment, settings: settings.collect() }
}

/// What a layer says about one key: the first of its ways that leads to a value, or else to `null`.
fn find(row: &Row, layer: &Layer) -> Option<Found> {
    let mut found: Option<Found> = None;
    for way in row.ways() {
        let Some(value) = follow(&layer.tree, &way).filter(|value| !is_placeholder(row, value)) else {
            continue;
        };
        if found.as_ref().is_none_or(|weaker| weaker.value.is_null()) {
            let path = way.into_iter().map(|step| Step::Key(step.to_owned())).collect();
            let place = Place { origin: layer.origin.clone(), path };
            found = Some(Found { value: value.clone(), place, private: row.private, rank: 0 });
        }
    }
    found
}

fn is_placeholder(row: &Row, value: &Value) -> bool {
    value.as_str().is_some_and(|text| row.placeholders.contains(&text.trim()))
}

/// Where something stands that sets nothing, as packages write it, by canonical key; the strongest first. Empty texts are no
/// news.
pub(super) fn placeholders(layers: &[Layer], sources: &Sources) -> BTreeMap<&'static str, Vec<Place>> {
    let mut found = BTreeMap::<_, Vec<Place>>::new();
    let tells = |row: &Row, text: &str| !text.trim().is_empty() && row.placeholders.contains(&text.trim());
    for row in ROWS.iter().filter(|row| !row.placeholders.is_empty()) {
        let mut places = Vec::new();
        if let Some(name) = row.variable.filter(|name| sources.variable(name).is_some_and(|text| tells(row, text))) {
            places.push(Place { origin: Origin::Variable(name), path: Vec::new() });
        }
        for layer in layers.iter().rev() {
            let is_one =
                |way: &Vec<&str>| follow(&layer.tree, way).and_then(Value::as_str).is_some_and(|text| tells(row, text));
            places.extend(row.ways().filter(is_one).map(|way| Place {
                origin: layer.origin.clone(),
                path: way.into_iter().map(|step| Step::Key(step.to_owned())).collect(),
            }));
        }
        found.insert(row.key, places);
    }
    found
}

fn follow<'a>(tree: &'a Mapping, way: &[&str]) -> Option<&'a Value> {
    let (last, sections) = way.split_last()?;
    let mut tree = tree;
    for section in sections {
        tree = tree.get(*section)?.as_mapping()?;
    }
    tree.get(*last)
}

/// Keys that nobody knows, and everywhere they stand.
#[derive(Default)]
struct Unknown(BTreeMap<String, Vec<Place>>);

impl Unknown {
    /// Looks through one section of a layer. A section that is `null` (all its lines commented out) says nothing;
    /// one that is neither a mapping nor `null` is a problem.
    fn search(&mut self, origin: &Origin, section: &Mapping, path: &mut Vec<String>, report: &mut Report) {
        for (key, value) in section {
            path.push(scalar(key));
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            let steps: Vec<Step> = path.iter().cloned().map(Step::Key).collect();
            if keys::is_section(&names) {
                let place = Place { origin: origin.clone(), path: steps };
                match value {
                    Value::Mapping(section) => self.search(origin, section, path, report),
                    Value::Null => {}
                    _ => report.problem(format!("{place}: got {}, expected a mapping with keys below it", kind(value))),
                }
            } else if !keys::is_key(&names) && !keys::is_silent(&names) {
                let name = KeyName(&steps).to_string();
                self.0.entry(name).or_default().push(Place { origin: origin.clone(), path: steps });
            }
            path.pop();
        }
    }

    /// One notice for each.
    fn tell(&self, report: &mut Report) {
        for places in self.0.values() {
            let places: Vec<String> = places.iter().map(Place::to_string).collect();
            report.notice(format!("{}: unknown key, ignored", places.join(", ")));
        }
    }
}

/// A mapping's key as text; keys that are no scalars have none.
fn scalar(key: &Value) -> String {
    match key {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        other => format!("({})", kind(other)),
    }
}
