//! `events --explain`: what maps a message, and what was found in it. Pure.

use serde_json::Value;
use serde_json::json;

use crate::event::MappedEvent;
use crate::mapper::Explanation;
use crate::mapper::Finding;
use crate::mapper::Findings;
use crate::mapper::NotMapped;

/// How one message was mapped.
pub(super) struct Explained {
    explanation: Option<Explanation>,
    outcome: Result<Vec<String>, String>,
}

/// How a message was mapped, by what `mapper` says of it and what came of it.
pub(super) fn explained(explanation: Option<Explanation>, mapped: &Result<Vec<MappedEvent>, NotMapped>) -> Explained {
    let outcome = match mapped {
        Ok(events) => Ok(events.iter().map(|event| event.json.to_string()).collect()),
        Err(reason) => Err(reason.to_string()),
    };
    Explained { explanation, outcome }
}

impl Explained {
    /// Indented lines for a person, without a line end.
    pub(super) fn text(&self) -> String {
        let mut lines = Vec::new();
        if let Some(Explanation { built_in, configured }) = &self.explanation {
            if !built_in.is_empty() {
                lines.push(format!("  built in: {}", built_in.join(", ")));
            }
            configured.iter().for_each(|findings| lines.extend(found(findings)));
        }
        match &self.outcome {
            Ok(events) => lines.extend(events.iter().map(|event| format!("  becomes {event}"))),
            Err(reason) => lines.push(format!("  no event: {reason}")),
        }
        lines.join("\n")
    }

    /// The same for scripts.
    pub(super) fn json(&self, message: &str, meeting: Option<&str>) -> Value {
        let configured = self.explanation.as_ref().map_or(&[][..], |explanation| &explanation.configured);
        let configured = configured.iter().map(|findings| {
            let picked = findings.picked.iter().map(|(name, Finding { pointer, value })| {
                let constant = pointer.is_none();
                json!({"attribute": name, "pointer": pointer, "constant": constant, "found": value.is_some(), "value": value})
            });
            json!({
                "id": findings.id,
                "override": findings.overrides,
                "meeting": findings.meeting.value,
                "meetingPointer": findings.meeting.pointer,
                "user": findings.user.value,
                "userPointer": findings.user.pointer,
                "attributes": picked.collect::<Vec<_>>(),
            })
        });
        let event = |event: &String| serde_json::from_str(event).unwrap_or(Value::Null);
        json!({
            "message": message,
            "meeting": meeting,
            "builtIn": self.explanation.as_ref().map_or(&[][..], |explanation| explanation.built_in),
            "configured": configured.collect::<Vec<_>>(),
            "events": self.outcome.iter().flatten().map(event).collect::<Vec<_>>(),
            "reason": self.outcome.as_ref().err(),
        })
    }
}

/// What a configured event found, a line each.
fn found(findings: &Findings) -> Vec<String> {
    let over = if findings.overrides { ", over the built-in event" } else { "" };
    let mut rows = Vec::new();
    // The built-in event has its own.
    if !findings.overrides {
        rows.push(("meeting".to_owned(), id_found(&findings.meeting, "only global hooks get it")));
        rows.push(("user".to_owned(), id_found(&findings.user, "it is about no user")));
    }
    rows.extend(findings.picked.iter().map(|(name, Finding { pointer, value })| {
        let value = value.as_ref().map_or_else(|| "nothing there, left out".to_owned(), Value::to_string);
        (format!("attribute {name}"), format!("{}: {value}", pointer.as_deref().unwrap_or("constant")))
    }));
    let width = rows.iter().map(|(what, _)| what.chars().count()).max().unwrap_or_default();
    let rows = rows.into_iter().map(|(what, found)| format!("    {what:<width$}  {found}"));
    std::iter::once(format!("  configured: {}{over}", findings.id)).chain(rows).collect()
}

/// The id of a meeting or a user; where there is none, what comes of that.
fn id_found(Finding { pointer, value }: &Finding, otherwise: &str) -> String {
    match (pointer, value.as_ref().and_then(Value::as_str)) {
        (None, Some(id)) => id.to_owned(),
        (Some(pointer), Some(id)) => format!("{pointer}: {id}"),
        (None, None) => format!("none; {otherwise}"),
        (Some(pointer), None) => format!("{pointer}: nothing there; {otherwise}"),
    }
}
