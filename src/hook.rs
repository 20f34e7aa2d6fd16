//! A hook, and which events it gets. Pure.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use url::Url;

use crate::event::Event;
use crate::event::EventId;
use crate::event::ExternalMeetingId;
use crate::event::HookId;
use crate::event::RawForm;

/// The highest number that a hook can have as its id: what is above nobody gave, and there would soon be none left.
pub const HIGHEST_NUMBER: u64 = u64::MAX / 2;

/// Somebody's wish to be called back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its name in the API.
    pub id: HookId,
    /// Where to POST, as registered, byte for byte: the checksum covers it.
    pub callback_url: String,
    /// Only this meeting's events; none for those of all meetings.
    pub meeting: Option<ExternalMeetingId>,
    /// Only events with these ids, in lower case, in the order registered; empty for all.
    pub events: Vec<String>,
    /// Exists because the configuration says so: cannot be destroyed, is never given up.
    pub permanent: bool,
    /// Gets messages as BigBlueButton published them.
    pub raw: bool,
    /// When it was registered, in ms since 1970; 0 where the Node daemon did not write it down.
    pub created_ms: u64,
}

impl Hook {
    /// The order in which hooks are listed: as created; those that do not know when come first, by id (numbers as numbers).
    #[must_use]
    pub fn list_order(&self) -> (u64, u64, HookId) {
        (self.created_ms, self.id.as_str().parse().unwrap_or(u64::MAX), self.id.clone())
    }
}

impl Hook {
    /// The host and port that its callbacks go to: what a log may show.
    #[must_use]
    pub fn host(&self) -> String {
        let Ok(url) = Url::parse(&self.callback_url) else { return String::new() };
        let host = url.host_str().unwrap_or_default();
        url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The callback URL without what may be secret: its query, user and password.
    #[must_use]
    pub fn public_url(&self) -> String {
        let Ok(mut url) = Url::parse(&self.callback_url) else { return String::new() };
        url.set_query(None);
        // Only URLs without a host refuse these.
        let _ = (url.set_username(""), url.set_password(None));
        url.into()
    }
}

/// The ids in a list of events: in lower case, and with commas between them, as the API has it; or as a JSON list, as some
/// clients write it. Version 3 of the Node daemon reads its own JSON list as one with commas when it is restarted, and writes what
/// it read: so its items, with commas between them, may be a JSON list again.
#[must_use]
pub fn event_ids(text: &str) -> Vec<String> {
    let in_lower_case = |ids: Vec<String>| -> Vec<String> {
        ids.iter().map(|id| id.trim().to_lowercase()).filter(|id| !id.is_empty()).collect()
    };
    let with_commas = || in_lower_case(text.split(',').map(str::to_owned).collect());
    let Ok(serde_json::Value::Array(items)) = serde_json::from_str(text) else { return with_commas() };
    let items: Vec<String> = items.iter().filter_map(serde_json::Value::as_str).map(str::to_owned).collect();
    let joined = items.join(",");
    // It is shorter than the text, so this comes to an end.
    let ids = if joined.starts_with('[') { event_ids(&joined) } else { in_lower_case(items) };
    // What says nothing must not mean all events.
    if ids.is_empty() { with_commas() } else { ids }
}

/// Why a text is no URL that can be called back. Shown, it goes on after "The URL" or "This one".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCallable {
    /// It does not say where.
    #[error("is no absolute http or https URL, such as https://lms.example.org/events")]
    NotAbsolute,
    /// It says it in a way that cannot be.
    #[error("is no valid URL: {0}")]
    Invalid(#[from] url::ParseError),
    /// A checksum behind it would not be sent.
    #[error("must not have a fragment (#...)")]
    Fragment,
    /// A checksum behind it would stand within the URL: in its host it makes that none, in a path another.
    #[error("must not end with a blank")]
    Blank,
    /// Whoever parses a URL leaves some of them out, and whoever reads the list in XML finds other ones.
    #[error("has a control character: {}", .0.escape_unicode())]
    ControlCharacter(char),
}

/// Whether a text is a URL that can be called back.
///
/// # Errors
/// If it is not, with the reason.
pub fn callable(url: &str) -> Result<(), NotCallable> {
    if let Some(character) = url.chars().find(char::is_ascii_control) {
        return Err(NotCallable::ControlCharacter(character));
    }
    // What parses URLs fills in what is missing, as browsers do.
    let rest = url.trim_start_matches(' ').split_once("://");
    let rest = rest.filter(|(scheme, _)| ["http", "https"].contains(&&*scheme.to_ascii_lowercase()));
    if rest.is_none_or(|(_, rest)| rest.starts_with(['/', '\\'])) {
        return Err(NotCallable::NotAbsolute);
    }
    if Url::parse(url)?.fragment().is_some() {
        return Err(NotCallable::Fragment);
    }
    if url.ends_with(' ') { Err(NotCallable::Blank) } else { Ok(()) }
}

/// Which events the configuration lets out at all (`includeEvents`, `excludeEvents`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    include: HashSet<String>,
    exclude: HashSet<String>,
}

impl EventFilter {
    /// Only `include`, or all where it is empty, and never `exclude`; ids in lower case.
    #[must_use]
    pub fn new(include: &[String], exclude: &[String]) -> Self {
        Self { include: include.iter().cloned().collect(), exclude: exclude.iter().cloned().collect() }
    }

    fn passes(&self, id: &EventId) -> bool {
        (self.include.is_empty() || self.include.contains(id.as_str())) && !self.exclude.contains(id.as_str())
    }
}

/// The filter as it changes while the daemon runs: an event is judged by that under which it was accepted, so that it counts
/// as one and the same for all, whenever they look at it. Clones are the same.
#[derive(Clone, Debug)]
pub struct Filters(Arc<Held>);

#[derive(Debug)]
struct Held {
    /// By the number of the first event for which each holds.
    filters: RwLock<Vec<(u64, EventFilter)>>,
    /// Whether none of them keeps anything back, as a rule: then nobody has to look at them for each event and hook.
    passes_all: AtomicBool,
}

impl Filters {
    /// One for all events, until it changes.
    #[must_use]
    pub fn new(filter: EventFilter) -> Self {
        let passes_all = AtomicBool::new(filter == EventFilter::default());
        Self(Arc::new(Held { filters: RwLock::new(vec![(0, filter)]), passes_all }))
    }

    /// The one that holds now, for all events.
    #[must_use]
    pub fn now_for_all(&self) -> Self {
        let filters = self.0.filters.read().unwrap_or_else(PoisonError::into_inner);
        Self::new(filters.last().map(|(_, filter)| filter.clone()).unwrap_or_default())
    }

    /// Another holds for the events after this number.
    pub fn change_after(&self, number: u64, filter: EventFilter) {
        let mut filters = self.0.filters.write().unwrap_or_else(PoisonError::into_inner);
        if filters.last().is_none_or(|(_, last)| *last != filter) {
            self.0.passes_all.store(false, Ordering::Release);
            filters.push((number + 1, filter));
        }
    }

    fn pass(&self, number: u64, id: &EventId) -> bool {
        if self.0.passes_all.load(Ordering::Acquire) {
            return true;
        }
        let filters = self.0.filters.read().unwrap_or_else(PoisonError::into_inner);
        let filter = filters.iter().rev().find(|(from, _)| *from <= number);
        filter.is_none_or(|(_, filter)| filter.passes(id))
    }
}

/// What a reader of the journal wants to see of it.
#[derive(Clone, Debug)]
pub struct Interest {
    /// The reader: what is addressed to it passes all filters, what is addressed to others does not concern it.
    hook: HookId,
    /// Only this meeting's events; none for those of all meetings.
    pub meeting: Option<ExternalMeetingId>,
    /// Only these ids, in lower case; empty for all.
    events: Vec<String>,
    /// Messages as published instead of mapped events.
    pub raw: bool,
    filters: Filters,
}

impl Interest {
    /// What `hook` wants of the events that the filters let out.
    #[must_use]
    pub fn of(hook: &Hook, filters: &Filters) -> Self {
        Self {
            hook: hook.id.clone(),
            meeting: hook.meeting.clone(),
            events: hook.events.clone(),
            raw: hook.raw,
            filters: filters.clone(),
        }
    }

    /// What a reader that is no hook wants: events with these ids, of all meetings, in their mapped form.
    #[must_use]
    pub fn in_events(reader: HookId, events: &[&str]) -> Self {
        let events = events.iter().map(|id| (*id).to_owned()).collect();
        Self { hook: reader, meeting: None, events, raw: false, filters: Filters::new(EventFilter::default()) }
    }

    /// Whether the event is one of those wanted.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        if let Some(to) = &event.to {
            return *to == self.hook;
        }
        let mapped = &event.mapped;
        if self.meeting.is_some() && self.meeting != mapped.external_meeting {
            return false;
        }
        let passes = |id: &EventId| {
            (self.events.is_empty() || self.events.iter().any(|e| e == id.as_str()))
                && self.filters.pass(event.number, id)
        };
        match &mapped.raw {
            RawForm::Covered | RawForm::NotKept if self.raw => false,
            RawForm::Message { also, .. } if self.raw => passes(&mapped.id) || also.iter().any(passes),
            _ => passes(&mapped.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_events_have_commas_or_are_json_however_often() {
        let mut written = r#"["user-joined","user-left"]"#.to_owned();
        for _ in 0..4 {
            assert_eq!(event_ids(&written), ["user-joined", "user-left"], "{written}");
            // As version 3 reads and writes them.
            written = serde_json::Value::from(written.split(',').collect::<Vec<_>>()).to_string();
        }
        assert_eq!(event_ids(" user-joined,,User-Left "), ["user-joined", "user-left"]);
        assert_eq!(event_ids(r#"["[\"User-Left\"]"]"#), ["user-left"]);
        assert_eq!(event_ids(""), [""; 0]);
        for nothing in ["[]", "[1,2]", "[null]", "[\"\"]", r#"["[]"]"#, r#"["[1","2]"]"#, r#"["[x"]"#] {
            let ids = event_ids(nothing);
            assert!(!ids.is_empty(), "{nothing} is not all events");
            let stored = serde_json::Value::from(ids.clone()).to_string();
            assert_eq!(event_ids(&stored), ids, "{nothing} is the same after a restart");
        }
    }

    #[test]
    fn only_what_says_where_can_be_called() {
        for url in ["http://h", "HTTPS://h:8443/x?a=1", "http://user:pw@[::1]/ü?b=<c>", " http://h/?u=http://x/"] {
            assert_eq!(callable(url), Ok(()), "{url}");
        }
        for url in ["", "h/x", "/x", "//h/x", "http:h", "https:/h/x", "http:///h/x", "http:\\\\h", "ftp://h/x"] {
            assert_eq!(callable(url), Err(NotCallable::NotAbsolute), "{url}");
        }
        assert!(matches!(callable("http://h:99999/"), Err(NotCallable::Invalid(_))));
        assert!(matches!(callable("http://"), Err(NotCallable::Invalid(_))));
        assert_eq!(callable("http://h/#"), Err(NotCallable::Fragment));
        assert_eq!(callable("http://h/x "), Err(NotCallable::Blank));
        assert_eq!(callable("http://h\t/x"), Err(NotCallable::ControlCharacter('\t')));
    }
    use crate::event::MappedEvent;

    fn event(id: &'static str, meeting: &str, raw: RawForm) -> Event {
        Event {
            number: 1,
            accepted_ms: 0,
            to: None,
            mapped: MappedEvent {
                id: EventId::built_in(id),
                meeting: Some("int".into()),
                external_meeting: Some(meeting.into()),
                json: "{}".into(),
                raw,
            },
        }
    }

    fn interest(meeting: Option<&str>, events: &[&str], raw: bool) -> Interest {
        Interest {
            hook: "1".into(),
            meeting: meeting.map(Into::into),
            events: events.iter().map(|e| (*e).to_owned()).collect(),
            raw,
            filters: Filters::new(EventFilter::default()),
        }
    }

    #[test]
    fn matches_by_meeting_and_id() {
        let e = event("user-joined", "m", RawForm::NotKept);
        assert!(interest(None, &[], false).wants(&e));
        assert!(interest(Some("m"), &["user-left", "user-joined"], false).wants(&e));
        assert!(!interest(Some("other"), &[], false).wants(&e));
        assert!(!interest(None, &["user-left"], false).wants(&e));
        assert!(!interest(None, &[], true).wants(&e), "no message was kept for a raw hook");
    }

    #[test]
    fn a_raw_hook_gets_a_message_once_when_any_of_its_ids_passes() {
        let also = vec![EventId::built_in("user-raise-hand-changed")];
        let first = event("user-emoji-changed", "m", RawForm::Message { json: "{}".into(), also });
        let second = event("user-raise-hand-changed", "m", RawForm::Covered);
        for events in [&[][..], &["user-emoji-changed"], &["user-raise-hand-changed"]] {
            assert!(interest(None, events, true).wants(&first), "{events:?}");
            assert!(!interest(None, events, true).wants(&second), "{events:?}");
        }
        assert!(!interest(None, &["user-left"], true).wants(&first));
        assert!(!interest(None, &["user-raise-hand-changed"], false).wants(&first));
    }

    #[test]
    fn the_configuration_filters_before_the_hook() {
        let mut all = interest(None, &[], false);
        let e = event("user-joined", "m", RawForm::NotKept);
        all.filters = Filters::new(EventFilter::new(&[], &["user-joined".to_owned()]));
        assert!(!all.wants(&e));
        all.filters = Filters::new(EventFilter::new(&["user-left".to_owned()], &[]));
        assert!(!all.wants(&e));
        all.filters = Filters::new(EventFilter::new(&["user-joined".to_owned()], &[]));
        assert!(all.wants(&e));
    }

    #[test]
    fn an_event_is_judged_by_the_filter_under_which_it_was_accepted() {
        let mut all = interest(None, &[], false);
        let none = EventFilter { exclude: ["user-joined".to_owned()].into(), ..EventFilter::default() };
        all.filters.change_after(5, none.clone());
        all.filters.change_after(6, none);
        all.filters.change_after(9, EventFilter::default());
        let joined = |number: u64| Event { number, ..event("user-joined", "m", RawForm::NotKept) };
        let wanted: Vec<u64> = (1..=11).filter(|number| all.wants(&joined(*number))).collect();
        assert_eq!(wanted, [1, 2, 3, 4, 5, 10, 11]);
        all.filters = all.filters.now_for_all();
        assert!(all.wants(&joined(7)));
    }
}
