//! What the tally has to find.

use super::super::load::Kind;
use super::*;

fn event(mark: usize) -> Event {
    Event { mark, kind: Kind::Chat, room: 7, meeting: 1 }
}

fn arrival(hook: usize, mark: usize, life: usize) -> Arrival {
    Arrival { hook, mark, life, at: Instant::now(), deed: Deed::Take }
}

/// The hooks that want chat of a room that has no hook of its own.
const TAKERS: [usize; 5] = [0, 1, 2, 3, 4];

/// A tally of a few events that were published while all was well.
fn published(marks: &[usize]) -> Tally {
    let mut tally = Tally::new(Stalls::default());
    for mark in marks {
        tally.publishing(&[event(*mark)]);
        tally.published(&[event(*mark)], Some(1));
    }
    tally
}

#[test]
fn what_reached_everyone_in_order_is_well() {
    let mut tally = published(&[1, 2]);
    for mark in [1, 2] {
        assert_eq!(tally.owed(), 3 - mark);
        tally.take_down(TAKERS.map(|hook| arrival(hook, mark, 0)).to_vec());
    }
    tally.finish();
    assert_eq!((tally.owed(), tally.wrong()), (0, &[][..]));
    assert_eq!(tally.counts().delivered, 10);
}

#[test]
fn what_did_not_reach_one_hook_is_owed() {
    let mut tally = published(&[1]);
    tally.take_down(TAKERS[1..].iter().map(|hook| arrival(*hook, 1, 0)).collect());
    assert_eq!(tally.owed(), 1);
    assert!(tally.some_owed().ends_with("to the hooks [0]"), "{}", tally.some_owed());
    // What was not taken did not reach it.
    tally.take_down(vec![Arrival { deed: Deed::Refuse(500), ..arrival(0, 1, 0) }]);
    assert_eq!((tally.owed(), tally.counts().refused), (1, 1));
}

#[test]
fn what_nobody_wanted_or_published_and_what_overtook_another_is_wrong() {
    for (marks, said) in [([5, 1], "never published"), ([2, 1], "after a later one")] {
        let mut tally = published(&[1, 2]);
        tally.take_down(marks.map(|mark| arrival(0, mark, 0)).to_vec());
        assert!(matches!(tally.wrong(), [what] if what.contains(said)), "{:?}", tally.wrong());
    }
    let mut tally = published(&[1]);
    tally.take_down(vec![arrival(6, 1, 0)]);
    assert!(matches!(tally.wrong(), [what] if what.contains("does not want")), "{:?}", tally.wrong());
}

#[test]
fn what_comes_again_is_wrong_unless_a_kill_or_a_stall_explains_it() {
    let again = |ending: Option<bool>, stalls: bool| {
        let mut tally = published(&[1]);
        tally.take_down(vec![arrival(0, 1, 0)]);
        if let Some(killed) = ending {
            tally.life_ended(Instant::now(), killed);
        }
        if stalls {
            tally.stalls.lock().unwrap().push_back((Instant::now(), Instant::now()));
        }
        tally.take_down(vec![arrival(0, 1, usize::from(ending.is_some()))]);
        tally.finish();
        (tally.counts().again, tally.wrong().len())
    };
    assert_eq!(again(None, false), (0, 1));
    assert_eq!(again(Some(false), false), (0, 1), "a stop repeats nothing");
    assert_eq!(again(Some(true), false), (1, 0));
    assert_eq!(again(None, true), (1, 0));
}

#[test]
fn what_was_published_around_a_kill_is_owed_if_the_journal_has_it() {
    let mut tally = published(&[1, 2]);
    tally.doubt(Duration::from_secs(60), true);
    tally.publishing(&[event(3)]);
    tally.published(&[event(3)], Some(0));
    tally.resolve(&HashSet::from([1]), false);
    tally.life_ended(Instant::now(), true);
    assert_eq!((tally.owed(), tally.counts().unheard), (1, 2));
    // Sent by the life that was killed, before it was stored.
    tally.take_down(vec![arrival(0, 2, 0)]);
    assert_eq!((tally.owed(), tally.counts().unheard), (1, 2));
    // Heard after all.
    tally.take_down(vec![arrival(0, 3, 1)]);
    assert_eq!((tally.owed(), tally.counts().unheard), (2, 1));
}

#[test]
fn what_was_published_around_a_loss_of_redis_is_owed_if_anybody_got_it() {
    let mut tally = published(&[1, 2, 3]);
    tally.take_down(vec![arrival(0, 1, 0)]);
    tally.doubt(Duration::from_secs(60), false);
    tally.take_down(vec![arrival(0, 2, 0)]);
    tally.resolve(&HashSet::new(), true);
    assert_eq!(tally.is_sure(), 3);
    assert_eq!((tally.owed(), tally.counts().unheard), (2, 1));
}

#[test]
fn a_subscription_that_is_lost_while_all_is_well_is_wrong() {
    let mut tally = Tally::new(Stalls::default());
    tally.publishing(&[event(1)]);
    tally.published(&[event(1)], Some(0));
    assert_eq!(tally.wrong().len(), 1);
}
