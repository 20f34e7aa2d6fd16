//! `sign`: checksums and signatures, of which most questions are about.

use std::path::PathBuf;

use clap::Args;

use crate::checksum::Algorithm;

/// What to sign, or whose checksum to check.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(override_usage = "\
bbb-webhooks sign [OPTIONS] CALL [QUERY]
       bbb-webhooks sign --verify URL
       bbb-webhooks sign --callback URL --body FILE [--header 'NAME: VALUE']...")]
pub struct Sign {
    /// The call to sign: create, destroy, list, any other call of BigBlueButton's API such as getMeetings, or a whole URL.
    #[arg(required_unless_present_any = ["verify", "callback"])]
    pub call: Option<String>,
    /// Its query, encoded as it will be sent: callbackURL=https%3A%2F%2Flms.example.org%2Fevents
    pub query: Option<String>,
    /// The algorithm to sign with. By default the strongest that the API accepts, up to sha256, which all clients know.
    #[arg(long, value_name = "NAME", value_parser = algorithm)]
    pub algorithm: Option<Algorithm>,
    /// Check the checksum of a call of the API, and say what is wrong with it.
    #[arg(long, value_name = "URL", conflicts_with_all = ["call", "callback"])]
    pub verify: Option<String>,
    /// Check a callback: the URL to which it came, with its checksum if it has one.
    #[arg(long, value_name = "URL", requires = "body", conflicts_with = "call")]
    pub callback: Option<String>,
    /// The body of that callback as it came, byte for byte: a file, or - for standard input.
    #[arg(long, value_name = "FILE", requires = "callback")]
    pub body: Option<PathBuf>,
    /// The URL that was registered, if the callback came to another: behind a proxy, for example.
    #[arg(long, value_name = "URL", requires = "callback")]
    pub registered: Option<String>,
    /// A header of that callback, of which these say something: webhook-id, webhook-timestamp, webhook-signature,
    /// authorization.
    #[arg(long = "header", value_name = "NAME: VALUE", requires = "callback", value_parser = header)]
    pub headers: Vec<(String, String)>,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub json: bool,
}

/// A header's name, in lower case, and its value.
fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("there is no : between its name and its value")?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

fn algorithm(name: &str) -> Result<Algorithm, crate::checksum::UnknownAlgorithm> {
    name.parse()
}
