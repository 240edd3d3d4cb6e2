#!/usr/bin/python3
"""Trains a Framegrid super-resolution network on procedurally made pictures and writes its model directory.

    /usr/bin/python3 models/train/train_sr.py --scale 2 --out models/framegrid/sr-2x
    /usr/bin/python3 models/train/train_sr.py --scale 2 --load w.pt --eval-ppm DIR     # only measure

Needs Debian's python3-torch and libopenblas0-pthread (tools/setup.sh --train). The same seed, step count and thread
count give the same weights on the same machine.
"""
import argparse
import hashlib
import math
import os
import sys
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads starve each other on a shared machine

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import images  # noqa: E402
from quiet import silent_stderr  # noqa: E402

TRAIN_SEED, VALID_SEED = 1, 2  # first word of each picture's seed: the two sets never share one
TILE, OVERLAP, TILES_PER_BATCH = 256, 8, 2
MEMORY_BYTES = {2: 128 << 20, 4: 192 << 20}  # measured: the network, its activations and one batch, rounded up


class SuperResolution(nn.Module):
    """3x3 convolutions at the low resolution; their output and a learned 5x5 resampling of the input (started as
    bicubic) are summed and rearranged to the high resolution. Borders are zero-padded: the engine repeats the
    picture's edge for `overlap` pixels, more than the receptive radius, so that no real pixel sees the padding."""

    def __init__(self, scale, features, blocks):
        super().__init__()
        self.scale = scale
        out = 3 * scale * scale
        self.head = nn.Conv2d(3, features, 3, padding=1)
        self.body = nn.ModuleList([nn.Conv2d(features, features, 3, padding=1) for _ in range(blocks)])
        self.tail = nn.Conv2d(features, out, 3, padding=1)
        self.skip = nn.Conv2d(3, out, 5, padding=2, bias=False)
        self.reset(features)

    @torch.no_grad()
    def reset(self, features):
        for conv in self.body:  # near the identity: a residual block whose shortcut is folded into the weights
            conv.weight.mul_(0.5)
            for i in range(features):
                conv.weight[i, i, 1, 1] += 0.7
        self.tail.weight.mul_(0.1)
        self.tail.bias.zero_()
        self.skip.weight.zero_()
        taps = phase_taps(self.scale)
        for c in range(3):
            for py in range(self.scale):
                for px in range(self.scale):
                    self.skip.weight[c * self.scale**2 + py * self.scale + px, c] = torch.outer(taps[py], taps[px])

    def forward(self, x):
        y = F.relu(self.head(x))
        for conv in self.body:
            y = F.relu(conv(y))
        return F.pixel_shuffle(self.tail(y) + self.skip(x), self.scale)

    @property
    def radius(self):
        return len(self.body) + 2


def phase_taps(scale):
    """Bicubic (a = -0.5) interpolation weights of the `scale` output phases on taps -2..2."""
    out = torch.zeros(scale, 5)
    for p in range(scale):
        position = (p + 0.5) / scale - 0.5
        for k in range(-2, 3):
            t = abs(position - k)
            if t <= 1:
                out[p, k + 2] = 1.5 * t**3 - 2.5 * t**2 + 1
            elif t < 2:
                out[p, k + 2] = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
        out[p] /= out[p].sum()
    return out


def to_float(picture):
    return torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]


def shrink(hr, scale, mode):
    """Low-resolution version, rounded to 8 bits as a file or a decoder would hold it."""
    size = (hr.shape[2] // scale, hr.shape[3] // scale)
    if mode == "area":
        lr = F.adaptive_avg_pool2d(hr, size)
    else:
        lr = F.interpolate(hr, size=size, mode=mode, antialias=True, align_corners=False)
    return torch.round(lr.clamp(0, 1) * 255) / 255


def make_set(seed, count, side, scale):
    """[(HR uint8, [LR float, ...])]; the first LR of each is bicubic."""
    out = []
    for i in range(count):
        picture = images.make_picture(np.random.default_rng([seed, i]), side)
        hr = to_float(picture)
        other = ("area", "bilinear")[i % 2]
        out.append((torch.from_numpy(picture).permute(2, 0, 1), [shrink(hr, scale, m)[0] for m in ("bicubic", other)]))
    return out


def sample_batch(data, rng, batch, patch, scale):
    lrs, hrs = [], []
    for _ in range(batch):
        hr, variants = data[rng.integers(len(data))]
        lr = variants[0 if rng.random() < 0.75 else 1]
        y = rng.integers(lr.shape[1] - patch + 1)
        x = rng.integers(lr.shape[2] - patch + 1)
        a = lr[:, y:y + patch, x:x + patch]
        b = hr[:, y * scale:(y + patch) * scale, x * scale:(x + patch) * scale].float() / 255
        if rng.random() < 0.5:
            a, b = a.flip(2), b.flip(2)
        turns = int(rng.integers(4))
        a, b = torch.rot90(a, turns, (1, 2)), torch.rot90(b, turns, (1, 2))
        order = torch.from_numpy(rng.permutation(3))
        a, b = a[order], b[order]
        if rng.random() < 0.5:
            a, b = 1 - a, 1 - b
        if rng.random() < 0.3:  # less contrast
            k, o = rng.uniform(0.3, 1), rng.random()
            a, b = (a - o) * k + o, (b - o) * k + o
        lrs.append(a)
        hrs.append(b)
    fmt = torch.channels_last
    return torch.stack(lrs).contiguous(memory_format=fmt), torch.stack(hrs).contiguous(memory_format=fmt)


def psnr(a, b, border):
    a = torch.round(a.clamp(0, 1) * 255)[..., border:-border, border:-border]
    b = torch.round(b * 255)[..., border:-border, border:-border]
    return 10 * math.log10(255**2 / max(float(((a - b) ** 2).mean()), 1e-3))


def upscale(net, lr):
    m = OVERLAP
    y = net(F.pad(lr, (m, m, m, m), mode="replicate"))
    return y[..., m * net.scale:-m * net.scale, m * net.scale:-m * net.scale]


@torch.no_grad()
def evaluate(net, pictures, scale):
    """Mean RGB PSNR of the network and of bicubic, over bicubic-shrunk pictures; (net, bicubic)."""
    rows = []
    for picture in pictures:
        h, w = picture.shape[0] // scale * scale, picture.shape[1] // scale * scale
        hr = to_float(picture[:h, :w])
        lr = shrink(hr, scale, "bicubic")
        cubic = F.interpolate(lr, scale_factor=scale, mode="bicubic", antialias=True, align_corners=False)
        rows.append((psnr(upscale(net, lr), hr, scale), psnr(cubic, hr, scale)))
    return np.mean(rows, axis=0)


def train(net, args):
    started = time.time()
    data = make_set(TRAIN_SEED, args.pictures, 256, args.scale)
    valid = [images.make_picture(np.random.default_rng([VALID_SEED, i]), 192) for i in range(40)]
    print(f"{len(data)} pictures in {time.time() - started:.0f} s", flush=True)
    rng = np.random.default_rng([3, args.seed])
    net = net.to(memory_format=torch.channels_last)
    average = {k: v.clone() for k, v in net.state_dict().items()}
    optimiser = torch.optim.Adam(net.parameters(), lr=args.rate, betas=(0.9, 0.99))
    crop, s = net.radius, args.scale
    started = time.time()
    for step in range(args.steps):
        progress = step / args.steps
        for group in optimiser.param_groups:
            warm = min(1, (step + 1) / 200)
            group["lr"] = warm * (args.rate * 0.005 + args.rate * 0.995 * 0.5 * (1 + math.cos(math.pi * progress)))
        lr, hr = sample_batch(data, rng, args.batch, args.patch, s)
        diff = (net(lr) - hr)[..., crop * s:-crop * s, crop * s:-crop * s]
        # Absolute error first (robust), squared error last (what PSNR measures).
        loss = diff.abs().mean() if progress < 0.75 else 10 * (diff * diff).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        decay = min(0.999, (step + 1) / (step + 10))
        with torch.no_grad():
            for k, v in net.state_dict().items():
                average[k].lerp_(v, 1 - decay)
        if (step + 1) % args.report == 0 or step + 1 == args.steps:
            check = SuperResolution(args.scale, args.features, args.blocks)
            check.load_state_dict(average)
            ours, cubic = evaluate(check, valid, s)
            print(f"step {step + 1} {time.time() - started:.0f} s: valid {ours:.3f} dB, bicubic {cubic:.3f} dB, "
                  f"{ours - cubic:+.3f}", flush=True)
            if args.save:
                torch.save(average, args.save)
    net.load_state_dict(average)
    return net.to(memory_format=torch.contiguous_format)


def export(net, args):
    os.makedirs(args.out, exist_ok=True)
    path = os.path.join(args.out, "model.onnx")
    with silent_stderr():
        torch.onnx.export(
            net.eval(), torch.rand(1, 3, 32, 32), path, opset_version=17, dynamo=False,
            input_names=["tiles"], output_names=["upscaled"],
            dynamic_axes={"tiles": {0: "n", 2: "h", 3: "w"}, "upscaled": {0: "n", 2: "H", 3: "W"}})
    with open(path, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    s = args.scale
    command = (f"/usr/bin/python3 models/train/train_sr.py --scale {s} --features {args.features} --blocks {args.blocks}"
               f" --patch {args.patch} --steps {args.steps} --seed {args.seed} --out models/framegrid/sr-{s}x")
    with open(os.path.join(args.out, "model.toml"), "w", encoding="utf-8") as f:
        f.write(f'''# A model directory's manifest; the fields are explained in models/README.md.
id = "framegrid/sr-{s}x"
pipeline = "upscale"
version = 1
description = "{s}x super-resolution of pictures and video frames"
licence = "Apache-2.0"
memory_bytes = {MEMORY_BYTES[s]}

[[files]]
path = "model.onnx"
bytes = {os.path.getsize(path)}
sha256 = "{digest}"

[network]
format = "onnx"
file = "model.onnx"
input = {{ name = "tiles", type = "float32", shape = ["n", 3, "h", "w"] }}
output = {{ name = "upscaled", type = "float32", shape = ["n", 3, "h*{s}", "w*{s}"] }}

[image]
scale = {s}
tile = {TILE}
overlap = {OVERLAP}
batch = {TILES_PER_BATCH}

[training]
command = "{command}"
data = "procedurally made pictures (models/train/images.py)"
''')


def read_ppm(path):
    with open(path, "rb") as f:
        raw = f.read()
    fields = raw.split(maxsplit=4)
    w, h = int(fields[1]), int(fields[2])
    return np.frombuffer(raw[-w * h * 3:], np.uint8).reshape(h, w, 3).copy()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=int, choices=(2, 4), required=True)
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--pictures", type=int, default=900)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--patch", type=int, default=48, help="low-resolution pixels")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--report", type=int, default=1000)
    parser.add_argument("--out", help="model directory to write")
    parser.add_argument("--save", help="file for the weights, updated at each report")
    parser.add_argument("--load", help="start from these weights and do not train")
    parser.add_argument("--eval-ppm", help="directory of 8-bit PPM pictures to measure, each by itself")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True)
    net = SuperResolution(args.scale, args.features, args.blocks)
    assert net.radius <= OVERLAP
    if args.load:
        net.load_state_dict(torch.load(args.load, weights_only=True))
    else:
        net = train(net, args)
    if args.out:
        export(net, args)
    for name in sorted(os.listdir(args.eval_ppm)) if args.eval_ppm else []:
        ours, cubic = evaluate(net, [read_ppm(os.path.join(args.eval_ppm, name))], args.scale)
        print(f"{name}: {ours:.3f} dB, bicubic {cubic:.3f} dB, {ours - cubic:+.3f}")


if __name__ == "__main__":
    main()
