"""Input that cannot be processed: a clear error for it, and nothing else is disturbed."""

import json
import struct
import unittest

import harness

PROFILE = {"name": "p", "width": 160, "height": 90, "bitrate": 200000, "fps": 0, "gop": "2"}


class BadInputTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.network = harness.Network(1, 1, capacity=1)
        cls.network.wait_usable()
        cls.good = harness.segment(1, "320x180", 30)

    @classmethod
    def tearDownClass(cls):
        cls.network.__exit__()

    def tearDown(self):
        # Whatever was sent: the network still works, with the same processes.
        status, _, body = self.network.push(f"after-{self._testMethodName}", 0, self.good, [PROFILE])
        self.assertEqual(status, 200, body[:300])
        for process in [self.network.gateway, *self.network.orchestrators, *self.network.workers]:
            self.assertIsNone(process.popen.poll(), f"{process.name} has died")

    def refused(self, expected, answer, field=None):
        status, headers, body = answer
        self.assertIn(status, expected if isinstance(expected, tuple) else (expected,), body[:500])
        self.assertEqual(headers["content-type"].split(";")[0], "application/json")
        error = json.loads(body)["error"]
        self.assertTrue(error["code"])
        self.assertTrue(error["message"])
        if field:
            self.assertIn(field, error.get("field", ""))
        return error

    def test_not_media(self):
        self.refused(422, self.network.push("not-media", 0, b"this is not media" * 1000, [PROFILE]))

    def test_zero_bytes(self):
        self.refused((400, 422), self.network.push("empty", 0, b"", [PROFILE]))

    def test_truncated(self):
        clip = harness.test_clip(2, "320x180", 30).read_bytes()
        self.refused(422, self.network.push("truncated", 0, clip[: len(clip) // 3], [PROFILE], suffix="mp4"))

    def test_truncated_ts_gives_what_there_is(self):
        status, headers, body = self.network.push("truncated-ts", 0, self.good[: len(self.good) // 2], [PROFILE])
        self.assertIn(status, (200, 422), body[:300])
        if status == 200:
            frames = int(harness.video_stream(harness.parse_multipart(headers, body)[0][1])["nb_read_frames"])
            self.assertTrue(0 < frames < 30)

    def test_one_by_one_pixel(self):
        data = harness.clip("one-pixel.mp4", [
            "-f", "lavfi", "-i", "color=red:size=1x1:rate=10:duration=1", "-c:v", "libvpx-vp9", "-pix_fmt", "yuv444p"]
        ).read_bytes()
        status, _, body = self.network.push("one-pixel", 0, data, [{**PROFILE, "gop": ""}], suffix="mp4")
        if status != 200:
            self.refused(422, (status, {"content-type": "application/json"}, body))

    def test_claims_to_be_enormous(self):
        # An MP4 whose headers say 100000x100000; the bytes of the pictures do not matter.
        data = bytearray(harness.test_clip(1, "320x180", 30, audio=False, gop=1).read_bytes())
        for box, offset in ((b"avc1", 28), (b"tkhd", 80)):
            at = data.find(box)
            self.assertGreater(at, 0)
            if box == b"avc1":
                data[at + offset : at + offset + 4] = struct.pack(">HH", 65535, 65535)
            else:
                data[at + offset : at + offset + 8] = struct.pack(">II", 100000 << 0, 100000 << 0)
        answer = self.network.push("enormous", 0, bytes(data), [PROFILE], suffix="mp4")
        if answer[0] != 200:  # H.264's own parameter sets say the true size: either reading is safe
            self.refused((413, 422), answer)

    def test_enormous_rendition(self):
        self.refused((400, 422), self.network.push("enormous-out", 0, self.good,
                                                   [{**PROFILE, "width": 100000, "height": 100000}]))

    def test_duration_over_the_limit(self):
        self.refused((400, 413, 422), self.network.push("long", 0, self.good, [PROFILE], duration_ms=300001))

    def test_body_over_the_limit(self):
        connection_error = None
        try:
            answer = self.network.request("POST", "/live/huge/0.ts", b"\0" * 1000,
                                          {"Content-Length": str(400_000_000)}, timeout=10)
            self.refused(413, answer)
        except OSError as error:  # the gateway may hang up on a body it will not read
            connection_error = error
        self.assertIsNone(connection_error)

    def test_profiles_of_wrong_types(self):
        for change, field in (({"width": "wide"}, "width"), ({"bitrate": -5}, "bitrate"), ({"fps": {}}, "fps"),
                              ({"encoder": "MPEG9"}, "encoder"), ({"profile": "H264Extreme"}, "profile")):
            with self.subTest(field):
                self.refused(400, self.network.push("types", 0, self.good, [{**PROFILE, **change}]), field)
        answer = self.network.request("POST", "/live/json/0.ts", self.good,
                                      {"Livepeer-Transcode-Configuration": "{not json"})
        self.refused(400, answer)

    def test_unknown_pipeline(self):
        self.refused(404, self.network.request("POST", "/text-to-dance", b"{}", {"Content-Type": "application/json"}))

    def test_wrong_method_and_extension(self):
        self.refused(405, self.network.request("GET", "/live/x/0.ts"))
        self.refused(400, self.network.request("POST", "/live/x/index.m3u8", b"#EXTM3U"))

    def multipart(self, fields, files):
        boundary = "test-boundary"
        body = b""
        for name, value in fields.items():
            body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, data in files.items():
            body += (f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="f"\r\n'
                     "Content-Type: application/octet-stream\r\n\r\n").encode() + data + b"\r\n"
        body += f"--{boundary}--\r\n".encode()
        return self.network.request("POST", "/upscale", body,
                                    {"Content-Type": f"multipart/form-data; boundary={boundary}"})

    def test_upscale_without_an_image(self):
        self.refused((400, 422), self.multipart({"prompt": ""}, {}), "image")

    def test_upscale_of_something_else(self):
        self.refused((400, 422), self.multipart({"prompt": ""}, {"image": b"not an image at all" * 10}))

    def test_upscale_with_an_unknown_model(self):
        png = harness.clip("dot.png", ["-f", "lavfi", "-i", "color=blue:size=16x16", "-frames:v", "1"]).read_bytes()
        self.refused((404, 503), self.multipart({"prompt": "", "model_id": "nobody/has-this"}, {"image": png}))

    def test_upscale_with_a_wrong_type(self):
        png = harness.clip("dot.png", ["-f", "lavfi", "-i", "color=blue:size=16x16", "-frames:v", "1"]).read_bytes()
        self.refused((400, 422), self.multipart({"prompt": "", "seed": "many"}, {"image": png}), "seed")

    def test_broken_multipart(self):
        self.refused(400, self.network.request(
            "POST", "/upscale", b"--nothing like it", {"Content-Type": "multipart/form-data; boundary=abc"}))


if __name__ == "__main__":
    unittest.main()
