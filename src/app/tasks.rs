//! The tasks of the daemon, by name.

use std::collections::HashMap;
use std::future::Future;
use std::io;

use tokio::runtime;
use tokio::task::Id;
use tokio::task::JoinError;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

/// Tasks that are started once and should end only when told to.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
    /// For those that do not end by themselves when this is dropped.
    dropped: CancellationToken,
}

impl Tasks {
    /// Starts a task.
    pub(super) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.running.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Starts a task on a thread of its own, where it gets its turn however many others have work to do.
    ///
    /// # Errors
    /// If the system has no means for it.
    pub(super) fn spawn_apart(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let dropped = self.dropped.clone();
        let task = async move {
            tokio::select! {
                () = task => {}
                () = dropped.cancelled() => {}
            }
        };
        let id = self.running.spawn_blocking(move || runtime.block_on(task)).id();
        self.names.insert(id, name);
        Ok(())
    }

    /// Waits for the next task to end, and gives its name; `None` when there are none. A panic is logged.
    pub(super) async fn next(&mut self) -> Option<&'static str> {
        let ended = self.running.join_next_with_id().await?;
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        let name = self.names.remove(&id);
        if let Err(error) = ended {
            error!(task = name, %error, "A task failed");
        }
        name
    }

    /// Waits until a task has ended.
    pub(super) async fn ended(&mut self, name: &'static str) {
        while self.names.values().any(|running| *running == name) {
            self.next().await;
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.dropped.cancel();
    }
}
