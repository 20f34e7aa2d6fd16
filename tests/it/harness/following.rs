//! Commands that go on until they are told to stop.

use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

use super::daemon::Output;
use super::wait::eventually;
use super::wait::until;

/// A command that goes on until it is told to stop. It is killed when dropped.
#[derive(Debug)]
pub(crate) struct Following {
    child: Child,
    stdout: Output,
    stderr: Output,
}

impl Following {
    /// Starts it.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be run");
        let (stdout, stderr) = (Output::default(), Output::default());
        stdout.take_in(child.stdout.take().expect("it is piped"));
        stderr.take_in(child.stderr.take().expect("it is piped"));
        Self { child, stdout, stderr }
    }

    /// Waits until it said so on standard error.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> impl Future<Output = ()> {
        until(format!("{text:?} on standard error"), async move || self.stderr.text().contains(text))
    }

    /// Waits until it printed so many lines; gives all of them.
    #[track_caller]
    pub(crate) fn prints(&self, count: usize) -> impl Future<Output = Vec<String>> {
        eventually(format!("{count} lines"), async move || {
            let lines: Vec<_> = self.stdout.text().lines().map(str::to_owned).collect();
            (lines.len() >= count).then_some(lines)
        })
    }

    /// Tells it to stop, and waits until it ended.
    pub(crate) async fn stop(&mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        eventually("the command ends", async || self.child.try_wait().unwrap()).await
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("it printed:\n{}\nand said:\n{}", self.stdout.text(), self.stderr.text());
        }
    }
}
