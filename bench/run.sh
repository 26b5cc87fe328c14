#!/usr/bin/env bash
# Benchmarks, side by side with the peers that are installed (bench/peers.sh).
#
#   bench/run.sh                    every topic
#   bench/run.sh start serving      these topics: start pipeline serving explain tracking data rows
#   bench/run.sh serving -rounds 1  with options, for one topic
#
# Each prints medians with the smallest and the largest value, and how many times
# slipway's median a peer's is. docs/benchmarks.md says how to read them.
set -euo pipefail
cd "$(dirname "$0")/.."

topics=()
while [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; do
	topics+=("$1")
	shift
done
if [ ${#topics[@]} -eq 0 ]; then
	topics=(start pipeline explain serving tracking data rows)
fi
for topic in "${topics[@]}"; do
	if [ ! -f "bench/$topic/main.go" ]; then
		echo "bench/run.sh: there is no topic $topic" >&2
		exit 2
	fi
done
if [ ! -x bin/slipway ]; then
	echo "bench/run.sh: bin/slipway is missing; run make build" >&2
	exit 2
fi
go run ./bench/machine
for topic in "${topics[@]}"; do
	go run "./bench/$topic" "$@"
done
