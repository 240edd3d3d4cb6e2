"""Starts real Framegrid processes for end-to-end tests and benchmarks. Standard library only."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = pathlib.Path(os.environ.get("FRAMEGRID", ROOT / "build/release/framegrid"))
CACHE = pathlib.Path(os.environ.get("FRAMEGRID_TEST_MEDIA", ROOT / "build/test-media"))


def clip(name, arguments):
    """A media file made once by FFmpeg and kept for the next run. `arguments` end before the output's name."""
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / name
    if not path.exists():
        part = path.with_name("part-" + path.name)
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", *arguments, str(part)], check=True, stdin=subprocess.DEVNULL
        )
        part.rename(path)
    return path


def test_clip(seconds=6, size="640x360", fps=30, codec=("-c:v", "libx264", "-preset", "veryfast"), suffix="mp4",
              audio=True, gop=2):
    """Moving test pattern with a keyframe every `gop` seconds and, if wanted, a sine tone."""
    inputs = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={fps}:duration={seconds}"]
    if audio:
        inputs += ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}", "-c:a", "aac"]
    name = f"test-{size}-{fps}-{seconds}s-{codec[1]}-{gop}-{'a' if audio else 'n'}.{suffix}"
    return clip(name, [*inputs, *codec, "-pix_fmt", "yuv420p", "-g", str(int(gop * fps)), "-keyint_min",
                       str(int(gop * fps)), "-sc_threshold", "0"])


def segment(seconds=2, size="640x360", fps=30, **options):
    """One MPEG-TS segment as a client would push it."""
    return test_clip(seconds, size, fps, suffix="ts", gop=seconds, **options).read_bytes()


class Process:
    """One child process of a test; its standard error goes to a file that failures quote."""

    def __init__(self, arguments, env=None, name="process", binary=None):
        self.name = name
        self.log = tempfile.NamedTemporaryFile(prefix=f"framegrid-{name}-", suffix=".log", delete=False)
        self.popen = subprocess.Popen(
            [str(binary or BINARY), *arguments],
            stdout=subprocess.PIPE,
            stderr=self.log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
            text=True,
        )

    @property
    def pid(self):
        return self.popen.pid

    def line(self, prefix="", timeout=30):
        """The next line of standard output that starts with `prefix`."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            text = self.popen.stdout.readline()
            if text == "":
                raise RuntimeError(f"{self.name} ended early: {self.log_text()[-2000:]}")
            if text.startswith(prefix):
                return text.strip()
        raise RuntimeError(f"{self.name} said nothing in {timeout} s")

    def log_text(self):
        return pathlib.Path(self.log.name).read_text(errors="replace")

    def kill(self, number=signal.SIGKILL):
        if self.popen.poll() is None:
            self.popen.send_signal(number)

    def stop(self, timeout=10):
        self.kill(signal.SIGTERM)
        try:
            self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        self.popen.stdout.close()
        self.log.close()
        with contextlib.suppress(OSError):
            os.unlink(self.log.name)
        return self.popen.returncode


class Network:
    """One gateway, orchestrators and workers as separate processes on loopback, each restartable and killable."""

    SECRET = "test-secret"

    def __init__(self, orchestrators=1, workers=1, capacity=2, ai_capacity=1, preset="ultrafast", gateway_args=(),
                 worker_args=(), extra_orchestrators=(), log_level="info", drain_seconds=1, env=None, orchestrator_args=None):
        self.common = ["--log-level", log_level]
        self.env = {"FRAMEGRID_SECRET": self.SECRET, **(env or {})}
        self.data = tempfile.TemporaryDirectory(prefix="framegrid-data-")
        self.capacity, self.ai_capacity, self.preset = capacity, ai_capacity, preset
        self.drain = ["--drain-seconds", str(drain_seconds)]
        self.worker_args = [*worker_args, *self.drain]
        self.orchestrator_args = orchestrator_args or (lambda i: ())  # of each, by its number
        self.orchestrators, self.workers, self.uris = [], [], []
        for i in range(orchestrators):
            self.orchestrators.append(self._orchestrator("127.0.0.1:0", i))
        for process in self.orchestrators:
            self.uris.append(process.line("ready ").split()[1])
        for i in range(workers):
            order = self.uris[i % orchestrators:] + self.uris[:i % orchestrators] if orchestrators else []
            self.workers.append(self.start_worker(order, f"worker-{i}"))
        for process in self.workers:
            process.line("ready ")
        self.gateway_args = [*gateway_args, *self.drain]
        self.all_uris = self.uris + list(extra_orchestrators)
        self.gateway = self._gateway("127.0.0.1:0")
        self.url = self.gateway.line("ready ").split()[1]

    def _orchestrator(self, listen, i, args=()):
        return Process([*self.common, "orchestrator", "--listen", listen, *self.drain, *self.orchestrator_args(i), *args],
                       self.env, f"orchestrator-{i}")

    def _gateway(self, listen):
        args = [*self.common, "gateway", "--listen", listen, "--data", self.data.name, "--orchestrators",
                ",".join(self.all_uris), *self.gateway_args]
        return Process(args, self.env, "gateway")

    def start_worker(self, order, name="worker", secret=None):
        env = {**self.env, "FRAMEGRID_SECRET": secret or self.SECRET}
        return Process(
            [*self.common, "worker", "--orchestrators", ",".join(order), "--capacity", str(self.capacity),
             "--ai-capacity", str(self.ai_capacity), "--x264-preset", self.preset, *self.worker_args],
            env, name)

    def restart_orchestrator(self, i):
        self.orchestrators[i].stop()
        self.orchestrators[i] = self._orchestrator(self.uris[i].split("//")[1], i)
        self.orchestrators[i].line("ready ")

    def restart_gateway(self):
        self.gateway.stop()
        self.gateway = self._gateway(self.url.split("//")[1])
        self.gateway.line("ready ")

    def restart_worker(self, i):
        self.workers[i].stop()
        n = len(self.uris)
        self.workers[i] = self.start_worker(self.uris[i % n:] + self.uris[:i % n], f"worker-{i}")

    def wait_usable(self, count=None, timeout=20, capacity=1):
        """Until the gateway knows `count` orchestrators with workers."""
        count = len(self.uris) if count is None else count
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            nodes = self.status()["orchestrators"]
            good = [n for n in nodes if n["known"] and not n["suspended"] and n["capacity"] >= capacity
                    and n.get("can_transcode", True)]
            if len(good) >= count:
                return
            time.sleep(0.01)
        raise RuntimeError(f"only {nodes} after {timeout} s")

    def status(self):
        return json.loads(self.request("GET", "/status")[2])

    def request(self, method, path, body=None, headers=None, timeout=60):
        """(status, headers, body) of one request to the gateway."""
        return request(self.url + path, method, body, headers, timeout)

    def push(self, stream, seq, data, profiles, suffix="ts", duration_ms=2000, timeout=60, headers=None):
        config = json.dumps({"profiles": profiles})
        return self.request(
            "POST", f"/live/{stream}/{seq}.{suffix}", data,
            {"Accept": "multipart/mixed", "Content-Duration": str(duration_ms),
             "Livepeer-Transcode-Configuration": config, **(headers or {})}, timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in [self.gateway, *self.workers, *self.orchestrators]:
            process.stop()
        self.data.cleanup()


def request(url, method="GET", body=None, headers=None, timeout=60):
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path or "/", body, headers or {})
        response = connection.getresponse()
        return response.status, dict((k.lower(), v) for k, v in response.getheaders()), response.read()
    finally:
        connection.close()


def read_events(response):
    """Server-sent events of an answer as they come: their fields by name, the data as it was sent."""
    fields = {}
    for line in response:
        text = line.decode().rstrip("\r\n")
        name, colon, value = text.partition(":")
        if not text:
            if "data" in fields:
                yield fields
            fields = {}
        elif name and colon:
            value = value.removeprefix(" ")
            fields[name] = f"{fields[name]}\n{value}" if name == "data" and "data" in fields else value


def parse_multipart(headers, body):
    """[(headers, bytes)] of a multipart answer, strict about what existing clients rely on."""
    kind, _, boundary = headers["content-type"].partition("; boundary=")
    assert kind == "multipart/mixed", headers
    assert boundary and '"' not in boundary, boundary
    delimiter = b"--" + boundary.encode()
    pieces = body.split(delimiter)
    assert pieces[-1].strip() == b"--", "the last boundary is missing"
    parts = []
    for piece in pieces[1:-1]:
        assert piece.startswith(b"\r\n") and piece.endswith(b"\r\n")
        head, _, data = piece[2:-2].partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        assert int(fields["Content-Length"]) == len(data)
        parts.append((fields, data))
    return parts


def ffprobe(data_or_path, entries="stream=codec_name,codec_type,width,height,nb_read_frames,avg_frame_rate",
            count=True):
    """FFprobe's JSON about bytes or a file."""
    arguments = ["ffprobe", "-v", "error", "-of", "json", "-show_entries", entries]
    arguments += ["-count_frames"] if count else []
    if isinstance(data_or_path, bytes):
        done = subprocess.run([*arguments, "-"], input=data_or_path, capture_output=True, check=True)
    else:
        done = subprocess.run([*arguments, str(data_or_path)], capture_output=True, check=True)
    return json.loads(done.stdout)


def video_stream(data):
    return next(s for s in ffprobe(data)["streams"] if s["codec_type"] == "video")


def pixels(data, width, height):
    """A picture file as interleaved RGB bytes, whose size is checked."""
    done = subprocess.run(["ffmpeg", "-v", "error", "-i", "-", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], input=data,
                          capture_output=True, check=True)
    assert len(done.stdout) == width * height * 3, len(done.stdout)
    return done.stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def children(pid, argument=""):
    """Process ids of `pid`'s children whose command line has `argument`."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it may end meanwhile
                status = (entry / "status").read_text()
                arguments = (entry / "cmdline").read_text().split("\0")
                if f"\nPPid:\t{pid}\n" in status and (not argument or argument in arguments):
                    found.append(int(entry.name))
    return sorted(found)


def rss_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0
