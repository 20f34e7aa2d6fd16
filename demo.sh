#!/usr/bin/env bash
# Builds bbb-webhooks and shows it at work on a demo meeting. Nothing is left running.
#
#   ./demo.sh            builds and runs the release binary
#   ./demo.sh BINARY     runs BINARY instead, and builds only the demo around it
set -euo pipefail
called_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=scripts/prerequisites.sh
. scripts/prerequisites.sh

need_rust
need_packages
if [ $# -gt 0 ]; then
    binary=$(cd "$called_from" && realpath -e -- "$1")
    run cargo build --locked --example demo
    run cargo run --quiet --locked --example demo -- "$binary"
else
    run cargo build --release --locked
    run cargo build --release --locked --example demo
    run cargo run --quiet --release --locked --example demo
fi
