//! The API against the recorded conversations.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use futures_util::stream;
use serde::Deserialize;
use serde_json::Value;

use crate::harness::Algorithm;
use crate::harness::Daemon;
use crate::harness::Element;
use crate::harness::Redis;
use crate::harness::SECRET;

/// How many conversations are had at once.
const AT_ONCE: usize = 6;

#[derive(Debug, Deserialize)]
struct Conversation {
    name: String,
    env: BTreeMap<String, String>,
    requests: Vec<Exchange>,
}

#[derive(Debug, Deserialize)]
struct Exchange {
    method: String,
    path: String,
    query: String,
    checksum: String,
    signed: Option<String>,
    r#where: String,
    expect: Expected,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    status: Value,
    r#type: Option<String>,
    body: Option<String>,
    returncode: Option<String>,
    #[serde(rename = "messageKey")]
    message_key: Option<String>,
    #[serde(rename = "hookID")]
    hook_id: Option<String>,
    #[serde(default)]
    xml: BTreeMap<String, String>,
}

#[tokio::test]
async fn the_api_answers_as_recorded() {
    agree(include_str!("../corpus/api.jsonl"), 46).await;
}

#[tokio::test]
async fn the_api_answers_odd_calls() {
    agree(include_str!("../corpus/odd-api.jsonl"), 24).await;
}

/// Has a corpus of at least so many conversations.
async fn agree(corpus: &str, least: usize) {
    let conversations: Vec<Conversation> =
        corpus.lines().map(|line| serde_json::from_str(line).expect("the corpus is sound")).collect();
    assert!(conversations.len() >= least, "the corpus is whole");
    let running = stream::iter(&conversations).map(|conversation| async move {
        let difference = converse(conversation).await.err()?;
        Some(format!("{}: {difference}", conversation.name))
    });
    let found: Vec<Option<String>> = running.buffer_unordered(AT_ONCE).collect().await;
    let differences: Vec<String> = found.into_iter().flatten().collect();
    assert!(differences.is_empty(), "{} conversations differ:\n{}", differences.len(), differences.join("\n"));
}

async fn converse(conversation: &Conversation) -> Result<(), String> {
    let redis = Redis::start().await;
    let setup = conversation.env.iter().fold(Daemon::on(&redis), |setup, (name, value)| setup.env(name, value));
    let daemon = setup.start().await;
    let mut ids: Vec<String> = Vec::new();
    for (index, exchange) in conversation.requests.iter().enumerate() {
        let target = exchange.target(&ids);
        let answer = daemon.request(&exchange.method, &target).await;
        for id in answer.body.split("<hookID>").skip(1).filter_map(|rest| rest.split("</hookID>").next()) {
            if !ids.iter().any(|known| known == id) {
                ids.push(id.to_owned());
            }
        }
        let body = ids.iter().enumerate().fold(answer.body.clone(), |body, (index, id)| {
            body.replace(&format!("<hookID>{id}</hookID>"), &format!("<hookID><id{}></hookID>", index + 1))
        });
        let media_type = answer.header("content-type").unwrap_or_default();
        exchange
            .expect
            .differs(answer.status, media_type, &body, &answer.body)
            .map_err(|difference| format!("request {index}, {} {target}: {difference}", exchange.method))?;
    }
    Ok(())
}

impl Exchange {
    fn target(&self, ids: &[String]) -> String {
        let query = ids
            .iter()
            .enumerate()
            .fold(self.query.clone(), |query, (index, id)| query.replace(&format!("{{id{}}}", index + 1), id));
        let signed = self.signed.as_deref().unwrap_or(&self.path);
        let digest = |algorithm: Algorithm| algorithm.hex(&[signed, &query, SECRET]);
        let path = format!("/bigbluebutton/api/{}", self.path);
        let checksum = match self.checksum.as_str() {
            "none" if query.is_empty() => return path,
            "none" => return format!("{path}?{query}"),
            "SHA1-UPPER" => digest(Algorithm::Sha1).to_uppercase(),
            name => match Algorithm::ALL.iter().find(|(known, _)| *known == name) {
                Some((_, algorithm)) => digest(*algorithm),
                None => name.to_owned(),
            },
        };
        let mut parts: Vec<&str> = if query.is_empty() { Vec::new() } else { query.split('&').collect() };
        let checksum = format!("checksum={checksum}");
        let place = match self.r#where.as_str() {
            "leading-amp" => return format!("{path}?&{checksum}"),
            "first" => 0,
            "middle" => parts.len() / 2,
            "last" => parts.len(),
            other => panic!("nobody knows where {other} is"),
        };
        parts.insert(place, &checksum);
        format!("{path}?{}", parts.join("&"))
    }
}

impl Expected {
    fn differs(&self, status: u16, media_type: &str, body: &str, raw: &str) -> Result<(), String> {
        let allowed = match &self.status {
            Value::Array(some) => some.contains(&status.into()),
            one => *one == status,
        };
        if !allowed {
            return Err(format!("status {status}, expected {}: {raw}", self.status));
        }
        let wanted = self.r#type.as_deref().unwrap_or_default();
        if !wanted.is_empty() && media_type != wanted {
            return Err(format!("content type {media_type:?}, expected {wanted:?}"));
        }
        if let Some(wanted) = &self.body
            && body != wanted
        {
            return Err(format!("body\n    {body}\nexpected\n    {wanted}"));
        }
        let same = |what: &str, wanted: Option<&str>, got: Option<&str>| match wanted {
            Some(_) if got != wanted => Err(format!("{what} {got:?}, expected {wanted:?}: {raw}")),
            _ => Ok(()),
        };
        if self.returncode.is_none() && self.message_key.is_none() && self.hook_id.is_none() && self.xml.is_empty() {
            return Ok(());
        }
        let xml = Element::parse(raw)?;
        same("returncode", self.returncode.as_deref(), xml.text_of("returncode"))?;
        same("messageKey", self.message_key.as_deref(), xml.text_of("messageKey"))?;
        if self.returncode.as_deref() == Some("FAILED") && xml.text_of("message").is_none_or(str::is_empty) {
            return Err(format!("a failure without a message: {raw}"));
        }
        if let Some(kind) = &self.hook_id {
            assert_eq!(kind, "number", "the corpus is sound");
            let id = xml.text_of("hookID").unwrap_or_default();
            if id.parse::<u32>().is_err() {
                return Err(format!("hookID {id:?}, expected a number"));
            }
        }
        for (name, wanted) in &self.xml {
            same(name, Some(wanted), xml.text_of(&format!("hooks/hook/{name}")))?;
        }
        Ok(())
    }
}
