#!/usr/bin/env bash
# Soaks the daemon: scripts/soak.sh HOURS (0.75 is 45 minutes) publishes 200 events a second to ten hooks while receivers, Redis and
# the daemon fail at random, and checks every second that nothing is lost and nothing grows. Prints a row each minute, the
# whole at the end; the exit status says whether all held. CHAOS_SEED=... has the same chances again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/prerequisites.sh
. scripts/prerequisites.sh

hours=${1:-}
[[ $# -eq 1 && $hours =~ ^[0-9]+(\.[0-9]+)?$ ]] || fail "Usage: scripts/soak.sh HOURS"
need_rust
need_packages
run cargo build --release --locked --bin bbb-webhooks
# The program that is installed; what is around it need not be fast, and takes long to be made so.
export SOAK_HOURS=$hours BBB_WEBHOOKS_PROGRAM=$PWD/target/release/bbb-webhooks
run cargo test --locked --test it -- --ignored --exact --nocapture soak::for_hours
