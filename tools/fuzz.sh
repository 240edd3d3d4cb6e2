#!/usr/bin/env bash
# Builds the fuzz targets (Clang, ASan, UBSan) and runs each for some time, two at a time.
# usage: tools/fuzz.sh [SECONDS [TARGET ...]]      60 seconds and all targets by default
# Inputs that it finds worth keeping stay in build/fuzz/corpus; what crashed, in build/fuzz/findings.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
time_s=${1:-60}
[[ $# -eq 0 ]] || shift
[[ "$time_s" =~ ^[0-9]+$ ]] || { echo "usage: tools/fuzz.sh [SECONDS [TARGET ...]]" >&2; exit 2; }
export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
[[ -x /usr/lib/llvm-19/bin/llvm-symbolizer ]] && export ASAN_SYMBOLIZER_PATH=/usr/lib/llvm-19/bin/llvm-symbolizer

targets=("$@")
if [[ ${#targets[@]} -eq 0 ]]; then
  mapfile -t targets < <(cd tests/fuzz && ls -- *_fuzz.cpp | sed 's/\.cpp$//')
fi
mkdir -p build
cmake --preset fuzz >build/fuzz-configure.log || { cat build/fuzz-configure.log >&2; exit 1; }
cmake --build --preset fuzz ${FG_JOBS:+--parallel "$FG_JOBS"} --target "${targets[@]}" || exit 1

out=build/fuzz
mkdir -p "$out/findings" "$out/logs"

run_one() {
  local name=$1 corpus=$out/corpus/$1 seeds=tests/fuzz/seeds/$1 dict=tests/fuzz/$1.dict
  mkdir -p "$corpus"
  local inputs=("$corpus")
  [[ -d "$seeds" ]] && inputs+=("$seeds")
  local options=(-max_total_time="$time_s" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
    -artifact_prefix="$out/findings/$name-")
  [[ -f "$dict" ]] && options+=(-dict="$dict")
  "$out/tests/fuzz/$name" "${options[@]}" "${inputs[@]}" >"$out/logs/$name.log" 2>&1
  echo $? >"$out/logs/$name.status"
}
export -f run_one
export out time_s
printf '%s\n' "${targets[@]}" | xargs -P "${FG_JOBS:-2}" -I{} bash -c 'run_one {}'

failed=0
printf '%-28s %12s %9s %7s  %s\n' target executions per_s blocks result
for name in "${targets[@]}"; do
  log=$out/logs/$name.log
  status=$(cat "$out/logs/$name.status")
  result="no finding"
  if [[ "$status" != 0 ]]; then
    result="FAILED, see $log"
    failed=1
  fi
  printf '%-28s %12s %9s %7s  %s\n' "$name" \
    "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n1)" \
    "$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log" | tail -n1)" \
    "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n1)" "$result"
done
exit $failed
