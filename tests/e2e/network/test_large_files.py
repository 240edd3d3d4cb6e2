"""Files that are too large for memory: upload, a job that gives them back, download; with ends in the middle."""

import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import signal
import tempfile
import time
import unittest
import urllib.parse

import harness

BYTES = 320 << 20  # above what fits into memory at once (300 MB)
GROWTH_MAX = 32 << 20
PIECE = 1 << 20


def make_file(path):
    """Its SHA-256; no two MiB of it are the same."""
    digest, noise = hashlib.sha256(), os.urandom(PIECE - 8)
    with open(path, "wb") as file:
        for i in range(BYTES // PIECE):
            piece = i.to_bytes(8, "big") + noise
            file.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def memory(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(name)


def bytes_read(process):
    return int(pathlib.Path(f"/proc/{process.pid}/io").read_text().split("rchar: ")[1].split()[0])


def until(condition, what, timeout=20):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise RuntimeError(f"not within {timeout} s: {what}")


class LargeFilesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.network = cls.enterClassContext(harness.Network(2, 2, ai_capacity=0))
        cls.network.wait_usable()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="framegrid-large-"))
        source = pathlib.Path(folder) / "source"
        cls.digest = make_file(source)
        cls.before = cls.start_counting()
        connection = cls.connection()
        with open(source, "rb") as file:
            connection.request("POST", "/v1/artifacts", file, {"content-length": str(BYTES)})
            answer = json.loads(connection.getresponse().read())
        connection.close()
        assert answer["sha256"] == cls.digest, answer
        cls.file = answer["id"]
        source.unlink()

    @classmethod
    def connection(cls):
        parts = urllib.parse.urlsplit(cls.network.url)
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=60, blocksize=PIECE)

    @classmethod
    def start_counting(cls):
        """The gateway's memory now; its peak is counted from here on."""
        pid = cls.network.gateway.pid
        pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
        return memory(pid, "VmRSS")

    def grown(self):
        return memory(self.network.gateway.pid, "VmHWM") - self.before

    def submit(self):
        document = {"pipeline": "echo", "inputs": {"data": self.file}}
        status, _, answer = self.network.request("POST", "/v1/jobs", json.dumps(document))
        self.assertEqual(status, 202, answer)
        return json.loads(answer)["id"]

    def job(self, job_id):
        return json.loads(self.network.request("GET", f"/v1/jobs/{job_id}")[2])

    def over(self, job_id):
        def look():
            job = self.job(job_id)
            return job if job["state"] in ("succeeded", "failed", "cancelled") else None

        return until(look, "the job's end", 60)

    def unfinished(self):
        """Sizes of the files that are being written."""
        sizes = []
        for path in pathlib.Path(self.network.data.name).glob("**/new*/*"):
            with contextlib.suppress(FileNotFoundError):
                sizes.append(path.stat().st_size)
        return sizes

    def in_the_middle(self):
        until(lambda: max(self.unfinished(), default=0) > 40 << 20, "a part of the result")

    def check_result(self, job):
        self.assertEqual(job["state"], "succeeded", job)
        output = job["outputs"][0]
        self.assertEqual((output["bytes"], output["sha256"]), (BYTES, self.digest))
        connection = self.connection()
        connection.request("GET", f"/v1/artifacts/{output['artifact']}/content")
        response, digest, count = connection.getresponse(), hashlib.sha256(), 0
        while piece := response.read(PIECE):
            digest.update(piece)
            count += len(piece)
        connection.close()
        self.assertEqual((count, digest.hexdigest()), (BYTES, self.digest))
        self.assertEqual(self.unfinished(), [])
        self.assertLess(self.grown(), GROWTH_MAX)

    def test_1_the_same_bytes_come_back_and_memory_stays(self):
        self.check_result(self.over(self.submit()))

    def test_2_cancelled_in_the_middle_it_leaves_nothing(self):
        job_id = self.submit()
        self.in_the_middle()
        self.network.request("DELETE", f"/v1/jobs/{job_id}")
        self.assertEqual(self.over(job_id)["state"], "cancelled")
        until(lambda: not self.unfinished(), "the half-written result goes")
        used = [os.path.realpath(f"/proc/{self.network.gateway.pid}/fd/{n}")
                for n in os.listdir(f"/proc/{self.network.gateway.pid}/fd")]
        self.assertEqual([path for path in used if "/new" in path], [])
        seen = [bytes_read(process) for process in self.network.orchestrators]
        time.sleep(0.3)
        for process, count in zip(self.network.orchestrators, seen):
            self.assertLess(bytes_read(process) - count, 10 << 20, "nobody goes on with it")
        self.assertLess(self.grown(), GROWTH_MAX)

    def test_3_a_deadline_in_the_middle_ends_it(self):
        document = {"pipeline": "echo", "inputs": {"data": self.file}, "deadline_ms": 3000}
        status, _, answer = self.network.request("POST", "/v1/jobs", json.dumps(document))
        self.assertEqual(status, 202, answer)
        self.in_the_middle()
        for process in self.network.orchestrators:
            process.kill(signal.SIGSTOP)
        try:
            job = self.over(json.loads(answer)["id"])
        finally:
            for process in self.network.orchestrators:
                process.kill(signal.SIGCONT)
        self.assertEqual(job["state"], "failed", job)
        until(lambda: not self.unfinished(), "the half-written result goes")

    def test_4_killed_in_the_middle_another_orchestrator_does_it(self):
        self.network.wait_usable()
        counts = [bytes_read(process) for process in self.network.orchestrators]
        job_id = self.submit()
        self.in_the_middle()
        grown = [bytes_read(p) - count for p, count in zip(self.network.orchestrators, counts)]
        self.network.orchestrators[grown.index(max(grown))].kill()
        job = self.over(job_id)
        self.check_result(job)
        self.assertGreaterEqual(job["run"]["attempts"], 2, job)


if __name__ == "__main__":
    unittest.main()
