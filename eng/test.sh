#!/usr/bin/env bash
# Installs what the tests need, builds once and runs them all. Arguments go to dotnet test.
set -euo pipefail
cd "$(dirname "$0")/.."
source eng/need.sh
need_dotnet
[[ -n ${GRANTS_TEST_POSTGRES:-} ]] || need_postgresql
need_chromium
need_node_clients tests/Grants.Api.Tests/Libraries/node
dotnet restore Grants.sln --nologo -v quiet
dotnet build Grants.sln --no-restore --nologo -v quiet
dotnet test --solution Grants.sln --no-build "$@"
