"""The command line as a new user meets it."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

import harness


def framegrid(*arguments, timeout=120, env=None):
    return subprocess.run([str(harness.BINARY), *map(str, arguments)], capture_output=True, text=True,
                          timeout=timeout, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})


class CommandsTest(unittest.TestCase):
    def test_help_and_usage_errors(self):
        self.assertEqual(framegrid("--help").returncode, 0)
        for command in ("up", "transcode", "upscale", "gateway", "orchestrator", "worker", "status", "models", "key",
                        "demo"):
            done = framegrid(command, "--help")
            self.assertEqual(done.returncode, 0, command)
            self.assertIn("xample", done.stdout, f"{command} --help shows an example")
        self.assertEqual(framegrid().returncode, 2)
        self.assertEqual(framegrid("dance").returncode, 2)
        self.assertEqual(framegrid("transcode").returncode, 2)

    def test_transcode_makes_its_own_network(self):
        source = harness.test_clip(5, "640x360", 25, gop=1)
        with tempfile.TemporaryDirectory() as folder:
            profiles = pathlib.Path(folder) / "ladder.json"
            profiles.write_text(json.dumps([
                {"name": "low", "width": 160, "height": 90, "bitrate": 150000, "fps": 0},
                {"name": "high", "width": 320, "height": 180, "bitrate": 400000, "fps": 0}]))
            done = framegrid("--json", "transcode", source, "-o", f"{folder}/out", "--profiles", profiles,
                             "--x264-preset", "ultrafast")
            self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
            answer = json.loads(done.stdout)
            self.assertGreaterEqual(answer["segments"], 2)
            for name, width in (("low", 160), ("high", 320)):
                playlist = f"{folder}/out/{name}/index.m3u8"
                video = next(s for s in harness.ffprobe(playlist)["streams"] if s["codec_type"] == "video")
                self.assertEqual((video["width"], int(video["nb_read_frames"])), (width, 125))
            master = pathlib.Path(f"{folder}/out/master.m3u8").read_text()
            self.assertIn("CODECS=", master)
            # Played as one file, timestamps must never go back.
            checked = subprocess.run(["ffmpeg", "-v", "warning", "-i", f"{folder}/out/high/index.m3u8", "-f", "null",
                                      "-"], capture_output=True, text=True)
            self.assertNotIn("non monoton", checked.stderr.lower())

    def test_errors_say_what_is_wrong(self):
        with tempfile.TemporaryDirectory() as folder:
            done = framegrid("transcode", f"{folder}/nothing.mp4", "-o", f"{folder}/out")
            self.assertEqual(done.returncode, 1)
            self.assertIn("nothing.mp4", done.stderr)
            text = pathlib.Path(folder) / "text.mp4"
            text.write_text("this is text " * 100)
            self.assertEqual(framegrid("transcode", text, "-o", f"{folder}/out").returncode, 1)
            done = framegrid("transcode", text, "-o", f"{folder}/out", "--profiles", "P999")
            self.assertEqual(done.returncode, 1)
            self.assertIn("P999", done.stderr)
            done = framegrid("--json", "transcode", text, "-o", f"{folder}/out", "--profiles", "P999")
            self.assertTrue(json.loads(done.stdout)["error"]["message"])

    def test_full_disk(self):
        source = harness.test_clip(5, "640x360", 25, gop=1)
        with tempfile.TemporaryDirectory() as folder:
            # A file-size limit stands in for a full disk: writing fails in the middle in the same way.
            done = subprocess.run(
                ["bash", "-c", 'trap "" XFSZ; ulimit -f 40; exec "$@"', "-", str(harness.BINARY), "transcode",
                 str(source), "-o", f"{folder}/out", "--x264-preset", "ultrafast", "--profiles", "P720p30fps16x9"],
                capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn("framegrid:", done.stderr)

    def test_keys(self):
        with tempfile.TemporaryDirectory() as folder:
            env = {"FRAMEGRID_KEY_PASSWORD": "correct horse"}
            made = framegrid("key", "new", f"{folder}/node.key", env=env)
            self.assertEqual(made.returncode, 0, made.stderr)
            self.assertRegex(made.stdout.strip(), r"^0x[0-9a-fA-F]{40}$")
            self.assertEqual(framegrid("key", "show", f"{folder}/node.key", env=env).stdout, made.stdout)
            self.assertEqual(os.stat(f"{folder}/node.key").st_mode & 0o777, 0o600)
            self.assertEqual(framegrid("key", "new", f"{folder}/node.key", env=env).returncode, 1, "never replaced")
            wrong = framegrid("key", "show", f"{folder}/node.key", env={"FRAMEGRID_KEY_PASSWORD": "wrong"})
            self.assertEqual(wrong.returncode, 1)

    def test_models(self):
        listed = framegrid("--json", "models", "list")
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertEqual({m["id"] for m in json.loads(listed.stdout)}, {f"framegrid/{name}" for name in ("interpolate", "motion", "scenes", "sr-2x", "sr-4x")})

    def test_config_file_environment_and_flags(self):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "framegrid.toml"
            config.write_text('[worker]\norchestrators = "https://127.0.0.1:1"\ncapacity = "many"\n')
            done = framegrid("--config", config, "worker")
            self.assertEqual(done.returncode, 2, "the file's wrong type is a usage error")
            self.assertIn("capacity", done.stderr + done.stdout)
            done = framegrid("orchestrator", "--listen", "127.0.0.1:0")
            self.assertEqual(done.returncode, 1)
            self.assertIn("FRAMEGRID_SECRET", done.stderr)

    def test_up_serves_and_stops_on_ctrl_c(self):
        up = harness.Process(["--json", "up", "--orchestrators", "2", "--workers", "2", "--gateway-port", "0",
                              "--data", self.enterContext(tempfile.TemporaryDirectory()),
                              "--worker-arg=--x264-preset", "--worker-arg=ultrafast"], name="up")
        started = json.loads(up.line("{"))
        self.assertEqual(len(started["children"]), 5)
        data = harness.segment(1, "320x180", 30)
        config = json.dumps({"profiles": [{"name": "p", "width": 160, "height": 90, "bitrate": 100000, "fps": 0}]})
        status, _, body = harness.request(started["gateway"] + "/live/up/0.ts", "POST", data,
                                          {"Accept": "multipart/mixed", "Livepeer-Transcode-Configuration": config})
        self.assertEqual(status, 200, body[:300])
        shown = framegrid("status", "--gateway", started["gateway"])
        self.assertIn("usable", shown.stdout)
        # A process that dies comes back at the same address.
        victim = next(c for c in started["children"] if c["name"] == "orchestrator-1")
        os.kill(victim["pid"], signal.SIGKILL)
        end = time.monotonic() + 15
        while time.monotonic() < end:
            try:
                if harness.request(victim["uri"] + "/healthz", timeout=2)[0] == 200:
                    break
            except OSError:
                time.sleep(0.2)
        else:
            self.fail("the killed orchestrator did not come back")
        up.kill(signal.SIGINT)
        self.assertEqual(up.popen.wait(15), 130)
        time.sleep(0.2)
        for child in started["children"]:
            self.assertFalse(pathlib.Path(f"/proc/{child['pid']}").exists(), f"{child['name']} outlived its parent")
        up.stop()


if __name__ == "__main__":
    unittest.main()
