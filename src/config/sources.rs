//! What the configuration is read from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

const APPLICATION_FOLDER: &str = "/usr/local/bigbluebutton/bbb-webhooks/config";
const SERVER_FOLDER: &str = "/etc/bigbluebutton/bbb-webhooks";
const PROPERTIES: [&str; 2] =
    ["/etc/bigbluebutton/bbb-web.properties", "/usr/share/bbb-web/WEB-INF/classes/bigbluebutton.properties"];

/// What the configuration is read from. The environment holds secrets, so `Debug` shows only its names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Folders with `default.yml`, `production.yml` and `local.yml`, in the order of reading: the last wins.
    pub folders: Vec<PathBuf>,
    /// Environment variables. An empty one counts as not set.
    pub environment: BTreeMap<String, String>,
    /// BigBlueButton's own properties files: the first that has the secret, or the server's URL, counts.
    pub properties: Vec<PathBuf>,
    /// Whether a person asks by a command, who may read less than the daemon may.
    pub by_hand: bool,
}

impl Sources {
    /// The real ones: the process's environment (variables that are not UTF-8 are left out) and the paths of a
    /// BigBlueButton server.
    #[must_use]
    pub fn of_process() -> Self {
        let utf8 =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::of_environment(utf8.collect())
    }

    /// The paths of a BigBlueButton server: the application's folder, then the one in `/etc`. `NODE_CONFIG_DIR` in the
    /// environment replaces both: folders with colons between them, of which the first wins.
    #[must_use]
    pub fn of_environment(environment: BTreeMap<String, String>) -> Self {
        let mut sources = Self { environment, ..Self::default() };
        sources.folders = match sources.variable("NODE_CONFIG_DIR") {
            Some(list) => list.split(':').rev().filter(|folder| !folder.is_empty()).map(PathBuf::from).collect(),
            None => [APPLICATION_FOLDER, SERVER_FOLDER].map(PathBuf::from).to_vec(),
        };
        sources.properties = PROPERTIES.map(PathBuf::from).to_vec();
        sources
    }

    /// The folders that `NODE_CONFIG_DIR` names and that are not those of every server: these may be missing.
    pub(super) fn named_folders(&self) -> impl Iterator<Item = &PathBuf> {
        let named = self.variable("NODE_CONFIG_DIR").is_some();
        let standard = [APPLICATION_FOLDER, SERVER_FOLDER].map(PathBuf::from);
        self.folders.iter().filter(move |folder| named && !standard.contains(folder))
    }

    /// A variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.environment.keys().collect();
        f.debug_struct("Sources")
            .field("folders", &self.folders)
            .field("environment", &names)
            .field("properties", &self.properties)
            .field("by_hand", &self.by_hand)
            .finish()
    }
}
