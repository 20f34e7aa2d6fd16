//! The only wiring: builds the parts, starts their tasks, watches over them, stops them in order.

mod recall;
mod tasks;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::bail;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;

use crate::api;
use crate::app::recall::Recall;
use crate::app::recall::Recalled;
use crate::app::tasks::Tasks;
use crate::books::requests::ApiRequests;
use crate::config::Config;
use crate::connection;
use crate::connection::Connection;
use crate::input::Input;
use crate::journal::Committer;
use crate::journal::Journal;
use crate::mapper;
use crate::mapper::Look;
use crate::metrics;
use crate::processor;
use crate::registry::Registry;
use crate::replay::Replay;
use crate::status::Observer;
use crate::store::Store;
use crate::store::WriteBehind;
use crate::webhooks::Webhooks;
use crate::xapi::Xapi;

/// What is left of a stop's time for all but the attempts in flight.
const STOP_MARGIN: Duration = Duration::from_millis(800);

/// How long a task may take to end, beside an attempt in flight.
const TASK_MARGIN: Duration = Duration::from_millis(300);

/// How long the API waits for a first subscription and a first look into Redis before it answers all the same.
const START_PATIENCE: Duration = Duration::from_secs(3);

/// Serves until SIGTERM or SIGINT; attempts in flight are finished then.
///
/// # Errors
/// If the daemon cannot start (its port is taken, say), or one of its tasks ends that should not.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let mut app = App::start(config).await?;
    let ended_early = tokio::select! {
        name = signals.next() => {
            info!(signal = name, "Stopping");
            None
        }
        task = app.tasks.next() => task,
    };
    let limit = app.longest_attempt() + STOP_MARGIN;
    tokio::select! {
        drained = timeout(limit, app.stop()) => match drained {
            Ok(()) => info!("Stopped"),
            Err(_) => warn!("Stopped before all was finished"),
        },
        _again = signals.next() => warn!("Stopped at once, as asked"),
    }
    match ended_early {
        None => Ok(()),
        Some(task) => bail!("the {task} ended, which it never should; see the log above"),
    }
}

/// The signals that mean stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be listened to");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The names of the tasks, for the log and for an ordered stop.
const INPUT: &str = "subscriber";
const PROCESSOR: &str = "processor";
const WEBHOOKS: &str = "webhooks output";
const XAPI: &str = "xAPI output";
const COMMITTER: &str = "journal's writer";
const API: &str = "API server";
const REPLAY: &str = "replay";
const METRICS: &str = "metrics server";

async fn listen(what: &str, bind: IpAddr, port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((bind, port)).await.with_context(|| format!("{what} cannot listen on {bind}:{port}"))
}

/// The running daemon.
#[derive(Debug)]
pub struct App {
    config: Arc<Config>,
    journal: Journal,
    tasks: Tasks,
    xapi: Option<Xapi>,
    stop_input: CancellationToken,
    stop_outputs: CancellationToken,
    stop_committer: CancellationToken,
    stop_api: CancellationToken,
}

impl App {
    /// Starts the daemon; it runs until it is stopped or dropped.
    ///
    /// # Errors
    /// If it cannot start: its port is taken, say.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let config = Arc::new(config);
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
        let stop_committer = CancellationToken::new();
        let (committer, journal) =
            Committer::new(client, connection, Arc::clone(&behind), &config.hooks, stop_committer.clone());
        let mut app = Self {
            config: Arc::clone(&config),
            journal: journal.clone(),
            tasks: Tasks::default(),
            xapi: None,
            stop_input: CancellationToken::new(),
            stop_outputs: CancellationToken::new(),
            stop_committer,
            stop_api: CancellationToken::new(),
        };

        // First of all, and before Redis is asked for anything: what is published meanwhile waits in the queue.
        let client = connection::client(&config.input.redis).context("the Redis server to listen to")?;
        let (input, mut queue, first_try) =
            Input::new(client, &config.input.channels, |message| mapper::look(message) != Look::Unknown);
        let intake = Arc::clone(queue.intake());
        app.tasks.spawn(INPUT, input.run(app.stop_input.clone()));

        let (registry, changes) =
            Registry::new(Arc::clone(&store), Arc::clone(&behind), journal.clone(), &config.hooks);
        let webhooks = Webhooks::new(&config, registry.clone()).context("callbacks cannot be sent")?;
        // Not before the journal goes on: what is delivered earlier nobody would write down, and it would be sent again after
        // a stop or a kill in between.
        let (goes_on, mut going_on) = watch::channel(false);
        {
            let stop = app.stop_outputs.clone();
            app.tasks.spawn(WEBHOOKS, async move {
                let going_on = async { going_on.wait_for(|goes_on| *goes_on).await.is_ok() };
                tokio::select! {
                    _ = going_on => {}
                    () = stop.cancelled() => return,
                }
                webhooks.run(changes, stop).await;
            });
        }

        let xapi = Xapi::new(&config, Arc::clone(&store), Arc::clone(&behind)).context("statements cannot be sent")?;
        let (begin_xapi, begun) = oneshot::channel();
        if let Some(xapi) = &xapi {
            app.xapi = Some(xapi.clone());
            app.tasks.spawn(XAPI, xapi.clone().run(begun, app.stop_outputs.clone()));
        }

        let (looked, first_look) = watch::channel(false);
        let (tell, recalled) = oneshot::channel();
        {
            let (registry, config, journal) = (registry.clone(), Arc::clone(&config), journal.clone());
            let store = Arc::clone(&store);
            let recall = Recall { store, registry, journal, committer, config, looked, xapi, begin_xapi };
            let stop = app.stop_committer.clone();
            app.tasks.spawn(COMMITTER, async move {
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
            let (config, journal, stop) = (Arc::clone(&config), journal.clone(), app.stop_input.clone());
            app.tasks.spawn(PROCESSOR, async move {
                let Recalled { state, others_until } = tokio::select! {
                    Ok(recalled) = recalled => recalled,
                    () = stop.cancelled() => return,
                };
                queue.skip_until(others_until);
                processor::run(queue, &state, &journal, &behind, &config.mappings).await;
            });
        }

        let replay = Replay {
            journal: journal.clone(),
            registry: registry.clone(),
            store,
            xapi: app.xapi.as_ref().map(|_| Xapi::interest()),
            most: config.hooks.queue_size,
        };
        app.tasks.spawn(REPLAY, replay.run(app.stop_api.clone()));

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
        let observer = Observer { journal, registry, intake, requests, xapi: app.xapi.clone() };
        if let Some(listener) = metrics_listener {
            info!(address = %listener.local_addr()?, path = config.metrics.path, "Metrics are served");
            let (observer, config, stop) = (observer.clone(), Arc::clone(&config), app.stop_api.clone());
            app.tasks.spawn(METRICS, async move { metrics::serve(listener, observer, &config.metrics, stop).await });
        }
        info!(address = %listener.local_addr()?, path = config.bbb.api_path, "The API listens");
        let stop = app.stop_api.clone();
        app.tasks.spawn(API, async move { api::serve(listener, observer, &config, stop).await });
        Ok(app)
    }

    /// The journal, with the accounts of all hooks and the health of its copy in Redis.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The xAPI output, if there is one.
    #[must_use]
    pub fn xapi(&self) -> Option<&Xapi> {
        self.xapi.as_ref()
    }

    /// How long an attempt in flight may take.
    fn longest_attempt(&self) -> Duration {
        let (callback, statement) = (self.config.hooks.request_timeout, self.config.xapi.request_timeout);
        if self.config.xapi.enabled { callback.max(statement) } else { callback }
    }

    /// Stops against the flow of events: attempts in flight are finished while what is published still goes into the
    /// journal, to be delivered after the next start; what is known last is written to Redis last.
    pub async fn stop(&mut self) {
        for (token, task) in [
            (&self.stop_outputs, WEBHOOKS),
            (&self.stop_outputs, XAPI),
            (&self.stop_api, API),
            (&self.stop_api, REPLAY),
            (&self.stop_api, METRICS),
            (&self.stop_input, INPUT),
            (&self.stop_input, PROCESSOR),
            (&self.stop_committer, COMMITTER),
        ] {
            token.cancel();
            let ended = timeout(self.longest_attempt() + TASK_MARGIN, self.tasks.ended(task)).await;
            if ended.is_err() {
                warn!(task, "A task takes too long to end; the others go on");
            }
        }
    }
}
