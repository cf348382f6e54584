# Parts of a benchmark: a PostgreSQL, servers on it, people and tokens in them, load, and what it cost. Sourced, not run.
# Settings: BENCH_DATA (temporary folder), BENCH_PORT (first of ten ports), BENCH_CONNECTIONS, BENCH_PEOPLE, BENCH_FAMILIES,
# BENCH_GRANTS (a folder with our server already published), BENCH_QUIET (seconds to wait at most until a server has come to rest).
# shellcheck shell=bash disable=SC1090,SC1091,SC2034,SC2046,SC2154 # variables cross between the files; lists of process ids are meant to split
bench=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$bench/.." && pwd)
source "$root/eng/need.sh"

bench_init() {
    data=${BENCH_DATA:-$root/.grants/bench}
    port=${BENCH_PORT:-7100} connections=${BENCH_CONNECTIONS:-64} quiet_limit=${BENCH_QUIET:-30}
    export BENCH_PEOPLE=${BENCH_PEOPLE:-64} families=${BENCH_FAMILIES:-1024}
    mkdir -p "$data" && data=$(cd "$data" && pwd)
    run=$data/run results=${BENCH_RESULTS:-$data/results/$(date -u +%Y%m%dT%H%M%SZ)}
    rm -rf "$run" && mkdir -p "$run/log" "$results"
    declare -gA pids=() dropped=()
    # What all servers know alike. The secrets live as long as this run.
    export APP_ID=bench-app MACHINE_ID=bench-machine REDIRECT_URI=http://localhost:$((port + 9))/callback
    APP_SECRET=$(random 24) MACHINE_SECRET=$(random 24) BENCH_PASSWORD=$(random 12) CODE_VERIFIER=$(random 32) PGPASSWORD=$(random 16)
    APP_BASIC=$(printf '%s:%s' "$APP_ID" "$APP_SECRET" | base64 -w0) MACHINE_BASIC=$(printf '%s:%s' "$MACHINE_ID" "$MACHINE_SECRET" | base64 -w0)
    export APP_SECRET MACHINE_SECRET BENCH_PASSWORD CODE_VERIFIER PGPASSWORD APP_BASIC MACHINE_BASIC BENCH_WRK=$bench/wrk
    export BENCH_PG_PORT=$port
    ticks=$(getconf CLK_TCK) cores=$(nproc)
}

random() { od -An -tx1 -N"$1" /dev/urandom | tr -d ' \n'; }
say() { printf '%s\n' "$*" >&2; }

need_bench() {
    need_dotnet
    need_postgresql
    command -v psql >/dev/null || install_package psql postgresql-client "psql has to be on the PATH."
    command -v wrk >/dev/null || install_package wrk wrk "https://github.com/wg/wrk"
    command -v curl >/dev/null || install_package curl curl ""
    command -v node >/dev/null || missing "Node.js" "Version 20 or newer."
}

# ---- PostgreSQL

pg_program() {
    local place
    if [[ -n ${PG_BIN:-} ]]; then echo "$PG_BIN/$1"; return; fi
    for place in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin; do [[ -x $place/$1 ]] && { echo "$place/$1"; return; }; done
    command -v "$1"
}

as_postgres() { if [[ $(id -u) == 0 ]]; then runuser -u postgres -- "$@"; else "$@"; fi; }

start_postgres() { # the settings are the same for everybody; what isn't named has PostgreSQL's default
    pg=$run/postgres
    mkdir -p "$pg"
    if [[ $(id -u) == 0 ]]; then
        # PostgreSQL refuses root, and its user may not reach this checkout.
        as_postgres test -x "$run" || pg=$(mktemp -d /var/tmp/grants-bench.XXXXXX)
        chown postgres "$pg"
    fi
    (
        cd "$pg" || exit 1
        install -m 600 /dev/null password && printf '%s\n' "$PGPASSWORD" >password
        [[ $(id -u) != 0 ]] || chown postgres password
        as_postgres "$(pg_program initdb)" -D "$pg/data" -U postgres --pwfile="$pg/password" -A scram-sha-256 -E UTF8 --locale=C >"$run/log/initdb.log"
        cat >>"$pg/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
port = $port
shared_buffers = 256MB
synchronous_commit = on
fsync = on
max_wal_size = 4GB
max_connections = 800
CONF
        as_postgres "$(pg_program pg_ctl)" -D "$pg/data" -l "$pg/log" -w start >/dev/null || { cat "$pg/log" >&2; exit 1; }
    )
    postmaster=$(head -1 "$pg/data/postmaster.pid")
}

stop_postgres() {
    [[ -n ${pg:-} && -d $pg ]] || return 0
    (cd "$pg" && as_postgres "$(pg_program pg_ctl)" -D "$pg/data" -m immediate stop) >/dev/null 2>&1 || true
    cp "$pg/log" "$run/log/postgres.log" 2>/dev/null || true
    rm -rf "$pg"
}

sql() { psql -h 127.0.0.1 -p "$port" -U postgres -d "$1" -XAtqc "$2"; }
new_database() { [[ -n $(sql postgres "select 1 from pg_database where datname = '$1'") ]] || sql postgres "create database $1"; }
dotnet_database() { echo "Host=127.0.0.1;Port=$port;Username=postgres;Password=$PGPASSWORD;Database=$1"; }

# ---- Servers. Each has a name; the name is also that of its log, its state folder and (with _ for -) its database.

all_servers=(postgres-32 postgres-64 postgres-batch grants grants-sign-only grants-session-door openiddict openiddict-sha256 oidc-provider oidc-provider-pg)
all_scenarios=(client_credentials code refresh introspection userinfo discovery jwks)

does() { # server, scenario: is there such a measurement?
    case $1 in
        grants | grants-aged | openiddict | openiddict-sha256) true ;;
        grants-session-door) [[ $2 == client_credentials || $2 == code || $2 == refresh ]] ;;
        oidc-provider) [[ $2 == client_credentials || $2 == discovery || $2 == jwks ]] ;;
        oidc-provider-pg) [[ $2 != discovery && $2 != jwks ]] ;; # the same answers as above
        *) [[ $2 == client_credentials ]] ;;
    esac
}

url_of() {
    local place
    for place in "${!all_servers[@]}"; do [[ ${all_servers[place]} != "$1" ]] || echo "http://localhost:$((port + place - 2))"; done
}

drop() { dropped[$1]=$2; say "  $1 is not measured: $2"; } # server, why

publish_grants() { # folder, build properties…
    local out=$1
    shift
    # --short proves answers, not speed: nothing is compiled ahead there.
    if [[ -x $root/eng/publish.sh && ${short:-0} == 0 ]]; then "$root/eng/publish.sh" "$out" "$@"; else
        MSBUILDDISABLENODEREUSE=1 dotnet publish "$root/src/Grants.Api" -c Release -o "$out" --nologo -v quiet -p:UseSharedCompilation=false "$@"
    fi >"$run/log/publish-grants.log" 2>&1 || { cat "$run/log/publish-grants.log" >&2; return 1; }
}

# Builds what the named servers need. Variants of ours come first, so that the build folder is left as everybody expects it.
build_servers() { # servers…
    local server
    local -A published=()
    # This one waits for the network most of the time.
    if [[ " $* " == *" oidc-provider"* && ! -d $bench/baselines/oidc-provider/node_modules ]]; then
        say "Installing oidc-provider…"
        (cd "$bench/baselines/oidc-provider" && npm ci --no-audit --no-fund) >"$run/log/npm.log" 2>&1 &
        published[oidc-provider]=$!
    fi
    for server in grants-sign-only grants-session-door grants openiddict openiddict-sha256 oidc-provider oidc-provider-pg; do
        [[ " $* " == *" $server "* ]] || continue
        case $server in
            grants-sign-only) build_variant "$server" GrantsSignOnly ;;
            grants-session-door) build_variant "$server" GrantsSessionDoor ;;
            grants) [[ -n ${BENCH_GRANTS:-} ]] || { say "Publishing grants…"; publish_grants "$data/out/grants"; } ;;
            openiddict*)
                [[ -z ${published[openiddict]:-} ]] || continue
                published[openiddict]=1
                say "Publishing openiddict…"
                MSBUILDDISABLENODEREUSE=1 dotnet publish "$bench/baselines/openiddict" -c Release -o "$data/out/openiddict" --nologo -v quiet -p:UseSharedCompilation=false \
                    >"$run/log/publish-openiddict.log" 2>&1 || drop "$server" "it doesn't build, see $run/log/publish-openiddict.log"
                ;;
            oidc-provider*)
                [[ -z ${published[oidc-provider]:-} ]] || wait "${published[oidc-provider]}" || true
                [[ -d $bench/baselines/oidc-provider/node_modules/oidc-provider ]] || drop "$server" "its packages don't install, see $run/log/npm.log"
                ;;
        esac
    done
}

build_variant() { # server, build property
    grep -rqs --include=*.csproj --include=*.props "$2" "$root/src" "$root/Directory.Build.props" || { drop "$1" "the source knows no $2"; return; }
    say "Publishing $1…"
    # Without PostgreSQL's programs eng/publish.sh doesn't try the result out, which it would fail: such a server knows no clients yet.
    PG_BIN=/nonexistent publish_grants "$data/out/$1" "-p:$2=true" || drop "$1" "it doesn't build"
}

start_server() { # server
    case $1 in
        postgres-*) start_tables "$1"; return ;;
        grants | grants-aged) start_grants "$1" "${BENCH_GRANTS:-$data/out/grants}" ;;
        grants-sign-only)
            # It can't write down its own clients and keys. Our server does that first, in the same database.
            start_grants "$1" "${BENCH_GRANTS:-$data/out/grants}" || return 1
            kill -TERM "${pids[$1]}"
            wait "${pids[$1]}" || true
            start_grants "$1" "$data/out/$1"
            ;;
        grants-*) start_grants "$1" "$data/out/$1" ;;
        openiddict) start_openiddict "$1" default ;;
        openiddict-sha256) start_openiddict "$1" sha256 ;;
        oidc-provider) start_oidc_provider "$1" none ;;
        oidc-provider-pg) start_oidc_provider "$1" postgres ;;
    esac
    node "$bench/prepare.mjs" discover "$(url_of "$1")" "$run/$1"
}

launch() { # server, ready address, folder, command…: starts it and waits until it answers
    local server=$1 ready=$2 folder=$3 tries
    shift 3
    (cd "$folder" && exec "$@") >"$run/log/$server.log" 2>&1 </dev/null &
    pids[$server]=$!
    for ((tries = 0; tries < 600; tries++)); do
        curl -fso /dev/null "$ready" && return
        kill -0 "${pids[$server]}" 2>/dev/null || break
        sleep 0.1
    done
    say "$server did not start. The end of $run/log/$server.log:"
    tail -n 20 "$run/log/$server.log" >&2
    return 1
}

grants_config() { # a declared configuration with the same clients as everybody's
    local i people=()
    for ((i = 0; i < BENCH_PEOPLE; i++)); do
        people+=("{\"username\":\"person$i@bench.example\",\"password\":\"$BENCH_PASSWORD\",\"claims\":{\"name\":\"Name of person$i\"}}")
    done
    cat <<JSON
{
  "scopes": [ { "name": "profile", "label": "See your name", "kind": "see" }, { "name": "balances", "label": "See balances", "kind": "see" } ],
  "resources": [ { "resource": "https://api.bench.example", "name": "Bench", "scopes": ["balances"] } ],
  "clients": [
    { "client_id": "$MACHINE_ID", "client_name": "Machine", "client_secret": "$MACHINE_SECRET", "grant_types": ["client_credentials"],
      "token_endpoint_auth_method": "client_secret_basic", "scope": "balances", "grants_own_app": true, "grants_access_token_lifetime": 600 },
    { "client_id": "$APP_ID", "client_name": "App", "client_secret": "$APP_SECRET", "redirect_uris": ["$REDIRECT_URI"], "grant_types": ["authorization_code", "refresh_token"],
      "token_endpoint_auth_method": "client_secret_basic", "scope": "openid profile offline_access", "grants_access_token_lifetime": 3600 }
  ],
  "people": [ $(IFS=,; echo "${people[*]}") ]
}
JSON
}

start_grants() { # server, folder of the published program
    local url
    url=$(url_of "$1")
    new_database "${1//-/_}"
    mkdir -p "$run/$1"
    grants_config >"$run/$1/grants.json"
    local program=("$2/grants")
    [[ -x $2/grants ]] || program=(dotnet "$2/grants.dll")
    launch "$1" "$url/readyz" "$run/$1" env ASPNETCORE_ENVIRONMENT=Development Logging__LogLevel__Default=Warning \
        ConnectionStrings__Grants="$(dotnet_database "${1//-/_}")" Grants__Issuer="$url" Grants__DataFolder="$run/$1/data" Grants__Config="$run/$1/grants.json" \
        Grants__SingleNode=true Grants__Limits__AuthorizationsPerMinutePerNetwork=1000000000 Grants__Limits__AuthorizationsPerMinutePerClient=1000000000 \
        "${program[@]}" --urls "$url"
}

start_openiddict() { # server, how client secrets are kept
    new_database "${1//-/_}"
    mkdir -p "$run/$1"
    launch "$1" "$(url_of "$1")/healthz" "$run/$1" env DATABASE="$(dotnet_database "${1//-/_}")" ISSUER="$(url_of "$1")" SECRETS="$2" \
        "$data/out/openiddict/OpenIddictBaseline" --urls "$(url_of "$1")"
}

start_oidc_provider() { # server, where it stores
    [[ $2 == none ]] || new_database "${1//-/_}"
    launch "$1" "$(url_of "$1")/.well-known/openid-configuration" "$bench/baselines/oidc-provider" env NODE_ENV=production NO_UPDATE_NOTIFIER=1 STORE="$2" ISSUER="$(url_of "$1")" \
        DATABASE="postgres://postgres:$PGPASSWORD@127.0.0.1:$port/${1//-/_}" node server.mjs
}

# PostgreSQL alone: the tables and indexes of our log, and the rows that one client credentials token has left in it.
start_tables() { # server
    local database=${1//-/_}
    [[ -n ${pids[grants]:-} ]] || start_server grants
    resume grants
    new_database "$database"
    mkdir -p "$run/$1"
    [[ -f $run/token-rows.json ]] || node "$bench/tables.mjs" sample "$(url_of grants)" "$run/token-rows.json"
    pause grants
    "$(pg_program pg_dump)" -h 127.0.0.1 -p "$port" -U postgres --schema-only --no-owner -n grants -t 'grants.mt_streams*' -t 'grants.mt_events*' grants >"$run/$1/tables.sql"
    { echo "create schema grants;"; cat "$run/$1/tables.sql"; } | psql -h 127.0.0.1 -p "$port" -U postgres -d "$database" -Xq -v ON_ERROR_STOP=1 >/dev/null
    node "$bench/tables.mjs" script "$run/token-rows.json" "$run/$1" "$(tokens_per_transaction "$1")"
}

tokens_per_transaction() { if [[ $1 == postgres-batch ]]; then echo 32; else echo 1; fi; }

# A paused server is stopped by the kernel: it takes no time from the one under test, and keeps what its JIT has learnt.
family() { echo "$1" $(cat "/proc/$1/task/$1/children" 2>/dev/null); }
pause() { [[ -z ${pids[$1]:-} ]] || kill -STOP $(family "${pids[$1]}") 2>/dev/null || true; }
resume() { [[ -z ${pids[$1]:-} ]] || kill -CONT $(family "${pids[$1]}") 2>/dev/null || true; }

stop_servers() {
    local server
    for server in "${!pids[@]}"; do
        resume "$server"
        kill -KILL $(family "${pids[$server]}") 2>/dev/null || true
        wait "${pids[$server]}" 2>/dev/null || true
    done
    pids=()
}

# ---- People and tokens

prepare() { # server, scenario: what the scenario needs beyond what is there already
    [[ $1 != postgres-* ]] || return 0
    local url state=$run/$1
    url=$(url_of "$1")
    case $2 in code | refresh | introspection | userinfo) [[ -f $state/cookies.txt ]] || node "$bench/prepare.mjs" people "$url" "$state" || return 1 ;; esac
    case $2 in
        refresh) node "$bench/prepare.mjs" families "$url" "$state" "$families" ;;
        introspection | userinfo) [[ -n $(find "$state/access.txt" -mmin -20 2>/dev/null) ]] || node "$bench/prepare.mjs" access "$url" "$state" ;;
    esac
}

available() { # server, scenario: does the server have the endpoint at all?
    [[ $2 != introspection && $2 != userinfo ]] || grep -q "^${2^^}_PATH=." "$run/$1/endpoints.env"
}

# ---- Load and what it costs

# CPU time of a process and its children, ended ones too, in ticks.
cpu_of() {
    [[ -n $1 ]] || { echo 0; return; }
    local each files=()
    for each in $(family "$1"); do files+=("/proc/$each/stat"); done
    { cat "${files[@]}" 2>/dev/null || true; } | awk -v root="$1" '{ id = $1; sub(/^.*\) /, ""); sum += $12 + $13; if (id == root) sum += $14 + $15 } END { print sum + 0 }'
}

# CPU time that anything on the machine used, in ticks (user, nice, system, irq, softirq, steal).
cpu_of_all() { awk '/^cpu /{ print $2 + $3 + $4 + $7 + $8 + $9 }' /proc/stat; }

rss_of() { # MB, all processes
    [[ -n $1 ]] || { echo 0; return; }
    local each files=()
    for each in $(family "$1"); do files+=("/proc/$each/status"); done
    { cat "${files[@]}" 2>/dev/null || true; } | awk '/^VmRSS/{ sum += $2 } END { printf "%.0f", sum / 1024 }'
}

# Waits until server and database have come to rest: views that lag behind the log, autovacuum. They may use 4 % of a core.
await_quiet() { # server
    local before after deadline=$((SECONDS + quiet_limit))
    while ((SECONDS < deadline)); do
        before=$(($(cpu_of "${pids[$1]:-}") + $(cpu_of "$postmaster")))
        sleep 0.5
        after=$(($(cpu_of "${pids[$1]:-}") + $(cpu_of "$postmaster")))
        ((after - before > ticks / 50)) || return 0
    done
    return 1
}

# One run of the load. Sets: requests (iterations), duration_us, p50_us, p99_us, errors, sample, client_cpu (microseconds).
drive() { # server, scenario, seconds, what is read of answers (all or status)
    local out=$run/drive line
    if [[ $1 == postgres-* ]]; then drive_pgbench "$@"; return; fi
    (
        set -a
        source "$run/$1/endpoints.env"
        BENCH_STATE=$run/$1 BENCH_CHECK=$4
        set +a
        TIMEFORMAT='%U %S'
        time wrk -t2 -c"$connections" -d"$3s" --timeout 10s -s "$bench/wrk/$2.lua" "$(url_of "$1")" >"$out.txt" 2>"$out.err"
    ) 2>"$out.time" || true
    client_cpu=$(awk 'END { printf "%.0f", ($1 + $2) * 1e6 }' "$out.time")
    line=$(grep '^RESULT ' "$out.txt" || true)
    sample=$(sed -n 's/^BAD //p' "$out.txt")
    if [[ -z $line ]]; then
        requests=0 duration_us=1 p50_us=0 p99_us=0 errors=1 sample="wrk failed: $(tail -n 3 "$out.txt" "$out.err" | tr '\n' ' ')"
        return
    fi
    eval "${line#RESULT }"
    drive_duration=$duration_us
    requests=$good errors=$((bad > status_errors ? bad : status_errors))
    errors=$((errors + socket_errors + timeouts))
}

drive_pgbench() { # server, scenario, seconds
    local clients=32 each
    [[ $1 != postgres-64 ]] || clients=64
    each=$(tokens_per_transaction "$1")
    rm -f "$run/drive"*
    mapfile -t variables <"$run/$1/variables"
    (
        TIMEFORMAT='%U %S'
        time "$(pg_program pgbench)" -h 127.0.0.1 -p "$port" -U postgres -n -M prepared -c "$clients" -j 2 -T "$3" -l --sampling-rate=0.2 --log-prefix="$run/drive-tx" \
            "${variables[@]}" -f "$run/$1/token.sql" "${1//-/_}" >"$run/drive.txt" 2>"$run/drive.err"
    ) 2>"$run/drive.time" || true
    client_cpu=$(awk 'END { printf "%.0f", ($1 + $2) * 1e6 }' "$run/drive.time")
    local transactions
    transactions=$(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' "$run/drive.txt")
    requests=$((${transactions:-0} * each)) drive_duration=$(($3 * 1000000)) sample="" errors=0
    ((requests > 0)) || { errors=1; sample=$(tail -n 3 "$run/drive.err" | tr '\n' ' '); }
    read -r p50_us p99_us < <(cat "$run"/drive-tx* 2>/dev/null | awk '{ print $3 }' | sort -n | awk '{ all[NR] = $1 } END { print all[int(NR * 0.5) + 1] + 0, all[int(NR * 0.99) + 1] + 0 }')
}

columns="round server scenario seconds requests per_second p50_ms p99_ms server_cpu_us database_cpu_us later_cpu_us client_cpu_us other_cpu_percent rss_mb wal_bytes disk_bytes errors at_rest sample"

# One measurement, written as a line of results.tsv. Latencies of scenario code are those of its two requests, mixed.
measure() { # round, server, scenario, seconds
    local server=$2 scenario=$3 pid=${pids[$2]:-} check=all rest=yes database=${2//-/_}
    case $scenario in discovery | jwks) check=status ;; esac
    [[ $server != oidc-provider ]] || database=postgres
    local wal disk cpu_server cpu_db cpu_all wall later
    wal=$(sql postgres "select pg_current_wal_lsn()") disk=$(sql "$database" "select pg_database_size('$database')")
    cpu_server=$(cpu_of "$pid") cpu_db=$(cpu_of "$postmaster") cpu_all=$(cpu_of_all) wall=${EPOCHREALTIME/[.,]/}
    drive "$server" "$scenario" "$4" "$check"
    wall=$((${EPOCHREALTIME/[.,]/} - wall)) cpu_all=$(($(cpu_of_all) - cpu_all)) cpu_server=$(($(cpu_of "$pid") - cpu_server)) cpu_db=$(($(cpu_of "$postmaster") - cpu_db))
    local rss
    rss=$(rss_of "$pid")
    if ((requests == 0 && errors == 0)); then errors=1 sample="no answer at all"; fi
    later=$(($(cpu_of "$pid") + $(cpu_of "$postmaster")))
    await_quiet "$server" || rest=no
    later=$(($(cpu_of "$pid") + $(cpu_of "$postmaster") - later))
    wal=$(sql postgres "select pg_current_wal_lsn() - '$wal'::pg_lsn") disk=$(($(sql "$database" "select pg_database_size('$database')") - disk))
    awk -v OFS='\t' -v round="$1" -v server="$server" -v scenario="$scenario" -v us="$drive_duration" -v n="$requests" -v p50="$p50_us" -v p99="$p99_us" -v tick=$((1000000 / ticks)) \
        -v s="$cpu_server" -v d="$cpu_db" -v l="$later" -v c="$client_cpu" -v a="$cpu_all" -v cores="$cores" -v wall="$wall" -v rss="$rss" -v wal="$wal" -v disk="$disk" -v e="$errors" -v rest="$rest" -v sample="${sample//\\/\\\\}" '
        BEGIN {
            m = n > 0 ? n : 1
            other = (a * tick - s * tick - d * tick - c) / wall / cores * 100
            gsub(/\t/, " ", sample)
            print round, server, scenario, sprintf("%.2f", us / 1e6), n, sprintf("%.1f", n / us * 1e6), sprintf("%.2f", p50 / 1000), sprintf("%.2f", p99 / 1000),
                sprintf("%.1f", s * tick / m), sprintf("%.1f", d * tick / m), sprintf("%.1f", l * tick / m), sprintf("%.1f", c / m), sprintf("%.1f", other < 0 ? 0 : other),
                rss, sprintf("%.0f", wal / m), sprintf("%.0f", disk / m), e, rest, sample
        }' >>"$results/results.tsv"
    if ((errors > 0)); then say "!!! INVALID: $server $scenario: $errors unexpected answers or broken connections. ${sample:+First: $sample}"; fi
}

begin_results() { # rounds, seconds and warm-up are the caller's
    failed=0
    printf '%s\n' "${columns// /$'\t'}" >"$results/results.tsv"
    printf 'server\tscenario\twhy\n' >"$results/not-measured.tsv"
    {
        echo "date	$(date -u +%FT%TZ)"
        echo "cpu	$cores x $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -1)"
        echo "postgres	$("$(pg_program postgres)" --version | sed 's/.*) //')"
        echo "dotnet	$(dotnet --version)"
        echo "node	$(node --version)"
        echo "load	wrk -t2 -c$connections, $rounds x $seconds s, warm-up $warm s, $BENCH_PEOPLE people, $families families"
    } >"$results/machine.tsv"
}

# The whole course of one measurement: the server alone awake, a fresh checkpoint, a few seconds of the same load, rest, then the clock runs.
turn() { # round, server, scenario
    resume "$2"
    if ! prepare "$2" "$3" 2>"$run/log/prepare.err"; then
        cat "$run/log/prepare.err" >&2
        say "!!! INVALID: $2 can't be made ready for $3."
        printf '%s\t%s\tit could not be made ready: %s\n' "$2" "$3" "$(tail -n 1 "$run/log/prepare.err")" >>"$results/not-measured.tsv"
        failed=1
        pause "$2"
        return
    fi
    sql postgres checkpoint
    local first=$before
    (($1 > 1)) || first=$((warm + before))
    if ((short)); then
        # Without a warm-up the first answer may take longer than the measurement.
        for _ in 1 2 3 4 5; do
            drive "$2" "$3" 1 all
            ((requests == 0 && errors == 0)) || break
        done
        ((errors == 0)) || { say "!!! INVALID: $2 $3: $errors unexpected answers. ${sample:+First: $sample}"; failed=1; }
        prepare "$2" "$3"
    elif ((first > 0)); then
        drive "$2" "$3" "$first" all
        ((errors == 0)) || { say "!!! INVALID (warming up): $2 $3: $errors unexpected answers. ${sample:+First: $sample}"; failed=1; }
        prepare "$2" "$3"
        await_quiet "$2" || true
    fi
    measure "$1" "$2" "$3" "$seconds"
    ((errors == 0)) || failed=1
    say "$(printf '  round %s  %-20s %-20s %9.0f /s' "$1" "$2" "$3" "$(tail -n 1 "$results/results.tsv" | cut -f6)")"
    pause "$2"
}

bench_end() {
    stop_servers
    stop_postgres
}
