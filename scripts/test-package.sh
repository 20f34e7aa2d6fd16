#!/usr/bin/env bash
# Tests the Debian package, and all that is made of it. Installs the tools that are missing with apt, and says so; they are needed for
# this only. Everything else happens in temporary folders.
#
#   scripts/test-package.sh [--debug | PACKAGE.deb]
#
# Without PACKAGE.deb it is built first; with --debug it is made of the debug build, in a few seconds if that is there. With SUITE=trixie, or another name of Debian's, it is installed on that instead of on Debian 12.
# What cannot be tried here is skipped, and that is said.
set -euo pipefail
called_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/prerequisites.sh
. scripts/prerequisites.sh

if ! command -v dpkg >/dev/null; then
    say "Skipped: the package, because this is neither Debian nor Ubuntu"
    exit 0
fi
# Without root nothing can be installed; an unattended run that lacks it is set up wrongly.
if [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; then
    [ "${CI:-}" != true ] || fail "The package cannot be tested: that needs root, or sudo without a password"
    say "Skipped: the package, because installing it needs root, or sudo without a password"
    exit 0
fi

case ${1:-} in
    '' | --debug)
        run scripts/build-deb.sh --no-test "$@"
        package=$(realpath -e -- "target/package${1:+-debug}/$(cut -d ' ' -f 1 debian/files | grep '\.deb$')")
        ;;
    *) package=$(cd "$called_from" && realpath -e -- "$1") ;;
esac
need_debian_packages apt-utils binutils debhelper debootstrap dpkg-dev gnupg procps shellcheck systemd-container yq
run shellcheck -x scripts/*.sh debian/tests/harness.sh debian/tests/{boot,life-cycle,new-root,repository} debian/check-glibc debian/bbb-webhooks.{preinst,postinst,prerm,postrm}
run scripts/test-container.sh

say "== the build stops for a version that is not that of Cargo.toml, and for a program that needs too new a glibc"
if debian/rules override_dh_auto_configure DEB_VERSION=10:0.0.1 >/dev/null 2>&1; then
    fail "the version is not compared"
fi
run debian/rules override_dh_auto_configure
program=$(mktemp)
trap 'rm -f "$program"' EXIT
dpkg-deb --fsys-tarfile "$package" | tar -xO ./usr/bin/bbb-webhooks >"$program"
run sh debian/check-glibc "$program" 2.35
if sh debian/check-glibc "$program" 2.3 >/dev/null 2>&1; then
    fail "the glibc is not compared"
fi

say "== the package says which libraries are in the program, and the same sources say the same"
listed=$(mktemp)
trap 'rm -f "$program" "$listed"' EXIT
dpkg-deb --fsys-tarfile "$package" | tar -xO ./usr/share/doc/bbb-webhooks/bbb-webhooks.cdx.json >"$listed"
run python3 debian/tests/sbom "$listed" Cargo.lock
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -S Timestamp) scripts/sbom | cmp - "$listed" || fail "the list of libraries is not the same again"

# A Debian for all tests; each works on a copy.
work=$(mktemp -d)
trap 'rm -f "$program" "$listed"; as_root rm -rf --one-file-system "$work"' EXIT
run as_root env SUITE="${SUITE:-bookworm}" debian/tests/new-root "$work/root"
for test in life-cycle repository boot; do
    status=0
    run as_root "debian/tests/$test" "$package" "$work/root" || status=$?
    # 77: it was skipped, and has said why.
    [ $status -eq 0 ] || [ $status -eq 77 ] || exit $status
done
