#!/usr/bin/env python3
"""Receives BigBlueButton's webhooks: verifies them, drops what came twice, stores the rest, and only then answers 200.

    WEBHOOK_SECRET=whsec_... ./receiver.py

WEBHOOK_SECRET  the hook's secret (bbb-webhooks hooks secret ID); several, with blanks between them, while it changes
EVENTS_FILE     where events are stored, one JSON object a line (events.jsonl)
PORT            on which to listen, on 127.0.0.1 (8080); TLS is the business of the web server in front

From servers that send no signature in the headers, without WEBHOOK_SECRET:

SHARED_SECRET   the server's secret (bbb-conf --secret)
CALLBACK_URL    the URL as it was given to hooks/create, byte for byte: it is part of what is signed
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

WEBHOOK_SECRETS = os.environ.get("WEBHOOK_SECRET", "").split()
SECRET = os.environ.get("SHARED_SECRET", "")
CALLBACK_URL = os.environ.get("CALLBACK_URL", "")
LONGEST_BODY = 16 * 1024 * 1024


def key_of(secret: str) -> bytes:
    """The key in a hook's secret. Empty if there is none, or a short one: Standard Webhooks asks for 24 bytes."""
    try:
        key = base64.b64decode(secret.replace("whsec_", "", 1), validate=True)
    except ValueError:
        return b""
    return key if len(key) >= 24 else b""


def is_signed(webhook_id: str, timestamp: str, signatures: str, body: bytes, secrets: list, now: float) -> bool:
    """Whether a callback comes from someone who knows one of the hook's secrets, and was sent just now: by its headers."""
    if not timestamp.isdecimal() or len(timestamp) > 12 or abs(now - int(timestamp)) > 300:
        return False
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    for key in filter(None, map(key_of, secrets)):
        expected = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
        if any(hmac.compare_digest(expected, signature.encode()) for signature in signatures.split(" ")):
            return True
    return False


def is_genuine(callback_url: str, body: bytes, checksum: str, authorization: str, secret: str) -> bool:
    """Whether a callback comes from someone who knows the secret: by its checksum, or by its Bearer token."""
    if not secret:
        return False
    algorithm = {40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}.get(len(checksum))
    if algorithm:
        expected = hashlib.new(algorithm, callback_url.encode() + body + secret.encode()).hexdigest()
        return hmac.compare_digest(expected.encode(), checksum.encode())
    return hmac.compare_digest(f"Bearer {secret}".encode(), authorization.encode())


class Store:
    """A file of events, each of them once. A database with a unique column for the key does the same."""

    def __init__(self, path: str) -> None:
        self.file = open(path, "a+b", buffering=0)
        self.lock = threading.Lock()
        self.file.seek(0)
        lines = self.file.read().split(b"\n")
        # What follows the last line end was cut off in the middle, and never answered with 200.
        self.end = sum(len(line) + 1 for line in lines[:-1])
        self.file.truncate(self.end)
        self.keys = {hashlib.sha256(line).digest() for line in lines[:-1]}

    def add(self, events: list) -> None:
        """Adds those that are not there yet. An event that comes again is the same to the last character."""
        with self.lock:
            lines = [json.dumps(event, separators=(",", ":")).encode() for event in events]
            new = {hashlib.sha256(line).digest(): line for line in lines}
            new = {key: line for key, line in new.items() if key not in self.keys}
            text = b"".join(line + b"\n" for line in new.values())
            try:
                if self.file.write(text) != len(text):
                    raise OSError("the disk is full")
                os.fsync(self.file.fileno())
            except OSError:
                self.file.truncate(self.end)
                raise
            self.end += len(text)
            self.keys.update(new)


# Nobody may receive without a secret.
if not WEBHOOK_SECRETS and not (SECRET and CALLBACK_URL):
    sys.exit("WEBHOOK_SECRET is not set: `bbb-webhooks hooks secret ID` prints it. (Or set SHARED_SECRET and CALLBACK_URL.)")
if not all(map(key_of, WEBHOOK_SECRETS)):
    sys.exit("WEBHOOK_SECRET is not a secret that `bbb-webhooks hooks secret` prints")
STORE = Store(os.environ.get("EVENTS_FILE", "events.jsonl"))


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        if not 0 <= length <= LONGEST_BODY:
            self.close_connection = True
            return self.answer(413)
        body = self.rfile.read(length)
        if not self.comes_from_the_server(body):
            # Not 401: that counts as delivered.
            return self.answer(403)
        try:
            events = json.loads(parse_qs(body.decode())["event"][0])
        except (KeyError, ValueError):
            events = None
        if not isinstance(events, list):
            return self.answer(400)
        try:
            STORE.add(events)
        except OSError as error:
            print("not stored:", error, file=sys.stderr)
            return self.answer(500)
        self.answer(200)

    def comes_from_the_server(self, body: bytes) -> bool:
        header = lambda name: self.headers.get(name, "")
        if WEBHOOK_SECRETS:
            named = (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
            return is_signed(*named, body, WEBHOOK_SECRETS, time.time())
        checksum = parse_qs(urlsplit(self.path).query).get("checksum", [""])[-1]
        return is_genuine(CALLBACK_URL, body, checksum, header("authorization"), SECRET)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_) -> None:
        """Says nothing: the path has the checksum in it."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Receiver).serve_forever()
