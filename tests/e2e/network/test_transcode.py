"""Transcoding through real processes: the push API and what comes back."""

import concurrent.futures
import json
import unittest

import harness

PROFILES = [
    {"name": "big", "width": 320, "height": 180, "bitrate": 500000, "fps": 0, "gop": "2"},
    {"name": "small", "width": 160, "height": 90, "bitrate": 200000, "fps": 0, "gop": "2"},
]


class TranscodeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.network = harness.Network(2, 2, capacity=1, ai_capacity=0)
        cls.network.wait_usable(2)
        cls.segment = harness.segment(2, "640x360", 30)

    @classmethod
    def tearDownClass(cls):
        cls.network.__exit__()

    def push_ok(self, stream, seq, data, profiles=None, **options):
        status, headers, body = self.network.push(stream, seq, data, profiles or PROFILES, **options)
        self.assertEqual(status, 200, body[:500])
        return harness.parse_multipart(headers, body)

    def test_renditions_come_back_in_profile_order_and_can_be_played(self):
        parts = self.push_ok("order", 7, self.segment)
        self.assertEqual([p[0]["Rendition-Name"] for p in parts], ["big", "small"])
        self.assertEqual(parts[0][0]["Content-Disposition"], 'attachment; filename="big_7.ts"')
        self.assertEqual(parts[0][0]["Content-Type"], 'video/mp2t; name="big_7.ts"')
        for (_, data), (width, height) in zip(parts, [(320, 180), (160, 90)]):
            video = harness.video_stream(data)
            self.assertEqual((video["width"], video["height"], int(video["nb_read_frames"])), (width, height, 60))
            kinds = {s["codec_type"] for s in harness.ffprobe(data)["streams"]}
            self.assertEqual(kinds, {"video", "audio"}, "audio is copied")

    def test_the_first_rendition_leaves_before_the_last_one_is_made(self):
        large = {**PROFILES[0], "name": "large", "width": 1920, "height": 1080, "bitrate": 4000000}
        status, headers, body = self.network.push("early", 0, self.segment, [PROFILES[1], large])
        self.assertEqual(status, 200, body[:300])
        self.assertNotIn("content-length", headers, "its length is not known when it begins")
        parts = harness.parse_multipart(headers, body)
        self.assertEqual([p[0]["Rendition-Name"] for p in parts], ["small", "large"])
        _, _, text = self.network.request("GET", "/metrics")
        counts = dict(line.rsplit(" ", 1) for line in text.decode().splitlines() if not line.startswith("#"))
        self.assertGreaterEqual(float(counts["framegrid_gateway_renditions_early_total"]), 1)

    def test_put_is_post(self):
        config = json.dumps({"profiles": PROFILES[:1]})
        status, headers, body = self.network.request(
            "PUT", "/live/put/0.ts", self.segment,
            {"Accept": "multipart/mixed", "Livepeer-Transcode-Configuration": config})
        self.assertEqual(status, 200, body[:300])
        self.assertEqual(len(harness.parse_multipart(headers, body)), 1)

    def test_segments_of_one_stream_in_parallel(self):
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda seq: self.push_ok("parallel", seq, self.segment), range(12)))
        for seq, parts in enumerate(answers):
            self.assertEqual(parts[1][0]["Content-Disposition"], f'attachment; filename="small_{seq}.ts"')

    def test_mp4_in_mp4_out(self):
        data = harness.test_clip(2, "320x180", 30, gop=2).read_bytes()
        parts = self.push_ok("mp4", 0, data, PROFILES[1:], suffix="mp4")
        self.assertTrue(parts[0][0]["Content-Type"].startswith("video/mp4"))
        self.assertEqual(parts[0][1][4:8], b"ftyp")
        self.assertEqual(int(harness.video_stream(parts[0][1])["nb_read_frames"]), 60)

    def test_codecs_in(self):
        for name, codec in {
            "hevc": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"),
            "vp9": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"),
            "av1": ("-c:v", "libsvtav1", "-preset", "12"),
            "mpeg4": ("-c:v", "mpeg4"),
        }.items():
            with self.subTest(name):
                data = harness.test_clip(1, "320x180", 30, codec=codec, audio=False, gop=1).read_bytes()
                parts = self.push_ok(f"in-{name}", 0, data, [{**PROFILES[1], "gop": ""}], suffix="mp4",
                                     duration_ms=1000)
                self.assertEqual(int(harness.video_stream(parts[0][1])["nb_read_frames"]), 30)

    def test_codecs_out(self):
        data = harness.test_clip(1, "320x180", 30, gop=1, audio=False).read_bytes()
        for encoder, codec in {"HEVC": "hevc", "VP9": "vp9"}.items():
            for suffix in ("mp4", "ts"):  # VP9 has no place in MPEG-TS, and comes as MP4
                with self.subTest(encoder=encoder, suffix=suffix):
                    profile = {**PROFILES[1], "encoder": encoder}
                    parts = self.push_ok(f"out-{codec}-{suffix}", 0, data, [profile], suffix=suffix, duration_ms=1000)
                    self.assertEqual(harness.video_stream(parts[0][1])["codec_name"], codec)
                    kind = "video/mp2t" if (encoder, suffix) == ("HEVC", "ts") else "video/mp4"
                    self.assertTrue(parts[0][0]["Content-Type"].startswith(kind), parts[0][0])

    def test_frame_rate_change(self):
        parts = self.push_ok("fps", 0, self.segment, [{**PROFILES[1], "fps": 15}])
        self.assertIn(int(harness.video_stream(parts[0][1])["nb_read_frames"]), (30, 31))

    def test_without_accept_the_answer_is_empty(self):
        config = json.dumps({"profiles": PROFILES[:1]})
        status, _, body = self.network.request("POST", "/live/no-accept/0.ts", self.segment,
                                               {"Livepeer-Transcode-Configuration": config})
        self.assertEqual((status, body), (200, b""))

    def test_audio_only_segment_is_passed_through(self):
        data = harness.clip("audio-and-empty-video.ts", [
            "-f", "lavfi", "-i", "sine=frequency=300:duration=1", "-c:a", "aac", "-f", "mpegts"]).read_bytes()
        status, _, body = self.network.push("audio", 0, data, PROFILES)
        self.assertIn(status, (200, 422), body[:300])

    def test_status_and_metrics_count(self):
        self.push_ok("counted", 0, self.segment, PROFILES[1:])
        status = self.network.status()
        self.assertGreaterEqual(status["jobs"]["done"], 1)
        code, _, text = self.network.request("GET", "/metrics")
        self.assertEqual(code, 200)
        self.assertIn(b'framegrid_gateway_jobs_total{result="done"}', text)


if __name__ == "__main__":
    unittest.main()
