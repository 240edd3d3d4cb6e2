#!/usr/bin/env bash
# Format, house rules and clang-tidy.
# usage: tools/lint.sh [--all | --quick | --tidy-only | --fix-format] [FILE.cpp ...]
#   no option: clang-tidy on what differs from the last landed commit; --all: on every file; --quick: no clang-tidy;
#   --tidy-only: nothing else; --fix-format: only format, in place; FILE.cpp ...: clang-tidy on these.
# Tests are left to the compilers' warnings and the sanitizers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mode=changed
case "${1:-}" in
  --all | --quick | --tidy-only | --fix-format) mode=${1#--}; shift ;;
  -*) echo "lint: unknown option $1" >&2; exit 2 ;;
esac
[[ $# -eq 0 ]] || mode=named
jobs=${FG_JOBS:-$(nproc)}

# Files that exist, tracked or new.
ours() {
  git ls-files --cached --others --exclude-standard -- "$@" | sort -u | while read -r f; do
    [[ -f "$f" ]] && printf '%s\n' "$f"
  done
}

mapfile -t sources < <(ours '*.cpp' '*.hpp')
if [[ "$mode" == fix-format ]]; then
  printf '%s\0' "${sources[@]}" | xargs -0 -n 40 -P "$jobs" clang-format-19 -i
  exit 0
fi

failed=0
if [[ "$mode" == tidy-only ]]; then
  mode=changed
else
  printf '%s\0' "${sources[@]}" | xargs -0 -n 40 -P "$jobs" clang-format-19 --dry-run -Werror || failed=1
  [[ $failed -eq 0 ]] || echo "lint: run ./run fmt" >&2
  echo "lint: format of ${#sources[@]} files checked"
  python3 tools/tidy.py || failed=1
fi

# The commit to compare with: where this branch left the main line, or the commit before this one on the main line.
landed() {
  local base ref
  for ref in origin/main main; do
    base=$(git merge-base HEAD "$ref" 2>/dev/null) || continue
    [[ "$base" == "$(git rev-parse HEAD)" ]] || { echo "$base"; return; }
  done
  git rev-parse --verify --quiet HEAD~1 || true
}

# The .cpp files to look at for the changed files named on standard input: headers are checked through a .cpp that
# includes them.
units_for() {
  local f
  while read -r f; do
    case "$f" in
      *.cpp) [[ -f "$f" ]] && echo "$f" ;;
      *.hpp)
        if [[ -f "${f%.hpp}.cpp" ]]; then
          echo "${f%.hpp}.cpp"
        else
          git grep -l --untracked "include <$f>" -- '*.cpp' | head -n1 || true
        fi
        ;;
    esac
  done | sort -u
}

case "$mode" in
  quick) exit $failed ;;
  all) mapfile -t units < <(ours '*.cpp') ;;
  named) units=("$@") ;;
  changed)
    base=$(landed)
    if [[ -n "$base" ]]; then
      mapfile -t units < <({ git diff --name-only "$base"; git ls-files --others --exclude-standard; } | units_for)
    else
      mapfile -t units < <(ours '*.cpp')
    fi
    ;;
esac

# A Clang build's command lines, without the precompiled header; of the build itself only generated headers are made.
export CCACHE_DISABLE=1
mkdir -p build
tidy=build/tidy
if ! cmake -S . -B "$tidy" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER=clang++-19 \
  -DCMAKE_C_COMPILER=clang-19 -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON -DFG_BENCH=ON >build/tidy.log 2>&1; then
  cat build/tidy.log >&2
  exit 1
fi
mapfile -t generated < <(ninja -C "$tidy" -t targets all | sed -n 's/^\(.*\.pb\.h\): .*/\1/p')
[[ ${#generated[@]} -eq 0 ]] || ninja -C "$tidy" -j "$jobs" "${generated[@]}" >build/tidy.log || { cat build/tidy.log; exit 1; }

# Only files that a target of this configuration compiles.
mapfile -t units < <(printf '%s\n' "${units[@]}" | python3 -c '
import json, os, re, sys
known = {os.path.relpath(c["file"]) for c in json.load(open(sys.argv[1]))}
test = re.compile(r"^(tests|bench)/|_(test|bench|fuzz)(_\w+)?\.cpp$|\.pb\.cc$|^cmake/")
print("\n".join(u for u in sys.stdin.read().split() if u in known and not test.search(u)))' "$tidy/compile_commands.json" | sed '/^$/d')
# Longest first, so that no core waits for a large file at the end.
limit=${FG_TIDY_MAX:-0}
if [[ $limit -gt 0 && ${#units[@]} -gt $limit ]]; then
  echo "lint: clang-tidy on $limit of ${#units[@]} changed files (FG_TIDY_MAX); ./run lint --all checks the rest"
  mapfile -t units < <(printf '%s\n' "${units[@]}" | awk -v n="${#units[@]}" -v m="$limit" 'int(NR*m/n) > int((NR-1)*m/n)')
fi
if [[ ${#units[@]} -gt 0 ]]; then
  mapfile -t units < <(wc -l "${units[@]}" | sort -rn | awk '$2 != "total" {print $2}')
  echo "lint: clang-tidy on ${#units[@]} files"
  if ! printf '%s\0' "${units[@]}" |
    xargs -0 -n 1 -P "$jobs" clang-tidy-19 --quiet -p "$tidy" --config-file=.clang-tidy 2>/dev/null; then
    failed=1
  fi
fi
[[ $failed -eq 0 ]] && echo "lint: no findings" || echo "lint: there are findings" >&2
exit $failed
