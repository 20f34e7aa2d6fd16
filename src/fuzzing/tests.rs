//! The targets as ordinary tests: over the stored inputs, and what becomes of them by chance.

use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use super::*;

/// How long each target gets, and how long one input may take at most in a program that is not optimized.
const TIME: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(5);

/// Words that are worth a try, for whatever reads them.
const WORDS: [&[u8]; 16] = [
    b"\0",
    b"\xff\xfe",
    b"\r\n\r\n",
    b"%00",
    b"%",
    b"\\ud800",
    b"99999999999999999999",
    b"-1",
    b"1e999",
    b"null",
    b"[[[[[[[[",
    b"{\"a\":",
    b"&a *a",
    b"checksum=",
    b"\xf0\x9f\x98\x80",
    b"true",
];

/// The input with a few changes.
fn mutated(input: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(0..=bytes.len());
        let end = (at + random.usize(0..40)).min(bytes.len());
        match random.u8(0..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.u8(0..8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part.repeat(random.usize(1..20)));
            }
            3 => drop(bytes.splice(at..at, random.choice(WORDS).unwrap_or_default().iter().copied())),
            4 => bytes.truncate(at),
            _ => bytes.insert(at, random.u8(..)),
        }
    }
    bytes
}

fn run(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/fuzz").join(name);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    let take = |input: &[u8]| {
        let start = Instant::now();
        target(input);
        assert!(start.elapsed() < PATIENCE, "{name} took {:?} for {}", start.elapsed(), input.escape_ascii());
    };
    inputs.iter().for_each(|input| take(input));
    let mut random = fastrand::Rng::with_seed(7);
    let start = Instant::now();
    while start.elapsed() < TIME {
        let input = mutated(&inputs[random.usize(0..inputs.len())], &mut random);
        // What breaks is shown by the panic's neighbour in the output.
        if std::panic::catch_unwind(|| take(&input)).is_err() {
            panic!("{name} breaks by {}", input.escape_ascii());
        }
    }
}

#[test]
fn any_bytes_on_a_channel() {
    run("channel", channel);
}

#[test]
fn any_request() {
    run("request", request);
}

#[test]
fn any_configuration() {
    run("configuration", configuration);
}

#[test]
fn any_hash_in_redis() {
    run("hash", hash);
}

#[test]
fn any_answer_of_a_receiver() {
    run("answer", answer);
}
