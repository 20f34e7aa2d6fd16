//! Sends events of the past to one hook again, when ordered to.
//!
//! They are appended to the journal once more, addressed to that hook alone, and take the way of all events from there: they
//! are delivered although Redis may not have them yet. So an order is begun only while Redis takes writes, and once begun, it
//! is carried on where Redis failed, not begun again.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::debug;
use tracing::info;

use crate::clock;
use crate::event::Event;
use crate::event::EventId;
use crate::event::HookId;
use crate::event::MappedEvent;
use crate::event::RawForm;
use crate::event::XAPI_READER;
use crate::hook::Interest;
use crate::journal::Health;
use crate::journal::Journal;
use crate::journal::Unreadable;
use crate::mapper;
use crate::registry::Registry;
use crate::store;
use crate::store::Store;
use crate::store::orders::Order;
use crate::store::orders::What;
use crate::store::parked::Parked;

/// How often to look for orders.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many events are appended at once.
const PAGE: usize = 500;

/// An order could not be begun now.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum Error {
    Unreadable(#[from] Unreadable),
    Store(#[from] store::Error),
}

/// What orders are carried out with.
#[derive(Debug)]
pub struct Replay {
    /// Where events are read, and appended again.
    pub journal: Journal,
    /// The hooks.
    pub registry: Registry,
    /// Where orders wait.
    pub store: Arc<Store>,
    /// What the xAPI output wants, if there is one.
    pub xapi: Option<Interest>,
    /// Most events sent again for one order; more would overflow the hook's queue.
    pub most: usize,
}

impl Replay {
    /// Carries out orders until told to stop. One that is not done then is carried out after the next start.
    pub async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.carry_out_orders() => {}
        }
    }

    async fn carry_out_orders(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            while let Some(order) = self.next_order().await {
                if let Err(error) = self.carry_out(&order).await {
                    debug!(%error, "An order to send events again cannot be begun now");
                    break;
                }
            }
        }
    }

    async fn next_order(&self) -> Option<Order> {
        if *self.journal.health().borrow() != Health::Good {
            return None;
        }
        // That Redis is away is said by those who need it more.
        self.store.next_order().await.ok().flatten()
    }

    async fn carry_out(&self, order: &Order) -> Result<(), Error> {
        let hook = HookId::from(order.hook.as_str());
        let interest = match &self.xapi {
            Some(interest) if hook.as_str() == XAPI_READER => Some(interest.clone()),
            _ => self.registry.interest(&hook),
        };
        let outcome = match interest {
            None => "there is no such hook".to_owned(),
            Some(interest) => {
                let sent = match order.what {
                    What::Since(ms) => self.send_past(&hook, &interest, |event| event.accepted_ms >= ms).await?,
                    What::From(number) => self.send_past(&hook, &interest, |event| event.number >= number).await?,
                    What::Parked => self.send_parked(&hook).await?,
                    What::Version2 => self.send_version_2(&hook).await?,
                };
                info!(hook.id = %hook, events = sent, "Events are sent again, as ordered");
                sent.to_string()
            }
        };
        carry_on(|| self.store.order_done(order, &outcome)).await;
        Ok(())
    }

    /// Events that the journal holds, the newest of them if there are too many.
    async fn send_past(
        &self,
        hook: &HookId,
        interest: &Interest,
        is_meant: impl Fn(&Event) -> bool,
    ) -> Result<usize, Error> {
        let end = self.journal.end();
        let (mut position, mut numbers) = (0, Vec::new());
        while let (events, Some(last)) = self.journal.page_after(position).await? {
            // What was sent to one hook alone stands in the journal as an event before that.
            let meant = events.iter().filter(|event| event.number <= end && event.to.is_none());
            numbers.extend(meant.filter(|event| is_meant(event) && interest.wants(event)).map(|event| event.number));
            if last > end {
                break;
            }
            position = last;
        }
        let numbers = &numbers[numbers.len().saturating_sub(self.most)..];
        let mut sent = 0;
        for page in numbers.chunks(PAGE) {
            let events = carry_on(|| self.journal.fetch(page)).await;
            self.append(hook, events.iter().map(|event| event.mapped.clone()).collect()).await;
            sent += events.len();
        }
        Ok(sent)
    }

    async fn send_parked(&self, hook: &HookId) -> Result<usize, Error> {
        let parked = self.store.parked(hook).await?;
        for page in parked.chunks(PAGE) {
            self.append(hook, page.iter().map(|(_, parked)| of_parked(parked)).collect()).await;
            let numbers: Vec<_> = page.iter().map(|(number, _)| *number).collect();
            carry_on(|| self.store.drop_parked(hook, &numbers)).await;
        }
        Ok(parked.len())
    }

    async fn send_version_2(&self, hook: &HookId) -> Result<usize, Error> {
        let texts = self.store.version_2_events(hook.as_str()).await?;
        let events: Vec<_> = texts.iter().filter_map(|text| mapper::of_version_2(text)).collect();
        for page in events.chunks(PAGE) {
            self.append(hook, page.to_vec()).await;
        }
        Ok(events.len())
    }

    /// Appends events, and waits until Redis has them.
    async fn append(&self, hook: &HookId, events: Vec<MappedEvent>) {
        self.journal.append_to(hook, events, clock::unix_ms());
        carry_on(|| self.journal.flush()).await;
    }
}

/// Tries a step until it succeeds: what came before it is done, and must not be done again.
async fn carry_on<T, E: Display, S: Future<Output = Result<T, E>>>(step: impl Fn() -> S) -> T {
    loop {
        match step().await {
            Ok(outcome) => return outcome,
            Err(error) => debug!(%error, "An order to send events again cannot be carried on now"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn of_parked(parked: &Parked) -> MappedEvent {
    let raw = parked.raw.as_deref();
    MappedEvent {
        id: EventId::from(parked.event.as_str()),
        meeting: parked.meeting.as_deref().map(Into::into),
        external_meeting: parked.external.as_deref().map(Into::into),
        json: parked.json.as_str().into(),
        raw: raw.map_or(RawForm::Mapped, |raw| RawForm::Message { json: raw.into(), also: Vec::new() }),
    }
}
