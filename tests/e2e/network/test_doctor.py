"""framegrid doctor: finds each of many seeded faults, and none on nodes that are well."""

import base64
import concurrent.futures
import contextlib
import http.server
import json
import os
import pathlib
import resource
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest

import harness

SECRET = {"FRAMEGRID_SECRET": "a secret"}
MODELS = harness.ROOT / "models"


def doctor(*arguments, env=None, files_max=None):
    """(exit status, findings by check, what it printed)."""
    limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))) if files_max else None
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FRAMEGRID_", "AWS_"))}
    done = subprocess.run([str(harness.BINARY), "doctor", "--json", *map(str, arguments)], capture_output=True, text=True,
                          timeout=30, check=False, env={**clean, **(env or {})}, preexec_fn=limit)
    findings = json.loads(done.stdout).get("findings", []) if done.stdout.startswith("{") else []
    return done.returncode, {one["check"]: one for one in findings}, done.stdout + done.stderr


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers as the first part of the path says."""

    def do_GET(self):
        kind = self.path.split("/")[1]
        body = {"list": b'[{"address": "' + self.server.peer.encode() + b'"}]', "none": b"[]", "late": b"[]",
                "text": b"hello"}.get(kind, b"")
        self.send_response_only({"broken": 500, "missing": 404}.get(kind, 200))
        self.send_header("Date", "Sun, 06 Nov 1994 08:49:37 GMT" if kind == "late" else self.date_time_string())
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def make_files(folder, peer):
    """Everything that a healthy node needs, and what a broken one has instead of it."""
    def write(name, text, mode=0o600):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    def certificate(name, *times, host="node.example"):
        times = times or ("-days", "365")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                        folder / f"{name}.key", "-out", folder / f"{name}.pem", "-subj", "/CN=x", "-addext",
                        f"subjectAltName=DNS:{host}", *times], check=True, capture_output=True)

    write("password", "correct horse\n")
    write("wrong-password", "wrong\n")
    write("open-password", "correct horse\n", 0o644)
    write("empty", "")
    write("secret", "whsec_" + base64.b64encode(b"x" * 24).decode() + "\n")
    write("no-whsec", "hello\n")
    subprocess.run([harness.BINARY, "key", "new", folder / "node.key", "--password-file", folder / "password"], check=True,
                   capture_output=True)
    shutil.copy(folder / "node.key", folder / "open.key")
    (folder / "open.key").chmod(0o644)
    write("text.key", "hello")
    certificate("good")
    certificate("other")
    certificate("expired", "-not_before", "20200101000000Z", "-not_after", "20210101000000Z")
    certificate("early", "-not_before", "20900101000000Z", "-not_after", "20910101000000Z")
    certificate("soon", "-days", "3")
    write("garbage.pem", "hello")
    shutil.copy(folder / "good.key", folder / "open-tls.key")
    (folder / "open-tls.key").chmod(0o644)
    (folder / "data").mkdir()
    write("damaged/jobs.sqlite", "hello, I am no database")
    write("torn/jobs.sqlite", b"SQLite format 3\0" + b"\x10\x00\x01\x01" + b"\xff" * 5000)
    write("open-secret/webhook.secret", "whsec_x\n", 0o644)
    write("empty-secret/url.secret", "")
    write("objects-file/objects", "")
    (folder / "no-models").mkdir()
    for kind in ("whole", "damaged", "missing", "unusable"):
        shutil.copytree(MODELS / "framegrid" / "sr-2x", folder / f"{kind}-models/framegrid/sr-2x")
    networks = {kind: next((folder / f"{kind}-models/framegrid/sr-2x").glob("*.onnx")) for kind in ("damaged", "missing")}
    content = bytearray(networks["damaged"].read_bytes())
    content[len(content) // 2] ^= 1
    networks["damaged"].chmod(0o644)
    networks["damaged"].write_bytes(content)
    networks["missing"].unlink()
    write("unusable-models/framegrid/sr-2x/model.toml", "id = 3 [")
    write("good.toml", f'[gateway]\nlisten = "127.0.0.1:0"\norchestrators = "{peer}"\ndata = "{folder}/data"\n')
    write("syntax.toml", "[gateway\n")
    write("unknown-option.toml", '[gateway]\norchestrator = "x"\n')
    write("unknown-section.toml", '[gatewy]\nlisten = "x"\n')
    write("bad-value.toml", "[gateway]\nattempts = 1000\n")
    write("jwks.json", '{"keys": "none"}')


class DoctorTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="framegrid-doctor-")))
        cls.network = cls.enterClassContext(harness.Network(workers=0))
        cls.peer = cls.network.uris[0]
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        server.peer = cls.peer
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cls.addClassCleanup(server.server_close)
        cls.addClassCleanup(server.shutdown)
        cls.http = f"http://127.0.0.1:{server.server_address[1]}"
        cls.silent = cls.enterClassContext(contextlib.closing(socket.create_server(("127.0.0.1", 0))))
        make_files(cls.folder, cls.peer)

    def gateway(self, *more, peers=None):
        peers = ["--orchestrators", self.peer] if peers is None else peers
        return ["gateway", "--listen", "127.0.0.1:0", "--data", self.folder / "data", *peers, *more]

    def worker(self, *more):
        return ["worker", "--orchestrators", self.peer, "--models", self.folder / "whole-models", *more]

    def test_healthy_nodes_have_no_findings(self):
        f = self.folder
        running = ["gateway", "--listen", self.network.url.split("//")[1], "--data", self.network.data.name,
                   "--orchestrators", self.peer]
        tls = ["--tls", "--tls-certificate", f / "good.pem", "--tls-key", f / "good.key", "--public-url", "https://node.example"]
        key = ["--key", f / "node.key", "--key-password-file", f / "password"]
        secrets = ["--webhook-secret-file", f / "secret", "--url-secret-file", f / "password"]
        for arguments in (running, self.gateway(), self.gateway(*tls, *key, *secrets), ["gateway", "--config", f / "good.toml"],
                          self.gateway(peers=["--orchestrator-webhook", f"{self.http}/list"]),
                          ["orchestrator", "--listen", self.peer.split("//")[1]], ["orchestrator", "--listen", "127.0.0.1:0", *key],
                          self.worker()):
            status, findings, told = doctor(*arguments, env=SECRET)
            self.assertEqual((status, findings), (0, {}), f"{arguments}: {told}")

    def faults(self):
        """(name, what is found, command line, more) of each seeded fault."""
        f, g, w = self.folder, self.gateway, self.worker
        key = ["--key", f / "node.key"]
        right = ["--key-password-file", f / "password"]
        closed = harness.free_port()
        silent = self.silent.getsockname()[1]
        http_port = self.http.rsplit(":", 1)[1]
        gateway_port = self.network.url.rsplit(":", 1)[1]

        def peer(uri):
            return g(peers=["--orchestrators", uri])

        def listed(kind):
            return g(peers=["--orchestrator-webhook", f"{self.http}/{kind}"])

        def tls(name, key_name=None):
            return g("--tls", "--tls-certificate", f / f"{name}.pem", "--tls-key", f / f"{key_name or name}.key")

        def data(name):
            return ["gateway", "--listen", "127.0.0.1:0", "--orchestrators", self.peer, "--data", f / name]

        def models(name):
            return ["worker", "--orchestrators", self.peer, "--models", f / name]

        return [
            ("configuration missing", "config", ["gateway", "--config", f / "nothing.toml"]),
            ("configuration not TOML", "config", ["gateway", "--config", f / "syntax.toml"]),
            ("option misspelt in the file", "config", ["gateway", "--config", f / "unknown-option.toml"]),
            ("section misspelt in the file", "config", ["gateway", "--config", f / "unknown-section.toml"]),
            ("value out of range in the file", "config", ["gateway", "--config", f / "bad-value.toml"]),
            ("option misspelt", "options", g("--orchestrator", "x")),
            ("value out of range", "options", g("--attempts", "0")),
            ("store of no known kind", "options", g("--store", "mysql://x")),
            ("listen without a port", "listen", ["gateway", "--listen", "127.0.0.1", "--orchestrators", self.peer]),
            ("listen on port 70000", "listen", ["gateway", "--listen", "127.0.0.1:70000", "--orchestrators", self.peer]),
            ("address of another machine", "listen",
             ["gateway", "--listen", f"192.0.2.7:{closed}", "--orchestrators", self.peer]),
            ("port of another program", "listen",
             ["gateway", "--listen", f"127.0.0.1:{http_port}", "--orchestrators", self.peer]),
            ("port of another gateway", "listen",
             ["gateway", "--listen", f"127.0.0.1:{gateway_port}", "--orchestrators", self.peer, "--data", f / "data"]),
            ("orchestrator's port taken by a gateway", "listen", ["orchestrator", "--listen", f"127.0.0.1:{gateway_port}"]),
            ("operators' port taken", "admin-listen", g("--admin-listen", f"127.0.0.1:{http_port}")),
            ("operators' port is no address", "admin-listen", g("--admin-listen", "here")),
            ("no orchestrators", "peers", g(peers=[])),
            ("peer is no URL", "peer", peer("ftp://node")),
            ("peer's name unknown", "peer-unreachable", peer("https://node.invalid:8935")),
            ("peer not running", "peer-unreachable", peer(f"https://127.0.0.1:{closed}")),
            ("peer's port is another program's", "peer-wrong", peer(self.http)),
            ("peer addressed with TLS, has none", "peer-wrong", peer(f"https://127.0.0.1:{http_port}")),
            ("peer hangs", "peer-silent", peer(f"https://127.0.0.1:{silent}")),
            ("peer is a gateway", "peer-wrong", peer(self.network.url)),
            ("worker's orchestrator not running", "peer-unreachable",
             ["worker", "--orchestrators", f"https://127.0.0.1:{closed}", "--models", f / "whole-models"]),
            ("list of orchestrators not served", "orchestrator-webhook-unreachable",
             g(peers=["--orchestrator-webhook", f"http://127.0.0.1:{closed}/"])),
            ("list of orchestrators fails", "orchestrator-webhook", listed("broken")),
            ("list of orchestrators is text", "orchestrator-webhook", listed("text")),
            ("list of orchestrators is empty", "orchestrator-webhook", listed("none")),
            ("clocks differ", "clock", listed("late")),
            ("authorisation service not running", "auth-webhook-unreachable",
             g("--auth", "webhook", "--auth-webhook", f"http://127.0.0.1:{closed}/")),
            ("authorisation service fails", "auth-webhook", g("--auth", "webhook", "--auth-webhook", f"{self.http}/broken")),
            ("authorisation service not named", "auth-webhook", g("--auth", "webhook")),
            ("token issuer missing", "jwt-issuer", g("--auth", "jwt", "--jwt-audience", "x")),
            ("token keys missing", "jwt-jwks",
             g("--auth", "jwt", "--jwt-issuer", "x", "--jwt-audience", "x", "--jwt-jwks", f / "nothing.json")),
            ("token keys are none", "jwt-jwks",
             g("--auth", "jwt", "--jwt-issuer", "x", "--jwt-audience", "x", "--jwt-jwks", f / "jwks.json")),
            ("token issuer has no configuration", "jwt-keys",
             g("--auth", "jwt", "--jwt-issuer", f"{self.http}/missing", "--jwt-audience", "x")),
            ("key file missing", "key", g("--key", f / "nothing.key", *right)),
            ("key file is text", "key", g("--key", f / "text.key", *right)),
            ("key file readable by others", "key-mode", g("--key", f / "open.key", *right)),
            ("wrong password", "key-password", g(*key, "--key-password-file", f / "wrong-password")),
            ("no password", "key-password", g(*key)),
            ("password file missing", "key-password-file", g(*key, "--key-password-file", f / "nothing")),
            ("password file empty", "key-password-file", g(*key, "--key-password-file", f / "empty")),
            ("password file readable by others", "key-password-file-mode",
             g(*key, "--key-password-file", f / "open-password")),
            ("password without a key", "key", g(*right)),
            ("shared secret missing", "secret", ["orchestrator", "--listen", "127.0.0.1:0"], {"env": {}}),
            ("shared secret's file missing", "secret-file", w("--secret-file", f / "nothing")),
            ("shared secret's file empty", "secret-file", w("--secret-file", f / "empty")),
            ("webhook secret in no form", "webhook-secret-file", g("--webhook-secret-file", f / "no-whsec")),
            ("URL secret missing", "url-secret-file", g("--url-secret-file", f / "nothing")),
            ("certificate without its key", "tls", g("--tls", "--tls-certificate", f / "good.pem")),
            ("certificate missing", "tls-certificate", tls("nothing", "good")),
            ("certificate is text", "tls-certificate", tls("garbage", "good")),
            ("certificate's key missing", "tls-key", tls("good", "nothing")),
            ("certificate's key is another's", "tls-key", tls("good", "other")),
            ("certificate's key readable by others", "tls-key-mode", tls("good", "open-tls")),
            ("certificate expired", "tls-expired", tls("expired")),
            ("certificate not yet valid", "tls-not-yet-valid", tls("early")),
            ("certificate for another name", "tls-name", [*tls("good"), "--public-url", "https://media.example"]),
            ("public URL is none", "public-url", g("--public-url", "media example")),
            ("origin is none", "cors-origin", g("--cors-origin", "https://app.example/path")),
            ("memory is no size", "memory", g("--memory", "much")),
            ("more memory than there is", "memory", g("--memory", "900T")),
            ("data is a file", "data", data("empty")),
            ("data is below a file", "data", data("empty/data")),
            ("disk full", "disk", ["--disk-min", "900000T", *g()]),
            ("database is text", "database", data("damaged")),
            ("database is torn", "database", data("torn")),
            ("a secret of the data readable by others", "data-mode", data("open-secret")),
            ("a secret of the data empty", "data-secret", data("empty-secret")),
            ("files are not a directory", "files", data("objects-file")),
            ("S3 without credentials", "files", g("--files", "s3://films")),
            ("S3 not reachable", "files", g("--files", "s3://films", "--s3-endpoint", f"http://127.0.0.1:{closed}"),
             {"env": {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}}),
            ("PostgreSQL not reachable", "database", g("--store", f"postgres://x@127.0.0.1:{closed}/x")),
            ("models' directory missing", "models", models("nothing")),
            ("no models", "models", models("no-models")),
            ("model damaged", "model-damaged", models("damaged-models")),
            ("model's network missing", "model-missing", models("missing-models")),
            ("model without a readable manifest", "model-unusable", models("unusable-models")),
            ("GPU asked for, none here", "gpu", w("--hw", "nvidia")) if not os.path.exists("/dev/nvidiactl") else None,
            ("few files may be open", "open-files", g(), {"files_max": 256}),
        ]

    def test_every_seeded_fault_is_found(self):
        faults = [fault for fault in self.faults() if fault]
        self.assertGreaterEqual(len(faults), 50)

        def find(fault):
            name, check, arguments, *more = fault
            status, findings, told = doctor(*arguments, **{"env": SECRET, **(more[0] if more else {})})
            good = status == 1 and check in findings and findings[check]["severity"] == "fault" and findings[check]["fix"]
            return None if good else f"{name}: wanted {check}, exit {status}: {told.strip()}"

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            wrong = [one for one in pool.map(find, faults) if one]
        self.assertEqual(wrong, [], "\n".join(wrong))
        print(f"{len(faults)} seeded faults, all found")

    def test_advice_is_no_fault(self):
        tls = ["--tls", "--tls-certificate", self.folder / "soon.pem", "--tls-key", self.folder / "soon.key"]
        status, findings, _ = doctor(*self.gateway(*tls))
        self.assertEqual((status, findings["tls-expires-soon"]["severity"]), (0, "advice"))

    def test_wrong_usage(self):
        for arguments in ([], ["banana"], ["--disk-min", "x", "gateway"]):
            self.assertEqual(doctor(*arguments)[0], 2, arguments)

    def test_a_person_reads_what_to_do(self):
        done = subprocess.run([harness.BINARY, "doctor", "gateway", "--listen", "127.0.0.1:0"], capture_output=True, text=True,
                              check=False, env={"HOME": str(self.folder)})
        self.assertEqual(done.returncode, 1)
        self.assertIn("-> set --orchestrators", done.stdout)


if __name__ == "__main__":
    unittest.main()
