//! The only wiring: builds the parts, starts their tasks, watches over them, stops them in order.

mod descriptors;
mod recall;
mod reload;
mod tasks;

use std::io;
use std::io::IsTerminal;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::api;
use crate::app::recall::Recall;
use crate::app::recall::Recalled;
use crate::app::tasks::Tasks;
use crate::books::requests::ApiRequests;
use crate::config::Config;
use crate::config::Current;
use crate::config::Sources;
use crate::connection;
use crate::connection::Connection;
use crate::input::Input;
use crate::journal::Committer;
use crate::journal::Journal;
use crate::logging::Logging;
use crate::mapper::Look;
use crate::mapper::Mapper;
use crate::metrics;
use crate::processor;
use crate::pulse::Pulse;
use crate::registry::Registry;
use crate::replay::Replay;
use crate::status::Observer;
use crate::store::Store;
use crate::store::WriteBehind;
use crate::systemd::Systemd;
use crate::webhooks::Webhooks;
use crate::xapi::Xapi;

/// What is left of a stop's time for all but the attempts in flight.
const STOP_MARGIN: Duration = Duration::from_millis(800);

/// How long a task may take to end, beside an attempt in flight.
const TASK_MARGIN: Duration = Duration::from_millis(300);

/// How long the API waits for a first subscription and a first look into Redis before it answers all the same.
const START_PATIENCE: Duration = Duration::from_secs(3);

/// Serves until SIGTERM or SIGINT; attempts in flight are finished then. At SIGHUP the configuration is read again from its
/// `sources`, and the log file opened again.
///
/// # Errors
/// If the daemon cannot start (its port is taken, say), or one of its tasks ends that should not.
pub async fn serve(config: Config, sources: &Sources, logging: Logging) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let systemd = Systemd::of(&sources.environment).map(Arc::new);
    let mut app = App::start(config).await?;
    if let Some(systemd) = &systemd {
        systemd.ready();
        app.keep_posted(Arc::clone(systemd));
    }
    let ended_early = loop {
        tokio::select! {
            told = signals.next() => match told {
                Told::Stop(signal) => {
                    info!(signal, "Stopping");
                    break None;
                }
                Told::Reload => {
                    if let Some(systemd) = &systemd {
                        systemd.reloading();
                    }
                    // Redis may let a change of the hooks wait; a stop does not.
                    let stopped = tokio::select! {
                        () = reload::reload(&app, sources, &logging) => None,
                        signal = signals.stop() => Some(signal),
                    };
                    if let Some(systemd) = &systemd {
                        systemd.ready();
                    }
                    if let Some(signal) = stopped {
                        info!(signal, "Stopping");
                        break None;
                    }
                }
            },
            task = app.tasks.next() => break task,
        }
    };
    if let Some(systemd) = &systemd {
        systemd.stopping();
    }
    let limit = app.longest_attempt() + STOP_MARGIN;
    tokio::select! {
        drained = timeout(limit, app.stop()) => match drained {
            Ok(()) => info!("Stopped"),
            Err(_) => warn!("Stopped before all was finished"),
        },
        _again = signals.stop() => warn!("Stopped at once, as asked"),
    }
    match ended_early {
        None => Ok(()),
        Some(task) => bail!("the {task} ended, which it never should; see the log above"),
    }
}

/// What a signal means.
enum Told {
    /// Stop, by this signal.
    Stop(&'static str),
    /// Look again at what was given: the configuration and the log file.
    Reload,
}

/// The signals that mean something.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Whether it was started by hand.
    on_terminal: bool,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be listened to");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
            on_terminal: std::io::stdin().is_terminal(),
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            signal = first(&mut self.terminate, &mut self.interrupt) => Told::Stop(signal),
            // Who closes the terminal does not ask for a reload.
            _ = self.hangup.recv() => match self.on_terminal && !std::io::stdin().is_terminal() {
                true => Told::Stop("SIGHUP, and the terminal is gone"),
                false => Told::Reload,
            },
        }
    }

    /// The next that means stop. Others are kept.
    async fn stop(&mut self) -> &'static str {
        first(&mut self.terminate, &mut self.interrupt).await
    }
}

async fn first(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

/// How long a task without which nothing is delivered may stand still: longer than all waits for a Redis that is away take.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// The names of the tasks, for the log and for an ordered stop.
const INPUT: &str = "subscriber";
const PROCESSOR: &str = "processor";
const WEBHOOKS: &str = "webhooks output";
const XAPI: &str = "xAPI output";
const COMMITTER: &str = "journal's writer";
const API: &str = "API server";
const REPLAY: &str = "replay";
const METRICS: &str = "metrics server";
const SYSTEMD: &str = "word to systemd";

async fn listen(what: &str, bind: IpAddr, port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((bind, port)).await.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => format!(". `ss -ltnp 'sport = :{port}'` names the program that listens there"),
            _ => String::new(),
        };
        anyhow!("{what} cannot listen on {bind}:{port}: {error}{hint}")
    })
}

/// Tells the tasks to stop, some before others.
#[derive(Debug, Default)]
struct Stops {
    input: CancellationToken,
    outputs: CancellationToken,
    committer: CancellationToken,
    api: CancellationToken,
}

/// The running daemon.
#[derive(Debug)]
pub struct App {
    config: Current,
    observer: Observer,
    /// Of the tasks without which nothing is delivered.
    pulses: [Pulse; 2],
    tasks: Tasks,
    stops: Stops,
}

impl App {
    /// Starts the daemon; it runs until it is stopped or dropped.
    ///
    /// # Errors
    /// If it cannot start: its port is taken, say.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        descriptors::raise(config.api.limits.connections);
        let current = Current::new(config);
        let config = current.get();
        let listener = listen("the API", config.api.bind, config.api.port).await?;
        let metrics_listener = match &config.metrics {
            settings if settings.enabled => Some(listen("the metrics", settings.bind, settings.port).await?),
            _ => None,
        };
        let client = connection::client(&config.redis).context("the Redis server to keep hooks in")?;
        info!(server = connection::display(&client), "Hooks and events are kept in Redis");
        let connection = Arc::new(Connection::new(client.clone()));
        let store = Arc::new(Store::new(Arc::clone(&connection), &config));
        let behind = Arc::new(WriteBehind::new(Arc::clone(&store)));
        let (mut tasks, stops) = (Tasks::default(), Stops::default());
        let (committer, journal) =
            Committer::new(client, connection, Arc::clone(&behind), &config.hooks, stops.committer.clone());
        let pulses = [Pulse::default(), committer.pulse()];

        // First of all, and before Redis is asked for anything: what is published meanwhile waits in the queue.
        let client = connection::client(&config.input.redis).context("the Redis server to listen to")?;
        let mapper = Mapper::new(&config.events);
        let (input, mut queue, first_try) = {
            let mapper = mapper.clone();
            Input::new(client, &config.input.channels, move |message| mapper.look(message) != Look::Unknown)
        };
        let intake = Arc::clone(queue.intake());
        // Apart, because Redis cuts off who does not listen fast enough, and what its client has read and nobody took is
        // bounded by nothing.
        tasks.spawn_apart(INPUT, input.run(stops.input.clone())).context("no thread for the subscriber")?;

        let (registry, changes) = Registry::new(Arc::clone(&store), Arc::clone(&behind), journal.clone(), &current);
        let webhooks = Webhooks::new(&current, registry.clone()).context("callbacks cannot be sent")?;
        // Not before the journal goes on: what is delivered earlier nobody would write down, and it would be sent again after
        // a stop or a kill in between.
        let (goes_on, mut going_on) = watch::channel(false);
        {
            let stop = stops.outputs.clone();
            tasks.spawn(WEBHOOKS, async move {
                let going_on = async { going_on.wait_for(|goes_on| *goes_on).await.is_ok() };
                tokio::select! {
                    _ = going_on => {}
                    () = stop.cancelled() => return,
                }
                webhooks.run(changes, stop).await;
            });
        }

        let xapi = Xapi::new(&current, Arc::clone(&store), Arc::clone(&behind)).context("statements cannot be sent")?;
        let (begin_xapi, begun) = oneshot::channel();
        if let Some(xapi) = &xapi {
            tasks.spawn(XAPI, xapi.clone().run(begun, stops.outputs.clone()));
        }

        let (looked, first_look) = watch::channel(false);
        let (tell, recalled) = oneshot::channel();
        {
            let (registry, journal) = (registry.clone(), journal.clone());
            let store = Arc::clone(&store);
            let xapi = xapi.clone();
            let recall = Recall { store, registry, journal, committer, looked, xapi, begin_xapi };
            let stop = stops.committer.clone();
            tasks.spawn(COMMITTER, async move {
                let (committer, recalled) = tokio::select! {
                    opened = recall.run() => opened,
                    () = stop.cancelled() => return,
                };
                goes_on.send_replace(true);
                // Nobody maps any more if the daemon stops already.
                let _ = tell.send(recalled);
                committer.run().await;
            });
        }
        {
            let (config, journal, stop) = (Arc::clone(&config), journal.clone(), stops.input.clone());
            let [pulse, _] = pulses.clone();
            tasks.spawn(PROCESSOR, async move {
                let Recalled { state, others_until } = tokio::select! {
                    Ok(recalled) = recalled => recalled,
                    () = stop.cancelled() => return,
                };
                queue.skip_until(others_until);
                processor::run(queue, &mapper, &state, &journal, &behind, &config.mappings, &pulse).await;
            });
        }

        let replay = Replay {
            journal: journal.clone(),
            registry: registry.clone(),
            store,
            xapi: xapi.as_ref().map(|_| Xapi::interest()),
            most: config.hooks.queue_size,
        };
        tasks.spawn(REPLAY, replay.run(stops.api.clone()));

        // The API's first answer says that the daemon is there: by then it listens and knows its hooks, if Redis is there.
        let started = async {
            for mut done in [first_try, first_look] {
                let _ = done.wait_for(|done| *done).await;
            }
        };
        if timeout(START_PATIENCE, started).await.is_err() {
            warn!("Redis is slow; the API answers before hooks are known");
        }
        let requests = Arc::<ApiRequests>::default();
        let observer = Observer { journal, registry, intake, requests, xapi };
        if let Some(listener) = metrics_listener {
            info!(address = %listener.local_addr()?, path = config.metrics.path, "Metrics are served");
            let (observer, config, stop) = (observer.clone(), Arc::clone(&config), stops.api.clone());
            tasks.spawn(METRICS, async move { metrics::serve(listener, observer, &config, stop).await });
        }
        info!(address = %listener.local_addr()?, path = config.bbb.api_path, "The API listens");
        if config.bbb.previous_secret.is_some() {
            info!(
                "The API also takes calls that are signed with the previous secret, until bbb.previousSecret is empty again"
            );
        }
        let stop = stops.api.clone();
        {
            let (observer, config) = (observer.clone(), Arc::clone(&config));
            // Whatever receivers and their answers keep busy, whoever calls is answered.
            let listener = listener.into_std()?;
            let serve = async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => api::serve(listener, observer, &config, stop).await,
                    Err(error) => error!(%error, "The API cannot be served"),
                }
            };
            tasks.spawn_apart(API, serve).context("no thread for the API")?;
        }
        Ok(Self { config: current, observer, pulses, tasks, stops })
    }

    /// The journal, with the accounts of all hooks and the health of its copy in Redis.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.observer.journal
    }

    /// The xAPI output, if there is one.
    #[must_use]
    pub fn xapi(&self) -> Option<&Xapi> {
        self.observer.xapi.as_ref()
    }

    /// Keeps systemd posted for as long as the daemon runs.
    fn keep_posted(&mut self, systemd: Arc<Systemd>) {
        let (observer, pulses) = (self.observer.clone(), self.pulses.clone());
        self.tasks.spawn(SYSTEMD, async move {
            let is_alive = || pulses.iter().all(|pulse| pulse.silence() < LONGEST_SILENCE);
            systemd.keep_posted(|| observer.in_short(), is_alive).await;
        });
    }

    /// How long an attempt in flight may take.
    fn longest_attempt(&self) -> Duration {
        let config = self.config.get();
        let (callback, statement) = (config.hooks.request_timeout, config.xapi.request_timeout);
        if config.xapi.enabled { callback.max(statement) } else { callback }
    }

    /// Stops against the flow of events: attempts in flight are finished while what is published still goes into the
    /// journal, to be delivered after the next start; what is known last is written to Redis last.
    pub async fn stop(&mut self) {
        for (token, task) in [
            (&self.stops.outputs, WEBHOOKS),
            (&self.stops.outputs, XAPI),
            (&self.stops.api, API),
            (&self.stops.api, REPLAY),
            (&self.stops.api, METRICS),
            (&self.stops.input, INPUT),
            (&self.stops.input, PROCESSOR),
            (&self.stops.committer, COMMITTER),
        ] {
            token.cancel();
            let ended = timeout(self.longest_attempt() + TASK_MARGIN, self.tasks.ended(task)).await;
            if ended.is_err() {
                warn!(task, "A task takes too long to end; the others go on");
            }
        }
    }
}
