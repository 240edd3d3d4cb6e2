#!/usr/bin/env python3
"""Resident memory: idle gateway, idle orchestrator, and each concurrent 1080p stream in the gateway."""

import threading
import time

from common import LADDER, harness, report

STREAMS = 4  # more would overrun the deadlines of two cores; what the gateway holds does not depend on the encoder
PUSHES = 3


def main():
    data = harness.segment(2, "1920x1080", 30)
    with harness.Network(1, 1, capacity=STREAMS, ai_capacity=0, preset="ultrafast", log_level="warn") as network:
        network.wait_usable()
        time.sleep(1)
        gateway_idle = harness.rss_mb(network.gateway.pid)
        orchestrator_idle = harness.rss_mb(network.orchestrators[0].pid)
        peak, done, failures = gateway_idle, threading.Event(), []

        def sample():
            nonlocal peak
            while not done.is_set():
                peak = max(peak, harness.rss_mb(network.gateway.pid))
                time.sleep(0.02)

        def stream(index):
            for seq in range(PUSHES):
                status, _, body = network.push(f"memory-{index}", seq, data, LADDER, timeout=180)
                if status != 200:
                    failures.append((status, body[:200].decode(errors="replace")))

        sampler = threading.Thread(target=sample)
        sampler.start()
        threads = [threading.Thread(target=stream, args=(i,)) for i in range(STREAMS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        sampler.join()
        probe_mb = sum(harness.rss_mb(pid) for pid in harness.children(network.gateway.pid, "--probe"))
    per_stream = (peak - gateway_idle) / STREAMS
    return report("memory", {"gateway_idle_mb": round(gateway_idle, 1), "orchestrator_idle_mb": round(orchestrator_idle, 1),
                             "gateway_mb_per_stream": round(per_stream, 1), "streams": STREAMS,
                             "probe_processes_mb": round(probe_mb, 1),
                             "segment_mb": round(len(data) / 1e6, 2), "failures": failures},
                  "idle <= 30 MB each, <= 20 MB per 1080p stream",
                  gateway_idle <= 30 and orchestrator_idle <= 30 and per_stream <= 20 and not failures)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
