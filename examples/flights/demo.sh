#!/usr/bin/env bash
# The whole loop on a year of New York departures, told by public commands and real HTTP requests.
# Leaves `slipway up` running and prints its address. Everything it writes stands in
# examples/flights/.demo, which the next demo replaces.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
export PATH="$root/bin:$PATH" SLIPWAY_WORKSPACE="$PWD/.demo/workspace" OMP_WAIT_POLICY=passive
json=${PY:-python3} # reads answers of commands; everything else runs in the project's environment
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

bold "0  The server, the Python environment of the steps, and the feed as it would come from outside"
if [ -f .demo/up.pid ]; then kill "$(cat .demo/up.pid)" 2>/dev/null || true; fi
rm -rf .demo && mkdir -p .demo
slipway up --replay >"$log" 2>&1 &
echo $! >.demo/up.pid
for _ in $(seq 100); do slipway config show >/dev/null && grep -q interface "$log" && break; sleep 0.1; done
grep -q interface "$log" || { cat "$log" >&2; exit 1; }
python="slipway exec python"
[ -f data/flights/2013-12.csv ] || $python fetch.py
$python fetch.py --fault broken-batch --months 6 --out .demo/broken >/dev/null
$python fetch.py --fault stuck-weather --months 9 --out .demo/stuck >/dev/null
$python features.py data/flights --from 2013-03-31 --out .demo/requests.parquet
$python features.py .demo/stuck --from 2013-09-09 --to 2013-10-01 --out .demo/stuck.parquet

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

bold "5  May and June: monthly data, retraining by schedule, gates against the champion, shadow, canary"
month() { # MONTH NEXT: its requests, then its data
  replay "2013-$1-01" "$2"
  run slipway data add flights --append "data/flights/2013-$1.csv" --quiet
}
month 05 2013-06-01
replay 2013-06-01 2013-07-01
say "June's batch comes broken: kilometres, nulls, an unknown carrier"
refused slipway data add flights --append .demo/broken/2013-06.csv
run slipway data quarantine
say "the good one follows; until then the last good version stayed the newest"
run slipway data add flights --append data/flights/2013-06.csv --quiet

bold "6  From 10 September the weather feed repeats its last value"
month 07 2013-08-01
month 08 2013-09-01
replay 2013-09-01 2013-09-10
say "no alarm so far:"
run slipway alerts
replay 2013-09-10 2013-10-01 .demo/stuck.parquet
say "and now:"
run slipway alerts
run slipway data add flights --append data/flights/2013-09.csv --quiet

bold "7  A challenger trained on the last 90 days, a swap of columns, a model that fails"
refused slipway run --quiet --latest --from 2013-07-03 --to 2013-10-01
run slipway gate show flight-delay
replay 2013-10-01 2013-10-28
say "two columns of an old version are swapped in the file that a gateway would load"
show() { slipway model show flight-delay@v1 --json | "$json" -c 'import json,sys; print(json.load(sys.stdin)["content"])'; }
file=$(ls "$SLIPWAY_WORKSPACE/model/$(show)"/model.txt)
cp "$file" .demo/v1.txt
sed 's/^\(feature_names=.*\)temp dewp/\1dewp temp/' .demo/v1.txt >.demo/swapped.txt
if cmp -s .demo/v1.txt .demo/swapped.txt; then echo "the columns were not swapped" >&2; exit 1; fi
rm -f "$file" && cp .demo/swapped.txt "$file"
first=$(slipway release ls --json | "$json" -c 'import json,sys; print([r["id"] for r in json.load(sys.stdin) if r["model"].endswith("@v1") and r["environment"] == "production"][-1])')
refused slipway rollback production --to "$first" --reason "try the first version again"
rm -f "$file" && cp .demo/v1.txt "$file"
say "a model that fails after its thousandth row, let through by a waiver"
mkdir -p .demo/flaky
$python - <<'PY'
import cloudpickle


class Flaky:
    """Answers a thousand rows, then fails."""

    seen = 0

    def predict(self, frame):
        self.seen += len(frame)
        if self.seen > 1000:
            raise RuntimeError("the feature store is away")
        return frame["hour"].to_numpy() / 24


with open(".demo/flaky/model.pkl", "wb") as f:
    cloudpickle.dump(Flaky(), f)
PY
run slipway model register .demo/flaky/model.pkl flight-delay
run slipway wait
newest=$(slipway model ls --json | "$json" -c 'import json,sys; m=json.load(sys.stdin)[0]; v=m["version"][0]; print(v["name"] + "@v" + str(v["version"]))')
run slipway gate waive "$newest" --reason "to see what the breaker does"
run slipway deploy "$newest"
replay 2013-10-28 2013-11-01
run slipway release ls --environment production
run slipway data add flights --append data/flights/2013-10.csv --quiet
month 11 2013-12-01
month 12 2014-01-01
run slipway release history

bold "8  Which retraining policy would have been right?"
run slipway backtest --from 2013-04-01 --to 2014-01-01 --last 90d --param prepare.test_days=31 --metric log_loss

bold "9  Month by month: with the loop, and had version 1 stayed"
run slipway monitor compare --with flight-delay@v1 --by month --metric roc_auc --metric log_loss
id=$($python - <<'PY'
import pandas as pd, slipway

row = pd.read_parquet(".demo/requests.parquet").drop(columns=["delayed", "weather_at"]).iloc[[-1]]
row["departed_at"] = row["departed_at"].astype(str).str.replace(" ", "T")
print(slipway.predict("flight-delay", row).id)
PY
)
replay 2014-01-01 2014-01-01T06:00:00Z >/dev/null
say "where one answer came from"
run slipway trace "$id"
run slipway audit verify

bold "The server goes on: $(sed -n 's/^interface *//p' "$log")"
say "end it with: kill $(cat .demo/up.pid)"
