//! `sign`: makes checksums, and finds out why one is wrong.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use anyhow::bail;
use anyhow::ensure;
use serde_json::Value;
use serde_json::json;
use url::Url;
use url::form_urlencoded;

use crate::checksum::mistakes;
use crate::checksum::mistakes::Call;
use crate::checksum::signed_query;
use crate::cli;
use crate::commands::Outcome;
use crate::commands::client;
use crate::config::Config;
use crate::config::Secret;
use crate::webhooks::signature;
use crate::webhooks::signature::Received;
use crate::webhooks::standard;

/// What stands for the secret in what was signed.
const MASK: &str = "***SECRET***";

/// Makes a checksum, or checks one.
///
/// # Errors
/// If there is nothing to sign or to check in what was given.
pub fn sign(config: &Config, asked: &cli::Sign) -> anyhow::Result<Outcome> {
    match asked {
        cli::Sign { callback: Some(url), body: Some(body), .. } => check_callback(config, asked, url, body),
        cli::Sign { verify: Some(url), .. } => verify(config, asked, url),
        cli::Sign { call: Some(call), .. } => make(config, asked, call).map(Outcome::from),
        _ => bail!("nothing to sign: see bbb-webhooks sign --help"),
    }
}

/// The checksum of a call, and the URL to ask.
fn make(config: &Config, asked: &cli::Sign, call: &str) -> anyhow::Result<String> {
    let (base, method, query) = match call.contains("://") {
        true => {
            ensure!(asked.query.is_none(), "the URL has its query in itself; none may follow");
            let parts = taken_apart(call, &config.bbb.api_path)?;
            (Some(parts.base), parts.method, parts.query)
        }
        false => (None, full_name(call, &config.bbb.api_path), asked.query.clone().unwrap_or_default()),
    };
    let query = sendable(&signed_query(query.trim_start_matches('?')));
    let algorithm = asked.algorithm.unwrap_or_else(|| client::algorithm(&config.api));
    let secret = config.bbb.shared_secret.expose();
    let checksum = algorithm.hex_digest(&[method.as_bytes(), query.as_bytes(), secret.as_bytes()]);
    let separator = if query.is_empty() { "" } else { "&" };
    let target = format!("{method}?{query}{separator}checksum={checksum}");
    let here = format!("{}/{target}", client::address(config));
    let url = match &base {
        Some(base) => format!("{base}/{target}"),
        None => format!("https://{}{}/{target}", config.bbb.server_domain, config.bbb.api_path),
    };
    let signed = format!("{method}{query}{MASK}");
    if asked.json {
        let here = base.is_none().then_some(here);
        let outcome =
            json!({"algorithm": algorithm.name(), "signed": signed, "checksum": checksum, "url": url, "local": here});
        return Ok(format!("{outcome}\n"));
    }
    let mut text = format!("Signed    {signed}\nAlgorithm {algorithm}\nChecksum  {checksum}\n{}", parameters(&query));
    text += &match base {
        Some(_) => format!("URL       {url}\n"),
        None => format!("URL       {url}\nHere      {here}\n"),
    };
    if let Some(algorithm) = asked.algorithm.filter(|algorithm| !config.api.checksum_algorithms.contains(algorithm)) {
        text += &format!("But {algorithm} is not accepted here (supportedChecksumAlgorithms).\n");
    }
    Ok(text)
}

/// Whether the checksum of a call is right.
fn verify(config: &Config, asked: &cli::Sign, url: &str) -> anyhow::Result<Outcome> {
    let Parts { method, query, .. } = taken_apart(url, &config.bbb.api_path)?;
    let call = Call { api_path: &config.bbb.api_path, method: &method, query: &query };
    let secrets: Vec<&str> = config.bbb.accepted_secrets().map(Secret::expose).collect();
    let found = mistakes::find(call, &secrets, &config.api.checksum_algorithms);
    let signed = format!("{method}{}{MASK}", signed_query(&query));
    let status = u8::from(found.is_err());
    if asked.json {
        let algorithm = found.as_ref().ok().map(|signed| signed.algorithm.name());
        let previous = found.as_ref().ok().map(|signed| signed.secret > 0);
        let mistake = found.as_ref().err().map(ToString::to_string);
        let outcome = json!({
            "right": found.is_ok(), "algorithm": algorithm, "previous_secret": previous, "mistake": mistake, "to_sign": signed,
        });
        return Ok(Outcome { text: format!("{outcome}\n"), status });
    }
    let mut text = match &found {
        Ok(signed) if signed.secret > 0 => {
            format!("RIGHT     {}, with the previous secret (bbb.previousSecret)\n", signed.algorithm)
        }
        Ok(signed) => format!("RIGHT     {}\n", signed.algorithm),
        Err(mistake) => format!("WRONG     {mistake}\n"),
    };
    text += &format!("To sign   {signed}\n{}", parameters(&signed_query(&query)));
    Ok(Outcome { text, status })
}

/// Whether the checksum and the signature of a callback are right.
fn check_callback(config: &Config, asked: &cli::Sign, url: &str, body: &Path) -> anyhow::Result<Outcome> {
    let body = read(body)?;
    let (came_to, checksum) = signature::split_checksum(url);
    let registered_url = asked.registered.as_deref().unwrap_or(&came_to);
    let header = |name: &str| asked.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let received = Received { registered_url, checksum, authorization: header("authorization"), body: &body };
    let secret = &config.bbb.shared_secret;
    let legacy = signature::find(received, secret.expose());
    let webhook = standard::Received {
        id: header(standard::ID),
        timestamp: header(standard::TIMESTAMP),
        signature: header(standard::SIGNATURE),
    };
    let by_headers = (webhook != standard::Received::default()).then(|| InHeaders::of(webhook, &body, secret));
    if legacy == Err(signature::Mistake::Unsigned) && by_headers.is_none() && config.bbb.bearer_auth {
        bail!("the URL has no checksum: callbacks carry a Bearer token here (bbb.auth2_0), so give that --header")
    }
    // What is not there is not wrong, if there is something else.
    let legacy = Some(legacy).filter(|found| by_headers.is_none() || *found != Err(signature::Mistake::Unsigned));
    let wrong = legacy.as_ref().is_some_and(Result::is_err) || by_headers.as_ref().is_some_and(InHeaders::is_wrong);
    let body_of = |body: &str| match body.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &body[..end]),
        None => body.to_owned(),
    };
    let signed = legacy.is_some().then(|| format!("{registered_url}{}{MASK}", body_of(&body)));
    if asked.json {
        let how = legacy.as_ref().and_then(|found| found.as_ref().ok()).map(ToString::to_string);
        let mistake = legacy.as_ref().and_then(|found| found.as_ref().err()).map(ToString::to_string);
        let by_headers = by_headers.as_ref().map(InHeaders::to_json);
        let outcome =
            json!({"right": !wrong, "signed": how, "mistake": mistake, "to_sign": signed, "webhook": by_headers});
        return Ok(Outcome { text: format!("{outcome}\n"), status: u8::from(wrong) });
    }
    let mut text = match &legacy {
        Some(Ok(signed)) => format!("RIGHT     {signed}\n"),
        Some(Err(mistake)) => format!("WRONG     {mistake}\n"),
        None => String::new(),
    };
    text += &signed.map(|signed| format!("To sign   {signed}\n")).unwrap_or_default();
    text += &by_headers.as_ref().map(InHeaders::to_text).unwrap_or_default();
    Ok(Outcome { text, status: u8::from(wrong) })
}

/// The signature in the headers of a callback.
struct InHeaders {
    /// What is wrong with it.
    mistake: Option<String>,
    /// The hook whose key signs it.
    hook: Option<String>,
    /// What it has to be, as far as there is enough to tell.
    expected: Option<String>,
}

impl InHeaders {
    fn of(webhook: standard::Received<'_>, body: &str, secret: &Secret) -> Self {
        Self {
            mistake: signature::find_in_headers(webhook, body, secret).err(),
            hook: webhook.hook().ok(),
            expected: webhook.expected(body, secret).ok(),
        }
    }

    fn is_wrong(&self) -> bool {
        self.mistake.is_some()
    }

    fn to_json(&self) -> Value {
        json!({"right": !self.is_wrong(), "hook": self.hook, "mistake": self.mistake, "signature": self.expected})
    }

    fn to_text(&self) -> String {
        let hook = self.hook.as_deref().unwrap_or_default();
        let mut text = match &self.mistake {
            None => format!("RIGHT     {} of hook {hook}\n", standard::SIGNATURE),
            Some(mistake) => format!("WRONG     {mistake}\n"),
        };
        if let Some(expected) = &self.expected {
            text += &format!("Signature {expected}\n");
        }
        text
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    match file == Path::new("-") {
        true => std::io::stdin().read_to_end(&mut bytes).context("standard input cannot be read")?,
        false => {
            bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
            bytes.len()
        }
    };
    String::from_utf8(bytes).context("the body of a callback is text, and this is none")
}

/// A call's URL in its parts.
struct Parts {
    /// Up to the API's path.
    base: String,
    method: String,
    query: String,
}

fn taken_apart(url: &str, api_path: &str) -> anyhow::Result<Parts> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let within = format!("{}/", api_path.to_ascii_lowercase());
    let host_at = path.find("://").map_or(0, |at| at + 3);
    let found = path.to_ascii_lowercase()[host_at..].find(&within).map(|at| host_at + at);
    let at =
        found.with_context(|| format!("this is no call of the API: {api_path}/ is not in the URL (bbb.apiPath)"))?;
    let base = path[..at + api_path.len()].to_owned();
    // A fragment is never sent.
    let query = query.split('#').next().unwrap_or_default().to_owned();
    Ok(Parts { base, method: path[at + within.len()..].to_owned(), query })
}

/// The name of a call as it is signed: this daemon's own may be said in short.
fn full_name(call: &str, api_path: &str) -> String {
    let call = call.strip_prefix(api_path).unwrap_or(call).trim_start_matches('/');
    match call {
        "create" | "destroy" | "list" | "ping" => format!("hooks/{call}"),
        other => other.to_owned(),
    }
}

/// The query as a client can send it: blanks and the like escaped, all else as it is.
fn sendable(query: &str) -> String {
    let mut url = Url::parse("http://h/").expect("this is a URL");
    url.set_query(Some(query));
    url.query().unwrap_or_default().to_owned()
}

/// What the API will read in the query: a & or + that was not escaped shows here.
fn parameters(query: &str) -> String {
    let mut label = "Means";
    let mut text = String::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        text += &format!("{label:<9} {name} = {value}\n");
        label = "";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_call_apart() {
        let parts = taken_apart("https://h:8/bigbluebutton/API/hooks/list?a=1#x", "/bigbluebutton/api").unwrap();
        assert_eq!(parts.base, "https://h:8/bigbluebutton/API");
        assert_eq!((parts.method.as_str(), parts.query.as_str()), ("hooks/list", "a=1"));
        assert!(taken_apart("https://h/other/hooks/list", "/bigbluebutton/api").is_err());
    }

    #[test]
    fn knows_calls_by_short_names() {
        for (call, name) in [
            ("create", "hooks/create"),
            ("hooks/list", "hooks/list"),
            ("/hooks/list", "hooks/list"),
            ("/bigbluebutton/api/hooks/list", "hooks/list"),
            ("getMeetings", "getMeetings"),
        ] {
            assert_eq!(full_name(call, "/bigbluebutton/api"), name);
        }
    }

    #[test]
    fn a_query_can_be_sent() {
        assert_eq!(sendable("callbackURL=http://h/a b&meetingID=ü"), "callbackURL=http://h/a%20b&meetingID=%C3%BC");
        assert_eq!(sendable("a=%2F+&b=é#f"), "a=%2F+&b=%C3%A9%23f");
    }
}
