#!/usr/bin/env bash
# A PostgreSQL server for tests, in a temporary folder, on a Unix socket only.
# usage: tests/postgres.sh start PID    prints its folder; it ends with the process PID at the latest
#        tests/postgres.sh restart|stop FOLDER
# Connect to postgres://framegrid@/postgres?host=FOLDER. Exit status 77: PostgreSQL is not installed.
set -euo pipefail
cd /

bin=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n1)
[[ -n "$bin" ]] || { echo "PostgreSQL is not installed: run ./run setup" >&2; exit 77; }

# The server refuses to run as root.
as=()
if [[ $EUID -eq 0 ]]; then
  user=$(id -un postgres 2>/dev/null || echo nobody)
  as=(setpriv "--reuid=$(id -u "$user")" "--regid=$(id -g "$user")" --clear-groups env HOME=/tmp)
fi
control() { "${as[@]}" "$bin/pg_ctl" -D "$1/data" -l "$1/log" -w "${@:2}" >/dev/null; }

start() {
  folder=$(mktemp -d "${TMPDIR:-/tmp}/framegrid-pg-XXXXXX")
  chmod 755 "$folder"
  [[ $EUID -ne 0 ]] || chown "$(id -u "$user"):$(id -g "$user")" "$folder"
  "${as[@]}" "$bin/initdb" -D "$folder/data" -U framegrid -A trust -E UTF8 --locale=C --no-sync >"$folder.log" 2>&1 ||
    { cat "$folder.log" >&2; exit 1; }
  rm "$folder.log"
  # fsync off: nobody pulls the plug of a test.
  cat >>"$folder/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$folder'
fsync = off
shared_buffers = 32MB
max_connections = 60
CONF
  control "$folder" start || { cat "$folder/log" >&2; exit 1; }
  setsid bash -c 'while kill -0 "$1" 2>/dev/null && [[ -d "$2" ]]; do sleep 1; done; [[ ! -d "$2" ]] || "$3" stop "$2"' \
    watch "$1" "$folder" "$script" </dev/null >/dev/null 2>&1 &
  echo "$folder"
}

script=$(readlink -f "${BASH_SOURCE[0]}")
case "${1:-}" in
  start) start "$2" ;;
  restart) control "$2" restart -m immediate ;;
  stop)
    control "$2" stop -m immediate || true
    rm -rf "$2"
    ;;
  *) sed -n '2,5s/^# //p' "$script" >&2; exit 2 ;;
esac
