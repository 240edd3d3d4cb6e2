"""What the benchmarks share: the network harness, CPU accounting and a table."""

import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/e2e/network"))

import harness  # noqa: E402,F401

# The ladder of the headline benchmark, and the same thing as ffmpeg arguments. x264 settings: rate = max rate = buffer,
# high profile, a keyframe every 2 s, forced at segment starts.
PRESET = os.environ.get("FRAMEGRID_BENCH_PRESET", "veryfast")
LADDER = [
    {"name": "720p", "width": 1280, "height": 720, "bitrate": 3000000, "fps": 0, "profile": "H264High", "gop": "2"},
    {"name": "480p", "width": 854, "height": 480, "bitrate": 1600000, "fps": 0, "profile": "H264High", "gop": "2"},
    {"name": "360p", "width": 640, "height": 360, "bitrate": 800000, "fps": 0, "profile": "H264High", "gop": "2"},
]


def ffmpeg_ladder(source, folder, fps=30):
    """One ffmpeg process: one decode, three scaled x264 encodes, audio copied, MPEG-TS out."""
    arguments = ["ffmpeg", "-v", "error", "-y", "-nostdin", "-copyts", "-i", str(source)]
    for rung in LADDER:
        rate = str(rung["bitrate"])
        arguments += [
            "-map", "0:v", "-map", "0:a?", "-vf", f"scale={rung['width']}:{rung['height']}:flags=bicubic",
            "-c:v", "libx264", "-preset", PRESET, "-profile:v", "high", "-bf", "3", "-b:v", rate, "-maxrate", rate,
            "-minrate", rate, "-bufsize", rate, "-g", str(2 * fps), "-forced-idr", "1", "-c:a", "copy", "-f", "mpegts",
            str(pathlib.Path(folder) / f"{rung['name']}.ts"),
        ]
    return arguments


def timed(command, **options):
    """(wall seconds, CPU seconds of the process and all its waited-for descendants, completed process)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stderr[-2000:]}")
    return wall, cpu, done


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def report(name, figures, bar, passed):
    """One row for people, one JSON line for machines."""
    print(json.dumps({"bench": name, **figures, "bar": bar, "passed": bool(passed)}), flush=True)
    return bool(passed)


def median(values):
    return statistics.median(values)
