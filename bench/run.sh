#!/usr/bin/env bash
# Runs the benchmarks, or the ones named: selection tickets receipts startup overhead payments memory first_byte throughput chaos sim
#   model_cycles listeners overload worker_overhead swap large_file generation (which is skipped without FRAMEGRID_REFERENCE_PYTHON, see bench/generation.py)
set -uo pipefail
cd "$(dirname "$0")/.."
export FRAMEGRID="${FRAMEGRID:-$PWD/build/release/framegrid}"
names=("$@")
[[ ${#names[@]} -gt 0 ]] || names=(selection tickets receipts startup overhead payments memory first_byte throughput chaos sim model_cycles listeners overload worker_overhead swap large_file)
failed=0
for name in "${names[@]}"; do
  case "$name" in
    selection)
      line=$(build/release/bench/selection_bench) && echo "{\"bench\":\"selection\",${line#\{}" &&
        python3 -c 'import json,sys; sys.exit(json.loads(sys.argv[1])["p99_us"] > 100)' "$line" ;;
    tickets)
      line=$(build/release/bench/ticket_crediting) && echo "{\"bench\":\"tickets\",${line#\{}" &&
        python3 -c 'import json,sys; sys.exit(json.loads(sys.argv[1])["ratio"] < 0.9)' "$line" ;;
    receipts)
      line=$(build/release/bench/receipts) && echo "{\"bench\":\"receipts\",${line#\{}" &&
        python3 -c 'import json,sys; sys.exit(json.loads(sys.argv[1])["cpu_seconds"] > 10)' "$line" ;;
    model_cycles) build/release/bench/model_cycles models ;;
    worker_overhead) build/release/bench/worker_overhead "$FRAMEGRID" models ;;
    swap) build/release/bench/swap ;;
    sim) build/release/sim/framegrid-sim --seed 1 --nodes 1000 --jobs 100000 --json ;;
    *) python3 "bench/$name.py" ;;
  esac || { failed=1; echo "bench: $name missed its bar" >&2; }
done
exit $failed
