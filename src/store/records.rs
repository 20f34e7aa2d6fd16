//! Records of the xAPI output: what they are is its own business; here they are hashes on three shelves.

use redis::Pipeline;

use crate::config::XapiKeys;
use crate::store::Collection;
use crate::store::Error;
use crate::store::Store;
pub use crate::store::format::Fields;
pub use crate::store::format::Written;

/// What a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shelf {
    /// A meeting.
    Meetings,
    /// A user in a meeting.
    Users,
    /// A poll in a meeting.
    Polls,
}

impl Shelf {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Meetings, Self::Users, Self::Polls];
}

/// A record: where it stands, and all that stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is of.
    pub shelf: Shelf,
    /// Its id.
    pub id: String,
    /// Its fields; none if it is to be removed.
    pub fields: Option<Written>,
}

/// The collections of the shelves.
#[derive(Debug)]
pub(super) struct Shelves([Collection; 3]);

impl Shelves {
    pub(super) fn new(keys: &XapiKeys) -> Self {
        Self([
            Collection::new(&keys.meetings, &keys.meeting_prefix),
            Collection::new(&keys.users, &keys.user_prefix),
            Collection::new(&keys.polls, &keys.poll_prefix),
        ])
    }

    fn of(&self, shelf: Shelf) -> &Collection {
        &self.0[shelf as usize]
    }

    /// Adds the commands that write or remove a record.
    pub(super) fn write(&self, commands: &mut Pipeline, record: &Record) {
        match &record.fields {
            Some(fields) => self.of(record.shelf).put(commands, &record.id, fields),
            None => self.of(record.shelf).remove(commands, &record.id),
        }
    }
}

impl Store {
    /// Reads all records of a shelf, by id.
    ///
    /// # Errors
    /// If Redis is not there or refuses.
    pub async fn load_records(&self, shelf: Shelf) -> Result<Vec<(String, Fields)>, Error> {
        Ok(self.shelves.of(shelf).load_all(&self.connection).await?)
    }

    /// Adds the commands that make these all the records there are.
    pub fn rewrite_records(&self, commands: &mut Pipeline, records: &[Record]) {
        for collection in &self.shelves.0 {
            commands.del(&collection.set).ignore();
        }
        for record in records {
            self.shelves.write(commands, record);
        }
    }
}
