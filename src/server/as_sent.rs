//! What clients put into a URL although it has to be encoded there: `"`, `<` and `>`.
//!
//! COMPAT: Node and nginx let these pass, and some clients send a URL within a URL as it is. The library that parses requests refuses
//! them. So they go through it in disguise, as characters that Unicode leaves to the inner workings of programs
//! ([noncharacters](https://www.unicode.org/faq/private_use.html#noncharacters)), and [`plain`] puts them back: a checksum
//! covers what the client sent.

use std::borrow::Cow;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

/// The characters, and what they are disguised as.
const DISGUISES: [(char, char); 3] = [('"', '\u{FDD0}'), ('<', '\u{FDD1}'), ('>', '\u{FDD2}')];

/// The headers that announce a body.
const LENGTH: &[u8] = b"content-length";
const ENCODING: &[u8] = b"transfer-encoding";

/// The text as the client sent it.
#[must_use]
pub fn plain(target: &str) -> Cow<'_, str> {
    let original = |c: char| DISGUISES.iter().find(|(_, disguise)| *disguise == c).map(|(original, _)| *original);
    if target.contains(|c| original(c).is_some()) {
        return target.chars().map(|c| original(c).unwrap_or(c)).collect();
    }
    target.into()
}

/// A connection whose request lines may hold these characters.
#[derive(Debug)]
pub struct AsSent<S> {
    stream: S,
    at: At,
    /// What was read and did not fit: a disguise is longer.
    rest: Vec<u8>,
}

/// What comes next on a connection.
#[derive(Debug)]
enum At {
    /// A request, perhaps after empty lines.
    Request,
    /// The rest of its first line.
    FirstLine,
    /// A header of which this was read: its name as far as it matters.
    Header(Vec<u8>),
    /// What follows a header's name, up to the end of the line.
    Value,
    /// The same of the length of a body, which so far is none.
    Length,
    /// A body, and what is no concern of this room any more: where it ends only the parser knows.
    Body,
}

impl At {
    /// Takes note of the next byte. Gives what is to be read in its place, if it is not itself.
    fn goes_on(&mut self, byte: u8) -> Option<char> {
        match (&mut *self, byte) {
            (Self::Body, _) | (Self::Request, b'\r' | b'\n') | (Self::Header(_), b'\r') => {}
            (Self::Request, _) => *self = Self::FirstLine,
            (Self::FirstLine | Self::Value | Self::Length, b'\n') => *self = Self::Header(Vec::new()),
            (Self::FirstLine, _) => {
                let disguised = DISGUISES.iter().find(|(original, _)| *original == char::from(byte));
                return disguised.map(|(_, disguise)| *disguise);
            }
            (Self::Value, _) | (Self::Length, b'0' | b' ' | b'\t' | b'\r') => {}
            (Self::Length, _) => *self = Self::Body,
            (Self::Header(name), b'\n') => {
                *self = if name.is_empty() { Self::Request } else { Self::Header(Vec::new()) };
            }
            (Self::Header(name), b':') => {
                *self = match name {
                    name if name.eq_ignore_ascii_case(LENGTH) => Self::Length,
                    name if name.eq_ignore_ascii_case(ENCODING) => Self::Body,
                    _ => Self::Value,
                }
            }
            (Self::Header(name), byte) => {
                if name.len() <= ENCODING.len() {
                    name.push(byte);
                }
            }
        }
        None
    }
}

impl<S> AsSent<S> {
    /// What is read from this stream.
    pub fn new(stream: S) -> Self {
        Self { stream, at: At::Request, rest: Vec::new() }
    }

    /// What is to be read in place of these bytes, if it is not themselves.
    fn disguised(&mut self, read: &[u8]) -> Option<Vec<u8>> {
        let mut disguised: Option<Vec<u8>> = None;
        for (place, byte) in read.iter().enumerate() {
            match self.at.goes_on(*byte) {
                Some(disguise) => disguised
                    .get_or_insert_with(|| read[..place].to_vec())
                    .extend_from_slice(disguise.encode_utf8(&mut [0; 4]).as_bytes()),
                None => {
                    if let Some(disguised) = &mut disguised {
                        disguised.push(*byte);
                    }
                }
            }
        }
        disguised
    }

    fn give_rest(&mut self, buffer: &mut ReadBuf<'_>) {
        let fits = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..fits]);
        self.rest.drain(..fits);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AsSent<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
            let Some(disguised) = this.disguised(&buffer.filled()[before..]) else { return Poll::Ready(Ok(())) };
            buffer.set_filled(before);
            this.rest = disguised;
        }
        this.give_rest(buffer);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AsSent<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// What is read of what a client sends in pieces.
    async fn read(sent: &str, piece: usize) -> String {
        let (mut client, server) = tokio::io::duplex(piece);
        let send = async {
            client.write_all(sent.as_bytes()).await.unwrap();
            drop(client);
        };
        let receive = async {
            let (mut stream, mut read) = (AsSent::new(server), Vec::new());
            // As small as can be: a disguise does not fit.
            let mut some = [0; 2];
            loop {
                match stream.read(&mut some).await.unwrap() {
                    0 => return String::from_utf8(read).unwrap(),
                    count => read.extend_from_slice(&some[..count]),
                }
            }
        };
        tokio::join!(send, receive).1
    }

    #[tokio::test]
    async fn only_first_lines_are_disguised() {
        let first = "\r\nGET /a?b=\"<c>\" HTTP/1.1\r\nHost: <h>\r\nA\"<: >\r\n\r\n";
        let second = "GET /<ü> HTTP/1.1\nx: <\n\n";
        let third = "GET /\"x\" HTTP/1.1\r\ncontent-length: 00\r\n\r\n";
        let with_body = "POST /<x> HTTP/1.1\r\nhost: h\r\nCONTENT-length: 9\r\n\r\n<1\r\n\r\n<2>";
        for sent in [first.to_owned(), [third, second].concat(), [second, third, first, with_body].concat()] {
            let expected = sent
                .replace("/a?b=\"<c>\"", "/a?b=\u{FDD0}\u{FDD1}c\u{FDD2}\u{FDD0}")
                .replace("/<ü>", "/\u{FDD1}ü\u{FDD2}")
                .replace("/\"x\"", "/\u{FDD0}x\u{FDD0}")
                .replace("/<x>", "/\u{FDD1}x\u{FDD2}");
            for piece in [1, 2, 7, 1000] {
                assert_eq!(read(&sent, piece).await, expected, "in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_is_disguised_is_put_back() {
        assert_eq!(plain("/\u{FDD1}\u{FDD0}ü\u{FDD0}\u{FDD2}"), "/<\"ü\">");
        assert!(matches!(plain("/a?b=%3C"), Cow::Borrowed("/a?b=%3C")));
    }
}
