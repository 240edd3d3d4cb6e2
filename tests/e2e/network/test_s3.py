"""Stored files in an S3-compatible store: a gateway with a real server (s3rver, from npm) behind it."""

import contextlib
import hashlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import harness
from test_jobs import call, submit
from test_sdk import node_packages

KEYS = {"AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER"}


class Store:
    """s3rver with one bucket, in a folder of its own; can be stopped and started again at the same port."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.start()

    def start(self):
        program = node_packages() / "node_modules/.bin/s3rver"
        self.process = subprocess.Popen(
            [str(program), "-d", self.folder, "-a", "127.0.0.1", "-p", str(self.port), "--configure-bucket", "films"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        raise RuntimeError("s3rver does not start")

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def keys(self):
        """What is in the bucket, by file name."""
        return sorted(path.name for path in pathlib.Path(self.folder).rglob("*") if path.is_file())


class S3Network(harness.Network):
    def __init__(self, store, place="s3://films/work", env=None, args=()):
        self.store_args = ("--files", place, "--s3-endpoint", f"http://127.0.0.1:{store.port}", *args)
        before = {name: os.environ.get(name) for name in KEYS}
        os.environ.update(KEYS if env is None else env)
        try:
            super().__init__(gateway_args=self.store_args)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


class S3Test(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("node") or not shutil.which("npm"):
            raise unittest.SkipTest("no node or npm")
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="framegrid-s3-"))
        cls.store = Store(cls.folder)
        cls.addClassCleanup(lambda: cls.store.stop())
        cls.network = cls.enterClassContext(S3Network(cls.store))
        cls.network.wait_usable()

    def upload(self, data):
        status, _, artifact = call(self.network, "POST", "/v1/artifacts", data)
        self.assertEqual(status, 201, artifact)
        return artifact

    def test_small_files_and_large_ones_come_back_whole(self):
        for size in (0, 1, 100_000, 8 << 20, (20 << 20) + 7):
            data = random.Random(size).randbytes(size)
            artifact = self.upload(data)
            self.assertEqual(artifact["sha256"], hashlib.sha256(data).hexdigest())
            status, _, got = self.network.request("GET", f"/v1/artifacts/{artifact['id']}/content")
            self.assertEqual((status, hashlib.sha256(got).hexdigest()), (200, artifact["sha256"]), size)
            if size > 1000:
                part = self.network.request("GET", f"/v1/artifacts/{artifact['id']}/content", None,
                                            {"Range": f"bytes={size - 500}-{size - 1}"})
                self.assertEqual((part[0], part[2]), (206, data[-500:]))

    def test_the_same_bytes_are_one_object(self):
        data = random.Random(1).randbytes(9 << 20)
        first, second = self.upload(data), self.upload(data)
        self.assertEqual(first["sha256"], second["sha256"])
        held = [key for key in self.store.keys() if key.startswith(first["sha256"])]
        self.assertEqual(len([key for key in held if key.endswith("_S3rver_object")]), 1, held)

    def test_resumed_uploads_end_there(self):
        data = random.Random(2).randbytes(9 << 20)
        tus = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
        status, head, _ = self.network.request("POST", "/v1/uploads", data[:5 << 20], {**tus, "Upload-Length": str(len(data))})
        self.assertEqual(status, 201)
        path = head["location"].removeprefix(self.network.url)
        status, head, _ = self.network.request("PATCH", path, data[5 << 20:], {**tus, "Upload-Offset": str(5 << 20)})
        self.assertEqual(status, 204)
        got = self.network.request("GET", f"/v1/artifacts/{head['framegrid-artifact']}/content")[2]
        self.assertEqual(hashlib.sha256(got).hexdigest(), hashlib.sha256(data).hexdigest())
        self.assertTrue(any(key.startswith(hashlib.sha256(data).hexdigest()) for key in self.store.keys()))

    def test_jobs_read_and_write_there(self):
        job = submit(self.network, {"pipeline": "text-to-image",
                                    "parameters": {"prompt": "a red circle", "seed": 7, "num_inference_steps": 4}},
                     {"Prefer": "wait=60"})
        self.assertEqual(job["state"], "succeeded", job)
        digest = job["outputs"][0]["sha256"]
        self.assertTrue(any(key.startswith(digest) for key in self.store.keys()))
        bigger = submit(self.network, {"pipeline": "upscale", "inputs": {"image": job["outputs"][0]["artifact"]}},
                        {"Prefer": "wait=60"})
        self.assertEqual(bigger["state"], "succeeded", bigger)

    def test_a_store_that_is_away_is_named_and_waited_for(self):
        self.store.stop()
        try:
            status, _, problem = call(self.network, "POST", "/v1/artifacts", b"x" * 1000)
        finally:
            self.store.start()
        self.assertEqual(status, 503, problem)
        self.assertIn("S3", problem["detail"])
        self.upload(b"x" * 1000)


class WrongSettingsTest(unittest.TestCase):
    def test_without_credentials(self):
        done = subprocess.run([str(harness.BINARY), "gateway", "--orchestrators", "https://127.0.0.1:9", "--listen",
                               "127.0.0.1:0", "--files", "s3://films", "--data", tempfile.mkdtemp()],
                              capture_output=True, text=True, timeout=20, check=False,
                              env={k: v for k, v in os.environ.items() if not k.startswith("AWS_")})
        self.assertEqual(done.returncode, 1)
        self.assertIn("AWS_ACCESS_KEY_ID", done.stderr)


if __name__ == "__main__":
    unittest.main()
