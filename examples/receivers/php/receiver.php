<?php
// Receives BigBlueButton's webhooks: verifies them, drops what came twice, stores the rest, and only then answers 200.
//
//     WEBHOOK_SECRET=whsec_... EVENTS_FILE=/srv/bbb/events.jsonl php -S 127.0.0.1:8080 receiver.php
//
// WEBHOOK_SECRET  the hook's secret (bbb-webhooks hooks secret ID); several, with blanks between them, while it changes
// EVENTS_FILE     where events are stored, one JSON object a line: no file that the web server would hand out
//
// From servers that send no signature in the headers, without WEBHOOK_SECRET:
//
// SHARED_SECRET   the server's secret (bbb-conf --secret)
// CALLBACK_URL    the URL as it was given to hooks/create, byte for byte: it is part of what is signed
//
// PHP-FPM does not see the environment that it was started with. Set the variables in its pool, with the quotes:
//
//     env[WEBHOOK_SECRET] = "whsec_..."
//
// With PHP in Apache, it is SetEnv. With Bearer tokens, Apache has to pass the header on: CGIPassAuth On
//
// Without a secret, or with one that is none, every callback is answered with 500, and PHP's error log says why.

declare(strict_types=1);

/** The key in a hook's secret. Null if there is none, or a short one: Standard Webhooks asks for 24 bytes. */
function key_of(string $secret): ?string
{
    $key = base64_decode(preg_replace('/^whsec_/', '', $secret), true);
    return $key !== false && strlen($key) >= 24 ? $key : null;
}

/** Whether a callback comes from someone who knows one of the hook's secrets, and was sent just now: by its headers. */
function is_signed(string $id, string $timestamp, string $signatures, string $body, array $secrets, int $now): bool
{
    if (preg_match('/^\d{1,12}$/D', $timestamp) !== 1 || abs($now - (int) $timestamp) > 300) {
        return false;
    }
    foreach (array_filter(array_map('key_of', $secrets)) as $key) {
        $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
        foreach (explode(' ', $signatures) as $signature) {
            if (hash_equals($expected, $signature)) {
                return true;
            }
        }
    }
    return false;
}

/** Whether a callback comes from someone who knows the secret: by its checksum, or by its Bearer token. */
function is_genuine(string $callback_url, string $body, string $checksum, string $authorization, string $secret): bool
{
    if ($secret === '') {
        return false;
    }
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

function setting(string $name): string
{
    return getenv($name) ?: '';
}

function webhook_secrets(): array
{
    return preg_split('/\s+/', setting('WEBHOOK_SECRET'), -1, PREG_SPLIT_NO_EMPTY);
}

/** Why nothing can be received; null if it can. */
function obstacle(): ?string
{
    $secrets = webhook_secrets();
    return match (true) {
        // Nobody may receive without a secret.
        !$secrets && !(setting('SHARED_SECRET') && setting('CALLBACK_URL')) =>
            'WEBHOOK_SECRET is not set: `bbb-webhooks hooks secret ID` prints it. (Or set SHARED_SECRET and CALLBACK_URL.)',
        in_array(null, array_map('key_of', $secrets), true) =>
            'WEBHOOK_SECRET is not a secret that `bbb-webhooks hooks secret` prints',
        setting('EVENTS_FILE') === '' => 'EVENTS_FILE is not set: a file outside of what the web server hands out',
        default => null,
    };
}

function comes_from_the_server(string $body): bool
{
    $header = fn (string $name): string => $_SERVER["HTTP_$name"] ?? '';
    if ($secrets = webhook_secrets()) {
        [$id, $timestamp, $signatures] = array_map($header, ['WEBHOOK_ID', 'WEBHOOK_TIMESTAMP', 'WEBHOOK_SIGNATURE']);
        return is_signed($id, $timestamp, $signatures, $body, $secrets, time());
    }
    $checksum = $_GET['checksum'] ?? '';
    return is_string($checksum)
        && is_genuine(setting('CALLBACK_URL'), $body, $checksum, $header('AUTHORIZATION'), setting('SHARED_SECRET'));
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
    store(setting('EVENTS_FILE'), $events);
    return 200;
}

try {
    if ($obstacle = obstacle()) {
        throw new RuntimeException($obstacle);
    }
    http_response_code(receive());
} catch (Throwable $error) {
    error_log($error->getMessage());
    http_response_code(500);
}
