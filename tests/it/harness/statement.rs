//! What makes JSON an xAPI statement: the rules of xAPI 1.0.3, part 2 (Data), as far as they concern what the daemon uses.
//!
//! Checked: known properties only, and none that is `null`; one identified agent as actor; verb, activity and activity types by
//! IRI; language maps; interactions with components of distinct ids; results; contexts with activities of known relations;
//! extensions by IRI; UUIDs; ISO 8601 times and durations. A property that the daemon never sends is not allowed here.

use serde_json::Map;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

type Checked = Result<(), String>;

/// Checks a statement.
pub(crate) fn check(statement: &Value) -> Checked {
    let members = object(statement, "statement")?;
    known(members, "statement", &["actor", "verb", "object", "result", "context", "timestamp"])?;
    agent(required(members, "actor")?)?;
    let verb = object(required(members, "verb")?, "verb")?;
    known(verb, "verb", &["id", "display"])?;
    iri(required(verb, "id")?)?;
    optional(verb, "display", language_map)?;
    activity(required(members, "object")?)?;
    optional(members, "result", result)?;
    optional(members, "context", context)?;
    optional(members, "timestamp", timestamp)
}

fn agent(agent: &Value) -> Checked {
    let members = object(agent, "actor")?;
    known(members, "actor", &["objectType", "name", "account"])?;
    optional(members, "objectType", |kind| if kind == "Agent" { Ok(()) } else { Err(format!("actor is a {kind}")) })?;
    let account = object(required(members, "account")?, "account")?;
    known(account, "account", &["homePage", "name"])?;
    iri(required(account, "homePage")?)?;
    match text(required(account, "name")?)? {
        "" => Err("an account without a name".to_owned()),
        _ => Ok(()),
    }
}

fn activity(activity: &Value) -> Checked {
    let members = object(activity, "activity")?;
    known(members, "activity", &["objectType", "id", "definition"])?;
    iri(required(members, "id")?)?;
    optional(members, "definition", definition)
}

fn definition(definition: &Value) -> Checked {
    const INTERACTIONS: [&str; 10] = [
        "true-false",
        "choice",
        "fill-in",
        "long-fill-in",
        "matching",
        "performance",
        "sequencing",
        "likert",
        "numeric",
        "other",
    ];
    let members = object(definition, "definition")?;
    known(members, "definition", &["name", "description", "type", "interactionType", "choices", "extensions"])?;
    optional(members, "name", language_map)?;
    optional(members, "description", language_map)?;
    optional(members, "type", iri)?;
    optional(members, "extensions", extensions)?;
    optional(members, "interactionType", |kind| match text(kind)? {
        kind if INTERACTIONS.contains(&kind) => Ok(()),
        kind => Err(format!("there is no interaction {kind}")),
    })?;
    let Some(choices) = members.get("choices") else { return Ok(()) };
    if !matches!(members.get("interactionType").and_then(Value::as_str), Some("choice" | "sequencing")) {
        return Err("choices of what is no choice".to_owned());
    }
    let mut ids = Vec::new();
    for choice in list(choices)? {
        let members = object(choice, "choice")?;
        known(members, "choice", &["id", "description"])?;
        optional(members, "description", language_map)?;
        let id = text(required(members, "id")?)?;
        if id.is_empty() || ids.contains(&id) {
            return Err(format!("the id of a choice is empty or there twice: {id:?}"));
        }
        ids.push(id);
    }
    Ok(())
}

fn result(result: &Value) -> Checked {
    let members = object(result, "result")?;
    known(members, "result", &["response", "duration", "extensions"])?;
    optional(members, "response", |response| text(response).map(drop))?;
    optional(members, "duration", duration)?;
    optional(members, "extensions", extensions)
}

fn context(context: &Value) -> Checked {
    let members = object(context, "context")?;
    known(members, "context", &["registration", "contextActivities", "extensions"])?;
    optional(members, "registration", |id| text(id)?.parse::<Uuid>().map(drop).map_err(|error| error.to_string()))?;
    optional(members, "contextActivities", |activities| {
        let relations = object(activities, "contextActivities")?;
        known(relations, "contextActivities", &["parent", "grouping", "category", "other"])?;
        relations.values().try_for_each(|related| list(related)?.iter().try_for_each(activity))
    })?;
    optional(members, "extensions", |all| {
        extensions(all)?;
        let planned = all.get("http://id.tincanapi.com/extension/planned-duration");
        planned.map_or(Ok(()), duration)
    })
}

fn extensions(extensions: &Value) -> Checked {
    object(extensions, "extensions")?.keys().try_for_each(|key| iri(&Value::from(key.as_str())))
}

/// Texts by RFC 5646 language tag.
fn language_map(map: &Value) -> Checked {
    object(map, "language map")?.iter().try_for_each(|(tag, said)| {
        text(said)?;
        let parts =
            tag.split('-').all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
        if parts { Ok(()) } else { Err(format!("{tag:?} is no language")) }
    })
}

fn iri(value: &Value) -> Checked {
    let iri = text(value)?;
    Url::parse(iri).map(drop).map_err(|error| format!("{iri:?} is no IRI: {error}"))
}

/// `YYYY-MM-DDThh:mm:ss.sssZ`.
fn timestamp(value: &Value) -> Checked {
    let time = text(value)?;
    humantime::parse_rfc3339(time).map(drop).map_err(|error| format!("{time:?}: {error}"))
}

/// `PT<hours>H<minutes>M<seconds>S`, at least one of them, a fraction only in the last.
fn duration(value: &Value) -> Checked {
    let wrong = || format!("{value} is no duration");
    let mut rest = text(value)?.strip_prefix("PT").filter(|rest| !rest.is_empty()).ok_or_else(wrong)?;
    for unit in ['H', 'M', 'S'] {
        if let Some((number, after)) = rest.split_once(unit) {
            let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            if !digits(whole) || !digits(fraction) || (number.contains('.') && !after.is_empty()) {
                return Err(wrong());
            }
            rest = after;
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(wrong()) }
}

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{what} is no object: {value}"))
}

fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("no list: {value}"))
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("no text: {value}"))
}

fn known(members: &Map<String, Value>, what: &str, properties: &[&str]) -> Checked {
    match members.iter().find(|(key, value)| !properties.contains(&key.as_str()) || value.is_null()) {
        Some((key, value)) => Err(format!("{what} has {key}: {value}")),
        None => Ok(()),
    }
}

fn required<'a>(members: &'a Map<String, Value>, key: &str) -> Result<&'a Value, String> {
    members.get(key).ok_or_else(|| format!("{key} is missing"))
}

fn optional(members: &Map<String, Value>, key: &str, check: impl Fn(&Value) -> Checked) -> Checked {
    members.get(key).map_or(Ok(()), |value| check(value).map_err(|wrong| format!("{key}: {wrong}")))
}
