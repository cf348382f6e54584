#!/usr/bin/env bash
# Does a request cost the same whatever came before it? (law L8) Two servers of ours take turns: one on a log that begins now, one on a
# log of millions of events, nearly all of them tokens of the client that asks. And on the old log families of thousands of renewals are
# renewed side by side with young ones.
#   bench/l8.sh [--events 10000000] [--refreshes 10000] [--families 8] [--seconds 5] [--rounds 5] [--warm-up 10]
set -euo pipefail
# shellcheck disable=SC1091,SC2034,SC2154
source "$(dirname "$0")/lib.sh"
events=10000000 refreshes=10000 aged=8 seconds=5 rounds=5 warm=10 before=2 short=0
while (($# > 0)); do
    case $1 in
        --events) events=$2 ;;
        --refreshes) refreshes=$2 ;;
        --families) aged=$2 ;;
        --seconds) seconds=$2 ;;
        --rounds) rounds=$2 ;;
        --warm-up) warm=$2 ;;
        *) sed -n '2,5s/^# *//p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
bench_init
need_bench
trap bench_end EXIT
trap 'exit 130' INT TERM
build_servers grants
start_postgres
all_servers+=(grants-aged)
begin_results
tell() { printf '%s\n' "$*" | tee -a "$results/l8.txt"; }

for server in grants grants-aged; do start_server "$server"; done
pause grants
node "$bench/prepare.mjs" people "$(url_of grants-aged)" "$run/grants-aged"
drive grants-aged client_credentials 2 all
kill -TERM "${pids[grants-aged]}" && wait "${pids[grants-aged]}" 2>/dev/null || true
unset 'pids[grants-aged]'
say "Filling the old log up to $events events…"
fill=$((events - $(sql grants_aged "select count(*) from grants.mt_events")))
begun=$SECONDS
psql -h 127.0.0.1 -p "$port" -U postgres -d grants_aged -Xq -v n=$((fill / 2)) -v client="$MACHINE_ID" -f "$bench/fill.sql"
tell "filled in $((SECONDS - begun)) s: $(sql grants_aged "select count(*) || ' events, ' || count(*) filter (where headers ->> 'client' = '$MACHINE_ID' and type = 'token_family.access_token_issued') || ' tokens of the client, log ' ||
    pg_size_pretty(pg_total_relation_size('grants.mt_events') + pg_total_relation_size('grants.mt_streams')) || ', database ' || pg_size_pretty(pg_database_size('grants_aged')) from grants.mt_events")"
start_server grants-aged
pause grants-aged

for scenario in client_credentials code refresh introspection; do
    for ((round = 1; round <= rounds; round++)); do
        for server in grants grants-aged; do turn "$round" "$server" "$scenario"; done
    done
done
node "$bench/report.mjs" "$results" | tee -a "$results/l8.txt"

resume grants-aged
families=1024
prepare grants-aged refresh
say "Renewing $aged families $refreshes times…"
node "$bench/age.mjs" "$(url_of grants-aged)" "$run/grants-aged" "$aged" "$refreshes" 20 | tee -a "$results/l8.txt"
say "Written to $results/l8.txt"
if ((failed)); then say "!!! THIS RUN IS INVALID: not all answers were as expected. See above."; exit 1; fi
