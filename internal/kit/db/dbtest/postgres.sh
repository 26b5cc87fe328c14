#!/bin/sh
# A throw-away Postgres for tests.
#
#   postgres.sh start DIR [PORT]   make a server in DIR and print its URL
#   postgres.sh stop DIR           stop it and remove DIR
#   postgres.sh run COMMAND …      run a command with SLIPWAY_TEST_POSTGRES set
#
# The server listens on 127.0.0.1 and trusts everyone there. It syncs to disk
# like a real one. Without PORT it takes a free one.
set -eu

bin=$(ls -d /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql@*/bin 2>/dev/null | sort -V | tail -1)
if [ -z "$bin" ]; then
	bin=$(pg_config --bindir) || { echo "postgres.sh: Postgres is not installed" >&2; exit 1; }
fi

# Postgres refuses to run as root.
as_user() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid postgres --regid postgres --clear-groups "$@"
	else
		"$@"
	fi
}

start() {
	dir=$1
	mkdir -p "$dir"
	[ "$(id -u)" != 0 ] || chown postgres "$dir"
	(cd "$dir" && as_user "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >"$dir/initdb.log" 2>&1) ||
		{ cat "$dir/initdb.log" >&2; exit 1; }
	port=${2:-$((20000 + $$ % 20000))}
	for try in 1 2 3 4 5 6 7 8 9 10; do
		options="-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$dir -c max_connections=200"
		if (cd "$dir" && as_user "$bin/pg_ctl" -D "$dir/data" -l "$dir/data/server.log" -o "$options" -w -t 30 start >/dev/null 2>&1); then
			echo "postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable"
			return
		fi
		[ -z "${2:-}" ] || break
		port=$((port + 97))
	done
	cat "$dir/data/server.log" >&2
	exit 1
}

stop() {
	(cd "$1" && as_user "$bin/pg_ctl" -D "$1/data" -m immediate stop >/dev/null)
	rm -rf "$1"
}

case "${1:-}" in
start) start "$2" "${3:-}" ;;
stop) stop "$2" ;;
run)
	shift
	dir=$(mktemp -d)
	chmod 755 "$dir"
	SLIPWAY_TEST_POSTGRES=$(start "$dir")
	export SLIPWAY_TEST_POSTGRES
	trap 'stop "$dir"' EXIT
	trap 'exit 130' INT TERM
	"$@"
	;;
*)
	sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
