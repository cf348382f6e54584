# What the scripts need beyond .NET. Sourced, not run.
missing() {
    echo "$1 is not installed. $2" >&2
    exit 1
}

need_dotnet() {
    command -v dotnet >/dev/null || missing ".NET" "Install the .NET 10 SDK: https://dotnet.microsoft.com/download"
}

# Debian, as root: install the package. Elsewhere: say what is needed.
install_package() { # program, Debian packages, hint for other machines
    if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
        missing "$1" "As root on Debian or Ubuntu: apt-get install $2. $3"
    fi
    echo "Installing $1 ($2)…"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    if [[ $2 == postgresql ]]; then
        # Only its programs are wanted: without this the package also starts a server of its own.
        apt-get install -y -qq --no-install-recommends postgresql-common >/dev/null
        sed -i 's/^#\? *create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
    fi
    # shellcheck disable=SC2086 # several packages
    apt-get install -y -qq --no-install-recommends $2 >/dev/null
}

need_postgresql() {
    [[ -n ${PG_BIN:-} ]] && return
    command -v pg_ctl >/dev/null && command -v initdb >/dev/null && return
    local place
    for place in "/usr/lib/postgresql/*/bin" "/usr/pgsql-*/bin" "/opt/homebrew/opt/postgresql*/bin" "/usr/local/opt/postgresql*/bin" \
        "/Applications/Postgres.app/Contents/Versions/*/bin"; do
        compgen -G "$place/initdb" >/dev/null && return
    done
    install_package PostgreSQL postgresql "On macOS: brew install postgresql. Or set PG_BIN to the folder of initdb and pg_ctl."
}

need_chromium() {
    [[ -x /usr/bin/chromium ]] && return
    install_package Chromium "chromium fonts-liberation" "The browser tests run /usr/bin/chromium."
}

need_node_clients() { # the folder with their lock file
    command -v npm >/dev/null || missing "Node.js" "Version 20 or newer, with npm. The tests run clients that are written for it."
    [[ $1/node_modules/.package-lock.json -nt $1/package-lock.json ]] && return
    echo "Installing the clients for Node.js…"
    (cd "$1" && npm ci --no-audit --no-fund --ignore-scripts >/dev/null)
}
