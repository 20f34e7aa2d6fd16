//! A connection to a Redis server: from its configuration to one that is made anew whenever it broke.

use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::Client;
use redis::ConnectionAddr;
use redis::FromRedisValue;
use redis::IntoConnectionInfo;
use redis::Pipeline;
use redis::RedisConnectionInfo;
use redis::RedisError;
use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tokio::sync::Mutex;
use tracing::warn;

use crate::config::RedisServer;

/// How long to wait for a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long to wait for an answer. Redis may stand still for a while as it forks to save.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of the server; connects to nothing yet.
///
/// # Errors
/// If the configured URL is none that names a Redis server.
pub fn client(server: &RedisServer) -> RedisResult<Client> {
    match server {
        RedisServer::Url(url) => Client::open(url.expose()),
        RedisServer::Tcp { host, port, username, password } => {
            // Never through a URL: a password may hold any character.
            let mut settings = RedisConnectionInfo::default();
            if let Some(username) = username {
                settings = settings.set_username(username);
            }
            if let Some(password) = password {
                settings = settings.set_password(password.expose());
            }
            let address = ConnectionAddr::Tcp(host.clone(), *port);
            Client::open(address.into_connection_info()?.set_redis_settings(settings))
        }
    }
}

/// The server as a log may show it: without user and password.
#[must_use]
pub fn display(client: &Client) -> String {
    client.get_connection_info().addr().to_string()
}

/// A connection for commands. All tasks share it; commands of one go in the order given.
#[derive(Debug)]
pub struct Connection {
    client: Client,
    live: Mutex<Option<MultiplexedConnection>>,
}

impl Connection {
    /// Nothing is connected before the first command.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, live: Mutex::new(None) }
    }

    /// Runs the commands, connecting first if need be.
    ///
    /// # Errors
    /// If there is no connection, or it broke (then some of the commands may have been carried out), or Redis refused.
    pub async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> RedisResult<T> {
        let mut connection = self.connected().await?;
        let answer = commands.query_async(&mut connection).await;
        if answer.as_ref().is_err_and(broke_the_connection) {
            *self.live.lock().await = None;
        }
        answer
    }

    async fn connected(&self) -> RedisResult<MultiplexedConnection> {
        let mut live = self.live.lock().await;
        if let Some(connection) = &*live {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        *live = Some(connection.clone());
        Ok(connection)
    }
}

/// Deletes those of our keys that hold something of another type, which nobody can read: `keys` with the type of each.
///
/// # Errors
/// If Redis is not there or refuses.
pub async fn clear(connection: &Connection, keys: &[(&str, &str)]) -> RedisResult<()> {
    for (key, wanted) in keys {
        let (found,): (String,) = connection.run(redis::pipe().cmd("TYPE").arg(*key)).await?;
        if found != "none" && found != *wanted {
            warn!(key, found, wanted, "This key in Redis is not what it should be; it is deleted");
            let () = connection.run(redis::pipe().del(*key).ignore()).await?;
        }
    }
    Ok(())
}

/// Whether a connection is of no more use: gone, or so far behind that its answers cannot be told apart.
fn broke_the_connection(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error()
}
