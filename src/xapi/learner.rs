//! Takes note of what happens, in memory and for Redis, and says where the statement of it goes.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::debug;
use tracing::warn;

use crate::event::Event;
use crate::event::InternalMeetingId;
use crate::xapi::Shared;
use crate::xapi::credentials::Lrs;
use crate::xapi::known::Happening;
use crate::xapi::records;
use crate::xapi::statement;

/// What becomes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// There is nothing to say.
    Nothing,
    /// There is, but its meeting has no LRS.
    Nowhere,
    /// Its statement goes to this LRS.
    To(Arc<Lrs>),
}

/// Who takes note.
pub(super) struct Learner {
    shared: Arc<Shared>,
    /// Where the statements of meetings go, as far as somebody needed it; none: nowhere.
    destinations: HashMap<InternalMeetingId, Option<Arc<Lrs>>>,
}

impl Learner {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, destinations: HashMap::new() }
    }

    /// Takes note of an event. Once more is as good as once. No statement of an event before `needed_from` will be made.
    pub(super) async fn learn(&mut self, event: &Event, needed_from: u64) -> Said {
        let Some(happening) = Happening::of(event) else { return Said::Nothing };
        let created = happening.id == "meeting-created";
        if created {
            self.destinations.remove(&happening.meeting);
        }
        if !self.note(&happening, needed_from) {
            return Said::Nothing;
        }
        self.destination(&happening.meeting, created).await.map_or(Said::Nowhere, Said::To)
    }

    /// Takes note of what happened; gives whether there is something to say of it.
    fn note(&self, happening: &Happening, needed_from: u64) -> bool {
        let shared = &self.shared;
        let mut known = shared.known();
        let news = known.learn(happening, needed_from, shared.site.namespace, &shared.zone);
        let Some(meeting) = known.meetings.get(&happening.meeting) else { return false };
        let record = news.and_then(|news| records::of_news(&news, &happening.meeting, meeting, &shared.site));
        if let Some(record) = record {
            // Before the cursor that passes this event: so Redis gets both with one commit, or this with an earlier one.
            shared.behind.record(record);
        }
        meeting.enabled && statement::of(happening, meeting, &shared.site).is_some()
    }

    /// Where a meeting's statements go. What is wrong with what it brings is said when it is `created`.
    async fn destination(&mut self, id: &InternalMeetingId, created: bool) -> Option<Arc<Lrs>> {
        if let Some(known) = self.destinations.get(id) {
            return known.clone();
        }
        let (external, payload) = {
            let known = self.shared.known();
            let meeting = known.meetings.get(id)?;
            (meeting.external_id.clone(), meeting.payload.clone())
        };
        let destination = match payload {
            None => self.shared.own.clone(),
            Some(payload) => {
                let secrets = self.shared.secrets.clone();
                // It takes some milliseconds of hashing.
                let opened = tokio::task::spawn_blocking(move || Lrs::of_payload(&payload, &secrets)).await;
                match opened.expect("reading a payload neither panics nor is called off") {
                    Ok(lrs) => Some(Arc::new(lrs)),
                    Err(wrong) => {
                        if created {
                            warn!(meeting = external, internal = %id, %wrong, "This meeting's secret-lrs-payload cannot be used; it gets no statements");
                        }
                        None
                    }
                }
            }
        };
        if destination.is_none() {
            debug!(meeting = external, "This meeting has no Learning Record Store");
        }
        self.destinations.insert(id.clone(), destination.clone());
        destination
    }

    /// Forgets meetings that are over for good.
    pub(super) fn forget(&mut self, is_over: impl Fn(&InternalMeetingId) -> bool) {
        let mut known = self.shared.known();
        let over: Vec<_> = known.meetings.keys().filter(|id| is_over(id)).cloned().collect();
        for id in over {
            let Some(meeting) = known.meetings.remove(&id) else { continue };
            for record in records::of_all(&id, &meeting, &self.shared.site) {
                self.shared.behind.forget_record(record);
            }
            self.destinations.remove(&id);
        }
    }
}
