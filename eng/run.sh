#!/usr/bin/env bash
# Starts the server, the sample app and the sample API, and stops them together.
# Ports: GRANTS_PORT, TALLY_PORT, BANK_PORT. Data folder: GRANTS_DATA (default .grants).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
source "$root/eng/need.sh"
server_port=${GRANTS_PORT:-5100} tally_port=${TALLY_PORT:-5200} bank_port=${BANK_PORT:-5300} data=${GRANTS_DATA:-$root/.grants}
server=http://localhost:$server_port tally=http://localhost:$tally_port bank=http://localhost:$bank_port
mkdir -p "$data/logs" && data=$(cd "$data" && pwd)
need_dotnet
[[ -n ${ConnectionStrings__Grants:-} ]] || need_postgresql
for port in $server_port $tally_port $bank_port; do
    if (exec 3<>"/dev/tcp/localhost/$port") 2>/dev/null; then echo "Port $port is in use. GRANTS_PORT, TALLY_PORT and BANK_PORT choose others." >&2; exit 1; fi
done
echo "Building…"
export MSBUILDDISABLENODEREUSE=1 UseSharedCompilation=false # or the compiler's own servers stay behind
for project in src/Grants.Api samples/TallyBudget samples/DemoBank; do
    dotnet build "$root/$project" --nologo -v quiet >"$data/logs/build.log" 2>&1 || { cat "$data/logs/build.log" >&2; exit 1; }
done
names=() pids=()
start() { # name, project folder, dll, url
    (cd "$root/$2" && exec dotnet "bin/Debug/net10.0/$3" --urls "$4") >"$data/logs/$1.log" 2>&1 </dev/null &
    names+=("$1") pids+=($!)
}
stop() { # the samples first: the server's database goes last
    trap '' INT TERM
    trap - EXIT
    local i
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do kill -TERM "${pids[i]}" 2>/dev/null && wait "${pids[i]}" 2>/dev/null || true; done
    kill $(jobs -p) 2>/dev/null || true
}
trap stop EXIT
trap 'echo; echo "Stopping…"; exit 0' INT TERM
all_alive() {
    local i
    for i in "${!pids[@]}"; do
        kill -0 "${pids[i]}" 2>/dev/null && continue
        { echo "${names[i]} has ended. The last lines of $data/logs/${names[i]}.log:"; tail -n 20 "$data/logs/${names[i]}.log"; } >&2
        exit 1
    done
}
answers() { # port, path
    (exec 3<>"/dev/tcp/localhost/$1" && printf 'GET %s HTTP/1.0\r\nHost: localhost:%s\r\n\r\n' "$2" "$1" >&3 && read -rt 5 _ status _ <&3 && [[ $status == 200 ]]) 2>/dev/null
}
await() { until answers "$1" "$2"; do all_alive; sleep 0.3; done; }
export ASPNETCORE_ENVIRONMENT=Development Grants__Issuer=$server Grants__DataFolder=$data Grants__Config=${Grants__Config:-$root/samples/grants.json}
export Tally__Authority=$server Tally__Bank=$bank Tally__PublicUrl=$tally Tally__ClientSecretFile=$data/clients/tally.secret Bank__Authority=$server Bank__Resource=$bank
start server src/Grants.Api grants.dll "$server"
await "$server_port" /readyz
start tally samples/TallyBudget TallyBudget.dll "$tally"
start bank samples/DemoBank DemoBank.dll "$bank"
await "$tally_port" /healthz
await "$bank_port" /healthz
cluster=$(cat "$data/postgres-location" 2>/dev/null || echo "$data/postgres")
storage="PostgreSQL $(cat "$cluster/data/PG_VERSION" 2>/dev/null || true), private, in $data"
[[ -z ${ConnectionStrings__Grants:-} ]] || storage="PostgreSQL of ConnectionStrings__Grants"
printf '✔ %-9s %s\n' Storage "$storage" Issuer "$server" Keys "ES256, $server/jwks" Health "$server/healthz" "Demo app" "$tally  (Tally Budget)" "Demo API" "$bank  (Demo Bank)"
[[ ! -s $data/first-start.txt ]] || awk -F'\t' '{ printf "Sign in as  %-24s password  %s\n", $1, $2 }' "$data/first-start.txt"
printf 'Try it: open %s and press "Connect my bank".\nDEVELOPMENT: made-up people, plain http, printed passwords. Ctrl-C stops.\n' "$tally"
while all_alive; do sleep 1 & wait $! || true; done
