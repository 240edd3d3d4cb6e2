#!/usr/bin/env bash
# Our gRPC against stock grpc-js, both ways, over TLS and in clear text.
#   run.sh <wire_peer> <work folder>      status 77: node, npm or the registry is missing
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
peer=$1
work=$2
proto=$here/../../../framegrid/wire/livepeer.proto

command -v node >/dev/null && command -v npm >/dev/null || { echo "skipped: no node or npm"; exit 77; }
mkdir -p "$work"
cp "$here"/package.json "$here"/*.mjs "$work"
cd "$work"
if [ ! -d node_modules/@grpc/grpc-js ]; then
  npm install --no-audit --no-fund --no-package-lock --loglevel=error || { echo "skipped: npm install failed"; exit 77; }
fi
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem \
  -subj /CN=localhost -days 2 2>/dev/null

# Starts a server whose life hangs on our end of its standard input, and waits for its URI.
uri=""
start() {
  coproc SERVER { "$@" 2>server.log; }
  read -r -t 20 _ uri <&"${SERVER[0]}" || { echo "the server did not start"; cat server.log; exit 1; }
}
stop() {
  local pid=$SERVER_PID
  exec {SERVER[1]}>&-
  wait "$pid" || true
}

status=0
for mode in "" --clear; do
  echo "== grpc-js client, our server ${mode:-over TLS}"
  start "$peer" serve $mode
  node client.mjs "$proto" "$uri" || status=1
  stop
done
for files in "" "key.pem cert.pem"; do
  echo "== our client, grpc-js server ${files:+over TLS}"
  # shellcheck disable=SC2086
  start node server.mjs "$proto" $files
  "$peer" call "$uri" || status=1
  stop
done
exit $status
