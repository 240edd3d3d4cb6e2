"""Stored bytes that no record names are found and removed: in a directory, in S3, and beside two gateways with one database."""

import hashlib
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile
import time
import unittest
import unittest.mock

import harness
from test_jobs import call
from test_s3 import KEYS, S3Network, Store
from test_shared_store import POSTGRES

ORPHANS = ("--orphan-seconds", "2")


def network_of(args):
    return harness.Network(orchestrators=0, workers=0, extra_orchestrators=["https://127.0.0.1:9"], gateway_args=args)


def wait_until(done, timeout=40):
    end = time.monotonic() + timeout
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def lose_record(network, artifact):
    """As a gateway does that is killed between the end of an object and its record."""
    network.gateway.kill()
    with sqlite3.connect(pathlib.Path(network.data.name) / "jobs.sqlite") as database:
        changed = database.execute("DELETE FROM artifacts WHERE id = ?", (artifact["id"],)).rowcount
    assert changed == 1
    network.restart_gateway()


class OrphansTest(unittest.TestCase):
    def upload(self, network, data):
        status, _, artifact = call(network, "POST", "/v1/artifacts", data)
        self.assertEqual(status, 201, artifact)
        return artifact

    def check(self, network, names):
        lost, kept = self.upload(network, b"lost " * 1000), self.upload(network, b"kept " * 1000)
        lose_record(network, lost)
        self.assertTrue(wait_until(lambda: not any(lost["sha256"] in name for name in names())), network.gateway.log_text())
        again = network.request("GET", f"/v1/artifacts/{kept['id']}/content")
        self.assertEqual((again[0], again[2]), (200, b"kept " * 1000))
        # The same bytes once more, whatever became of the first ones.
        new = self.upload(network, b"lost " * 1000)
        self.assertEqual(network.request("GET", f"/v1/artifacts/{new['id']}/content")[2], b"lost " * 1000)

    def test_in_a_directory(self):
        with network_of(ORPHANS) as network:
            objects = pathlib.Path(network.data.name) / "objects"
            self.check(network, lambda: [path.name for path in objects.rglob("*")])

    def test_in_s3(self):
        if not shutil.which("node") or not shutil.which("npm"):
            self.skipTest("no node or npm")
        with tempfile.TemporaryDirectory(prefix="framegrid-s3-") as folder:
            self.enterContext(unittest.mock.patch.dict(os.environ, KEYS))
            store = Store(folder)
            self.addCleanup(store.stop)
            with S3Network(store, args=ORPHANS) as network:
                self.check(network, store.keys)

    def test_beside_two_gateways_with_one_database(self):
        started = subprocess.run([POSTGRES, "start", str(os.getpid())], capture_output=True, text=True)
        if started.returncode == 77:
            self.skipTest(started.stderr.strip())
        self.assertEqual(started.returncode, 0, started.stderr)
        server = started.stdout.strip()
        self.addCleanup(subprocess.run, [POSTGRES, "stop", server], stdout=subprocess.DEVNULL)
        files = self.enterContext(tempfile.TemporaryDirectory(prefix="framegrid-files-"))
        args = ["--store", f"postgres://framegrid@/postgres?host={server}", "--files", files, *ORPHANS]
        with network_of(args) as network, \
                network_of(args) as other:
            kept = self.upload(other, b"kept " * 1000)
            digest = hashlib.sha256(b"an orphan").hexdigest()
            orphan = pathlib.Path(files) / digest[:2] / digest[2:4] / digest
            orphan.parent.mkdir(parents=True)
            orphan.write_bytes(b"an orphan")
            self.assertTrue(wait_until(lambda: not any(pathlib.Path(files).rglob(digest))), network.gateway.log_text())
            self.assertEqual(network.request("GET", f"/v1/artifacts/{kept['id']}/content")[2], b"kept " * 1000)
            # A gateway with another database in the same place: now nothing there is anybody's orphan.
            with network_of(["--files", files, *ORPHANS]) as stranger:
                theirs = self.upload(stranger, b"theirs " * 1000)
                time.sleep(20)
                self.assertEqual(stranger.request("GET", f"/v1/artifacts/{theirs['id']}/content")[2], b"theirs " * 1000)


if __name__ == "__main__":
    unittest.main()
