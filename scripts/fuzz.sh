#!/usr/bin/env bash
# Fuzzes every way in: any bytes on a channel, any request, any configuration, any hash in Redis, any answer of a receiver.
# Installs what is missing for that, and says so.
#
#   scripts/fuzz.sh [SECONDS [TARGET...]]
#
# Each target runs for so many seconds, 30 by default, as many at a time as there are processors. It stops with a failure if one
# panics, takes 30 seconds over an input, or 1 GiB; the input is then in fuzz/artifacts. Once that is mended, put it into
# tests/corpus/fuzz. What the targets learn stays in fuzz/corpus, for the next time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/prerequisites.sh
. scripts/prerequisites.sh

seconds=${1:-30}
[[ $seconds =~ ^[0-9]+$ ]] || fail "Usage: $0 [SECONDS [TARGET...]]"
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(channel request configuration hash answer)

if [ "$(uname -s)" != Linux ]; then
    say "Skipped: fuzzing, because the sanitizer is set up here for Linux only"
    exit 0
fi
need_rust
# libFuzzer is C++.
need_commands cc:gcc c++:g++
need_rust_tool cargo-fuzz 0.13.2 || exit 0

# The sanitizer needs what the stable compiler has as well, and does not show.
export RUSTC_BOOTSTRAP=1
# That fuzz/Cargo.lock has what Cargo.toml wants: cargo fuzz would change it.
run cargo metadata --quiet --locked --manifest-path fuzz/Cargo.toml --format-version 1 >/dev/null
run cargo fuzz build --target-dir target/fuzz
programs=target/fuzz/$(rustc -vV | sed -n 's/^host: //p')/release

# Fuzzes one target, and says what came of it in a line.
fuzz() {
    local target=$1 log=target/fuzz/$1.log status=0
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
    ASAN_OPTIONS=detect_odr_violation=0 "$programs/$target" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=1024 \
        -max_len=65536 -print_final_stats=1 -artifact_prefix="fuzz/artifacts/$target/" \
        "fuzz/corpus/$target" "tests/corpus/fuzz/$target" >"$log" 2>&1 || status=$?
    if [ $status -ne 0 ]; then
        tail -n 100 "$log"
        say "The target $target fails. Again: $programs/$target FILE, with the file named above"
        return 1
    fi
    say "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs in $seconds s, $(
        sed -n 's/.*DONE *cov: \([0-9]*\).*/\1/p' "$log") places reached, $(
        sed -n 's/^stat::peak_rss_mb: *//p' "$log") MB"
}

failed=false
running=0
for target in "${targets[@]}"; do
    if [ $running -ge "$(nproc)" ]; then
        wait -n || failed=true
        running=$((running - 1))
    fi
    fuzz "$target" &
    running=$((running + 1))
done
while [ $running -gt 0 ]; do
    wait -n || failed=true
    running=$((running - 1))
done
[ $failed = false ]
