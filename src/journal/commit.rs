//! One transaction: what is new in the journal and around it, as commands for Redis.

use redis::Cmd;
use redis::Pipeline;

use crate::event::Event;
use crate::event::HookId;
use crate::journal::NotStored;
use crate::journal::Request;
use crate::journal::cursor::Cursor;
use crate::journal::entry;
use crate::journal::log::News;
use crate::journal::stream::JOURNAL;
use crate::store::WriteBehind;
use crate::store::behind::Batch;

/// HASH of the readers' cursors.
pub(super) const CURSORS: &str = "bigbluebutton:webhooks:out:cursors";

/// What goes with one transaction, and the commands that write it.
#[derive(Default)]
pub(super) struct Commit {
    pub(super) news: News,
    pub(super) behind: Batch,
    pub(super) requests: Vec<Request>,
    pub(super) commands: Pipeline,
}

impl Commit {
    /// All this. What is left of `behind` is written as `writer` does it.
    pub(super) fn of(news: News, behind: Batch, requests: Vec<Request>, writer: &WriteBehind) -> Self {
        let mut commands = redis::pipe();
        for event in &news.events {
            add_event(&mut commands, JOURNAL, event);
        }
        add_cursors(&mut commands, &news.cursors);
        for name in &news.gone {
            commands.hdel(CURSORS, name.as_str()).ignore();
        }
        writer.write(&behind, &mut commands);
        for request in &requests {
            for command in request.commands.cmd_iter() {
                commands.add_command(command.clone());
            }
            add_cursors(&mut commands, request.cursor.as_slice());
        }
        Self { news, behind, requests, commands }
    }

    /// Whether nothing is new, and nobody waits for it.
    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.requests.is_empty()
    }

    /// Cuts the stream to about so many entries, those of this commit among them.
    pub(super) fn cut_to(&mut self, entries: usize) {
        self.commands.cmd("XTRIM").arg(JOURNAL).arg("MAXLEN").arg("~").arg(entries).ignore();
    }
}

/// Asks what else would notice too late: whether somebody put something else under the journal's keys.
pub(super) fn probe() -> Pipeline {
    let mut commands = redis::pipe();
    commands.cmd("XLEN").arg(JOURNAL).cmd("HLEN").arg(CURSORS);
    commands
}

/// Adds an event to a stream.
pub(super) fn add_event(commands: &mut Pipeline, stream: &str, event: &Event) {
    let mut command = Cmd::with_capacity(entry::ARGUMENTS + 3, event.text_bytes() + 256);
    command.arg("XADD").arg(stream).arg(entry::id(event.number));
    entry::write(event, &mut command);
    commands.add_command(command).ignore();
}

/// Writes cursors, by their readers' names.
pub(super) fn add_cursors(commands: &mut Pipeline, cursors: &[(HookId, Cursor)]) {
    if cursors.is_empty() {
        return;
    }
    let fields: Vec<_> = cursors.iter().map(|(name, cursor)| (name.as_str(), cursor.to_text())).collect();
    commands.hset_multiple(CURSORS, &fields).ignore();
}

/// Tells those who wait for their commands that these are carried out, or why they may not be.
pub(super) fn answer(requests: &mut Vec<Request>, outcome: Result<(), &str>) {
    for request in requests.drain(..) {
        // Whoever asked may have gone.
        let _ = request.done.send(outcome.map_err(|why| NotStored(why.to_owned())));
    }
}
