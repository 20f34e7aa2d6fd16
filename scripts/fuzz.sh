#!/bin/sh
# Fuzzes every way in, one after the other, each for so many seconds: scripts/fuzz.sh [SECONDS], 30 by default.
# Needs `cargo install cargo-fuzz`. What it finds is in fuzz/artifacts; put it into tests/corpus/fuzz once it is mended.
set -eu
cd "$(dirname "$0")/.."
for target in channel request configuration hash answer; do
  mkdir -p "fuzz/corpus/$target"
  # The sanitizer needs what the stable compiler has as well, and does not show.
  RUSTC_BOOTSTRAP=1 cargo fuzz run "$target" "fuzz/corpus/$target" "tests/corpus/fuzz/$target" -- \
    -max_total_time="${1:-30}" -timeout=10 -rss_limit_mb=1024 -max_len=65536
done
