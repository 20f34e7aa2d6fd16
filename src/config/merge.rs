//! Many layers into one: the strongest word on each key counts.
//!
//! Canonical keys are leaves, so taking the last word on each merges mappings deeply and replaces lists and scalars.

use std::collections::BTreeMap;

use super::dialects::{Settings, Translated};
use super::files::Stage;
use super::origin::Origin;
use super::report::Report;
use super::values::Found;

/// Merges the layers, weakest first. Where a folder beats another in `production.yml` or `local.yml` and the Node
/// daemon had it the other way round, a notice says so, one for each pair of files.
pub(super) fn merge(layers: Vec<Translated>, report: &mut Report) -> Settings {
    let mut merged = Settings::new();
    let mut stages: BTreeMap<&'static str, Stage> = BTreeMap::new();
    let mut turned: BTreeMap<(String, String), Vec<&'static str>> = BTreeMap::new();
    for (rank, layer) in layers.into_iter().enumerate() {
        for (key, found) in layer.settings {
            if let Some(beaten) = merged.get(key)
                && stages.get(key) == Some(&layer.stage)
                && matches!(layer.stage, Stage::Named | Stage::Local)
                && beaten.value != found.value
            {
                turned.entry((file_of(&found), file_of(beaten))).or_default().push(key);
            }
            stages.insert(key, layer.stage);
            merged.insert(key, Found { rank, ..found });
        }
    }
    for ((winner, beaten), keys) in turned {
        report.notice(format!(
            "{winner} wins over {beaten}, where the Node daemon preferred the latter: {}",
            keys.join(", ")
        ));
    }
    merged
}

fn file_of(found: &Found) -> String {
    match &found.place.origin {
        Origin::File(file) => file.path.display().to_string(),
        Origin::NodeConfig | Origin::Variable(_) => found.place.to_string(),
    }
}
