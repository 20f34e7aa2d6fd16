//! Reads the stream.

use std::collections::HashMap;

use redis::RedisResult;
use tracing::warn;

use crate::connection::Connection;
use crate::event::Event;
use crate::journal::entry;

/// The stream's key.
pub(super) const JOURNAL: &str = "bigbluebutton:webhooks:out:journal";

/// How many entries are read at once.
const PAGE: usize = 500;

/// Entries by id. Whoever else writes to this key may write anything.
type Entries = Vec<(String, HashMap<Vec<u8>, Vec<u8>>)>;

/// A page of the events after `position`, and the number of its last entry; `None` if there is none.
pub(super) async fn page(connection: &Connection, position: u64) -> RedisResult<(Vec<Event>, Option<u64>)> {
    let mut commands = redis::pipe();
    commands.cmd("XRANGE").arg(JOURNAL).arg(entry::id(position + 1)).arg("+").arg("COUNT").arg(PAGE);
    let (entries,): (Entries,) = connection.run(&commands).await?;
    // Behind ours there may be entries of somebody else.
    let last = entries.iter().rev().find_map(|(id, _)| entry::number(id));
    Ok((events_of(entries), last))
}

/// Events by number, those that are there.
pub(super) async fn events(connection: &Connection, numbers: &[u64]) -> RedisResult<Vec<Event>> {
    let mut commands = redis::pipe();
    for number in numbers {
        commands.cmd("XRANGE").arg(JOURNAL).arg(entry::id(*number)).arg(entry::id(*number));
    }
    let entries: Vec<Entries> = connection.run(&commands).await?;
    Ok(events_of(entries.into_iter().flatten()))
}

/// The number of the last entry that was ever added; 0 if there is no stream.
pub(super) async fn last_number(connection: &Connection) -> RedisResult<u64> {
    let mut commands = redis::pipe();
    commands.cmd("XREVRANGE").arg(JOURNAL).arg("+").arg("-").arg("COUNT").arg(1);
    let (entries,): (Entries,) = connection.run(&commands).await?;
    Ok(entries.first().and_then(|(id, _)| entry::number(id)).unwrap_or(0))
}

/// How many entries there are.
pub(super) async fn length(connection: &Connection) -> RedisResult<u64> {
    let (length,): (u64,) = connection.run(redis::pipe().cmd("XLEN").arg(JOURNAL)).await?;
    Ok(length)
}

/// What the stream holds, as a run of numbers without gaps that ends where it ends and is as long as it.
pub(super) async fn span(connection: &Connection) -> RedisResult<Option<(u64, u64)>> {
    let last = last_number(connection).await?;
    let length = length(connection).await?;
    Ok((length > 0).then(|| ((last + 1).saturating_sub(length), last)))
}

fn events_of(entries: impl IntoIterator<Item = (String, HashMap<Vec<u8>, Vec<u8>>)>) -> Vec<Event> {
    let texts = |(name, value)| Some((String::from_utf8(name).ok()?, String::from_utf8(value).ok()?));
    let read = |(id, fields): (String, HashMap<Vec<u8>, Vec<u8>>)| {
        let fields = fields.into_iter().map(texts).collect::<Option<_>>();
        let event = fields.and_then(|fields| entry::read(&id, fields));
        if event.is_none() {
            warn!(entry = id, "An entry of the journal in Redis is none of ours; it is left out");
        }
        event
    };
    entries.into_iter().filter_map(read).collect()
}

/// The events of an entry, of which Redis says this: for fuzzing.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn of_value(id: &[u8], fields: &redis::Value) -> Vec<Event> {
    let fields = redis::FromRedisValue::from_redis_value(fields.clone()).unwrap_or_default();
    events_of([(String::from_utf8_lossy(id).into_owned(), fields)])
}
