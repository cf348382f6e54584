#!/usr/bin/env bash
# How long a start takes on a database that is set up already: from running the published program until its port is open and until
# its first token is answered. The first request after the port opens has to succeed. Not in the medians: the first start, which
# makes the schema.
#   bench/cold-start.sh [STARTS]      default 5; BENCH_DATA, BENCH_PORT and BENCH_GRANTS as in lib.sh
set -euo pipefail
source "$(dirname "$0")/lib.sh"
starts=${1:-5}
need_dotnet
need_postgresql
command -v psql >/dev/null || install_package psql postgresql-client "psql has to be on the PATH."
BENCH_PEOPLE=0 BENCH_RESULTS=$(mktemp -d)
trap 'bench_end; rmdir "$BENCH_RESULTS"' EXIT
trap 'exit 130' INT TERM
bench_init
program=${BENCH_GRANTS:-$data/out/grants}
[[ -n ${BENCH_GRANTS:-} ]] || { say "Publishing grants…"; publish_grants "$program"; }
start_postgres
new_database grants
grants_config >"$run/grants.json"
server_port=$((port + 1))
export ASPNETCORE_ENVIRONMENT=Production ConnectionStrings__Grants Grants__Issuer=https://grants.example Grants__DataFolder=$run/grants Grants__Config=$run/grants.json
ConnectionStrings__Grants=$(dotnet_database grants)

now_us() { echo "${EPOCHREALTIME//[.,]/}"; }
start_once() { # sets result: ms until listening, ms until the first token, ms of processor time until then, MB
    local began listening answered pid
    began=$(now_us)
    (cd "$run" && exec "$program/grants" --urls "http://127.0.0.1:$server_port") >"$run/log/grants.log" 2>&1 </dev/null &
    pid=$!
    pids[grants]=$pid
    until (exec 3<>"/dev/tcp/127.0.0.1/$server_port") 2>/dev/null; do
        kill -0 "$pid" 2>/dev/null || { say "The server did not start:"; cat "$run/log/grants.log" >&2; exit 1; }
        sleep 0.01
    done
    listening=$(now_us)
    curl -sSf -H "Host: grants.example" -H "Authorization: Basic $MACHINE_BASIC" -d grant_type=client_credentials "http://127.0.0.1:$server_port/token" -o "$run/token.json"
    answered=$(now_us)
    grep -q '"access_token"' "$run/token.json"
    result="$(((listening - began) / 1000)) $(((answered - began) / 1000)) $(($(cpu_of "$pid") * 1000 / ticks)) $(rss_of "$pid")"
    kill -TERM "$pid"
    wait "$pid" || true
    unset "pids[grants]"
}

show() { printf '%-14s %12s %15s %8s %7s %6s\n' "$@"; }
load() { cut -d' ' -f1 /proc/loadavg; }
show start "listening ms" "first token ms" "cpu ms" "RSS MB" load
start_once
# shellcheck disable=SC2086 # four columns
show "empty database" $result "$(load)"
: >"$run/starts"
for ((i = 1; i <= starts; i++)); do
    start_once
    echo "$result" >>"$run/starts"
    # shellcheck disable=SC2086
    show "$i" $result "$(load)"
done
median() { cut -d' ' -f"$1" "$run/starts" | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
show median "$(median 1)" "$(median 2)" "$(median 3)" "$(median 4)" ""
