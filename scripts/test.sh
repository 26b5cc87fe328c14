#!/usr/bin/env bash
# Every test. Sets up what can live inside the checkout (.venv, .tools, web/node_modules) and
# changes nothing outside it. Postgres and Chromium are used where they are found.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
go=${GO:-go}
py=${PY:-python3}
# With SLIPWAY_TEST_STRICT=1 nothing may be skipped: a missing part is a failure.
strict=${SLIPWAY_TEST_STRICT:-}
failed=()

step() { printf '\n\033[1m== %s\033[0m\n' "$1"; }
skip() {
  echo "skipped: $1; \`make test-deps\` installs what it needs"
  if [ -n "$strict" ]; then failed+=("$1 was skipped"); fi
}
try() { local name=$1; shift; step "$name"; "$@" || failed+=("$name"); }

cleanup=()
trap 'for c in "${cleanup[@]}"; do eval "$c"; done' EXIT

step "python environment (.venv)"
if [ ! -x .venv/bin/python ] || ! cmp -s python/requirements-test.txt .venv/requirements-test.txt; then
  "$py" -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check -r python/requirements-test.txt
  cp python/requirements-test.txt .venv/requirements-test.txt
fi
export SLIPWAY_TEST_PYTHON=$root/.venv/bin/python

step "S3 server (.tools)"
if [ ! -x .tools/bin/versitygw ]; then
  GOBIN=$root/.tools/bin $go install github.com/versity/versitygw/cmd/versitygw@v1.8.0
fi
s3dir=$(mktemp -d)
mkdir -p "$s3dir/data/slipway-test"
s3port=$("$py" -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
ROOT_ACCESS_KEY=slipway ROOT_SECRET_KEY=slipway-secret .tools/bin/versitygw --port 127.0.0.1:"$s3port" --quiet posix "$s3dir/data" >"$s3dir/log" 2>&1 &
cleanup+=("kill $! 2>/dev/null; rm -rf '$s3dir'")
export SLIPWAY_TEST_S3="s3://slipway:slipway-secret@127.0.0.1:$s3port/slipway-test?tls=off"

step "Postgres"
if url=$(internal/kit/db/dbtest/postgres.sh start 2>/dev/null); then
  export SLIPWAY_TEST_POSTGRES=$url
  cleanup+=("internal/kit/db/dbtest/postgres.sh stop '$url' >/dev/null 2>&1")
  echo "on ${url#*@}"
else
  skip "tests on Postgres"
fi

try "go test -race" $go test -race -timeout 25m ./...
try "cross-compile" make --no-print-directory cross
try "python" .venv/bin/python -m pytest -q python/tests examples/flights

step "interface"
(cd web && npm ci --no-audit --no-fund --silent)
try "interface: types" npm --prefix web run --silent check
if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; then
  make --no-print-directory build
  try "interface: browser" npm --prefix web run --silent test:browser
else
  skip "browser tests"
fi

if [ ${#failed[@]} -gt 0 ]; then
  printf '\nfailed: %s\n' "${failed[@]}"
  exit 1
fi
printf '\nall tests passed\n'
