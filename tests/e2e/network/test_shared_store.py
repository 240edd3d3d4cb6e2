"""Several gateways with one queue in a PostgreSQL database, one of them killed in the middle."""

import collections
import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import signal
import subprocess
import tempfile
import time
import unittest
import uuid

import harness
from test_jobs import PICTURE, EventStream

POSTGRES = harness.ROOT / "tests/postgres.sh"
FINAL = ("succeeded", "failed", "cancelled")
LONG = {"pipeline": "text-to-image", "parameters": {"prompt": "a red circle", "num_inference_steps": 1000}}


def call(url, method, path, body=None, headers=None):
    text = None if body is None else json.dumps(body)
    status, _, answer = harness.request(url + path, method, text, headers or {})
    return status, json.loads(answer) if answer else None


def finished(url, job_id, timeout=60):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        _, job = call(url, "GET", f"/v1/jobs/{job_id}")
        if job.get("state") in FINAL:
            return job
        time.sleep(0.05)
    raise RuntimeError(f"not over after {timeout} s: {job}")


def events(url, job_id):
    stream = EventStream(f"{url}/v1/jobs/{job_id}/events")
    try:
        return [event for event in stream if "id" in event]
    finally:
        stream.close()


class SharedStoreTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        done = subprocess.run([POSTGRES, "start", str(os.getpid())], capture_output=True, text=True)
        if done.returncode == 77:
            raise unittest.SkipTest(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        cls.server = done.stdout.strip()
        cls.addClassCleanup(subprocess.run, [POSTGRES, "stop", cls.server], stdout=subprocess.DEVNULL)
        cls.store = f"postgres://framegrid@/postgres?host={cls.server}"
        files = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="framegrid-files-"))
        args = ["--store", cls.store, "--files", files, "--lease-seconds", "3"]
        cls.network = cls.enterClassContext(harness.Network(capacity=2, ai_capacity=2, gateway_args=args))
        cls.gateways, cls.urls = [cls.network.gateway], [cls.network.url]
        for i in (1, 2):
            data = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="framegrid-data-"))
            gateway = harness.Process(
                ["gateway", "--listen", "127.0.0.1:0", "--data", data, "--orchestrators",
                 ",".join(cls.network.uris), *args], cls.network.env, f"gateway-{i}")
            cls.addClassCleanup(gateway.stop)
            cls.gateways.append(gateway)
        cls.urls += [gateway.line("ready ").split()[1] for gateway in cls.gateways[1:]]
        cls.network.wait_usable()

    def submit(self, url, document, headers=None):
        status, job = call(url, "POST", "/v1/jobs", document, headers)
        self.assertIn(status, (200, 202), job)
        return job

    def submit_somewhere(self, i, document):
        """As a client does: the same request with the same key, at another gateway when one does not answer."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        for attempt in range(3):
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                return self.submit(self.urls[(i + attempt) % 3], document, headers)["id"]
        self.fail("no gateway took it")

    def test_1_a_job_is_seen_and_cancelled_everywhere(self):
        first, second, third = self.urls
        job = self.submit(first, PICTURE)
        kinds = [event["event"] for event in events(second, job["id"])]
        self.assertEqual((kinds[0], kinds[-1]), ("queued", "succeeded"))
        output = finished(third, job["id"])["outputs"][0]
        for url in self.urls:
            status, _, data = harness.request(f"{url}/v1/artifacts/{output['artifact']}/content")
            self.assertEqual((status, hashlib.sha256(data).hexdigest()), (200, output["sha256"]))
        signed = call(second, "POST", f"/v1/artifacts/{output['artifact']}/signed-url", {})[1]["url"]
        self.assertEqual(harness.request(signed.replace(second, third))[0], 200, "one secret for all")
        self.assertEqual(harness.request(signed.replace(second, third)[:-2] + "xx")[0], 403)
        long = self.submit(first, LONG)
        stream = EventStream(f"{third}/v1/jobs/{long['id']}/events")
        next(event for event in stream if event["event"] == "progress")
        began = time.monotonic()
        self.assertIn(call(second, "DELETE", f"/v1/jobs/{long['id']}")[0], (200, 202))
        self.assertEqual([event["event"] for event in stream if "id" in event][-1], "cancelled")
        self.assertLess(time.monotonic() - began, 2)
        stream.close()

    def test_2_one_idempotency_key_is_one_job_at_all_gateways(self):
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        with concurrent.futures.ThreadPoolExecutor(9) as pool:
            jobs = list(pool.map(lambda i: self.submit(self.urls[i % 3], {"pipeline": "echo"}, headers), range(9)))
        self.assertEqual(len({job["id"] for job in jobs}), 1)

    def test_3_goes_on_when_the_database_was_away(self):
        subprocess.run([POSTGRES, "restart", self.server], check=True, stdout=subprocess.DEVNULL)
        for url in self.urls:
            job = self.submit(url, {"pipeline": "echo"})
            self.assertEqual(finished(self.urls[0], job["id"])["state"], "succeeded")

    def test_4_a_killed_gateway_loses_nothing_and_doubles_nothing(self):
        documents = [PICTURE if i % 6 == 0 else {"pipeline": "echo"} for i in range(90)]
        long = self.submit(self.urls[1], {**PICTURE, "parameters": {**PICTURE["parameters"], "num_inference_steps": 60}})
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            accepted = [pool.submit(self.submit_somewhere, i, document) for i, document in enumerate(documents)]
            accepted[30].result()
            self.gateways[1].kill(signal.SIGKILL)
            ids = [one.result() for one in accepted] + [long["id"]]
        self.assertEqual(len(set(ids)), len(documents) + 1)
        left = (self.urls[0], self.urls[2])
        for i, job_id in enumerate(ids):
            job = finished(left[i % 2], job_id)
            self.assertEqual(job["state"], "succeeded", job)
            there = call(left[(i + 1) % 2], "GET", f"/v1/jobs/{job_id}")[1]
            self.assertEqual((there["state"], [o["sha256"] for o in there["outputs"]]),
                             (job["state"], [o["sha256"] for o in job["outputs"]]))
            told = events(left[i % 2], job_id)
            self.assertEqual([int(event["id"]) for event in told], list(range(1, len(told) + 1)))
            kinds = collections.Counter(event["event"] for event in told)
            self.assertEqual(kinds["succeeded"], 1, kinds)
            self.assertLessEqual(kinds["started"], 2, "taken over once at the most")

    def test_5_keys_are_in_the_database(self):
        keys = [harness.BINARY, "--json", "keys"]
        made = json.loads(subprocess.check_output([*keys, "create", "--store", self.store, "--owner", "acme"]))
        listed = json.loads(subprocess.check_output([*keys, "ls"], env={**os.environ, "FRAMEGRID_STORE": self.store}))
        self.assertEqual([key["id"] for key in listed["data"]], [made["id"]])


if __name__ == "__main__":
    unittest.main()
