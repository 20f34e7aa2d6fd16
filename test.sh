#!/usr/bin/env bash
# Checks everything: format, lints, dependencies, documentation, tests, the demo with the debug binary, fuzzing for 30 seconds of each
# target, and the Debian package of it.
# Stops at the first failure, with its exit status.
# With --long it runs only the long tests instead, with the release build, and prints their figures.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=scripts/prerequisites.sh
. scripts/prerequisites.sh

need_rust
need_packages
# The examples in the documents are run, in their languages.
need_commands curl:curl node:nodejs openssl:openssl php:php-cli python3:python3
export NEED_EVERY_LANGUAGE=1

if [[ ${1:-} == --long ]]; then
    run cargo test --release --locked --test it -- --ignored --nocapture --test-threads=1
    exit
fi

need_promtool
need_standardwebhooks

if cargo fmt --version >/dev/null 2>&1; then
    run cargo fmt --check
else
    say "Skipped: the format, because rustfmt is not installed (rustup component add rustfmt)"
fi
if cargo clippy --version >/dev/null 2>&1; then
    run cargo clippy --all-targets --locked -- -D warnings
else
    say "Skipped: the lints, because clippy is not installed (rustup component add clippy)"
fi
run scripts/deny.sh
run env RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items --locked
run cargo test --locked
# That the benchmarks run; how fast it is, only bench.sh says.
run cargo bench --locked --profile dev --bench parts -- --test
run cargo bench --locked --profile dev --bench daemon -- --quick --only latency --only start
run cargo build --locked --bins --example demo
run cargo run --quiet --locked --example demo
run scripts/fuzz.sh 30
run scripts/test-package.sh --debug
say "All is well."
