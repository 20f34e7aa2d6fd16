//! `check`: the configuration as it takes effect, and whether all is there that the daemon needs.

mod around;
mod show;

use serde_json::Value;
use serde_json::json;

use crate::cli;
use crate::commands::Outcome;
use crate::config;
use crate::config::Agreement;
use crate::config::Config;
use crate::config::Explained;
use crate::config::Loaded;
use crate::config::Sources;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grade {
    Well,
    Warning,
    Failed,
    Skipped,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    what: &'static str,
    grade: Grade,
    text: String,
}

impl Finding {
    fn new(what: &'static str, grade: Grade, text: impl Into<String>) -> Self {
        Self { what, grade, text: text.into() }
    }
}

/// What is known so far.
#[derive(Debug)]
pub struct Check {
    /// The configuration, which can be used.
    config: Config,
    notices: Vec<String>,
    explained: Explained,
    findings: Vec<Finding>,
}

impl Check {
    /// Checks the configuration, and compares it with BigBlueButton's properties. Files are read, nothing else is done.
    ///
    /// # Errors
    /// If the configuration cannot be used.
    pub fn of_configuration(sources: &Sources) -> Result<Self, config::Error> {
        let (Loaded { config, notices }, explained) = config::load_explained(sources)?;
        let findings = explained.agreements.iter().map(|agreement| {
            let (grade, text) = match agreement {
                Agreement::Agree(text) => (Grade::Well, text),
                Agreement::Differ(text) => (Grade::Warning, text),
                Agreement::Unknown(text) => (Grade::Skipped, text),
            };
            Finding::new("BigBlueButton", grade, text)
        });
        let mut findings: Vec<_> = findings.collect();
        findings.dedup();
        Ok(Self { config, notices, explained, findings })
    }

    /// Checks what is around the daemon: Redis, the port, with `online` the receivers of permanent hooks.
    pub async fn surroundings(mut self, online: bool) -> Self {
        self.findings.extend(around::look(&self.config, online).await);
        self
    }

    /// All there is to say.
    #[must_use]
    pub fn outcome(&self, asked: &cli::Check) -> Outcome {
        let failed = self.findings.iter().any(|finding| finding.grade == Grade::Failed);
        let text = if asked.json { format!("{:#}\n", self.json()) } else { self.text() };
        Outcome { text, status: u8::from(failed) }
    }

    fn text(&self) -> String {
        let mut text = show::yaml(&self.explained.settings);
        text.push('\n');
        let noticed = self.notices.iter().map(|notice| Finding::new("configuration", Grade::Warning, notice));
        let noticed: Vec<_> = match self.notices.is_empty() {
            true => vec![Finding::new("configuration", Grade::Well, "it can be used")],
            false => noticed.collect(),
        };
        for finding in noticed.iter().chain(&self.findings) {
            let grade = match finding.grade {
                Grade::Well => "ok",
                Grade::Warning => "WARNING",
                Grade::Failed => "FAILED",
                Grade::Skipped => "-",
            };
            text += &format!("{grade:<8} {:<16} {}\n", finding.what, finding.text);
        }
        text
    }

    fn json(&self) -> Value {
        let settings = self.explained.settings.iter().map(|setting| {
            let (key, value, from) = (setting.key(), &setting.value, &setting.from);
            json!({"key": key, "value": value, "from": from})
        });
        let findings = self.findings.iter().map(|finding| {
            let grade = match finding.grade {
                Grade::Well => "ok",
                Grade::Warning => "warning",
                Grade::Failed => "failed",
                Grade::Skipped => "skipped",
            };
            json!({"check": finding.what, "outcome": grade, "text": finding.text})
        });
        json!({
            "configuration": settings.collect::<Vec<_>>(),
            "notices": self.notices,
            "checks": findings.collect::<Vec<_>>(),
        })
    }
}
