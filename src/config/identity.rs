//! Who this server is: its domain and its secret, configured here or taken from BigBlueButton's properties.

use super::bigbluebutton::{self, Search};
use super::files;
use super::resolve::Resolver;
use super::values;
use super::{Bbb, Secret, Sources};

/// One of the two things that have no default.
struct Required {
    key: &'static str,
    variable: &'static str,
    property: &'static str,
}

const SERVER_DOMAIN: Required =
    Required { key: "bbb.serverDomain", variable: "SERVER_DOMAIN", property: "bigbluebutton.web.serverURL" };
const SHARED_SECRET: Required =
    Required { key: "bbb.sharedSecret", variable: "SHARED_SECRET", property: "securitySalt" };

/// Whether BigBlueButton's own properties say the same as this configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// They do.
    Agree(String),
    /// They do not, and what comes of it.
    Differ(String),
    /// They say nothing, or cannot be read.
    Unknown(String),
}

/// The properties file from which the value of `key` is taken if nothing else sets it.
pub(super) fn taken_from(key: &str, sources: &Sources) -> Option<String> {
    let what = [SERVER_DOMAIN, SHARED_SECRET].into_iter().find(|what| what.key == key)?;
    let file = bigbluebutton::search(&sources.properties, what.property).found_in?;
    Some(format!("{} ({})", file.display(), what.property))
}

/// Compares what is configured with BigBlueButton's properties. No line says the secret.
pub(super) fn agreements(bbb: &Bbb, sources: &Sources) -> Vec<Agreement> {
    let of_secret = |secret: &str| Some(secret.to_owned());
    let compare = |what: &Required, configured: &str, of_property: &dyn Fn(&str) -> Option<String>, so: &str| {
        let Search { value, found_in, looked_at, .. } = bigbluebutton::search(&sources.properties, what.property);
        let (Some(value), Some(file)) = (value.as_deref().and_then(of_property), found_in) else {
            return Agreement::Unknown(match looked_at.iter().all(|place| place.ends_with("(no such file)")) {
                true => "its properties are not on this machine, so they are not compared".to_owned(),
                false => format!("{} is not compared; looked at {}", what.key, looked_at.join("; ")),
            });
        };
        let place = format!("{} in {}", what.property, file.display());
        if value == configured {
            Agreement::Agree(format!("{} is that of {place}", what.key))
        } else {
            Agreement::Differ(format!("{} is not that of {place}: {so}", what.key))
        }
    };
    let so = match &bbb.previous_secret {
        None => "clients that use BigBlueButton's get checksumError",
        Some(_) => "clients that use BigBlueButton's get checksumError, unless that is bbb.previousSecret",
    };
    vec![
        compare(&SHARED_SECRET, bbb.shared_secret.expose(), &of_secret, so),
        compare(&SERVER_DOMAIN, &bbb.server_domain, &bigbluebutton::host_of, "callbacks name another server"),
    ]
}

/// The domain sent in callbacks.
pub(super) fn server_domain(from: &mut Resolver<'_>, sources: &Sources) -> String {
    required(from, sources, &SERVER_DOMAIN, bigbluebutton::host_of)
}

/// The secret that signs.
pub(super) fn shared_secret(from: &mut Resolver<'_>, sources: &Sources) -> Secret {
    Secret::new(required(from, sources, &SHARED_SECRET, |secret| Some(secret.to_owned())))
}

/// What is configured, or else what `of_property` makes of the property; if there is neither, a problem that names
/// every place looked at.
fn required(
    from: &mut Resolver<'_>,
    sources: &Sources,
    what: &Required,
    of_property: impl Fn(&str) -> Option<String>,
) -> String {
    if let Some(found) = from.get(what.key) {
        return from.take(values::text(found)).map(|text| text.trim().to_owned()).unwrap_or_default();
    }
    let Search { value, mut looked_at, unreadable, .. } = bigbluebutton::search(&sources.properties, what.property);
    if let Some(value) = value {
        match of_property(&value) {
            Some(value) => {
                // The file that cannot be read may say something else.
                for file in &unreadable {
                    from.report.notice(format!("{file}; {} was found in the next place", what.property));
                }
                return value;
            }
            None => looked_at.push(format!("{} in BigBlueButton's properties (no URL with a host)", what.property)),
        }
    }
    // A layer that could not be used may well hold it: then its own problem is the one to solve.
    if !from.incomplete {
        let folders = sources.folders.iter().map(|folder| format!("{} in the files in {}", what.key, folder.display()));
        let mut places = vec![format!("environment variable {}", what.variable)];
        places.extend(folders.rev());
        places.extend(looked_at);
        let file = sources.folders.last().map_or_else(|| "local.yml".into(), |folder| folder.join("local.yml"));
        let placeholders = from.placeholders(what.key).iter();
        let placeholders: Vec<_> =
            placeholders.map(|place| format!("{}: a placeholder, counts as not set", place.brief())).collect();
        let placeholders =
            if placeholders.is_empty() { String::new() } else { format!(" ({})", placeholders.join("; ")) };
        let or = match sources.by_hand && !unreadable.is_empty() {
            true => files::AS_THE_DAEMON,
            false => "let the daemon's user read BigBlueButton's properties",
        };
        from.report.problem(format!(
            "{}: not set{placeholders}; looked at: {}. Set it in {}, or {or}",
            what.key,
            places.join("; "),
            file.display()
        ));
    }
    String::new()
}
