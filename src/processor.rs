//! Maps messages to events, one after the other, and appends them to the journal.
//!
//! One task changes the state, so events are in the order in which their messages were published. The state is shared only
//! so that all of it can be written to a Redis that lost it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::debug;

use crate::books::intake::Intake;
use crate::clock;
use crate::config::Mappings;
use crate::event::MappedEvent;
use crate::event::RawMessage;
use crate::input::Queue;
use crate::journal::Journal;
use crate::mapper::Mapper;
use crate::mapper::NotMapped;
use crate::pulse::Pulse;
use crate::state::State;
use crate::store::StoredMappings;
use crate::store::WriteBehind;

/// Most messages that are mapped before their events are appended.
const BATCH: usize = 1024;

/// How often it shows that it goes on, also when there is nothing to do.
const BEAT_EVERY: Duration = Duration::from_secs(1);

/// The state that was stored. `random` makes the ids of new mappings; `now_ms` is ms since 1970.
#[must_use]
pub fn restore(stored: StoredMappings, random: fastrand::Rng, now_ms: u64) -> State {
    let mut state = State::new(random);
    for meeting in stored.meetings {
        let last_activity_ms = meeting.last_activity_ms.unwrap_or(now_ms);
        state.restore_meeting(meeting.id, meeting.mapping_id, meeting.external_id, last_activity_ms);
    }
    for stored in stored.users {
        state.restore_user(&stored.meeting, stored.id, stored.user, now_ms);
    }
    state
}

/// Maps what comes in until the queue ends.
pub async fn run(
    mut queue: Queue,
    mapper: &Mapper,
    state: &Mutex<State>,
    journal: &Journal,
    behind: &WriteBehind,
    settings: &Mappings,
    pulse: &Pulse,
) {
    let mut beat = tokio::time::interval(BEAT_EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sweep = tokio::time::interval(settings.cleanup_interval.max(Duration::from_millis(1)));
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let intake = Arc::clone(queue.intake());
    loop {
        tokio::select! {
            message = queue.next() => {
                let Some(message) = message else { break };
                let now_ms = clock::unix_ms();
                let waiting = std::iter::from_fn(|| queue.next_now()).take(BATCH - 1);
                let messages = std::iter::once(message).chain(waiting);
                let mut state = lock(state);
                let events = messages.flat_map(|message| events_of(&message, mapper, &mut state, now_ms, &intake)).collect();
                show(&state, &intake);
                behind.changed(state.take_changes());
                journal.append(events, now_ms);
                journal.leave_room(queue.bytes());
            }
            _ = sweep.tick() => {
                let mut state = lock(state);
                sweep_out(&mut state, behind, settings);
                show(&state, &intake);
                journal.nudge();
            }
            _ = beat.tick() => pulse.beat(),
        }
    }
    sweep_out(&mut lock(state), behind, settings);
    journal.nudge();
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sweep_out(state: &mut State, behind: &WriteBehind, settings: &Mappings) {
    state.sweep(clock::unix_ms(), settings.timeout);
    behind.changed(state.take_changes());
}

/// Lets others see how much is remembered.
fn show(state: &State, intake: &Intake) {
    let (meetings, users) = state.counts();
    intake.meetings.set(meetings);
    intake.users.set(users);
}

fn events_of(
    message: &RawMessage,
    mapper: &Mapper,
    state: &mut State,
    now_ms: u64,
    intake: &Intake,
) -> Vec<MappedEvent> {
    let mapped = mapper.map(message, state, now_ms);
    match &mapped {
        Ok(_) => intake.mapped.one_more(),
        Err(NotMapped::NotJson) => intake.unparseable.one_more(),
        Err(NotMapped::UnknownName | NotMapped::NoEvent) => intake.ignored.one_more(),
    }
    mapped.unwrap_or_else(|reason| {
        debug!(%reason, bytes = message.bytes.len(), "A message became no event");
        Vec::new()
    })
}
