//! The daemon: the real program as a process of its own, and its API.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use url::form_urlencoded;

use super::following::Following;
use super::free_port;
use super::process::Process;
use super::receiver::Algorithm;
use super::redis::Redis;
use super::wait::PATIENCE;
use super::wait::eventually;
use super::xml::Element;

/// The secret that every test shares with its daemon.
pub(crate) const SECRET: &str = "s3cret-639259d4-9dd8-4b25-bf01-95f9567eaf4b";

/// The domain that every daemon under test is told to be.
pub(crate) const DOMAIN: &str = "bbb.example.com";

const API: &str = "/bigbluebutton/api/";

/// How a daemon is to be started. Its environment holds nothing but `PATH` and what is said here.
#[derive(Debug)]
pub(crate) struct Setup {
    environment: BTreeMap<String, String>,
    settings: Value,
    folder: TempDir,
    port: u16,
}

impl Setup {
    fn new() -> Self {
        let port = free_port();
        let folder = TempDir::with_prefix("bbb-webhooks-").unwrap();
        let config = folder.path().to_str().unwrap().to_owned();
        let environment = [
            ("NODE_CONFIG_DIR", config.as_str()),
            ("SERVER_BIND_IP", "127.0.0.1"),
            ("SERVER_PORT", &port.to_string()),
            ("SHARED_SECRET", SECRET),
            ("SERVER_DOMAIN", DOMAIN),
            ("LOG_LEVEL", "debug"),
            ("LOG_FORMAT", "text"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { environment, settings: Value::Null, folder, port }
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Unsets an environment variable.
    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Sets a configuration key by its way, dots between the steps (`hooks.retryIntervals`), in `default.yml`.
    pub(crate) fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        let place = key.split('.').fold(&mut self.settings, |place, step| &mut place[step]);
        *place = value.into();
        // JSON is YAML.
        let settings = self.settings.to_string();
        self.file("default.yml", &settings)
    }

    /// Writes a file of the configuration folder.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    /// The configuration folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the API is going to listen.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Starts the daemon, and waits until its API answers.
    pub(crate) async fn start(self) -> Daemon {
        let mut daemon = Daemon { setup: self, running: None, stdout: Output::default(), stderr: Output::default() };
        daemon.start_again().await;
        daemon
    }

    /// The program, ready to be run with this configuration.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.env_clear().envs(&self.environment).args(arguments).current_dir(self.folder.path());
        command
    }

    /// Runs a command of the program, which is to end by itself, with this configuration.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Ended {
        let mut command = self.program(arguments);
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
        let output = output.expect("the program can be run");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs the program, which is to end by itself.
    pub(crate) async fn run(self) -> Ended {
        let mut daemon = Daemon { setup: self, running: None, stdout: Output::default(), stderr: Output::default() };
        daemon.spawn();
        let (status, _) = daemon.ended().await;
        Ended { status, stdout: daemon.stdout.text(), stderr: daemon.stderr.text() }
    }
}

/// The program: that of this build, unless the variable `BBB_WEBHOOKS_PROGRAM` names another.
fn program() -> OsString {
    std::env::var_os("BBB_WEBHOOKS_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_bbb-webhooks").into())
}

/// What came of a program that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Of what a process writes, at least so much is kept, and at most twice that.
const KEPT: usize = 16 << 20;

/// What a process wrote so far, or the last of it; of all its lives together.
#[derive(Clone, Debug, Default)]
pub(super) struct Output(Arc<Mutex<String>>);

impl Output {
    pub(super) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    /// Takes in all that comes, in a thread: the process must never wait for its reader.
    pub(super) fn take_in(&self, from: impl Read + Send + 'static) -> JoinHandle<()> {
        let output = self.clone();
        std::thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let mut text = output.0.lock().unwrap();
                text.push_str(&String::from_utf8_lossy(&line));
                if text.len() > 2 * KEPT {
                    let first = text.len() - KEPT;
                    let end = (0..=first).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
                    text.drain(..end);
                }
                line.clear();
            }
        })
    }
}

/// The running daemon. It is killed when dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    setup: Setup,
    running: Option<Running>,
    stdout: Output,
    stderr: Output,
}

#[derive(Debug)]
struct Running {
    child: Child,
    readers: [JoinHandle<()>; 2],
}

impl Running {
    /// After the process ended: waits until all that it wrote is here.
    fn join(self) {
        for reader in self.readers {
            let _ = reader.join();
        }
    }
}

impl Daemon {
    /// A daemon on this Redis.
    pub(crate) fn on(redis: &Redis) -> Setup {
        Self::without_redis().env("REDIS_HOST", "127.0.0.1").env("REDIS_PORT", &redis.port().to_string())
    }

    /// A daemon that is not told where Redis is.
    pub(crate) fn without_redis() -> Setup {
        Setup::new()
    }

    /// Starts it again, after it ended, with the same port and configuration.
    pub(crate) async fn start_again(&mut self) {
        self.spawn();
        self.answers().await;
    }

    /// Waits until its API answers.
    pub(crate) async fn answers(&mut self) {
        let start = Instant::now();
        loop {
            let running = self.running.as_mut().expect("it was just started");
            if let Some(status) = running.child.try_wait().unwrap() {
                panic!("the daemon did not start: {status}\n{}", self.said());
            }
            // Somebody answers, and our process has not ended for want of the port.
            if let Some(answer) = self.try_request("GET", &format!("{API}hooks/ping")).await
                && answer.body == "bbb-webhooks API up!"
            {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "the daemon does not answer a ping\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops it as systemd does and starts it again.
    pub(crate) async fn restart(&mut self) {
        let (status, _) = self.terminate().await;
        assert!(status.success(), "{status}\n{}", self.said());
        self.start_again().await;
    }

    /// Runs another command of the program beside the running daemon, with the same configuration.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Ended {
        self.setup.command(arguments).await
    }

    /// Starts another command of the program, which goes on until it is told to stop.
    pub(crate) fn follow(&self, arguments: &[&str]) -> Following {
        Following::start(self.setup.program(arguments))
    }

    /// Starts it again, without waiting for anything.
    pub(crate) fn spawn(&mut self) {
        assert!(self.running.is_none(), "this daemon runs");
        let mut command = Command::new(program());
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(&self.setup.environment).current_dir(self.setup.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be run");
        let readers = [
            self.stdout.take_in(child.stdout.take().expect("it is piped")),
            self.stderr.take_in(child.stderr.take().expect("it is piped")),
        ];
        self.running = Some(Running { child, readers });
    }

    /// How the daemon is configured: change it between two lives.
    pub(crate) fn configure(&mut self, change: impl FnOnce(Setup) -> Setup) {
        assert!(self.running.is_none(), "this daemon runs");
        let setup = std::mem::replace(&mut self.setup, Setup::new());
        self.setup = change(setup);
    }

    /// Sends SIGTERM, and waits for the end: the exit status and how long it took.
    pub(crate) async fn terminate(&mut self) -> (ExitStatus, Duration) {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let running = self.running.as_ref().expect("this daemon runs");
        kill_process(Pid::from_child(&running.child), signal).unwrap();
    }

    /// Waits for the end: the exit status and how long it took from now.
    pub(crate) async fn ended(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        let mut running = self.running.take().expect("this daemon runs");
        let status = loop {
            if let Some(status) = running.child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > PATIENCE {
                self.running = Some(running);
                panic!("the daemon does not end\n{}", self.said());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        running.join();
        (status, start.elapsed())
    }

    /// Whether its process is still there.
    pub(crate) fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(|running| running.child.try_wait().unwrap().is_none())
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
            running.join();
        }
    }

    /// Its log so far, of all its lives.
    pub(crate) fn log(&self) -> String {
        self.stdout.text()
    }

    /// What it wrote to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until its log has `text`.
    #[track_caller]
    pub(crate) fn logs(&self, text: &str) -> impl Future<Output = ()> {
        super::wait::until(format!("the daemon logs {text:?}"), async move || self.log().contains(text))
    }

    fn said(&self) -> String {
        format!("its log:\n{}\nits standard error:\n{}", last_lines(&self.log(), 60), last_lines(&self.stderr(), 20))
    }

    /// Its process.
    pub(crate) fn process(&self) -> Process {
        Process(self.running.as_ref().expect("this daemon runs").child.id())
    }

    /// The CPU time that it has used, of all its threads.
    pub(crate) fn cpu_time(&self) -> Duration {
        self.process().cpu_time().unwrap()
    }

    /// The memory that it holds, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.process().memory().unwrap()
    }

    /// How many files and connections it has open.
    pub(crate) fn descriptors(&self) -> usize {
        self.process().descriptors().unwrap()
    }

    /// Its configuration folder.
    pub(crate) fn folder(&self) -> PathBuf {
        self.setup.folder.path().to_owned()
    }

    /// Where its API listens.
    pub(crate) fn address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.setup.port)
    }

    /// Sends a request, target and all byte for byte.
    pub(crate) async fn request(&self, method: &str, target: &str) -> Answer {
        let answer = self.try_request(method, target).await;
        answer.unwrap_or_else(|| panic!("no answer to {method} {target}\n{}", self.said()))
    }

    /// GETs a target, byte for byte.
    pub(crate) async fn raw_get(&self, target: &str) -> Answer {
        self.request("GET", target).await
    }

    async fn try_request(&self, method: &str, target: &str) -> Option<Answer> {
        ask(self.setup.port, method, target).await
    }

    /// Calls the API with parameters and their checksum.
    pub(crate) async fn call(&self, method: &str, parameters: &[(&str, &str)]) -> Answer {
        self.raw_get(&target(method, parameters)).await
    }

    /// Asks for a hook and does not wait for the answer: drop the connection to give up.
    pub(crate) async fn begin_create(&self, url: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        let head =
            format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", target("hooks/create", &[("callbackURL", url)]));
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    /// Asks for a hook.
    pub(crate) async fn try_create(&self, url: &str, parameters: &[(&str, &str)]) -> Answer {
        self.call("hooks/create", &[&[("callbackURL", url)], parameters].concat()).await
    }

    /// Creates a hook; its id.
    pub(crate) async fn create(&self, url: &str, parameters: &[(&str, &str)]) -> String {
        let answer = self.try_create(url, parameters).await;
        let id = (answer.message_key().is_none()).then(|| answer.text_of("hookID")).flatten();
        id.unwrap_or_else(|| panic!("no hook was created: {}\n{}", answer.body, self.said()))
    }

    /// Asks for a hook to be destroyed.
    pub(crate) async fn destroy(&self, id: &str) -> Answer {
        self.call("hooks/destroy", &[("hookID", id)]).await
    }

    /// The list of hooks, as the API gives it.
    pub(crate) async fn list(&self) -> String {
        self.call("hooks/list", &[]).await.body
    }

    /// The hooks listed.
    pub(crate) async fn hooks(&self) -> Vec<Listed> {
        let answer = self.call("hooks/list", &[]).await;
        assert_eq!(answer.text_of("returncode").as_deref(), Some("SUCCESS"), "{}", answer.body);
        let hooks = answer.xml().children.into_iter().find(|child| child.name == "hooks").expect("a list has hooks");
        hooks.children.iter().map(Listed::of).collect()
    }

    /// The ids of the hooks listed.
    pub(crate) async fn ids(&self) -> Vec<String> {
        self.hooks().await.into_iter().map(|hook| hook.id).collect()
    }

    /// Waits until the API knows its hooks.
    pub(crate) async fn knows_its_hooks(&self) {
        eventually("the API knows its hooks", async || {
            let answer = self.call("hooks/list", &[]).await;
            (answer.text_of("returncode")? == "SUCCESS").then_some(())
        })
        .await;
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("{}", self.said());
        }
    }
}

fn last_lines(text: &str, most: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(most)..].join("\n")
}

/// A hook as `hooks/list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) meeting: Option<String>,
    pub(crate) events: Option<String>,
    pub(crate) permanent: bool,
    pub(crate) raw: bool,
}

impl Listed {
    fn of(hook: &Element) -> Self {
        let text = |name: &str| hook.text_of(name).map(str::to_owned);
        Self {
            id: text("hookID").expect("a hook has an id"),
            url: text("callbackURL").expect("a hook has a URL"),
            meeting: text("meetingID"),
            events: text("eventID"),
            permanent: text("permanentHook").as_deref() == Some("true"),
            raw: text("rawData").as_deref() == Some("true"),
        }
    }
}

/// What a signed call of the API asks for.
fn target(method: &str, parameters: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let checksum = api_checksum(Algorithm::Sha1, method, &query);
    let separator = if query.is_empty() { "" } else { "&" };
    format!("{API}{method}?{query}{separator}checksum={checksum}")
}

/// The checksum of an API call.
pub(crate) fn api_checksum(algorithm: Algorithm, method: &str, query: &str) -> String {
    algorithm.hex(&[method, query, SECRET])
}

/// An answer of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In order, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Some(Self { status, headers, body: body.to_owned() })
    }

    /// A header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as XML.
    pub(crate) fn xml(&self) -> Element {
        Element::parse(&self.body).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The text of an element of the response.
    pub(crate) fn text_of(&self, path: &str) -> Option<String> {
        self.xml().text_of(path).map(str::to_owned)
    }

    /// The `messageKey`, which failures have, and warnings.
    pub(crate) fn message_key(&self) -> Option<String> {
        self.text_of("messageKey")
    }
}

/// One request to a port of 127.0.0.1, on a connection of its own.
async fn ask(port: u16, method: &str, target: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let head =
        format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.ok()?.ok()?;
    Answer::parse(&String::from_utf8_lossy(&bytes))
}

/// GETs a target of whatever listens on a port of 127.0.0.1, if anything does.
pub(crate) async fn try_get(port: u16, target: &str) -> Option<Answer> {
    ask(port, "GET", target).await
}

/// GETs a target of whatever listens on a port of 127.0.0.1.
pub(crate) async fn get(port: u16, target: &str) -> Answer {
    try_get(port, target).await.unwrap_or_else(|| panic!("no answer from port {port} to {target}"))
}
