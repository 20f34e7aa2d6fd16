//! `check`: the configuration as it takes effect, and whether all is there that the daemon needs.

mod around;
mod log_file;
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

    fn line(&self) -> String {
        let grade = match self.grade {
            Grade::Well => "ok",
            Grade::Warning => "WARNING",
            Grade::Failed => "FAILED",
            Grade::Skipped => "-",
        };
        format!("{grade:<8} {:<16} {}\n", self.what, self.text)
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
    /// Checks the configuration, compares it with BigBlueButton's properties, and sees whether the log file can be written. Files
    /// are read, nothing else is done.
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
        findings.extend(log_file::look(&config.log));
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
        let text = match asked {
            cli::Check { json: true, .. } => format!("{:#}\n", self.json()),
            cli::Check { quiet: true, .. } => {
                self.lines(|finding| matches!(finding.grade, Grade::Warning | Grade::Failed))
            }
            _ => show::yaml(&self.explained.settings) + "\n" + &self.lines(|_| true),
        };
        Outcome { text, status: u8::from(failed) }
    }

    /// A line for each finding that is wanted.
    fn lines(&self, wanted: impl Fn(&Finding) -> bool) -> String {
        let noticed = self.notices.iter().map(|notice| Finding::new("configuration", Grade::Warning, notice));
        let noticed: Vec<_> = match self.notices.is_empty() {
            true => vec![Finding::new("configuration", Grade::Well, "it can be used")],
            false => noticed.collect(),
        };
        let wanted = noticed.iter().chain(&self.findings).filter(|finding| wanted(finding));
        wanted.map(Finding::line).collect()
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
