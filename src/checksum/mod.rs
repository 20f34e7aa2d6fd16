//! Checksums: of API calls, and of callbacks. Pure: no I/O, no clock.
//!
//! Both are a plain hash over text and the shared secret, as BigBlueButton's API has it (not an HMAC).

pub mod masked;
pub mod mistakes;

use std::fmt;
use std::str::FromStr;

use sha1::Sha1;
use sha2::Digest;
use sha2::Sha256;
use sha2::Sha384;
use sha2::Sha512;
use subtle::ConstantTimeEq;

/// A hash algorithm that BigBlueButton's API knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// 160 bits, 40 hex digits.
    Sha1,
    /// 256 bits, 64 hex digits.
    Sha256,
    /// 384 bits, 96 hex digits.
    Sha384,
    /// 512 bits, 128 hex digits.
    Sha512,
}

impl Algorithm {
    /// Every algorithm, weakest first.
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// The name as configured: `sha1`, `sha256`, `sha384`, `sha512`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The algorithm whose hex digest has `length` digits: a caller names it by nothing else.
    #[must_use]
    pub fn of_hex_length(length: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.hex_length() == length)
    }

    /// How many digits its hex digest has.
    #[must_use]
    pub const fn hex_length(self) -> usize {
        match self {
            Self::Sha1 => 40,
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }

    /// The lower-case hex digest of the parts, hashed one after the other.
    #[must_use]
    pub fn hex_digest(self, parts: &[&[u8]]) -> String {
        fn digest<D: Digest>(parts: &[&[u8]]) -> String {
            let mut hash = D::new();
            for part in parts {
                hash.update(part);
            }
            hex::encode(hash.finalize())
        }
        match self {
            Self::Sha1 => digest::<Sha1>(parts),
            Self::Sha256 => digest::<Sha256>(parts),
            Self::Sha384 => digest::<Sha384>(parts),
            Self::Sha512 => digest::<Sha512>(parts),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name)).ok_or(UnknownAlgorithm)
    }
}

/// A name that is no [`Algorithm`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected sha1, sha256, sha384 or sha512")]
pub struct UnknownAlgorithm;

/// The part of an API call that is signed: the query as the client sent it, less its checksum.
///
/// What is removed, in this order, once each: `&checksum=` up to the next `&`; `checksum=` up to and with the next
/// `&`; a `checksum=` that ends the query. Nothing is decoded or reordered, because clients sign what they send.
#[must_use]
pub fn signed_query(query: &str) -> String {
    const KEY: &str = "checksum=";
    let mut left = query.to_owned();
    if let Some(start) = left.find("&checksum=") {
        let value = start + 1 + KEY.len();
        let end = left[value..].find('&').map_or(left.len(), |at| value + at);
        left.replace_range(start..end, "");
    }
    if let Some((start, end)) = left.match_indices(KEY).find_map(|(start, _)| {
        let value = start + KEY.len();
        left[value..].find('&').map(|at| (start, value + at + 1))
    }) {
        left.replace_range(start..end, "");
    }
    let last = left.rfind('&').map_or(0, |at| at + 1);
    if let Some(at) = left[last..].find(KEY) {
        left.truncate(last + at);
    }
    left
}

/// Whether `given` is the checksum of an API call to `method` (`hooks/create`, as sent) with `query` (as sent),
/// made with an algorithm that is `accepted`. Compared in constant time; only lower-case hex counts.
#[must_use]
pub fn api_call_is_signed(method: &str, query: &str, given: &str, secret: &str, accepted: &[Algorithm]) -> bool {
    let Some(algorithm) = Algorithm::of_hex_length(given.len()).filter(|a| accepted.contains(a)) else {
        return false;
    };
    let expected = algorithm.hex_digest(&[method.as_bytes(), signed_query(query).as_bytes(), secret.as_bytes()]);
    expected.as_bytes().ct_eq(given.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_the_checksum_wherever_it_stands() {
        for (query, left) in [
            ("", ""),
            ("checksum=aa", ""),
            ("&checksum=aa", ""),
            ("a=1&checksum=aa", "a=1"),
            ("checksum=aa&a=1", "a=1"),
            ("a=1&checksum=aa&b=2", "a=1&b=2"),
            ("&a=http://x/y&checksum=aa", "&a=http://x/y"),
            ("checksum=", ""),
            ("a=1&checksum=", "a=1"),
            ("u=h?a_checksum=1&b_checksum=2&c=3&checksum=aa", "u=h?a_b_checksum=2&c=3"),
            ("u=h?a_checksum=1", "u=h?a_"),
        ] {
            assert_eq!(signed_query(query), left, "{query}");
        }
    }

    #[test]
    fn accepts_only_accepted_algorithms_in_lower_case() {
        for algorithm in Algorithm::ALL {
            let good = algorithm.hex_digest(&[b"hooks/list", b"a=1", b"secret"]);
            let check = |given: &str, accepted: &[Algorithm]| {
                api_call_is_signed("hooks/list", &format!("a=1&checksum={given}"), given, "secret", accepted)
            };
            assert!(check(&good, &Algorithm::ALL));
            assert!(!check(&good.to_uppercase(), &Algorithm::ALL));
            assert!(!check(&good[1..], &Algorithm::ALL));
            let others: Vec<_> = Algorithm::ALL.into_iter().filter(|a| *a != algorithm).collect();
            assert!(!check(&good, &others));
        }
    }

    #[test]
    fn hashes_as_the_standard_says() {
        assert_eq!(Algorithm::Sha1.hex_digest(&[b"a", b"bc"]), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!("SHA512".parse(), Ok(Algorithm::Sha512));
        assert_eq!("md5".parse::<Algorithm>(), Err(UnknownAlgorithm));
    }
}
