"""A signer as a process: who may ask, for how much, and what it tells nobody."""

import base64
import hashlib
import json
import pathlib
import signal
import subprocess
import tempfile
import unittest

import harness

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


def orchestrator_info(wei=1, units=1):
    return field(1, b"https://127.0.0.1:1") + field(2, ticket_params()) + field(3, field(1, wei) + field(2, units))


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


if __name__ == "__main__":
    unittest.main()
