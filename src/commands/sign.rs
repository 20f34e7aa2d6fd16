//! `sign`: makes checksums, and finds out why one is wrong.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use anyhow::bail;
use anyhow::ensure;
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
use crate::webhooks::signature;
use crate::webhooks::signature::Received;

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
    let found = mistakes::find(call, config.bbb.shared_secret.expose(), &config.api.checksum_algorithms);
    let signed = format!("{method}{}{MASK}", signed_query(&query));
    let status = u8::from(found.is_err());
    if asked.json {
        let algorithm = found.as_ref().ok().map(|algorithm| algorithm.name());
        let mistake = found.as_ref().err().map(ToString::to_string);
        let outcome = json!({"right": found.is_ok(), "algorithm": algorithm, "mistake": mistake, "to_sign": signed});
        return Ok(Outcome { text: format!("{outcome}\n"), status });
    }
    let mut text = match &found {
        Ok(algorithm) => format!("RIGHT     {algorithm}\n"),
        Err(mistake) => format!("WRONG     {mistake}\n"),
    };
    text += &format!("To sign   {signed}\n{}", parameters(&signed_query(&query)));
    Ok(Outcome { text, status })
}

/// Whether the checksum of a callback is right.
fn check_callback(config: &Config, asked: &cli::Sign, url: &str, body: &Path) -> anyhow::Result<Outcome> {
    let body = read(body)?;
    let (came_to, checksum) = signature::split_checksum(url);
    let registered_url = asked.registered.as_deref().unwrap_or(&came_to);
    let received = Received { registered_url, checksum, authorization: None, body: &body };
    let found = match signature::find(received, config.bbb.shared_secret.expose()) {
        Err(signature::Mistake::Unsigned) if config.bbb.bearer_auth => {
            bail!("the URL has no checksum: callbacks carry a Bearer token here (bbb.auth2_0), so compare that header")
        }
        found => found,
    };
    let status = u8::from(found.is_err());
    let body_of = |body: &str| match body.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &body[..end]),
        None => body.to_owned(),
    };
    let signed = format!("{registered_url}{}{MASK}", body_of(&body));
    if asked.json {
        let how = found.as_ref().ok().map(ToString::to_string);
        let mistake = found.as_ref().err().map(ToString::to_string);
        let outcome = json!({"right": found.is_ok(), "signed": how, "mistake": mistake, "to_sign": signed});
        return Ok(Outcome { text: format!("{outcome}\n"), status });
    }
    let text = match found {
        Ok(signed) => format!("RIGHT     {signed}\n"),
        Err(mistake) => format!("WRONG     {mistake}\n"),
    };
    Ok(Outcome { text: format!("{text}To sign   {signed}\n"), status })
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
