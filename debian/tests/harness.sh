# shellcheck shell=bash
# What is set here is used by those who source it.
# shellcheck disable=SC2034
# What the tests of the package have in common: a Debian of its own for each, and a BigBlueButton that is none. To be sourced;
# afterwards there are
#
#   $package  the package under test
#   $work     a temporary folder, removed at the end
#   $root     in there, the Debian
#
# Called with PACKAGE.deb and ROOT, a test takes these: ROOT is a folder as `new_root` makes it, of which a copy is used. Without, as
# autopkgtest calls it, it downloads the one and makes the other.

settings=/usr/local/bigbluebutton/bbb-webhooks/config/default.yml
snippet=/usr/share/bigbluebutton/nginx/webhooks.nginx
old_snippet=/etc/bigbluebutton/nginx/webhooks.nginx

say() {
    printf '%s\n' "$*"
}

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# Runs a command, whose output is of interest only if it fails.
quietly() {
    "$@" >"$work/said" 2>&1 || { tail -n 40 "$work/said" >&2; fail "$*"; }
}

has_said() {
    grep -q -- "$1" "$work/said" || { cat "$work/said" >&2; fail "it was not said: $1"; }
}

# Makes a Debian in a folder, with what a server for BigBlueButton has of it. SUITE is its name.
new_root() {
    quietly debootstrap --variant=minbase \
        --include=adduser,ca-certificates,curl,dbus,libgcc-s1,logrotate,nginx-light,redis-server,systemd,systemd-sysv \
        "${SUITE:-bookworm}" "$1"
    rm -f "$1/etc/nginx/sites-enabled/default"
    # No service is started in there, unless it is booted.
    printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
    chmod 755 "$1/usr/sbin/policy-rc.d"
}

set_up() {
    [ "$(id -u)" -eq 0 ] || fail "This needs root, for a Debian of its own"
    work=$(mktemp -d)
    trap 'rm -rf --one-file-system "$work"' EXIT
    root=$work/root
    if [ $# -ge 1 ]; then
        package=$(realpath -e -- "$1")
    else
        (cd "$work" && quietly apt-get download bbb-webhooks)
        package=$(echo "$work"/bbb-webhooks_*.deb)
    fi
    if [ $# -ge 2 ]; then
        cp -a "$(realpath -e -- "$2")" "$root"
    else
        new_root "$root"
    fi
}

# Runs a command in the Debian.
inside() {
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
}

# As much of BigBlueButton as the package and nginx look at.
fake_bigbluebutton() {
    inside adduser --quiet --system --group --home /nonexistent --no-create-home bigbluebutton
    mkdir -p "$root/etc/bigbluebutton/nginx" "$root/usr/share/bigbluebutton/nginx" "$root/usr/share/bbb-web/WEB-INF/classes"
    echo 'location /bigbluebutton { return 404; }' >"$root/usr/share/bigbluebutton/nginx/web.nginx"
    echo 'location /mine { return 404; }' >"$root/etc/bigbluebutton/nginx/mine.nginx"
    printf 'securitySalt=older\nbigbluebutton.web.serverURL=https://bbb.example.org:8443/x\n' \
        >"$root/usr/share/bbb-web/WEB-INF/classes/bigbluebutton.properties"
    printf 'securitySalt=%s\n' "$1" >"$root/etc/bigbluebutton/bbb-web.properties"
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
}

# Makes $2, a package like BigBlueButton's own: with $1 "owned" or "made" (whether default.yml is a file of the package, or is made
# when it is installed), and the nginx snippet in folder $3.
node_package() {
    local folder=$2.d application=$2.d/usr/local/bigbluebutton/bbb-webhooks
    rm -rf "$folder"
    mkdir -p "$folder/DEBIAN" "$application/config" "$application/node_modules/express" "$folder/usr/lib/systemd/system" "$folder$3"
    printf 'Package: bbb-webhooks\nVersion: 1:3.5.0-1\nArchitecture: all\nMaintainer: none <none@example.org>\nDescription: fake\n' \
        >"$folder/DEBIAN/control"
    echo '// node' | tee "$application/app.js" "$application/package.json" "$application/node_modules/express/index.js" >/dev/null
    cat >"$application/config/default.example.yml" <<'YML'
bbb:
  serverDomain: myserver.com
  sharedSecret: sharedSecret
  auth2_0: false
  apiPath: /bigbluebutton/api
log:
  level: info
modules:
  ../out/webhooks/index.js:
    enabled: true
    config:
      api:
        bind: 127.0.0.1
        port: 3005
      permanentURLs: []
YML
    # In the place of node, something that runs.
    cat >"$folder/usr/lib/systemd/system/bbb-webhooks.service" <<'UNIT'
[Service]
ExecStart=/bin/sleep 10000
User=bigbluebutton
[Install]
WantedBy=multi-user.target
UNIT
    printf 'location /bigbluebutton/api/hooks {\n    proxy_pass http://127.0.0.1:3005;\n}\n' >"$folder$3/webhooks.nginx"
    case $3 in /etc/*) echo "$3/webhooks.nginx" >"$folder/DEBIAN/conffiles" ;; esac
    if [ "$1" = owned ]; then
        cp "$application/config/default.example.yml" "$application/config/default.yml"
    fi
    cat >"$folder/DEBIAN/preinst" <<'SH'
#!/bin/sh -e
rm -f /tmp/bbb-webhooks-default.yml
[ ! -f /usr/local/bigbluebutton/bbb-webhooks/config/default.yml ] ||
    cp /usr/local/bigbluebutton/bbb-webhooks/config/default.yml /tmp/bbb-webhooks-default.yml
SH
    cat >"$folder/DEBIAN/postinst" <<'SH'
#!/bin/sh -e
cd /usr/local/bigbluebutton/bbb-webhooks
sed 's/sharedSecret: .*/sharedSecret: fromnode/; s/auth2_0: .*/auth2_0: true/' config/default.example.yml > config/default.yml
printf 'server:\n  port: 3005\nhooks:\n  getRaw: false\n' >> config/default.yml
chmod 644 config/default.yml
touch node_modules/.generated
mkdir -p /var/log/bbb-webhooks
touch /var/log/bbb-webhooks/bbb-webhooks.log
chown -R bigbluebutton:bigbluebutton . /var/log/bbb-webhooks
[ ! -d /run/systemd/system ] || { systemctl enable bbb-webhooks && systemctl start bbb-webhooks; }
SH
    printf '#!/bin/sh -e\n[ ! -d /run/systemd/system ] || systemctl stop bbb-webhooks\n' >"$folder/DEBIAN/prerm"
    printf '#!/bin/sh -e\nrm -f /usr/share/bigbluebutton/nginx/webhooks.nginx\n' >"$folder/DEBIAN/postrm"
    chmod 755 "$folder"/DEBIAN/p*
    dpkg-deb --root-owner-group -b "$folder" "$2" >/dev/null
}

# The query of a signed call of the API: signed_call SECRET CALL QUERY
signed_call() {
    printf '%s?%s&checksum=%s' "$2" "$3" "$(printf %s "$2$3$1" | sha256sum | cut -d ' ' -f 1)"
}
