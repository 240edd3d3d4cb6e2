"""Uploads that are resumed, with the stock tus client and through a SIGKILL of the gateway, and URLs that need no key."""

import hashlib
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.parse

import harness
from test_auth import AuthNetwork, call
from test_sdk import node_packages

TUS = {"Tus-Resumable": "1.0.0"}
BODY = {"Content-Type": "application/offset+octet-stream"}


def kill_and_restart(network):
    network.gateway.kill(signal.SIGKILL)
    network.gateway.popen.wait()
    network.restart_gateway()


class UploadsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.network = cls.enterClassContext(AuthNetwork("--auth", "keys", workers=0))
        cls.key = cls.network.key("--name", "uploads")
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="framegrid-uploads-")))

    def call(self, method, path, body=None, headers=None, key=None):
        return call(self.network, self.key if key is None else key, method, path, body, headers)

    def begin(self, size, **headers):
        status, fields, answer = self.call("POST", "/v1/uploads", None, {**TUS, "Upload-Length": str(size), **headers})
        self.assertEqual(status, 201, answer)
        return urllib.parse.urlsplit(fields["location"]).path

    def patch(self, path, offset, data):
        return self.call("PATCH", path, data, {**TUS, **BODY, "Upload-Offset": str(offset)})

    def kept(self):
        """Files that wait for more."""
        return sorted(path.name for path in (pathlib.Path(self.network.data.name) / "uploads").glob("*.part"))

    def check_file(self, artifact, data):
        status, _, record = self.call("GET", f"/v1/artifacts/{artifact}")
        self.assertEqual((status, record["sha256"]), (200, hashlib.sha256(data).hexdigest()), record)
        status, _, got = self.call("GET", f"/v1/artifacts/{artifact}/content")
        self.assertEqual(hashlib.sha256(got).hexdigest(), record["sha256"])
        return record

    def run_client(self, data, chunk, kill_at=None, at_creation=False):
        """What the stock client tells; the gateway is killed when it has sent so much."""
        if not shutil.which("node") or not shutil.which("npm"):
            self.skipTest("no node or npm")
        packages = node_packages()
        file = self.folder / f"film-{len(data)}.bin"
        file.write_bytes(data)
        env = {"FRAMEGRID_URL": self.network.url, "FRAMEGRID_API_KEY": self.key, "AT_CREATION": str(int(at_creation))}
        with subprocess.Popen(["node", "tus_upload.mjs", str(file), str(chunk)], cwd=packages, stdout=subprocess.PIPE,
                              env={**os.environ, **env}, text=True) as client:
            told = []
            for line in client.stdout:
                told.append(json.loads(line))
                if kill_at is not None and told[-1].get("sent", 0) >= kill_at:
                    kill_and_restart(self.network)
                    kill_at = None
        self.assertEqual((client.returncode, told[-1]["event"]), (0, "done"), told[-3:])
        answers = [one for one in told if one["event"] == "answer"]
        return answers, next(one["artifact"] for one in reversed(answers) if one["artifact"])

    def test_stock_client_goes_on_after_a_sigkill_between_pieces(self):
        data = random.Random(1).randbytes(24 << 20)
        answers, artifact = self.run_client(data, 1 << 20, kill_at=12 << 20)
        resumed = [one["offset"] for one in answers if one["method"] == "HEAD" and one["status"] == 200]
        self.assertTrue(resumed and resumed[-1] >= 11 << 20, answers)
        self.assertEqual(self.check_file(artifact, data)["name"], "film.bin")

    def test_stock_client_goes_on_after_a_sigkill_within_a_request(self):
        data = random.Random(2).randbytes(160 << 20)
        answers, artifact = self.run_client(data, 0, kill_at=80 << 20)
        resumed = [one["offset"] for one in answers if one["method"] == "HEAD" and one["status"] == 200]
        self.assertTrue(resumed and 0 < resumed[-1] < len(data), answers)
        self.check_file(artifact, data)
        self.assertEqual(self.kept(), [])

    def test_stock_client_sends_with_the_creation(self):
        data = random.Random(3).randbytes(3 << 20)
        answers, artifact = self.run_client(data, 1 << 20, at_creation=True)
        self.assertEqual((answers[0]["method"], answers[0]["offset"]), ("POST", 1 << 20), answers)
        self.check_file(artifact, data)

    def test_a_restart_keeps_what_has_arrived(self):
        data = random.Random(4).randbytes(1_000_003)
        path = self.begin(len(data), **{"Upload-Metadata": "filename Y2F0LnR4dA=="})
        self.assertEqual(self.patch(path, 0, data[:400_000])[0], 204)
        kill_and_restart(self.network)
        status, fields, _ = self.call("HEAD", path, None, TUS)
        self.assertEqual((status, fields["upload-offset"], fields["upload-length"]), (200, "400000", "1000003"))
        self.assertEqual(self.patch(path, 0, data)[0], 409)
        status, fields, _ = self.patch(path, 400_000, data[400_000:])
        self.assertEqual(status, 204)
        self.assertEqual(self.check_file(fields["framegrid-artifact"], data)["name"], "cat.txt")
        kill_and_restart(self.network)
        status, _, shown = self.call("GET", path)
        self.assertEqual((status, shown["artifact"]), (200, fields["framegrid-artifact"]))
        self.assertEqual(self.call("DELETE", path, None, TUS)[0], 204)
        self.assertEqual(self.call("HEAD", path, None, TUS)[0], 404)

    def test_what_a_broken_connection_brought_stays(self):
        data = random.Random(5).randbytes(500_000)
        path = self.begin(len(data))
        parts = urllib.parse.urlsplit(self.network.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
        connection.putrequest("PATCH", path)
        for name, value in {**TUS, **BODY, "Upload-Offset": "0", "Content-Length": str(len(data)),
                            "Authorization": f"Bearer {self.key}"}.items():
            connection.putheader(name, value)
        connection.endheaders(data[:300_000])
        end = time.monotonic() + 5
        offset = 0
        while offset < 300_000 and time.monotonic() < end:
            offset = int(self.call("HEAD", path, None, TUS)[1]["upload-offset"])
        self.assertEqual(offset, 300_000, "told while the first request still runs")
        # Its client may be gone without a word: whoever comes later takes over.
        self.assertEqual(self.patch(path, offset, data[offset:])[0], 204)
        connection.close()
        self.check_file(self.call("GET", path)[2]["artifact"], data)

    def test_owners_are_apart(self):
        path = self.begin(4)
        other = self.network.key("--name", "other", "--owner", "somebody-else")
        self.assertEqual(self.call("HEAD", path, None, TUS, key=other)[0], 404)
        self.assertEqual(self.call("HEAD", path, None, TUS, key="")[0], 401)

    def test_signed_urls(self):
        data = random.Random(6).randbytes(100_000)
        status, _, artifact = self.call("POST", "/v1/artifacts", data)
        self.assertEqual(status, 201)
        sign = f"/v1/artifacts/{artifact['id']}/signed-url"
        status, _, made = self.call("POST", sign, {"expires_in": 2})
        self.assertEqual(status, 200, made)
        self.assertEqual(harness.request(made["url"])[2], data)
        status, fields, got = harness.request(made["url"], headers={"Range": "bytes=99990-"})
        self.assertEqual((status, fields["content-range"], got), (206, "bytes 99990-99999/100000", data[-10:]))
        self.assertEqual(harness.request(made["url"], "HEAD")[0], 200)
        self.assertEqual(harness.request(made["url"], "DELETE")[0], 405)
        self.assertEqual(harness.request(made["url"].split("?")[0])[0], 401)
        self.assertEqual(harness.request(made["url"][:-1] + ("0" if made["url"][-1] != "0" else "1"))[0], 403)
        self.assertEqual(harness.request(made["url"].replace("expires=", "expires=9"))[0], 403)
        _, _, later = self.call("POST", sign, {"expires_in": 600})
        kill_and_restart(self.network)
        self.assertEqual(harness.request(later["url"])[2], data, "the secret outlives the process")
        time.sleep(2)
        self.assertEqual(harness.request(made["url"])[0], 403, "expired")
        secret = pathlib.Path(self.network.data.name) / "url.secret"
        self.assertEqual(secret.stat().st_mode & 0o777, 0o600)
        self.assertNotIn(later["url"].split("signature=")[1], self.network.gateway.log_text())
        self.assertEqual(self.call("DELETE", f"/v1/artifacts/{artifact['id']}")[0], 204)
        self.assertEqual(harness.request(later["url"])[0], 404, "not longer than the file")


if __name__ == "__main__":
    unittest.main()
