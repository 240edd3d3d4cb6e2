"""Durable jobs and stored files over HTTP, with a gateway that is killed in the middle."""

import base64
import concurrent.futures
import hashlib
import hmac
import http.client
import http.server
import json
import pathlib
import random
import signal
import sqlite3
import threading
import time
import unittest
import urllib.parse

import harness

PICTURE = {"pipeline": "text-to-image", "parameters": {"prompt": "a red circle", "seed": 7, "num_inference_steps": 4}}


class Hook(http.server.ThreadingHTTPServer):
    """A webhook on loopback that keeps what it gets, and refuses as often as it is told."""

    def __init__(self, refusals=0):
        self.messages, self.refusals = [], refusals

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(handler):
                body = handler.rfile.read(int(handler.headers["content-length"]))
                self.messages.append((dict((k.lower(), v) for k, v in handler.headers.items()), body))
                self.refusals -= 1
                handler.send_response(500 if self.refusals >= 0 else 204)
                handler.send_header("content-length", "0")
                handler.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hook"

    def wait(self, count, timeout=20):
        end = time.monotonic() + timeout
        while len(self.messages) < count and time.monotonic() < end:
            time.sleep(0.02)
        return self.messages


class EventStream:
    """The events of a job as they come."""

    def __init__(self, url, last=None, timeout=30):
        parts = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        self.connection.request("GET", parts.path, headers={} if last is None else {"Last-Event-ID": str(last)})
        self.response = self.connection.getresponse()

    def __iter__(self):
        return harness.read_events(self.response)

    def close(self):
        self.response.close()
        self.connection.close()


def call(network, method, path, body=None, headers=None):
    text = body if isinstance(body, (bytes, type(None))) else json.dumps(body)
    status, fields, answer = network.request(method, path, text, headers or {})
    return status, fields, json.loads(answer) if answer else None


def submit(network, document, headers=None):
    status, fields, job = call(network, "POST", "/v1/jobs", document, headers)
    assert status in (200, 202), job
    return job


def finished(network, job_id, timeout=60):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        _, _, job = call(network, "GET", f"/v1/jobs/{job_id}")
        if job["state"] in ("succeeded", "failed", "cancelled"):
            return job
        time.sleep(0.05)
    raise RuntimeError(f"not over after {timeout} s: {job}")


class JobsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.network = cls.enterClassContext(
            harness.Network(ai_capacity=2, gateway_args=["--fetch-anywhere"]))
        cls.network.wait_usable()

    def test_a_job_from_its_start_to_its_files(self):
        job = submit(self.network, {**PICTURE, "metadata": {"order": 7}}, {"Prefer": "wait=60"})
        self.assertEqual(job["state"], "succeeded", job)
        self.assertEqual(job["metadata"], {"order": 7})
        output = job["outputs"][0]
        self.assertEqual(output["seed"], 7)
        status, headers, data = harness.request(output["url"])
        self.assertEqual((status, headers["content-type"]), (200, "image/png"))
        self.assertEqual(hashlib.sha256(data).hexdigest(), output["sha256"])
        again = submit(self.network, PICTURE, {"Prefer": "wait=60"})
        self.assertEqual(again["outputs"][0]["sha256"], output["sha256"], "a seed repeats the picture")
        larger = submit(self.network, {"pipeline": "upscale", "inputs": {"image": output["artifact"]}},
                        {"Prefer": "wait=60"})
        self.assertEqual(larger["state"], "succeeded", larger)

    def test_events_come_in_order_and_resume(self):
        job = submit(self.network, {**PICTURE, "preview_steps": 1})
        stream = EventStream(job["urls"]["events"])
        seen = list(stream)
        stream.close()
        kinds = [event["event"] for event in seen if "id" in event]
        self.assertEqual(kinds[0], "queued")
        self.assertEqual(kinds[-1], "succeeded")
        self.assertIn("node", kinds)
        self.assertIn("progress", kinds)
        numbers = [int(event["id"]) for event in seen if "id" in event]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        stream = EventStream(job["urls"]["events"], last=2)
        rest = list(stream)
        stream.close()
        self.assertEqual([int(event["id"]) for event in rest], numbers[2:])

    def test_one_idempotency_key_is_one_job(self):
        headers = {"Idempotency-Key": f"key-{time.time()}"}
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            jobs = list(pool.map(lambda _: submit(self.network, PICTURE, headers), range(8)))
        self.assertEqual(len({job["id"] for job in jobs}), 1)
        status, _, problem = call(self.network, "POST", "/v1/jobs", {"pipeline": "echo"}, headers)
        self.assertEqual((status, problem["field"]), (409, "idempotency-key"))

    def test_cancel_reaches_the_executor_at_once(self):
        job = submit(self.network, {"pipeline": "text-to-image",
                                    "parameters": {"prompt": "a red circle", "num_inference_steps": 1000}})
        stream = EventStream(job["urls"]["events"])
        next(event for event in stream if event["event"] == "progress")
        stream.close()
        began = time.monotonic()
        status, _, _ = call(self.network, "DELETE", f"/v1/jobs/{job['id']}")
        self.assertIn(status, (200, 202))
        self.assertEqual(finished(self.network, job["id"])["state"], "cancelled")
        self.assertLess(time.monotonic() - began, 2)
        job = submit(self.network, {"pipeline": "echo"}, {"Prefer": "wait=10"})
        status, _, after = call(self.network, "DELETE", f"/v1/jobs/{job['id']}")
        self.assertEqual((status, after["state"]), (200, "succeeded"), "what is over stays as it is")

    def test_a_webhook_is_signed_and_retried(self):
        hook = Hook(refusals=1)
        self.addCleanup(hook.shutdown)
        job = submit(self.network, {"pipeline": "echo", "webhook": hook.url})
        messages = hook.wait(2)
        self.assertEqual(len(messages), 2)
        (first, body), (second, same) = messages
        self.assertEqual(first["webhook-id"], second["webhook-id"])
        self.assertEqual(body, same)
        told = json.loads(body)
        self.assertEqual((told["type"], told["data"]["id"]), ("job.succeeded", job["id"]))
        text = pathlib.Path(self.network.data.name, "webhook.secret").read_text().strip()
        secret = base64.b64decode(text.removeprefix("whsec_"))
        signed = f"{second['webhook-id']}.{second['webhook-timestamp']}.".encode() + body
        mac = base64.b64encode(hmac.new(secret, signed, "sha256").digest()).decode()
        self.assertEqual(second["webhook-signature"], "v1," + mac)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            _, _, log = call(self.network, "GET", f"/v1/jobs/{job['id']}/deliveries")
            if log["data"][0]["state"] == "delivered":
                break
        self.assertEqual((log["data"][0]["attempts"], log["data"][0]["last_outcome"]), (2, "204"))

    def test_files_stream_in_and_out(self):
        data = random.Random(1).randbytes(5_000_000)
        status, _, file = call(self.network, "POST", "/v1/artifacts?name=..%2Fnoise.bin", data)
        self.assertEqual((status, file["name"], file["bytes"]), (201, "noise.bin", len(data)))
        path = f"/v1/artifacts/{file['id']}/content"
        for header, part, status in (
                ("bytes=0-99", data[:100], 206), ("bytes=4999990-", data[-10:], 206), ("bytes=-5", data[-5:], 206),
                ("bytes=0-9999999", data, 206), ("lines=1-2", data, 200), ("bytes=9-1", data, 200)):
            answered, headers, body = self.network.request("GET", path, headers={"Range": header})
            self.assertEqual((answered, body), (status, part), header)
        answered, headers, _ = self.network.request("GET", path, headers={"Range": "bytes=5000000-"})
        self.assertEqual((answered, headers["content-range"]), (416, "bytes */5000000"))
        answered, headers, body = self.network.request("HEAD", path)
        self.assertEqual((answered, headers["content-length"], body), (200, "5000000", b""))
        answered, _, _ = self.network.request("GET", path, headers={"If-None-Match": headers["etag"]})
        self.assertEqual(answered, 304)
        echoed = submit(self.network, {"pipeline": "echo", "inputs": {"data": file["id"]}}, {"Prefer": "wait=20"})
        self.assertEqual(echoed["outputs"][0]["sha256"], hashlib.sha256(data).hexdigest())
        self.assertEqual(call(self.network, "DELETE", f"/v1/artifacts/{file['id']}")[0], 204)
        self.assertEqual(call(self.network, "GET", f"/v1/artifacts/{file['id']}")[0], 404)

    def test_inputs_by_url_and_form(self):
        picture = submit(self.network, PICTURE, {"Prefer": "wait=60"})["outputs"][0]
        by_url = submit(self.network, {"pipeline": "upscale", "inputs": {"image": picture["url"]}},
                        {"Prefer": "wait=60"})
        self.assertEqual(by_url["state"], "succeeded", by_url)
        data = harness.request(picture["url"])[2]
        body = (b'--x\r\nContent-Disposition: form-data; name="job"\r\n\r\n{"pipeline":"upscale"}\r\n'
                b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + data
                + b"\r\n--x--\r\n")
        status, _, by_form = call(self.network, "POST", "/v1/jobs", body,
                                  {"Content-Type": "multipart/form-data; boundary=x", "Prefer": "wait=60"})
        self.assertEqual((status, by_form["state"]), (200, "succeeded"), by_form)
        self.assertEqual(by_form["outputs"][0]["sha256"], by_url["outputs"][0]["sha256"])

    def test_bad_requests_name_the_field(self):
        for document, field in (
                ({"pipeline": "upscale"}, "inputs.image"), ({"pipeline": "none"}, "pipeline"),
                ({"pipeline": "echo", "deadline_ms": -1}, "deadline_ms"),
                ({"pipeline": "text-to-image", "parameters": {"prompt": "x", "width": 7}}, "parameters.width")):
            status, headers, problem = call(self.network, "POST", "/v1/jobs", document)
            self.assertIn(status, (400, 404))
            self.assertEqual(headers["content-type"], "application/problem+json")
            self.assertEqual(problem["field"], field)
            self.assertEqual(problem["trace_id"], headers["x-trace-id"])
        job = submit(self.network, {"pipeline": "upscale", "inputs": {"image": "data:image/png;base64,AAAA"}},
                     {"Prefer": "wait=20"})
        self.assertEqual((job["state"], job["error"]["field"]), ("failed", "inputs.image"))
        status, _, problem = call(self.network, "GET", "/v1/jobs/job_none")
        self.assertEqual((status, problem["code"]), (404, "not_found"))


class ConstraintsTest(unittest.TestCase):
    def test_they_choose_the_orchestrator(self):
        with harness.Network(orchestrators=2, workers=2, ai_capacity=1) as network:
            network.wait_usable()

            def nodes(document):
                job = submit(network, document, {"Prefer": "wait=60"})
                self.assertEqual(job["state"], "succeeded", job)
                stream = EventStream(job["urls"]["events"])
                seen = {json.loads(event["data"])["orchestrator"] for event in stream if event["event"] == "node"}
                stream.close()
                return seen

            one, other = network.uris
            for _ in range(3):
                self.assertEqual(nodes({**PICTURE, "constraints": {"orchestrators": [one + "/"]}}), {one})
                self.assertEqual(nodes({**PICTURE, "constraints": {"avoid": [one]}}), {other})
            workflow = ("workflow: one\nsteps:\n  - id: ball\n    pipeline: text-to-image\n"
                        "    parameters: {prompt: a red ball}\noutputs:\n  ball: ${steps.ball.output}\n")
            self.assertEqual(nodes({"workflow": workflow, "constraints": {"orchestrators": [other]}}), {other})
            status, _, problem = call(network, "POST", "/v1/jobs", {"pipeline": "echo", "constraints": {"region": "eu"}})
            self.assertEqual((status, problem["field"]), (400, "constraints.region"))
            job = submit(network, {**PICTURE, "deadline_ms": 3000,
                                   "constraints": {"orchestrators": ["https://127.0.0.1:1"]}}, {"Prefer": "wait=20"})
            self.assertEqual(job["state"], "failed", job)
            stream = EventStream(job["urls"]["events"])
            why = [json.loads(event["data"]) for event in stream if event["event"] == "candidates"]
            stream.close()
            self.assertEqual(why[0]["summary"], "of 2 orchestrators 2 are left out by the job's constraints")


class RefusalTest(unittest.TestCase):
    def test_private_addresses_and_a_second_gateway(self):
        with harness.Network(orchestrators=1, workers=1) as network:
            network.wait_usable()
            job = submit(network, {"pipeline": "upscale", "inputs": {"image": network.url + "/x.png"}},
                         {"Prefer": "wait=20"})
            self.assertEqual((job["state"], job["error"]["code"]), ("failed", "forbidden"), job)
            second = harness.Process(["gateway", "--listen", "127.0.0.1:0", "--data", network.data.name,
                                      "--orchestrators", network.uris[0]], name="second")
            self.assertEqual(second.popen.wait(10), 1)
            self.assertIn("another gateway uses", second.log_text())
            second.stop()


class KillTest(unittest.TestCase):
    def test_sigkill_loses_nothing_and_doubles_nothing(self):
        hook = Hook()
        self.addCleanup(hook.shutdown)
        chance = random.Random(5)
        with harness.Network(gateway_args=["--fetch-anywhere"]) as network:
            network.wait_usable()
            accepted = []
            for round_number in range(8):
                stop = threading.Event()

                def push(number=round_number, stop=stop):
                    for i in range(10_000):
                        if stop.is_set():
                            return
                        key = {"Idempotency-Key": f"{number}-{threading.get_ident()}-{i}"}
                        try:
                            accepted.append(submit(network, {"pipeline": "echo", "webhook": hook.url}, key)["id"])
                        except (OSError, http.client.HTTPException, ValueError):
                            return
                threads = [threading.Thread(target=push) for _ in range(4)]
                for thread in threads:
                    thread.start()
                time.sleep(chance.uniform(0.02, 0.3))
                network.gateway.kill(signal.SIGKILL)
                stop.set()
                for thread in threads:
                    thread.join()
                network.restart_gateway()
            network.wait_usable()
            self.assertGreater(len(accepted), 50)
            states = [finished(network, job_id)["state"] for job_id in accepted]
            self.assertEqual(states.count("succeeded"), len(accepted))
            rows = sqlite3.connect(pathlib.Path(network.data.name, "jobs.sqlite")).execute(
                "SELECT job, count(*) FROM events WHERE kind = 'succeeded' GROUP BY job").fetchall()
            self.assertTrue(all(count == 1 for _, count in rows), "no job ended twice")
            ended = {job_id for job_id, _ in rows}
            self.assertLessEqual(set(accepted), ended)
            end = time.monotonic() + 90
            while time.monotonic() < end:
                told = {json.loads(body)["data"]["id"]: headers["webhook-id"] for headers, body in hook.messages}
                if ended <= set(told):
                    break
                time.sleep(0.2)
            self.assertEqual(ended - set(told), set(), "every webhook was told")
            ids = {}
            for headers, body in hook.messages:
                ids.setdefault(json.loads(body)["data"]["id"], set()).add(headers["webhook-id"])
            self.assertTrue(all(len(of_job) == 1 for of_job in ids.values()), "with one id each")


if __name__ == "__main__":
    unittest.main()
