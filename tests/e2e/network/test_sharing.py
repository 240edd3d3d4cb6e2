"""AI jobs that share one executor: batches, turns, progress, cancellation, and what one job's end does to others."""

import base64
import http.client
import json
import os
import signal
import threading
import time
import unittest
import urllib.parse

import harness

CAPTIONS = ["a red circle on the left over blue", "a green star in the middle", "a yellow ring on the right",
            "a small blue square over white"]


def read_events(response):
    """(name, data) of each event of an answer."""
    for event in harness.read_events(response):
        yield event["event"], json.loads(event["data"])


class SharingTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.network = harness.Network(1, 1, capacity=1, ai_capacity=6)
        cls.network.wait_usable()

    @classmethod
    def tearDownClass(cls):
        cls.network.__exit__()

    def picture(self, seed, steps, **headers):
        body = json.dumps({"prompt": CAPTIONS[seed % 4], "seed": seed, "num_inference_steps": steps}).encode()
        status, _, png = self.network.request("POST", "/text-to-image", body, {
            "Content-Type": "application/json", "Accept": "image/png",
            **{name.replace("_", "-"): value for name, value in headers.items()}})
        self.assertEqual(status, 200, png[:300])
        return png

    def open_events(self, pipeline, fields, **headers):
        parts = urllib.parse.urlsplit(self.network.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=180)
        connection.request("POST", f"/{pipeline}", json.dumps(fields).encode(), {
            "Content-Type": "application/json", "Accept": "text/event-stream",
            **{name.replace("_", "-"): value for name, value in headers.items()}})
        return connection, connection.getresponse()

    def executors(self):
        return harness.children(self.network.workers[0].pid, "executor")

    def test_a_seed_gives_the_same_bits_alone_and_in_company(self):
        alone = [self.picture(seed, 4 + seed % 3) for seed in range(8)]
        together = [None] * 8
        threads = []
        for seed in range(8):
            def work(seed=seed):
                together[seed] = self.picture(seed, 4 + seed % 3)
            threads.append(threading.Thread(target=work))
            threads[-1].start()
        for thread in threads:
            thread.join()
        for seed in range(8):
            self.assertEqual(together[seed], alone[seed], f"seed {seed}")

    def test_progress_previews_and_the_result(self):
        connection, response = self.open_events(
            "text-to-video", {"prompt": "a red ball rolls left over blue", "seed": 3, "num_inference_steps": 12},
            X_Framegrid_Previews="3")
        self.assertEqual(response.status, 200)
        self.assertEqual(response.headers["content-type"], "text/event-stream")
        events = list(read_events(response))
        connection.close()
        progress = [data for name, data in events if name == "progress"]
        steps = [data["step"] for data in progress]
        self.assertEqual(steps, sorted(set(steps)))
        self.assertTrue(all(data["steps"] == 12 for data in progress))
        previews = [data["preview"] for data in progress if "preview" in data]
        self.assertGreaterEqual(len(previews), 2)
        jpeg = base64.b64decode(previews[-1].removeprefix("data:image/jpeg;base64,"))
        video = harness.video_stream(jpeg)
        self.assertEqual(video["codec_name"], "mjpeg")
        name, data = events[-1]
        self.assertEqual(name, "result")
        _, _, clip = harness.request(data["images"][0]["url"])
        self.assertEqual(harness.video_stream(clip)["codec_name"], "h264")
        self.assertEqual(data["framegrid"]["steps"], 12)

    def test_mistakes_are_plain_errors_and_a_stream_ends_with_one(self):
        connection, response = self.open_events("text-to-image", {"prompt": "x", "width": 3})
        self.assertEqual((response.status, json.loads(response.read())["error"]["field"]), (400, "width"))
        connection.close()
        connection, response = self.open_events("text-to-image", {"prompt": "x"}, X_Framegrid_Priority="now")
        self.assertEqual((response.status, json.loads(response.read())["error"]["field"]), (400, "x-framegrid-priority"))
        connection.close()

    def test_a_short_job_does_not_wait_for_a_long_one(self):
        alone = min(self.timed(lambda: self.picture(1, 4)) for _ in range(2))
        connection, response = self.open_events("text-to-video", {"prompt": "a ball", "num_inference_steps": 400})
        next(read_events(response))  # it has begun
        beside = min(self.timed(lambda: self.picture(1, 4)) for _ in range(2))
        high = min(self.timed(lambda: self.picture(1, 4, X_Framegrid_Priority="high")) for _ in range(2))
        connection.close()
        self.assertLess(beside, 12 * alone + 2, "not the minute that the long one takes")
        self.assertLess(high, 12 * alone + 2)

    @staticmethod
    def timed(call):
        began = time.monotonic()
        call()
        return time.monotonic() - began

    def test_who_leaves_frees_the_slot_and_disturbs_nobody(self):
        before = self.executors()
        connections = []
        for seed in range(6):  # all slots
            connection, response = self.open_events(
                "text-to-image", {"prompt": "a ball", "seed": seed, "num_inference_steps": 900})
            next(read_events(response))
            connections.append(connection)
        for connection in connections[1:]:
            connection.close()
        took = self.timed(lambda: self.picture(1, 2))
        self.assertLess(took, 20)
        connections[0].close()
        end = time.monotonic() + 10
        while self.network.status()["jobs"]["in_flight"] > 0 and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(self.network.status()["jobs"]["in_flight"], 0)
        self.assertEqual(self.executors(), before, "nothing had to be killed")

    def test_an_executor_killed_under_several_jobs_costs_none_of_them(self):
        self.picture(0, 1)
        answers = {}
        threads = [threading.Thread(target=lambda seed=seed: answers.update({seed: self.picture(seed, 40)}))
                   for seed in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.7)
        busy = max(self.executors(), key=harness.rss_mb)
        os.kill(busy, signal.SIGKILL)
        for thread in threads:
            thread.join(timeout=120)
        self.assertEqual(sorted(answers), [0, 1, 2], "each was tried again")
        self.assertEqual(answers[1], self.picture(1, 40))


if __name__ == "__main__":
    unittest.main()
