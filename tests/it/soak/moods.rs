//! Receivers whose moods change: most of the time they are well, sometimes they fail in one way or another.

use std::sync::Mutex;
use std::time::Duration;

use super::Shared;
use super::Whose;
use super::load::marks_in;
use crate::harness::Audience;
use crate::harness::Deed;

/// How long a receiver answers callbacks that it takes, at most, in ms. Far from the daemon's patience, on a busy machine too:
/// what is taken must not be tried again.
const PROMPT: u64 = 10;

/// What a receiver does for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// All is taken but a few.
    Well,
    /// Half of it is refused, reset, or never answered.
    Flaky,
    /// All is answered by 500.
    Failing,
    /// All is answered by 503 and a `Retry-After`.
    Overloaded,
    /// Nothing is answered.
    Hanging,
    /// Every connection is reset.
    Resetting,
    /// Answers come byte by byte, and do not end.
    Trickling,
    /// It does not listen.
    Closed,
}

const BAD: [Mood; 7] =
    [Mood::Flaky, Mood::Failing, Mood::Overloaded, Mood::Hanging, Mood::Resetting, Mood::Trickling, Mood::Closed];

impl Mood {
    fn deed(self, chance: &mut fastrand::Rng) -> Deed {
        match (self, chance.u8(..100)) {
            (Self::Well, 99) => Deed::Refuse(502),
            (Self::Flaky, ..20) | (Self::Failing, _) => Deed::Refuse(500),
            (Self::Flaky, 20..30) | (Self::Hanging, _) => Deed::Hang,
            (Self::Flaky, 30..50) | (Self::Resetting, _) => Deed::Reset,
            (Self::Overloaded, _) => Deed::Later(1),
            (Self::Trickling, _) => Deed::Trickle,
            (Self::Well | Self::Flaky | Self::Closed, _) => Deed::Take,
        }
    }
}

/// As many receivers as there are hooks, each on a port of its own.
pub(super) async fn receivers(count: usize) -> Vec<Audience> {
    let mut audiences = Vec::new();
    for _ in 0..count {
        audiences.push(Audience::reading(marks_in).await);
    }
    audiences
}

fn behaves(audience: &Audience, mood: Mood, chance: &mut fastrand::Rng) {
    let chance = Mutex::new(chance.fork());
    audience.behaves(move |_, _| {
        let mut chance = chance.lock().unwrap();
        (mood.deed(&mut chance), Duration::from_millis(chance.u64(..=PROMPT)))
    });
}

/// Changes the moods of receivers, each a while after the other, the bad ones for up to `longest`. For as long as it is polled.
pub(super) async fn change(shared: &Shared, mut chance: fastrand::Rng, longest: Duration) {
    let count = shared.audiences.lock().await.len();
    let longest = u64::try_from(longest.as_millis()).unwrap();
    for audience in &*shared.audiences.lock().await {
        behaves(audience, Mood::Well, &mut chance);
    }
    let chances: Vec<_> = (0..count).map(|_| chance.fork()).collect();
    let one = async |receiver: usize, mut chance: fastrand::Rng| {
        loop {
            tokio::time::sleep(Duration::from_millis(chance.u64(longest..longest * 16))).await;
            let mood = *chance.choice(&BAD).expect("there are moods");
            shared.fault(Whose::Receiver);
            {
                let audiences = shared.audiences.lock().await;
                behaves(&audiences[receiver], mood, &mut chance);
                if mood == Mood::Closed {
                    audiences[receiver].close();
                }
            }
            tokio::time::sleep(Duration::from_millis(chance.u64(longest / 8..longest))).await;
            let mut audiences = shared.audiences.lock().await;
            behaves(&audiences[receiver], Mood::Well, &mut chance);
            if mood == Mood::Closed {
                audiences[receiver].open_again().await;
            }
        }
    };
    futures_util::future::join_all(chances.into_iter().enumerate().map(|(n, chance)| one(n, chance))).await;
}

/// From now on they are well. Those who change moods must have been stopped.
pub(super) async fn all_are_well(shared: &Shared) {
    for audience in &mut *shared.audiences.lock().await {
        audience.behaves(|_, _| (Deed::Take, Duration::ZERO));
        if !audience.is_open() {
            audience.open_again().await;
        }
    }
}
