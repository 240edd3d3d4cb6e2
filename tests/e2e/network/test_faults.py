"""Processes that die, hang, lie or talk nonsense: jobs go on, nothing is lost, nothing else is disturbed."""

import concurrent.futures
import json
import os
import pathlib
import signal
import tempfile
import time
import unittest

import harness

PROFILES = [
    {"name": "a", "width": 320, "height": 180, "bitrate": 400000, "fps": 0, "gop": "2"},
    {"name": "b", "width": 160, "height": 90, "bitrate": 200000, "fps": 0, "gop": "2"},
]
BAD = pathlib.Path(os.environ.get("BAD_ORCHESTRATOR", harness.BINARY.parent / "tests/e2e/network/bad_orchestrator"))


def push_all(test, network, stream, data, count, lanes=4, during=None):
    """Pushes `count` segments, `lanes` at a time; every one must come back whole, exactly once."""
    def push(seq):
        status, headers, body = network.push(stream, seq, data, PROFILES, timeout=90)
        test.assertEqual(status, 200, body[:500])
        parts = harness.parse_multipart(headers, body)
        return [part[0]["Content-Disposition"] for part in parts]

    with concurrent.futures.ThreadPoolExecutor(lanes) as pool:
        futures = [pool.submit(push, seq) for seq in range(count)]
        if during:
            during()
        answers = [future.result() for future in futures]
    for seq, names in enumerate(answers):
        test.assertEqual(names, [f'attachment; filename="a_{seq}.ts"', f'attachment; filename="b_{seq}.ts"'])


class DyingProcesses(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.data = harness.segment(2, "640x360", 30)

    def test_orchestrator_killed_in_the_middle(self):
        with harness.Network(2, 2, capacity=1, ai_capacity=0) as network:
            network.wait_usable(2)

            def kill():
                time.sleep(1)
                network.orchestrators[0].kill()

            push_all(self, network, "kill-orchestrator", self.data, 24, during=kill)
            self.assertIsNone(network.gateway.popen.poll())

    def test_worker_killed_its_tasks_go_to_another_at_once(self):
        with harness.Network(1, 2, capacity=1, ai_capacity=0) as network:
            network.wait_usable(1, capacity=2)
            started = time.monotonic()

            def kill():
                time.sleep(0.7)
                network.workers[0].kill()

            push_all(self, network, "kill-worker", self.data, 16, during=kill)
            self.assertLess(time.monotonic() - started, 60)
            log = network.orchestrators[0].log_text()
            self.assertIn("orchestrator.worker_gone", log)

    def test_frozen_worker_is_noticed_by_its_silence(self):
        with harness.Network(1, 2, capacity=1, ai_capacity=0) as network:
            network.wait_usable(1, capacity=2)
            network.workers[0].kill(signal.SIGSTOP)
            try:
                push_all(self, network, "frozen", self.data, 6)
                end = time.monotonic() + 15
                while "orchestrator.worker_gone" not in network.orchestrators[0].log_text():
                    self.assertLess(time.monotonic(), end, "the frozen worker was never given up")
                    time.sleep(0.2)
            finally:
                network.workers[0].kill(signal.SIGCONT)

    def test_executor_killed_fails_one_task_at_most(self):
        with harness.Network(1, 1, capacity=2, ai_capacity=0) as network:
            network.wait_usable()

            def kill():
                for _ in range(3):
                    time.sleep(0.6)
                    children = pathlib.Path(
                        f"/proc/{network.workers[0].pid}/task/{network.workers[0].pid}/children").read_text().split()
                    if children:
                        os.kill(int(children[0]), signal.SIGKILL)

            push_all(self, network, "kill-executor", self.data, 12, during=kill)
            self.assertIsNone(network.workers[0].popen.poll(), "the worker itself must survive")

    def test_gateway_restarted(self):
        with harness.Network(1, 1, capacity=2, ai_capacity=0) as network:
            network.wait_usable()
            push_all(self, network, "before", self.data, 2)
            network.restart_gateway()
            push_all(self, network, "after", self.data, 2)

    def test_orchestrator_restarted_forgets_its_tokens(self):
        with harness.Network(1, 1, capacity=2, ai_capacity=0) as network:
            network.wait_usable()
            push_all(self, network, "same-stream", self.data, 2)
            network.restart_orchestrator(0)
            push_all(self, network, "same-stream", self.data, 2)

    def test_everything_stops_cleanly(self):
        with harness.Network(1, 1) as network:
            network.wait_usable()
            for process in [network.gateway, *network.workers, *network.orchestrators]:
                process.kill(signal.SIGTERM)
                process.popen.wait(10)
                self.assertIn(process.popen.returncode, (0, 130), process.log_text()[-500:])


class Impostors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.data = harness.segment(1, "320x180", 30)

    def test_wrong_secret_is_refused_and_nothing_of_it_used(self):
        with harness.Network(1, 1, capacity=1, ai_capacity=0) as network:
            network.wait_usable()
            impostor = network.start_worker(network.uris, "impostor", secret="wrong")
            self.assertEqual(impostor.popen.wait(15), 1, "a refused worker ends with an error")
            self.assertIn("invalid secret", impostor.log_text())
            status, _, body = harness.request(
                network.uris[0] + "/transcodeResults", "POST", b"forged",
                {"Authorization": "Livepeer-Transcoder-1.0", "Credentials": "wrong", "TaskId": "0", "Pixels": "1",
                 "Content-Type": "livepeer/transcoding-error"})
            self.assertEqual(status, 401, body)
            push_all(self, network, "honest", self.data, 2)
            impostor.stop()

    def misbehave(self, mode, segments=4):
        bad = harness.Process([mode], name=f"bad-{mode}", binary=BAD)
        try:
            uri = bad.line("ready ").split()[1]
            with harness.Network(1, 1, capacity=2, ai_capacity=0, extra_orchestrators=[uri]) as network:
                network.wait_usable(1)
                push_all(self, network, f"with-{mode}", self.data, segments, lanes=2)
                self.assertIsNone(network.gateway.popen.poll())
                return network.status()
        finally:
            bad.stop()

    def test_liar(self):
        self.misbehave("lie")

    def test_garbage(self):
        self.misbehave("garbage")

    def test_half_an_answer(self):
        self.misbehave("half")

    def test_noise(self):
        self.misbehave("noise")

    def test_hanging(self):
        started = time.monotonic()
        self.misbehave("hang", segments=2)
        self.assertLess(time.monotonic() - started, 45)

    def test_nobody_there(self):
        port = harness.free_port()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        gateway = harness.Process(["gateway", "--listen", "127.0.0.1:0", "--data", folder.name, "--orchestrators",
                                   f"https://127.0.0.1:{port}"], name="lonely")
        try:
            url = gateway.line("ready ").split()[1]
            config = json.dumps({"profiles": PROFILES})
            status, headers, body = harness.request(
                url + "/live/x/0.ts", "POST", self.data,
                {"Accept": "multipart/mixed", "Livepeer-Transcode-Configuration": config}, timeout=40)
            self.assertEqual(status, 503, body)
            self.assertIn("message", json.loads(body)["error"])
            self.assertIsNone(gateway.popen.poll(), "a gateway without orchestrators must not fall over")
        finally:
            gateway.stop()


if __name__ == "__main__":
    unittest.main()
