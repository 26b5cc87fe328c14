#!/usr/bin/env bash
# Whether Slipway still speaks MLflow, in five parts: suites (MLflow's own tests of a server over
# HTTP), differential (the same requests to both servers), old (the first 2.x client), keras, curl. Runs
# all, or those that are named. Needs the network once, for packages and for MLflow's sources, which lie
# outside this checkout; MLFLOW_SOURCE names a folder that has them already, with tests/ in it.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
parts=${*:-suites differential old keras curl}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/slipway-conformance
export SLIPWAY_BIN=${SLIPWAY_BIN:-$root/bin/slipway}
export MLFLOW_DISABLE_TELEMETRY=true MLFLOW_HTTP_REQUEST_MAX_RETRIES=1 GIT_PYTHON_REFRESH=quiet PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH=$root/conformance/mlflow
[ -x "$SLIPWAY_BIN" ] || { echo "$SLIPWAY_BIN is not there: \`make build\` makes it" >&2; exit 1; }
mkdir -p "$cache"
work=$(mktemp -d "${TMPDIR:-/tmp}/sc.XXXXXX")
server=
finish() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null && wait "$server" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap finish EXIT
faults=()
want() { [[ " $parts " == *" $1 "* ]]; }
step() { printf '\n== %s\n' "$1"; }

# venv NAME PACKAGE…: makes a Python environment once and prints its interpreter.
venv() {
  local dir=$cache/$1
  shift
  if [ "$(cat "$dir/stamp" 2>/dev/null)" != "$*" ]; then
    "${PY:-python3}" -m venv --clear "$dir" >&2
    "$dir/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2 || return 1
    echo "$*" >"$dir/stamp"
  fi
  echo "$dir/bin/python"
}

# sources VERSION: prints a folder with MLflow's sources of a release, tests included, which neither
# the wheel nor the sdist has.
sources() {
  if [ -n "${MLFLOW_SOURCE:-}" ]; then
    echo "$MLFLOW_SOURCE"
    return
  fi
  local dir=$cache/mlflow-$1
  if [ ! -d "$dir/tests" ]; then
    rm -rf "$dir.part"
    git clone --quiet --depth 1 --branch "v$1" --filter=blob:none --sparse https://github.com/mlflow/mlflow "$dir.part" >&2
    git -C "$dir.part" sparse-checkout set mlflow tests >&2
    mv "$dir.part" "$dir"
  fi
  echo "$dir"
}

# up: starts a server on an empty workspace and sets url.
up() {
  HOME=$work SLIPWAY_WORKSPACE=$work/ws "$SLIPWAY_BIN" up --listen 127.0.0.1:0 --inference 127.0.0.1:0 --grpc off >"$work/log" 2>&1 &
  server=$!
  until url=$(grep -o 'set_tracking_uri("[^"]*' "$work/log" | cut -d'"' -f2) && [ -n "$url" ]; do
    kill -0 "$server" || { cat "$work/log" >&2; return 1; }
    sleep 0.1
  done
}

python=${SLIPWAY_TEST_PYTHON:-$(venv client mlflow pytest)}
version=$("$python" -c 'import mlflow; print(mlflow.__version__)')

if want suites; then
  source=$(sources "$version")
  step "MLflow's suites, from $source"
  (cd "$source" && "$python" -m pytest -p repoint -p no:cacheprovider -q --tb=short -rfEX \
    tests/tracking/test_rest_tracking.py tests/tracking/test_model_registry.py tests/tracking/test_mlflow_artifacts.py) || faults+=(suites)
fi
if want differential; then
  step "the same requests to MLflow $version and to Slipway"
  "$python" conformance/mlflow/differential.py || faults+=(differential)
fi
if want old || want keras || want curl; then up; fi
if want old; then
  step "the first client of MLflow 2"
  # Its packages have wheels up to Python 3.11.
  if old=$(venv old mlflow==2.0.1 'numpy<2' 'pandas<2' 'scikit-learn<1.3' 'setuptools<70'); then
    MLFLOW_TRACKING_URI=$url "$old" conformance/mlflow/old_client.py 2>"$work/old" || { cat "$work/old"; faults+=(old); }
  else
    echo "skipped: mlflow 2.0.1 does not install here"
  fi
fi
if want keras; then
  step "Keras's autolog"
  keras=$(venv keras mlflow keras jax)
  MLFLOW_TRACKING_URI=$url "$keras" conformance/mlflow/keras_client.py 2>"$work/keras" || { cat "$work/keras"; faults+=(keras); }
fi
if want curl; then
  step "curl"
  conformance/mlflow/curl.sh "$url" || faults+=(curl)
fi
if [ ${#faults[@]} -gt 0 ]; then
  printf 'FAIL %s\n' "${faults[@]}"
  exit 1
fi
