#!/usr/bin/env python3
"""From the last byte of a 2 s 1080p segment to the first byte of a rendition, against ffmpeg on that segment."""

import http.client
import json
import os
import tempfile
import time
import urllib.parse

from common import LADDER, PRESET, ffmpeg_ladder, harness, median, report, timed

ROUNDS = int(os.environ.get("FRAMEGRID_BENCH_ROUNDS", "3")) * 3


def first_rendition_byte(url, stream, seq, data):
    """Seconds from the end of the upload to the first byte of the first part's body."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.putrequest("POST", f"/live/{stream}/{seq}.ts")
    connection.putheader("Content-Length", str(len(data)))
    connection.putheader("Accept", "multipart/mixed")
    connection.putheader("Content-Duration", "2000")
    connection.putheader("Livepeer-Transcode-Configuration", json.dumps({"profiles": LADDER}))
    connection.endheaders()
    connection.send(data)
    start = time.monotonic()
    response = connection.getresponse()
    assert response.status == 200, response.read()
    seen = b""
    while b"\r\n\r\n" not in seen:
        seen += response.read1(65536)
    first = time.monotonic() - start
    while response.read1(1 << 20):
        pass
    total = time.monotonic() - start
    connection.close()
    return first, total


def main():
    data = harness.segment(2, "1920x1080", 30)
    ratios, totals, rows = [], [], []
    with harness.Network(1, 1, capacity=2, ai_capacity=0, preset=PRESET) as network, \
            tempfile.TemporaryDirectory() as folder:
        network.wait_usable()
        source = f"{folder}/in.ts"
        with open(source, "wb") as file:
            file.write(data)
        first_rendition_byte(network.url, "warm-up", 0, data)
        for round_number in range(ROUNDS):
            first, total = first_rendition_byte(network.url, "bench", round_number, data)
            wall, _, _ = timed(ffmpeg_ladder(source, folder))
            ratios.append(first / wall)
            totals.append(total / wall)
            rows.append([round(first, 3), round(total, 3), round(wall, 3)])
    ratio = median(ratios)
    return report("first_byte", {"preset": PRESET, "first_byte_ratio": round(ratio, 3),
                                 "all_renditions_ratio": round(median(totals), 3),
                                 "first_total_ffmpeg_s": rows}, "first rendition byte <= 0.7x of ffmpeg", ratio <= 0.7)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
