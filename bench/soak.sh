#!/usr/bin/env bash
# A long run at 70 % of what the server can do, with tokens that expire on the way; in the middle the server and then PostgreSQL are
# killed (kill -9) under clients that keep every token they were given, and afterwards the log must know all of them.
#   bench/soak.sh [--minutes 30] [--percent 70] [--lifetime 60]
set -euo pipefail
source "$(dirname "$0")/lib.sh"
minutes=30 percent=70 lifetime=60
while (($# > 0)); do
    case $1 in
        --minutes) minutes=$2 ;;
        --percent) percent=$2 ;;
        --lifetime) lifetime=$2 ;;
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
eval "$(declare -f grants_config | sed "1s/grants_config/long_config/")"
grants_config() { long_config | sed "s/\"grants_access_token_lifetime\": [0-9]*/\"grants_access_token_lifetime\": $lifetime/"; }
export Grants__ExpirySeconds=10
start_server grants
node "$bench/prepare.mjs" people "$(url_of grants)" "$run/grants"
prepare grants refresh

# What the server can do for long includes recording what ran out, which begins after one lifetime.
say "Finding the maximum…"
SOAK_RATE=1000000 drive grants soak $((lifetime + 30)) all
prepare grants refresh
SOAK_RATE=1000000 drive grants soak 40 all
((errors == 0)) || { say "!!! $errors errors: $sample"; exit 1; }
max=$((requests * 1000000 / drive_duration))
export SOAK_RATE=$((max * percent / 100))
say "Maximum $max /s; soaking at $SOAK_RATE /s for $minutes minutes, tokens live $lifetime s"
printf 'minute\tper_second\tp50_ms\tp99_ms\terrors\trss_mb\tpg_rss_mb\tlog_events\tview_lag_events\tunrecorded_ends\toldest_unrecorded_s\n' | tee "$results/soak.tsv"

minute() { # number
    prepare grants refresh
    drive grants soak 55 all
    local facts
    facts=$(sql grants "select (select max(seq_id) from grants.mt_events),
        (select max(seq_id) from grants.mt_events) - (select max(last_seq_id) from grants.mt_event_progression where name like '$tokens_view:%'),
        (select count(*) from grants.$tokens_view where state = 'live' and expires_at < now()),
        (select coalesce(round(extract(epoch from now() - min(expires_at))), 0) from grants.$tokens_view where state = 'live' and expires_at < now())")
    IFS='|' read -r log lag ends oldest <<<"$facts"
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" $((requests * 1000000 / drive_duration)) "$(awk "BEGIN { print $p50_us / 1000 }")" "$(awk "BEGIN { print $p99_us / 1000 }")" \
        "$errors" "$(rss_of "${pids[grants]}")" "$(rss_of "$postmaster")" "$log" "$lag" "$ends" "$oldest" | tee -a "$results/soak.tsv"
    [[ $errors == 0 ]] || say "!!! $errors errors: $sample"
}
tokens_view=$(sql grants "select tablename from pg_tables where schemaname = 'grants' and tablename like 'current\\_tokens\\_v%' order by 1 desc limit 1")
for ((m = 1; m <= minutes / 2; m++)); do minute "$m"; done

say "Killing the server, then PostgreSQL, under clients that keep their tokens…"
until_served() { # a token again, without anybody's help
    local tries
    for ((tries = 0; tries < 300; tries++)); do
        ! curl -fso /dev/null -u "$MACHINE_ID:$MACHINE_SECRET" -d grant_type=client_credentials "$(url_of grants)/token" || return 0
        sleep 0.2
    done
    say "!!! no token within a minute"
    exit 1
}
prepare grants refresh
node "$bench/crash.mjs" "$(url_of grants)" "$run/grants" 24 >"$run/crash.json" &
crash=$!
sleep 5
kill -KILL "${pids[grants]}" && wait "${pids[grants]}" 2>/dev/null || true
say "  server killed"
start_grants grants "${BENCH_GRANTS:-$data/out/grants}"
sleep 5
kill -KILL $(family "$postmaster")
say "  PostgreSQL killed"
sleep 1
rm -f "$pg/data/postmaster.pid"
(cd "$pg" && as_postgres "$(pg_program pg_ctl)" -D "$pg/data" -l "$pg/log" -w start >/dev/null)
postmaster=$(head -1 "$pg/data/postmaster.pid")
wait "$crash"
node "$bench/crash.mjs" check "$run/crash.json" | tee -a "$results/soak.txt"
until_served
# The clients' refresh tokens were theirs alone.
rm -f "$run/grants/refresh.txt"
for ((m = minutes / 2 + 1; m <= minutes; m++)); do minute "$m"; done
say "Written to $results/soak.tsv"
