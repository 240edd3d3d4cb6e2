#!/usr/bin/python3
"""Trains Framegrid's frame interpolation network on procedural motion and writes its model directory.

    /usr/bin/python3 models/train/train_interpolation.py --out models/framegrid/interpolate
    /usr/bin/python3 models/train/train_interpolation.py --load w.pt --steps 0 --out DIR    # only export

Needs Debian's python3-torch, python3-onnx and libopenblas0-pthread (tools/setup.sh --train); a GPU is used
with --device cuda. The same seed, options and thread count give the same weights on the same machine with
--device cpu and without --minutes. --state keeps all that an interrupted run needs to go on; --save keeps the
weights only, and --load starts a new run from them.
"""
import argparse
import contextlib
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
import motion_pairs  # noqa: E402
from quiet import silent_stderr  # noqa: E402

MULTIPLE = 32  # sides of the network's input, pixels
MEMORY_BYTES = 1 << 30  # measured: loading and two runs at 1280 x 736 take 930 MB
VALID_SEED = 1000  # added to --seed for the scenes that are only measured


def conv(inputs, outputs, stride=1):
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


def positions(like):
    """Pixel centres x [1, 1, w] and y [1, h, 1] of a feature map, in its own pixels."""
    h, w = like.shape[2], like.shape[3]
    return (
        torch.arange(w, device=like.device, dtype=torch.float32)[None, None, :],
        torch.arange(h, device=like.device, dtype=torch.float32)[None, :, None],
    )


def normalised(x, y, like):
    """grid_sample's grid of the places (x, y), in pixels of `like`."""
    return torch.stack([(x + 0.5) * (2 / like.shape[3]) - 1, (y + 0.5) * (2 / like.shape[2]) - 1], -1)


def warp(picture, flow):
    """picture (float32) fetched at each place + flow [b, 2, h, w] (pixels of this size); the border is
    repeated."""
    x, y = positions(flow)
    grid = normalised(x + flow[:, 0], y + flow[:, 1], flow)
    return F.grid_sample(picture.float(), grid, "bilinear", "border", align_corners=False)


def double(x):
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class Encoder(nn.Module):
    """Features of one frame at 1/2, 1/4, 1/8 and 1/16 of its size."""

    def __init__(self, widths):
        super().__init__()
        self.start = nn.Conv2d(3, widths[0], 4, 2, 1)
        self.same = nn.ModuleList([conv(w, w) for w in widths])
        self.down = nn.ModuleList([conv(a, b, 2) for a, b in zip(widths, widths[1:])])

    def forward(self, frame):
        x = F.relu(self.start(frame * 2 - 1))
        out = []
        for level, same in enumerate(self.same):
            if level:
                x = F.relu(self.down[level - 1](x))
            x = F.relu(x + same(x))
            out.append(x)
        return out


class Refiner(nn.Module):
    """One step from coarse to fine: corrects motion and mask at one size, and passes features on to the
    next."""

    def __init__(self, inputs, width, blocks, passed):
        super().__init__()
        self.enter = conv(inputs, width)
        self.body = nn.ModuleList(
            [nn.ModuleList([conv(width, width), conv(width, width)]) for _ in range(blocks)]
        )
        self.leave = conv(width, 5 + passed)

    def reset(self):
        self.leave.weight[:5].mul_(0.05)
        for pair in self.body:
            pair[1].weight.mul_(0.3)

    def forward(self, x):
        x = F.relu(self.enter(x))
        for a, b in self.body:
            x = F.relu(x + b(F.relu(a(x))))
        x = self.leave(x)
        return x[:, :5].float(), F.relu(x[:, 5:])


class Interpolator(nn.Module):
    """The frame at a time between two frames.

    From 1/16 to 1/2 of the size, each step fetches both frames' features along the motion known so far and
    corrects it. At the coarsest, whole displacements are tried on the two sides of the wanted time at once,
    so the match is found where the new frame's pixel is. The last step blends the two fetched frames and adds
    what motion cannot give. Motion is kept as velocity (pixels of the step's size per frame distance), one
    for each side: the displacement to the frames is -time and 1 - time of it.
    """

    WIDTHS = (32, 48, 80, 96)
    REACH = 4  # displacements tried at 1/16: -4..4 each way, 64 pixels of the frame
    NEAR = 2  # and at 1/8 around what was found
    MATCH = 32  # channels that are compared
    PASSED = (
        33,
        26,
        26,
        15,
    )  # features for the next step: its inputs become a multiple of 16, which is faster

    def __init__(self):
        super().__init__()
        w, p = self.WIDTHS, self.PASSED
        self.encoder = Encoder(w)
        self.key = nn.ModuleList([nn.Conv2d(w[3], self.MATCH, 1), nn.Conv2d(w[2], self.MATCH, 1)])
        # See keep_still: sharpness and place of a threshold, and the weight of the difference itself.
        self.still = nn.Parameter(torch.tensor([12.0, 1.5, 4.0]))
        self.contrast = nn.Parameter(torch.tensor(12.0))  # of a match with the others
        self.step16 = Refiner(2 * w[3] + (2 * self.REACH + 1) ** 2 + 1, 96, 2, p[0])
        self.step8 = Refiner(2 * w[2] + (2 * self.NEAR + 1) ** 2 + p[0] + 6, 80, 2, p[1])
        self.step4 = Refiner(2 * w[1] + p[1] + 6, 64, 2, p[2])
        self.step2 = Refiner(2 * w[0] + p[2] + 6, 48, 2, p[3])
        self.look = nn.Conv2d(9, 32, 4, 2, 1)
        self.fine = conv(32 + p[3] + 2 * w[0] + 1, 48)
        self.down = conv(48, 64, 2)
        self.deep = nn.ModuleList([conv(64, 64) for _ in range(3)])
        self.merge = conv(48 + 64, 48)
        self.last = conv(48, 16)
        self.reset()

    @torch.no_grad()
    def reset(self):
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # PyTorch's own start lets values fade from layer to layer, and matching needs the deepest
                # ones.
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                module.bias.zero_()
        for same in self.encoder.same:
            same.weight.mul_(0.5)
        for layer in self.deep:
            layer.weight.mul_(0.5)
        for step in (self.step16, self.step8, self.step4, self.step2):
            step.reset()
        self.last.weight.mul_(0.03)

    @staticmethod
    def sides(velocity, time):
        return -velocity[:, :2] * time, velocity[:, 2:4] * (1 - time)

    @staticmethod
    def share(mask, time):
        """How much the first frame counts: the nearer one more, as far as the mask does not say otherwise."""
        seen = torch.sigmoid(mask * 8)  # the factor makes it learn as fast as the motion does
        first, second = (1 - time) * seen, time * (1 - seen)
        return first / (first + second + 1e-6)

    def normalise(self, key):
        # Without what all places have in common, which would make everything look alike.
        key = key - key.mean((2, 3), keepdim=True)
        return key * torch.rsqrt((key * key).mean(1, keepdim=True) + 1e-3)

    def tried(self, a, b, time):
        """Similarity [b, (2 REACH + 1)^2, h, w] of a at -time and b at 1 - time of each displacement, and the
        mean displacement [b, 2, h, w], the more similar ones counting more."""
        n = 2 * self.REACH + 1
        k = torch.arange(n, device=a.device, dtype=torch.float32) - self.REACH
        sideways, down = (
            d.reshape(1, n * n, 1, 1) for d in (k[None, :].expand(n, n), k[:, None].expand(n, n))
        )
        x, y = (p[:, None] for p in positions(a))
        fetched = []
        for key, side in ((a, -time), (b, 1 - time)):
            # All displacements' places, one below another, so that one operation fetches them.
            px, py = torch.broadcast_tensors(x + sideways * side, y + down * side)
            fetched.append(
                F.grid_sample(
                    key, normalised(px, py, a).flatten(1, 2), "bilinear", "zeros", align_corners=False
                )
            )
        match = (fetched[0] * fetched[1]).mean(1).unflatten(1, (n * n, -1))
        likely = torch.softmax(match * self.contrast, 1)
        guess = [(likely * d).sum(1, keepdim=True) for d in (sideways, down)]
        return match, torch.cat(guess, 1)

    def near(self, a, b):
        """Similarity [b, (2 NEAR + 1)^2, h, w] of a with the surroundings of b."""
        r = self.NEAR
        b = F.pad(b, (r, r, r, r))
        return torch.cat(
            [
                (a * b[:, :, y : y - 2 * r or None, x : x - 2 * r or None]).mean(1, keepdim=True)
                for y in range(2 * r + 1)
                for x in range(2 * r + 1)
            ],
            1,
        )

    def keep_still(self, state, img0, img1, time):
        """Stops the motion where the frames agree in place about as well as along it: on plain ground, noise
        decides what matches best, and a picture that stands still must not creep."""
        half0, half1 = F.avg_pool2d(img0, 2), F.avg_pool2d(img1, 2)
        to0, to1 = self.sides(state[:, :4], time)
        in_place = (half0 - half1).abs().mean(1, keepdim=True)
        along = (warp(half0, to0) - warp(half1, to1)).abs().mean(1, keepdim=True)
        apart = F.avg_pool2d(torch.cat([in_place, along], 1), 9, 1, 4, count_include_pad=False)
        here, there = apart[:, :1], apart[:, 1:]
        # A difference of one level of 255 is no difference; one of many is motion even if its match is poor.
        excess = here / (there + 0.004) + here * self.still[2]
        still = torch.sigmoid(self.still[0] * (self.still[1] - excess))
        return torch.cat([state[:, :4] * (1 - still), state[:, 4:]], 1)

    def forward(self, img0, img1, timestep, steps=False):
        frames = torch.cat([img0, img1])
        features = self.encoder(frames)
        key = self.normalise(self.key[0](features[3]).float())
        size = img0.shape[0]

        def time_map(like):
            return (
                timestep + like[:, :1].float() * 0
            )  # the exporter would take a tensor of zeros for a constant

        a, b = features[3][:size], features[3][size:]
        match, guess = self.tried(key[:size], key[size:], timestep)
        state, passed = self.step16(torch.cat([a, b, match, time_map(a)], 1))
        state = state + F.pad(torch.cat([guess, guess], 1), (0, 0, 0, 0, 0, 1))
        states = [state]
        for level, step in ((2, self.step8), (1, self.step4), (0, self.step2)):
            state, passed = double(state), double(passed)
            velocity, mask = state[:, :4] * 2, state[:, 4:5]
            to0, to1 = self.sides(velocity, timestep)
            fetched = [warp(features[level][:size], to0), warp(features[level][size:], to1)]
            # In halves of 1/8 size pixels the velocities stay within the range that a network handles well.
            hints = [passed, velocity * (0.125 * 2 ** (level - 2)), mask, time_map(mask)]
            if level == 2:
                hints.append(self.near(*(self.normalise(self.key[1](f).float()) for f in fetched)))
            change, passed = step(torch.cat(fetched + hints, 1))
            state = torch.cat([velocity, mask], 1) + change
            states.append(state)

        state = states[-1] = self.keep_still(state, img0, img1, timestep)
        to0, to1 = self.sides(state[:, :4], timestep)
        near0, near1 = warp(features[0][:size], to0), warp(features[0][size:], to1)
        whole = double(state)
        to0, to1 = self.sides(whole[:, :4] * 2, timestep)
        from0, from1 = warp(img0, to0), warp(img1, to1)
        mask = whole[:, 4:5]
        share = self.share(mask, timestep)
        blend = from0 * share + from1 * (1 - share)
        x = F.relu(self.look(torch.cat([from0, from1, blend], 1) * 2 - 1))
        fine = F.relu(self.fine(torch.cat([x, passed, near0, near1, state[:, 4:5]], 1)))
        deep = F.relu(self.down(fine))
        for layer in self.deep:
            deep = F.relu(deep + layer(deep))
        x = F.relu(self.merge(torch.cat([fine, double(deep)], 1)))
        x = F.pixel_shuffle(self.last(x), 2).float()
        share = self.share(mask + x[:, 3:4], timestep)
        out = from0 * share + from1 * (1 - share) + x[:, :3]
        if steps:
            return out, blend, states
        return out.clamp(0, 1)


def pyramid(x, levels):
    """Laplacian pyramid, finest first."""
    out = []
    for _ in range(levels):
        small = F.avg_pool2d(x, 2)
        out.append(x - double(small))
        x = small
    return out + [x]


def charbonnier(x):
    return torch.sqrt(x * x + 1e-6)


def picture_loss(made, wanted):
    diff = made - wanted
    loss = charbonnier(diff).mean()
    for level, d in enumerate(pyramid(diff, 4)):
        loss = loss + charbonnier(d).mean() * (1, 1, 2, 4, 8)[level] * 0.5
    return loss


def motion_loss(states, timestep, flow):
    """Distance of each step's displacements from the true ones, both in pixels of the frame."""
    loss = 0
    for level, state in enumerate(states):
        scale = 2 ** (len(states) - level)
        wanted = F.avg_pool2d(flow, scale)
        made = torch.cat(Interpolator.sides(state[:, :4], timestep), 1) * scale
        loss = (
            loss + charbonnier((made - wanted) * 2 / scale).clamp(max=16).mean()
        )  # the finer, the more exact
    return loss / len(states)


def mask_loss(state, timestep, flow, first, second, wanted):
    """Error of a blend along the true motion: small where the mask takes the frame that shows what is
    wanted."""
    errors = [
        F.avg_pool2d((warp(frame, f) - wanted).abs().mean(1, keepdim=True), 2)
        for frame, f in ((first, flow[:, :2]), (second, flow[:, 2:]))
    ]
    share = Interpolator.share(state[:, 4:5], timestep)
    return (errors[0] * share + errors[1] * (1 - share)).mean()


def psnr(a, b):
    """[batch] of two [batch, 3, h, w], values 0..1 in 8 bits."""
    d = torch.round(a.float().clamp(0, 1) * 255) - torch.round(b * 255)
    return 10 * torch.log10(255**2 / (d * d).mean((1, 2, 3)).clamp(min=1e-2))


@torch.no_grad()
def evaluate(net, batches, args):
    """Mean PSNR (network, average of the two frames) and the final displacements' mean error in pixels."""
    rows = []
    with autocast(args):
        for first, second, t, wanted, flow in batches:
            out, _, states = net(first, second, t, steps=True)
            made = torch.cat(Interpolator.sides(states[-1][:, :4], t), 1) * 2
            error = (made - F.avg_pool2d(flow, 2)).abs().mean((1, 2, 3))
            rows.append(torch.stack([psnr(out, wanted), psnr(first * (1 - t) + second * t, wanted), error]))
    return torch.cat(rows, 1).mean(1).tolist()


def autocast(args):
    """bfloat16 where it is fast: on a GPU, and with --half on processors that have AMX (half of the time)."""
    if args.device == "cuda" or args.half:
        return torch.autocast(args.device, torch.bfloat16)
    return contextlib.nullcontext()


def learning_rate(args, step, progress):
    warm = min(1, (step + 1) / 200)
    return args.rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1, progress))))


def keep(path, content):
    torch.save(content, path + ".new")
    os.replace(path + ".new", path)


def train(net, args):
    device = args.device
    started = time.time()
    net = net.to(device).to(memory_format=torch.channels_last)
    average = {k: v.clone() for k, v in net.state_dict().items()}
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=args.rate, betas=(0.9, 0.99), weight_decay=1e-4, fused=device == "cuda"
    )
    begin, before, offset = 0, 0.0, 0
    if args.load:
        offset = 1 << 20  # other scenes than those that made these weights
    if args.state and os.path.exists(args.state):
        loaded = torch.load(args.state, map_location=device, weights_only=True)
        net.load_state_dict(loaded["net"])
        average, begin, before = loaded["average"], loaded["step"], loaded["seconds"]
        optimiser.load_state_dict(loaded["optimiser"])
        print(f"goes on at step {begin}, {before:.0f} s", flush=True)
    guided = 0.4 if args.load else 1.0  # loaded weights know motion already
    first = 64 if args.device == "cpu" else 192
    pictures = motion_pairs.Pictures(args.seed, args.pictures, args.picture_side, first, args.workers, device)
    scenes = motion_pairs.Scenes(pictures, args.seed, args.batch, args.crop, args.reach, device)
    valid = motion_pairs.Scenes(
        pictures, args.seed + VALID_SEED, min(args.batch, 16), args.crop, args.reach, device
    )
    pictures.take(pictures.first)
    checks = [valid.batch(i, pictures.ready) for i in range(args.checks)]
    print(
        f"{pictures.ready} pictures, {len(checks)} checks in {time.time() - started:.0f} s; "
        f"{sum(p.numel() for p in net.parameters())} weights",
        flush=True,
    )
    losses, step, done = [], begin, False
    while step < args.steps and not done:
        spent = before + time.time() - started
        progress = step / args.steps
        if args.minutes:
            progress = max(progress, spent / (args.minutes * 60))
            done = progress >= 1
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(args, step - (0 if not args.load else begin), progress)
        # How many pictures a step may use depends on the step alone, unless the time does as well.
        wanted = pictures.first if args.minutes else min(args.pictures, pictures.first + step)
        available = pictures.take(wanted)
        img0, img1, t, target, flow = scenes.batch(step + offset, available if args.minutes else wanted)
        with autocast(args):
            out, blend, states = net(
                img0.contiguous(memory_format=torch.channels_last),
                img1.contiguous(memory_format=torch.channels_last),
                t,
                steps=True,
            )
        fade = guided * max(0.0, 1 - progress / 0.7) + 0.2
        loss = picture_loss(out, target) + 0.3 * picture_loss(blend, target)
        loss = loss + args.guide * fade * motion_loss(states, t, flow)
        loss = loss + 0.5 * mask_loss(states[-1], t, flow, img0, img1, target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        step += 1
        decay = min(0.998, (step - begin + 1) / (step - begin + 20)) if not args.load else 0.998
        with torch.no_grad():
            names = list(average)
            now = net.state_dict()
            torch._foreach_lerp_([average[k] for k in names], [now[k] for k in names], 1 - decay)
        losses.append(loss.detach())
        if step % args.report == 0 or step == args.steps or done:
            check = Interpolator().to(device).to(memory_format=torch.channels_last)
            check.load_state_dict(average)
            ours, mean, error = evaluate(check, checks, args)
            print(
                f"step {step} {before + time.time() - started:.0f} s: "
                f"loss {torch.stack(losses).mean().item():.4f}, valid {ours:.3f} dB, average {mean:.3f} dB, "
                f"motion error {error:.2f} px, {available} pictures",
                flush=True,
            )
            losses = []
            if not math.isfinite(ours):
                sys.exit("the weights are no longer finite: the last saved ones are kept")
            if args.save:
                keep(
                    args.save,
                    {"commands": args.commands, "average": {k: v.cpu() for k, v in average.items()}},
                )
            if args.state:
                keep(
                    args.state,
                    {
                        "net": net.state_dict(),
                        "average": average,
                        "optimiser": optimiser.state_dict(),
                        "step": step,
                        "seconds": before + time.time() - started,
                    },
                )
    pictures.close()
    net.load_state_dict(average)
    return net.cpu().float().to(memory_format=torch.contiguous_format)


def halve(path):
    """Stores the weights of an ONNX file as float16, each followed by a Cast that ONNX Runtime folds when it
    loads, and shortens the names inside, which are 100 kB otherwise."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(path)
    graph = model.graph
    casts = []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 16:
            continue
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), tensor.name + "_half"))
        casts.append(
            helper.make_node("Cast", [tensor.name + "_half"], [tensor.name], to=onnx.TensorProto.FLOAT)
        )
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    short = {}
    outside = {v.name for v in (*graph.input, *graph.output)} | {""}
    for number, node in enumerate(graph.node):
        node.name = f"n{number}"  # ONNX Runtime makes names of its own of these
        for names in (node.input, node.output):
            names[:] = [n if n in outside else short.setdefault(n, f"v{len(short)}") for n in list(names)]
    for tensor in graph.initializer:
        tensor.name = short[tensor.name]
    del graph.value_info[:]
    onnx.checker.check_model(model)
    onnx.save(model, path)


def export(net, args):
    os.makedirs(args.out, exist_ok=True)
    path = os.path.join(args.out, "model.onnx")
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(p.half().float())
    example = (torch.rand(2, 3, 64, 96), torch.rand(2, 3, 64, 96), torch.rand(2, 1, 1, 1))
    axes = {0: "b", 2: "h", 3: "w"}
    with silent_stderr():
        torch.onnx.export(
            net.eval(),
            example,
            path,
            opset_version=16,
            dynamo=False,
            input_names=["img0", "img1", "timestep"],
            output_names=["output"],
            dynamic_axes={"img0": axes, "img1": axes, "timestep": {0: "b"}, "output": axes},
        )
    halve(path)
    with open(path, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    with open(os.path.join(args.out, "model.toml"), "w", encoding="utf-8") as f:
        f.write(
            f"""# A model directory's manifest; the fields are explained in models/README.md.
id = "framegrid/interpolate"
pipelines = ["frame-interpolation"]
version = 1
description = "The frame at any time between two frames"
licence = "Apache-2.0"
memory_bytes = {MEMORY_BYTES}

[[files]]
path = "model.onnx"
bytes = {os.path.getsize(path)}
sha256 = "{digest}"

[network]
format = "onnx"
file = "model.onnx"
inputs = [
  {{ name = "img0", type = "float32", shape = ["b", 3, "h", "w"] }},
  {{ name = "img1", type = "float32", shape = ["b", 3, "h", "w"] }},
  {{ name = "timestep", type = "float32", shape = ["b", 1, 1, 1] }},
]
outputs = [{{ name = "output", type = "float32", shape = ["b", 3, "h", "w"] }}]

[interpolation]
multiple = {MULTIPLE}
arbitrary_time = true

[training]
command = "{" && ".join(args.commands)}"
data = "procedural motion of made pictures (models/train/motion_pairs.py, models/train/images.py)"
"""
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--half", action="store_true", help="bfloat16 on the CPU as well, which needs AMX to be fast"
    )
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument(
        "--minutes", type=float, default=0, help="ends, and slows learning down, by this time"
    )
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=192, help="side of the training frames, a multiple of 32")
    parser.add_argument(
        "--reach", type=float, default=44, help="fastest motion of a layer, pixels per frame distance"
    )
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument(
        "--guide", type=float, default=0.1, help="weight of the true motion in the loss, at the start"
    )
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--picture-side", type=int, default=320)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw pictures")
    parser.add_argument("--report", type=int, default=250)
    parser.add_argument("--checks", type=int, default=6, help="batches of scenes to measure at each report")
    parser.add_argument("--out", help="model directory to write")
    parser.add_argument("--state", help="file to go on from after an interruption, updated at each report")
    parser.add_argument("--save", help="file for the weights, updated at each report")
    parser.add_argument("--load", help="start from these weights")
    args = parser.parse_args()
    args.commands = [" ".join(["/usr/bin/python3 models/train/train_interpolation.py"] + sys.argv[1:])]
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    if args.device == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    net = Interpolator()
    if args.load:
        loaded = torch.load(args.load, map_location="cpu", weights_only=True)
        net.load_state_dict(loaded["average"])
        # What made the weights is the chain of runs that trained them; one that only exports is not part of
        # it.
        args.commands = loaded.get("commands", []) + args.commands[: args.steps]
    if args.steps:
        net = train(net, args)
    if args.out:
        export(net, args)


if __name__ == "__main__":
    main()
