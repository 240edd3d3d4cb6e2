"""The clients that people have: OpenAI's and the network's from npm, and the examples of this repository, against a gateway
with API keys."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import harness
from test_auth import AuthNetwork

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES = harness.ROOT / "examples" / "clients"
CACHE = pathlib.Path(os.environ.get("FRAMEGRID_SDK", harness.ROOT / "build/sdk"))


def node_packages():
    """The directory with the packages of sdk/package-lock.json, installed once; the tests' scripts are copied there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    lock = (HERE / "sdk/package-lock.json").read_bytes()
    marker = CACHE / "node_modules" / "installed.json"
    if not marker.exists() or marker.read_bytes() != lock:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "sdk" / name, CACHE)
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], cwd=CACHE,
                              capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise unittest.SkipTest(f"npm cannot install the clients: {done.stderr[-500:]}")
        marker.write_bytes(lock)
    for script in [*HERE.glob("sdk/*.mjs"), *EXAMPLES.glob("*.ts")]:
        shutil.copy(script, CACHE)
    return CACHE


class ClientsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("node") or not shutil.which("npm"):
            raise unittest.SkipTest("no node or npm")
        cls.packages = node_packages()
        cls.network = cls.enterClassContext(AuthNetwork("--auth", "keys"))
        cls.network.wait_usable()
        cls.key = cls.network.key("--name", "clients")

    def run_client(self, *command, cwd=None):
        env = {**os.environ, "FRAMEGRID_URL": self.network.url, "FRAMEGRID_API_KEY": self.key, "NODE_NO_WARNINGS": "1"}
        done = subprocess.run([str(part) for part in command], cwd=cwd or self.packages, env=env, capture_output=True,
                              text=True, timeout=300, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_openai(self):
        self.run_client("node", "--test", "openai.test.mjs")

    def test_livepeer(self):
        self.run_client("node", "--test", "livepeer.test.mjs")

    def test_example_in_typescript(self):
        self.run_client("node", "node_modules/typescript/bin/tsc", "--strict", "--skipLibCheck", "--module", "nodenext",
                        "--target", "es2022", "--types", "node", "pictures.ts")
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder)
            self.run_client("node", self.packages / "pictures.js", "a red circle", cwd=out)
            self.assertEqual((out / "picture.png").read_bytes()[1:4], b"PNG")
            self.assertEqual(harness.video_stream((out / "video.mp4").read_bytes())["codec_name"], "h264")

    def test_example_in_python(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder)
            told = self.run_client("python3", EXAMPLES / "job.py", "a red circle", "circle.png", cwd=out)
            self.assertIn("succeeded", told)
            self.assertEqual((out / "circle.png").read_bytes()[1:4], b"PNG")

    @unittest.skipUnless(shutil.which("go"), "no go")
    def test_example_in_go(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder)
            told = self.run_client("go", "run", EXAMPLES / "job.go", "a red circle", "circle.png", cwd=out)
            self.assertIn("succeeded", told)
            self.assertEqual((out / "circle.png").read_bytes()[1:4], b"PNG")

    def test_example_with_curl(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder)
            (out / "photo.png").write_bytes(harness.clip("photo.png", [
                "-f", "lavfi", "-i", "testsrc2=size=64x48", "-frames:v", "1"]).read_bytes())
            self.run_client("bash", EXAMPLES / "upscale.sh", "photo.png", "larger.png", cwd=out)
            self.assertEqual(harness.video_stream((out / "larger.png").read_bytes())["width"], 128)


if __name__ == "__main__":
    unittest.main()
