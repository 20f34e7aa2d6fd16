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
use tokio::task::JoinHandle;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::load::MARK;
use super::wait::PATIENCE;
use super::wait::until;

/// What is done about one callback, after a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It is answered with 200.
    Take,
    /// It is answered with this status.
    Refuse(u16),
    /// It is never answered.
    Hang,
    /// The connection is reset.
    Reset,
}

/// A callback that came.
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

/// Decides what is done about the callback of a mark to a hook, and after which while.
type Manners = Box<dyn Fn(usize, usize) -> (Deed, Duration) + Send + Sync>;

/// The receivers.
#[derive(Debug)]
pub(crate) struct Audience {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    manners: Mutex<Arc<Manners>>,
    arrivals: Mutex<Vec<Arrival>>,
    life: AtomicUsize,
    connections: AtomicUsize,
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let take_all: Manners = Box::new(|_, _| (Deed::Take, Duration::ZERO));
        let shared = Arc::new(Shared {
            manners: Mutex::new(Arc::new(take_all)),
            arrivals: Mutex::default(),
            life: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting }
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
        // Connections are accepted in the order made: once this one is served, so are all of the daemon.
        let mut last = TcpStream::connect(self.address).await.unwrap();
        last.write_all(b"GET /sync HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = [0; 64];
        let read = tokio::time::timeout(PATIENCE, last.read(&mut answer)).await.unwrap().unwrap();
        assert!(read > 0);
        drop(last);
        until("all connections are closed", async || self.shared.connections.load(SeqCst) == 0).await;
        self.shared.life.fetch_add(1, SeqCst);
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        shared.connections.fetch_add(1, SeqCst);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            serve(stream, &shared).await;
            shared.connections.fetch_sub(1, SeqCst);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (path, body) = read(&mut stream).await?;
        let hook = path.trim_start_matches('/').split('?').next()?.parse::<usize>().ok();
        let (deed, wait) = match hook.zip(mark_of(&body)) {
            Some((hook, mark)) => {
                let manners = Arc::clone(&shared.manners.lock().unwrap());
                let (deed, wait) = manners(hook, mark);
                let life = shared.life.load(SeqCst);
                shared.arrivals().push(Arrival { hook, mark, life, at: Instant::now(), deed });
                (deed, wait)
            }
            None => (Deed::Take, Duration::ZERO),
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let status = match deed {
            Deed::Take => 200,
            Deed::Refuse(status) => status,
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
        let answer = format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.ok()?;
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
