//! The log file: a daemon that cannot write to it does not start.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use rustix::fs::Access;
use rustix::fs::access;

use super::Finding;
use super::Grade;
use crate::config::Log;

/// Whether this user may write the log file, if there is to be one. Nothing is written, and no file is made.
pub(super) fn look(log: &Log) -> Option<Finding> {
    let name = log.filename.display();
    let finding = |grade, text| Some(Finding::new("log file", grade, text));
    match log.file.then(|| can_be_written(&log.filename))? {
        Ok(()) => finding(Grade::Well, format!("{name} can be written")),
        Err(error) => finding(
            Grade::Failed,
            format!(
                "{name} (log.filename) cannot be written: {error}. The daemon's user must be allowed to; /var/log/bbb-webhooks \
                 is made for it"
            ),
        ),
    }
}

fn can_be_written(file: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other.map(drop),
    }
    // The daemon makes the folders that are not there.
    let folder = file.ancestors().skip(1).find(|folder| folder.exists()).unwrap_or(Path::new("."));
    Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogFormat;
    use crate::config::LogLevel;

    #[test]
    fn is_opened_if_it_is_there_and_otherwise_its_folder_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.log");
        let log = |filename: &Path, file| Log {
            level: LogLevel::Info,
            stdout: true,
            file,
            filename: filename.to_owned(),
            format: LogFormat::Auto,
        };
        let grade = |filename: &Path| look(&log(filename, true)).unwrap().grade;
        assert_eq!(look(&log(&file, false)), None);
        assert_eq!(grade(&file), Grade::Well);
        assert!(!file.exists());
        std::fs::write(&file, "before\n").unwrap();
        assert_eq!(grade(&file), Grade::Well);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "before\n");
        assert_eq!(grade(folder.path()), Grade::Failed);
        assert_eq!(grade(&folder.path().join("missing/x.log")), Grade::Well);
        assert!(!folder.path().join("missing").exists());
        assert_eq!(grade(&file.join("x.log")), Grade::Failed);
    }
}
