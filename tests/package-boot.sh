#!/usr/bin/env bash
# Tries the Debian package's unit for real: boots a Debian of its own in a container of systemd-nspawn, with systemd, Redis and nginx,
# and no network. Needs root; changes nothing outside of a temporary folder, apart from installing debootstrap and
# systemd-container if they are missing.
#
#   tests/package-boot.sh PACKAGE.deb [ROOT]
#
# ROOT is a folder with a Debian, as debootstrap makes it; a copy is used. Without it one is made, which takes a minute.
set -euo pipefail

say() {
    printf '%s\n' "$*"
}

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

[ $# -ge 1 ] || fail "Usage: $0 PACKAGE.deb [ROOT]"
[ "$(id -u)" -eq 0 ] || fail "This needs root, for systemd-nspawn"
package=$(realpath -e -- "$1")
missing=()
command -v debootstrap >/dev/null || missing+=(debootstrap)
command -v systemd-nspawn >/dev/null || missing+=(systemd-container)
[ ${#missing[@]} -eq 0 ] || apt-get install -q -y --no-install-recommends "${missing[@]}"

work=$(mktemp -d)
root=$work/root
container=
cleanup() {
    if [ -n "$container" ]; then
        kill "$container" 2>/dev/null || true
        wait "$container" 2>/dev/null || true
    fi
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT

if [ $# -ge 2 ]; then
    cp -a "$(realpath -e -- "$2")" "$root"
else
    say "Making a Debian in $root"
    debootstrap --variant=minbase bookworm "$root" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; fail "debootstrap"; }
fi
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
packages='systemd systemd-sysv dbus redis-server nginx-light curl adduser ca-certificates logrotate libgcc-s1'
# shellcheck disable=SC2086
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive chroot "$root" sh -c '
    apt-get update -q && apt-get install -q -y --no-install-recommends "$@"' sh $packages >"$work/log" 2>&1 ||
    { tail -n 20 "$work/log" >&2; fail "apt-get install $packages"; }
rm "$root/usr/sbin/policy-rc.d" "$root/etc/nginx/sites-enabled/default"

# As much of BigBlueButton as the package looks at.
mkdir -p "$root/etc/bigbluebutton/nginx" "$root/usr/share/bigbluebutton/nginx"
printf 'securitySalt=s3cret\nbigbluebutton.web.serverURL=https://bbb.example.org\n' >"$root/etc/bigbluebutton/bbb-web.properties"
printf '#!/bin/sh\nexit 0\n' >"$root/usr/bin/bbb-conf"
chmod 755 "$root/usr/bin/bbb-conf"
printf '[Unit]\nDescription=BigBlueButton\n' >"$root/etc/systemd/system/bigbluebutton.target"
cat >"$root/etc/nginx/conf.d/bigbluebutton.conf" <<'CONF'
server {
    listen 80 default_server;
    include /etc/bigbluebutton/nginx/*.nginx;
    include /usr/share/bigbluebutton/nginx/*.nginx;
    location / { return 404; }
}
CONF
cp "$package" "$root/root/package.deb"

say "== boot"
systemd-nspawn -q -D "$root" --private-network --register=no --keep-unit -b --console=pipe </dev/null >"$work/console" 2>&1 &
container=$!
leader=
inside() {
    nsenter -t "$leader" -m -p -u -i -n -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive "$@"
}
# Waits until a command succeeds, for 30 seconds at most.
until_true() {
    local try
    for try in $(seq 60); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.5
    done
    inside journalctl --no-pager -n 30 -u bbb-webhooks >&2 || true
    fail "not within $((try / 2)) seconds: $*"
}
booted() {
    leader=$(pgrep -P "$container" | head -n 1)
    [ -n "$leader" ] && inside systemctl is-active multi-user.target redis-server nginx
}
until_true booted

show() {
    inside systemctl show -p "$1" --value bbb-webhooks
}
runs() {
    [ "$(show ActiveState)" = active ] && inside curl -sf http://127.0.0.1:3005/bigbluebutton/api/hooks/ping
}

say "== apt install: it is enabled and runs, and nginx passes calls on"
inside apt-get install -y --no-install-recommends /root/package.deb >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "apt-get install"; }
until_true runs
[ "$(inside systemctl is-enabled bbb-webhooks)" = enabled ] || fail "it is not enabled"
query='callbackURL=http%3A%2F%2F127.0.0.1%3A9%2Fx'
checksum=$(printf %s "hooks/create${query}s3cret" | sha256sum | cut -d ' ' -f 1)
answer=$(inside curl -s "http://127.0.0.1/bigbluebutton/api/hooks/create?$query&checksum=$checksum")
case $answer in *SUCCESS*) ;; *) fail "hooks/create through nginx: $answer" ;; esac
inside systemd-analyze verify --man=no /usr/lib/systemd/system/bbb-webhooks.service || fail "systemd-analyze verify"
inside systemd-analyze security --no-pager --threshold=20 bbb-webhooks >"$work/log" || { cat "$work/log" >&2; fail "more exposed than 2.0"; }
say "$(tail -n 1 "$work/log")"

say "== it restarts with BigBlueButton"
before=$(show MainPID)
inside systemctl start bigbluebutton.target
inside systemctl restart bigbluebutton.target
until_true runs
[ "$(show MainPID)" != "$before" ] || fail "it was not restarted"

say "== it is started again when it is killed"
before=$(show MainPID)
inside systemctl kill -s KILL bbb-webhooks
restarted() {
    [ "$(show MainPID)" != "$before" ] && runs
}
until_true restarted

say "== a log file, and its rotation"
echo 'log: {file: true}' >"$root/etc/bigbluebutton/bbb-webhooks/local.yml"
inside systemctl restart bbb-webhooks
until_true runs
[ -s "$root/var/log/bbb-webhooks/bbb-webhooks.log" ] || fail "there is no log file"
inside logrotate -f /etc/logrotate.d/bbb-webhooks || fail "logrotate"
[ -s "$root/var/log/bbb-webhooks/bbb-webhooks.log.1" ] || fail "the log file is not rotated"

say "== a configuration that cannot be used stops it, once"
echo 'server: {port: none}' >"$root/etc/bigbluebutton/bbb-webhooks/local.yml"
inside systemctl restart bbb-webhooks || true
sleep 7
[ "$(show ActiveState) $(show ExecMainStatus) $(show NRestarts)" = "failed 78 0" ] ||
    fail "it is $(show ActiveState), status $(show ExecMainStatus), after $(show NRestarts) restarts"
rm "$root/etc/bigbluebutton/bbb-webhooks/local.yml"
inside systemctl start bbb-webhooks
until_true runs

say "== an upgrade restarts it"
before=$(show MainPID)
inside apt-get install -y --reinstall /root/package.deb >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "apt-get install --reinstall"; }
until_true restarted

say "== purge: it is stopped, and nginx goes on without it"
inside apt-get purge -y bbb-webhooks >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "apt-get purge"; }
[ "$(show ActiveState)" = inactive ] || fail "it still runs"
inside nginx -t -q || fail "nginx -t"
[ "$(inside curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1/bigbluebutton/api/hooks/ping)" = 404 ] ||
    fail "nginx still passes calls on"
say "The unit is well."
