#!/usr/bin/env python3
"""A 60 s 1080p30 file to 720p+480p+360p through gateway, orchestrator and worker, against one ffmpeg process."""

import json
import os
import pathlib
import tempfile

from common import LADDER, PRESET, ffmpeg_ladder, harness, median, report, timed

SECONDS = int(os.environ.get("FRAMEGRID_BENCH_SECONDS", "60"))
ROUNDS = int(os.environ.get("FRAMEGRID_BENCH_ROUNDS", "3"))


def main():
    source = harness.test_clip(SECONDS, "1920x1080", 30)
    ratios, cpu_ratios, rows = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        profiles = pathlib.Path(folder) / "ladder.json"
        profiles.write_text(json.dumps(LADDER))
        ours = [str(harness.BINARY), "--json", "transcode", str(source), "-o", f"{folder}/out", "--profiles",
                str(profiles), "--x264-preset", PRESET]
        theirs = ffmpeg_ladder(source, folder)
        for _ in range(ROUNDS):  # in turn, so that a machine that drifts hits both alike
            wall_a, cpu_a, done = timed(ours)
            wall_b, cpu_b, _ = timed(theirs)
            answer = json.loads(done.stdout)
            assert answer["segments"] == SECONDS // 2, answer
            ratios.append(wall_b / wall_a)
            cpu_ratios.append(cpu_a / cpu_b)
            rows.append({"wall_s": round(wall_a, 2), "ffmpeg_wall_s": round(wall_b, 2), "cpu_s": round(cpu_a, 2),
                         "ffmpeg_cpu_s": round(cpu_b, 2)})
    throughput, cpu = median(ratios), median(cpu_ratios)
    return report("throughput", {"preset": PRESET, "seconds": SECONDS, "throughput_ratio": round(throughput, 3),
                                 "cpu_ratio": round(cpu, 3), "rounds": rows},
                  "throughput >= 0.95x, CPU <= 1.05x of ffmpeg (network start-up included)",
                  throughput >= 0.95 and cpu <= 1.05)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
