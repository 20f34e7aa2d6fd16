#!/usr/bin/env bash
# Tests the Debian package, in a Debian root of its own: installs it, upgrades BigBlueButton's package and itself to it,
# goes back, removes, purges, and looks at files, modes and settings. Needs root, for chroot; changes nothing outside of a
# temporary folder, apart from installing debootstrap if that is missing.
#
#   tests/package.sh PACKAGE.deb [ROOT]
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
[ "$(id -u)" -eq 0 ] || fail "This needs root, for chroot"
package=$(realpath -e -- "$1")
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root

if [ $# -ge 2 ]; then
    cp -a "$(realpath -e -- "$2")" "$root"
else
    command -v debootstrap >/dev/null || apt-get install -q -y --no-install-recommends debootstrap
    say "Making a Debian in $root"
    debootstrap --variant=minbase --include=adduser,ca-certificates bookworm "$root" >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log" >&2; fail "debootstrap"; }
fi
# No service is started in there.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

inside() {
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
}

# Installs a package and keeps what was said.
install_package() {
    cp "$1" "$root/tmp/package.deb"
    inside dpkg -i /tmp/package.deb >"$work/said" 2>&1 || { cat "$work/said" >&2; fail "dpkg -i $1"; }
    rm "$root/tmp/package.deb"
}

dpkg_does() {
    inside dpkg "$@" >"$work/said" 2>&1 || { cat "$work/said" >&2; fail "dpkg $*"; }
}

has_said() {
    grep -q -- "$1" "$work/said" || { cat "$work/said" >&2; fail "it was not said: $1"; }
}

# Whether a file is there, with this owner and mode.
is_there() {
    [ -e "$root$1" ] || fail "$1 is missing"
    [ -z "${2:-}" ] || [ "$(inside stat -c '%U:%G %a' "$1")" = "$2" ] || fail "$1 is $(inside stat -c '%U:%G %a' "$1"), not $2"
}

is_gone() {
    if [ -e "$root$1" ] || [ -L "$root$1" ]; then fail "$1 is still there"; fi
}

has_line() {
    grep -qxF -- "$2" "$root$1" || { cat "$root$1" >&2; fail "$1 has no line: $2"; }
}

# Everything that a package could leave, without what dpkg and others write anyway.
snapshot() {
    inside find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /run -o -path /root -o -path /var/lib/dpkg \
        -o -path /var/cache -o -path /var/log/dpkg.log -o -path /var/log/alternatives.log -o -path /var/backups \) -prune -o \
        ! -path '/etc/passwd*' ! -path '/etc/group*' ! -path '/etc/shadow*' ! -path '/etc/gshadow*' \
        ! -path '/etc/subuid*' ! -path '/etc/subgid*' ! -path /etc ! -path '/etc/.pwd.lock' ! -path /var/lib/systemd \
        ! -path '/var/lib/systemd/*' -printf '%p %u:%g %m %l\n' | sort
    inside cut -d : -f 1 /etc/passwd /etc/group | sort
}

# The same package with a higher version, and a line more in its template.
newer_package() {
    dpkg-deb -R "$package" "$work/newer"
    sed -i 's/^Version: .*/&+newer/' "$work/newer/DEBIAN/control"
    echo '# from the newer version' >>"$work/newer/usr/share/bbb-webhooks/default.yml"
    rm -f "$work/newer/DEBIAN/md5sums"
    dpkg-deb --root-owner-group -b "$work/newer" "$work/newer.deb" >/dev/null
}

# A package like BigBlueButton's own. $1 is its version, $2 where it has the nginx snippet, $3 whether it has default.yml as a
# file of its own (owned) or makes it when it is installed (made).
node_package() {
    local folder=$work/node-$1-$3
    local application=$folder/usr/local/bigbluebutton/bbb-webhooks
    mkdir -p "$folder/DEBIAN" "$application/config" "$application/node_modules/express" "$folder/usr/lib/systemd/system" "$folder$2"
    printf 'Package: bbb-webhooks\nVersion: %s\nArchitecture: all\nMaintainer: none <none@example.org>\nDescription: fake\n' "$1" \
        >"$folder/DEBIAN/control"
    echo '// node' | tee "$application/app.js" "$application/node_modules/express/index.js" >/dev/null
    cat >"$application/config/default.example.yml" <<'YML'
bbb:
  serverDomain: myserver.com
  sharedSecret: sharedSecret
  auth2_0: false
  apiPath: /bigbluebutton/api
server:
  bind: 127.0.0.1
  port: 3005
hooks:
  channels:
    - from-akka-apps-redis-channel
  permanentURLs: []
YML
    printf '[Service]\nExecStart=/usr/bin/node app.js\n' >"$folder/usr/lib/systemd/system/bbb-webhooks.service"
    printf 'location /bigbluebutton/api/hooks {\n    proxy_pass http://127.0.0.1:3005;\n}\n' >"$folder$2/webhooks.nginx"
    case $2 in /etc/*) echo "$2/webhooks.nginx" >"$folder/DEBIAN/conffiles" ;; esac
    if [ "$3" = owned ]; then
        cp "$application/config/default.example.yml" "$application/config/default.yml"
    fi
    cat >"$folder/DEBIAN/postinst" <<'SH'
#!/bin/sh -e
cd /usr/local/bigbluebutton/bbb-webhooks
sed 's/sharedSecret: .*/sharedSecret: fromnode/; s/auth2_0: .*/auth2_0: true/' config/default.example.yml > config/default.yml
chmod 644 config/default.yml
touch node_modules/.generated
chown -R bigbluebutton:bigbluebutton .
SH
    printf '#!/bin/sh -e\nrm -f /usr/share/bigbluebutton/nginx/webhooks.nginx\n' >"$folder/DEBIAN/postrm"
    chmod 755 "$folder/DEBIAN/postinst" "$folder/DEBIAN/postrm"
    dpkg-deb --root-owner-group -b "$folder" "$work/node-$1-$3.deb" >/dev/null
}

settings=/usr/local/bigbluebutton/bbb-webhooks/config/default.yml
node=/usr/local/bigbluebutton/bbb-webhooks
snippet=/usr/share/bigbluebutton/nginx/webhooks.nginx
newer_package

say "== on a plain Debian"
snapshot >"$work/before"
install_package "$package"
has_said "there is no BigBlueButton on this machine"
has_said "no secret is known"
is_there /usr/bin/bbb-webhooks "root:root 755"
is_there "$settings" "root:bigbluebutton 640"
is_there $node/config "root:root 755"
is_there /etc/bigbluebutton/bbb-webhooks "root:bigbluebutton 750"
is_there /var/log/bbb-webhooks "bigbluebutton:bigbluebutton 750"
is_there /usr/lib/systemd/system/bbb-webhooks.service "root:root 644"
is_there $snippet "root:root 644"
is_there /usr/share/man/man1/bbb-webhooks.1.gz
is_there /usr/share/bash-completion/completions/bbb-webhooks
for target in multi-user bigbluebutton; do
    [ -L "$root/etc/systemd/system/$target.target.wants/bbb-webhooks.service" ] || fail "not wanted by $target.target"
done
cmp -s "$root$settings" "$root/usr/share/bbb-webhooks/default.yml" || fail "$settings is not the template"
status=0
inside bbb-webhooks check --config-only >"$work/said" 2>&1 || status=$?
[ "$status" -eq 78 ] || fail "without a secret, check ends with $status"

say "== what bbb-conf does to the settings"
inside sed -i 's|sharedSecret: .*|sharedSecret: s3cret|; s|serverDomain: .*|serverDomain: bbb.example.org|' "$settings"
is_there "$settings" "root:bigbluebutton 640"
inside bbb-webhooks check --config-only >"$work/said" 2>&1 || fail "check: $(cat "$work/said")"

say "== the same version again"
install_package "$package"
has_line "$settings" "  sharedSecret: s3cret"
has_line "$settings" "  serverDomain: bbb.example.org"

say "== an upgrade, of settings that nobody changed"
install_package "$work/newer.deb"
has_line "$settings" "# from the newer version"
has_line "$settings" "  sharedSecret: s3cret"
is_there "$settings" "root:bigbluebutton 640"

say "== an upgrade, of settings that somebody changed"
install_package "$package"
inside sed -i 's|auth2_0: false|auth2_0: true  # mine|' "$settings"
cp -p "$root$settings" "$work/settings"
install_package "$work/newer.deb"
cmp "$root$settings" "$work/settings" || fail "$settings was changed"

say "== remove, install again"
dpkg_does --remove bbb-webhooks
is_gone /usr/bin/bbb-webhooks
is_gone $snippet
cmp "$root$settings" "$work/settings" || fail "$settings was changed"
install_package "$package"
cmp "$root$settings" "$work/settings" || fail "$settings was changed"
is_there $snippet

say "== purge"
touch "$root/var/log/bbb-webhooks/bbb-webhooks.log" "$root/var/log/bbb-webhooks/bbb-webhooks.log.1.gz"
dpkg_does --purge bbb-webhooks
snapshot >"$work/after"
diff "$work/before" "$work/after" || fail "purge leaves something, or took too much"

say "== purge leaves what is the administrator's"
install_package "$package"
echo 'log: {level: debug}' | tee "$root/etc/bigbluebutton/bbb-webhooks/local.yml" >"$root$node/config/local.yml"
dpkg_does --purge bbb-webhooks
is_there /etc/bigbluebutton/bbb-webhooks/local.yml
is_there $node/config/local.yml
rm -r "$root/etc/bigbluebutton" "$root/usr/local/bigbluebutton"

# From here on there is a BigBlueButton.
inside adduser --quiet --system --group --home /nonexistent --no-create-home bigbluebutton
mkdir -p "$root/etc/bigbluebutton/nginx" "$root/etc/bigbluebutton/bbb-webhooks" "$root/usr/share/bbb-web/WEB-INF/classes"
printf 'securitySalt=older\nbigbluebutton.web.serverURL=https://bbb.example.org:8443/x\n' \
    >"$root/usr/share/bbb-web/WEB-INF/classes/bigbluebutton.properties"
# What awk, sed and YAML could take for something else.
printf "# securitySalt=no\\nsecuritySalt=a&b'c\\\\\\\\d#1\\n" >"$root/etc/bigbluebutton/bbb-web.properties"
printf '#!/bin/sh\nexit 0\n' >"$root/usr/bin/bbb-conf"
chmod 755 "$root/usr/bin/bbb-conf"

say "== on a BigBlueButton without webhooks"
snapshot >"$work/before"
install_package "$package"
if grep -q 'no BigBlueButton' "$work/said"; then fail "it takes BigBlueButton for missing"; fi
has_line "$settings" "  sharedSecret: 'a&b''c\\d#1'"
has_line "$settings" "  serverDomain: 'bbb.example.org'"
inside bbb-webhooks check --config-only >"$work/said" 2>&1 || fail "check: $(cat "$work/said")"
dpkg_does --purge bbb-webhooks
snapshot >"$work/after"
diff "$work/before" "$work/after" || fail "purge leaves something, or took too much"

say "== an upgrade of the Node package that fails"
node_package 1:3.5.0 /etc/bigbluebutton/nginx owned
install_package "$work/node-1:3.5.0-owned.deb"
cp -p "$root$settings" "$work/settings"
mkdir -p "$work/other/DEBIAN" "$work/other/usr/bin"
printf 'Package: other\nVersion: 1\nArchitecture: all\nMaintainer: none <none@example.org>\nDescription: in the way\n' \
    >"$work/other/DEBIAN/control"
touch "$work/other/usr/bin/bbb-webhooks"
dpkg-deb --root-owner-group -b "$work/other" "$work/other.deb" >/dev/null
install_package "$work/other.deb"
cp "$package" "$root/tmp/package.deb"
if inside dpkg -i /tmp/package.deb >"$work/said" 2>&1; then fail "it is installed over another package's file"; fi
cmp "$root$settings" "$work/settings" || fail "$settings was changed"
is_there /etc/bigbluebutton/nginx/webhooks.nginx
is_there $node/app.js
dpkg_does --purge other bbb-webhooks
rm -rf "$root$node" "$root/var/lib/bbb-webhooks"

for kind in owned made; do
    for where in /etc/bigbluebutton/nginx /usr/share/bigbluebutton/nginx; do
        say "== in place of the Node package: default.yml $kind, nginx in $where"
        rm -rf "$work"/node-*
        node_package 1:3.5.0 $where $kind
        install_package "$work/node-1:3.5.0-$kind.deb"
        echo 'hooks: {queueSize: 20000}' >"$root/etc/bigbluebutton/bbb-webhooks/production.yml"
        inside sed -i 's|permanentURLs: .*|permanentURLs: [{url: "https://lms.example.org/x", getRaw: false}]|' "$settings"
        cp -p "$root$settings" "$work/settings"
        install_package "$package"
        cmp -s "$root$settings" "$work/settings" ||
            diff <(sed 's/serverDomain: .*/serverDomain: myserver.com/' "$root$settings") "$work/settings" || fail "$settings was changed"
        has_line "$settings" "  sharedSecret: fromnode"
        has_line "$settings" "  serverDomain: 'bbb.example.org'"
        has_line /etc/bigbluebutton/bbb-webhooks/production.yml 'hooks: {queueSize: 20000}'
        is_there "$settings" "root:bigbluebutton 640"
        is_there $node/config "root:root 755"
        for file in app.js node_modules config/default.example.yml; do
            is_gone "$node/$file"
        done
        is_gone /etc/bigbluebutton/nginx/webhooks.nginx
        is_there $snippet "root:root 644"
        grep -q /usr/bin/bbb-webhooks "$root/usr/lib/systemd/system/bbb-webhooks.service" || fail "it is still Node's unit"
        inside bbb-webhooks check --config-only >"$work/said" 2>&1 || fail "check: $(cat "$work/said")"

        say "== and the way back"
        install_package "$work/node-1:3.5.0-$kind.deb"
        is_there $node/app.js
        is_there "$settings"
        is_gone /usr/bin/bbb-webhooks
        is_there "$where/webhooks.nginx"
        dpkg_does --purge bbb-webhooks
        rm -rf "$root$node" "$root/var/lib/bbb-webhooks" "$root/etc/bigbluebutton/nginx/webhooks.nginx.dpkg-old"
    done
done

say "The package is well."
