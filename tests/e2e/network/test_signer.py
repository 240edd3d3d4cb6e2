"""A signer as a process: who may ask, for how much, and what it tells nobody."""

import base64
import hashlib
import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from test_account import account
from test_payments import PRICE, PROFILES, ROUND_MS, SEGMENT_WEI, TICKET_EV, Books, balances, echo, wait, won
from test_upscale import multipart

KEY = "a caller's key"


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    """A protobuf field: a number, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def ticket_params(face_value=10**12, share=100):
    """Tickets that are worth a hundredth of their face value."""
    probability = (2**256 - 1) // share
    return (field(1, bytes(range(1, 21))) + field(2, face_value.to_bytes(6, "big").lstrip(b"\0"))
            + field(3, probability.to_bytes(32, "big").lstrip(b"\0")) + field(4, b"\x01" * 32) + field(5, b"\x02")
            + field(6, (1000).to_bytes(2, "big")) + field(7, field(1, 5) + field(2, b"\x03" * 32)))


def orchestrator_info(wei=1, units=1, token_seconds=1800):
    token = field(1, b"\x04" * 32) + field(2, b"session") + field(3, int(time.time()) + token_seconds)
    return (field(1, b"https://127.0.0.1:1") + field(2, ticket_params()) + field(3, field(1, wei) + field(2, units))
            + field(6, token))


class SignerTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="framegrid-signer-")))
        (self.folder / "password").write_text("correct horse\n")
        subprocess.run([harness.BINARY, "key", "new", self.folder / "node.key", "--password-file", self.folder / "password"],
                       check=True, capture_output=True)
        (self.folder / "callers.toml").write_text(
            f'[[caller]]\nname = "one"\nkey_sha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"\n'
            'price_max = "5/1"\nwei_per_day_max = "100000000000"\n')
        self.process = None

    def arguments(self, *more):
        return ["--log-level", "debug", "signer", "--key", str(self.folder / "node.key"), "--key-password-file",
                str(self.folder / "password"), "--data", str(self.folder / "data"), *map(str, more)]

    def start(self, *more):
        if self.process:
            self.process.kill(signal.SIGKILL)
            self.process.popen.wait()
        self.process = harness.Process(self.arguments("--listen", "127.0.0.1:0", *more), name="signer")
        self.addCleanup(self.process.stop)
        self.url = self.process.line("ready ").split()[1]

    def call(self, path, body=None, key=KEY, method="POST"):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        status, _, answer = harness.request(self.url + path, method, None if body is None else json.dumps(body), headers)
        return status, json.loads(answer)

    def tickets(self, count, first=1, price=1, key=KEY):
        return self.call("/sign-tickets", {"ticket_params": base64.b64encode(ticket_params()).decode(), "first_nonce": first,
                                           "count": count, "price": {"wei": price, "units": 1}}, key)

    def test_who_may_ask(self):
        self.start("--callers", self.folder / "callers.toml")
        for key in ("", "wrong", KEY + "x"):
            self.assertEqual(self.call("/sign-orchestrator-info", key=key)[0], 401)
        status, info = self.call("/sign-orchestrator-info")
        address = subprocess.check_output([harness.BINARY, "key", "show", self.folder / "node.key", "--password-file",
                                           self.folder / "password"], text=True).strip()
        self.assertEqual((status, info["address"], len(info["signature"])), (200, address, 132))
        self.assertEqual(self.call("/nothing")[0], 404)
        log = self.process.log_text()
        for secret in (KEY, "correct horse"):
            self.assertNotIn(secret, log)

    def test_limits_outlive_a_crash(self):
        self.start("--callers", self.folder / "callers.toml")
        # A ticket is worth about a tenth of the day's money.
        self.assertEqual(self.tickets(3)[0], 200)
        self.assertEqual(self.tickets(3, price=6)[0], 481)
        for _ in range(2):
            self.assertEqual(self.tickets(1)[0], 200)
        self.start("--callers", self.folder / "callers.toml")
        status, problem = self.tickets(6)
        self.assertEqual((status, problem["error"]["field"]), (403, "spend_limit"), problem)
        self.assertEqual(self.tickets(1, first=600)[0], 200)
        self.assertEqual(self.tickets(1, first=601)[0], 480)

    def test_the_networks_contract(self):
        self.start("--callers", self.folder / "callers.toml", "--orchestrators", "https://a.example:8935")
        info = base64.b64encode(orchestrator_info(wei=1)).decode()
        ask = {"orchestrator": info, "ManifestID": "m", "app": "a", "type": "live"}
        status, paid = self.call("/generate-live-payment", ask)
        self.assertEqual((status, sorted(paid)), (200, ["payment", "segCreds", "state"]), paid)
        state = json.loads(base64.b64decode(paid["state"]["State"]))
        self.assertEqual((state["SenderNonce"], state["Type"], state["AuthID"]), (1, "live", "one"))
        status, paid = self.call("/generate-live-payment", {**ask, "state": paid["state"]})
        self.assertEqual(status, 200, "a little less than a ticket's worth was left")
        status, _ = self.call("/generate-live-payment", {**ask, "state": paid["state"]})
        self.assertEqual(status, 482, "one ticket is worth more than these seconds")
        forged = {"State": base64.b64encode(json.dumps({**state, "Balance": "1000000"}).encode()).decode(),
                  "Sig": paid["state"]["Sig"]}
        self.assertEqual(self.call("/generate-live-payment", {**ask, "state": forged})[0], 400)
        dear = {**ask, "orchestrator": base64.b64encode(orchestrator_info(wei=6)).decode()}
        self.assertEqual(self.call("/generate-live-payment", dear)[0], 481)
        ceiling = {**ask, "orchestrator": base64.b64encode(orchestrator_info(wei=3)).decode(),
                   "maxPrice": {"price": 2, "currency": "wei", "unit": "seconds"}}
        self.assertEqual(self.call("/generate-live-payment", ceiling)[0], 481)
        for bad in ([1], {}, {"orchestrator": "!"}, {**ask, "type": "x"}, {**ask, "inPixels": -1}):
            self.assertEqual(self.call("/generate-live-payment", bad)[0], 400, bad)
        status, known = self.call("/discover-orchestrators", method="GET")
        self.assertEqual((status, known[0]["address"]), (200, "https://a.example:8935"))

    def test_refuses_to_sign_for_everybody(self):
        done = subprocess.run([harness.BINARY, *self.arguments("--listen", "0.0.0.0:0")], capture_output=True, text=True,
                              timeout=20, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--callers", done.stderr)

    def test_on_loopback_for_one_operator(self):
        self.start("--wei-per-day-max", "50000000000", "--price-max", "5")
        self.assertEqual(self.call("/sign-orchestrator-info", key="")[0], 200)
        self.assertEqual(self.tickets(3, key="")[0], 200)
        self.assertEqual(self.tickets(3, key="")[0], 403)
        self.assertEqual(self.call("/discover-orchestrators", method="GET", key="")[0], 503)

    def test_a_wrong_password(self):
        (self.folder / "password").write_text("battery staple\n")
        done = subprocess.run([harness.BINARY, *self.arguments("--listen", "127.0.0.1:0")], capture_output=True, text=True,
                              timeout=20, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertNotIn("battery", done.stderr)


class GatewayWithoutKeyTest(unittest.TestCase):
    """A gateway whose key is a signer's: jobs are paid and signed, and it says who must do what when they are not."""

    def setUp(self):
        self.books = Books()
        self.addCleanup(self.books.folder.cleanup)
        self.callers = self.books.path / "callers.toml"
        self.key_file = self.books.path / "caller.key"
        self.key_file.write_text(KEY + "\n")
        self.key_file.chmod(0o600)
        self.signer = None

    def start_signer(self, listen="127.0.0.1:0", **limits):
        lines = ["[[caller]]", 'name = "gateway"', f'key_sha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"']
        lines += [f'{name} = "{value}"' for name, value in limits.items()]
        self.callers.write_text("\n".join(lines) + "\n")
        self.signer = harness.Process(
            ["signer", "--key", str(self.books.key("gateway")), "--key-password-file", str(self.books.password),
             "--callers", str(self.callers), "--data", str(self.books.path / "signer"), "--listen", listen], name="signer")
        self.addCleanup(self.signer.stop)
        self.url = self.signer.line("ready ").split()[1]

    def kill_signer(self):
        self.signer.kill(signal.SIGKILL)
        self.signer.popen.wait()

    def network(self, *more, **options):
        return harness.Network(
            orchestrators=1, workers=1, orchestrator_args=self.books.seller,
            gateway_args=["--ledger", f"sqlite:{self.books.ledger}", "--ledger-round-ms", str(ROUND_MS), "--signer", self.url,
                          "--signer-key-file", str(self.key_file), *more], **options)

    def gateway_fails(self, *arguments, env=None):
        done = subprocess.run([harness.BINARY, "gateway", "--listen", "127.0.0.1:0", "--orchestrators", "https://127.0.0.1:1",
                               "--data", self.books.path / "none", *arguments], capture_output=True, text=True, timeout=40,
                              check=False, env={**os.environ, **(env or {})})
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    def calls(self, net, call, what="calls_total"):
        text = net.request("GET", "/metrics")[2].decode()
        return int(re.search(rf'^framegrid_signer_{what}{{call="{call}"}} (\d+)', text, re.M).group(1))

    def test_segments_and_ai_jobs_are_paid(self):
        self.start_signer()
        with self.network(log_level="debug") as net:
            self.books.fund("gateway")
            net.wait_usable()
            data = harness.segment(2, "426x240")
            segments, echos = 6, 20
            spent = 0
            for seq in range(segments):
                status, headers, body = net.push("show", seq, data, PROFILES)
                self.assertEqual(status, 200, body)
            for _ in range(echos):
                status, headers, body = echo(net)
                self.assertEqual(status, 200, body)
                spent += int(headers["x-framegrid-wei"])
            self.assertEqual(spent, echos * PRICE)
            picture = harness.clip("scene.png", ["-f", "lavfi", "-i", "testsrc2=size=96x64", "-frames:v", "1"]).read_bytes()
            body, kind = multipart({"prompt": "", "model_id": "framegrid/sr-2x"}, picture)
            for _ in range(2):
                status, headers, answer = net.request("POST", "/upscale", body, {"Content-Type": kind})
                self.assertEqual(status, 200, answer)
                self.assertGreater(int(headers["x-framegrid-wei"]), 0)
                spent += int(headers["x-framegrid-wei"])
            metrics = net.request("GET", "/metrics")[2].decode()
            fees = float(re.search(r"^framegrid_gateway_fees_wei_total (\S+)", metrics, re.M).group(1))
            self.assertEqual(fees, spent + segments * SEGMENT_WEI)
            self.assertEqual(self.calls(net, "segment"), segments + 2, "one for each segment, one for all AI jobs of a model")
            self.assertGreaterEqual(self.calls(net, "tickets"), segments)
            for call in ("info", "tickets", "segment"):
                self.assertEqual(self.calls(net, call, "errors_total"), 0)
            self.assertTrue(wait(lambda: won(self.books)[0] == won(self.books)[1] > 0, 40), won(self.books))
            net.gateway.kill(signal.SIGTERM)
            net.gateway.popen.wait(10)
            net.orchestrators[0].kill(signal.SIGTERM)
            net.orchestrators[0].popen.wait(10)
            # The two name models differently.
            ours = sorted(wei for _, wei in balances(net.gateway.log_text(), "gateway.balance"))
            self.assertEqual(len(ours), 3)
            self.assertEqual(ours, sorted(wei for _, wei in balances(net.orchestrators[0].log_text(), "orchestrator.balance")))
            for log in (net.gateway.log_text(), self.signer.log_text()):
                self.assertNotIn(KEY, log)

    def test_a_signer_that_dies_and_comes_back(self):
        self.start_signer()
        with self.network() as net:
            self.books.fund("gateway")
            net.wait_usable()
            data = harness.segment(2, "426x240")
            self.assertEqual(net.push("show", 0, data, PROFILES)[0], 200)
            for _ in range(2):
                self.assertEqual(echo(net)[0], 200)
            self.kill_signer()
            self.assertEqual(echo(net)[0], 200, "paid with credit, and the signature is known")
            answers = []
            waiting = threading.Thread(target=lambda: answers.append(net.push("show", 1, data, PROFILES)))
            waiting.start()
            time.sleep(1)
            self.start_signer(self.url.split("//")[1])
            waiting.join()
            self.assertEqual(answers[0][0], 200, answers[0][2])
            self.kill_signer()
            status, headers, body = net.push("show", 2, data, PROFILES)
            self.assertEqual((status, headers.get("retry-after")), (503, "1"), body)
            self.assertIn(b"the signer cannot be asked", body)
            self.assertFalse([node for node in net.status()["orchestrators"] if node["suspended"]])
            self.assertGreater(self.calls(net, "tickets", "errors_total"), 0)
            self.start_signer(self.url.split("//")[1])
            status, _, body = net.push("show", 3, data, PROFILES)
            self.assertEqual(status, 200, body)

    def test_receipts_are_signed_there(self):
        self.start_signer()
        folder = self.books.path / "receipts"
        with self.network("--receipts", str(folder)) as net:
            self.books.fund("gateway")
            net.wait_usable()
            for _ in range(5):
                self.assertEqual(echo(net)[0], 200)
            self.assertEqual(net.push("show", 0, harness.segment(2, "426x240"), PROFILES)[0], 200)
            net.gateway.kill(signal.SIGTERM)
            net.gateway.popen.wait(10)
            # A year later, for this book: the next receipt closes the hour that is over.
            next(folder.iterdir()).rename(folder / "2025-11-27T06.jsonl")
            net.restart_gateway()
            net.wait_usable()
            self.kill_signer()
            self.assertEqual(echo(net)[0], 503, "new tickets are due")
            self.start_signer(self.url.split("//")[1])
            self.assertEqual(echo(net)[0], 200)
            closed = folder / "2025-11-27T06.jsonl"
            self.assertTrue(wait(lambda: '"close"' in closed.read_text(), 20), closed.read_text())
            self.assertEqual(self.calls(net, "receipts"), 1)
            net.gateway.kill(signal.SIGTERM)
            net.gateway.popen.wait(10)
        found = json.loads(account("verify", str(folder), "--party", self.books.address("gateway")).stdout)
        self.assertEqual((found["hours"], found["receipts"], found["open_receipts"]), (1, 6, 1), found)

    def test_nobody_elses_receipts_are_signed(self):
        self.start_signer()
        request = {"Authorization": f"Bearer {KEY}"}
        other = {"id": "0" * 64, "at_ms": 1, "payer": "0x" + "1" * 40, "payee": "0x" + "2" * 40, "work": "transcoding",
                 "price": "1/1", "units": 1, "amount": "1", "model": "0" * 64, "input": "0" * 64, "output": "0" * 64}
        own = {**other, "payer": self.books.address("gateway").lower()}
        line = {name: json.dumps(value, separators=(",", ":")) + "\n" for name, value in (("own", own), ("other", other))}
        path = self.url + "/sign-receipts?hour=2026-11-27T06&previous=" + "0" * 64
        self.assertEqual(harness.request(path, "POST", line["own"], request)[0], 200)
        self.assertEqual(harness.request(path, "POST", line["own"] + line["other"], request)[0], 403)
        self.assertEqual(harness.request(path, "POST", line["own"], {})[0], 401)
        for body in ("", "x" * 100_000, line["own"].replace('"amount":"1"', '"amount":"2"'), line["own"][:-1]):
            self.assertEqual(harness.request(path, "POST", body, request)[0], 400, body[:50])

    def test_segments_of_hostile_form(self):
        self.start_signer()
        request = {"Authorization": f"Bearer {KEY}"}

        def ask(body):
            body = body if isinstance(body, str) else json.dumps(body)
            return harness.request(self.url + "/sign-segment", "POST", body, request)[0]

        good = {"manifest_id": "m", "seq": 1, "hash": "a" * 64, "profiles": ["p"]}
        self.assertEqual(ask(good), 200)
        for change in ({"seq": -1}, {"seq": 2**63}, {"seq": "1"}, {"hash": "a" * 63}, {"hash": 1}, {"manifest_id": "\x00"},
                       {"manifest_id": "m" * 2000}, {"profiles": ["p"] * 100}, {"profiles": {}}, {"profiles": ["\n"]}):
            self.assertEqual(ask({**good, **change}), 400, change)
        for body in ("", "[]", "{", "[" * 100_000, '"' + "x" * 300_000 + '"'):
            self.assertIn(ask(body), (400, 413), body[:20])
        self.assertEqual(ask(good), 200)

    def test_limits_reach_the_client(self):
        segment_tickets = SEGMENT_WEI // TICKET_EV + 1
        self.start_signer(wei_per_day_max=str(segment_tickets * TICKET_EV * 5 // 2))
        with self.network() as net:
            self.books.fund("gateway")
            net.wait_usable()
            data = harness.segment(2, "426x240")
            answers = [net.push("show", seq, data, PROFILES) for seq in range(4)]
            self.assertEqual([status for status, _, _ in answers], [200, 200, 403, 403], answers[-1][2])
            self.assertIn(b"raise the signer's limit, or wait until midnight UTC", answers[-1][2])
            self.kill_signer()
            self.start_signer(self.url.split("//")[1], price_max="1/2")
            status, _, body = net.push("other", 0, data, PROFILES)
            self.assertEqual(status, 403, body)
            self.assertIn(b"the signer refuses", body)
            self.assertFalse([node for node in net.status()["orchestrators"] if node["suspended"]])

    def test_what_is_wrong_is_said_at_the_start(self):
        self.start_signer()
        ledger = ("--ledger", f"sqlite:{self.books.ledger}")
        self.assertIn("does not know this gateway's key", self.gateway_fails("--signer", self.url, *ledger))
        self.assertIn("does not know this gateway's key",
                      self.gateway_fails("--signer", self.url, *ledger, env={"FRAMEGRID_SIGNER_KEY": "wrong"}))
        config = self.books.path / "gateway.toml"
        config.write_text(f'[gateway]\nsigner = "{self.url}"\nsigner-key-file = "{self.books.password}"\n')
        self.assertIn("does not know this gateway's key",
                      self.gateway_fails(*ledger, env={"FRAMEGRID_CONFIG": str(config)}))
        self.assertIn("does not know this gateway's key", self.gateway_fails(*ledger, env={"FRAMEGRID_SIGNER": self.url}))
        both = self.gateway_fails("--signer", self.url, "--key", str(self.books.key("gateway")))
        self.assertIn("excludes", both)
        self.assertIn("name it with --signer", self.gateway_fails("--signer-key-file", str(self.key_file)))

    def test_a_signer_of_live_sessions_only(self):
        self.start_signer()
        request = {"Authorization": f"Bearer {KEY}"}
        _, _, info = harness.request(self.url + "/sign-orchestrator-info", "POST", None, request)

        class Peer(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                known = self.path == "/sign-orchestrator-info"
                self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(200 if known else 404)
                self.end_headers()
                self.wfile.write(info if known else b"404 page not found")

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Peer) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            said = self.gateway_fails("--signer", f"http://127.0.0.1:{server.server_port}")
            server.shutdown()
        self.assertIn("has no call POST /sign-tickets", said)
        self.assertIn("/generate-live-payment", said)

    def test_the_doctor_asks_the_signer(self):
        self.start_signer()

        def findings(*arguments):
            done = subprocess.run([harness.BINARY, "doctor", "--json", "gateway", "--listen", "127.0.0.1:0", "--signer", self.url,
                                   *arguments], capture_output=True, text=True, timeout=60, check=False)
            return [one["check"] for one in json.loads(done.stdout)["findings"] if one["check"].startswith("signer")]

        good = ("--signer-key-file", str(self.key_file))
        self.assertEqual(findings(*good), [])
        self.assertEqual(findings(), ["signer-key"])
        self.kill_signer()
        self.assertEqual(findings(*good), ["signer-unreachable"])


if __name__ == "__main__":
    unittest.main()
