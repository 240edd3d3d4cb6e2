"""`framegrid model`: pulling from a hub and from URLs, adding directories, checking and removing them."""

import hashlib
import http.server
import json
import pathlib
import shutil
import subprocess
import tempfile
import threading
import unittest

import harness

SHIPPED = harness.ROOT / "models/framegrid"


def git_id(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub(http.server.BaseHTTPRequestHandler):
    """Speaks the hub's API for one repository; large files live on a "CDN" behind a redirect. `faults` names what
    goes wrong once per file: "cut" drops the connection in the middle, "wrong" flips a bit."""

    protocol_version = "HTTP/1.1"
    files, token, faults, seen, ranges = {}, None, set(), [], []

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        Hub.seen.append((path, self.headers.get("Authorization")))
        if Hub.token and not path.startswith("/cdn/") and self.headers.get("Authorization") != f"Bearer {Hub.token}":
            return self.answer(401)
        if path == "/api/models/acme/painter/revision/main":
            siblings = []
            for name, data in Hub.files.items():
                entry = {"rfilename": name, "size": len(data), "blobId": git_id(data)}
                if name.endswith(".onnx"):
                    entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
                siblings.append(entry)
            return self.answer(200, json.dumps({"id": "acme/painter", "sha": "c0ffee", "siblings": siblings}).encode())
        if path.startswith("/acme/painter/resolve/c0ffee/"):
            name = path.removeprefix("/acme/painter/resolve/c0ffee/")
            if name.endswith(".onnx"):
                return self.answer(302, Location=f"/cdn/{name}")
            return self.send_file(name)
        if path.startswith("/cdn/"):
            return self.send_file(path.removeprefix("/cdn/"))
        return self.answer(404)

    def send_file(self, name):
        data = Hub.files.get(name)
        if data is None:
            return self.answer(404)
        begin = 0
        if wanted := self.headers.get("Range"):
            begin = int(wanted.removeprefix("bytes=").split("-")[0])
            Hub.ranges.append((name, begin))
            if begin >= len(data):
                return self.answer(416)
        if ("wrong", name) in Hub.faults:
            data = data[:-1] + bytes([data[-1] ^ 1])
        rest = data[begin:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if ("cut", name) in Hub.faults:
            Hub.faults.discard(("cut", name))
            self.wfile.write(rest[:len(rest) // 2])
            self.wfile.flush()
            self.close_connection = True
            return None
        self.wfile.write(rest)
        return None


class ModelTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="framegrid-models-"))
        self.addCleanup(shutil.rmtree, self.folder)
        Hub.token, Hub.faults, Hub.seen, Hub.ranges = None, set(), [], []
        # Our small model without its manifest is what a hub export looks like.
        Hub.files = {str(p.relative_to(SHIPPED / "scenes")): p.read_bytes()
                     for p in (SHIPPED / "scenes").rglob("*") if p.is_file() and p.name != "model.toml"}
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def model(self, *arguments, ok=True):
        done = subprocess.run([harness.BINARY, "--json", "model", *arguments, "--models", self.folder],
                              capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode == 0, ok, done.stdout + done.stderr)
        return json.loads(done.stdout) if ok else done.stdout + done.stderr

    def pull(self, *arguments, ok=True):
        return self.model("pull", "acme/painter", "--endpoint", self.url, *arguments, ok=ok)

    def test_pull_resumes_checks_and_pins(self):
        Hub.faults = {("cut", "unet/model.onnx")}
        pulled = self.pull()
        self.assertEqual(pulled["id"], "acme/painter")
        self.assertEqual(pulled["pipelines"], ["text-to-image", "image-to-image", "inpaint"])
        self.assertIn("unet/model.onnx", [name for name, _ in Hub.ranges], "the second half was asked for")
        self.assertNotIn("classifier.onnx", [p.name for p in (self.folder / "acme/painter").rglob("*")])
        self.assertEqual([m["id"] for m in self.model("ls")], ["acme/painter"])
        self.assertTrue(self.model("verify")[0]["ok"])
        self.assertFalse(list((self.folder / ".incomplete").iterdir()))

        network = self.folder / "acme/painter/unet/model.onnx"
        network.write_bytes(network.read_bytes()[:-1] + b"x")
        self.assertIn("SHA-256", self.model("verify", ok=False))
        self.model("rm", "acme/painter")
        self.assertEqual(self.model("ls"), [])
        self.assertIn("no model", self.model("rm", "acme/painter", ok=False))

    def test_wrong_bytes_are_refused_and_nothing_is_installed(self):
        for name in ("unet/model.onnx", "tokenizer/vocab.json"):
            with self.subTest(name):
                shutil.rmtree(self.folder / ".incomplete", ignore_errors=True)
                Hub.faults = {("wrong", name)}
                self.assertIn("not what was promised", self.pull(ok=False))
                self.assertFalse((self.folder / "acme/painter").exists())

    def test_the_token_goes_to_the_hub_only(self):
        Hub.token = "hf_secret"
        self.assertIn("token", self.pull(ok=False))
        file = self.folder / "token"
        file.write_text("hf_secret\n")
        self.pull("--token-file", file)
        self.assertIn(("/acme/painter/resolve/c0ffee/model_index.json", "Bearer hf_secret"), Hub.seen)

    def test_unknown_repositories_and_empty_ones(self):
        self.assertIn("404", self.model("pull", "acme/nothing", "--endpoint", self.url, ok=False))
        self.assertIn("SOURCE", self.model("pull", "../../etc", "--endpoint", self.url, ok=False))
        Hub.files = {"model.safetensors": b"x"}
        self.assertIn("no ONNX networks", self.pull(ok=False))

    def test_a_url(self):
        Hub.files = {"esrgan_x2.onnx": (SHIPPED / "sr-2x/model.onnx").read_bytes()}
        source = self.url + "/cdn/esrgan_x2.onnx"
        self.assertIn("--id", self.model("pull", source, ok=False))
        self.assertIn("promised", self.model("pull", source, "--id", "acme/sr", "--sha256", "0" * 64, ok=False))
        pulled = self.model("pull", source, "--id", "acme/sr")
        self.assertEqual(pulled["pipelines"], ["upscale"])

    def test_add_copies_and_recognises(self):
        bare = self.folder / "exports/x/painter"
        for name, data in Hub.files.items():
            path = bare / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        added = self.model("add", bare)
        self.assertEqual(added["id"], "x/painter")
        self.assertTrue((bare / "model_index.json").exists(), "the source stays")
        self.assertIn("exists", self.model("add", bare, ok=False))
        self.assertIn("DIR", self.model("add", self.folder / "none", ok=False))
        (bare / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
        self.assertIn("FluxPipeline", self.model("add", bare, "--id", "x/flux", ok=False))

    def test_networks_are_stored_optimised(self):
        def stored():
            return sorted(p.parts[-3] for p in (self.folder / "acme/painter/.optimized").rglob("digests"))

        self.pull("--no-optimize")
        self.assertEqual(stored(), [])
        self.assertEqual(self.model("optimize"), [{"id": "acme/painter", "stored": 4}])
        self.assertEqual(stored(), [f"{n}.model.onnx" for n in ("text_encoder", "unet", "vae_decoder", "vae_encoder")])
        self.assertEqual(self.model("optimize", "acme/painter"), [{"id": "acme/painter", "stored": 0}])
        self.assertIn("no model", self.model("optimize", "acme/none", ok=False))
        self.model("rm", "acme/painter")
        self.pull()
        self.assertEqual(len(stored()), 4, "what is pulled is stored at once")
        self.assertTrue(self.model("verify")[0]["ok"])


if __name__ == "__main__":
    unittest.main()
