#!/usr/bin/env bash
# Measures our server and others on this machine, with the same load, in the same run. See bench/README.md.
#   bench/run.sh [--short] [--no-build] [--servers a,b] [--scenarios a,b] [--rounds N] [--seconds N] [--warm-up N]
set -euo pipefail
# shellcheck disable=SC1091,SC2154
source "$(dirname "$0")/lib.sh"

rounds=5 seconds=10 warm=15 before=2 short=0 build=1 servers=() scenarios=()
while (($# > 0)); do
    case $1 in
        --short)
            rounds=1 seconds=1 warm=0 before=0 short=1
            ((${#servers[@]} > 0)) || servers=(postgres-32 grants openiddict oidc-provider oidc-provider-pg)
            export BENCH_CONNECTIONS=${BENCH_CONNECTIONS:-8} BENCH_PEOPLE=${BENCH_PEOPLE:-4} BENCH_FAMILIES=${BENCH_FAMILIES:-128} BENCH_QUIET=${BENCH_QUIET:-0}
            ;;
        --no-build) build=0 ;;
        --rounds) rounds=$2; shift ;;
        --seconds) seconds=$2; shift ;;
        --warm-up) warm=$2; shift ;;
        --servers) IFS=, read -ra servers <<<"$2"; shift ;;
        --scenarios) IFS=, read -ra scenarios <<<"$2"; shift ;;
        *) sed -n '2,3s/^# *//p' "$0" >&2; exit 2 ;;
    esac
    shift
done
bench_init
((${#servers[@]} > 0)) || servers=("${all_servers[@]}")
((${#scenarios[@]} > 0)) || scenarios=("${all_scenarios[@]}")
for name in "${servers[@]}"; do [[ " ${all_servers[*]} " == *" $name "* ]] || { say "No server $name. There are: ${all_servers[*]}"; exit 2; }; done
for name in "${scenarios[@]}"; do [[ " ${all_scenarios[*]} " == *" $name "* ]] || { say "No scenario $name. There are: ${all_scenarios[*]}"; exit 2; }; done

need_bench
trap bench_end EXIT
trap 'exit 130' INT TERM
needed=("${servers[@]}")
# PostgreSQL alone and the server that stores nothing need rows that our server has written.
[[ " ${servers[*]} " != *" postgres-"* && " ${servers[*]} " != *" grants-sign-only "* || " ${servers[*]} " == *" grants "* ]] || needed+=(grants)
((!build)) || build_servers "${needed[@]}"
start_postgres
for server in "${servers[@]}"; do
    [[ -z ${dropped[$server]:-} && -z ${pids[$server]:-} ]] || continue
    say "Starting $server…"
    start_server "$server" || drop "$server" "it doesn't start"
    pause "$server"
done

begin_results

for scenario in "${scenarios[@]}"; do
    for ((round = 1; round <= rounds; round++)); do
        for server in "${servers[@]}"; do
            if ! does "$server" "$scenario"; then continue; fi
            if [[ -n ${dropped[$server]:-} ]]; then
                ((round > 1)) || printf '%s\t%s\t%s\n' "$server" "$scenario" "${dropped[$server]}" >>"$results/not-measured.tsv"
            elif ! available "$server" "$scenario"; then
                ((round > 1)) || printf '%s\t%s\tnot available: the server has no such endpoint\n' "$server" "$scenario" >>"$results/not-measured.tsv"
            else
                turn "$round" "$server" "$scenario"
            fi
        done
    done
done
node "$bench/report.mjs" "$results"
say "Written to $results"
if ((failed)); then say "!!! THIS RUN IS INVALID: not all answers were as expected. See above."; exit 1; fi
