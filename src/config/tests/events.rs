//! `events`: what may stand there, and what is said of what may not.

use serde_json::json;

use super::{config_of, problems_of};

#[test]
fn an_event_is_shown_as_it_was_configured() {
    let yaml = "
events:
  - message: LockSettingsInMeetingChangedEvtMsg
    id: lock-settings-changed
    attributes:
      lock-settings: {disable-cam: /core/body/disableCam, source: {constant: [1, {a: b}]}}
  - {message: UserJoinedMeetingEvtMsg, id: user-joined, override: true, meeting: /m, user: /u, attributes: {user: {avatar: /core/body/avatar}}}
  - {message: X, id: x_1}
";
    let shown: Vec<_> = config_of(yaml).events.iter().map(crate::mapper::ConfiguredEvent::to_json).collect();
    let expected = json!([
        {
            "message": "LockSettingsInMeetingChangedEvtMsg",
            "id": "lock-settings-changed",
            "attributes": {"lock-settings": {"disable-cam": "/core/body/disableCam", "source": {"constant": [1, {"a": "b"}]}}},
            "override": false,
        },
        {
            "message": "UserJoinedMeetingEvtMsg",
            "id": "user-joined",
            "meeting": "/m",
            "user": "/u",
            "attributes": {"user": {"avatar": "/core/body/avatar"}},
            "override": true,
        },
        {"message": "X", "id": "x_1", "attributes": {}, "override": false},
    ]);
    assert_eq!(json!(shown), expected);
    let again = config_of(&format!("events: {expected}\n"));
    assert_eq!(again.events, config_of(yaml).events);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (yaml, problem) in [
        ("events: {a: 1}", "etc/local.yml:1:1: events: got a mapping, expected a list"),
        (
            "events:\n  - just-a-text\n",
            "etc/local.yml:2:5: events[0]: got \"just-a-text\", expected a mapping with message, id and attributes",
        ),
        (
            "events:\n  - id: x\n",
            "etc/local.yml:2:5: events[0]: has no message, expected the name of a BigBlueButton message, such as \
             LockSettingsInMeetingChangedEvtMsg",
        ),
        (
            "events:\n  - message: M\n    id: Lock Settings\n",
            "etc/local.yml:3:5: events[0].id: got \"Lock Settings\", expected an id of lower-case letters, digits, - and _, \
             such as lock-settings-changed",
        ),
        (
            "events:\n  - message: M\n    id: user-joined\n",
            "etc/local.yml:3:5: events[0].id: got \"user-joined\", expected an id that is not built in; with `override: true` \
             beside it, it may be",
        ),
        (
            "events:\n  - message: M\n    id: x\n    attributes:\n      a: core/body\n",
            "etc/local.yml:5:7: events[0].attributes.a: got \"core/body\", expected a JSON pointer into the message, such as \
             /core/body/setBy, {constant: VALUE}, or a mapping of further attributes",
        ),
        (
            "events:\n  - message: M\n    id: x\n    attributes: [a]\n",
            "etc/local.yml:4:5: events[0].attributes: got a list, expected a mapping of attributes, such as {locked-by: \
             /core/body/setBy}",
        ),
        (
            "events:\n  - message: M\n    id: x\n    attributes: {1: /a}\n",
            "etc/local.yml:4:5: events[0].attributes: got a mapping, expected names of attributes that are texts and not \
             empty; put numbers in quotes",
        ),
        (
            "events:\n  - message: M\n    id: x\n    user: {constant: x}\n",
            "etc/local.yml:4:5: events[0].user: got a mapping, expected a JSON pointer into the message, such as \
             /core/body/setBy",
        ),
        (
            "events:\n  - message: M\n    id: x\n    overide: true\n",
            "etc/local.yml:4:5: events[0].overide: unknown key, expected one of message, id, meeting, user, attributes, \
             override",
        ),
        (
            "events:\n  - message: M\n    id: x\n    override: true\n",
            "etc/local.yml:4:5: events[0].override: got true, expected none: no built-in event has the id x; docs/events.md \
             has all",
        ),
        (
            "events:\n  - message: M\n    id: x\n    attributes:\n      meeting: {constant: hi}\n",
            "etc/local.yml:5:7: events[0].attributes.meeting: expected a mapping of further attributes: they are added to \
             internal-meeting-id and external-meeting-id, which are filled in",
        ),
        (
            "events:\n  - message: M\n    id: x\n    attributes:\n      user:\n        name: /n\n        external-user-id: /e\n",
            "etc/local.yml:7:9: events[0].attributes.user.external-user-id: is filled in, expected other names; which user it \
             is, says the key user of the entry",
        ),
        (
            "events:\n  - message: M\n    id: x\n  - message: M\n    id: x\n",
            "etc/local.yml:4:5: events[1]: makes the event x of the message M, as the first in the list does; remove one of \
             them",
        ),
    ] {
        assert_eq!(problems_of(yaml), [problem]);
    }
}

#[test]
fn attributes_may_add_to_the_ids_and_have_their_names_elsewhere() {
    let event =
        "message: M, id: x, attributes: {meeting: {name: /n}, user: {role: /r}, room: {internal-meeting-id: /i}}";
    assert_eq!(problems_of(&format!("events: [{{{event}}}]")), [""; 0]);
    let over =
        "message: UserLeftMeetingEvtMsg, id: user-left, override: true, attributes: {user: {external-user-id: /e}}";
    assert_eq!(problems_of(&format!("events: [{{{over}}}]")), [""; 0], "what is put over an event replaces");
}

#[test]
fn all_problems_are_said_at_once() {
    let yaml = "events:\n  - {id: user-left, attributes: {a: 1, b: x}}\n  - {message: '', id: x}\n";
    let problems = problems_of(yaml);
    assert_eq!(problems.len(), 5, "{problems:#?}");
}
