//! Who this server is: its domain and its secret, configured here or taken from BigBlueButton's properties.

use super::bigbluebutton::{self, Search};
use super::resolve::Resolver;
use super::values;
use super::{Secret, Sources};

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
    let Search { value, mut looked_at, unreadable } = bigbluebutton::search(&sources.properties, what.property);
    if let Some(value) = value {
        match of_property(&value) {
            Some(value) => {
                // The file that cannot be read may say something else.
                for file in unreadable {
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
        from.report.problem(format!(
            "{}: not set; looked at: {}. Set it in {}, or let the daemon's user read BigBlueButton's properties",
            what.key,
            places.join("; "),
            file.display()
        ));
    }
    String::new()
}
