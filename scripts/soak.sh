#!/usr/bin/env bash
# Kills servers, commands and steps at random moments for some minutes, and
# checks after every death that nothing that was acknowledged is lost. Then, for as
# long, has a server answer requests of every kind, and checks that its memory stays.
#   scripts/soak.sh [MINUTES]       10 unless given; SLIPWAY_SEED=N repeats a sequence
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${1:-${MINUTES:-10}}
[[ $minutes =~ ^[0-9]+([.][0-9]+)?$ ]] || { echo "soak: \"$minutes\" is no number of minutes" >&2; exit 2; }
limit=$(awk "BEGIN { print int($minutes * 60) + 600 }")s
SLIPWAY_SOAK=$minutes "${GO:-go}" test ./internal/app -run '^TestKill$' -count 1 -v -timeout "$limit"
SLIPWAY_LOAD=$minutes exec "${GO:-go}" test ./internal/compat/inference -run '^TestSoak$' -count 1 -v -timeout "$limit"
