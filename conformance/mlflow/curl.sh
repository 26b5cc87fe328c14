#!/usr/bin/env bash
# The REST API by hand: curl.sh http://127.0.0.1:7070
set -euo pipefail
api=$1/api/2.0/mlflow
say() { curl --silent --show-error --fail-with-body "$@"; }
# field NAME: the first string of that name in an answer.
field() { sed -E "s/.*\"$1\":\"([^\"]*)\".*/\1/"; }
is() { [ "$2" == "$3" ] || { echo "$1: got $2, want $3" >&2; exit 1; }; }

experiment=$(say "$api/experiments/create" -d "{\"name\":\"by curl $$\"}" | field experiment_id)
run=$(say "$api/runs/create" -d "{\"experiment_id\":\"$experiment\",\"start_time\":1}" | field run_id)
for step in 1 2 3; do
  say "$api/runs/log-metric" -d "{\"run_id\":\"$run\",\"key\":\"loss\",\"value\":0.$step,\"timestamp\":$step,\"step\":$step}" >/dev/null
done
say "$api/runs/log-parameter" -d "{\"run_id\":\"$run\",\"key\":\"p\",\"value\":\"1\"}" >/dev/null
is "search" "$(say "$api/runs/search" -d "{\"experiment_ids\":[\"$experiment\"],\"filter\":\"metrics.loss > 0.2 AND params.p = '1'\"}" | field run_id)" "$run"
is "history" "$(say "$api/metrics/get-history?run_id=$run&metric_key=loss" | grep -o '"key"' | wc -l | tr -d ' ')" 3
file=$1/api/2.0/mlflow-artifacts/artifacts/$experiment/$run/artifacts/dir/a.txt
printf 'hello, curl' | say -T - "$file" >/dev/null
is "part of a file" "$(say -r 7-10 "$file")" curl
is "list" "$(say "$api/artifacts/list?run_id=$run&path=dir" | field path)" dir/a.txt
is "no such run" "$(curl -s -o /dev/null -w '%{http_code}' "$api/runs/get?run_id=none")" 404
is "bad filter" "$(curl -s "$api/runs/search" -d "{\"experiment_ids\":[\"$experiment\"],\"filter\":\"auc >\"}" | field error_code)" INVALID_PARAMETER_VALUE
echo "everything works with curl"
