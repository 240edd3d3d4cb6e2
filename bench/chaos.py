#!/usr/bin/env python3
"""SIGKILL of the busy orchestrator or worker, 50 times in a row under load: nothing may be lost."""

import os
import random
import threading
import time

from common import harness, percentile, report

KILLS = int(os.environ.get("FRAMEGRID_BENCH_KILLS", "50"))
PROFILES = [{"name": "a", "width": 320, "height": 180, "bitrate": 400000, "fps": 0, "gop": "2"},
            {"name": "b", "width": 160, "height": 90, "bitrate": 200000, "fps": 0, "gop": "2"}]
STREAMS = 3


class Load:
    """Streams that push a segment every second, as live sources do, each with up to two in flight."""

    def __init__(self, network, data):
        self.network, self.data = network, data
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.sent, self.answered, self.lost, self.took, self.doubled = 0, 0, [], [], 0
        self.threads = [threading.Thread(target=self.stream, args=(i, k)) for i in range(STREAMS) for k in range(2)]
        for thread in self.threads:
            thread.start()

    def stream(self, index, lane):
        seq = lane
        while not self.stop.is_set():
            start = time.monotonic()
            with self.lock:
                self.sent += 1
            try:
                status, headers, body = self.network.push(f"chaos-{index}", seq, self.data, PROFILES, timeout=60)
            except OSError as error:
                status, headers, body = 0, {}, repr(error).encode()
            took = time.monotonic() - start
            with self.lock:
                names = []
                if status == 200:
                    names = [part[0]["Rendition-Name"] for part in harness.parse_multipart(headers, body)]
                if names == ["a", "b"]:
                    self.answered += 1
                else:
                    self.lost.append((seq, status, body[:200]))
                self.took.append((start, took))
            seq += 2
            time.sleep(max(0.0, 1.0 - took))

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def main():
    data = harness.segment(2, "640x360", 30)
    with harness.Network(2, 2, capacity=2, ai_capacity=0) as network:
        network.wait_usable(2)
        load = Load(network, data)
        time.sleep(4)
        quiet = [took for _, took in load.took]
        kills = []
        choose = random.Random(1)
        for number in range(KILLS):
            kind, index = ("orchestrator", "worker")[number % 2], choose.randrange(2)
            victim = (network.orchestrators if kind == "orchestrator" else network.workers)[index]
            kills.append(time.monotonic())
            victim.kill()
            time.sleep(0.4)
            if kind == "orchestrator":
                network.restart_orchestrator(index)
            else:
                network.restart_worker(index)
            time.sleep(0.8)
        load.finish()
    # A segment is hit by a kill when the kill came while it was under way.
    hit = [took for start, took in load.took if any(start <= kill <= start + took for kill in kills)]
    calm = percentile(quiet, 0.5)
    worst = max(hit, default=0) - calm
    return report("chaos", {"kills": len(kills), "segments": load.sent, "lost": len(load.lost),
                            "first_losses": [str(entry) for entry in load.lost[:3]], "segments_hit": len(hit),
                            "calm_p50_s": round(calm, 3), "hit_p50_s": round(percentile(hit, 0.5), 3) if hit else 0,
                            "added_worst_s": round(worst, 3)},
                  "0 lost, added delay <= 2 s (one segment)", not load.lost and worst <= 2.0)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
