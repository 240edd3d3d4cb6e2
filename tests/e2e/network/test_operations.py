"""A gateway as its operator meets it: ready or not, stopped in an orderly way, reconfigured, asked why; and the durable
jobs from the command line."""

import json
import os
import pathlib
import signal
import tempfile
import time
import unittest

import harness
from test_commands import framegrid
from test_jobs import EventStream, call, submit

PICTURE = {"pipeline": "text-to-image", "parameters": {"prompt": "a red circle", "seed": 7, "num_inference_steps": 4}}
LONG = {**PICTURE, "parameters": {**PICTURE["parameters"], "num_inference_steps": 1000}}


def until(condition, timeout=20):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def events_of(network, job_id):
    stream = EventStream(f"{network.url}/v1/jobs/{job_id}/events")
    try:
        return [(event["event"], json.loads(event["data"])) for event in stream]
    finally:
        stream.close()


class StopTest(unittest.TestCase):
    def test_running_jobs_go_back_to_the_queue_and_are_no_crash(self):
        with harness.Network(drain_seconds=2) as network:
            network.wait_usable()
            quick, slow = submit(network, PICTURE)["id"], submit(network, LONG)["id"]
            self.assertTrue(until(lambda: call(network, "GET", f"/v1/jobs/{slow}")[2]["state"] == "running"))
            network.gateway.kill(signal.SIGTERM)
            self.assertTrue(until(lambda: network.request("GET", "/readyz")[0] == 503, 2))
            status, headers, problem = call(network, "POST", "/v1/jobs", PICTURE)
            self.assertEqual((status, problem["code"]), (503, "unavailable"))
            self.assertIn("retry-after", headers)
            self.assertEqual(network.request("GET", "/healthz")[0], 200)
            self.assertIsNotNone(network.gateway.popen.wait(8))
            log = network.gateway.log_text()
            self.assertIn("gateway.draining", log)
            self.assertIn("gateway.jobs_handed_back jobs=1", log)
            network.restart_gateway()
            self.assertEqual(call(network, "GET", f"/v1/jobs/{quick}")[2]["state"], "succeeded")
            self.assertTrue(until(lambda: call(network, "GET", f"/v1/jobs/{slow}")[2]["state"] == "running"))
            job = call(network, "GET", f"/v1/jobs/{slow}")[2]
            self.assertEqual(job["attempt"], 2)
            call(network, "DELETE", f"/v1/jobs/{slow}")
            kinds = [kind for kind, _ in events_of(network, slow)]
            self.assertEqual([k for k in kinds if k in ("started", "waiting", "cancelled")],
                             ["started", "waiting", "started", "cancelled"])

    def test_a_second_signal_does_not_wait(self):
        with harness.Network(drain_seconds=60) as network:
            network.wait_usable()
            submit(network, LONG)
            self.assertTrue(until(lambda: network.status()["jobs"]["in_flight"] == 1))
            network.gateway.kill(signal.SIGTERM)
            self.assertTrue(until(lambda: network.request("GET", "/readyz")[0] == 503, 2))
            network.gateway.kill(signal.SIGTERM)
            self.assertIsNotNone(network.gateway.popen.wait(5))


def metric(port, name):
    """The samples of one metric of a node: {labels: value}."""
    text = harness.request(f"http://127.0.0.1:{port}/metrics")[2].decode()
    rows = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(name + "{")]
    return {labels[len(name):]: float(value) for labels, value in rows}


class ModelMetricsTest(unittest.TestCase):
    def test_a_worker_tells_what_it_does_with_models(self):
        port = harness.free_port()
        with harness.Network(worker_args=("--admin-listen", f"127.0.0.1:{port}")) as network:
            network.wait_usable()
            self.assertEqual(metric(port, "framegrid_sandbox_model_loads_total"), {})
            for seed in (1, 2):
                job = submit(network, {**PICTURE, "parameters": {**PICTURE["parameters"], "seed": seed}})
                self.assertTrue(until(
                    lambda j=job["id"]: call(network, "GET", f"/v1/jobs/{j}")[2]["state"] == "succeeded"))
            loads = metric(port, "framegrid_sandbox_model_loads_total")
            (model,) = {labels.split('"')[1] for labels in loads}
            self.assertEqual(loads, {f'{{model="{model}",result="done"}}': 1, f'{{model="{model}",result="failed"}}': 0})
            self.assertGreater(metric(port, "framegrid_sandbox_model_warm_bytes")[f'{{model="{model}",device="cpu"}}'], 0)
            self.assertEqual(metric(port, "framegrid_sandbox_model_memory_bytes_max"), {'{device="cpu"}': 2 << 30})
            self.assertGreater(sum(metric(port, "framegrid_sandbox_model_network_load_seconds_count").values()), 1)
            for executor in harness.children(network.workers[0].pid, "executor"):
                os.kill(executor, signal.SIGKILL)
            job = submit(network, {**PICTURE, "parameters": {**PICTURE["parameters"], "seed": 3}})
            self.assertTrue(until(lambda: call(network, "GET", f"/v1/jobs/{job['id']}")[2]["state"] == "succeeded"))
            self.assertEqual(sum(metric(port, "framegrid_sandbox_model_loads_total").values()), 2)
            unloads = metric(port, "framegrid_sandbox_model_unloads_total")
            self.assertEqual({labels for labels, count in unloads.items() if count},
                             {f'{{model="{model}",cause="process"}}'})


class LostJobsTest(unittest.TestCase):
    def test_whoever_loses_a_job_by_its_price_is_told_the_clients_limit(self):
        ports = [harness.free_port(), harness.free_port()]
        prices = ["7", "900"]
        with harness.Network(2, 2, orchestrator_args=lambda i: (
                "--price-per-unit", prices[i], "--admin-listen", f"127.0.0.1:{ports[i]}")) as network:
            network.wait_usable()
            name = "framegrid_orchestrator_lost_jobs_total"
            job = submit(network, {**PICTURE, "max_price": "3276800"})
            self.assertTrue(until(lambda: call(network, "GET", f"/v1/jobs/{job['id']}")[2]["state"] == "succeeded"))
            self.assertTrue(until(lambda: metric(ports[1], name)['{reason="price"}'] == 1, 60), metric(ports[1], name))
            log = network.orchestrators[1].log_text()
            self.assertIn('orchestrator.jobs_lost price=1 price_cap="3276800 wei per 262144"', log)
            self.assertEqual(set(metric(ports[0], name).values()), {0.0}, "it got the job")


class ReloadTest(unittest.TestCase):
    def test_hangup_reads_the_file_again(self):
        with tempfile.TemporaryDirectory() as folder, harness.Network() as other:
            other.wait_usable()
            file = pathlib.Path(folder) / "framegrid.toml"
            file.write_text('[gateway]\norchestrators = "https://127.0.0.1:9"\nattempts = 6\n')
            gateway = harness.Process(["--config", str(file), "--log-level", "info", "gateway", "--listen",
                                       "127.0.0.1:0", "--data", f"{folder}/data"])
            try:
                url = gateway.line("ready ").split()[1]
                self.assertEqual(harness.request(f"{url}/readyz")[0], 503)
                file.write_text(f'[gateway]\norchestrators = "{other.uris[0]}"\nattempts = 7\n')
                gateway.kill(signal.SIGHUP)
                self.assertTrue(until(lambda: harness.request(f"{url}/readyz")[0] == 200))
                self.assertTrue(until(lambda: "gateway.reloaded" in gateway.log_text()))
                self.assertIn("gateway.restart_needed option=gateway.attempts", gateway.log_text())
                file.write_text('[gateway]\norchestrators = "not a url"\n')
                gateway.kill(signal.SIGHUP)
                self.assertTrue(until(lambda: "gateway.reload_failed" in gateway.log_text()))
                self.assertEqual(harness.request(f"{url}/readyz")[0], 200)
            finally:
                gateway.stop()


class RefusalTest(unittest.TestCase):
    def test_says_who_was_considered_and_why_not(self):
        with harness.Network(orchestrators=2, workers=1) as network:
            network.wait_usable(1)
            unknown = {**PICTURE, "model": "nobody/has-this", "deadline_ms": 1500}
            job = submit(network, unknown)
            told = [data for kind, data in events_of(network, job["id"]) if kind == "candidates"]
            self.assertEqual(told[0]["considered"], 2)
            by_uri = {one["orchestrator"]: one for one in told[0]["candidates"]}
            self.assertEqual(set(by_uri), set(network.uris))
            self.assertEqual(by_uri[network.uris[0]]["reason"], "incompatible")
            self.assertIn("nobody/has-this", by_uri[network.uris[0]]["detail"])
            status, _, problem = call(network, "POST", "/v1/quotes", unknown)
            self.assertEqual((status, problem["code"], problem["field"]), (404, "not_found", "model"), problem)
            self.assertIn("of 2 orchestrators", problem["detail"])
            self.assertIn("gateway.job_refused", network.gateway.log_text())
            steps = {"workflow": {"workflow": "x", "steps": [
                {"id": "make", "pipeline": "text-to-image", "model": "nobody/has-this", "parameters": {"prompt": "x"}}],
                "outputs": {"picture": "${steps.make.output}"}}}
            status, _, problem = call(network, "POST", "/v1/quotes", steps)
            self.assertEqual((status, problem["field"]), (404, "steps[0].model"), problem)
            # One that was there and is away.
            self.assertEqual(call(network, "POST", "/v1/quotes", PICTURE)[0], 200)
            network.workers[0].stop()
            self.assertTrue(until(lambda: call(network, "POST", "/v1/quotes", PICTURE)[0] == 503, 40),
                            call(network, "POST", "/v1/quotes", PICTURE))

    def test_a_page_begins_at_an_id(self):
        with harness.Network(workers=0) as network:
            for path, field in (("jobs", "before"), ("artifacts", "before")):
                for value in ("zzz", "", "job_01", "art_01"):
                    status, _, problem = call(network, "GET", f"/v1/{path}?before={value}")
                    self.assertEqual((status, problem.get("field")), (400, field), (path, value, problem))
            one = "job_01jdk2m3n4p5q6r7s8t9v0w1x2"
            self.assertEqual(call(network, "GET", f"/v1/jobs?before={one}")[0], 200)
            self.assertEqual(call(network, "GET", f"/v1/artifacts?before={one.replace('job', 'art')}")[0], 200)


class JobsCommandTest(unittest.TestCase):
    def test_submit_watch_show_get_cancel(self):
        with harness.Network() as network, tempfile.TemporaryDirectory() as folder:
            network.wait_usable()
            here = ("--gateway", network.url)
            file = pathlib.Path(folder) / "job.json"
            file.write_text(json.dumps(PICTURE))
            quoted = framegrid("--json", "jobs", "submit", file, "--quote", *here)
            self.assertEqual(json.loads(quoted.stdout)["units"], 512 * 512)
            self.assertEqual(json.loads(framegrid("--json", "quote", file, *here).stdout), json.loads(quoted.stdout))
            self.assertIn("text-to-image: 0 wei at most (262144 units", framegrid("quote", file, *here).stdout)
            steps = framegrid("quote", harness.ROOT / "examples/workflows/text-to-video.yaml", "-i", "prompt=a ball", *here)
            self.assertEqual(steps.returncode, 0, steps.stderr)
            self.assertRegex(steps.stdout, r"(?m)^all +0$")
            nothing = framegrid("quote", pathlib.Path(folder) / "missing.json", *here)
            self.assertEqual(nothing.returncode, 1)
            self.assertIn("missing.json", nothing.stderr)
            done = framegrid("jobs", "submit", file, "--wait", "-o", f"{folder}/out", *here)
            self.assertEqual(done.returncode, 0, done.stderr)
            picture = pathlib.Path(done.stdout.strip())
            self.assertTrue(picture.read_bytes().startswith(b"\x89PNG"))
            upscale = pathlib.Path(folder) / "upscale.json"
            upscale.write_text(json.dumps({"pipeline": "upscale"}))
            started = framegrid("jobs", "submit", upscale, "-i", f"image={picture}", *here)
            self.assertEqual(started.returncode, 0, started.stderr)
            job_id = started.stdout.strip()
            got = framegrid("jobs", "get", job_id, "-o", f"{folder}/big", *here)
            self.assertEqual(got.returncode, 0, got.stderr)
            self.assertEqual(got.stdout.strip(), f"{folder}/big/upscale.png")
            listed = json.loads(framegrid("--json", "jobs", "ls", "--state", "succeeded", *here).stdout)["data"]
            self.assertEqual([job["pipeline"] for job in listed], ["upscale", "text-to-image"])
            shown = framegrid("jobs", "show", job_id, *here)
            self.assertIn("0 wei", shown.stdout)
            file.write_text(json.dumps(LONG))
            slow = framegrid("jobs", "submit", file, *here).stdout.strip()
            self.assertEqual(framegrid("jobs", "cancel", slow, *here).returncode, 0)
            self.assertEqual(framegrid("jobs", "watch", slow, *here).returncode, 1)
            missing = framegrid("jobs", "show", "job_nothing", *here)
            self.assertEqual(missing.returncode, 1)
            self.assertIn("no such job", missing.stderr)


class ConfigTest(unittest.TestCase):
    def test_check_names_the_line(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "framegrid.toml"
            for text, line, words in (
                    ('[gateway]\norchestraters = "https://a:1"\n', 2, 'did you mean "orchestrators"'),
                    ("[gatway]\n", 1, 'did you mean "gateway"'),
                    ("[gateway]\nattempts = 600\n", 2, "not in range"),
                    ('[gateway]\nattempts = 600\ndrain-seconds = "soon"\n', 3, "drain-seconds"),
                    ('[gateway]\n\nlisten = "here"\n', 3, "host:port"),
                    ('[worker]\nmemory = "much"\n', 2, "memory"),
                    ('[gateway]\ntls = 3\nstore = "mysql"\n', 3, "postgres://"),
                    ("[gateway\n", 1, "expected"),
                    ("log-levle = 1\n", 1, 'did you mean "log-level"')):
                file.write_text(text)
                done = framegrid("config", "check", file)
                self.assertEqual(done.returncode, 1, text)
                self.assertIn(f"{file}:{line}:", done.stderr)
                self.assertIn(words, done.stderr)
            self.assertEqual(framegrid("--config", file, "gateway").returncode, 2, "nothing is silently ignored")
            file.write_text('[gateway]\norchestrators = "https://a.example:1"\n')
            self.assertEqual(framegrid("config", "check", file).returncode, 0)
            shown = json.loads(framegrid("--json", "--config", file, "config", "show", "gateway",
                                         env={"FRAMEGRID_DATA": "/nowhere"}).stdout)
            options = {one["option"]: (one["value"], one["from"]) for one in shown["options"]}
            self.assertEqual(options["orchestrators"], ('"https://a.example:1"', "file"))
            self.assertEqual(options["data"], ('"/nowhere"', "FRAMEGRID_DATA"))
            self.assertEqual(options["attempts"], ("6", "default"))


if __name__ == "__main__":
    unittest.main()
