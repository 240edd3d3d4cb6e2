#!/usr/bin/env bash
# Installs what building, testing and running Framegrid needs. Safe to run again: quick when nothing is missing.
# usage: tools/setup.sh [--train]     --train adds what re-training the bundled models needs (PyTorch, CPU)
set -euo pipefail

build=(g++-14 cmake ninja-build ccache mold pkg-config make git
  libboost1.88-dev libboost-json1.88-dev libnghttp2-dev protobuf-compiler libprotobuf-dev libssl-dev libsecp256k1-dev
  libsqlite3-dev libsqlitecpp-dev libyaml-cpp-dev libonnxruntime-dev libavcodec-dev libavformat-dev libavfilter-dev libavutil-dev libswscale-dev
  libswresample-dev libspdlog-dev libfmt-dev libcli11-dev libtomlplusplus-dev libgtest-dev libgmock-dev libbenchmark-dev
  libutf8proc-dev libpq-dev)
check=(postgresql-17 clang-19 clang-format-19 clang-tidy-19 libclang-rt-19-dev python3 curl nghttp2-client ffmpeg openssl procps libfaketime)
train=(python3-torch python3-numpy python3-onnx libopenblas0-pthread)

packages=("${build[@]}" "${check[@]}")
[[ "${1:-}" == "--train" ]] && packages+=("${train[@]}")

say() { printf 'setup: %s\n' "$*" >&2; }

. /etc/os-release 2>/dev/null || true
if [[ "${ID:-}" != debian || ! "${VERSION_ID:-}" =~ ^(12|13)$ ]]; then
  cat >&2 <<MSG
setup: this script knows Debian 12 and 13, and this is ${PRETTY_NAME:-an unknown system}.
Install these by hand (Debian 13's names), then run './run build':
  ${packages[*]}
Needed versions: GCC 14, CMake 3.25, Boost 1.88, FFmpeg 7.1, ONNX Runtime 1.21, OpenSSL 3.5, nghttp2 1.64, protobuf 3.21, PostgreSQL 14 (libpq; a server for tests), Node.js 18 (tests).
MSG
  exit 1
fi

missing=()
for p in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status} ${Version}' "$p" 2>/dev/null || true)
  [[ "$status" == installed* ]] || { missing+=("$p"); continue; }
  # Debian 12 has older releases under the same names; those do not count.
  case "$p" in
    libavcodec-dev) dpkg --compare-versions "${status#* }" ge 7:7.1 || missing+=("$p") ;;
    libssl-dev) dpkg --compare-versions "${status#* }" ge 3.5 || missing+=("$p") ;;
    ffmpeg) dpkg --compare-versions "${status#* }" ge 7:7.1 || missing+=("$p") ;;
    libnghttp2-dev) dpkg --compare-versions "${status#* }" ge 1.64 || missing+=("$p") ;;
    libavformat-dev|libavfilter-dev|libavutil-dev|libswscale-dev|libswresample-dev)
      dpkg --compare-versions "${status#* }" ge 7:7.1 || missing+=("$p") ;;
  esac
done
command -v npm >/dev/null || missing+=(nodejs npm)
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)

if [[ ${#missing[@]} -eq 0 ]]; then
  say "nothing is missing"
  exit 0
fi

sudo=()
if [[ $EUID -ne 0 ]]; then
  command -v sudo >/dev/null || { say "not root, and no sudo: run './run setup' as root once"; exit 1; }
  sudo=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0)

from=()
# The first run may have replaced base-files: a Debian 12 with our suite calls itself 13 afterwards.
if [[ "$VERSION_ID" == 12 || -e /etc/apt/sources.list.d/framegrid-trixie.list ]]; then
  from=(-t trixie)
  if [[ ! -e /etc/apt/sources.list.d/framegrid-trixie.list ]]; then
    # The mirror this machine already uses for Debian itself, in either file format.
    mirror=$( { sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true
                sed -nE 's/^deb +(\[[^]]*\] +)?([^ ]+) +bookworm +.*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true
              } | grep -v security | head -n1 || true)
    [[ -n "$mirror" ]] || { say "no Debian mirror found in /etc/apt: add one for bookworm first"; exit 1; }
    say "adding the trixie suite of $mirror at pin priority 100"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s trixie main\n' "$mirror" |
      "${sudo[@]}" tee /etc/apt/sources.list.d/framegrid-trixie.list >/dev/null
    printf 'Package: *\nPin: release n=trixie\nPin-Priority: 100\n' |
      "${sudo[@]}" tee /etc/apt/preferences.d/framegrid-trixie >/dev/null
  fi
fi

# Tests start servers of their own: the package shall not.
if [[ " ${missing[*]} " == *" postgresql-17 "* ]]; then
  "${sudo[@]}" mkdir -p /etc/postgresql-common/createcluster.d
  echo 'create_main_cluster = false' |
    "${sudo[@]}" tee /etc/postgresql-common/createcluster.d/framegrid.conf >/dev/null
fi

say "installing ${missing[*]}"
"${apt[@]}" update
"${apt[@]}" install --no-install-recommends "${from[@]}" "${missing[@]}"
say "done"
