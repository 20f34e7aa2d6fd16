//! The key `hooks.permanentURLs`: hooks that exist because the configuration says so.

use std::path::PathBuf;

use url::Url;

use super::origin::Place;
use super::resolve::Resolver;
use super::values::{self, Found, Reading};
use super::{PermanentHook, Trust};
use crate::hook;

/// What may stand in one.
const KEYS: [&str; 4] = ["url", "getRaw", "caFile", "verify"];

/// One of them, where it stands, and what does not count there.
struct Item {
    place: Place,
    hook: PermanentHook,
    unknown: Vec<Place>,
}

/// The permanent hooks: of those with the same URL, the first.
pub(super) fn read(from: &mut Resolver<'_>) -> Vec<PermanentHook> {
    let items = from.read("hooks.permanentURLs", Vec::new(), |found| values::each(&values::strict_list(found)?, item));
    let mut hooks: Vec<PermanentHook> = Vec::new();
    for Item { place, hook, unknown } in items {
        for key in unknown {
            from.report.notice(format!("{key}: unknown key, ignored"));
        }
        if hooks.iter().any(|other| other.url == hook.url) {
            from.report.notice(format!("{place}: ignored, because its URL stands in the list before"));
            continue;
        }
        if hook.trust == Trust::Anybody {
            let url = Url::parse(&hook.url).ok();
            let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
            from.report.notice(format!(
                "{place}: the certificate of {host} is not verified (verify: false): whoever is on the way can read and change \
                 what is sent, the secret too where Bearer tokens are. Use caFile"
            ));
        }
        hooks.push(hook);
    }
    hooks
}

/// A URL, or a mapping of `url` and perhaps `getRaw`, `caFile`, `verify`.
fn item(found: &Found) -> Reading<Item> {
    let item = |hook, unknown| Item { place: found.place.clone(), hook, unknown };
    if found.value.is_string() {
        return Ok(item(PermanentHook { url: callback_url(found)?, raw: false, trust: Trust::Usual }, Vec::new()));
    }
    let Some(url) = values::entry(found, "url") else {
        return found.expected("a URL or a mapping with url, and perhaps getRaw, caFile, verify");
    };
    let raw = values::entry(found, "getRaw").map_or(Ok(false), |raw| values::boolean(&raw))?;
    let ca_file = values::entry(found, "caFile").map_or(Ok(None), |file| values::optional_text(&file))?;
    let verify = values::entry(found, "verify").map_or(Ok(true), |verify| values::boolean(&verify))?;
    let trust = match (ca_file, verify) {
        (Some(_), false) => return found.expected("either a caFile or verify: false, which needs none"),
        (Some(file), true) => Trust::Only(PathBuf::from(file)),
        (None, true) => Trust::Usual,
        (None, false) => Trust::Anybody,
    };
    let keys = found.value.as_mapping().into_iter().flat_map(|mapping| mapping.keys());
    let unknown = keys.filter_map(|key| key.as_str()).filter(|key| !KEYS.contains(key));
    let unknown = unknown.map(|key| found.place.key(key)).collect();
    Ok(item(PermanentHook { url: callback_url(&url)?, raw, trust }, unknown))
}

/// A URL that can be called back.
fn callback_url(found: &Found) -> Reading<String> {
    let url = values::text(found)?.trim().to_owned();
    match hook::callable(&url) {
        Ok(()) => Ok(url),
        Err(why) => found.expected(&format!("a URL that can be called back; this one {why}")),
    }
}
