#!/usr/bin/env python3
"""A job that does nothing, through gateway and orchestrator: what the network itself costs per job."""

import http.client
import re
import subprocess
import tempfile
import time
import urllib.parse

from common import harness, percentile, report

JOBS = 30000


def sequential_ms(url, path, count=2000):
    """Milliseconds of each of `count` requests, one after the other on one connection."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    took = []
    for _ in range(count):
        start = time.perf_counter()
        connection.request("POST" if path == "/echo" else "GET", path, b"x" * 100 if path == "/echo" else None)
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, body
        took.append((time.perf_counter() - start) * 1e3)
    connection.close()
    return took


def h2load(url, path, jobs, data=None):
    arguments = ["h2load", "-n", str(jobs), "-c", "4", "-m", "25", "-t", "1"]
    if data:
        arguments += ["-d", data]
    done = subprocess.run([*arguments, url + path], capture_output=True, text=True, check=True)
    rate = float(re.search(r"finished in .*?, ([\d.]+) req/s", done.stdout).group(1))
    good = int(re.search(r"status codes: (\d+) 2xx", done.stdout).group(1))
    assert good == jobs, done.stdout
    mean = re.search(r"time for request:\s+\S+\s+\S+\s+(\S+)", done.stdout).group(1)
    return rate, mean


def main():
    with harness.Network(1, 1, ai_capacity=0, log_level="warn") as network, tempfile.NamedTemporaryFile() as data:
        data.write(b"x" * 100)
        data.flush()
        network.wait_usable()
        sequential_ms(network.url, "/echo", 300)
        base = sequential_ms(network.url, "/healthz")
        echo = sequential_ms(network.url, "/echo")
        added = percentile(echo, 0.5) - percentile(base, 0.5)
        h2load(network.url, "/echo", 3000, data.name)
        rate, mean = max(h2load(network.url, "/echo", JOBS, data.name) for _ in range(3))
        idle_rate, _ = h2load(network.url, "/healthz", JOBS)
    return report("overhead", {"p50_added_ms": round(added, 3), "jobs_per_s_100_concurrent": round(rate),
                               "mean_at_100_concurrent": mean, "gateway_only_requests_per_s": round(idle_rate)},
                  "p50 added <= 1 ms, >= 5000 jobs/s with 100 concurrent", added <= 1 and rate >= 5000)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
