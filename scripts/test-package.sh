#!/usr/bin/env bash
# Tests the Debian package, and all that is made of it. Installs the tools that are missing with apt, and says so; they are needed for
# this only. Everything else happens in temporary folders.
#
#   scripts/test-package.sh [PACKAGE.deb]
#
# Without PACKAGE.deb it is built first. With SUITE=trixie, or another name of Debian's, it is installed on that instead of on Debian 12.
# What cannot be tried here is skipped, and that is said.
set -euo pipefail
called_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/prerequisites.sh
. scripts/prerequisites.sh

# Without root nothing can be installed; an unattended run that lacks it is set up wrongly.
if [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; then
    [ "${CI:-}" != true ] || fail "The package cannot be tested: that needs root, or sudo without a password"
    say "Skipped: the package, because installing it needs root, or sudo without a password"
    exit 0
fi

if [ $# -gt 0 ]; then
    package=$(cd "$called_from" && realpath -e -- "$1")
else
    run scripts/build-deb.sh --no-test
    package=$(realpath -e -- "target/package/$(cut -d ' ' -f 1 debian/files | grep '\.deb$')")
fi
need_debian_packages apt-utils curl debootstrap dpkg-dev gnupg procps shellcheck systemd-container yq
run shellcheck -x scripts/*.sh debian/tests/harness.sh debian/tests/{boot,life-cycle,repository} debian/check-glibc debian/bbb-webhooks.{preinst,postinst,prerm,postrm}
run scripts/test-container.sh

# A Debian for all tests; each works on a copy.
work=$(mktemp -d)
trap 'as_root rm -rf --one-file-system "$work"' EXIT
run as_root env SUITE="${SUITE:-bookworm}" debian/tests/new-root "$work/root"
for test in life-cycle repository boot; do
    status=0
    run as_root "debian/tests/$test" "$package" "$work/root" || status=$?
    # 77: it was skipped, and has said why.
    [ $status -eq 0 ] || [ $status -eq 77 ] || exit $status
done
