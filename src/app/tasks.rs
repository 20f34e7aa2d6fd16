//! The tasks of the daemon, by name.

use std::collections::HashMap;
use std::future::Future;

use tokio::task::Id;
use tokio::task::JoinError;
use tokio::task::JoinSet;
use tracing::error;

/// Tasks that are started once and should end only when told to.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    /// Starts a task.
    pub(super) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.running.spawn(task).id();
        self.names.insert(id, name);
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
