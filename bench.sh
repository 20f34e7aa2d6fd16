#!/usr/bin/env bash
# Measures bbb-webhooks on this machine: the parts by themselves, then the whole daemon, and prints a table.
# Arguments are for the whole daemon: --list shows what there is, --only NAME runs some of it, --help shows the rest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=scripts/prerequisites.sh
. scripts/prerequisites.sh

need_rust
need_packages
if [ $# -eq 0 ]; then
    run cargo bench --locked --bench parts
fi
run cargo bench --locked --bench daemon -- "$@"
