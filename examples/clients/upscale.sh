#!/usr/bin/env bash
# Uploads a picture, enlarges it, and fetches the result, with curl.
#   FRAMEGRID_URL=http://127.0.0.1:9935 FRAMEGRID_API_KEY=... upscale.sh photo.png larger.png
set -euo pipefail
base=${FRAMEGRID_URL:-http://127.0.0.1:9935}
api() { curl -sS --fail-with-body -H "Authorization: Bearer ${FRAMEGRID_API_KEY:-none}" "$@"; }
# One text field of the JSON on standard input.
field() { python3 -c 'import json, sys; exec("v = json.load(sys.stdin)" + sys.argv[1]); print(v)' "$1"; }

file=$(api "$base/v1/artifacts?name=$(basename "$1")" --data-binary "@$1" | field '["id"]')
url=$(api "$base/v1/jobs" -H 'Prefer: wait=60' --json "{\"pipeline\": \"upscale\", \"inputs\": {\"image\": \"$file\"}}" |
  field '["outputs"][0]["url"]')
api "$url" -o "$2"
