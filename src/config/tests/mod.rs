//! The room as its users see it: files and variables in, a configuration or an error out.

mod default_file;
mod effective;
mod events;
mod every_key;
mod layers;
mod reload;
mod rules;

use std::path::PathBuf;

use tempfile::TempDir;

use super::{Config, Error, Loaded, Sources, load};

/// An application's folder and one in `/etc`, both temporary, and an environment with nothing but secret and domain.
struct Server {
    home: TempDir,
    sources: Sources,
}

impl Server {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let folders = ["app", "etc"].map(|name| home.path().join(name));
        folders.iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
        let sources = Sources { folders: folders.to_vec(), ..Sources::default() };
        Self { home, sources }.variable("SHARED_SECRET", "hush").variable("SERVER_DOMAIN", "bbb.example.org")
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Neither secret nor domain.
    fn anonymous(mut self) -> Self {
        self.sources.environment.clear();
        self
    }

    fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.home.path().join(name), content).unwrap();
        self
    }

    fn properties(mut self, name: &str) -> Self {
        self.sources.properties.push(self.path(name));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn load(&self) -> Result<Loaded, Error> {
        load(&self.sources)
    }

    fn config(&self) -> Config {
        self.load().unwrap().config
    }

    /// The notices, without the name of the temporary folder.
    fn notices(&self) -> Vec<String> {
        let notices = self.load().unwrap().notices;
        notices.iter().map(|line| self.shorten(line)).collect()
    }

    /// The problems, if any, without the name of the temporary folder.
    fn problems(&self) -> Vec<String> {
        let error = self.load().err();
        let lines = error.iter().flat_map(Error::problems);
        lines.map(|line| self.shorten(line)).collect()
    }

    fn shorten(&self, line: &str) -> String {
        line.replace(&format!("{}/", self.home.path().display()), "")
    }
}

/// What `yaml` in `/etc`'s `local.yml` makes of the configuration.
pub(crate) fn config_of(yaml: &str) -> Config {
    Server::new().file("etc/local.yml", yaml).config()
}

/// The problems with `yaml` in `/etc`'s `local.yml`.
fn problems_of(yaml: &str) -> Vec<String> {
    Server::new().file("etc/local.yml", yaml).problems()
}
