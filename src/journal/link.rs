//! The writer's connection to Redis: transactions that are applied wholly, once, and only to a Redis that is as we left it.
//!
//! Every transaction writes the epoch, `<process>:<commit>`, and renews the lease; both keys are watched in between. So a
//! Redis that lost or forgot something meanwhile, or that somebody else wrote to, refuses the transaction instead of taking
//! it on wrong premises. After a lost reply the epoch tells whether the transaction was applied.

use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::Client;
use redis::Pipeline;
use redis::RedisError;
use redis::RedisResult;
use redis::ServerError;
use redis::Value;
use redis::aio::MultiplexedConnection;
use tracing::debug;

use crate::connection::CONNECT_TIMEOUT;
use crate::journal::holder;

const EPOCH: &str = "bigbluebutton:webhooks:out:epoch";
const LEASE: &str = "bigbluebutton:webhooks:out:lease";

/// How long the lease lasts when it is not renewed, in ms. It is renewed every second.
const LEASE_MS: u64 = 5000;

/// How long Redis may take for a transaction.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What came of a transaction.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was applied.
    Applied,
    /// Redis refused it, as it does when its disk is full. Nothing was applied.
    Refused(String),
    /// Redis cannot be reached, or did not answer. It may have been applied: try the same again.
    Unreachable(RedisError),
    /// Redis is not as we left it: it was emptied, or is older.
    Surprise(String),
    /// Part of the transaction failed, the rest was applied.
    InPart(String),
    /// Another daemon holds the lease.
    Usurped(String),
}

/// Whether Redis is as we left it.
enum Found {
    AsLeft,
    /// With the transaction applied whose reply was lost.
    WithTheLast,
    Other(Outcome),
}

/// What came of sending a transaction.
enum Transacted {
    Ended(Outcome),
    /// Nothing was applied: epoch or lease changed since they were looked at.
    Watched,
}

/// How often a transaction is sent that is not applied because the epoch or the lease changed.
const TRIES: usize = 3;

/// The connection.
pub(super) struct Link {
    client: Client,
    /// Goes with transactions that are otherwise empty: fails if another type stands under a key of the journal.
    probe: Pipeline,
    connection: Option<MultiplexedConnection>,
    /// Names this process in the lease.
    holder: String,
    /// Names this process in the epoch.
    process: String,
    /// How many transactions were applied.
    commits: u64,
    uncertain: Uncertain,
}

/// Whether the reply to the last transaction was lost, so that it may be applied or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Uncertain {
    No,
    /// It was, and there was nothing in it but the epoch and the lease: applied or not, the next may follow.
    Empty,
    /// It was: the same commands are to be tried again.
    Commands,
}

impl Link {
    pub(super) fn new(client: Client, probe: Pipeline) -> Self {
        let process = uuid::Uuid::new_v4().to_string();
        Self {
            client,
            probe,
            connection: None,
            holder: holder::this(&process),
            process,
            commits: 0,
            uncertain: Uncertain::No,
        }
    }

    /// For how long no other daemon's lease was renewed, in ms; none if there is none.
    pub(super) async fn others_silence(&mut self) -> RedisResult<Option<u64>> {
        let mut connection = self.connect().await?;
        let left: i64 = redis::cmd("PTTL").arg(LEASE).query_async(&mut connection).await?;
        Ok(u64::try_from(left).ok().map(|left| LEASE_MS.saturating_sub(left)))
    }

    /// Takes the lease if it is free, expired, or held by a process of this machine that is no more. Gives its holder if
    /// it is another.
    pub(super) async fn take_lease(&mut self) -> RedisResult<Option<String>> {
        let mut connection = self.connect().await?;
        let held = redis::cmd("GET").arg(LEASE).query_async(&mut connection).await;
        let held: Option<String> = match held {
            // What is no text is nobody's lease.
            Err(error) if is_wrong_type(&error) => {
                redis::cmd("DEL").arg(LEASE).query_async::<()>(&mut connection).await?;
                None
            }
            held => held?,
        };
        if let Some(other) = held.filter(|held| *held != self.holder) {
            if !holder::is_gone(&other) {
                return Ok(Some(other));
            }
            self.delete_lease_of(&other).await?;
        }
        let mut command = redis::cmd("SET");
        command.arg(LEASE).arg(&self.holder).arg("NX").arg("PX").arg(LEASE_MS);
        let _set: Value = command.query_async(&mut connection).await?;
        let held: Option<String> = redis::cmd("GET").arg(LEASE).query_async(&mut connection).await?;
        Ok(held.filter(|held| *held != self.holder))
    }

    /// Begins: from here on Redis is as we leave it.
    pub(super) async fn begin(&mut self) -> Outcome {
        self.replace(&redis::pipe()).await
    }

    /// Applies the commands to a Redis that is as we left it. If it becomes unreachable meanwhile and there are commands,
    /// the next ones must be the same.
    pub(super) async fn apply(&mut self, commands: &Pipeline) -> Outcome {
        for _ in 0..TRIES {
            match self.look().await {
                Ok(Found::AsLeft) => match self.transact(commands).await {
                    // As when the lease expired while this machine slept. If that is all, Redis is as we left it.
                    Transacted::Watched => {}
                    Transacted::Ended(outcome) => return outcome,
                },
                Ok(Found::WithTheLast) => return Outcome::Applied,
                Ok(Found::Other(outcome)) => {
                    // The next look compares anew.
                    self.connection = None;
                    return outcome;
                }
                Err(error) => return self.lost(error),
            }
        }
        Outcome::Refused("somebody else changes the epoch or the lease all the time".to_owned())
    }

    /// Applies the commands to a Redis as it may be, as long as the lease is ours or free.
    pub(super) async fn replace(&mut self, commands: &Pipeline) -> Outcome {
        self.connection = None;
        self.uncertain = Uncertain::No;
        match self.take_lease().await {
            Ok(None) => {}
            Ok(Some(other)) => return Outcome::Usurped(other),
            Err(error) if is_refusal(&error) => return Outcome::Refused(error.to_string()),
            Err(error) => return self.lost(error),
        }
        let watched: RedisResult<()> = async {
            let mut connection = self.connect().await?;
            redis::cmd("WATCH").arg(LEASE).query_async(&mut connection).await
        }
        .await;
        match watched {
            Ok(()) => match self.transact(commands).await {
                Transacted::Ended(outcome) => outcome,
                Transacted::Watched => Outcome::Refused("somebody else changed the lease".to_owned()),
            },
            Err(error) => self.lost(error),
        }
    }

    /// Gives the lease back, if it is ours and Redis is there. If not, it expires.
    pub(super) async fn release(&mut self) {
        let ours = self.holder.clone();
        if let Err(error) = self.delete_lease_of(&ours).await {
            debug!(%error, "The lease could not be given back; it expires");
        }
    }

    /// Deletes the lease if it is still this holder's: another may have been quicker.
    async fn delete_lease_of(&mut self, holder: &str) -> RedisResult<()> {
        const SCRIPT: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end";
        let mut connection = self.connect().await?;
        let mut command = redis::cmd("EVAL");
        command.arg(SCRIPT).arg(1).arg(LEASE).arg(holder);
        command.query_async(&mut connection).await
    }

    async fn connect(&mut self) -> RedisResult<MultiplexedConnection> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        self.connection = Some(connection.clone());
        Ok(connection)
    }

    /// On a new connection: watches, and compares epoch and lease with what we left.
    async fn look(&mut self) -> RedisResult<Found> {
        if self.connection.is_some() {
            return Ok(Found::AsLeft);
        }
        let mut connection = self.connect().await?;
        let mut commands = redis::pipe();
        commands.ignore_errors().cmd("WATCH").arg(LEASE).arg(EPOCH).ignore().get(EPOCH).get(LEASE);
        let found: (RedisResult<Option<String>>, RedisResult<Option<String>>) =
            commands.query_async(&mut connection).await?;
        let (epoch, lease) = match found {
            (Ok(epoch), Ok(lease)) => (epoch, lease),
            // As when something of another type stands there.
            (Err(error), _) | (_, Err(error)) => return Ok(Found::Other(Outcome::Surprise(error.to_string()))),
        };
        if let Some(other) = lease.filter(|held| *held != self.holder) {
            // An older Redis brings back the lease of an earlier life, and the dead take over nothing.
            return Ok(Found::Other(match holder::is_gone(&other) {
                true => Outcome::Surprise("its lease is that of a process that is no more".to_owned()),
                false => Outcome::Usurped(other),
            }));
        }
        let epoch = epoch.unwrap_or_default();
        if epoch == self.epoch(self.commits) {
            return Ok(Found::AsLeft);
        }
        if epoch != self.epoch(self.commits + 1) {
            return Ok(Found::Other(Outcome::Surprise(format!("its epoch is {epoch:?}"))));
        }
        match self.uncertain {
            Uncertain::No => Ok(Found::Other(Outcome::Surprise(format!("its epoch is {epoch:?} already")))),
            Uncertain::Empty => {
                self.commits += 1;
                Ok(Found::AsLeft)
            }
            Uncertain::Commands => {
                self.uncertain = Uncertain::No;
                self.commits += 1;
                Ok(Found::WithTheLast)
            }
        }
    }

    fn epoch(&self, commit: u64) -> String {
        format!("{}:{commit}", self.process)
    }

    async fn transact(&mut self, commands: &Pipeline) -> Transacted {
        let mut transaction = redis::pipe();
        transaction.ignore_errors().cmd("MULTI");
        let commands_or_probe = if commands.is_empty() { &self.probe } else { commands };
        for command in commands_or_probe.cmd_iter() {
            transaction.add_command(command.clone());
        }
        transaction.cmd("SET").arg(LEASE).arg(&self.holder).arg("PX").arg(LEASE_MS);
        transaction.cmd("SET").arg(EPOCH).arg(self.epoch(self.commits + 1));
        transaction.cmd("EXEC");
        transaction.cmd("WATCH").arg(LEASE).arg(EPOCH);
        let mut connection = match self.connect().await {
            Ok(connection) => connection,
            Err(error) => return Transacted::Ended(self.lost(error)),
        };
        self.uncertain = if commands.is_empty() { Uncertain::Empty } else { Uncertain::Commands };
        let mut replies = match transaction.query_async::<Vec<Value>>(&mut connection).await {
            Ok(replies) => replies,
            Err(error) => return Transacted::Ended(self.lost(error)),
        };
        self.uncertain = Uncertain::No;
        let _watch = replies.pop();
        let outcome = match replies.pop() {
            Some(Value::Array(replies)) => match replies.into_iter().find_map(server_error) {
                None => Outcome::Applied,
                Some(error) => Outcome::InPart(format!("a command in a transaction failed: {error}")),
            },
            Some(Value::Nil) => {
                self.connection = None;
                return Transacted::Watched;
            }
            Some(Value::ServerError(error)) => {
                let first = replies.into_iter().find_map(server_error);
                Outcome::Refused(first.unwrap_or_else(|| describe(&error)))
            }
            other => Outcome::Surprise(format!("it answered a transaction with {other:?}")),
        };
        match outcome {
            Outcome::Applied => self.commits += 1,
            // The next look compares anew.
            _ => self.connection = None,
        }
        Transacted::Ended(outcome)
    }

    fn lost(&mut self, error: RedisError) -> Outcome {
        self.connection = None;
        Outcome::Unreachable(error)
    }
}

fn is_refusal(error: &RedisError) -> bool {
    error.code().is_some()
}

fn is_wrong_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}

fn server_error(value: Value) -> Option<String> {
    match value {
        Value::ServerError(error) => Some(describe(&error)),
        _ => None,
    }
}

fn describe(error: &ServerError) -> String {
    format!("{} {}", error.code(), error.details().unwrap_or_default())
}
