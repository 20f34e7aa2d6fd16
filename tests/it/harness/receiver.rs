//! Receivers of callbacks: they record what comes, and answer as they are told.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use sha1::Sha1;
use sha2::Digest;
use sha2::Sha256;
use sha2::Sha384;
use sha2::Sha512;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::form_urlencoded;

use super::wait::eventually;

/// An HTTP server that records every request whole. A path without a script is answered with 200.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    requests: Mutex<Vec<Request>>,
    scripts: Mutex<HashMap<String, VecDeque<Reply>>>,
    /// Texts that are refused, by path.
    refused: Mutex<HashMap<String, String>>,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// As it stood in the request line.
    pub(crate) target: String,
    /// In order, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// When its last byte was here.
    pub(crate) at: Instant,
}

/// How a request is answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    gate: Option<Gate>,
    delay: Duration,
    ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// A short body of the announced length.
    Body,
    /// A body without an end, as fast as it is taken.
    Endless,
    /// A body without an end, a byte now and then.
    Trickle,
    /// No answer, and the connection stays open.
    Hang,
    /// No answer; the connection is closed.
    Close,
    /// No answer; the connection is reset.
    Reset,
}

impl Reply {
    /// An answer with this status, at once.
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), gate: None, delay: Duration::ZERO, ending: Ending::Body }
    }

    /// Success, at once.
    pub(crate) fn ok() -> Self {
        Self::status(200)
    }

    /// A redirect.
    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("location", location)
    }

    /// No answer ever; the connection stays open.
    pub(crate) fn hang() -> Self {
        Self { ending: Ending::Hang, ..Self::ok() }
    }

    /// No answer: the connection is closed.
    pub(crate) fn close() -> Self {
        Self { ending: Ending::Close, ..Self::ok() }
    }

    /// No answer: the connection is reset.
    pub(crate) fn reset() -> Self {
        Self { ending: Ending::Reset, ..Self::ok() }
    }

    /// Success, with a body that never ends.
    pub(crate) fn endless() -> Self {
        Self { ending: Ending::Endless, ..Self::ok() }
    }

    /// Success, with a body that comes byte by byte and never ends.
    pub(crate) fn trickle() -> Self {
        Self { ending: Ending::Trickle, ..Self::ok() }
    }

    /// The same with a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, so much later.
    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The same, once the gate is open.
    pub(crate) fn behind(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }
}

/// Holds answers back until it is opened.
#[derive(Clone, Debug)]
pub(crate) struct Gate(watch::Sender<bool>);

impl Gate {
    /// A closed one.
    pub(crate) fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets all through from now on.
    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    async fn pass(&self) {
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

impl Receiver {
    /// Starts to listen on a free port of 127.0.0.1.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    /// The TCP port, on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of a path here.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on, requests to `path` are answered by these in turn; the last goes on for ever.
    pub(crate) fn answer(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        self.shared.scripts.lock().unwrap().insert(path.to_owned(), replies.into_iter().collect());
    }

    /// From now on, requests to `path` with this text in their body are answered by status 400; none: no more.
    pub(crate) fn refuse(&self, path: &str, text: Option<&str>) {
        let mut refused = self.shared.refused.lock().unwrap();
        match text {
            Some(text) => refused.insert(path.to_owned(), text.to_owned()),
            None => refused.remove(path),
        };
    }

    /// All requests so far, in the order of arrival.
    pub(crate) fn all(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The requests to a path so far.
    pub(crate) fn to(&self, path: &str) -> Vec<Request> {
        self.shared.requests.lock().unwrap().iter().filter(|request| request.path() == path).cloned().collect()
    }

    /// How many requests came to a path so far.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.shared.requests.lock().unwrap().iter().filter(|request| request.path() == path).count()
    }

    /// The ids of the events in the callbacks to a path, in order; raw messages by their name.
    pub(crate) fn ids(&self, path: &str) -> Vec<String> {
        self.to(path).iter().flat_map(Request::ids).collect()
    }

    /// Waits until at least `count` requests have come to a path; gives all of them.
    #[track_caller]
    pub(crate) fn wait(&self, path: &str, count: usize) -> impl Future<Output = Vec<Request>> {
        let what = format!("{count} requests to {path} of {}", self.address);
        eventually(what, async move || Some(self.to(path)).filter(|requests| requests.len() >= count))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        connections.spawn(serve(stream, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

/// Serves one connection until either side has had enough.
async fn serve(stream: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let request = read(&mut stream).await?;
        let path = request.path().to_owned();
        let refused = shared.refused.lock().unwrap().get(&path).is_some_and(|text| request.body.contains(text));
        let reply = if refused {
            Some(Reply::status(400))
        } else {
            let mut scripts = shared.scripts.lock().unwrap();
            match scripts.get_mut(&path) {
                Some(script) if script.len() > 1 => script.pop_front(),
                Some(script) => script.front().cloned(),
                None => None,
            }
        };
        shared.requests.lock().unwrap().push(request);
        let reply = reply.unwrap_or_else(Reply::ok);
        if let Some(gate) = &reply.gate {
            gate.pass().await;
        }
        tokio::time::sleep(reply.delay).await;
        write(&mut stream, &reply).await?;
    }
}

/// Reads a request; `None` when there are no more.
async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut first = lines.first()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<_> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or("0", |(_, length)| length);
    let mut body = vec![0; length.parse().ok()?];
    stream.read_exact(&mut body).await.ok()?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Some(Request { method, target, headers, body, at: Instant::now() })
}

/// Writes an answer; `None` when the connection is of no more use.
async fn write(stream: &mut BufReader<TcpStream>, reply: &Reply) -> Option<()> {
    const BODY: &str = "received";
    match reply.ending {
        Ending::Hang => std::future::pending::<()>().await,
        Ending::Close => return None,
        Ending::Reset => {
            stream.get_ref().set_zero_linger().ok()?;
            return None;
        }
        Ending::Body | Ending::Endless | Ending::Trickle => {}
    }
    let length = if reply.ending == Ending::Body { BODY.len() } else { 10_000_000_000 };
    let headers: String = reply.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("HTTP/1.1 {} Said\r\n{headers}content-length: {length}\r\n\r\n", reply.status);
    stream.write_all(head.as_bytes()).await.ok()?;
    match reply.ending {
        Ending::Endless => loop {
            stream.write_all(&[b'x'; 16 * 1024]).await.ok()?;
        },
        Ending::Trickle => loop {
            stream.write_all(b"x").await.ok()?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        },
        _ => stream.write_all(BODY.as_bytes()).await.ok(),
    }
}

/// What a callback says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Callback {
    pub(crate) domain: String,
    /// The JSON text of the events.
    pub(crate) event: String,
    pub(crate) timestamp: u64,
}

impl Request {
    /// The target without its query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// What the callback says. Panics unless it has the one shape that callbacks have.
    pub(crate) fn callback(&self) -> Callback {
        assert_eq!(self.method, "POST");
        assert_eq!(self.header("content-type"), Some("application/x-www-form-urlencoded;charset=UTF-8"));
        assert_eq!(self.header("content-length"), Some(self.body.len().to_string().as_str()));
        let form: Vec<_> = form_urlencoded::parse(self.body.as_bytes()).into_owned().collect();
        let [domain, event, timestamp] = <[_; 3]>::try_from(form).expect("a callback has three fields");
        assert_eq!((domain.0.as_str(), event.0.as_str(), timestamp.0.as_str()), ("domain", "event", "timestamp"));
        assert_eq!(timestamp.1.len(), 13, "{}", timestamp.1);
        Callback { domain: domain.1, event: event.1, timestamp: timestamp.1.parse().unwrap() }
    }

    /// The events in the callback.
    pub(crate) fn events(&self) -> Vec<Value> {
        let event = self.callback().event;
        serde_json::from_str(&event).unwrap_or_else(|error| panic!("no list of events ({error}): {event}"))
    }

    /// The ids of its events; raw messages by their name.
    pub(crate) fn ids(&self) -> Vec<String> {
        let name = |event: &Value| {
            let found = ["/data/id", "/envelope/name", "/header/name"].iter().find_map(|way| event.pointer(way));
            found.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        self.events().iter().map(name).collect()
    }

    /// The checksum that came with it.
    pub(crate) fn checksum(&self) -> Option<String> {
        let query = self.target.split_once('?')?.1;
        form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "checksum")
            .map(|(_, value)| value.into_owned())
    }

    /// Whether it came to the registered URL with the checksum that URL, body and secret have.
    pub(crate) fn is_signed(&self, url: &str, secret: &str, algorithm: Algorithm) -> bool {
        let checksum = algorithm.hex(&[url, &self.body, secret]);
        let separator = if url.contains('?') { '&' } else { '?' };
        let signed = format!("{url}{separator}checksum={checksum}");
        let origin_and_rest = signed.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
        origin_and_rest.is_some_and(|(_, rest)| self.target == format!("/{rest}"))
    }
}

/// How a checksum is made: here by the crates themselves, not by the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    pub(crate) const ALL: [(&str, Self); 4] =
        [("sha1", Self::Sha1), ("sha256", Self::Sha256), ("sha384", Self::Sha384), ("sha512", Self::Sha512)];

    /// The digest of all parts together.
    pub(crate) fn hex(self, parts: &[&str]) -> String {
        let text = parts.concat();
        match self {
            Self::Sha1 => hex::encode(Sha1::digest(text)),
            Self::Sha256 => hex::encode(Sha256::digest(text)),
            Self::Sha384 => hex::encode(Sha384::digest(text)),
            Self::Sha512 => hex::encode(Sha512::digest(text)),
        }
    }
}
