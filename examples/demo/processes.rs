//! The programs that the demo starts, and sees off again.

use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use anyhow::bail;
use anyhow::ensure;
use tokio::time::Instant;
use tokio::time::sleep;

/// How often to look again.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A program that was started. It is killed when this is dropped, whatever happened before.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; `prepare` adds arguments and environment. What it says goes to a file in `folder`.
    pub(crate) fn start(
        name: &'static str,
        program: &Path,
        folder: &Path,
        prepare: impl FnOnce(&mut Command),
    ) -> anyhow::Result<Self> {
        let log = folder.join(format!("{}.log", name.replace(' ', "-")));
        let file = File::create(&log)?;
        let mut command = Command::new(program);
        prepare(&mut command);
        command.current_dir(folder).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("{} cannot be started", program.display()))?;
        Ok(Self { name, child, log })
    }

    /// Its number in the system.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it said.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until it serves, as `serves` finds out.
    pub(crate) async fn wait_until(
        &mut self,
        patience: Duration,
        mut serves: impl AsyncFnMut() -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        while !serves().await {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at its start: {status}\n{}", self.name, self.log());
            }
            ensure!(Instant::now() < deadline, "{} does not answer\n{}", self.name, self.log());
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) async fn terminate(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} had ended before it was told to: {status}\n{}", self.name, self.log());
        }
        let sent = Command::new("sh").args(["-c", "kill -s TERM \"$0\"", &self.id().to_string()]).status()?;
        ensure!(sent.success(), "SIGTERM could not be sent to {}", self.name);
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "{} does not stop\n{}", self.name, self.log());
            sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
