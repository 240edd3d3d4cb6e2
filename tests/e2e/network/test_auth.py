"""Who may use a gateway: keys, scopes, limits, the operator's webhook and tokens, over real processes."""

import base64
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import re
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

import harness

PICTURE = {"pipeline": "text-to-image", "parameters": {"prompt": "a red circle", "num_inference_steps": 4}}
AUDIENCE = "framegrid-test"


def call(network, key, method, path, body=None, headers=None):
    """(status, headers, JSON or bytes) of a request that shows `key`."""
    text = body if isinstance(body, (bytes, type(None))) else json.dumps(body)
    shown = {"Authorization": f"Bearer {key}"} if key else {}
    status, fields, answer = network.request(method, path, text, {**shown, **(headers or {})})
    is_json = "json" in fields.get("content-type", "")
    return status, fields, json.loads(answer) if answer and is_json else answer


class AuthNetwork(harness.Network):
    """A network whose gateway asks for keys; the operators' pages are on a port of their own."""

    def __init__(self, *gateway_args, workers=1):
        self.admin = f"http://127.0.0.1:{harness.free_port()}"
        super().__init__(workers=workers, ai_capacity=1, log_level="debug", gateway_args=[
            "--admin-listen", self.admin.removeprefix("http://"), "--fetch-anywhere", *gateway_args])

    def status(self):
        return json.loads(harness.request(self.admin + "/status")[2])

    def keys(self, *arguments, check=True):
        """The command line's answer."""
        done = subprocess.run(
            [str(harness.BINARY), "--json", "keys", arguments[0], "--data", self.data.name, *arguments[1:]],
            capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def key(self, *arguments):
        """A new key that works already."""
        made = self.keys("create", *arguments)
        self.wait_for(made["key"], lambda status: status != 401)
        return made["key"]

    def wait_for(self, key, wanted, timeout=3):
        """Seconds until the gateway treats the key as wanted."""
        began = time.monotonic()
        while not wanted(call(self, key, "GET", "/v1/jobs?limit=1")[0]):
            assert time.monotonic() - began < timeout, "the gateway does not notice"
            time.sleep(0.02)
        return time.monotonic() - began


class KeysTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.network = cls.enterClassContext(AuthNetwork("--auth", "keys", "--cors-origin", "https://app.example"))
        cls.network.wait_usable()
        cls.alice = cls.network.key("--name", "alice's", "--owner", "alice")
        cls.bob = cls.network.key("--owner", "bob")

    def refused(self, answer, status, code):
        self.assertEqual(answer[0], status, answer)
        self.assertEqual(answer[1]["content-type"], "application/problem+json")
        self.assertEqual(answer[2]["code"], code)
        self.assertIn("trace_id", answer[2])
        return answer

    def test_a_key_is_wanted(self):
        network = self.network
        answer = self.refused(call(network, None, "GET", "/v1/jobs"), 401, "unauthorized")
        self.assertEqual(answer[1]["www-authenticate"], 'Bearer realm="framegrid"')
        for path in ("/text-to-image", "/upscale", "/echo", "/v1/jobs", "/v1/artifacts", "/live/a/0.ts"):
            self.refused(call(network, None, "POST", path, b"{}"), 401, "unauthorized")
        wrong = self.alice[:-1] + ("0" if self.alice[-1] != "0" else "1")
        answer = self.refused(call(network, wrong, "GET", "/v1/jobs"), 401, "unauthorized")
        self.assertIn("mistyped", answer[2]["detail"])
        self.assertEqual(call(network, self.alice, "GET", "/v1/jobs")[0], 200)
        status, _, _ = network.request("GET", "/v1/jobs", None, {"X-API-Key": self.alice})
        self.assertEqual(status, 200)

    def test_what_is_open(self):
        for path, status in (("/healthz", 200), ("/", 200), ("/stream/none.m3u8", 404), ("/status", 404),
                             ("/metrics", 404)):
            self.assertEqual(self.network.request("GET", path)[0], status, path)
        self.assertEqual(harness.request(self.network.admin + "/healthz")[0], 200)
        status, _, text = harness.request(self.network.admin + "/metrics")
        self.assertEqual(status, 200)
        self.assertIn(b'framegrid_rest_turned_away_total{reason="unauthorized"}', text)
        self.assertEqual(harness.request(self.network.admin + "/v1/jobs")[0], 404)

    def test_status_says_where_it_is(self):
        ask = lambda url: subprocess.run([str(harness.BINARY), "status", "--gateway", url], capture_output=True,
                                         text=True, check=False, timeout=30)
        self.assertEqual(ask(self.network.admin).returncode, 0)
        refused = ask(self.network.url)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("--admin-listen", refused.stderr)

    def test_jobs_and_files_of_others_do_not_exist(self):
        network = self.network
        status, _, job = call(network, self.alice, "POST", "/v1/jobs", PICTURE, {"Prefer": "wait=60"})
        self.assertEqual((status, job["state"]), (200, "succeeded"), job)
        file = call(network, self.alice, "POST", "/v1/artifacts", b"secret")[2]["id"]
        picture = job["outputs"][0]["artifact"]
        paths = [("GET", f"/v1/jobs/{job['id']}"), ("GET", f"/v1/jobs/{job['id']}/events"),
                 ("GET", f"/v1/jobs/{job['id']}/deliveries"), ("DELETE", f"/v1/jobs/{job['id']}"),
                 ("POST", f"/v1/jobs/{job['id']}/cancel")]
        for one in (file, picture):
            paths += [("GET", f"/v1/artifacts/{one}"), ("GET", f"/v1/artifacts/{one}/content"),
                      ("DELETE", f"/v1/artifacts/{one}")]
        for method, path in paths:
            self.refused(call(network, self.bob, method, path), 404, "not_found")
        self.assertNotIn(job["id"], json.dumps(call(network, self.bob, "GET", "/v1/jobs")[2]))
        self.assertNotIn(file, json.dumps(call(network, self.bob, "GET", "/v1/artifacts")[2]))
        stolen = {"pipeline": "echo", "inputs": {"data": file}}
        status, _, failed = call(network, self.bob, "POST", "/v1/jobs", stolen, {"Prefer": "wait=30"})
        self.assertEqual(failed["state"], "failed", failed)
        same = {"pipeline": "echo", "idempotency_key": "one"}
        first = call(network, self.alice, "POST", "/v1/jobs", same)[2]["id"]
        self.assertNotEqual(call(network, self.bob, "POST", "/v1/jobs", same)[2]["id"], first)
        # The owner, with another of its keys, and an operator see them.
        other = network.key("--owner", "alice", "--scopes", "jobs:read,artifacts:read")
        admin = network.key("--owner", "operator", "--scopes", "admin")
        for key in (self.alice, other, admin):
            self.assertEqual(call(network, key, "GET", f"/v1/jobs/{job['id']}")[0], 200)
            self.assertEqual(call(network, key, "GET", f"/v1/artifacts/{file}/content")[2], b"secret")
        self.assertIn(job["id"], json.dumps(call(network, admin, "GET", "/v1/jobs?limit=200")[2]))

    def test_scopes(self):
        network = self.network
        reader = network.key("--owner", "alice", "--scopes", "jobs:read")
        self.assertEqual(call(network, reader, "GET", "/v1/jobs")[0], 200)
        for method, path, scope in (("POST", "/v1/jobs", "jobs:write"), ("POST", "/text-to-image", "jobs:write"),
                                    ("GET", "/v1/artifacts", "artifacts:read"),
                                    ("POST", "/v1/artifacts", "artifacts:write"),
                                    ("DELETE", "/v1/artifacts/x", "artifacts:write"),
                                    ("DELETE", "/v1/jobs/x", "jobs:write"), ("PUT", "/live/a/0.ts", "live:write")):
            answer = self.refused(call(network, reader, method, path, b"{}"), 403, "forbidden")
            self.assertIn(scope, answer[2]["detail"])
            self.assertIn(f'error="insufficient_scope", scope="{scope}"', answer[1]["www-authenticate"])

    def test_live_segments(self):
        data = harness.segment(1, "320x180")
        profiles = [{"name": "low", "width": 160, "height": 90, "bitrate": 100_000, "fps": 0}]
        push = lambda key, seq: self.network.push(
            "cam-auth", seq, data, profiles, duration_ms=1000, headers={"Authorization": f"Bearer {key}"})[0]
        self.assertEqual(push(self.alice, 0), 200)
        self.assertEqual(push(self.bob, 1), 403, "somebody else's stream")
        self.assertEqual(push(self.alice, 1), 200)
        self.assertEqual(self.network.request("GET", "/stream/cam-auth.m3u8")[0], 200, "players send no key")

    def test_a_key_ends_while_the_gateway_runs(self):
        network = self.network
        made = network.keys("create", "--owner", "carol")
        took = network.wait_for(made["key"], lambda status: status == 200)
        self.assertLess(took, 2)
        network.keys("revoke", made["id"])
        self.assertLess(network.wait_for(made["key"], lambda status: status == 401), 2)
        self.assertIn("revoked", call(network, made["key"], "GET", "/v1/jobs")[2]["detail"])
        short = network.keys("create", "--owner", "carol", "--expires", "2s")["key"]
        network.wait_for(short, lambda status: status == 200)
        network.wait_for(short, lambda status: status == 401)
        self.assertIn("expired", call(network, short, "GET", "/v1/jobs")[2]["detail"])
        network.restart_gateway()
        network.wait_usable()
        self.assertEqual(call(network, made["key"], "GET", "/v1/jobs")[0], 401)
        self.assertEqual(call(network, self.alice, "GET", "/v1/jobs")[0], 200)

    def test_rotation(self):
        network = self.network
        old = network.keys("create", "--owner", "dave", "--scopes", "jobs:read", "--requests-per-minute", "900")
        new = network.keys("rotate", old["id"], "--grace", "2s")
        self.assertEqual([new[name] for name in ("owner", "scopes", "limits")],
                         [old[name] for name in ("owner", "scopes", "limits")])
        network.wait_for(new["key"], lambda status: status == 200)
        self.assertEqual(call(network, old["key"], "GET", "/v1/jobs")[0], 200, "both work for a while")
        network.wait_for(old["key"], lambda status: status == 401)
        self.assertEqual(call(network, new["key"], "GET", "/v1/jobs")[0], 200)
        self.assertEqual(network.keys("show", old["id"])["state"], "revoked")
        again = network.keys("rotate", old["id"], check=False)
        self.assertEqual(again["error"]["field"], "id")

    def test_rate_limit(self):
        key = self.network.key("--owner", "erin", "--requests-per-minute", "20")
        answers = [call(self.network, key, "GET", "/v1/jobs") for _ in range(25)]
        good = [fields for status, fields, _ in answers if status == 200]
        self.assertIn(len(good), (19, 20))  # one was used for waiting until it worked
        self.assertEqual(good[0]["ratelimit-policy"], '"minute";q=20;w=60')
        left = [int(re.fullmatch(r'"minute";r=(\d+);t=\d+', fields["ratelimit"])[1]) for fields in good]
        self.assertEqual(left, sorted(left, reverse=True))
        self.assertEqual(left[-1], 0)
        status, fields, problem = self.refused(answers[-1], 429, "capacity")
        self.assertIn(int(fields["retry-after"]), (1, 2, 3))
        self.assertEqual(problem["field"], "requests_per_minute")
        time.sleep(int(fields["retry-after"]))
        self.assertEqual(call(self.network, key, "GET", "/v1/jobs")[0], 200)
        self.assertEqual(call(self.network, self.alice, "GET", "/v1/jobs")[0], 200)

    def test_requests_at_once(self):
        key = self.network.key("--owner", "frank", "--concurrent-jobs", "1")
        parts = urllib.parse.urlsplit(self.network.url)
        slow = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        slow.putrequest("POST", "/echo")
        slow.putheader("Authorization", f"Bearer {key}")
        slow.putheader("Content-Length", "4")
        slow.endheaders(b"ab")
        end = time.monotonic() + 5
        while True:
            answer = call(self.network, key, "POST", "/echo", b"x")
            if answer[0] == 429 or time.monotonic() > end:
                break
        self.refused(answer, 429, "capacity")
        self.assertIn("retry-after", answer[1])
        self.assertEqual(call(self.network, self.bob, "POST", "/echo", b"x")[0], 200)
        self.assertEqual(call(self.network, key, "GET", "/v1/jobs")[0], 200, "looking is no job")
        slow.send(b"cd")
        response = slow.getresponse()
        self.assertEqual((response.status, response.read()), (200, b"abcd"))
        slow.close()
        self.assertEqual(call(self.network, key, "POST", "/echo", b"x")[0], 200)

    def test_durable_jobs_at_once_and_in_the_queue(self):
        key = self.network.key("--owner", "grace", "--concurrent-jobs", "1", "--queued-jobs", "2")
        slow = {"pipeline": "text-to-image", "parameters": {"prompt": "a blue square", "num_inference_steps": 100}}
        jobs, refusals = [], []
        for _ in range(8):
            status, fields, job = call(self.network, key, "POST", "/v1/jobs", slow)
            (jobs if status == 202 else refusals).append(job)
            self.assertIn(status, (202, 429))
            time.sleep(0.05)
        self.assertTrue(refusals, jobs)
        self.assertEqual(refusals[0]["field"], "queued_jobs")
        states = [call(self.network, key, "GET", f"/v1/jobs/{job['id']}")[2]["state"] for job in jobs]
        self.assertLessEqual(states.count("running"), 1, states)
        for job in jobs:
            call(self.network, key, "DELETE", f"/v1/jobs/{job['id']}")

    def test_pages_of_other_origins(self):
        wanted = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST",
                  "Access-Control-Request-Headers": "authorization, content-type"}
        status, fields, _ = self.network.request("OPTIONS", "/v1/jobs", None, wanted)
        self.assertEqual(status, 204, "a preflight shows no key")
        self.assertEqual(fields["access-control-allow-origin"], "https://app.example")
        self.assertIn("POST", fields["access-control-allow-methods"])
        self.assertIn("authorization", fields["access-control-allow-headers"])
        _, fields, _ = call(self.network, self.alice, "GET", "/v1/jobs", None, {"Origin": "https://app.example"})
        self.assertEqual(fields["access-control-allow-origin"], "https://app.example")
        self.assertIn("ratelimit", fields["access-control-expose-headers"])
        _, fields, _ = call(self.network, self.alice, "GET", "/v1/jobs", None, {"Origin": "https://evil.example"})
        self.assertNotIn("access-control-allow-origin", fields)

    def test_the_command_line_shows_its_key(self):
        with tempfile.TemporaryDirectory() as folder:
            command = [str(harness.BINARY), "text-to-image", "a red circle", "-o", f"{folder}/a.png", "--gateway",
                       self.network.url, "--steps", "4"]
            env = {**os.environ, "FRAMEGRID_API_KEY": self.alice}
            done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            self.assertNotEqual(done.returncode, 0)

    def test_records(self):
        network = self.network
        made = network.keys("create", "--name", "x", "--scopes", "admin", "--wei-per-day", "10" + "0" * 24)
        shown = network.keys("show", made["id"])
        self.assertNotIn("key", shown)
        self.assertEqual(shown["limits"], {"wei_per_day": "10" + "0" * 24})
        self.assertEqual(shown["owner"], "key_" + made["id"])
        self.assertRegex(made["key"], r"^fg_[0-9a-f]{16}_[0-9a-f]{72}$")
        self.assertEqual(made["key"][-8:], hashlib.sha256(made["key"][:-8].encode()).hexdigest()[:8])
        self.assertIn(made["id"], [one["id"] for one in network.keys("ls")["data"]])
        for arguments, field in ((["create", "--scopes", "all"], "scopes"), (["create", "--owner", "a b"], "owner"),
                                 (["create", "--expires", "soon"], "expires"), (["show", "none"], "id"),
                                 (["create", "--wei-total", "-1"], "wei-total")):
            self.assertEqual(network.keys(*arguments, check=False)["error"]["field"], field)

    def test_no_key_is_written_anywhere(self):
        call(self.network, self.alice, "GET", "/v1/jobs/none")
        call(self.network, self.alice[:-1] + "x", "POST", "/v1/jobs", {"pipeline": 1})
        secret = self.alice.split("_")[2][:64]
        log = self.network.gateway.log_text()
        self.assertIn("rest.request_answered", log)
        self.assertIn("key=" + self.alice.split("_")[1], log, "logs say which key it was")
        self.assertNotIn(secret, log)
        for path in pathlib.Path(self.network.data.name).rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                self.assertNotIn(secret.encode(), content, path)
                self.assertNotIn(bytes.fromhex(secret), content, path)


class ListenTest(unittest.TestCase):
    def gateway(self, *arguments):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        process = harness.Process(["gateway", "--orchestrators", "http://127.0.0.1:1", "--data", folder, *arguments])
        self.addCleanup(process.stop)
        return process

    def test_public_addresses_need_a_choice(self):
        refused = self.gateway("--listen", "0.0.0.0:0")
        self.assertEqual(refused.popen.wait(20), 1)
        self.assertIn("--auth", refused.log_text())
        opened = self.gateway("--listen", "0.0.0.0:0", "--auth", "none")
        opened.line("ready ")
        self.assertIn("gateway.open_to_everybody", opened.log_text())
        kept = self.gateway("--listen", "0.0.0.0:0", "--auth", "keys", "--admin-listen", "none")
        url = kept.line("ready ").split()[1]
        self.assertEqual(harness.request(url + "/v1/jobs")[0], 401)

    def test_wrong_choices(self):
        for arguments, field in ((["--auth", "webhook"], "auth-webhook"), (["--auth", "jwt"], "jwt-issuer"),
                                 (["--auth", "jwt", "--jwt-issuer", "https://id.example"], "jwt-audience"),
                                 (["--auth", "jwt", "--jwt-issuer", "http://id.example", "--jwt-audience", "a"],
                                  "jwt-jwks"),
                                 (["--cors-origin", "app.example"], "cors-origin"),
                                 (["--admin-listen", "nowhere"], "admin-listen")):
            refused = self.gateway("--listen", "127.0.0.1:0", *arguments)
            self.assertEqual(refused.popen.wait(20), 1, arguments)
            self.assertIn(f"({field})", refused.log_text())


class Service(http.server.ThreadingHTTPServer):
    """Answers with what a function of (method, path, body) says: a status and an object."""

    def __init__(self, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(handler):
                size = int(handler.headers.get("content-length", 0))
                status, value = answer(handler.command, handler.path, handler.rfile.read(size))
                text = b"" if value is None else json.dumps(value).encode()
                handler.send_response(status)
                handler.send_header("content-length", str(len(text)))
                handler.end_headers()
                handler.wfile.write(text)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class WebhookTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.asked = []
        cls.service = Service(cls.decide)
        cls.addClassCleanup(cls.service.server_close)
        cls.addClassCleanup(cls.service.shutdown)
        cls.network = cls.enterClassContext(AuthNetwork(
            "--auth", "webhook", "--auth-webhook", cls.service.url + "/auth", "--auth-webhook-cache", "2"))
        cls.network.wait_usable()

    @classmethod
    def decide(cls, _method, _path, body):
        asked = json.loads(body)
        cls.asked.append(asked)
        key = asked["key"]
        if asked["path"].startswith("/live/") and not key:
            return (200, None) if "/good/" in asked["url"] else (403, None)
        if key == "broken":
            return 200, {"scopes": "jobs:read"}
        if key == "failing":
            return 500, None
        if key == "limited":
            return 200, {"owner": "lee", "scopes": ["jobs:read"], "limits": {"requests_per_minute": 3}}
        return (200, {"owner": key}) if key in ("ann", "ben") else (401 if key == "unknown" else 403, None)

    def jobs(self, key):
        return call(self.network, key, "GET", "/v1/jobs")

    def test_decisions(self):
        self.assertEqual(self.jobs("ann")[0], 200)
        asked = self.asked[-1]
        self.assertEqual([asked[name] for name in ("method", "path", "key")], ["GET", "/v1/jobs", "ann"])
        self.assertEqual(self.jobs("unknown")[0], 401)
        self.assertEqual(self.jobs("banned")[0], 403)
        for key in ("broken", "failing"):
            status, fields, _ = self.jobs(key)
            self.assertEqual(status, 503, "nobody gets in by a service that fails")
            self.assertIn("retry-after", fields)
        count = len(self.asked)
        self.assertEqual(self.jobs(None)[0], 401)
        self.assertEqual(len(self.asked), count, "no key, no question")
        job = call(self.network, "ann", "POST", "/v1/jobs", {"pipeline": "echo"})[2]["id"]
        self.assertEqual(call(self.network, "ann", "GET", f"/v1/jobs/{job}")[0], 200)
        self.assertEqual(call(self.network, "ben", "GET", f"/v1/jobs/{job}")[0], 404)

    def test_limits(self):
        statuses = [self.jobs("limited")[0] for _ in range(5)]
        self.assertEqual(statuses, [200, 200, 200, 429, 429])
        self.assertEqual(call(self.network, "limited", "POST", "/v1/jobs", {"pipeline": "echo"})[0], 403)

    def test_answers_are_kept_for_a_while(self):
        before = len([one for one in self.asked if one["key"] == "ben"])
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            self.jobs("ben")
        self.assertLessEqual(len([one for one in self.asked if one["key"] == "ben"]) - before, 2)
        time.sleep(2)
        self.jobs("ben")
        self.assertGreaterEqual(len([one for one in self.asked if one["key"] == "ben"]) - before, 2)

    def test_the_form_that_live_gateways_know(self):
        data = harness.segment(1, "320x180")
        profiles = [{"name": "low", "width": 160, "height": 90, "bitrate": 100_000, "fps": 0}]
        self.assertEqual(self.network.push("good", 0, data, profiles, duration_ms=1000)[0], 200)
        self.assertTrue(self.asked[-1]["url"].endswith("/live/good/0.ts"))
        self.assertEqual(self.network.push("bad", 0, data, profiles, duration_ms=1000)[0], 403)


class Issuer:
    """An identity provider: keys made by OpenSSL, discovery and a key set over HTTP, tokens on request."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.keys = {}
        self.fetches = 0
        self.service = Service(self.answer)
        self.url = self.service.url

    def answer(self, _method, path, _body):
        if path == "/.well-known/openid-configuration":
            return 200, {"issuer": self.url, "jwks_uri": self.url + "/keys"}
        self.fetches += 1
        return 200, {"keys": [jwk for _, jwk in self.keys.values()]}

    def openssl(self, *arguments, data=None):
        return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout

    def add(self, kid, algorithm):
        file = f"{self.folder.name}/{kid}.pem"
        kind = {"RS256": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "EdDSA": ["ED25519"],
                "ES256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]}[algorithm]
        self.openssl("genpkey", "-algorithm", *kind, "-out", file)
        public = self.openssl("pkey", "-in", file, "-pubout", "-outform", "DER")
        jwk = {"kid": kid, "use": "sig", "alg": algorithm}
        if algorithm == "RS256":
            modulus = self.openssl("rsa", "-in", file, "-noout", "-modulus").decode().strip().split("=")[1]
            jwk |= {"kty": "RSA", "n": self.text(bytes.fromhex(modulus)), "e": "AQAB"}
        elif algorithm == "ES256":
            jwk |= {"kty": "EC", "crv": "P-256", "x": self.text(public[-64:-32]), "y": self.text(public[-32:])}
        else:
            jwk |= {"kty": "OKP", "crv": "Ed25519", "x": self.text(public[-32:])}
        self.keys[kid] = (file, jwk)

    @staticmethod
    def text(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    def claims(self, **more):
        now = int(time.time())
        return {"iss": self.url, "aud": AUDIENCE, "sub": "alice", "exp": now + 300, "nbf": now - 10,
                "scope": "jobs:read jobs:write artifacts:read", **more}

    def token(self, kid, claims=None, header=None):
        file, jwk = self.keys[kid]
        head = header or {"alg": jwk["alg"], "kid": kid, "typ": "JWT"}
        text = ".".join(self.text(json.dumps(part).encode()) for part in (head, claims or self.claims()))
        if jwk["alg"] == "EdDSA":
            data = pathlib.Path(self.folder.name, "data")
            data.write_text(text)
            signature = self.openssl("pkeyutl", "-sign", "-rawin", "-inkey", file, "-in", str(data))
        else:
            signature = self.openssl("dgst", "-sha256", "-sign", file, data=text.encode())
        if jwk["alg"] == "ES256":
            signature = self.raw(signature)
        return text + "." + self.text(signature)

    @staticmethod
    def raw(der):
        """r and s, 32 bytes each, of a DER signature."""
        out, at = b"", 2
        for _ in range(2):
            size = der[at + 1]
            out += der[at + 2:at + 2 + size].lstrip(b"\0").rjust(32, b"\0")
            at += 2 + size
        return out

    def close(self):
        self.service.shutdown()
        self.service.server_close()
        self.folder.cleanup()


class TokensTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.issuer = Issuer()
        cls.addClassCleanup(cls.issuer.close)
        for kid, algorithm in (("r", "RS256"), ("e", "ES256"), ("d", "EdDSA")):
            cls.issuer.add(kid, algorithm)
        cls.network = cls.enterClassContext(AuthNetwork(
            "--auth", "jwt", "--jwt-issuer", cls.issuer.url, "--jwt-audience", AUDIENCE))
        cls.network.wait_usable()

    def jobs(self, token):
        return call(self.network, token, "GET", "/v1/jobs")

    def test_each_algorithm(self):
        for kid in ("r", "e", "d"):
            token = self.issuer.token(kid)
            self.assertEqual(self.jobs(token)[0], 200, kid)
            head, claims, signature = token.split(".")
            other = self.issuer.text(json.dumps(self.issuer.claims(sub="mallory")).encode())
            self.assertEqual(self.jobs(f"{head}.{other}.{signature}")[0], 401, kid)

    def test_claims(self):
        now = int(time.time())
        for wrong in ({"iss": "https://other.example"}, {"aud": "other"}, {"exp": now - 60}, {"nbf": now + 60},
                      {"sub": ""}):
            status, fields, problem = self.jobs(self.issuer.token("d", self.issuer.claims(**wrong)))
            self.assertEqual(status, 401, wrong)
            self.assertIn('error="invalid_token"', fields["www-authenticate"])
            self.assertEqual(problem["field"], next(iter(wrong)))
        token = self.issuer.token("d", self.issuer.claims(framegrid_limits={"requests_per_minute": 1}, sub="slow"))
        self.assertEqual([self.jobs(token)[0] for _ in range(2)], [200, 429])

    def test_scopes_and_owners(self):
        alice, bob = (self.issuer.token("e", self.issuer.claims(sub=name)) for name in ("alice", "bob"))
        status, _, job = call(self.network, alice, "POST", "/v1/jobs", {"pipeline": "echo"})
        self.assertEqual(status, 202, job)
        self.assertEqual(call(self.network, alice, "GET", f"/v1/jobs/{job['id']}")[0], 200)
        self.assertEqual(call(self.network, bob, "GET", f"/v1/jobs/{job['id']}")[0], 404)
        status, _, problem = call(self.network, alice, "POST", "/v1/artifacts", b"x")
        self.assertEqual(status, 403)
        self.assertIn("artifacts:write", problem["detail"])

    def test_confused_algorithms(self):
        _, jwk = self.issuer.keys["r"]
        for header in ({"alg": "none", "kid": "r"}, {"alg": "HS256", "kid": "r"}, {"alg": "EdDSA", "kid": "r"},
                       {"alg": "RS256"}, {"kid": "r"}):
            self.assertEqual(self.jobs(self.issuer.token("r", header=header))[0], 401, header)
        unsigned = ".".join(self.issuer.text(json.dumps(part).encode())
                            for part in ({"alg": "none"}, self.issuer.claims())) + "."
        self.assertEqual(self.jobs(unsigned)[0], 401)
        for garbage in ("x", "a.b.c", "..", "." * 5000):
            self.assertEqual(self.jobs(garbage)[0], 401)

    def test_keys_are_rotated(self):
        self.issuer.add("next", "ES256")
        token = self.issuer.token("next")
        end = time.monotonic() + 10
        while self.jobs(token)[0] != 200:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.5)
        before = self.issuer.fetches
        for _ in range(20):
            self.jobs(self.issuer.token("d", header={"alg": "EdDSA", "kid": "made-up"}))
        self.assertLessEqual(self.issuer.fetches - before, 1, "strangers cannot make the gateway ask on and on")


class KeySetFileTest(unittest.TestCase):
    def test_a_file_instead_of_a_url(self):
        issuer = Issuer()
        self.addCleanup(issuer.close)
        issuer.add("d", "EdDSA")
        file = pathlib.Path(issuer.folder.name, "keys.json")
        file.write_text(json.dumps({"keys": [issuer.keys["d"][1]]}))
        with AuthNetwork("--auth", "jwt", "--jwt-issuer", issuer.url, "--jwt-audience", AUDIENCE, "--jwt-jwks",
                         str(file), workers=0) as network:
            self.assertEqual(call(network, issuer.token("d"), "GET", "/v1/jobs")[0], 200)
            self.assertEqual(issuer.fetches, 0)


if __name__ == "__main__":
    unittest.main()
