#!/usr/bin/env bash
# Makes the server as it runs in production: eng/publish.sh OUT. The code that Wolverine generates for each endpoint is written
# ahead and compiled in, so that no compiler is shipped or run; machine code is made ahead as well, so that it starts fast.
# Needs no database; where PostgreSQL and curl are installed, what was made is also tried out.
# RUNTIME: another machine's, such as linux-arm64. Further arguments are build properties: -p:PublishReadyToRun=false
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
source "$root/eng/need.sh"
[[ $# -ge 1 ]] || { echo "Usage: eng/publish.sh OUT" >&2; exit 2; }
mkdir -p "$1" && out=$(cd "$1" && pwd)
shift
[[ -z $(ls -A "$out") || -f $out/grants.dll ]] || { echo "$out holds something else. Name an empty folder." >&2; exit 2; }
need_dotnet
case $(uname -sm) in
    "Linux x86_64") here=linux-x64 ;;
    "Linux aarch64") here=linux-arm64 ;;
    "Darwin arm64") here=osx-arm64 ;;
    "Darwin x86_64") here=osx-x64 ;;
    *) here=${RUNTIME:?This machine is not known. Set RUNTIME to its name among the runtime identifiers of .NET} ;;
esac
runtime=${RUNTIME:-$here}
work=$(mktemp -d) server=
cleanup() {
    [[ -z $server ]] || { kill -TERM "$server" && wait "$server"; } 2>/dev/null || true
    # The database of the trial lies elsewhere when its user can't reach this folder.
    [[ ! -f $work/data/postgres-location ]] || rm -rf "$(cat "$work/data/postgres-location")"
    rm -rf "$work"
}
trap cleanup EXIT
export MSBUILDDISABLENODEREUSE=1 UseSharedCompilation=false # or the compiler's own servers stay behind
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }

echo "Writing the code of the endpoints…"
# Both builds have folders of their own: those of the checkout keep belonging to its Debug build.
quietly dotnet build "$root/src/Grants.Api" --configuration Release --artifacts-path "$work/writer" --nologo -v quiet "$@"
(cd "$work" && ASPNETCORE_ENVIRONMENT=Development quietly dotnet "$work/writer/bin/Grants.Api/release/grants.dll" codegen write)
echo "Publishing for $runtime…"
rm -rf "${out:?}"/*
quietly dotnet publish "$root/src/Grants.Api" --configuration Release --artifacts-path "$work/program" --output "$out" --nologo -v quiet \
    --runtime "$runtime" --no-self-contained -p:GeneratedCode="$work/Internal/Generated" -p:PublishReadyToRun=true "$@"
if compgen -G "$out/*CodeAnalysis*" >/dev/null || grep -q CodeAnalysis "$out/grants.deps.json"; then
    echo "A compiler came along." >&2
    exit 1
fi

place=${PG_BIN:-$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)}
if [[ $runtime != "$here" || ! -x $place/initdb ]] || ! command -v curl >/dev/null; then
    echo "Made $out. It was not tried out: that needs $here, PostgreSQL and curl."
    exit
fi
echo "Trying it out…"
mkdir "$work/data"
env -u ConnectionStrings__Grants ASPNETCORE_ENVIRONMENT=Development Grants__DataFolder="$work/data" Grants__Config="$root/samples/grants.json" \
    dotnet "$out/grants.dll" --urls http://127.0.0.1:0 >"$work/server.log" 2>&1 &
server=$!
failed() { { echo "$1"; cat "$work/server.log"; } >&2; exit 1; }
until address=$(grep -o 'http://127\.0\.0\.1:[0-9]*' "$work/server.log"); do
    kill -0 "$server" 2>/dev/null || failed "The server did not start."
    sleep 0.2
done
ask() { curl --silent --show-error --fail --header "Host: localhost" "$@"; }
[[ $(ask "$address/healthz") == ok ]] || failed "/healthz does not answer."
ask --user "night-report:$(cat "$work/data/clients/night-report.secret")" --data grant_type=client_credentials "$address/token" | grep -q '"access_token"' || failed "/token gives no token."
ask "$address/signin" | grep -q '<form' || failed "The sign-in page does not come."
! grep -q CodeAnalysis "/proc/$server/maps" 2>/dev/null || failed "A compiler was loaded."
echo "Made $out. It answers: health, token and sign-in page."
