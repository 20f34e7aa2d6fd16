#!/usr/bin/env bash
# Builds the Debian package. Installs what is missing for that with apt, and says so.
#
#   scripts/build-deb.sh            builds target/package/bbb-webhooks_VERSION_ARCHITECTURE.deb, with all tests
#   scripts/build-deb.sh --no-test  skips the tests
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/prerequisites.sh
. scripts/prerequisites.sh

folder=$PWD/target/package
case ${1:-} in
    '') ;;
    --no-test)
        export DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:+$DEB_BUILD_OPTIONS }nocheck"
        export DEB_BUILD_PROFILES="${DEB_BUILD_PROFILES:+$DEB_BUILD_PROFILES }nocheck"
        ;;
    *) fail "Usage: $0 [--no-test]" ;;
esac

need_rust
need_packages
missing=()
for package in debhelper dpkg-dev binutils lintian; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    say "Installing what is missing: ${missing[*]}"
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
fi

run dpkg-checkbuilddeps
run mkdir -p "$folder"
run rm -f "$folder"/bbb-webhooks_*.deb
# Not `dpkg-buildpackage`, which would do the same and put the package beside this folder.
run debian/rules clean
run debian/rules build
run env DEB_RULES_REQUIRES_ROOT=no PACKAGE_FOLDER="$folder" debian/rules binary
package=$(echo "$folder"/bbb-webhooks_*.deb)
lintian_options=(--fail-on "error,warning" --tag-display-limit 0)
[ "$(id -u)" -ne 0 ] || lintian_options+=(--allow-root)
run lintian "${lintian_options[@]}" "$package"
say "Install it with: sudo apt install $package"
