#!/usr/bin/env bash
# Builds the Debian package. Installs what is missing for that with apt, and says so.
#
#   scripts/build-deb.sh [--no-test] [--glibc VERSION] [--debug]
#
# The package is target/package/bbb-webhooks_VERSION_ARCHITECTURE.deb.
#
#   --no-test        skips the tests
#   --glibc VERSION  makes one for systems with an older glibc than 2.35: 2.31 for Ubuntu 20.04. The program is linked by zig, which
#                    pip installs below target/
#   --debug          packs the debug build, into target/package-debug/: to try the package, not to install it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/prerequisites.sh
. scripts/prerequisites.sh

folder=$PWD/target/package
while [ $# -gt 0 ]; do
    case $1 in
        --no-test)
            export DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-} nocheck"
            export DEB_BUILD_PROFILES="${DEB_BUILD_PROFILES:-} nocheck"
            ;;
        --debug)
            export DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-} noopt"
            folder=$PWD/target/package-debug
            ;;
        --glibc)
            [[ ${2:-} =~ ^2\.[0-9]+$ ]] || fail "--glibc needs a version, as 2.31"
            export GLIBC=$2
            shift
            ;;
        *) fail "Usage: $0 [--no-test] [--glibc VERSION] [--debug]" ;;
    esac
    shift
done

need_rust
need_packages
need_debian_packages debhelper dpkg-dev binutils lintian python3
if [ -n "${GLIBC:-}" ]; then
    if [ ! -x target/zig/bin/cargo-zigbuild ]; then
        need_debian_packages python3-venv
        run python3 -m venv target/zig
        run target/zig/bin/pip install --quiet cargo-zigbuild==0.24.1 ziglang==0.17.1
    fi
    export PATH="$PWD/target/zig/bin:$PATH"
fi

run dpkg-checkbuilddeps
run mkdir -p "$folder"
# Not `dpkg-buildpackage`, which would do the same and put the package beside this folder.
run debian/rules clean
run debian/rules build
run env DEB_RULES_REQUIRES_ROOT=no PACKAGE_FOLDER="$folder" debian/rules binary
package=$folder/$(cut -d ' ' -f 1 debian/files | grep '\.deb$')
lintian_options=(--fail-on "error,warning" --tag-display-limit 0)
[ "$(id -u)" -ne 0 ] || lintian_options+=(--allow-root)
run lintian "${lintian_options[@]}" "$package"
say "Install it with: sudo apt install $package"
