"""A thousand random AI jobs by eight clients while the worker's processes live in a memory cgroup: nothing may be killed
for memory, no job may fail, and afterwards no slot may be taken. Needs root and a memory controller."""

import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

import common
from common import harness
from test_upscale import multipart

JOBS = int(os.environ.get("FRAMEGRID_BENCH_JOBS", "1000"))
CLIENTS = 8
LIMIT_MB = int(os.environ.get("FRAMEGRID_BENCH_LIMIT_MB", "2100"))


class Cgroup:
    """A memory limit for processes: version 2 or 1."""

    def __init__(self, limit):
        root = pathlib.Path("/sys/fs/cgroup")
        self.v2 = "memory" in (root / "cgroup.controllers").read_text() if (root / "cgroup.controllers").exists() else False
        self.path = (root if self.v2 else root / "memory") / f"framegrid-{os.getpid()}"
        self.path.mkdir()
        (self.path / ("memory.max" if self.v2 else "memory.limit_in_bytes")).write_text(str(limit))
        swap = self.path / ("memory.swap.max" if self.v2 else "memory.memsw.limit_in_bytes")
        if swap.exists():
            swap.write_text("0" if self.v2 else str(limit))

    def add(self, pid):
        (self.path / "cgroup.procs").write_text(str(pid))

    def peak_mb(self):
        return int((self.path / ("memory.peak" if self.v2 else "memory.max_usage_in_bytes")).read_text()) / 1e6

    def kills(self):
        text = (self.path / ("memory.events" if self.v2 else "memory.oom_control")).read_text()
        return int(dict(line.split() for line in text.splitlines() if line.strip())["oom_kill"])

    def remove(self):
        for _ in range(50):
            try:
                self.path.rmdir()
                return
            except OSError:
                time.sleep(0.1)


def picture(side_x, side_y, seed):
    """A JPEG with something to see."""
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=size={side_x}x{side_y},hue=h={seed % 360}", "-frames:v", "1",
         "-f", "mjpeg", "-"], capture_output=True, check=True)
    return done.stdout


def clip(folder, index):
    out = pathlib.Path(folder) / f"{index}.mp4"
    size = random.Random(index).choice(["160x90", "320x180", "256x256"])
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=size={size}:rate=10", "-t", "1", "-pix_fmt",
                    "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", str(out)], check=True)
    return out.read_bytes()


def make_jobs(count, folder):
    """(pipeline, fields, file or None, the file's field); one in a hundred is large."""
    rng = random.Random(1)
    stills = [picture(rng.randrange(32, 640), rng.randrange(32, 640), i) for i in range(20)]
    large = picture(2048, 1536, 7)
    clips = [clip(folder, i) for i in range(4)]
    jobs = []
    for i in range(count):
        steps = rng.choice([1, 2, 4])
        kind = rng.random()
        if i % 100 == 50:
            jobs.append(("upscale", {"model_id": rng.choice(["framegrid/sr-2x", "framegrid/sr-4x"])}, large, "image"))
        elif kind < 0.45:
            jobs.append(("text-to-image", {"prompt": "a red circle", "num_inference_steps": steps, "seed": i,
                                           "num_images_per_prompt": rng.choice([1, 1, 2, 4]),
                                           "width": rng.choice([64, 128, 512, 1024])}, None, ""))
        elif kind < 0.55:
            jobs.append(("image-to-image", {"prompt": "a star", "strength": 0.5, "num_inference_steps": 2 * steps, "seed": i},
                         rng.choice(stills), "image"))
        elif kind < 0.85:
            jobs.append(("upscale", {"model_id": rng.choice(["framegrid/sr-2x", "framegrid/sr-4x"])}, rng.choice(stills), "image"))
        elif kind < 0.9:
            jobs.append(("text-to-video", {"prompt": "a ball rolls left", "num_inference_steps": steps, "seed": i}, None, ""))
        elif kind < 0.95:
            jobs.append(("upscale", {"model_id": "framegrid/sr-2x"}, rng.choice(clips), "video"))
        else:
            jobs.append(("frame-interpolation", {"multiplier": 2}, rng.choice(clips), "video"))
    return jobs


def send(network, job):
    pipeline, fields, data, name = job
    if data is None:
        return network.request("POST", f"/{pipeline}", json.dumps(fields).encode(), {"Content-Type": "application/json"},
                               timeout=300)
    body, kind = multipart({key: str(value) for key, value in fields.items()}, data, name)
    return network.request("POST", f"/{pipeline}", body, {"Content-Type": kind}, timeout=300)


def main():
    cgroup = Cgroup(LIMIT_MB * 1_000_000)
    failures, latencies = [], []
    with tempfile.TemporaryDirectory() as folder:
        jobs = make_jobs(JOBS, folder)
        executor_mb = LIMIT_MB - 150
        with harness.Network(1, 0, log_level="warn") as network:
            # Less than all models together: they come and go.
            network.worker_args = ["--memory", "1100M", "--executor-memory", f"{executor_mb}M", "--ai-executors", "1"]
            network.capacity, network.ai_capacity = 1, CLIENTS
            worker = network.start_worker(network.uris)
            cgroup.add(worker.pid)
            for child in harness.children(worker.pid, "executor"):
                cgroup.add(child)
            worker.line("ready ")
            network.workers.append(worker)
            network.wait_usable()
            while send(network, ("text-to-image", {"prompt": "a ring", "num_inference_steps": 1}, None, ""))[0] != 200:
                time.sleep(0.1)
            queue, lock = list(enumerate(jobs)), threading.Lock()
            began = time.monotonic()

            def client():
                while True:
                    with lock:
                        if not queue:
                            return
                        index, job = queue.pop()
                    start = time.monotonic()
                    status, _, body = send(network, job)
                    with lock:
                        latencies.append(time.monotonic() - start)
                        if status != 200:
                            failures.append((index, job[0], job[1], status, body[:300]))

            threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            wall = time.monotonic() - began
            left = network.status()["jobs"]["in_flight"]
            log = worker.log_text()
            peak, kills = cgroup.peak_mb(), cgroup.kills()
    cgroup.remove()
    for failure in failures[:10]:
        print(failure, file=sys.stderr)
    if "executor_died" in log:
        print(log[-2000:], file=sys.stderr)
    passed = not failures and kills == 0 and "executor_died" not in log and left == 0
    common.report("random_jobs", {
        "jobs": len(jobs), "failed": len(failures), "oom_kills": kills, "executors_died": log.count("executor_died"), "limit_mb": LIMIT_MB,
        "peak_mb": round(peak), "jobs_per_s": round(len(jobs) / wall, 1),
        "p50_s": round(common.percentile(latencies, 0.5), 2), "p99_s": round(common.percentile(latencies, 0.99), 2)},
        "no job failed, nothing killed", passed)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
