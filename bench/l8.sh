#!/usr/bin/env bash
# Does a request cost the same on an old log? (law L8) Measures on a young log, and again when it holds millions of events, which are
# tokens of one client.
#   bench/l8.sh [--events 10000000] [--seconds 10] [--rounds 3] [--warm-up 15]
set -euo pipefail
source "$(dirname "$0")/lib.sh"
events=10000000 seconds=10 rounds=3 warm=15
while (($# > 0)); do
    case $1 in
        --events) events=$2 ;;
        --seconds) seconds=$2 ;;
        --rounds) rounds=$2 ;;
        --warm-up) warm=$2 ;;
        *) sed -n '2,4s/^# *//p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
bench_init
need_bench
trap bench_end EXIT
trap 'exit 130' INT TERM
build_servers grants
start_postgres
start_server grants

show() { # what, scenario: medians over the rounds
    local round rows=()
    drive grants "$2" 2 all
    for ((round = 1; round <= rounds; round++)); do
        drive grants "$2" "$seconds" all
        ((errors == 0)) || { say "!!! INVALID: $errors unexpected answers to $2. $sample"; exit 1; }
        rows+=("$((requests * 1000000 / drive_duration)) $p50_us $p99_us")
    done
    printf '%s\n' "${rows[@]}" | sort -n | awk -v what="$1" -v scenario="$2" '{ n[NR] = $1; split($0, f); a[NR] = f[2]; b[NR] = f[3] }
        END { m = int((NR + 1) / 2); printf "%-44s %-20s %6d /s   p50 %6.2f ms   p99 %6.2f ms\n", what, scenario, n[m], a[m] / 1000, b[m] / 1000 }' | tee -a "$results/l8.txt"
}

families=$connections
node "$bench/prepare.mjs" people "$(url_of grants)" "$run/grants"
say "Warming up…"
for scenario in client_credentials code; do drive grants "$scenario" "$warm" all; done
await_quiet grants || true
show "first tokens of a client" client_credentials
show "short log" code

say "Filling the log up to $events events…"
kill -TERM "${pids[grants]}" && wait "${pids[grants]}" 2>/dev/null || true
unset 'pids[grants]'
fill=$((events - $(sql grants "select count(*) from grants.mt_events")))
((fill > 0)) && psql -h 127.0.0.1 -p "$port" -U postgres -d grants -Xq -v ON_ERROR_STOP=1 -v n=$((fill / 2)) -v client="$MACHINE_ID" -f "$bench/fill.sql"
sql grants "select 'events ' || count(*) || ', tokens of the client ' || count(*) filter (where headers->>'client' = '$MACHINE_ID' and type = 'token_family.access_token_issued') from grants.mt_events" | tee -a "$results/l8.txt"
sql grants "select 'log ' || pg_size_pretty(pg_total_relation_size('grants.mt_events') + pg_total_relation_size('grants.mt_streams'))" | tee -a "$results/l8.txt"
launch grants "$(url_of grants)/readyz" "$run/grants" env ASPNETCORE_ENVIRONMENT=Development Logging__LogLevel__Default=Warning ConnectionStrings__Grants="$(dotnet_database grants)" \
    Grants__Issuer="$(url_of grants)" Grants__DataFolder="$run/grants/data" Grants__Config="$run/grants/grants.json" Grants__SingleNode=true \
    Grants__Limits__AuthorizationsPerMinutePerNetwork=1000000000 Grants__Limits__AuthorizationsPerMinutePerClient=1000000000 "${BENCH_GRANTS:-$data/out/grants}/grants" --urls "$(url_of grants)"
sql postgres checkpoint
say "Warming up…"
for scenario in client_credentials code; do drive grants "$scenario" "$warm" all; done
await_quiet grants || true
show "on a log of $events events" client_credentials
show "on a log of $events events" code
say "Written to $results/l8.txt"
