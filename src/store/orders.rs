//! Orders to the running daemon to send events of the past again: a LIST in Redis, the oldest first.
//!
//! Only the daemon writes the journal, so whoever wants something in it asks. An order is taken off the list when what it
//! asks for is in the journal; a daemon that is killed before carries it out again.

use redis::Pipeline;
use serde::Deserialize;
use serde::Serialize;
use tracing::warn;

use crate::event::HookId;
use crate::store::Error;
use crate::store::Store;

const ORDERS: &str = "bigbluebutton:webhooks:out:orders";

/// How long an outcome is kept for whoever waits for it, in seconds.
const OUTCOME_SECONDS: u64 = 60;

/// What is to be sent again, to one hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Names the order.
    pub id: String,
    /// The hook.
    pub hook: String,
    /// Which events.
    pub what: What,
}

/// Which events are to be sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// Those accepted since then, in ms since 1970.
    Since(u64),
    /// Those from this number on.
    From(u64),
    /// Those that are parked.
    Parked,
    /// Those that version 2 of the Node daemon left undelivered.
    Version2,
}

fn outcome_key(order: &str) -> String {
    format!("{ORDERS}:{order}")
}

/// Adds the command that gives an order.
pub(super) fn give(commands: &mut Pipeline, order: &Order) {
    commands.rpush(ORDERS, to_text(order)).ignore();
}

fn to_text(order: &Order) -> String {
    serde_json::to_string(order).expect("texts and numbers are always JSON")
}

impl Order {
    /// An order with a name of its own.
    #[must_use]
    pub fn new(hook: &HookId, what: What) -> Self {
        Self { id: uuid::Uuid::new_v4().to_string(), hook: hook.to_string(), what }
    }
}

impl Store {
    /// Gives an order.
    ///
    /// # Errors
    /// If Redis is not there or refuses.
    pub async fn give_order(&self, order: &Order) -> Result<(), Error> {
        let mut commands = redis::pipe();
        give(&mut commands, order);
        Ok(self.connection.run(&commands).await?)
    }

    /// The oldest order, if there is one. Texts that are none are taken off the list.
    ///
    /// # Errors
    /// If Redis is not there or refuses.
    pub async fn next_order(&self) -> Result<Option<Order>, Error> {
        loop {
            let (text,): (Option<String>,) = self.connection.run(redis::pipe().lindex(ORDERS, 0)).await?;
            let Some(text) = text else { return Ok(None) };
            match serde_json::from_str(&text) {
                Ok(order) => return Ok(Some(order)),
                Err(error) => {
                    warn!(%error, "An order to send events again cannot be read; it is dropped");
                    let () = self.connection.run(redis::pipe().lrem(ORDERS, 1, text).ignore()).await?;
                }
            }
        }
    }

    /// Takes an order off the list, and says what came of it to whoever waits.
    ///
    /// # Errors
    /// If Redis is not there or refuses.
    pub async fn order_done(&self, order: &Order, outcome: &str) -> Result<(), Error> {
        let mut commands = redis::pipe();
        commands.atomic().lrem(ORDERS, 1, to_text(order)).ignore();
        commands.set_ex(outcome_key(&order.id), outcome, OUTCOME_SECONDS).ignore();
        Ok(self.connection.run(&commands).await?)
    }

    /// What came of an order, if it was carried out.
    ///
    /// # Errors
    /// If Redis is not there or refuses.
    pub async fn outcome(&self, order: &Order) -> Result<Option<String>, Error> {
        let (outcome,): (Option<String>,) = self.connection.run(redis::pipe().get(outcome_key(&order.id))).await?;
        Ok(outcome)
    }
}
