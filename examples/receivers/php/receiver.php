<?php
// Receives BigBlueButton's webhooks: verifies them, drops what came twice, stores the rest, and only then answers 200.
//
//     WEBHOOK_SECRET=whsec_... php -S 127.0.0.1:8080 receiver.php
//
// WEBHOOK_SECRET  the hook's secret (bbb-webhooks hooks secret ID); several, with blanks between them, while it changes
// EVENTS_FILE     where events are stored, one JSON object a line (events.jsonl)
//
// From servers that send no signature in the headers, without WEBHOOK_SECRET:
//
// SHARED_SECRET   the server's secret (bbb-conf --secret)
// CALLBACK_URL    the URL as it was given to hooks/create, byte for byte: it is part of what is signed
//
// Under PHP-FPM or Apache it is the same. With Bearer tokens, let Apache pass the header on: CGIPassAuth On

declare(strict_types=1);

/** Whether a callback comes from who knows one of the hook's secrets, and was sent just now: by its headers. */
function is_signed(string $id, string $timestamp, string $signatures, string $body, array $secrets, int $now): bool
{
    if (preg_match('/^\d{1,12}$/D', $timestamp) !== 1 || abs($now - (int) $timestamp) > 300) {
        return false;
    }
    foreach ($secrets as $secret) {
        $key = base64_decode(preg_replace('/^whsec_/', '', $secret));
        $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
        foreach (explode(' ', $signatures) as $signature) {
            if (hash_equals($expected, $signature)) {
                return true;
            }
        }
    }
    return false;
}

/** Whether a callback comes from who knows the secret: by its checksum, or by its Bearer token. */
function is_genuine(string $callback_url, string $body, string $checksum, string $authorization, string $secret): bool
{
    $algorithm = [40 => 'sha1', 64 => 'sha256', 96 => 'sha384', 128 => 'sha512'][strlen($checksum)] ?? null;
    if ($algorithm !== null) {
        return hash_equals(hash($algorithm, $callback_url . $body . $secret), $checksum);
    }
    return hash_equals("Bearer $secret", $authorization);
}

/**
 * Adds those events to the file that are not there yet; an event that comes again is the same to the last character.
 * A database with a unique column for the key does the same, and faster.
 */
function store(string $path, array $events): void
{
    $file = fopen($path, 'c+b') ?: throw new RuntimeException("$path cannot be opened");
    flock($file, LOCK_EX) || throw new RuntimeException("$path cannot be locked");
    $known = [];
    $end = 0;
    while (($line = fgets($file)) !== false && str_ends_with($line, "\n")) {
        $known[hash('sha256', rtrim($line, "\n"))] = true;
        $end = ftell($file);
    }
    // What follows the last line end was cut off in the middle, and never answered with 200.
    ftruncate($file, $end);
    fseek($file, $end);
    $flags = JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION | JSON_THROW_ON_ERROR;
    foreach ($events as $event) {
        $line = json_encode($event, $flags);
        $key = hash('sha256', $line);
        if (!isset($known[$key])) {
            $known[$key] = true;
            fwrite($file, "$line\n") === strlen($line) + 1 || throw new RuntimeException("$path is full");
        }
    }
    fflush($file) && fsync($file) || throw new RuntimeException("$path is full");
    fclose($file);
}

function comes_from_the_server(string $body): bool
{
    $header = fn (string $name): string => $_SERVER["HTTP_$name"] ?? '';
    if ($secrets = getenv('WEBHOOK_SECRET')) {
        [$id, $timestamp, $signatures] = array_map($header, ['WEBHOOK_ID', 'WEBHOOK_TIMESTAMP', 'WEBHOOK_SIGNATURE']);
        return is_signed($id, $timestamp, $signatures, $body, preg_split('/\s+/', trim($secrets)), time());
    }
    $checksum = $_GET['checksum'] ?? '';
    return is_string($checksum)
        && is_genuine(getenv('CALLBACK_URL'), $body, $checksum, $header('AUTHORIZATION'), getenv('SHARED_SECRET'));
}

/** The status to answer with. */
function receive(): int
{
    $body = file_get_contents('php://input');
    if (!comes_from_the_server($body)) {
        // Not 401: that counts as delivered.
        return 403;
    }
    parse_str($body, $form);
    $events = json_decode($form['event'] ?? '');
    if (!is_array($events)) {
        return 400;
    }
    store(getenv('EVENTS_FILE') ?: 'events.jsonl', $events);
    return 200;
}

try {
    // Nobody may receive without a secret.
    $has_secret = getenv('WEBHOOK_SECRET') || getenv('SHARED_SECRET') && getenv('CALLBACK_URL');
    http_response_code($has_secret ? receive() : 500);
} catch (Throwable $error) {
    error_log($error->getMessage());
    http_response_code(500);
}
