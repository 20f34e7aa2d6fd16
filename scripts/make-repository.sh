#!/usr/bin/env bash
# Makes a folder into a signed apt repository, to be put on any web server. Installs what is missing for that with apt, and says so.
#
#   scripts/make-repository.sh [--suite SUITE] FOLDER KEY PACKAGE.deb...
#
#   --suite SUITE  the suite to put the packages into; default: stable
#   FOLDER         is made if it is missing. Packages that are there stay, so that apt can go back to them
#   KEY            the key to sign with, as gpg knows it: its fingerprint, or a mail address
#
# docs/packaging.md says how to make a key, and what to do on the servers.
set -euo pipefail
# shellcheck source=scripts/prerequisites.sh
. "$(dirname "${BASH_SOURCE[0]}")/prerequisites.sh"

suite=stable
if [ "${1:-}" = --suite ]; then
    suite=${2:-}
    [[ $suite =~ ^[a-z][a-z0-9.-]*$ ]] || fail "A suite has a name of lower case letters, digits, dots and dashes; this is: $suite"
    shift 2
fi
[ $# -ge 3 ] || fail "Usage: $0 [--suite SUITE] FOLDER KEY PACKAGE.deb..."
folder=$1
key=$2
shift 2
for package in "$@"; do
    [ -f "$package" ] || fail "There is no package $package"
done
need_debian_packages apt-utils dpkg-dev gnupg
gpg --list-secret-keys "$key" >/dev/null 2>&1 ||
    fail "gpg has no secret key $key. Make one: gpg --quick-generate-key '$key' rsa4096 sign never"

# Each suite has packages of its own: for two of them, a package may have been built in two ways.
pool=pool/$suite
run mkdir -p "$folder/$pool"
for package in "$@"; do
    # By this name apt-ftparchive knows the architecture.
    # shellcheck disable=SC2016
    name=$(dpkg-deb --show --showformat='${Package}_${Version}_${Architecture}.deb' "$package" | sed 's/_[0-9]*:/_/')
    run cp -- "$package" "$folder/$pool/$name"
done
cd "$folder"

rm -rf "dists/$suite"
for architecture in amd64 arm64; do
    index=dists/$suite/main/binary-$architecture
    mkdir -p "$index"
    apt-ftparchive --arch "$architecture" packages "$pool" >"$index/Packages"
    gzip -9 -n -k "$index/Packages"
done
apt-ftparchive \
    -o APT::FTPArchive::Release::Origin=bbb-webhooks \
    -o APT::FTPArchive::Release::Label=bbb-webhooks \
    -o "APT::FTPArchive::Release::Suite=$suite" \
    -o "APT::FTPArchive::Release::Codename=$suite" \
    -o APT::FTPArchive::Release::Architectures="amd64 arm64" \
    -o APT::FTPArchive::Release::Components=main \
    release "dists/$suite" >Release.new
mv Release.new "dists/$suite/Release"
run gpg --batch --yes --local-user "$key" --clearsign --output "dists/$suite/InRelease" "dists/$suite/Release"
run gpg --batch --yes --local-user "$key" --armor --detach-sign --output "dists/$suite/Release.gpg" "dists/$suite/Release"
run gpg --batch --yes --output bbb-webhooks.gpg --export "$key"
say "On the servers, with the folder at URL and bbb-webhooks.gpg in /usr/share/keyrings:"
say "deb [signed-by=/usr/share/keyrings/bbb-webhooks.gpg] URL $suite main"
