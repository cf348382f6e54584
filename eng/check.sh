#!/usr/bin/env bash
# Everything that a change must pass: format, a build without warnings, all tests.
set -euo pipefail
cd "$(dirname "$0")/.."
source eng/need.sh
need_dotnet
dotnet restore Grants.sln --nologo -v quiet
dotnet format Grants.sln --no-restore --verify-no-changes
dotnet build Grants.sln --no-restore --nologo -v quiet -warnaserror
eng/test.sh
