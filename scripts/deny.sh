#!/usr/bin/env bash
# Checks what the program is made of by deny.toml: licences, duplicates and banned crates, sources, and whether weaknesses are known.
# Fetches cargo-deny if need be, and says so. The list of weaknesses is on GitHub: where that cannot be reached, only the rest is checked.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/prerequisites.sh
. scripts/prerequisites.sh

need_rust
need_packages
need_commands git:git
need_rust_tool cargo-deny 0.20.2 || exit 0
run cargo deny --locked check bans licenses sources
if run timeout 120 cargo deny fetch db; then
    run cargo deny --locked check advisories
else
    say "Skipped: advisories, because the list of them cannot be fetched from https://github.com/RustSec/advisory-db"
fi
