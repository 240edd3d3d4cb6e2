#!/bin/bash
# What only a machine with an NVIDIA GPU can show. Prints tables; exits with 1 if something is wrong.
#   FRAMEGRID_ONNXRUNTIME=/path/to/gpu/libonnxruntime.so LD_LIBRARY_PATH=/cuda/lib tests/gpu/check.sh BUILD MEDIA [PART...]
# BUILD: a release build. MEDIA: a folder of clips to transcode (h264.mp4, hevc.mp4, vp9.webm, av1.mp4
# ...) and clip360.mp4 to enlarge. PART: sandbox same_results models fallbacks network decoding; none: all.
# GPUs made for computing have no video encoder: there the clips are decoded on the GPU and encoded beside it.
set -u
build=$(realpath "$1")
media=$(realpath "$2")
root=$(realpath "$(dirname "$0")/../..")
fg=$build/framegrid
export FRAMEGRID_MODELS=${FRAMEGRID_MODELS:-$root/models}
gpu=${FRAMEGRID_TEST_PROVIDER:-cuda}
hw_wanted=${FRAMEGRID_HW:-nvidia}
work=$(mktemp -d)
failed=0
gateway=http://127.0.0.1:19935
# Networks that one starts for a moment; the gateway's port is this script's.
up() { "$fg" --log-level debug up --gateway-port 19935 --data "$work/data" --log-dir "$work/logs-$1" "${@:2}" \
    >"$work/up-$1.log" 2>&1 & network=$!
    for _ in $(seq 100); do curl -sf $gateway/readyz >/dev/null && return; sleep 0.2; done
    tail -5 "$work/up-$1.log"; fail "the network does not start"; }
down() { kill -INT $network; wait $network; }
say() { printf '\n## %s (%s s)\n' "$1" $SECONDS; }
fail() { echo "FAILED: $1"; failed=1; }
ms() { local t=$(($(date +%s%N) / 1000000)); echo $((t - $1)); }
now() { echo $(($(date +%s%N) / 1000000)); }

sandbox() {
    say "CUDA under each protection of an executor"
    "$build/tests/gpu/cuda_in_sandbox" || fail "the sandbox keeps CUDA from opening"
}

same_results() {
    say "same results as the reference implementation"
    for tf32 in "" 1; do
        echo "provider $gpu, tf32=${tf32:-0}"
        if [ -n "$tf32" ]; then export FRAMEGRID_TEST_TF32=1; else unset FRAMEGRID_TEST_TF32; fi
        for t in tests/diffusion/diffusion_onnx_test tests/hub_models/hub_models_test; do
            FRAMEGRID_TEST_PROVIDER=$gpu timeout 60 "$build/$t" >"$work/t.log" 2>&1 ||
                { [ -n "$tf32" ] || fail "$t"; grep -m 5 -E "Failure|error|differ" "$work/t.log"; }
            grep -E "^\||^\[  (PASSED|FAILED)" "$work/t.log"
        done
    done
}

models() {
    say "models: processor, GPU, GPU with 10 bits of mantissa"
    for how in "--provider cpu" "--provider $gpu" "--provider $gpu --tf32" "--provider auto"; do
        echo "$how"
        # shellcheck disable=SC2086
        timeout 100 "$fg" model bench $how --captions "${CAPTIONS:-40}" --runs 5 || fail "model bench $how"
    done
}

fallbacks() {
    say "what falls back, and what is said"
    CUDA_VISIBLE_DEVICES= timeout 20 "$fg" --log-level info model bench framegrid/sr-2x --captions 0 2>&1 | grep -E "provider|sr-2x" |
        cut -c1-600
    timeout 20 "$fg" model bench framegrid/sr-2x --provider tensorrt 2>&1 | cut -c1-400 | tail -2
}

network() {
    say "a network on the GPU: one seed, two processes, one picture; sixteen clients"
    for how in $gpu cpu; do
        up $how --worker-arg=--provider --worker-arg=$how --worker-arg=--ai-capacity --worker-arg=16
        export FRAMEGRID_GATEWAY=$gateway
        t=$(now)
        timeout 60 "$fg" text-to-image "a red circle on the left over blue" -o "$work/$how-1.png" --seed 7 >/dev/null 2>&1 ||
            fail "text-to-image on $how"
        echo "$how: first picture in $(ms "$t") ms"
        t=$(now)
        pids=()
        for i in $(seq 16); do
            (for j in $(seq 4); do
                curl -sf -o /dev/null $gateway/text-to-image -H 'content-type: application/json' \
                    -d "{\"model_id\":\"\",\"prompt\":\"a blue square over a green disc\",\"seed\":$((i * 10 + j))}" || echo x >>"$work/lost"
            done) & pids+=($!)
        done
        wait "${pids[@]}"
        echo "$how: 64 pictures for 16 clients in $(ms "$t") ms"
        [ ! -s "$work/lost" ] || fail "$(wc -l <"$work/lost") pictures lost"
        rm -f "$work/lost"
        t=$(now)
        timeout 60 "$fg" text-to-video "a red ball rolls left over blue" -o "$work/$how.mp4" --seed 3 >/dev/null 2>&1 ||
            fail "text-to-video on $how"
        echo "$how: a video in $(ms "$t") ms"
        t=$(now)
        timeout 100 "$fg" upscale "$media/clip360.mp4" -o "$work/$how-up.mp4" >/dev/null 2>&1 || fail "upscale on $how"
        echo "$how: 2x of $(basename "$media")/clip360.mp4 in $(ms "$t") ms"
        grep -h -o 'infer.provider_chosen.*' "$work/logs-$how"/* | sort | uniq -c | cut -c1-500
        grep -h -E ' (warn|error) ' "$work/logs-$how"/* | cut -c1-300 | head -5
        down
    done
    up again --worker-arg=--provider --worker-arg=$gpu
    timeout 60 "$fg" text-to-image "a red circle on the left over blue" -o "$work/again.png" --seed 7 >/dev/null 2>&1
    cmp "$work/$gpu-1.png" "$work/again.png" && echo "the same bytes twice" || fail "one seed, two pictures"
    down
    unset FRAMEGRID_GATEWAY
}

decoding() {
    say "decoding on the GPU"
    for clip in "$media"/*.*; do
        local name
        name=$(basename "$clip")
        [ "$name" = clip360.mp4 ] && continue
        for hw in none $hw_wanted; do
            out=$work/$name-$hw
            mkdir -p "$out"
            t=$(now)
            timeout 60 "$build/lib/media_ffmpeg/media_tool" transcode "$clip" P720p30fps16x9 "$out" --preset ultrafast --hw "$hw" \
                >"$out/log" 2>&1 || { fail "transcode $clip $hw"; tail -3 "$out/log"; }
            echo "$name $hw: $(ms "$t") ms, $(tail -1 "$out/log" | cut -c1-150)"
        done
        for f in "$work/$name-none"/*.ts; do
            cmp -s "$f" "$work/$name-$hw_wanted/$(basename "$f")" && same=yes || same=no
            echo "  $(basename "$f"): same bytes: $same"
        done
    done
    up hw --worker-arg=--hw --worker-arg="$hw_wanted"
    timeout 100 "$fg" transcode "$media/h264.mp4" -o "$work/hls" --gateway $gateway \
        --profiles P720p30fps16x9,P360p30fps16x9 2>&1 | tail -3 || fail "transcode through the network"
    grep -h -o 'media.hardware.*' "$work/logs-hw"/* | sort | uniq -c | cut -c1-300
    down
}

parts=("${@:3}")
[ ${#parts[@]} -gt 0 ] || parts=(sandbox same_results models fallbacks network decoding)
for part in "${parts[@]}"; do
    "$part"
done
cp "$work"/*-1.png "$work"/*.mp4 "${OUT:-$work}/" 2>/dev/null
say "done"
exit $failed
