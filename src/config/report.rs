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
}

impl Error {
    /// The problems, one line each, in the order in which they were found.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the configuration cannot be used:")?;
        for problem in &self.problems {
            writeln!(f, "  {problem}")?;
        }
        f.write_str("Correct what is listed, then start bbb-webhooks again.")
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
    pub(super) fn finish(self) -> Result<Vec<String>, Error> {
        if self.problems.is_empty() { Ok(self.notices) } else { Err(Error { problems: self.problems }) }
    }
}
