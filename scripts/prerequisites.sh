# shellcheck shell=bash
# What demo.sh, test.sh and the scripts here need on the machine. To be sourced; it only defines functions.

say() {
    printf '%s\n' "$*"
}

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Prints a command, then runs it.
run() {
    say "+ $*"
    "$@"
}

# Runs a command as root: with sudo if need be.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        run "$@"
    elif command -v sudo >/dev/null; then
        run sudo "$@"
    else
        fail "This needs root, and there is no sudo. As root, run: $*"
    fi
}

# A Rust toolchain that is new enough. It is not installed from here.
need_rust() {
    if ! command -v cargo >/dev/null && [ -f "$HOME/.cargo/env" ]; then
        # shellcheck source=/dev/null
        . "$HOME/.cargo/env"
    fi
    command -v cargo >/dev/null || fail "There is no Rust toolchain here. Install one as https://rustup.rs says."
    local wanted found
    wanted=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' Cargo.toml)
    found=$(cargo --version | cut -d ' ' -f 2)
    if [ "$(printf '%s\n%s\n' "$wanted" "${found%%-*}" | sort -V | head -n 1)" != "$wanted" ]; then
        fail "Rust $wanted or later is needed, this is $found. With rustup: rustup update stable"
    fi
}

# Debian packages; only those that are missing are installed.
need_debian_packages() {
    local name missing=()
    command -v dpkg-query >/dev/null || fail "This needs Debian or Ubuntu, with: $*"
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

# The packages that a build and a private Redis need; only those that are missing are installed.
need_packages() {
    local packages=()
    command -v redis-server >/dev/null || packages+=(redis-server)
    command -v cc >/dev/null || packages+=(gcc libc6-dev)
    [ -s /etc/ssl/certs/ca-certificates.crt ] || packages+=(ca-certificates)
    [ ${#packages[@]} -gt 0 ] || return 0
    case " ${packages[*]} " in
        *" redis-server "*)
            say "(The package may start a Redis of its own on port 6379. It is not used here: every Redis that is used"
            say "is started for the purpose, on a free port, and stopped again.)"
            ;;
    esac
    install_packages "${packages[@]}"
}

# Further commands, each given as COMMAND:PACKAGE; only the packages of those that are missing are installed.
need_commands() {
    local each packages=()
    for each in "$@"; do
        command -v "${each%%:*}" >/dev/null || packages+=("${each#*:}")
    done
    [ ${#packages[@]} -gt 0 ] || return 0
    install_packages "${packages[@]}"
}

install_packages() {
    command -v apt-get >/dev/null || fail "Missing, and there is no apt-get to install them: $*"
    say "Installing what is missing: $*"
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

# The libraries of the Standard Webhooks specification, by which tests check the signatures of callbacks: that in Python or that in
# JavaScript, or both. They go to target/tools.
need_standardwebhooks() {
    local libraries=$PWD/target/tools/standardwebhooks
    if [ ! -d "$libraries" ] && ! python3 -m pip --version >/dev/null 2>&1 && ! command -v npm >/dev/null; then
        install_packages python3-pip
    fi
    # A folder that is there is whole.
    if [ ! -d "$libraries/python" ] && python3 -m pip --version >/dev/null 2>&1; then
        rm -rf "$libraries/fetched"
        if run python3 -m pip install --quiet --no-deps --target "$libraries/fetched" standardwebhooks==1.1.0; then
            mv "$libraries/fetched" "$libraries/python"
        fi
    fi
    if [ ! -d "$libraries/node" ] && command -v npm >/dev/null; then
        rm -rf "$libraries/fetched"
        if run npm install --silent --no-save --no-audit --prefix "$libraries/fetched" standardwebhooks@1.1.1; then
            mv "$libraries/fetched" "$libraries/node"
        fi
    fi
    if [ ! -d "$libraries/python" ] && [ ! -d "$libraries/node" ]; then
        [ "${CI:-}" != true ] || fail "The library standardwebhooks cannot be had: neither pip nor npm brings it"
        say "Skipped: the library standardwebhooks, because neither pip nor npm brings it"
    fi
}

# promtool, which tests hold against the metrics and the alert rules. It comes in Debian's package of a whole Prometheus, which nobody wants to be
# started here: the package is not installed, the one file is taken out of it.
need_promtool() {
    local tools=$PWD/target/tools
    export PATH=$PATH:$tools
    if command -v promtool >/dev/null || [ "$(uname -s)" != Linux ]; then
        return 0
    fi
    if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
        say "Skipped: promtool, because there is no apt-get to fetch it (its package is prometheus)"
        return 0
    fi
    say "Fetching promtool out of the package prometheus; it goes to target/tools, nothing is installed"
    mkdir -p "$tools/package"
    if ! (cd "$tools/package" && run apt-get download -q prometheus); then
        as_root apt-get update -q
        (cd "$tools/package" && run apt-get download -q prometheus)
    fi
    dpkg-deb --fsys-tarfile "$tools"/package/prometheus_*.deb | tar -x -C "$tools" --strip-components=3 ./usr/bin/promtool
    rm -rf "$tools/package"
    promtool --version >/dev/null || fail "$tools/promtool does not run"
}

# A tool that cargo installs, by name and version, where it is not there already: cargo-deny, cargo-fuzz. Fails if it cannot be had, after
# saying so. It is built without optimization, which takes half the time.
need_rust_tool() {
    local name=$1 version=$2
    if [ "$("$name" --version 2>/dev/null)" = "$name $version" ]; then
        return 0
    fi
    if run cargo install --quiet --locked --debug --force --version "$version" "$name"; then
        return 0
    fi
    [ "${CI:-}" != true ] || fail "$name cannot be had: cargo does not install it"
    say "Skipped: $name, because cargo does not install it"
    return 1
}
