//! The log in memory. What Redis makes of it is tested with a real Redis, from outside.

use super::*;
use crate::event::EventId;
use crate::event::RawForm;
use crate::hook::EventFilter;
use crate::hook::Hook;

fn event(meeting: &str, text: &str) -> MappedEvent {
    MappedEvent {
        id: EventId::built_in("pad-content"),
        meeting: Some(meeting.into()),
        external_meeting: Some(meeting.into()),
        json: text.into(),
        raw: RawForm::Message { json: "raw".into(), also: Vec::new() },
    }
}

fn interest(meeting: Option<&str>, raw: bool) -> Interest {
    let hook = Hook {
        id: "1".into(),
        callback_url: String::new(),
        meeting: meeting.map(Into::into),
        events: Vec::new(),
        permanent: false,
        raw,
        created_ms: 0,
    };
    Interest::of(&hook, &EventFilter::default())
}

fn journal(limit: usize) -> Journal {
    let nowhere = redis::Client::open("redis://127.0.0.1:1").unwrap();
    Journal::new(limit, Arc::new(Connection::new(nowhere))).0
}

impl Journal {
    fn reader_of(&self, meeting: Option<&str>, raw: bool) -> Reader {
        self.reader("1".into(), interest(meeting, raw))
    }

    /// As if Redis had taken all that is new.
    fn commit(&self) -> log::News {
        let news = self.log().take_news(usize::MAX, usize::MAX);
        self.log().committed(&news);
        news
    }

    fn has(&self, number: u64) -> bool {
        self.log().event(number).is_some()
    }
}

async fn texts(reader: &mut Reader, most: usize) -> Vec<String> {
    let (events, _) = reader.read(most).await.unwrap();
    events.iter().map(|event| event.mapped.json.to_string()).collect()
}

#[tokio::test]
async fn a_reader_sees_what_it_wants_of_what_comes_after_it() {
    let journal = journal(1 << 20);
    journal.log().begin_at(100);
    journal.append(vec![event("a", "1")], 0);
    let mut all = journal.reader_of(None, false);
    let mut one = journal.reader_of(Some("b"), false);
    journal.append(vec![event("a", "2"), event("b", "3")], 0);
    journal.append(vec![event("a", "4")], 0);
    assert_eq!(texts(&mut all, 2).await, ["2", "3"]);
    assert_eq!(texts(&mut all, 2).await, ["4"]);
    assert!(texts(&mut all, 2).await.is_empty());
    assert_eq!(one.read(10).await.unwrap().0[0].number, 102);
    assert_eq!(one.position(), 103, "what it does not want is read too");
}

#[tokio::test]
async fn keeps_what_the_slowest_reader_or_redis_needs_and_no_more() {
    let journal = journal(1 << 30);
    let slow = journal.reader_of(None, false);
    let fast = journal.reader_of(None, false);
    for _ in 0..10_000 {
        journal.append(vec![event("a", "x")], 0);
    }
    fast.report(Cursor::at(10_000));
    slow.report(Cursor::at(9_000));
    assert!(journal.has(1), "Redis does not have it yet");
    journal.commit();
    slow.report(Cursor::at(9_001));
    assert!(!journal.has(9_001));
    assert!(journal.has(9_002));
    drop(slow);
    assert!(!journal.has(9_002), "what only a dropped reader needed goes with it");
    assert_eq!(journal.log().to_be_kept_after(), 9_001, "but Redis keeps it: that reader may come back");
}

#[tokio::test]
async fn a_reader_to_whom_nothing_happens_holds_nothing_back() {
    let journal = journal(1 << 30);
    let _idle = journal.reader_of(Some("b"), false);
    let busy = journal.reader_of(Some("a"), false);
    for number in 1..=10_000 {
        journal.append(vec![event("a", "x")], 0);
        journal.commit();
        busy.report(Cursor::at(number));
    }
    journal.append(vec![event("b", "x")], 0);
    assert!(!journal.has(9_000));
    assert!(journal.has(10_001));
}

#[tokio::test]
async fn never_holds_more_bytes_than_its_limit() {
    let journal = journal(100_000);
    let _reader = journal.reader_of(None, false);
    let text = "x".repeat(1000);
    for _ in 0..1000 {
        journal.append(vec![event("a", &text)], 0);
    }
    assert!(journal.log().bytes() <= 100_000);
    assert!(journal.has(1000) && journal.has(950) && !journal.has(900));
}

#[tokio::test]
async fn keeps_messages_only_while_somebody_wants_them() {
    let journal = journal(1 << 20);
    let mut mapped = journal.reader_of(None, false);
    journal.append(vec![event("a", "1")], 0);
    let raw = journal.reader_of(None, true);
    journal.append(vec![event("a", "2")], 0);
    drop(raw);
    journal.append(vec![event("a", "3")], 0);
    let (events, _) = mapped.read(10).await.unwrap();
    let kept: Vec<_> = events.iter().map(|event| event.json(true).map(str::to_owned)).collect();
    assert_eq!(kept, [None, Some("raw".to_owned()), None]);
}

#[tokio::test]
async fn wakes_those_who_want_it_and_nobody_else() {
    let journal = journal(1 << 20);
    let wants = journal.reader_of(Some("a"), false);
    let other = journal.reader_of(Some("b"), false);
    journal.append(vec![event("a", "1")], 0);
    wants.more().await;
    let woken = tokio::time::timeout(std::time::Duration::from_millis(20), other.more()).await;
    assert!(woken.is_err());
}

#[tokio::test]
async fn a_cursor_never_speaks_of_what_redis_does_not_have() {
    let journal = journal(1 << 20);
    let reader = journal.reader_of(None, false);
    journal.append((0..10).map(|_| event("a", "x")).collect(), 0);
    reader.report(Cursor { watermark: 7, done: vec![(9, 10)], ..Cursor::default() });
    let news = journal.log().take_news(8, usize::MAX);
    assert_eq!((news.events.len(), &news.cursors[0].1), (8, &Cursor::at(7)));
    journal.log().committed(&news);
    let news = journal.commit();
    assert_eq!(news.cursors[0].1.done, [(9, 10)], "the rest follows when it is stored");
    assert!(journal.commit().is_empty());

    reader.report(Cursor::at(10));
    let news = journal.log().take_news(8, usize::MAX);
    journal.log().not_committed(news);
    assert_eq!(journal.commit().cursors[0].1, Cursor::at(10), "what Redis did not take is said again");
}

#[tokio::test]
async fn what_is_restored_reaches_readers_from_their_cursors() {
    let journal = journal(1 << 20);
    journal.log().begin_at(1000);
    let cursor = Cursor { watermark: 20, done: vec![(30, 40)], ..Cursor::default() };
    let mut old = journal.reader_from("1".into(), interest(None, false), cursor);
    let mut new = journal.reader("2".into(), interest(None, false));
    for number in [10, 20, 25, 35, 50] {
        let text = number.to_string();
        journal.log().restore(Event { number, accepted_ms: 0, to: None, mapped: event("a", &text) });
    }
    let (events, _) = old.read(10).await.unwrap();
    assert_eq!(events.iter().map(|event| event.number).collect::<Vec<_>>(), [25, 35, 50]);
    assert_eq!(old.books().account().matched, 2, "35 was finished before");
    assert_eq!(old.position(), 50, "there may be more to restore");
    journal.log().restored();
    journal.append(vec![event("a", "new")], 0);
    assert_eq!(texts(&mut old, 10).await, ["new"]);
    assert_eq!(texts(&mut new, 10).await, ["new"]);
}

#[tokio::test]
async fn the_last_word_of_a_reader_outlives_it_unless_it_is_forgotten() {
    let journal = journal(1 << 20);
    let stays = journal.reader("stays".into(), interest(None, false));
    let goes = journal.reader("goes".into(), interest(None, false));
    journal.append(vec![event("a", "1")], 0);
    stays.report(Cursor::at(1));
    goes.report(Cursor::at(1));
    drop(stays);
    journal.forget(&"goes".into());
    goes.report(Cursor::at(1));
    drop(goes);
    let news = journal.log().take_news(usize::MAX, usize::MAX);
    assert_eq!(news.cursors, [("stays".into(), Cursor::at(1))]);
    assert_eq!(news.gone, ["goes".into()]);
    journal.log().not_committed(news);
    let news = journal.commit();
    assert_eq!((news.cursors, news.gone), (vec![("stays".into(), Cursor::at(1))], vec!["goes".into()]));
    assert!(journal.commit().is_empty());
}
