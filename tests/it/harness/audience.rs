//! An audience: the receivers of many hooks. It remembers little of each callback, so it can take hundreds of thousands,
//! and it misbehaves as told.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

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

use super::free_port;
use super::load::MARK;
use super::wait::PATIENCE;
use super::wait::eventually;
use super::wait::until;

/// What is done about one callback, after a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It is answered with 200.
    Take,
    /// It is answered with this status.
    Refuse(u16),
    /// It is answered with 503 and a `Retry-After` of so many seconds.
    Later(u64),
    /// It is never answered.
    Hang,
    /// It is answered with 200 and a body that comes byte by byte and never ends.
    Trickle,
    /// The connection is reset.
    Reset,
}

/// An event that came with a callback.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// The number in the path of the hook.
    pub(crate) hook: usize,
    /// The mark of its event.
    pub(crate) mark: usize,
    /// In which of the daemon's lives it was sent.
    pub(crate) life: usize,
    /// When its last byte was here.
    pub(crate) at: Instant,
    /// What is done about it.
    pub(crate) deed: Deed,
}

/// The marks of the events in the body of a callback.
type Reading = fn(&str) -> Vec<usize>;

/// Decides what is done about the callback of a mark to a hook, and after which while. Of several marks, the first decides.
type Manners = Box<dyn Fn(usize, usize) -> (Deed, Duration) + Send + Sync>;

/// The receivers.
#[derive(Debug)]
pub(crate) struct Audience {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    reading: Reading,
    manners: Mutex<Arc<Manners>>,
    arrivals: Mutex<Vec<Arrival>>,
    life: AtomicUsize,
    connections: AtomicUsize,
    /// Whether it listens.
    open: watch::Sender<bool>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("arrivals", &self.arrivals().len()).finish_non_exhaustive()
    }
}

impl Shared {
    fn arrivals(&self) -> MutexGuard<'_, Vec<Arrival>> {
        self.arrivals.lock().unwrap()
    }
}

impl Audience {
    /// Starts to listen, and takes everything at once.
    pub(crate) async fn start() -> Self {
        Self::reading(|body| mark_of(body).into_iter().collect()).await
    }

    /// The same, of callbacks whose marks are read otherwise.
    pub(crate) async fn reading(reading: Reading) -> Self {
        let listener = loop {
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", free_port())).await {
                break listener;
            }
        };
        let address = listener.local_addr().unwrap();
        let take_all: Manners = Box::new(|_, _| (Deed::Take, Duration::ZERO));
        let shared = Arc::new(Shared {
            reading,
            manners: Mutex::new(Arc::new(take_all)),
            arrivals: Mutex::default(),
            life: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            open: watch::Sender::new(true),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    /// Listens no more. Whoever waits for an answer gets it; what is done is done.
    pub(crate) fn close(&self) {
        self.shared.open.send_replace(false);
    }

    /// Whether it listens.
    pub(crate) fn is_open(&self) -> bool {
        *self.shared.open.borrow()
    }

    /// Listens again, where it did before.
    pub(crate) async fn open_again(&mut self) {
        let address = self.address;
        let bind = async || TcpListener::bind(address).await.ok();
        let listener = eventually("the port of the receivers is free", bind).await;
        self.shared.open.send_replace(true);
        self.accepting = tokio::spawn(accept(listener, Arc::clone(&self.shared)));
    }

    /// From now on, `manners` decide what is done about the callback of a mark to a hook, and after which while.
    pub(crate) fn behaves(&self, manners: impl Fn(usize, usize) -> (Deed, Duration) + Send + Sync + 'static) {
        *self.shared.manners.lock().unwrap() = Arc::new(Box::new(manners));
    }

    /// The URL of a hook, by its number.
    pub(crate) fn url(&self, hook: usize) -> String {
        format!("http://{}/{hook}", self.address)
    }

    /// All that came so far, in the order of arrival.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.shared.arrivals().clone()
    }

    /// What came since this was last called, in the order of arrival; it is forgotten here.
    pub(crate) fn take_arrivals(&self) -> Vec<Arrival> {
        std::mem::take(&mut *self.shared.arrivals())
    }

    /// How much came so far.
    pub(crate) fn count(&self) -> usize {
        self.shared.arrivals().len()
    }

    /// How many callbacks each hook took so far.
    pub(crate) fn taken_by_hook(&self) -> BTreeMap<usize, usize> {
        let mut taken = BTreeMap::new();
        for arrival in self.shared.arrivals().iter().filter(|arrival| arrival.deed == Deed::Take) {
            *taken.entry(arrival.hook).or_default() += 1;
        }
        taken
    }

    /// After the daemon ended: waits until all that it sent is here. What comes from here on, another life of it sent.
    pub(crate) async fn closes_the_book_on_a_life(&self) {
        // Who does not listen was not sent anything.
        if self.is_open() {
            self.has_accepted_all().await;
        }
        until("all connections are closed", async || self.shared.connections.load(SeqCst) == 0).await;
        self.shared.life.fetch_add(1, SeqCst);
    }

    /// Waits until every connection that was made is served. They are accepted in the order made.
    async fn has_accepted_all(&self) {
        let mut last = TcpStream::connect(self.address).await.unwrap();
        last.write_all(b"GET /sync HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = [0; 64];
        let read = tokio::time::timeout(PATIENCE, last.read(&mut answer)).await.unwrap().unwrap();
        assert!(read > 0);
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn is_closed(open: &mut watch::Receiver<bool>) {
    let _ = open.wait_for(|open| !open).await;
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut open = shared.open.subscribe();
    loop {
        let accepted = tokio::select! {
            () = is_closed(&mut open) => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { break };
        let _ = stream.set_nodelay(true);
        shared.connections.fetch_add(1, SeqCst);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            serve(stream, &shared).await;
            shared.connections.fetch_sub(1, SeqCst);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut open = shared.open.subscribe();
    loop {
        let (path, body) = tokio::select! {
            biased;
            () = is_closed(&mut open) => return None,
            request = read(&mut stream) => request?,
        };
        let hook = path.trim_start_matches('/').split('?').next()?.parse::<usize>().ok();
        let marks = (shared.reading)(&body);
        let (deed, wait) = match hook.zip(marks.first().copied()) {
            Some((hook, first)) => {
                let manners = Arc::clone(&shared.manners.lock().unwrap());
                let (deed, wait) = manners(hook, first);
                let (life, at) = (shared.life.load(SeqCst), Instant::now());
                let arrivals = marks.into_iter().map(|mark| Arrival { hook, mark, life, at, deed });
                shared.arrivals().extend(arrivals);
                (deed, wait)
            }
            None => (Deed::Take, Duration::ZERO),
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let answer = match deed {
            Deed::Take => "200 Said\r\ncontent-length: 0\r\n\r\n".to_owned(),
            Deed::Refuse(status) => format!("{status} Said\r\ncontent-length: 0\r\n\r\n"),
            Deed::Later(seconds) => format!("503 Said\r\nretry-after: {seconds}\r\ncontent-length: 0\r\n\r\n"),
            Deed::Trickle => "200 Said\r\ncontent-length: 1000000\r\n\r\n".to_owned(),
            Deed::Hang => {
                // Until the other side has had enough.
                let _ = stream.read_u8().await;
                return None;
            }
            Deed::Reset => {
                stream.get_ref().set_zero_linger().ok()?;
                return None;
            }
        };
        stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await.ok()?;
        if deed == Deed::Trickle {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                stream.write_all(b"x").await.ok()?;
            }
        }
    }
}

/// Reads a request: its target and its body.
async fn read(stream: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut line = String::new();
    let (mut target, mut length) = (None, 0);
    loop {
        line.clear();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        if target.is_none() {
            target = text.split(' ').nth(1).map(str::to_owned);
        } else if let Some((name, value)) = text.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((target?, String::from_utf8(body).ok()?))
}

/// The mark in a text.
pub(crate) fn mark_of(text: &str) -> Option<usize> {
    let digits = text.split(MARK).nth(1)?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}
