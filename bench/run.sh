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

failed=0
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
