#!/usr/bin/env bash
# Talks to http_echo_server with curl, nghttp and h2load: both protocol versions, TLS and clear text.
# usage: run.sh <http_echo_server>      exit status 0 only if every check passed
set -u
server=${1:?usage: run.sh <http_echo_server>}
for tool in curl nghttp h2load sha256sum; do
    command -v "$tool" >/dev/null || { echo "missing: $tool (apt install curl nghttp2-client)"; exit 1; }
done

dir=$(mktemp -d)
pids=()
failed=0
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
    rm -rf "$dir"
}
trap cleanup EXIT

start() { # start <tls> <name> [upstream]: sets port
    "$server" "$1" 0 "${3:-}" >"$dir/$2.out" 2>"$dir/$2.err" &
    pids+=($!)
    for _ in $(seq 100); do [ -s "$dir/$2.out" ] && break; sleep 0.05; done
    port=$(head -1 "$dir/$2.out")
    [ -n "$port" ] || { echo "the $2 server did not start"; cat "$dir/$2.err"; exit 1; }
}
check() { # check <what> <expected> <got>
    if [ "$2" = "$3" ]; then
        echo "ok    $1"
    else
        echo "FAIL  $1: expected '$2', got '$3'"
        failed=1
    fi
}

start 1 tls; tls=https://127.0.0.1:$port
start 0 clear; clear=http://127.0.0.1:$port
start 0 gateway "$tls/hello"; gateway=http://127.0.0.1:$port

head -c 50000000 /dev/urandom >"$dir/big"
head -c 1000000 "$dir/big" >"$dir/one"
truncate -s 700000000 "$dir/huge"
big=$(sha256sum <"$dir/big")
get="curl -sS -k --max-time 60"

for mode in "tls --http1.1 1.1" "tls --http2 2" "clear --http1.1 1.1" "clear --http2-prior-knowledge 2"; do
    read -r name flag version <<<"$mode"
    base=${!name}
    title="curl $flag $name"
    check "$title version" "$version 200" "$($get $flag -o /dev/null -w '%{http_version} %{http_code}' "$base/hello")"
    check "$title hello" hello "$($get $flag "$base/hello")"
    check "$title HEAD" 200 "$($get $flag -I -o /dev/null -w '%{http_code}' "$base/hello")"
    check "$title 404" 404 "$($get $flag -o /dev/null -w '%{http_code}' "$base/nothing")"
    check "$title upload 50 MB" 50000000 "$($get $flag --data-binary @"$dir/big" "$base/size")"
    check "$title echo 50 MB" "$big" "$($get $flag --data-binary @"$dir/big" "$base/echo" | sha256sum)"
    check "$title chunked echo 50 MB" "$big" "$($get $flag -X POST -T - "$base/echo" <"$dir/big" | sha256sum)"
    check "$title download 200 MB" 200000000 "$($get $flag "$base/bytes?200000000" | wc -c)"
    check "$title body over the limit" 413 \
        "$($get $flag -o /dev/null -w '%{http_code}' -X POST -T "$dir/huge" "$base/size")"
    # curl 7.88 itself cannot reuse a prior-knowledge connection (curl issue 10634): it fails without sending.
    [ "$flag" = --http2-prior-knowledge ] ||
        check "$title 100 requests, one connection" "100 1" "$($get $flag -w '%{http_code} %{num_connects}\n' \
            -o /dev/null "$base/hello?[1-100]" | awk '$1 == 200 {n++} {c+=$2} END {print n, c}')"
    check "$title large header" 431 \
        "$($get $flag -o /dev/null -w '%{http_code}' -H "X-Large: $(head -c 40000 /dev/zero | tr '\0' x)" "$base/hello")"
done

check "nghttp tls" hello "$(nghttp "$tls/hello" 2>/dev/null)"
check "nghttp clear" hello "$(nghttp "$clear/hello" 2>/dev/null)"
check "nghttp upload" "$big" "$(nghttp -d "$dir/big" -H ':method: POST' "$tls/echo" 2>/dev/null | sha256sum)"
check "nghttp 50 streams" 50 "$(nghttp -n -s -m 50 "$tls/hello" 2>/dev/null | grep -c ' 200 ')"
check "openssl TLS 1.2" yes "$(openssl s_client -tls1_2 -alpn h2 -connect "${tls#https://}" </dev/null 2>/dev/null \
    | grep -q 'ALPN protocol: h2' && echo yes)"
check "openssl TLS 1.1 refused" yes "$(openssl s_client -tls1_1 -cipher 'ALL:@SECLEVEL=0' -connect "${tls#https://}" </dev/null 2>&1 \
    | grep -q 'ALPN protocol: h2' || echo yes)"

load() { # load <title> <requests> <h2load arguments>
    local title=$1 n=$2
    shift 2
    local out
    out=$(h2load -n "$n" "$@" 2>&1)
    check "$title" "$n" "$(sed -n 's/^status codes: \([0-9]*\) 2xx.*/\1/p' <<<"$out")"
    echo "      $(grep '^finished in' <<<"$out")"
}
load "h2load TLS HTTP/2" 20000 -c 4 -m 50 "$tls/hello"
load "h2load clear HTTP/2" 20000 -c 4 -m 50 "$clear/hello"
load "h2load TLS HTTP/1.1" 20000 -c 32 --h1 "$tls/hello"
load "h2load clear HTTP/1.1" 20000 -c 32 --h1 "$clear/hello"
load "h2load two hops, 100 concurrent (clear, then TLS HTTP/2)" 20000 -c 2 -m 50 "$gateway/proxy"
load "h2load two hops, HTTP/1.1 first" 20000 -c 100 --h1 "$gateway/proxy"
load "h2load POST 1 MB" 200 -c 4 -m 4 -d "$dir/one" "$tls/size"
load "h2load 1 MB answers" 500 -c 4 -m 8 "$tls/bytes?1000000"

# The gateway first: its connection to the TLS server is not to be the server's to close.
for name in gateway tls clear; do
    case $name in tls) pid=${pids[0]} ;; clear) pid=${pids[1]} ;; gateway) pid=${pids[2]} ;; esac
    kill "$pid"; wait "$pid"
    check "$name server ends cleanly" 0 $?
    check "$name server has nothing open" "open 0 streams 0" "$(tail -1 "$dir/$name.out" | grep -o 'open 0 streams 0')"
done
[ "$failed" = 0 ] && echo "all checks passed"
exit "$failed"
