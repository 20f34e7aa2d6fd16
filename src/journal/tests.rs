//! The log in memory. What Redis makes of it is tested with a real Redis, from outside.

use super::*;
use crate::event::EventId;
use crate::event::RawForm;
use crate::hook::EventFilter;
use crate::hook::Filters;
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

fn hook(id: &str, meeting: Option<&str>) -> Hook {
    Hook {
        id: id.into(),
        callback_url: String::new(),
        meeting: meeting.map(Into::into),
        events: Vec::new(),
        permanent: false,
        raw: false,
        created_ms: 0,
    }
}

fn interest(meeting: Option<&str>, raw: bool) -> Interest {
    Interest::of(&Hook { raw, ..hook("1", meeting) }, &Filters::new(EventFilter::default()))
}

fn journal(limit: usize) -> Journal {
    let nowhere = redis::Client::open("redis://127.0.0.1:1").unwrap();
    Journal::new(limit, Arc::new(Connection::new(nowhere))).0
}

impl Journal {
    fn reader_of(&self, meeting: Option<&str>, raw: bool) -> Reader {
        // Names do not matter here, but each reader has its own.
        let name = format!("reader {}", fastrand::u64(..));
        self.reader(name.as_str().into(), interest(meeting, raw))
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
    let events = reader.read(most).await.unwrap().events;
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
    assert_eq!(one.read(10).await.unwrap().events[0].number, 102);
    assert_eq!(one.position(), 103, "what it does not want is read too");
}

#[tokio::test]
async fn keeps_what_the_slowest_reader_or_redis_needs_and_no_more() {
    let journal = journal(1 << 30);
    let slow = journal.reader("slow".into(), interest(None, false));
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
    assert!(journal.has(9_002), "a reader that stopped will come back");
    journal.forget(&"slow".into());
    journal.append(vec![event("a", "x")], 0);
    fast.report(Cursor::at(10_001));
    journal.commit();
    assert!(!journal.has(9_002), "one that is forgotten will not");
}

#[tokio::test]
async fn makes_room_for_what_is_no_event_yet_or_on_its_way_out_of_what_redis_has() {
    let journal = journal(100_000);
    let _reader = journal.reader_of(None, false);
    let text = "x".repeat(1000);
    let held = || journal.size().1;
    let append = |events| (0..events).for_each(|_| journal.append(vec![event("a", &text)], 0));
    append(45);
    let all = held();
    journal.leave_room(1 << 30);
    assert_eq!(held(), all, "Redis has nothing of it yet");
    journal.commit();
    journal.leave_room(60_000);
    assert!((37_000..=40_000).contains(&held()), "{}", held());
    journal.leave_room(1 << 30);
    assert!((22_000..=25_000).contains(&held()), "{}", held());
    journal.leave_room(0);
    append(50);
    journal.commit();
    assert!(held() > 60_000, "{}", held());
    let under_way = (journal.take_room(20_000), journal.take_room(30_000));
    journal.leave_room(10_000);
    assert!((37_000..=40_000).contains(&held()), "{}", held());
    drop(under_way);
    journal.leave_room(10_000);
    append(50);
    assert!(held() > 60_000, "{}", held());
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
    assert!(journal.size().1 <= 100_000);
    assert!(journal.has(1000) && journal.has(950) && !journal.has(900));
}

#[tokio::test]
async fn keeps_messages_only_while_somebody_wants_them() {
    let journal = journal(1 << 20);
    let mut mapped = journal.reader_of(None, false);
    journal.append(vec![event("a", "1")], 0);
    let raw = journal.reader("raw".into(), interest(None, true));
    journal.append(vec![event("a", "2")], 0);
    drop(raw);
    journal.append(vec![event("a", "3, which it gets when it is back")], 0);
    journal.forget(&"raw".into());
    journal.append(vec![event("a", "4")], 0);
    let events = mapped.read(10).await.unwrap().events;
    let kept: Vec<_> = events.iter().map(|event| event.json(true)).collect();
    assert_eq!(kept, [None, Some("raw"), Some("raw"), None]);
}

#[tokio::test]
async fn what_is_addressed_reaches_its_hook_whatever_the_hook_is_for() {
    let journal = journal(1 << 20);
    let mut wants =
        journal.reader("7".into(), Interest::of(&hook("7", Some("b")), &Filters::new(EventFilter::default())));
    let mut other = journal.reader_of(None, false);
    let of_no_meeting = MappedEvent { meeting: None, external_meeting: None, ..event("a", "1") };
    journal.append_to(&"7".into(), vec![event("a", "0"), of_no_meeting], 0);
    assert_eq!(texts(&mut wants, 2).await, ["0", "1"]);
    assert!(texts(&mut other, 2).await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_found_any_more_is_counted() {
    let journal = journal(10_000);
    let mut reader = journal.reader_of(None, false);
    let text = "x".repeat(1000);
    for _ in 0..20 {
        journal.append(vec![event("a", &text)], 0);
    }
    let oldest = (1..).find(|number| journal.has(*number)).unwrap();
    assert_eq!(journal.log().take_never_stored(), oldest - 1);
    assert!(reader.read(10).await.is_err(), "there is no Redis that could have it");
    // As if Redis had answered that it has nothing.
    reader.position = journal.log().forgotten();
    let found = reader.read(100).await.unwrap();
    assert_eq!((found.events[0].number, found.lost), (oldest, oldest - 1));
    reader.books().taken(found.events.len());
    reader.books().never_found(crate::books::End::RedisLost, found.lost);
    assert_eq!((reader.books().account().waiting, reader.books().account().balances()), (0, true));
    assert_eq!(reader.read(100).await.unwrap().lost, 0, "once");
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
    let events = old.read(10).await.unwrap().events;
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

#[tokio::test]
async fn a_flush_lasts_until_the_last_event_is_stored() {
    let nowhere = redis::Client::open("redis://127.0.0.1:1").unwrap();
    let (journal, mut requests) = Journal::new(1 << 20, Arc::new(Connection::new(nowhere)));
    journal.log().begin_at(100);
    let _needs_all = journal.reader_of(None, false);
    journal.append((0..5).map(|_| event("a", "x")).collect(), 0);
    let flushing = tokio::spawn({
        let journal = journal.clone();
        async move { journal.flush().await }
    });
    for left in (0..3).rev() {
        let request = requests.recv().await.unwrap();
        assert!(!flushing.is_finished());
        let news = journal.log().take_news(2, usize::MAX);
        journal.log().committed(&news);
        // What comes later is not waited for.
        journal.append(vec![event("a", "later")], 0);
        assert_eq!(journal.log().is_committed(104), left == 0);
        request.done.send(Ok(())).unwrap();
    }
    flushing.await.unwrap().unwrap();
}
