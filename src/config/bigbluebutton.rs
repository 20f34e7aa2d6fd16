//! BigBlueButton's own properties files, which know the server's secret and its URL.

use std::fs;
use std::io;
use std::path::PathBuf;

use url::Url;

/// What became of a search for a property.
pub(super) struct Search {
    /// Its value, in the first file that has one.
    pub(super) value: Option<String>,
    /// That file.
    pub(super) found_in: Option<PathBuf>,
    /// Each file looked at before, and why it did not help: for the error if nothing does.
    pub(super) looked_at: Vec<String>,
    /// Those of them that are there and cannot be read.
    pub(super) unreadable: Vec<String>,
}

/// Looks for a property in `files`, in order.
pub(super) fn search(files: &[PathBuf], property: &str) -> Search {
    let mut search = Search { value: None, found_in: None, looked_at: Vec::new(), unreadable: Vec::new() };
    for file in files {
        let shown = file.display();
        match fs::read(file) {
            Ok(bytes) => match value_of(&String::from_utf8_lossy(&bytes), property) {
                Some(value) => {
                    search.value = Some(value);
                    search.found_in = Some(file.clone());
                    return search;
                }
                None => search.looked_at.push(format!("{property} in {shown} (not set there)")),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                search.looked_at.push(format!("{property} in {shown} (no such file)"));
            }
            Err(error) => {
                search.looked_at.push(format!("{property} in {shown} (cannot be read: {error})"));
                search.unreadable.push(format!("{shown}: cannot be read: {error}"));
            }
        }
    }
    search
}

/// The last value of a property in a text of Java properties; none if it is missing or empty.
///
/// As `java.util.Properties` has it: blanks before the key, `#` or `!` for a comment, `=`, `:` or blanks between key
/// and value, a backslash before a character that stands for itself. Lines that go on after a backslash are not read
/// as one.
fn value_of(text: &str, property: &str) -> Option<String> {
    let mut last = None;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with(['#', '!']) {
            continue;
        }
        let Some(rest) = line.strip_prefix(property) else {
            continue;
        };
        let after_blanks = rest.trim_start();
        let value = match after_blanks.strip_prefix(['=', ':']) {
            Some(value) => value.trim_start(),
            None if after_blanks.len() < rest.len() => after_blanks,
            None if rest.is_empty() => "",
            // The property's name is only the beginning of another one's.
            None => continue,
        };
        last = Some(unescape(value));
    }
    last.filter(|value| !value.is_empty())
}

/// Drops the backslashes that only protect the character after them.
fn unescape(value: &str) -> String {
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.extend(characters.next()),
            _ => plain.push(character),
        }
    }
    plain
}

/// The host in a URL, without scheme, port and path; also of a bare `host` or `host:port`.
pub(super) fn host_of(url: &str) -> Option<String> {
    let absolute = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let url = Url::parse(&absolute).ok()?;
    url.host_str().filter(|host| !host.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_properties_as_java_does() {
        for (text, value) in [
            ("securitySalt=abc", Some("abc")),
            ("  securitySalt = abc \n", Some("abc")),
            ("securitySalt: abc", Some("abc")),
            ("securitySalt abc", Some("abc")),
            ("securitySalt=a=b:c", Some("a=b:c")),
            ("#securitySalt=abc", None),
            (" !securitySalt=abc", None),
            ("securitySaltier=abc", None),
            ("securitySalt=", None),
            ("securitySalt", None),
            ("securitySalt=one\nother=x\r\nsecuritySalt=two\r\n", Some("two")),
            ("securitySalt=https\\://x", Some("https://x")),
        ] {
            assert_eq!(value_of(text, "securitySalt").as_deref(), value, "{text:?}");
        }
    }

    #[test]
    fn takes_the_host_out_of_a_url() {
        for (url, host) in [
            ("https://bbb.example.org", Some("bbb.example.org")),
            ("https://bbb.example.org:8443/x", Some("bbb.example.org")),
            ("http://10.0.0.1/", Some("10.0.0.1")),
            ("bbb.example.org", Some("bbb.example.org")),
            ("bbb.example.org:80", Some("bbb.example.org")),
            ("https://[2001:db8::1]/", Some("[2001:db8::1]")),
            ("https://", None),
            ("", None),
        ] {
            assert_eq!(host_of(url).as_deref(), host, "{url:?}");
        }
    }
}
