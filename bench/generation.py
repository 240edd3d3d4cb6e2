"""Text-to-image through gateway, orchestrator and worker against diffusers with PyTorch in one Python process: the same
random weights, processor and threads. Latency, cold start, memory, and 16 clients at once.

Needs a Python with diffusers: FRAMEGRID_REFERENCE_PYTHON=/path/to/venv/bin/python (see tests/fixtures/diffusion/requirements.txt).
"""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import common
from common import harness
from generation_reference import GUIDANCE, PROMPT, SIDE, STEPS

PYTHON = os.environ.get("FRAMEGRID_REFERENCE_PYTHON")
THREADS = os.cpu_count()
COLD_STARTS, ROUNDS, CLIENTS, PICTURES = 3, 5, 16, 16
SCRIPT = str(pathlib.Path(__file__).with_name("generation_reference.py"))


class Reference:
    """One Python process with the pipeline in it, as an AI runner has."""

    def __init__(self, folder):
        env = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "HF_HUB_OFFLINE": "1",
               "OMP_WAIT_POLICY": "PASSIVE"}  # spinning threads would starve each other on a busy machine
        self.start = time.monotonic()
        self.process = subprocess.Popen([PYTHON, "-W", "ignore", SCRIPT, "serve", str(folder), str(THREADS)], env=env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout.readline() == "ready\n"
        self.draw(0)
        self.cold_s = time.monotonic() - self.start

    def draw(self, seed):
        self.process.stdin.write(f"{seed}\n")
        self.process.stdin.flush()
        _, ms, self.peak_mb = self.process.stdout.readline().split()
        return float(ms) / 1000

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Ours:
    def __init__(self, models):
        self.start = time.monotonic()
        self.network = harness.Network(1, 1, capacity=1, ai_capacity=1, worker_args=["--models", str(models)])
        self.network.wait_usable()
        self.draw(0)
        self.cold_s = time.monotonic() - self.start

    def draw(self, seed):
        body = json.dumps({"model_id": "bench/sd", "prompt": PROMPT, "num_inference_steps": STEPS, "width": SIDE,
                           "height": SIDE, "guidance_scale": GUIDANCE, "seed": seed}).encode()
        start = time.monotonic()
        status, _, png = self.network.request("POST", "/text-to-image", body, timeout=300,
                                              headers={"Content-Type": "application/json", "Accept": "image/png"})
        assert status == 200, png[:500]
        return time.monotonic() - start

    def peak_mb(self):
        """Of all executors of the worker: the processes that hold the model."""
        peaks = []
        for pid in harness.children(self.network.workers[0].pid, "executor"):
            text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
            peaks.append(int(text.split("VmHWM:")[1].split()[0]) / 1024)
        return max(peaks)

    def close(self):
        self.network.__exit__()


def at_once(draw, count, clients):
    """Pictures per second when so many clients ask one after another."""
    seeds = iter(range(1000, 1000 + count))
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                seed = next(seeds, None)
            if seed is None:
                return
            draw(seed)
    start = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count / (time.monotonic() - start)


def main():
    if not PYTHON:
        print("generation: skipped, set FRAMEGRID_REFERENCE_PYTHON to a Python with diffusers", file=sys.stderr)
        return 0
    folder = pathlib.Path(tempfile.mkdtemp(prefix="framegrid-generation-"))
    try:
        subprocess.run([PYTHON, "-W", "ignore", SCRIPT, "make", str(folder)], check=True, stdout=subprocess.DEVNULL)
        # As a user would: which also stores the networks optimised, as save_pretrained() has converted the reference's.
        subprocess.run([harness.BINARY, "model", "add", str(folder / "models/bench/sd"), "--id", "bench/sd", "--models",
                        str(folder / "installed")], check=True, stdout=subprocess.DEVNULL)
        # From nothing to the first picture, in turns; the last ones stay for the rest.
        cold = []
        for i in range(COLD_STARTS):
            reference, ours = Reference(folder), Ours(folder / "installed")
            cold.append((reference.cold_s, ours.cold_s))
            if i < COLD_STARTS - 1:
                reference.close()
                ours.close()
        # In turns, so that both see the same machine.
        times = [(reference.draw(i), ours.draw(i)) for i in range(1, ROUNDS + 1)]
        theirs_per_s = at_once(reference.draw, PICTURES // 2, 1)  # one after another is all that it can
        ours_per_s = at_once(ours.draw, PICTURES, CLIENTS)
        figures = {
            "reference_s": round(statistics.median(t for t, _ in times), 3),
            "framegrid_s": round(statistics.median(t for _, t in times), 3),
            "latency_ratio": round(statistics.median(o / t for t, o in times), 3),
            "cold_s": [round(statistics.median(side), 2) for side in zip(*cold)],
            "cold_ratio": round(statistics.median(o / t for t, o in cold), 3),
            "peak_mb": [float(reference.peak_mb), round(ours.peak_mb(), 1)],
            "memory_ratio": round(ours.peak_mb() / float(reference.peak_mb), 3),
            "pictures_per_s": [round(theirs_per_s, 3), round(ours_per_s, 3)],
            "throughput_ratio": round(ours_per_s / theirs_per_s, 3),
        }
        passed = (figures["latency_ratio"] <= 0.8 and figures["cold_ratio"] <= 0.15 and figures["memory_ratio"] <= 0.5
                  and figures["throughput_ratio"] >= 1.5)
        common.report("generation", figures, "latency <= 0.8x, cold <= 0.15x, memory <= 0.5x, 16 clients >= 1.5x", passed)
        reference.close()
        ours.close()
        return 0 if passed else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
