"""One request followed through all processes: its trace id in their logs, its spans at a collector, and the metrics that
they serve."""

import http.server
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

import harness
from test_jobs import call
from test_operations import PICTURE, until

try:
    from google.protobuf import json_format
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
except ImportError:
    ExportTraceServiceRequest = None
try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    text_string_to_metric_families = None

SCENES = harness.ROOT / "models/framegrid/scenes"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PROFILES = [{"name": "180p", "width": 320, "height": 180, "bitrate": 300000, "fps": 0, "profile": "H264Baseline"}]


class Collector:
    """Takes OTLP/HTTP in JSON, and checks its form as far as the standard prescribes it."""

    def __init__(self, status=200):
        self.spans, self.problems, self.headers, self.status = [], [], [], status
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    outer.take(self.path, self.headers, body)
                except Exception as problem:  # told by the test's own thread
                    outer.problems.append(repr(problem))
                self.send_response(outer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path, headers, body):
        assert path == "/v1/traces", path
        assert headers["Content-Type"] == "application/json"
        self.headers.append(headers.get("X-Team"))
        if ExportTraceServiceRequest is not None:
            json_format.Parse(body, ExportTraceServiceRequest())
        for resource in json.loads(body)["resourceSpans"]:
            attributes = {a["key"]: a["value"]["stringValue"] for a in resource["resource"]["attributes"]}
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    assert re.fullmatch("[0-9a-f]{32}", span["traceId"]), span
                    assert re.fullmatch("[0-9a-f]{16}", span["spanId"]), span
                    assert re.fullmatch("[0-9a-f]{16}|", span.get("parentSpanId", "")), span
                    assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]), span
                    self.spans.append({**span, "service": attributes["service.name"]})

    def of(self, trace):
        return [span for span in self.spans if span["traceId"] == trace]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def path_to_root(spans, name):
    """The names from the span of that name up to the caller's."""
    by_id = {span["spanId"]: span for span in spans}
    span = next(span for span in spans if span["name"] == name)
    names = []
    while span is not None:
        names.append(span["name"])
        parent = span.get("parentSpanId")
        span = by_id.get(parent)
    return names, parent


class TraceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.collector = Collector()
        cls.addClassCleanup(cls.collector.close)
        cls.network = harness.Network(log_level="debug", env={
            "OTEL_EXPORTER_OTLP_ENDPOINT": cls.collector.url, "OTEL_EXPORTER_OTLP_HEADERS": "x-team=a%20b"},
            orchestrator_args=lambda _: ["--admin-listen", "127.0.0.1:0"], worker_args=["--admin-listen", "127.0.0.1:0"])
        cls.enterClassContext(cls.network)
        cls.network.wait_usable()

    def test_durable_job(self):
        headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "Content-Type": "application/json", "Prefer": "wait=60"}
        status, answered, job = call(self.network, "POST", "/v1/jobs", PICTURE, headers)
        self.assertEqual((status, job["state"]), (200, "succeeded"), job)
        self.assertEqual((answered["x-trace-id"], job["trace_id"]), (TRACE, TRACE))
        for process in (self.network.gateway, self.network.orchestrators[0], self.network.workers[0]):
            self.assertTrue(until(lambda p=process: f"trace={TRACE}" in p.log_text(), 5), process.name)
        self.assertTrue(until(lambda: len(self.collector.of(TRACE)) >= 7, 10), self.collector.of(TRACE))
        spans = self.collector.of(TRACE)
        names, root = path_to_root(spans, "worker.task")
        self.assertEqual(names, ["worker.task", "orchestrator.task", "orchestrator.job", "gateway.attempt",
                                 "gateway.job", "gateway.durable_job", "POST /v1/jobs"])
        self.assertEqual(root, CALLER)
        self.assertEqual({span["service"] for span in spans},
                         {"framegrid-gateway", "framegrid-orchestrator", "framegrid-worker"})
        attempt = next(span for span in spans if span["name"] == "gateway.attempt")
        self.assertIn({"key": "framegrid.orchestrator", "value": {"stringValue": self.network.uris[0]}},
                      attempt["attributes"])
        self.assertEqual(self.collector.problems, [])
        self.assertEqual(set(self.collector.headers), {"a b"})

    def test_executors_lines_name_the_trace(self):
        trace = "4" * 32
        headers = {"traceparent": f"00-{trace}-{CALLER}-01", "Content-Type": "application/json", "Prefer": "wait=60"}
        with tempfile.TemporaryDirectory(prefix="framegrid-models-") as folder:
            # A stored network that was changed is not used, and an executor says so while it loads the model for the job.
            shutil.copytree(SCENES, f"{folder}/framegrid/scenes")
            subprocess.run([harness.BINARY, "model", "optimize", "--models", folder], check=True, capture_output=True)
            for weights in pathlib.Path(folder).rglob("weights.bin"):
                with weights.open("r+b") as file:
                    file.seek(4096)
                    file.write(b"\x5a")
            with harness.Network(log_level="debug", ai_capacity=1, worker_args=["--models", folder]) as network:
                network.wait_usable()
                job = call(network, "POST", "/v1/jobs", PICTURE, headers)[2]
                self.assertEqual(job["state"], "succeeded", job)
                said = [line for line in network.workers[0].log_text().splitlines() if "sandbox.executor_said" in line]
        during = [line for line in said if "stored_graph_ignored" in line]
        self.assertGreaterEqual(len(during), 3, said)
        self.assertTrue(all(line.endswith(f"trace={trace}") for line in during), during)
        # Which device it found, it said before any job came.
        self.assertTrue(any("provider_chosen" in line and "trace=" not in line for line in said), said)

    def test_pushed_segment(self):
        data = harness.segment(1, "320x180", 30, audio=False)
        trace = "1" * 32
        status, _, body = self.network.push("t", 0, data, PROFILES, duration_ms=1000,
                                            headers={"traceparent": f"00-{trace}-{CALLER}-01"})
        self.assertEqual(status, 200, body)
        self.assertTrue(until(lambda: len(self.collector.of(trace)) >= 6, 10), self.collector.of(trace))
        names, root = path_to_root(self.collector.of(trace), "worker.task")
        self.assertEqual(names, ["worker.task", "orchestrator.task", "orchestrator.job", "gateway.attempt",
                                 "gateway.job", "POST /live/{*}"])
        self.assertEqual(root, CALLER)

    def test_the_caller_decides_what_is_recorded(self):
        trace = "2" * 32
        self.network.request("POST", "/echo", b"x", {"traceparent": f"00-{trace}-{CALLER}-00"})
        other = "3" * 32
        self.network.request("POST", "/echo", b"x", {"traceparent": f"00-{other}-{CALLER}-01"})
        self.assertTrue(until(lambda: len(self.collector.of(other)) >= 4, 10))
        self.assertEqual(self.collector.of(trace), [])

    def metrics_of(self, process):
        uri = re.search(r"admin_listening uri=(\S+)", process.log_text()).group(1)
        return harness.request(uri + "/metrics")[2].decode()

    def test_metrics(self):
        self.network.request("POST", "/echo", b"x")
        texts = [self.network.request("GET", "/metrics")[2].decode(), self.metrics_of(self.network.orchestrators[0]),
                 self.metrics_of(self.network.workers[0])]
        self.assertIn('framegrid_rest_request_seconds_bucket{route="POST /echo",status="2xx",le="+Inf"} ', texts[0])
        self.assertIn('framegrid_gateway_job_seconds_count{pipeline="echo",result="done"} ', texts[0])
        self.assertIn(f'framegrid_gateway_attempt_seconds_count{{orchestrator="{self.network.uris[0]}",', texts[0])
        self.assertIn('framegrid_orchestrator_job_seconds_count{pipeline="echo",result="done"} ', texts[1])
        self.assertIn("framegrid_worker_tasks_running 0", texts[2])
        for text in texts:
            self.check_metrics(text)

    def check_metrics(self, text):
        declared = re.findall(r"^# TYPE (\S+)", text, re.M)
        self.assertEqual(len(declared), len(set(declared)), "a metric is declared twice")
        if text_string_to_metric_families is None:
            return
        for family in text_string_to_metric_families(text):
            if family.type != "histogram":
                continue
            series = {}
            for sample in family.samples:
                labels = {k: v for k, v in sample.labels.items() if k != "le"}
                series.setdefault(tuple(sorted(labels.items())), []).append(sample)
            for samples in series.values():
                buckets = [s.value for s in samples if s.name.endswith("_bucket")]
                self.assertEqual(buckets, sorted(buckets))
                self.assertEqual(buckets[-1], next(s.value for s in samples if s.name.endswith("_count")))


class CollectorAwayTest(unittest.TestCase):
    def test_no_job_waits_for_a_collector(self):
        collector = Collector(status=400)
        self.addCleanup(collector.close)
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        with harness.Network(ai_capacity=0, env=env) as network:
            network.wait_usable()
            for _ in range(20):
                self.assertEqual(network.request("POST", "/echo", b"x")[0], 200)
            dropped = r'framegrid_telemetry_spans_total{result="dropped"} [1-9]'
            self.assertTrue(until(lambda: re.search(dropped, network.request("GET", "/metrics")[2].decode()), 10))
            self.assertTrue(until(lambda: "telemetry.spans_not_sent" in network.gateway.log_text(), 5))


if __name__ == "__main__":
    unittest.main()
