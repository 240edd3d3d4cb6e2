"""Workflows that run: the examples through the command line, and what happens when somebody dies in the middle."""

import json
import pathlib
import signal
import subprocess
import tempfile
import unittest
import urllib.parse

import harness
from test_jobs import EventStream, call, submit, finished

EXAMPLES = pathlib.Path(__file__).resolve().parents[3] / "examples" / "workflows"

# The first example, small enough to be run several times.
FILM = """
workflow: film
inputs: {prompt: text}
steps:
  - id: make
    pipeline: text-to-video
    parameters: {prompt: "${inputs.prompt}", width: 64, height: 64, num_frames: 8, fps: 8, num_inference_steps: 6}
  - id: enlarge
    pipeline: upscale
    model: framegrid/sr-2x
    inputs: {video: "${steps.make.output}"}
  - id: smooth
    pipeline: frame-interpolation
    inputs: {video: "${steps.enlarge.output}"}
    parameters: {multiplier: 2}
outputs: {video: "${steps.smooth.output}"}
"""


def run(network, *arguments, timeout=300):
    """What `framegrid --json run` says of a run on this network."""
    done = subprocess.run([str(harness.BINARY), "--json", "run", *map(str, arguments), "--gateway", network.url],
                          capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def film(prompt="a red ball rolls left over blue"):
    return {"workflow": FILM, "inputs": {"prompt": prompt}, "seed": 7}


def digests(job):
    return [output["sha256"] for output in job["outputs"]]


class ExamplesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.network = harness.Network(orchestrators=2, workers=2, ai_capacity=2, capacity=2)
        cls.network.wait_usable()
        cls.out = tempfile.TemporaryDirectory()

    @classmethod
    def tearDownClass(cls):
        cls.network.__exit__()
        cls.out.cleanup()

    def directory(self, name):
        return pathlib.Path(self.out.name) / name

    def example(self, name, *changes):
        """An example with some of its text changed, so that it takes seconds."""
        text = (EXAMPLES / name).read_text()
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        path = self.directory(name)
        path.write_text(text)
        return path

    def test_text_becomes_a_smooth_video(self):
        out = self.directory("film")
        example = self.example("text-to-video.yaml", ("width: 96", "width: 64"), ("height: 96", "height: 64"),
                               ("num_frames: 16", "num_frames: 8\n      num_inference_steps: 8"))
        said = run(self.network, example, "-i", "prompt=a green square rolls up over red",
                   "--seed", "5", "-o", out)
        self.assertEqual(said["files"], [str(out / "video.mp4")])
        stream = harness.video_stream((out / "video.mp4").read_bytes())
        self.assertEqual((stream["width"], stream["height"]), (256, 256))
        self.assertEqual(int(stream["nb_read_frames"]), 24)
        self.assertEqual([step["done"] for step in said["run"]["steps"]], [1, 1, 1])
        # The same once more costs nothing and gives the same bytes.
        again = run(self.network, example, "-i", "prompt=a green square rolls up over red",
                    "--seed", "5", "-o", self.directory("again"))
        self.assertEqual([step["cached"] for step in again["run"]["steps"]], [1, 1, 1])
        self.assertEqual((self.directory("again") / "video.mp4").read_bytes(), (out / "video.mp4").read_bytes())

    def test_a_video_becomes_a_ladder_with_playlists(self):
        out = self.directory("ladder")
        example = self.example("ladder.yaml", ("P720p30fps16x9,P360p30fps16x9,P240p30fps16x9",
                                               "P144p30fps16x9,P240p25fps16x9"), ("segment_ms: 4000", "segment_ms: 1000"))
        source = harness.test_clip(4, "320x180")
        quoted = run(self.network, example, "-i", f"video={source}", "--quote")
        self.assertEqual([line["step"] for line in quoted["lines"]], ["ladder", "cut", "enlarge", "top", "playlists"])
        run(self.network, example, "-i", f"video={source}", "-o", out)
        top = harness.video_stream((out / "top.mp4").read_bytes())
        ladder = harness.ffprobe(out / "hls" / "master.m3u8", "program=nb_streams", count=False)
        self.assertEqual(len(ladder["programs"]), 3)
        self.assertEqual(int(top["nb_read_frames"]), 120)
        decoded = subprocess.run(["ffmpeg", "-v", "error", "-i", out / "hls" / "master.m3u8", "-f", "null", "-"],
                                 capture_output=True, text=True, check=True)
        self.assertEqual(decoded.stderr, "")

    def test_a_picture_becomes_a_loop(self):
        out = self.directory("loop")
        picture = harness.clip("loop-96.png", ["-f", "lavfi", "-i", "testsrc2=size=96x96:duration=1:rate=1",
                                               "-frames:v", "1", "-update", "1"])
        example = self.example("loop.yaml", ("width: 96, height: 96, num_frames: 16", "width: 64, height: 64, num_frames: 8"))
        run(self.network, example, "-i", f"picture={picture}", "-o", out)
        stream = harness.video_stream((out / "loop.webm").read_bytes())
        self.assertEqual(stream["codec_name"], "vp9")
        self.assertEqual((stream["width"], int(stream["nb_read_frames"])), (256, 14))

    def test_scenes_become_a_contact_sheet(self):
        out = self.directory("sheet")
        cuts = harness.clip("three-scenes.mp4", [
            "-f", "lavfi", "-i", "color=red:s=320x180:d=2:r=25", "-f", "lavfi", "-i", "color=white:s=320x180:d=1:r=25",
            "-f", "lavfi", "-i", "color=blue:s=320x180:d=2:r=25", "-filter_complex", "concat=n=3", "-pix_fmt", "yuv420p"])
        said = run(self.network, EXAMPLES / "contact-sheet.yaml", "-i", f"video={cuts}", "-o", out)
        self.assertEqual([pathlib.Path(file).name for file in said["files"]],
                         ["pictures-001.png", "pictures-002.png", "pictures-003.png", "sheet.png"])
        self.assertEqual(said["run"]["wei"], "0")
        colours = [harness.pixels((out / f"pictures-00{i}.png").read_bytes(), 320, 180)[:3] for i in (1, 2, 3)]
        self.assertGreater(colours[0][0], 200)
        self.assertGreater(min(colours[1]), 200)
        self.assertGreater(colours[2][2], 200)

    def test_many_pictures_are_enlarged_side_by_side(self):
        out = self.directory("pictures")
        pictures = []
        for i in range(12):
            pictures += ["-i", "pictures=" + str(harness.clip(f"small-{i}.png", [
                "-f", "lavfi", "-i", f"color=0x{i * 20:02x}4080:s=48x32", "-frames:v", "1", "-update", "1"]))]
        said = run(self.network, EXAMPLES / "upscale-images.yaml", *pictures, "-o", out)
        self.assertEqual(len(said["files"]), 12)
        for i in range(12):
            first = harness.pixels((out / f"pictures-{i + 1:03}.png").read_bytes(), 96, 64)[0]
            self.assertLess(abs(first - i * 20), 12, "the order is kept")

    def test_a_transcode_is_a_durable_job_too(self):
        source = harness.test_clip(4, "320x180").read_bytes()
        _, _, stored = call(self.network, "POST", "/v1/artifacts", source)
        job = submit(self.network, {
            "pipeline": "transcode", "inputs": {"video": stored["id"]},
            "parameters": {"profiles": [{"name": "small", "width": 160, "height": 90, "bitrate": 200000, "fps": 15}]}})
        done = finished(self.network, job["id"], timeout=60)
        self.assertEqual(done["state"], "succeeded", done)
        path = urllib.parse.urlsplit(done["outputs"][0]["url"]).path
        stream = harness.video_stream(self.network.request("GET", path)[2])
        self.assertEqual((stream["width"], stream["height"]), (160, 90))
        self.assertEqual(int(stream["nb_read_frames"]), 60)

    def test_a_folder_is_played_from_its_address(self):
        source = harness.test_clip(4, "320x180").read_bytes()
        _, _, stored = call(self.network, "POST", "/v1/artifacts", source)
        text = """{"workflow":"pack","inputs":{"film":"video"},"steps":[{"id":"pack","operation":"hls",
            "inputs":{"renditions":["${inputs.film}"]}}],"outputs":{"hls":"${steps.pack.output}"}}"""
        job = submit(self.network, {"workflow": json.loads(text), "inputs": {"film": stored["id"]}})
        done = finished(self.network, job["id"], timeout=60)
        self.assertEqual(done["state"], "succeeded", done)
        folder = f"{self.network.url}/v1/artifacts/{done['outputs'][0]['artifact']}/files"
        found = harness.ffprobe(f"{folder}/master.m3u8")
        self.assertEqual(int(next(s for s in found["streams"] if s["codec_type"] == "video")["nb_read_frames"]), 120)
        self.assertEqual(harness.request(f"{folder}/nothing.ts")[0], 404)

    def test_what_is_wrong_is_refused_before_anything_is_bought(self):
        wrong = FILM.replace("    pipeline: upscale\n", "    pipelin: upscale\n")
        status, _, problem = call(self.network, "POST", "/v1/jobs", {"workflow": wrong, "inputs": {"prompt": "x"}})
        self.assertEqual(status, 400)
        self.assertIn("8:5: ", problem["detail"])
        job = submit(self.network, {"workflow": FILM, "inputs": {"promt": "x"}})
        done = finished(self.network, job["id"])
        self.assertEqual((done["state"], done["error"]["field"]), ("failed", "inputs.promt"))


class DeathsTest(unittest.TestCase):
    """The node that works on a step dies in each step once; then the gateway itself does."""

    def undisturbed(self):
        with harness.Network(orchestrators=1, workers=1) as network:
            network.wait_usable()
            done = finished(network, submit(network, film())["id"], timeout=120)
            self.assertEqual(done["state"], "succeeded", done)
            return digests(done)

    def test_only_the_step_that_was_hit_is_done_again(self):
        wanted = self.undisturbed()
        with harness.Network(orchestrators=2, workers=2) as network:
            network.wait_usable()
            by_uri = {uri.rstrip("/"): i for i, uri in enumerate(network.uris)}
            job = submit(network, film())
            hit, done_steps = [], []
            stream = EventStream(f"{network.url}/v1/jobs/{job['id']}/events", timeout=120)
            for event in stream:
                data = json.loads(event["data"])
                if event["event"] == "node" and data["step"] not in hit:
                    hit.append(data["step"])
                    at = by_uri[data["orchestrator"].rstrip("/")]
                    network.orchestrators[at].kill(signal.SIGKILL)
                    network.workers[at].kill(signal.SIGKILL)
                    network.restart_orchestrator(at)
                    network.restart_worker(at)
                if event["event"] == "step" and data["state"] == "done":
                    done_steps.append(data["step"])
                if event["event"] in ("succeeded", "failed"):
                    break
            stream.close()
            done = finished(network, job["id"])
            self.assertEqual(done["state"], "succeeded", done)
            self.assertEqual(hit, ["make", "enlarge", "smooth"])
            self.assertEqual(done_steps, ["make", "enlarge", "smooth"])
            self.assertEqual(digests(done), wanted)

    def test_a_gateway_that_is_killed_goes_on_where_it_was(self):
        wanted = self.undisturbed()
        with harness.Network(orchestrators=1, workers=1) as network:
            network.wait_usable()
            job = submit(network, film())
            for step in ("make", "enlarge"):
                self.until_done(network, job["id"], step)
                network.gateway.kill(signal.SIGKILL)
                network.restart_gateway()
            done = finished(network, job["id"], timeout=120)
            self.assertEqual(done["state"], "succeeded", done)
            self.assertEqual(digests(done), wanted)
            events = [(e["event"], json.loads(e["data"])) for e in self.events(network, job["id"])]
            asked = [data["step"] for kind, data in events if kind == "node"]
            ended = [(data["step"], data["state"]) for kind, data in events if kind == "step"]
            self.assertEqual(asked.count("make"), 1)
            self.assertLessEqual(asked.count("enlarge"), 2, "it was under way when the gateway was killed first")
            self.assertEqual([step for step, state in ended if state == "done"], ["make", "enlarge", "smooth"])
            self.assertIn(("make", "kept"), ended)

    def until_done(self, network, job, step):
        stream = EventStream(f"{network.url}/v1/jobs/{job}/events", timeout=120)
        for event in stream:
            data = json.loads(event["data"])
            if event["event"] == "step" and data["step"] == step and data["state"] in ("done", "kept"):
                break
        stream.close()

    def events(self, network, job):
        stream = EventStream(f"{network.url}/v1/jobs/{job}/events", timeout=20)
        found = []
        for event in stream:
            found.append(event)
            if event["event"] in ("succeeded", "failed", "cancelled"):
                break
        stream.close()
        return found


if __name__ == "__main__":
    unittest.main()
