//! A connection to a Redis server: from its configuration to one that is made anew whenever it broke.

use std::io;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::future::Shared;
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
    live: Mutex<Live>,
}

/// An attempt to connect, and its outcome for all who wait for it.
type Connecting = Shared<BoxFuture<'static, RedisResult<MultiplexedConnection>>>;

/// The last attempt to connect, which is the connection too if it succeeded.
#[derive(Debug, Default)]
struct Live {
    last: Option<Connecting>,
    /// How many attempts there were: names the last.
    attempts: u64,
}

impl Connection {
    /// Nothing is connected before the first command.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, live: Mutex::default() }
    }

    /// Runs the commands, connecting first if need be.
    ///
    /// # Errors
    /// If there is no connection, or it broke (then some of the commands may have been carried out), or Redis refused.
    pub async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> RedisResult<T> {
        let (attempt, connecting) = self.connecting();
        let answer = commands.query_async(&mut connecting.await?).await;
        if answer.as_ref().is_err_and(broke_the_connection) {
            self.forget(attempt);
        }
        answer
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The attempt to connect that is under way or succeeded, or else a new one; and its name. All who come while it lasts
    /// share its outcome: a server that lets them wait lets each wait once.
    fn connecting(&self) -> (u64, Connecting) {
        let mut live = self.live();
        let last = live.last.take().filter(|last| !matches!(last.peek(), Some(Err(_))));
        let connecting = last.unwrap_or_else(|| {
            live.attempts += 1;
            // In a task of its own: it goes on when those who wait for it have gone.
            let attempt = tokio::spawn(connect(self.client.clone()));
            let outcome = async { attempt.await.unwrap_or_else(|error| Err(io::Error::other(error).into())) };
            outcome.boxed().shared()
        });
        live.last = Some(connecting.clone());
        (live.attempts, connecting)
    }

    /// Makes the next command connect anew, unless that was done since this attempt.
    fn forget(&self, attempt: u64) {
        let mut live = self.live();
        if live.attempts == attempt {
            live.last = None;
        }
    }
}

async fn connect(client: Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT));
    client.get_multiplexed_async_connection_with_config(&config).await
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio::net::TcpStream;
    use tokio::time::Instant;

    use super::*;

    async fn listener() -> (TcpListener, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        (listener, Connection::new(Client::open(url).unwrap()))
    }

    /// Answers every command with OK.
    async fn answer(mut stream: TcpStream) {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut bytes).await {
            let commands = bytes[..read].iter().filter(|byte| **byte == b'*').count();
            if stream.write_all(&b"+OK\r\n".repeat(commands)).await.is_err() {
                return;
            }
        }
    }

    async fn ping(connection: &Connection) -> RedisResult<(String,)> {
        connection.run(redis::pipe().cmd("PING")).await
    }

    #[tokio::test]
    async fn all_who_come_while_it_is_tried_share_one_attempt() {
        let (_swallows, connection) = listener().await;
        let begun = Instant::now();
        let outcomes = futures_util::future::join_all((0..5).map(|_| ping(&connection))).await;
        assert!(outcomes.iter().all(Result::is_err));
        assert!(begun.elapsed() < 2 * CONNECT_TIMEOUT, "{:?}", begun.elapsed());
        assert_eq!(connection.live().attempts, 1);
    }

    #[tokio::test]
    async fn after_a_failure_it_is_tried_anew() {
        let (listener, connection) = listener().await;
        tokio::spawn(async move {
            drop(listener.accept().await.unwrap());
            answer(listener.accept().await.unwrap().0).await;
        });
        assert!(ping(&connection).await.is_err());
        assert_eq!(ping(&connection).await.unwrap().0, "OK");
    }

    #[tokio::test]
    async fn a_connection_that_broke_takes_no_later_one_with_it() {
        let (listener, connection) = listener().await;
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Relaxed);
                tokio::spawn(answer(stream));
            }
        });
        ping(&connection).await.unwrap();
        let (first, _) = connection.connecting();
        connection.forget(first);
        ping(&connection).await.unwrap();
        // Somebody else finds only now that the first is broken.
        connection.forget(first);
        ping(&connection).await.unwrap();
        assert_eq!(accepted.load(Relaxed), 2);
        let (second, _) = connection.connecting();
        connection.forget(second);
        ping(&connection).await.unwrap();
        assert_eq!(accepted.load(Relaxed), 3);
    }
}
