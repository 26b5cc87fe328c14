#!/usr/bin/env bash
# The whole loop on a year of New York departures, told by public commands and real HTTP requests.
# Leaves `slipway up` running and prints its address. Everything it writes stands in
# examples/flights/.demo, which the next demo replaces.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
export PATH="$root/bin:$PATH" SLIPWAY_WORKSPACE="$PWD/.demo/workspace" OMP_WAIT_POLICY=passive
py=${PY:-python3}
log=$PWD/.demo/up.log
inference=${SLIPWAY_INFERENCE:-127.0.0.1:7071}

bold() { printf '\n\033[1m%s\033[0m\n' "$1"; }
say() { printf '   %s\n' "$1"; }
run() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }
# refused COMMAND...: succeeds when the command says no (exit status 3), and only then.
refused() {
  printf '\033[2m$ %s\033[0m\n' "$*"
  local code=0
  "$@" || code=$?
  if [ "$code" != 3 ]; then echo "expected exit status 3, got $code" >&2; exit 1; fi
  say "(exit status 3: a verdict, not a crash)"
}
replay() { # FROM TO [FILE]
  slipway replay "${3:-.demo/requests.parquet}" --endpoint flight-delay --time departed_at --key flight_id \
    --label delayed --label-delay 1d --from "$1" --to "$2"
}

bold "0  The Python environment, and the feed as it would come from outside"
if [ ! -x .venv/bin/python ] || ! cmp -s requirements.txt .venv/requirements.txt; then
  "$py" -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
  cp requirements.txt .venv/requirements.txt
fi
if [ -f .demo/up.pid ]; then kill "$(cat .demo/up.pid)" 2>/dev/null || true; fi
rm -rf .demo && mkdir -p .demo
export PYTHONPATH="$root/python/src"
[ -f data/flights/2013-12.csv ] || .venv/bin/python fetch.py
.venv/bin/python fetch.py --fault broken-batch --months 6 --out .demo/broken >/dev/null
.venv/bin/python fetch.py --fault stuck-weather --months 9 --out .demo/stuck >/dev/null
.venv/bin/python features.py data/flights --from 2013-03-31 --out .demo/requests.parquet
.venv/bin/python features.py .demo/stuck --from 2013-09-09 --to 2013-10-01 --out .demo/stuck.parquet

slipway up --replay >"$log" 2>&1 &
echo $! >.demo/up.pid
for _ in $(seq 100); do slipway config show >/dev/null && grep -q interface "$log" && break; sleep 0.1; done
grep -q interface "$log" || { cat "$log" >&2; exit 1; }

bold "1  January to March: versioned, profiled, checked against contracts/flights.yaml"
run slipway data add flights data/flights/2013-0[1-3].csv
run slipway data check flights

bold "2  prepare, train, evaluate"
run slipway run --quiet
say "again: nothing to do"
run slipway run --quiet
say "a changed param reruns only what depends on it"
run slipway run --quiet --dry-run --param train.leaves=15

bold "3  Gates, certificate, staging, golden rows, production"
run slipway wait
run slipway gate show flight-delay@v1
run slipway release ls

bold "4  April: real requests, labels a day later"
replay 2013-04-01 2013-05-01
run slipway data add flights --append data/flights/2013-04.csv --quiet

bold "5-7  May to December: monthly data, retraining, shadow, canary"
months=(05 06 07 08 09 10 11 12)
next=(06 07 08 09 10 11 12 01)
for i in "${!months[@]}"; do
  m=${months[$i]}; to=2013-${next[$i]}-01
  if [ "$m" = 12 ]; then to=2014-01-01; fi
  if [ "$m" = 09 ]; then
    replay 2013-09-01 2013-09-10
    say "from 10 September the weather feed repeats its last value"
    replay 2013-09-10 2013-10-01 .demo/stuck.parquet
    run slipway alerts
  else
    replay "2013-$m-01" "$to"
  fi
  if [ "$m" = 06 ]; then
    say "June's batch comes broken: kilometres, nulls, an unknown carrier"
    refused slipway data add flights --append .demo/broken/2013-06.csv
    say "the good one follows; the last good version stayed in force"
  fi
  run slipway data add flights --append "data/flights/2013-$m.csv" --quiet
done
run slipway release history
