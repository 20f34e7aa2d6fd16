//! What came up while the configuration was read: problems, which stop the start, and notices, which do not.

use std::fmt;

/// The configuration cannot be used. It names every problem found, not only the first.
///
/// Each problem is one line: `FILE:LINE:COLUMN: KEY: what is wrong` (or `environment variable NAME: ...`,
/// `NODE_CONFIG: KEY: ...`). No line holds the value of a secret, of a password or of a URL that may hold one.
/// The program exits with status 78 (`EX_CONFIG` of `sysexits.h`) on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    problems: Vec<String>,
    notices: Vec<String>,
    by_hand: bool,
}

impl Error {
    /// The problems, one line each, in the order in which they were found.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// What the operator should know besides, one line each.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indented = |lines: &[String]| lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>();
        let mut lines = vec!["the configuration cannot be used:".to_owned()];
        lines.extend(indented(&self.problems));
        if !self.notices.is_empty() {
            lines.push("and what would not have stopped it:".to_owned());
            lines.extend(indented(&self.notices));
        }
        // Who asks by a command may see what is none of the daemon's trouble.
        if !self.by_hand {
            lines.push("Correct what is listed, then start bbb-webhooks again.".to_owned());
        }
        f.write_str(&lines.join("\n"))
    }
}

/// Collects problems and notices; each is said once, however often it is found (one environment variable, for
/// example, may set several keys).
#[derive(Default)]
pub(super) struct Report {
    problems: Vec<String>,
    notices: Vec<String>,
}

impl Report {
    /// Something that stops the start.
    pub(super) fn problem(&mut self, line: String) {
        if !self.problems.contains(&line) {
            self.problems.push(line);
        }
    }

    /// Something that the operator should know.
    pub(super) fn notice(&mut self, line: String) {
        if !self.notices.contains(&line) {
            self.notices.push(line);
        }
    }

    /// Whether the start is stopped already.
    pub(super) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// The notices, if nothing stops the start.
    pub(super) fn finish(self, by_hand: bool) -> Result<Vec<String>, Error> {
        let Self { problems, notices } = self;
        if problems.is_empty() { Ok(notices) } else { Err(Error { problems, notices, by_hand }) }
    }
}
