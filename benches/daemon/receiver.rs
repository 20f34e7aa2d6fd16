//! Receivers of callbacks: cheap ones, which count what comes and how late it is.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Empty;
use hyper::Request;
use hyper::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::load;
use crate::load::MEETINGS;

/// Receivers on one port, a path for each.
pub(crate) struct Receivers {
    port: u16,
    seen: Arc<Seen>,
    _server: JoinSet<()>,
}

struct Seen {
    hooks: Vec<Mutex<Hook>>,
    /// Events that came for the first time, at all receivers.
    events: AtomicU64,
    answer_after_ms: AtomicU64,
}

#[derive(Default)]
struct Hook {
    /// How often each event came.
    times: Vec<u8>,
    /// The last event of each meeting.
    last: [u64; MEETINGS as usize],
    latencies_us: Vec<u32>,
    out_of_order: u64,
}

/// What the receivers saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    /// Events that came for the first time.
    pub(crate) events: u64,
    /// Events that had come before.
    pub(crate) repeated: u64,
    /// Events that came after a later one of their meeting.
    pub(crate) out_of_order: u64,
    /// From publishing to the callback, the shortest first, in µs.
    pub(crate) latencies_us: Vec<u32>,
}

impl Receivers {
    /// So many receivers, which answer after a while.
    pub(crate) async fn start(count: usize, answer_after: Duration) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("receivers cannot listen")?;
        let port = listener.local_addr()?.port();
        let hooks = (0..count).map(|_| Mutex::default()).collect();
        let seen = Arc::new(Seen { hooks, events: AtomicU64::new(0), answer_after_ms: AtomicU64::new(0) });
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Arc::clone(&seen)));
        let receivers = Self { port, seen, _server: server };
        receivers.answer_after(answer_after);
        Ok(receivers)
    }

    /// From now on they answer after a while.
    pub(crate) fn answer_after(&self, wait: Duration) {
        self.seen.answer_after_ms.store(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// The callback URLs.
    pub(crate) fn urls(&self) -> impl Iterator<Item = String> {
        (0..self.seen.hooks.len()).map(|number| format!("http://127.0.0.1:{}/{number}", self.port))
    }

    /// How many events came for the first time, at all receivers together.
    pub(crate) fn events(&self) -> u64 {
        self.seen.events.load(Relaxed)
    }

    /// What they saw.
    pub(crate) fn sight(&self) -> Sight {
        let mut sight = Sight { events: self.events(), ..Sight::default() };
        for hook in self.seen.hooks.iter().map(lock) {
            sight.repeated += hook.times.iter().map(|times| u64::from(times.saturating_sub(1))).sum::<u64>();
            sight.out_of_order += hook.out_of_order;
            sight.latencies_us.extend(&hook.latencies_us);
        }
        sight.latencies_us.sort_unstable();
        sight
    }
}

impl Sight {
    /// The latency that this part (0 to 1) of the events does not exceed.
    pub(crate) fn quantile(&self, part: f64) -> Option<Duration> {
        let last = self.latencies_us.len().checked_sub(1)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a list"
        )]
        let place = (last as f64 * part) as usize;
        Some(Duration::from_micros(self.latencies_us[place].into()))
    }
}

fn lock(hook: &Mutex<Hook>) -> MutexGuard<'_, Hook> {
    hook.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, seen: Arc<Seen>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // What a callback costs is measured, not how long the system waits for more to send.
        let _ = stream.set_nodelay(true);
        let seen = Arc::clone(&seen);
        let service = service_fn(move |request| answer(request, Arc::clone(&seen)));
        // A daemon that is stopped or killed breaks its connections.
        connections
            .spawn(async move { drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await) });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(request: Request<Incoming>, seen: Arc<Seen>) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let number = request.uri().path().trim_start_matches('/').parse::<usize>().ok();
    let body = request.into_body().collect().await?.to_bytes();
    match seen.answer_after_ms.load(Relaxed) {
        0 => {}
        ms => tokio::time::sleep(Duration::from_millis(ms)).await,
    }
    let now_us = load::now_us();
    if let Some(hook) = number.and_then(|number| seen.hooks.get(number)) {
        let mut hook = lock(hook);
        let new = load::marks(&body).filter(|mark| hook.note(mark.number, mark.published_us, now_us)).count();
        seen.events.fetch_add(new as u64, Relaxed);
    }
    Ok(Response::new(Empty::new()))
}

impl Hook {
    /// Takes note of an event. Gives whether it came for the first time.
    fn note(&mut self, number: u64, published_us: u64, now_us: u64) -> bool {
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        if place >= self.times.len() {
            self.times.resize(place + 1, 0);
        }
        self.times[place] = self.times[place].saturating_add(1);
        if self.times[place] > 1 {
            return false;
        }
        let last = &mut self.last[usize::try_from(number % MEETINGS).unwrap_or(0)];
        self.out_of_order += u64::from(number < *last);
        *last = number.max(*last);
        self.latencies_us.push(u32::try_from(now_us.saturating_sub(published_us)).unwrap_or(u32::MAX));
        true
    }
}
