#!/usr/bin/env bash
# Installs what the tests use from the system: a Postgres server and Chromium, and where they are
# missing Python's venv module and a C++ compiler.
set -euo pipefail
want=()
has() { command -v "$1" >/dev/null; }
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || { has pg_config && [ -x "$(pg_config --bindir)/initdb" ]; } || want+=(postgresql)
has chromium || has chromium-browser || has google-chrome || want+=(chromium)
has python3 && python3 -c 'import ensurepip' 2>/dev/null || want+=(python3 python3-venv)
has g++ || want+=(g++)
if [ ${#want[@]} -eq 0 ]; then
  echo "everything is here"
  exit 0
fi
if ! has apt-get; then
  echo "install these with your system's package manager: ${want[*]}" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(sudo); fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${want[@]}" </dev/null
