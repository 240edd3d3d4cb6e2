"""Generation through real processes: over HTTP and from the command line, with the small models that are shipped."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from test_upscale import multipart


class GenerateTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.network = harness.Network(1, 1, capacity=1, ai_capacity=1)
        cls.network.wait_usable()

    @classmethod
    def tearDownClass(cls):
        cls.network.__exit__()

    def post(self, pipeline, fields, accept=None):
        headers = {"Content-Type": "application/json", **({"Accept": accept} if accept else {})}
        return self.network.request("POST", f"/{pipeline}", json.dumps(fields).encode(), headers)

    def post_form(self, pipeline, fields, image, accept=None, name="image"):
        body, kind = multipart(fields, image, name)
        headers = {"Content-Type": kind, **({"Accept": accept} if accept else {})}
        return self.network.request("POST", f"/{pipeline}", body, headers)

    def picture(self, caption, seed=1, **more):
        status, _, png = self.post("text-to-image", {"prompt": caption, "seed": seed, **more}, accept="image/png")
        self.assertEqual(status, 200, png[:300])
        return png

    def test_what_the_stock_client_sends_by_default(self):
        fields = {"model_id": "", "loras": "", "prompt": "a red circle on the left over blue", "height": 576,
                  "width": 1024, "guidance_scale": 7.5, "negative_prompt": "", "safety_check": True,
                  "num_inference_steps": 4, "num_images_per_prompt": 2, "seed": 9}
        status, _, body = self.post("text-to-image", fields)
        self.assertEqual(status, 200, body)
        answer = json.loads(body)
        self.assertEqual([i["seed"] for i in answer["images"]], [9, 10])
        for image in answer["images"]:
            _, headers, png = harness.request(image["url"])
            self.assertEqual(headers["content-type"], "image/png")
            video = harness.video_stream(png)
            self.assertEqual((video["width"], video["height"]), (1024, 576))
        run = answer["framegrid"]
        self.assertEqual((run["model_id"], run["steps"], run["units"]), ("framegrid/scenes", 4, 1024 * 576 * 2))
        self.assertEqual(len(run["model_digest"]), 64)
        self.assertGreater(run["runtime_ms"], 0)

    def test_a_seed_repeats_bit_by_bit_alone_and_in_a_batch(self):
        caption = "a green star in the middle"
        first = self.picture(caption, 5, num_inference_steps=4)
        self.assertEqual(first, self.picture(caption, 5, num_inference_steps=4))
        self.assertNotEqual(first, self.picture(caption, 6, num_inference_steps=4))
        _, _, body = self.post("text-to-image", {"prompt": caption, "seed": 4, "num_images_per_prompt": 2,
                                                 "num_inference_steps": 4})
        second = harness.request(json.loads(body)["images"][1]["url"])[2]
        alone, batched = harness.pixels(first, 128, 128), harness.pixels(second, 128, 128)
        # Sums in another order may round the other way.
        self.assertLessEqual(max(abs(a - b) for a, b in zip(alone, batched)), 3)

    def test_colours_are_what_the_caption_says(self):
        data = harness.pixels(self.picture("a red circle on the left over blue"), 128, 128)
        at = lambda x, y: data[(y * 128 + x) * 3:(y * 128 + x) * 3 + 3]
        corner = at(120, 8)
        self.assertTrue(corner[2] > corner[0] + 60, tuple(corner))
        reds = sum(1 for y in range(128) for x in range(64) if at(x, y)[0] > at(x, y)[2] + 60)
        right = sum(1 for y in range(128) for x in range(64, 128) if at(x, y)[0] > at(x, y)[2] + 60)
        self.assertGreater(reds, 300)
        self.assertGreater(reds, 4 * right)

    def test_formats(self):
        for wanted, kind in (("jpeg", "image/jpeg"), ("webp", "image/webp"), ("png", "image/png")):
            with self.subTest(wanted):
                status, headers, _ = self.post("text-to-image", {"prompt": "a ring", "num_inference_steps": 2,
                                                                 "output_format": wanted}, accept="image/*")
                self.assertEqual((status, headers["content-type"]), (200, kind))

    def test_a_changed_picture_and_a_painted_one(self):
        source = self.picture("a red circle in the middle over blue", 3)
        status, _, png = self.post_form("image-to-image", {"prompt": "a red circle in the middle over blue",
                                                           "strength": "0.3", "seed": "1"}, source, accept="image/png")
        self.assertEqual(status, 200, png[:300])
        before = harness.pixels(source, 128, 128)
        after = harness.pixels(png, 128, 128)
        self.assertLess(sum(abs(a - b) for a, b in zip(before, after)) / len(before), 25, "strength 0.3 changes little")

        mask = harness.clip("mask.png", ["-f", "lavfi", "-i", "color=black:size=128x128,drawbox=64:0:64:128:white:fill",
                                         "-frames:v", "1", "-pix_fmt", "gray"]).read_bytes()
        boundary = "b0undary"
        form, kind = multipart({"prompt": "a yellow star on the right over blue", "seed": "2"}, source)
        extra = (f'--{boundary}\r\nContent-Disposition: form-data; name="mask"; filename="m"\r\n\r\n').encode()
        form = extra + mask + b"\r\n" + form
        status, _, png = self.network.request("POST", "/inpaint", form, {"Content-Type": kind, "Accept": "image/png"})
        self.assertEqual(status, 200, png[:300])
        painted = harness.pixels(png, 128, 128)
        left = [abs(painted[i] - before[i]) for y in range(128) for i in range(y * 384, y * 384 + 48 * 3)]
        self.assertLess(sum(left) / len(left), 20, "what the mask leaves stays")

    def test_videos(self):
        for fields, kind, codec in (({}, "video/mp4", "h264"), ({"output_format": "webm"}, "video/webm", "vp9")):
            with self.subTest(kind):
                status, headers, video = self.post("text-to-video", {"prompt": "a red ball rolls left over blue",
                                                                     "num_inference_steps": 2, "num_frames": 8, **fields},
                                                   accept="video/*")
                self.assertEqual((status, headers["content-type"]), (200, kind), video[:300])
                stream = harness.video_stream(video)
                self.assertEqual((stream["codec_name"], stream["width"]), (codec, 96))
        status, _, video = self.post_form("image-to-video", {"num_inference_steps": "2", "fps": "10", "width": "192",
                                                             "height": "128"}, self.picture("a ring", 2),
                                          accept="video/mp4")
        self.assertEqual(status, 200, video[:300])
        stream = harness.video_stream(video)
        self.assertEqual((stream["width"], stream["height"], stream["avg_frame_rate"]), (192, 128, "10/1"))

    def test_what_peers_take_below_the_ranges_is_taken(self):
        fields = {"prompt": "a ring", "num_inference_steps": 0, "num_images_per_prompt": 0, "seed": -1}
        status, _, body = self.post("text-to-image", fields)
        self.assertEqual(status, 200, body)
        answer = json.loads(body)
        self.assertEqual([i["seed"] for i in answer["images"]], [2 ** 52 - 1])
        _, _, body = self.post("text-to-image", {"prompt": "a ring", "seed": 2 ** 52 - 1})
        self.assertEqual(answer["framegrid"]["steps"], json.loads(body)["framegrid"]["steps"], "the model's")

    def test_a_video_may_be_asked_for_later(self):
        png = harness.clip("small.png", ["-f", "lavfi", "-i", "testsrc2=size=64x64", "-frames:v", "1"]).read_bytes()
        body, kind = multipart({"num_inference_steps": "2", "fps": "8", "width": "64", "height": "64", "num_frames": "8"},
                               png)
        status, _, body = self.network.request("POST", "/image-to-video", body,
                                               {"Content-Type": kind, "Prefer": "respond-async"})
        self.assertEqual(status, 202, body)
        ask = json.dumps({"request_id": json.loads(body)["request_id"]}).encode()
        for _ in range(300):
            status, _, body = self.network.request("POST", "/image-to-video/result", ask)
            if status != 202:
                break
            self.assertEqual(json.loads(body), {"status": "processing"})
            time.sleep(0.2)
        self.assertEqual((status, json.loads(body)["status"]), (200, "complete"), body)
        image = json.loads(body)["result"]["images"][0]
        self.assertIs(image["nsfw"], False)
        self.assertEqual(harness.video_stream(harness.request(image["url"])[2])["width"], 64)
        status, _, body = self.network.request("POST", "/image-to-video/result", b'{"request_id":"0a1b2c3d"}')
        self.assertEqual((status, json.loads(body)["error"]["field"]), (400, "request_id"), body)

    def test_bad_requests_name_the_field(self):
        for pipeline, fields, field in (
                ("text-to-image", {}, "prompt"),
                ("text-to-image", {"prompt": ""}, "prompt"),
                ("text-to-image", {"prompt": "x", "width": 100}, "width"),
                ("text-to-image", {"prompt": "x", "num_inference_steps": 10 ** 9}, "num_inference_steps"),
                ("text-to-image", {"prompt": "x", "guidance_scale": "NaN"}, "guidance_scale"),
                ("text-to-image", {"prompt": "x", "loras": "{\"a/b\": 1}"}, "loras"),
                ("text-to-video", {"prompt": "x", "num_frames": 10 ** 6}, "num_frames")):
            with self.subTest(fields):
                status, _, body = self.post(pipeline, fields)
                self.assertEqual((status, json.loads(body)["error"]["field"]), (400, field), body)
        status, _, body = self.post("text-to-image", {"prompt": "x" * 1_000_000})
        self.assertEqual(status, 413, body)
        status, _, body = self.post_form("image-to-image", {"prompt": "x"}, b"not a picture")
        self.assertEqual((status, json.loads(body)["error"]["field"]), (422, "image"), body)
        bomb = harness.clip("bomb.png", ["-f", "lavfi", "-i", "color=white:size=16000x16000", "-frames:v", "1"])
        status, _, body = self.post_form("image-to-image", {"prompt": "x"}, bomb.read_bytes())
        self.assertEqual(status, 413, body)
        self.assertEqual(self.post("text-to-image", {"prompt": "a ring", "num_inference_steps": 1})[0], 200)

    def test_pipelines_are_applications_for_other_clients(self):
        orchestrator = self.network.uris[0]
        status, _, body = harness.request(orchestrator + "/discovery")
        self.assertEqual(status, 200, body)
        runners = {r["app"]: r for r in json.loads(body)[0]["runners"]}
        runner = runners["framegrid/text-to-video/framegrid/motion"]
        self.assertEqual((runner["mode"], runner["capacity"]), ("single-shot", 1))
        call = json.dumps({"prompt": "a red ball", "num_inference_steps": 1, "num_frames": 8}).encode()
        as_json = {"Content-Type": "application/json"}
        status, _, body = harness.request(runner["url"], "POST", call, as_json)
        self.assertEqual(status, 200, body)
        answer = json.loads(body)
        self.assertEqual(answer["framegrid"]["model_id"], "framegrid/motion")
        video = harness.request(answer["images"][0]["url"])[2]
        self.assertEqual(harness.video_stream(video)["codec_name"], "h264")
        for path, expected in (("/apps/tea--a--b/app", 404), ("/apps/text-to-video--a--b/app", 404),
                               ("/apps/x/session", 404)):
            self.assertEqual(harness.request(orchestrator + path, "POST", call, as_json)[0], expected, path)

    def test_a_video_gets_twice_the_pictures_piece_by_piece(self):
        source = harness.clip("pan.mp4", ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=10:duration=4", "-c:v", "libx264",
                                          "-pix_fmt", "yuv420p", "-g", "10", "-keyint_min", "10", "-sc_threshold", "0"])
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "smooth.mp4"
            done = self.command("frame-interpolation", "--video", source, "-o", out, "--multiplier", "2", "--gateway",
                                self.network.url, ok=True)
            self.assertEqual(done["segments"], 4)
            times = [float(f["pts_time"]) for f in harness.ffprobe(out, "frame=pts_time", count=False)["frames"]]
            self.assertEqual(len(times), 80)
            steps = [b - a for a, b in zip(times, times[1:])]
            self.assertLess(max(abs(s - 0.05) for s in steps), 0.002, "evenly spaced, over the pieces' borders too")
            # Between two pieces there is a picture of its own, not the last one twice.
            frames = subprocess.run(["ffmpeg", "-v", "error", "-i", out, "-f", "framemd5", "-"], capture_output=True,
                                    text=True, check=True).stdout.splitlines()
            digests = [line.split(",")[-1].strip() for line in frames if not line.startswith("#")]
            for border in (20, 40, 60):
                self.assertEqual(len(set(digests[border - 2:border + 1])), 3)

    LONG = {"prompt": "a red ball rolls left", "num_inference_steps": 500}

    def test_a_client_that_leaves_frees_the_slot(self):
        with self.assertRaises(TimeoutError):
            self.network.request("POST", "/text-to-video", json.dumps(self.LONG).encode(),
                                 {"Content-Type": "application/json"}, timeout=2)
        began = time.monotonic()
        status, _, body = self.post("text-to-image", {"prompt": "a ring", "num_inference_steps": 1})
        self.assertEqual(status, 200, body)
        self.assertLess(time.monotonic() - began, 10, "the long job was stopped between two steps")

    def test_an_executor_killed_in_the_middle_fails_one_job_at_most(self):
        answers = []
        call = threading.Thread(target=lambda: answers.append(self.post("text-to-video", {**self.LONG,
                                                                                          "num_inference_steps": 60})))
        call.start()
        time.sleep(2)
        busy = max(harness.children(self.network.workers[0].pid, "executor"), key=harness.rss_mb)
        os.kill(busy, signal.SIGKILL)
        call.join(timeout=120)
        status, _, body = answers[0]
        self.assertIn(status, (200, 503), body)
        if status == 503:
            self.assertIn("executor", json.loads(body)["error"]["message"])
        self.assertEqual(self.post("text-to-image", {"prompt": "a ring", "num_inference_steps": 1})[0], 200)
        self.assertEqual(self.network.status()["jobs"]["in_flight"], 0)

    def test_command_line(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder)
            run = lambda *a, ok=True: self.command(*a, "--gateway", self.network.url, ok=ok)
            answer = run("text-to-image", "a blue square", "-o", out / "a.png", "--steps", "2", "--images", "2")
            self.assertEqual(answer["files"], [str(out / "a-1.png"), str(out / "a-2.png")])
            run("text-to-image", "a blue square", "-o", out / "a.webp", "--steps", "1")
            self.assertEqual((out / "a.webp").read_bytes()[8:12], b"WEBP")
            self.assertIn("width", run("text-to-image", "x", "-o", out / "b.png", "--width", "3", ok=False))
            self.assertIn("none.png", run("image-to-image", "x", "--image", out / "none.png", "-o", out / "b.png", ok=False))
            self.assertFalse((out / "b.png").exists())

    def command(self, *arguments, ok):
        done = subprocess.run([harness.BINARY, "--json", *arguments], capture_output=True, text=True, timeout=120,
                              check=False)
        self.assertEqual(done.returncode == 0, ok, done.stdout + done.stderr)
        return json.loads(done.stdout) if ok else done.stdout + done.stderr


class InferenceOptionsTest(unittest.TestCase):
    """What a worker's options about inference make of its executors."""

    def executor_arguments(self, network):
        pid = harness.children(network.workers[0].pid, "executor")[0]
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")

    def draw(self, network):
        body = json.dumps({"prompt": "a ring", "num_inference_steps": 1}).encode()
        return network.request("POST", "/text-to-image", body, {"Content-Type": "application/json"})

    def test_threads_and_provider_reach_executors_and_are_logged(self):
        args = ["--threads", "2", "--pin-threads", "--map-weights", "--provider", "auto"]
        with harness.Network(1, 1, capacity=1, worker_args=args, log_level="debug") as network:
            network.wait_usable()
            given = self.executor_arguments(network)
            self.assertEqual(given[given.index("--threads") + 1], "2")
            self.assertIn("--pin-threads", given)
            self.assertIn("--map-weights", given)
            status, _, body = self.draw(network)
            self.assertEqual(status, 200, body)
            self.assertEqual(network.workers[0].log_text().count("infer.provider_chosen"), 1)

    def test_processors_are_shared_among_the_executors_of_ai_tasks(self):
        with harness.Network(1, 1, capacity=1, ai_capacity=64, worker_args=["--ai-executors", "64"]) as network:
            given = self.executor_arguments(network)
            self.assertEqual(given[given.index("--threads") + 1], "1")


if __name__ == "__main__":
    unittest.main()
