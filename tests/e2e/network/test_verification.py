"""Jobs whose results are checked: a second orchestrator does the same, and both are compared."""

import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest

import harness
from test_jobs import EventStream, call, finished, submit

BAD = pathlib.Path(os.environ.get("BAD_ORCHESTRATOR", harness.BINARY.parent / "tests/e2e/network/bad_orchestrator"))
WAIT = {"Prefer": "wait=60"}
WORKFLOWS = pathlib.Path(__file__).resolve().parents[3] / "examples/workflows"


def picture(size="64x48", source="testsrc2"):
    return harness.clip(f"verification-{source}-{size}.png",
                        ["-f", "lavfi", "-i", f"{source}=size={size}:rate=1:duration=1", "-frames:v", "1"])


def verified(network, on_mismatch="fail", **document):
    return submit(network, {**document, "verification": {"mode": "repeat", "on_mismatch": on_mismatch}}, WAIT)


def counted(network, outcome):
    text = network.request("GET", "/metrics")[2].decode()
    return int(re.search(rf'framegrid_verifications_total{{outcome="{outcome}"}} (\d+)', text)[1])


def events_of(job):
    stream = EventStream(job["urls"]["events"])
    seen = [(event["event"], json.loads(event["data"])) for event in stream]
    stream.close()
    return seen


class TwoGoodOnes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.network = cls.enterClassContext(harness.Network(
            orchestrators=2, workers=2, orchestrator_args=lambda i: ["--price-per-unit", "10"]))
        cls.network.wait_usable()
        cls.image = call(cls.network, "POST", "/v1/artifacts?name=a.png", picture().read_bytes())[2]["id"]

    def test_two_orchestrators_give_the_same_bytes(self):
        job = verified(self.network, pipeline="upscale", inputs={"image": self.image})
        self.assertEqual(job["state"], "succeeded", job)
        told = job["verification"]
        self.assertEqual((told["outcome"], told["compared"], told["mode"]), ("agreed", "bytes", "repeat"))
        self.assertEqual({told["first"]["orchestrator"], told["second"]["orchestrator"]}, set(self.network.uris))
        self.assertEqual(told["first"]["sha256"], [job["outputs"][0]["sha256"]])
        self.assertEqual(told["first"]["model_digest"], told["second"]["model_digest"])
        self.assertEqual(len(job["outputs"]), 1)
        self.assertEqual(int(job["run"]["wei"]), 2 * 10 * 64 * 48)
        events = events_of(job)
        nodes = [(data["orchestrator"], data.get("repeat")) for kind, data in events if kind == "node"]
        self.assertEqual(nodes, [(told["first"]["orchestrator"], None), (told["second"]["orchestrator"], True)])
        self.assertEqual([data["outcome"] for kind, data in events if kind == "verification"], ["agreed"])
        self.assertGreaterEqual(counted(self.network, "agreed"), 1)

    def test_a_quote_and_a_limit_are_for_both(self):
        asked = {"pipeline": "upscale", "inputs": {"image": self.image}, "verification": {"mode": "repeat"}}
        quote = call(self.network, "POST", "/v1/quotes", asked)[2]
        self.assertEqual((quote["wei"], quote["runs"]), (str(2 * 10 * 64 * 48), 2))
        enough = submit(self.network, {**asked, "max_price": quote["wei"]}, WAIT)
        self.assertEqual((enough["state"], enough["run"]["wei"]), ("succeeded", quote["wei"]), enough)
        status, _, problem = call(self.network, "POST", "/v1/quotes", {**asked, "max_price": str(int(quote["wei"]) - 2)})
        self.assertEqual(status, 503, problem)

    def test_a_transcode_is_verified_piece_by_piece(self):
        film = call(self.network, "POST", "/v1/artifacts?name=a.mp4", harness.test_clip(6).read_bytes())[2]["id"]
        job = verified(self.network, pipeline="transcode", inputs={"video": film},
                       parameters={"profiles": "P144p30fps16x9"})
        self.assertEqual(job["state"], "succeeded", job)
        self.assertEqual((job["verification"]["outcome"], job["verification"]["agreed"]), ("agreed", 3), job)
        pieces = [data for kind, data in events_of(job) if kind == "verification" and "step" in data]
        self.assertEqual(len(pieces), 3)
        for piece in pieces:
            self.assertEqual({piece["first"]["orchestrator"], piece["second"]["orchestrator"]}, set(self.network.uris))

    def test_the_command_line_asks_for_it_and_shows_it(self):
        with tempfile.TemporaryDirectory() as folder:
            document = pathlib.Path(folder, "job.json")
            document.write_text(json.dumps({"pipeline": "upscale", "inputs": {"image": self.image}}))
            arguments = [harness.BINARY, "jobs", "submit", document, "--gateway", self.network.url,
                         "--verification", "repeat", "--on-mismatch", "report"]
            made = subprocess.run([*arguments, "--wait", "-o", folder], capture_output=True, text=True, check=True)
            self.assertTrue(made.stdout.strip().endswith(".png"), made.stdout)
            said = subprocess.run([*arguments, "--quote"], capture_output=True, text=True, check=True).stdout
            self.assertIn("twice", said)
            job_id = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.strip()
            finished(self.network, job_id)
            shown = subprocess.run([harness.BINARY, "jobs", "show", job_id, "--gateway", self.network.url],
                                   capture_output=True, text=True, check=True).stdout
            self.assertRegex(shown, r"verified +agreed \(bytes\)")

    def test_a_workflow_is_verified_from_the_command_line(self):
        with tempfile.TemporaryDirectory() as folder:
            run = [harness.BINARY, "run", WORKFLOWS / "upscale-images.yaml", "-i", f"pictures={self.image}", "-o", folder,
                   "--gateway", self.network.url, "--verification", "repeat"]
            said = subprocess.run(run, capture_output=True, text=True, check=True).stdout
            self.assertRegex(said, r"(?m)^verified: agreed$")
            again = [*run[:1], "--json", *run[1:]]
            verified_by = json.loads(subprocess.run(again, capture_output=True, text=True, check=True).stdout)["verification"]
            self.assertEqual((verified_by["outcome"], verified_by["agreed"]), ("agreed", 1))

    def test_unknown_values_are_refused_with_the_field(self):
        for verification, field in (
                ("repeat", "verification"), ({}, "verification.mode"), ({"mode": "twice"}, "verification.mode"),
                ({"mode": "repeat", "on_mismatch": "x"}, "verification.on_mismatch"),
                ({"mode": "repeat", "often": 3}, "verification.often")):
            status, _, problem = call(self.network, "POST", "/v1/jobs", {"pipeline": "echo", "verification": verification})
            self.assertEqual((status, problem["field"]), (400, field), problem)
        one = {"orchestrators": self.network.uris[:1]}
        status, _, problem = call(self.network, "POST", "/v1/jobs", {
            "pipeline": "echo", "verification": {"mode": "repeat"}, "constraints": one})
        self.assertEqual((status, problem["field"]), (400, "verification.mode"), problem)
        job = submit(self.network, {"pipeline": "echo", "verification": {"mode": "none"}}, WAIT)
        self.assertNotIn("verification", job)


SLOW = {"pipeline": "text-to-image", "parameters": {"prompt": "a red circle", "seed": 7, "num_inference_steps": 600}}


class InTheMiddle(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.network = cls.enterClassContext(harness.Network(orchestrators=2, workers=2))
        cls.network.wait_usable()

    def repeating(self):
        """A job whose second run is under way."""
        job = submit(self.network, {**SLOW, "verification": {"mode": "repeat"}})
        stream = EventStream(job["urls"]["events"])
        nodes = []
        for event in stream:
            data = json.loads(event["data"])
            nodes += [data["orchestrator"]] if event["event"] == "node" else []
            if event["event"] == "progress" and data.get("repeat"):
                break
        stream.close()
        return job, nodes

    def test_a_gateway_that_is_killed_does_the_second_run_alone(self):
        job, nodes = self.repeating()
        self.network.gateway.kill(signal.SIGKILL)
        self.network.gateway.popen.wait(10)
        self.network.restart_gateway()
        self.network.wait_usable()
        done = finished(self.network, job["id"], 120)
        self.assertEqual(done["state"], "succeeded", done)
        self.assertEqual(done["verification"]["outcome"], "agreed")
        self.assertEqual([done["verification"][run]["orchestrator"] for run in ("first", "second")], nodes)
        events = events_of(done)
        asked = [(data["orchestrator"], data.get("repeat")) for kind, data in events if kind == "node"]
        self.assertEqual(asked, [(nodes[0], None), (nodes[1], True), (nodes[1], True)])
        self.assertEqual([kind for kind, _ in events].count("succeeded"), 1)

    def test_cancelling_reaches_the_second_run(self):
        job, nodes = self.repeating()
        began = time.monotonic()
        call(self.network, "DELETE", f"/v1/jobs/{job['id']}")
        self.assertEqual(finished(self.network, job["id"])["state"], "cancelled")
        self.assertLess(time.monotonic() - began, 2)
        end = time.monotonic() + 10
        while any(node["in_flight"] for node in self.network.status()["orchestrators"]):
            self.assertLess(time.monotonic(), end, "the second run goes on")
            time.sleep(0.05)


class OneThatAnswersOtherBytes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bad = harness.Process(["wrong", str(picture("128x96", "rgbtestsrc"))], name="wrong", binary=BAD)
        cls.addClassCleanup(cls.bad.stop)
        cls.uri = cls.bad.line("ready ").split()[1]
        cls.network = cls.enterClassContext(harness.Network(extra_orchestrators=[cls.uri]))
        cls.network.wait_usable(2)
        cls.image = call(cls.network, "POST", "/v1/artifacts?name=a.png", picture().read_bytes())[2]["id"]

    def assert_disagreed(self, told, compared):
        self.assertEqual((told["outcome"], told["compared"]), ("disagreed", compared), told)
        pair = [told["first"]["orchestrator"], told["second"]["orchestrator"]]
        self.assertEqual(set(pair), {self.uri, *self.network.uris})
        lines = [line for line in self.network.gateway.log_text().splitlines()
                 if "gateway.verification_disagreed" in line]
        self.assertTrue(any(all(uri in line for uri in pair) for line in lines), lines)

    def test_the_job_fails_and_says_who_differs(self):
        before = counted(self.network, "disagreed")
        job = verified(self.network, pipeline="upscale", inputs={"image": self.image})
        self.assertEqual((job["state"], job["error"]["field"]), ("failed", "verification"), job)
        self.assertIn("on_mismatch", job["error"]["what_to_do"])
        self.assert_disagreed(job["verification"], "pictures")
        self.assertLess(job["verification"]["psnr_db"], 20)
        self.assertNotIn("outputs", job)
        self.assertEqual(counted(self.network, "disagreed"), before + 1)

    def test_or_it_is_reported(self):
        job = verified(self.network, "report", pipeline="upscale", inputs={"image": self.image})
        self.assertEqual(job["state"], "succeeded", job)
        self.assert_disagreed(job["verification"], "pictures")
        self.assertEqual([job["outputs"][0]["sha256"]], job["verification"]["first"]["sha256"])

    def test_an_echo_is_compared_by_its_bytes(self):
        job = verified(self.network, pipeline="echo", inputs={"data": "data:text/plain;base64,aGVsbG8="})
        self.assertEqual((job["state"], job["error"]["field"]), ("failed", "verification"), job)
        self.assert_disagreed(job["verification"], "bytes")

    def test_without_a_second_one_it_is_said(self):
        only = {"avoid": [self.uri]}
        job = verified(self.network, pipeline="upscale", inputs={"image": self.image}, constraints=only)
        self.assertEqual(job["state"], "succeeded", job)
        self.assertEqual(job["verification"]["outcome"], "unavailable")
        self.assertNotIn("second", job["verification"])
        self.assertEqual(len(job["outputs"]), 1)


class OneThatTranscodesSomethingElse(unittest.TestCase):
    def test_its_pieces_are_noticed(self):
        other = harness.clip("verification-other.ts", [
            "-f", "lavfi", "-i", "mandelbrot=size=256x144:rate=30", "-t", "2", "-c:v", "libx264", "-preset", "ultrafast",
            "-pix_fmt", "yuv420p"])
        bad = harness.Process(["wrong", str(other)], name="wrong", binary=BAD)
        self.addCleanup(bad.stop)
        uri = bad.line("ready ").split()[1]
        with harness.Network(extra_orchestrators=[uri]) as network:
            network.wait_usable(2)
            film = call(network, "POST", "/v1/artifacts?name=a.mp4",
                        harness.test_clip(2, audio=False).read_bytes())[2]["id"]
            job = verified(network, pipeline="transcode", inputs={"video": film},
                           parameters={"profiles": "P144p30fps16x9"})
            self.assertEqual((job["state"], job["error"]["field"]), ("failed", "verification"), job)
            self.assertEqual(job["verification"]["outcome"], "disagreed")
            self.assertLess(job["verification"].get("psnr_db", 0), 25, job["verification"])


if __name__ == "__main__":
    unittest.main()
