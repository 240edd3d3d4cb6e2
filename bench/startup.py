#!/usr/bin/env python3
"""From `framegrid up` to the first finished job."""

import json
import tempfile
import time

from common import harness, median, report

ROUNDS = 5


def once(data):
    start = time.monotonic()
    up = harness.Process(["--json", "up", "--gateway-port", "0", "--data", tempfile.mkdtemp(), "--worker-arg=--x264-preset",
                          "--worker-arg=ultrafast"], name="up")
    try:
        url = json.loads(up.line("{"))["gateway"]
        ready = time.monotonic() - start
        profile = {"name": "p", "width": 160, "height": 90, "bitrate": 100000, "fps": 0}
        status, _, body = harness.request(
            url + "/live/first/0.ts", "POST", data,
            {"Accept": "multipart/mixed", "Livepeer-Transcode-Configuration": json.dumps({"profiles": [profile]})})
        assert status == 200, body
        return ready, time.monotonic() - start
    finally:
        up.stop()


def main():
    data = harness.segment(1, "320x180", 30)
    runs = [once(data) for _ in range(ROUNDS)]
    first_job = median([total for _, total in runs])
    return report("startup", {"ready_s": round(median([ready for ready, _ in runs]), 3),
                              "first_job_done_s": round(first_job, 3)},
                  "first job accepted <= 2 s after `framegrid up`", first_job <= 2)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
