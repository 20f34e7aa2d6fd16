//! What stands in Redis.

use std::collections::BTreeSet;

use redis::FromRedisValue;
use redis::Value;

use crate::config::Secret;
use crate::delivery::lanes::LaneRef;
use crate::delivery::lanes::Lanes;
use crate::event::InternalMeetingId;
use crate::fuzzing::SECRET;
use crate::journal;
use crate::journal::cursor::Cursor;
use crate::mapper;
use crate::processor;
use crate::registry;
use crate::store;
use crate::store::records::Fields;
use crate::store::records::Shelf;
use crate::xapi::credentials::Lrs;
use crate::xapi::known::Known;
use crate::xapi::records;

/// A hash in Redis: names and values of its fields, in turn, one in each line. It is read as everything that stands there, and
/// what was read is worked with.
pub fn hash(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let text = |line: &[u8]| Value::BulkString(line.to_vec());
    let pairs = lines.chunks_exact(2).map(|pair| (text(pair[0]), text(pair[1]))).collect();
    journal::fuzzing::read(lines[0], &Value::Map(pairs));
    let pairs = lines.chunks_exact(2).map(|pair| (text(pair[0]), text(pair[1]))).collect();
    let Ok(fields) = Fields::from_redis_value(Value::Map(pairs)) else { return };

    let (hooks, mappings) = store::fuzzing::read(&fields);
    registry::fuzzing::go_on(&hooks);
    let meetings: Vec<InternalMeetingId> = mappings.meetings.iter().map(|meeting| meeting.id.clone()).collect();
    let mut state = processor::restore(mappings, fastrand::Rng::with_seed(1), 7);
    for meeting in meetings.iter().chain([&"".into()]) {
        state.user_joined(meeting, &"w_new".into(), None, serde_json::Map::new(), 8);
        state.touch(meeting, 9);
        let _ = (state.presenter(meeting.as_str()).is_some(), state.screen_sharer(meeting.as_str()).is_some());
        let _ = state.meeting_ended(meeting);
    }
    state.sweep(10, std::time::Duration::ZERO);
    store::fuzzing::there_and_back(&state.take_changes());

    let mut known = Known::default();
    for shelf in Shelf::ALL {
        let _ = records::read(&mut known, shelf, &fields);
    }
    for value in fields.values() {
        if let Ok(cursor) = Cursor::from_text(value) {
            go_on_from(&cursor);
        }
        let _ = mapper::of_version_2(value);
        store::fuzzing::read_json(value);
        // What a meeting brings is encrypted, which no input is by chance.
        let _ = Lrs::of_decrypted(value.as_bytes());
    }
    if let Some(payload) = fields.get("lrs_payload").filter(|payload| !payload.is_empty()) {
        let _ = Lrs::of_payload(payload, &[Secret::new(SECRET)]);
    }
}

/// What a reader does with the cursor that it finds.
fn go_on_from(cursor: &Cursor) {
    assert!(cursor.highest().checked_add(1).is_some(), "there are numbers left");
    assert_eq!(Cursor::from_text(&cursor.to_text()).ok().as_ref(), Some(cursor), "it is written as it was read");
    let _ = (cursor.is_done(7), cursor.clipped(9));
    Cursor::at(3).keep_after(cursor.watermark, cursor);
    let mut lanes = Lanes::new(2, cursor.trying.clone());
    let _: Vec<u64> = cursor.trying.iter().map(|tried| tried.left(1)).collect();
    // A reader comes to events in the order of their numbers, whatever stands here.
    let numbers: BTreeSet<u64> = cursor.trying.iter().map(|tried| tried.first).take(100).collect();
    numbers.into_iter().for_each(|number| lanes.push(LaneRef::Hook, number));
    lanes.push(LaneRef::Hook, cursor.highest() + 1);
    lanes.wake(u64::MAX);
    while let Some(job) = lanes.next_job() {
        let _ = (lanes.failed(&job.lane), lanes.tried(5), lanes.drop_oldest(1));
        let _ = lanes.delivered(&job.lane);
    }
}
