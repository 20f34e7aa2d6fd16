//! Where callbacks go. Pure.

use url::Url;

/// A hook's callback URL: as registered, which its checksums cover, and parsed, which is done once because it takes longer than
/// to make a checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    registered: String,
    bare: Url,
    /// Ready for a checksum: it is the query's end.
    signed: Url,
}

impl Address {
    /// The address of a callback URL; `None` if it is no URL.
    #[must_use]
    pub fn new(registered: &str) -> Option<Self> {
        let separator = if registered.contains('?') { '&' } else { '?' };
        let signed = Url::parse(&format!("{registered}{separator}checksum=")).ok()?;
        Some(Self { registered: registered.to_owned(), bare: Url::parse(registered).ok()?, signed })
    }

    /// The URL as registered, byte for byte.
    #[must_use]
    pub fn registered(&self) -> &str {
        &self.registered
    }

    /// Where to send what carries no checksum.
    #[must_use]
    pub fn bare(&self) -> Url {
        self.bare.clone()
    }

    /// Where to send what carries this checksum, in hex digits.
    #[must_use]
    pub fn with_checksum(&self, checksum: &str) -> Url {
        let mut url = self.signed.clone();
        // Behind a fragment, it is part of that, which is not sent: such a URL never got a checksum.
        if let (Some(query), None) = (url.query(), url.fragment()) {
            let query = format!("{query}{checksum}");
            url.set_query(Some(&query));
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_the_last_parameter() {
        for (registered, signed) in [
            ("http://h", "http://h/?checksum=0a"),
            ("http://h/x", "http://h/x?checksum=0a"),
            ("http://h/x?", "http://h/x?&checksum=0a"),
            ("http://h/x?a=1", "http://h/x?a=1&checksum=0a"),
            ("http://h/x?checksum=1", "http://h/x?checksum=1&checksum=0a"),
            ("http://h/ü?a=ü%20'\"", "http://h/%C3%BC?a=%C3%BC%20%27%22&checksum=0a"),
            ("http://u:p@H:80/x", "http://u:p@h/x?checksum=0a"),
        ] {
            let address = Address::new(registered).unwrap();
            assert_eq!(address.with_checksum("0a").as_str(), signed, "{registered}");
            assert_eq!(address.with_checksum("0a").as_str(), signed, "{registered}: again");
            assert_eq!(address.bare(), Url::parse(registered).unwrap());
            assert_eq!(address.registered(), registered);
        }
        assert_eq!(Address::new("no URL"), None);
    }

    #[test]
    fn what_follows_a_fragment_is_not_sent() {
        let url = Address::new("http://h/x#here").unwrap().with_checksum("0a");
        assert_eq!((url.path(), url.query()), ("/x", None));
    }
}
