#!/usr/bin/env node
// Receives BigBlueButton's webhooks: verifies them, drops what came twice, stores the rest, and only then answers 200.
//
//     WEBHOOK_SECRET=whsec_... ./receiver.mjs
//
// WEBHOOK_SECRET  the hook's secret (bbb-webhooks hooks secret ID); several, with blanks between them, while it changes
// EVENTS_FILE     where events are stored, one JSON object a line (events.jsonl)
// PORT            on which to listen, on 127.0.0.1 (8080); TLS is the business of the web server in front
//
// From servers that send no signature in the headers, without WEBHOOK_SECRET:
//
// SHARED_SECRET   the server's secret (bbb-conf --secret)
// CALLBACK_URL    the URL as it was given to hooks/create, byte for byte: it is part of what is signed

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';

const { SHARED_SECRET, CALLBACK_URL, EVENTS_FILE = 'events.jsonl', PORT = '8080' } = process.env;
const WEBHOOK_SECRETS = (process.env.WEBHOOK_SECRET ?? '').split(/\s+/).filter(Boolean);
const LONGEST_BODY = 16 * 1024 * 1024;

function same(one, other) {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

// The key in a hook's secret. Undefined if there is none, or a short one: Standard Webhooks asks for 24 bytes.
function keyOf(secret) {
  const [, text = ''] = /^(?:whsec_)?([A-Za-z0-9+/]+={0,2})$/.exec(secret) ?? [];
  const key = Buffer.from(text, 'base64');
  return key.length >= 24 ? key : undefined;
}

// Whether a callback comes from someone who knows one of the hook's secrets, and was sent just now: by its headers.
function isSigned(id, timestamp, signatures, body, secrets, now) {
  if (!/^\d{1,12}$/.test(timestamp) || Math.abs(now - Number(timestamp)) > 300) return false;
  return secrets.map(keyOf).filter(Boolean).some((key) => {
    const expected = `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')}`;
    return signatures.split(' ').some((signature) => same(expected, signature));
  });
}

// Whether a callback comes from someone who knows the secret: by its checksum, or by its Bearer token.
function isGenuine(callbackUrl, body, checksum, authorization, secret) {
  if (!secret) return false;
  const algorithm = { 40: 'sha1', 64: 'sha256', 96: 'sha384', 128: 'sha512' }[checksum.length];
  if (algorithm) {
    return same(createHash(algorithm).update(callbackUrl).update(body).update(secret).digest('hex'), checksum);
  }
  return same(`Bearer ${secret}`, authorization);
}

// A file of events, each of them once. A database with a unique column for the key does the same.
class Store {
  constructor(path) {
    closeSync(openSync(path, 'a'));
    const bytes = readFileSync(path);
    // What follows the last line end was cut off in the middle, and never answered with 200.
    const whole = bytes.subarray(0, bytes.lastIndexOf('\n') + 1);
    this.file = openSync(path, 'r+');
    ftruncateSync(this.file, whole.length);
    this.end = whole.length;
    this.keys = new Set(whole.toString().split('\n').slice(0, -1).map(Store.key));
  }

  static key(line) {
    return createHash('sha256').update(line).digest('base64');
  }

  // Adds those that are not there yet. An event that comes again is the same to the last character.
  add(events) {
    const lines = new Map(events.map((event) => JSON.stringify(event)).map((line) => [Store.key(line), line]));
    for (const key of lines.keys()) if (this.keys.has(key)) lines.delete(key);
    const bytes = Buffer.from([...lines.values()].map((line) => `${line}\n`).join(''));
    try {
      for (let written = 0; written < bytes.length;) {
        written += writeSync(this.file, bytes, written, bytes.length - written, this.end + written);
      }
      fsyncSync(this.file);
    } catch (error) {
      ftruncateSync(this.file, this.end);
      throw error;
    }
    this.end += bytes.length;
    for (const key of lines.keys()) this.keys.add(key);
  }
}

function refuse(why) {
  console.error(why);
  process.exit(1);
}

// Nobody may receive without a secret.
if (WEBHOOK_SECRETS.length === 0 && !(SHARED_SECRET && CALLBACK_URL)) {
  refuse('WEBHOOK_SECRET is not set: `bbb-webhooks hooks secret ID` prints it. (Or set SHARED_SECRET and CALLBACK_URL.)');
}
if (!WEBHOOK_SECRETS.every(keyOf)) refuse('WEBHOOK_SECRET is not a secret that `bbb-webhooks hooks secret` prints');
const store = new Store(EVENTS_FILE);

function comesFromTheServer({ headers, url }, body) {
  const header = (name) => headers[name] ?? '';
  if (WEBHOOK_SECRETS.length > 0) {
    const named = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map(header);
    return isSigned(...named, body, WEBHOOK_SECRETS, Date.now() / 1000);
  }
  const checksum = new URLSearchParams(url.split('?').slice(1).join('?')).getAll('checksum').at(-1) ?? '';
  return isGenuine(CALLBACK_URL, body, checksum, header('authorization'), SHARED_SECRET);
}

createServer(async (request, response) => {
  const answer = (status) => response.writeHead(status, { 'content-length': 0 }).end();
  try {
    const chunks = [];
    let length = 0;
    for await (const chunk of request) {
      length += chunk.length;
      if (length > LONGEST_BODY) return answer(413);
      chunks.push(chunk);
    }
    const body = Buffer.concat(chunks);
    // Not 401: that counts as delivered.
    if (!comesFromTheServer(request, body)) return answer(403);
    let events;
    try {
      events = JSON.parse(new URLSearchParams(body.toString()).get('event'));
      if (!Array.isArray(events)) return answer(400);
    } catch {
      return answer(400);
    }
    store.add(events);
    answer(200);
  } catch (error) {
    console.error(error);
    answer(500);
  }
}).listen(Number(PORT), '127.0.0.1');
