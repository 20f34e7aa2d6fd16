//! A Redis server of a test's own.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use redis::AsyncConnectionConfig;
use redis::Client;
use redis::Cmd;
use redis::ConnectionAddr;
use redis::FromRedisValue;
use redis::IntoConnectionInfo;
use redis::RedisConnectionInfo;
use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use redis::cmd;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use tempfile::TempDir;
use tokio::time::Instant;

use super::free_port;
use super::messages::Message;
use super::wait::PATIENCE;
use super::wait::until;

/// A channel to which every daemon subscribes that was not told otherwise.
const A_CHANNEL: &str = "from-akka-apps-redis-channel";

/// A real `redis-server` on a port of its own, without persistence but for [`Redis::save`]. It is killed when dropped.
#[derive(Debug)]
pub(crate) struct Redis {
    port: u16,
    password: Option<String>,
    arguments: Vec<String>,
    folder: TempDir,
    running: Option<(Child, MultiplexedConnection)>,
}

impl Redis {
    /// A server as it comes.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[], None).await
    }

    /// A server with further command line arguments; `password` is its `requirepass`, which this harness needs too.
    pub(crate) async fn start_with(arguments: &[&str], password: Option<&str>) -> Self {
        let mut server = Self::not_started(arguments, password);
        server.start_again().await;
        server
    }

    /// A server that is not there yet: its port refuses connections until [`Redis::start_again`].
    pub(crate) fn not_started(arguments: &[&str], password: Option<&str>) -> Self {
        Self {
            port: free_port(),
            password: password.map(str::to_owned),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            folder: TempDir::with_prefix("redis-").unwrap(),
            running: None,
        }
    }

    /// The TCP port, on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The folder in which the server runs: for a socket, say.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Starts the server on the same port as ever, with what was last saved.
    pub(crate) async fn start_again(&mut self) {
        assert!(self.running.is_none(), "this Redis runs");
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let mut child = self.spawn();
            if let Some(connection) = self.answers(&mut child).await {
                self.running = Some((child, connection));
                return;
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("redis-server does not start on port {}:\n{log}", self.port);
    }

    /// Starts the server without any data.
    pub(crate) async fn start_empty(&mut self) {
        let _ = std::fs::remove_file(self.folder.path().join("dump.rdb"));
        self.start_again().await;
    }

    fn spawn(&self) -> Child {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.args(["--logfile", "log", "--dir"]).arg(self.folder.path());
        if let Some(password) = &self.password {
            command.args(["--requirepass", password]);
        }
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("redis-server is on the PATH")
    }

    /// Waits until the server answers PING. `None` if it ended instead: its port may be taken.
    async fn answers(&self, child: &mut Child) -> Option<MultiplexedConnection> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE && child.try_wait().unwrap().is_none() {
            if let Ok(connection) = self.connect(child.id()).await {
                return Some(connection);
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        None
    }

    /// A connection to this very process.
    async fn connect(&self, process: u32) -> RedisResult<MultiplexedConnection> {
        let mut settings = RedisConnectionInfo::default();
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        let address = ConnectionAddr::Tcp("127.0.0.1".to_owned(), self.port);
        let client = Client::open(address.into_connection_info()?.set_redis_settings(settings))?;
        // A busy machine may take longer than the half second that is the default.
        let patient = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        let mut connection = client.get_multiplexed_async_connection_with_config(&patient).await?;
        let _: String = cmd("PING").query_async(&mut connection).await?;
        let info: String = cmd("INFO").arg("server").query_async(&mut connection).await?;
        match info.contains(&format!("process_id:{process}\r\n")) {
            true => Ok(connection),
            false => Err((redis::ErrorKind::Client, "another server has this port").into()),
        }
    }

    /// Writes the data to disk, where [`Redis::start_again`] finds it.
    pub(crate) async fn save(&self) {
        let _: String = self.run(&cmd("SAVE")).await;
    }

    /// Sends it a signal: to freeze it, say.
    pub(crate) fn signal(&self, signal: Signal) {
        let (child, _) = self.running.as_ref().expect("this Redis runs");
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Sets a parameter of the running server.
    pub(crate) async fn configure(&self, name: &str, value: &str) {
        let _: String = self.run(cmd("CONFIG").arg("SET").arg(name).arg(value)).await;
    }

    /// Kills the server. What was not saved is lost.
    pub(crate) fn kill(&mut self) {
        if let Some((mut child, _)) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Saves the data and stops the server.
    pub(crate) async fn stop(&mut self) {
        self.save().await;
        self.kill();
    }

    /// Runs a command.
    #[track_caller]
    pub(crate) fn run<T: FromRedisValue>(&self, command: &Cmd) -> impl Future<Output = T> {
        let caller = std::panic::Location::caller();
        let mut connection = self.running.as_ref().expect("this Redis runs").1.clone();
        let command = command.clone();
        async move {
            let answer = command.query_async(&mut connection).await;
            answer.unwrap_or_else(|error| panic!("{caller}: Redis refuses {:?}: {error}", command.get_packed_command()))
        }
    }

    /// Runs commands.
    pub(crate) async fn run_all(&self, commands: &redis::Pipeline) {
        let mut connection = self.running.as_ref().expect("this Redis runs").1.clone();
        commands.exec_async(&mut connection).await.expect("Redis carries the commands out");
    }

    /// Publishes a message as BigBlueButton does. Gives the number of subscribers that it went to.
    pub(crate) async fn publish(&self, message: &Message) -> u64 {
        self.publish_on(message.channel, &message.json).await
    }

    /// Publishes messages in order.
    pub(crate) async fn publish_all(&self, messages: &[Message]) {
        for message in messages {
            self.publish(message).await;
        }
    }

    /// Publishes bytes on a channel. Gives the number of subscribers that they went to.
    pub(crate) async fn publish_on(&self, channel: &str, message: &str) -> u64 {
        self.run(cmd("PUBLISH").arg(channel).arg(message)).await
    }

    /// Waits until somebody is subscribed to BigBlueButton's channels.
    pub(crate) async fn has_a_subscriber(&self) {
        until("a subscriber", async || {
            let (_, count): (String, u64) = self.run(cmd("PUBSUB").arg("NUMSUB").arg(A_CHANNEL)).await;
            count > 0
        })
        .await;
    }

    /// How often a command was carried out, by its name in lower case.
    pub(crate) async fn calls(&self, command: &str) -> u64 {
        let stats: String = self.run(cmd("INFO").arg("commandstats")).await;
        let start = format!("cmdstat_{command}:calls=");
        let calls = stats.lines().find_map(|line| line.strip_prefix(&start)?.split(',').next());
        calls.map_or(0, |calls| calls.parse().unwrap())
    }

    /// A hash; empty if there is none.
    pub(crate) async fn hash(&self, key: &str) -> BTreeMap<String, String> {
        self.run(cmd("HGETALL").arg(key)).await
    }

    /// A set; empty if there is none.
    pub(crate) async fn set(&self, key: &str) -> BTreeSet<String> {
        self.run(cmd("SMEMBERS").arg(key)).await
    }

    /// Makes a set and, for each member, a hash under `prefix:member`: how hooks and mappings are kept.
    pub(crate) async fn put(&self, set: &str, prefix: &str, id: &str, fields: &[(&str, &str)]) {
        let _: i64 = self.run(cmd("SADD").arg(set).arg(id)).await;
        if !fields.is_empty() {
            let _: i64 = self.run(cmd("HSET").arg(format!("{prefix}:{id}")).arg(fields)).await;
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
