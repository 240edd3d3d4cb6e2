"""Super-resolution through real processes: over HTTP and from the command line."""

import base64
import json
import subprocess
import tempfile
import unittest

import harness


def multipart(fields, image, name="image"):
    boundary = "b0undary"
    body = b""
    for key, value in fields.items():
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
    body += (f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="f"\r\n'
             "Content-Type: application/octet-stream\r\n\r\n").encode() + image + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


class UpscaleTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.network = harness.Network(1, 1, capacity=1, ai_capacity=1)
        cls.network.wait_usable()
        cls.png = harness.clip("scene.png", ["-f", "lavfi", "-i", "testsrc2=size=96x64", "-frames:v", "1"])

    @classmethod
    def tearDownClass(cls):
        cls.network.__exit__()

    def upscale(self, fields, image, accept=None):
        body, kind = multipart(fields, image)
        headers = {"Content-Type": kind, **({"Accept": accept} if accept else {})}
        return self.network.request("POST", "/upscale", body, headers)

    def test_answer_has_an_absolute_url_to_a_larger_image(self):
        for scale in (2, 4):
            with self.subTest(scale):
                status, _, body = self.upscale({"prompt": "", "model_id": f"framegrid/sr-{scale}x", "seed": "5"},
                                               self.png.read_bytes())
                self.assertEqual(status, 200, body)
                image = json.loads(body)["images"][0]
                self.assertTrue(image["url"].startswith("http://127.0.0.1"), image)
                self.assertEqual(image["seed"], 5)
                status, headers, png = harness.request(image["url"])
                self.assertEqual((status, headers["content-type"]), (200, "image/png"))
                video = harness.video_stream(png)
                self.assertEqual((video["width"], video["height"]), (96 * scale, 64 * scale))

    def test_default_model_and_jpeg_and_direct_answer(self):
        jpeg = harness.clip("scene.jpg", ["-f", "lavfi", "-i", "testsrc2=size=96x64", "-frames:v", "1"]).read_bytes()
        status, headers, png = self.upscale({"prompt": "", "model_id": ""}, jpeg, accept="image/png")
        self.assertEqual((status, headers["content-type"]), (200, "image/png"))
        self.assertEqual(harness.video_stream(png)["width"], 192)

    def test_one_pixel(self):
        dot = harness.clip("pixel.png", ["-f", "lavfi", "-i", "color=blue:size=1x1", "-frames:v", "1"]).read_bytes()
        status, _, png = self.upscale({"prompt": ""}, dot, accept="image/png")
        self.assertEqual(status, 200, png[:300])
        self.assertEqual(harness.video_stream(png)["width"], 2)

    def test_video_from_the_command_line(self):
        source = harness.test_clip(3, "128x72", 15, gop=1)
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [str(harness.BINARY), "--json", "upscale", str(source), "-o", f"{folder}/out.mp4", "--gateway",
                 self.network.url], capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
            self.assertEqual(json.loads(done.stdout)["segments"], 3)
            streams = {s["codec_type"]: s for s in harness.ffprobe(f"{folder}/out.mp4")["streams"]}
            self.assertEqual((streams["video"]["width"], streams["video"]["height"]), (256, 144))
            self.assertEqual(int(streams["video"]["nb_read_frames"]), 45)
            self.assertIn("audio", streams)

    def test_image_from_the_command_line(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [str(harness.BINARY), "upscale", str(self.png), "-o", f"{folder}/out.png", "--scale", "4",
                 "--gateway", self.network.url], capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(harness.video_stream((harness.pathlib.Path(folder) / "out.png").read_bytes())["width"], 384)


class DefaultModelTest(unittest.TestCase):
    def test_what_a_gateway_gives_requests_that_name_no_model(self):
        png = harness.clip("scene.png", ["-f", "lavfi", "-i", "testsrc2=size=96x64", "-frames:v", "1"]).read_bytes()
        with harness.Network(1, 1, capacity=1, ai_capacity=1,
                             gateway_args=("--default-model", "upscale=framegrid/sr-4x")) as network:
            network.wait_usable()
            body, kind = multipart({"prompt": "", "model_id": ""}, png)
            status, _, body = network.request("POST", "/upscale", body, {"Content-Type": kind})
            self.assertEqual(status, 200, body)
            self.assertEqual(json.loads(body)["framegrid"]["model_id"], "framegrid/sr-4x")
            job = {"pipeline": "upscale", "inputs": {"image": "data:image/png;base64," + base64.b64encode(png).decode()}}
            status, _, body = network.request("POST", "/v1/jobs", json.dumps(job).encode(),
                                              {"Content-Type": "application/json", "Prefer": "wait=60"})
            self.assertEqual(status, 200, body)
            self.assertEqual(json.loads(body)["run"]["model"], "framegrid/sr-4x")

    def test_a_wrong_one_is_refused(self):
        done = subprocess.run([str(harness.BINARY), "gateway", "--orchestrators", "https://a:1", "--default-model",
                               "tea=a/b"], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("there is no pipeline tea", done.stderr)


if __name__ == "__main__":
    unittest.main()
