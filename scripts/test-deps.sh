#!/usr/bin/env bash
# Installs what tests use from the system: a Postgres server and Chromium.
set -euo pipefail
sudo=""
if [ "$(id -u)" != 0 ]; then sudo=sudo; fi
want=()
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || want+=(postgresql)
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || want+=(chromium)
command -v python3 >/dev/null || want+=(python3 python3-venv)
if [ ${#want[@]} -eq 0 ]; then
  echo "everything is here"
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "install these with your system's package manager: ${want[*]}" >&2
  exit 1
fi
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "${want[@]}"
