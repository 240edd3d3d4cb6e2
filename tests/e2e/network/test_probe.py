"""The gateway's look into pushed segments: by child processes, which may die without anybody else noticing."""

import concurrent.futures
import json
import os
import pathlib
import signal
import time
import unittest

import harness

PROFILE = {"name": "p", "width": 160, "height": 90, "bitrate": 200000, "fps": 0, "gop": "2"}


class ProbeTest(unittest.TestCase):
    def setUp(self):
        self.network = harness.Network(1, 1, capacity=2, ai_capacity=0)
        self.addCleanup(self.network.__exit__)
        self.network.wait_usable()
        self.good = harness.segment(1, "320x180", 30)

    def push(self, stream, data=None):
        return self.network.push(stream, 0, self.good if data is None else data, [PROFILE])

    def ok(self, stream):
        status, _, body = self.push(stream)
        self.assertEqual(status, 200, body[:300])

    def probes(self):
        return harness.children(self.network.gateway.pid, "--probe")

    def maps(self, pid):
        return pathlib.Path(f"/proc/{pid}/maps").read_text()

    def freeze_one(self):
        """The gateway's only probe process, from now on deaf."""
        self.ok("first")
        probes = self.probes()
        self.assertEqual(len(probes), 1)
        os.kill(probes[0], signal.SIGSTOP)
        return probes[0]

    def wait_until(self, condition):
        end = time.monotonic() + 15
        while not condition():
            self.assertLess(time.monotonic(), end, "waited too long")
            time.sleep(0.02)

    def is_busy(self):
        text = self.network.request("GET", "/metrics")[2].decode()
        return "framegrid_sandbox_executors_busy 1\n" in text

    def refused(self, expected, answer, text):
        status, headers, body = answer
        self.assertEqual(status, expected, body[:500])
        error = json.loads(body)["error"]
        self.assertIn(text, error["message"])
        return headers, error

    def test_media_is_opened_by_a_child_that_the_first_segment_starts(self):
        self.assertEqual(self.probes(), [], "an idle gateway has no probe process")
        _, error = self.refused(422, self.push("garbage", b"\x47" + os.urandom(200_000)), "")
        self.assertEqual(error["field"], "body")
        self.ok("good")
        self.assertEqual(len(self.probes()), 1)
        self.assertIn("libavformat", self.maps(self.probes()[0]))
        self.assertNotIn("libav", self.maps(self.network.gateway.pid))
        self.assertIsNone(self.network.gateway.popen.poll())

    def test_a_probe_process_that_dies_fails_its_segment_only(self):
        frozen = self.freeze_one()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(self.push, "victim")
            self.wait_until(self.is_busy)
            self.ok("beside")
            os.kill(frozen, signal.SIGKILL)
            headers, error = self.refused(503, answer.result(), "could not be looked into")
        self.assertIn("SIGKILL", error["message"])
        self.assertEqual(headers["retry-after"], "1")
        self.ok("victim")
        self.assertIsNone(self.network.gateway.popen.poll())

    def test_a_probe_process_that_hangs_is_replaced(self):
        frozen = self.freeze_one()
        self.refused(503, self.push("victim"), "did not finish before its deadline")
        self.wait_until(lambda: frozen not in self.probes())
        self.ok("victim")


if __name__ == "__main__":
    unittest.main()
