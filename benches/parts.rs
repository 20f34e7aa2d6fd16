//! Measures the parts through which every message or callback goes, each by itself.
//!
//! ```text
//! cargo bench --bench parts
//! ```

use bbb_webhooks::checksum::Algorithm;
use bbb_webhooks::config::ChecksumFormat;
use bbb_webhooks::config::Secret;
use bbb_webhooks::event::Event;
use bbb_webhooks::event::MappedEvent;
use bbb_webhooks::event::RawMessage;
use bbb_webhooks::hook::EventFilter;
use bbb_webhooks::hook::Filters;
use bbb_webhooks::hook::Hook;
use bbb_webhooks::hook::Interest;
use bbb_webhooks::mapper::Mapper;
use bbb_webhooks::state::State;
use bbb_webhooks::webhooks::address::Address;
use bbb_webhooks::webhooks::callback::CallbackBuilder;
use bbb_webhooks::webhooks::callback::Proof;
use divan::Bencher;
use divan::black_box;
use divan::counter::ItemsCount;

const NOW_MS: u64 = 1_763_990_012_345;

const CREATED: &str = r#"{"envelope":{"name":"MeetingCreatedEvtMsg","routing":{"sender":"bbb-apps-akka"},"timestamp":1763990000000},"core":{"header":{"name":"MeetingCreatedEvtMsg"},"body":{"props":{"meetingProp":{"name":"Algebra","extId":"algebra","intId":"0a1b-1763990000000","isBreakout":false},"breakoutProps":{"parentId":"bbb-none","sequence":0},"durationProps":{"duration":90,"createdTime":1763990000000,"createdDate":"Mon Nov 24 14:33:20 CET 2025"},"password":{"moderatorPass":"mp","viewerPass":"ap"},"recordProp":{"record":true},"voiceProp":{"voiceConf":"71347","dialNumber":"613-555-1234"},"usersProp":{"maxUsers":25},"metadataProp":{"metadata":{"bbb-origin":"Moodle"}}}}}}"#;

const JOINED: &str = r#"{"envelope":{"name":"UserJoinedMeetingEvtMsg","routing":{"msgType":"BROADCAST_TO_MEETING","meetingId":"0a1b-1763990000000","userId":"w_ada"},"timestamp":1763990001000},"core":{"header":{"name":"UserJoinedMeetingEvtMsg","meetingId":"0a1b-1763990000000","userId":"w_ada"},"body":{"intId":"w_ada","extId":"student-7","name":"Ada","role":"VIEWER","guest":false,"presenter":false}}}"#;

const CHAT: &str = r#"{"envelope":{"name":"GroupChatMessageBroadcastEvtMsg","routing":{"msgType":"BROADCAST_TO_MEETING","meetingId":"0a1b-1763990000000","userId":"w_ada"},"timestamp":1763990012345},"core":{"header":{"name":"GroupChatMessageBroadcastEvtMsg","meetingId":"0a1b-1763990000000","userId":"w_ada"},"body":{"chatId":"MAIN-PUBLIC-GROUP-CHAT","msg":{"id":"1763990012345-1","timestamp":1763990012345,"correlationId":"w_ada-1","sender":{"id":"w_ada","name":"Ada","role":"VIEWER"},"chatEmphasizedText":true,"message":"Could everybody please mute themselves?"}}}}"#;

const CURSOR_MOVED: &str = r#"{"envelope":{"name":"SendCursorPositionEvtMsg","routing":{"msgType":"BROADCAST_TO_MEETING","meetingId":"0a1b-1763990000000","userId":"w_ada"},"timestamp":1763990012345},"core":{"header":{"name":"SendCursorPositionEvtMsg","meetingId":"0a1b-1763990000000","userId":"w_ada"},"body":{"whiteboardId":"d2d9a672040fbde2a47a10bf6c37b6a4b5ae187f-1763990000130/1","xPercent":34.56789,"yPercent":12.34567}}}"#;

/// A message to measure with.
#[derive(Clone, Copy, Debug)]
enum Sample {
    Created,
    Joined,
    Chat,
    /// Nobody maps it.
    CursorMoved,
}

impl Sample {
    fn json(self) -> &'static str {
        match self {
            Self::Created => CREATED,
            Self::Joined => JOINED,
            Self::Chat => CHAT,
            Self::CursorMoved => CURSOR_MOVED,
        }
    }
}

fn main() {
    divan::main();
}

fn message(json: &'static str) -> RawMessage {
    RawMessage { bytes: json.into() }
}

/// A meeting with a user in it.
fn state() -> State {
    let mut state = State::new(fastrand::Rng::with_seed(7));
    for json in [CREATED, JOINED] {
        Mapper::default().map(&message(json), &mut state, NOW_MS).expect("it is an event");
    }
    state
}

fn chat() -> MappedEvent {
    Mapper::default().map(&message(CHAT), &mut state(), NOW_MS).expect("it is an event").remove(0)
}

#[divan::bench(args = [Sample::Chat, Sample::CursorMoved])]
fn look_at_the_name(bencher: Bencher<'_, '_>, sample: Sample) {
    let mapper = Mapper::default();
    bencher.bench(|| mapper.look(black_box(sample.json().as_bytes())));
}

#[divan::bench(args = [Sample::Created, Sample::Joined, Sample::Chat])]
fn map(bencher: Bencher<'_, '_>, sample: Sample) {
    let (mapper, mut state, message) = (Mapper::default(), state(), message(sample.json()));
    bencher.bench_local(|| mapper.map(black_box(&message), &mut state, NOW_MS));
}

#[divan::bench(args = [1, 10])]
fn render_and_sign(bencher: Bencher<'_, '_>, events: usize) {
    let proof = Proof::Checksum(Algorithm::Sha1, ChecksumFormat::Form);
    let builder = CallbackBuilder::with("bbb.example.com", Secret::new("s3cret"), proof);
    let to = Address::new("https://lms.example.org/bbb/events?course=7").expect("it is a URL");
    let event = chat();
    let json = vec![&*event.json; events];
    let key = builder.key_of("7");
    bencher.counter(ItemsCount::new(events)).bench(|| {
        let callback = builder.build(&to, black_box(&json), NOW_MS);
        let signature = key.sign((NOW_MS, NOW_MS), NOW_MS, &callback.body);
        (callback, signature)
    });
}

#[divan::bench]
fn match_against_1000_hooks(bencher: Bencher<'_, '_>) {
    let hook = |number: usize| Hook {
        id: number.to_string().into(),
        callback_url: format!("https://lms.example.org/{number}"),
        meeting: None,
        events: if number.is_multiple_of(2) {
            vec!["user-joined".to_owned(), "user-left".to_owned()]
        } else {
            Vec::new()
        },
        permanent: false,
        raw: number.is_multiple_of(10),
        created_ms: NOW_MS,
    };
    let filters = Filters::new(EventFilter::default());
    let interests: Vec<_> = (0..1000).map(|number| Interest::of(&hook(number), &filters)).collect();
    let event = Event { number: 1, accepted_ms: NOW_MS, to: None, mapped: chat() };
    bencher
        .counter(ItemsCount::new(1000_usize))
        .bench(|| interests.iter().filter(|interest| interest.wants(black_box(&event))).count());
}
