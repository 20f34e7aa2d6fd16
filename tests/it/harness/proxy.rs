//! A wire to Redis that can be made to fail at a command.

use std::sync::Arc;
use std::sync::Mutex;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;

use super::free_port;
use super::redis::Redis;
use super::wait::until;

/// Passes on what goes to a Redis and back, until a command comes at which it is to fail, once.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    failure: Arc<Mutex<Option<Failure>>>,
    accepting: JoinHandle<()>,
}

#[derive(Clone, Debug)]
struct Failure {
    at: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The command reaches Redis; the connection breaks instead of an answer.
    LosesTheAnswer,
    /// The command goes nowhere, as all that comes after it; the connection stays open.
    Swallows,
}

impl Proxy {
    /// Starts to listen on a free port of 127.0.0.1.
    pub(crate) async fn to(redis: &Redis) -> Self {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let failure = Arc::<Mutex<Option<Failure>>>::default();
        let accepting = tokio::spawn(accept(listener, redis.port(), Arc::clone(&failure)));
        Self { port, failure, accepting }
    }

    /// The TCP port, on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The answer to the next command of this name is lost, although Redis carried it out.
    pub(crate) fn lose_the_answer_to(&self, command: &'static str) {
        *self.failure.lock().unwrap() = Some(Failure { at: command, kind: Kind::LosesTheAnswer });
    }

    /// The next command of this name is neither carried out nor answered.
    pub(crate) fn swallow(&self, command: &'static str) {
        *self.failure.lock().unwrap() = Some(Failure { at: command, kind: Kind::Swallows });
    }

    /// Waits until the failure that was asked for has happened.
    #[track_caller]
    pub(crate) fn failed(&self) -> impl Future<Output = ()> {
        until("the wire fails", async || self.failure.lock().unwrap().is_none())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, to: u16, failure: Arc<Mutex<Option<Failure>>>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        if let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await {
            connections.spawn(pass_on(near, far, Arc::clone(&failure)));
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Passes on in both directions until either side has had enough.
async fn pass_on(mut near: TcpStream, mut far: TcpStream, failure: Arc<Mutex<Option<Failure>>>) -> std::io::Result<()> {
    let (mut question, mut answer) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut failing = None;
    loop {
        tokio::select! {
            read = near.read(&mut question) => {
                let read = read?;
                let text = String::from_utf8_lossy(&question[..read]);
                let due = |failure: &mut Failure| text.contains(&format!("\r\n{}\r\n", failure.at));
                failing = failing.or(failure.lock().unwrap().take_if(due).map(|failure| failure.kind));
                match failing {
                    _ if read == 0 => return Ok(()),
                    Some(Kind::Swallows) => {}
                    _ => far.write_all(&question[..read]).await?,
                }
            }
            read = far.read(&mut answer) => {
                let read = read?;
                if read == 0 || failing == Some(Kind::LosesTheAnswer) {
                    return Ok(());
                }
                near.write_all(&answer[..read]).await?;
            }
        }
    }
}
