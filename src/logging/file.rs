//! The log file, which may be moved away and opened anew.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::logging::Error;

/// A log file. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct LogFile {
    filename: Arc<PathBuf>,
    file: Arc<Mutex<File>>,
}

impl LogFile {
    /// Opens it, and makes it, and its folder, if they are not there.
    pub(super) fn open(filename: &Path) -> Result<Self, Error> {
        let file = Arc::new(Mutex::new(appending(filename)?));
        Ok(Self { filename: Arc::new(filename.to_owned()), file })
    }

    /// Opens it again by its name: what had that name may have another now.
    pub(super) fn reopen(&self) -> Result<(), Error> {
        let new = appending(&self.filename)?;
        *self.lock() = new;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        // A line is not to be torn apart by another, or by a change of the file.
        self.lock().write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().flush()
    }
}

fn appending(filename: &Path) -> Result<File, Error> {
    let open = || OpenOptions::new().create(true).append(true).open(filename);
    let opened = open().or_else(|error| match filename.parent() {
        Some(folder) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(folder)?;
            open()
        }
        _ => Err(error),
    });
    opened.map_err(|error| Error::File { filename: filename.display().to_string(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_in_the_old_file_until_it_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let (name, old) = (folder.path().join("log"), folder.path().join("log.1"));
        let mut log = LogFile::open(&name).unwrap();
        log.write_all(b"1\n").unwrap();
        std::fs::rename(&name, &old).unwrap();
        log.write_all(b"2\n").unwrap();
        log.clone().reopen().unwrap();
        log.write_all(b"3\n").unwrap();
        let text = |path: &Path| std::fs::read_to_string(path).unwrap();
        let deeper = folder.path().join("a/b/log");
        LogFile::open(&deeper).unwrap().write_all(b"4\n").unwrap();
        assert_eq!(text(&deeper), "4\n", "its folder is made");
        assert_eq!((text(&old), text(&name)), ("1\n2\n".to_owned(), "3\n".to_owned()));

        std::fs::remove_file(&name).unwrap();
        std::fs::create_dir(&name).unwrap();
        assert!(log.reopen().unwrap_err().to_string().contains("log.filename"));
        log.write_all(b"4\n").unwrap();
    }
}
