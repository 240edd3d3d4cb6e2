"""Workers and orchestrators that are stopped while they are busy: they finish what they have, and no job is done twice or
lost. And logging that changes while a role runs."""

import contextlib
import pathlib
import re
import signal
import tempfile
import threading
import time
import unittest

import harness
from test_operations import until

PROFILES = [{"name": "180p", "width": 320, "height": 180, "bitrate": 300000, "fps": 0, "profile": "H264Baseline"}]
PUSHERS = 3


def metric(network, name):
    text = network.request("GET", "/metrics")[2].decode()
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M))


@contextlib.contextmanager
def pushing(network):
    """Pushes segments of several streams, one after the other each, until the block ends; yields what came of each."""
    data = harness.segment(1, "320x180", 30, audio=False)
    outcomes, stop = [], threading.Event()

    def push(stream):
        for seq in range(10_000):
            if stop.is_set():
                return
            status, headers, body = network.push(f"s{stream}", seq, data, PROFILES, duration_ms=1000)
            outcomes.append((time.monotonic(), status, headers.get("x-framegrid-attempts"), body[:300]))

    threads = [threading.Thread(target=push, args=(i,)) for i in range(PUSHERS)]
    for thread in threads:
        thread.start()
    try:
        yield outcomes
    finally:
        stop.set()
        for thread in threads:
            thread.join()


class DrainTest(unittest.TestCase):
    def drain(self, network, process, outcomes):
        """Stops `process` with SIGTERM under load and waits for its end."""
        self.assertTrue(until(lambda: len(outcomes) >= 4 * PUSHERS, 60))
        process.kill(signal.SIGTERM)
        self.assertIsNotNone(process.popen.wait(20))
        ended, before = time.monotonic(), len(outcomes)
        self.assertTrue(until(lambda: len(outcomes) >= before + 4 * PUSHERS, 60))
        self.assertGreater(outcomes[-1][0], ended)
        return process.log_text()

    def check(self, network, outcomes, retries_max=0):
        bad = [outcome for outcome in outcomes if outcome[1] != 200]
        self.assertEqual(bad, [])
        self.assertLessEqual(metric(network, "framegrid_gateway_retries_total"), retries_max)

    def test_worker(self):
        with harness.Network(1, 2, drain_seconds=15) as network:
            network.wait_usable(capacity=4)
            with pushing(network) as outcomes:
                log = self.drain(network, network.workers[0], outcomes)
            self.check(network, outcomes)
            self.assertIn("worker.draining", log)
            # Its last reports say that it drains; one that is idle when it is stopped has none to send, and leaves at once.
            told = network.orchestrators[0].log_text()
            self.assertNotIn("vanished=yes", told)
            self.assertRegex(told, r"orchestrator.worker_gone worker=\d+ interrupted=0")

    def test_orchestrator(self):
        with harness.Network(2, 2, drain_seconds=15) as network:
            network.wait_usable()
            with pushing(network) as outcomes:
                log = self.drain(network, network.orchestrators[0], outcomes)
            # A segment that comes while the listener closes is sent again: one of each stream at most.
            self.check(network, outcomes, PUSHERS)
            self.assertIn("orchestrator.draining", log)
            self.assertNotIn("orchestrator.job_failed", log)
            # Its worker has gone to the other one.
            self.assertTrue(until(lambda: network.orchestrators[1].log_text().count("worker_registered") >= 4))

    def test_idle_roles_leave_at_once(self):
        with harness.Network(1, 1, drain_seconds=60) as network:
            network.wait_usable()
            for process in (network.workers[0], network.orchestrators[0]):
                began = time.monotonic()
                process.kill(signal.SIGTERM)
                process.popen.wait(10)
                self.assertLess(time.monotonic() - began, 5, process.name)


class LogLevelTest(unittest.TestCase):
    def test_hangup_changes_level_and_format(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "framegrid.toml"
            file.write_text('log-level = "warn"\n')
            common = ["--config", str(file)]
            env = {"FRAMEGRID_SECRET": "s"}
            orchestrator = harness.Process([*common, "orchestrator", "--listen", "127.0.0.1:0"], env, "orchestrator")
            uri = orchestrator.line("ready ").split()[1]
            worker = harness.Process([*common, "worker", "--orchestrators", uri, "--capacity", "1", "--ai-capacity", "0",
                                      "--drain-seconds", "1"], env, "worker")
            worker.line("ready ")
            gateway = harness.Process([*common, "gateway", "--listen", "127.0.0.1:0", "--data", f"{folder}/data",
                                       "--orchestrators", uri], env, "gateway")
            gateway.line("ready ")
            try:
                for process in (orchestrator, worker, gateway):
                    self.assertNotIn("info", process.log_text())
                file.write_text('log-level = "debug"\nlog-format = "json"\n')
                for process in (orchestrator, worker, gateway):
                    process.kill(signal.SIGHUP)
                    self.assertTrue(until(lambda p=process: '"event":"app.log_reloaded"' in p.log_text(), 5),
                                    process.log_text())
                file.write_text('log-level = "nonsense"\nlog-colour = "red"\n')
                worker.kill(signal.SIGHUP)
                self.assertTrue(until(lambda: "app.log_not_reloaded" in worker.log_text(), 5))
                self.assertIsNone(worker.popen.poll())
            finally:
                for process in (gateway, worker, orchestrator):
                    process.stop()


if __name__ == "__main__":
    unittest.main()
