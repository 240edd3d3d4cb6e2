#!/usr/bin/python3
"""Trains the judge of framegrid/scenes: a small network that names the main object's colour, shape and place
in a picture, on the same procedural scenes, roughened. Writes classifier.onnx and classifier.json into the
model directory.

    /usr/bin/python3 models/train/train_scene_classifier.py --out models/framegrid/scenes

It learns all combinations, the held-back ones too: it is there to judge pictures, not to make them. Run it
after train_scenes.py, whose autoencoder (read from --out) roughens half of the pictures.
"""

import argparse
import math
import os
import sys
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import scene_nets as nets  # noqa: E402
import scenes  # noqa: E402

LABELS = {"colour": scenes.COLOUR_NAMES, "shape": scenes.SHAPES, "place": scenes.PLACES}


class Classifier(nn.Module):
    """Pictures [n, 3, 128, 128] in 0..1 to logits of colour, shape and place."""

    def __init__(self):
        super().__init__()
        widths = [12, 40, 64, 88, 104]
        layers = [nn.PixelUnshuffle(2)]
        for before, width in zip(widths, widths[1:]):
            layers += [
                nn.Conv2d(before, width, 3, padding=1),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
        self.body = nn.Sequential(
            *layers, nn.Conv2d(104, 24, 1), nn.ReLU(), nn.Flatten(), nn.Linear(24 * 16, 160), nn.ReLU()
        )
        self.heads = nn.ModuleList([nn.Linear(160, len(names)) for names in LABELS.values()])

    def forward(self, x):
        y = self.body(x * 2 - 1)
        return tuple(head(y) for head in self.heads)


def agreement(net, pictures, asked):
    """Share of pictures [n, 3, h, w] whose labels are as asked ([(caption, {attribute: name})]): by
    attribute, and "all" of those that `asked` names."""
    with torch.no_grad():
        x = F.interpolate(pictures, (128, 128), mode="bilinear", align_corners=False)
        guesses = [logits.argmax(1).cpu() for logits in net(x)]
    right = {}
    for (key, names), guess in zip(LABELS.items(), guesses):
        if key in asked[0][1]:
            right[key] = guess == torch.tensor([names.index(d[key]) for _, d in asked])
    right["all"] = torch.stack(list(right.values())).all(0)
    return {k: round(float(v.float().mean()), 4) for k, v in right.items()}


def roughen(x, autoencoder, device):
    """Blur, other sizes, noise, brightness, and half of the time through the autoencoder with disturbed
    latents."""
    n = len(x)
    with torch.no_grad():
        half = n // 2
        with nets.autocast(device):
            z = autoencoder.encoder(x[:half] * 2 - 1)
            z = z + torch.rand(half, 1, 1, 1, device=device) * 0.35 * torch.randn_like(z)
            back = autoencoder.decoder(z).float() / 2 + 0.5
        x = torch.cat([back, x[half:]])
        quarter = n // 4
        small = F.interpolate(
            x[quarter : 2 * quarter],
            scale_factor=float(torch.empty(1).uniform_(0.4, 0.8)),
            mode="bilinear",
            antialias=True,
            align_corners=False,
        )
        small = F.interpolate(small, (128, 128), mode="bilinear", align_corners=False)
        x = torch.cat([x[:quarter], small, x[2 * quarter :]])
        x = x + torch.randn_like(x) * torch.rand(n, 1, 1, 1, device=device) * 0.05
        gain = 1 + (torch.rand(n, 3, 1, 1, device=device) - 0.5) * 0.08
        return (x * gain + (torch.rand(n, 3, 1, 1, device=device) - 0.5) * 0.04).clamp(0, 1)


def anywhere(rng, found, share):
    """Moves some main objects to anywhere in the picture, turned and smaller, as a clip's object may be;
    their place is the nearest."""
    rows = np.flatnonzero((rng.random(len(found["x"])) < share) & ~found["second"])
    found["radius"][rows] *= rng.uniform(0.75, 1, len(rows))
    found["turn"][rows] = rng.uniform(-math.pi, math.pi, len(rows))
    low = found["radius"][rows] * 0.8
    for key in ("x", "y"):
        found[key][rows] = low + rng.random(len(rows)) * (1 - 2 * low)
    column = np.digitize(found["x"][rows], (0.36, 0.64))
    found["place"][rows] = np.digitize(found["y"][rows], (0.36, 0.64)) * 3 + column
    return found


def unseen(found):
    """([("", {attribute: name})], pictures) of scenes."""
    count = len(found["x"])
    labels = [("", {k: names[found[k][i]] for k, names in LABELS.items()}) for i in range(count)]
    parts = [scenes.render(scenes.take(found, np.arange(k, k + 200)), 128) for k in range(0, count, 200)]
    return labels, torch.cat(parts)


def train(args, device, autoencoder):
    rng = np.random.default_rng([20, args.seed])
    net = Classifier().to(device)
    asked, pictures = unseen(scenes.sample_scenes(np.random.default_rng(21), 2000, True))
    other = np.random.default_rng(22)
    asked_turned, turned = unseen(anywhere(other, scenes.sample_scenes(other, 1000, True), 1.0))

    def loss_of(step):
        found = anywhere(rng, scenes.sample_scenes(rng, args.batch, True), 0.4)
        x = roughen(scenes.render(found, 128, device), autoencoder, device)
        with nets.autocast(device):
            logits = net(x)
        return sum(
            F.cross_entropy(y.float(), torch.from_numpy(found[k]).to(device)) for k, y in zip(LABELS, logits)
        )

    def report(step, net):
        print(
            f"classifier step {step}, 2000 unseen pictures: {agreement(net, pictures.to(device), asked)}, "
            "turned: "
            f"{agreement(net, turned.to(device), asked_turned)}",
            flush=True,
        )

    return nets.fit(
        net,
        loss_of,
        args,
        os.path.join(args.work, "scene_classifier.pt"),
        args.steps,
        args.minutes,
        args.init,
        report,
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    nets.add_training_arguments(parser, 6000, 64, 2e-3)
    parser.add_argument("--wait", action="store_true", help="for train_scenes.py's autoencoder in --work")
    parser.add_argument("--autoencoder", help="with --wait: that checkpoint")
    parser.add_argument("--out", help="the model directory of train_scenes.py")
    parser.add_argument("--export-only", action="store_true")
    args = parser.parse_args()
    nets.prepare(args)
    if args.export_only:
        net = nets.load_weights(Classifier(), os.path.join(args.work, "scene_classifier.pt"))
    else:
        if args.wait:
            path = args.autoencoder or os.path.join(args.work, "scenes_autoencoder.pt")
            while not args.autoencoder and not os.path.exists(path + ".done"):
                time.sleep(0.5)
            autoencoder = nets.load_weights(nets.Autoencoder(), path)
        else:
            autoencoder = nets.load_autoencoder(args.out)
        net = train(args, args.device, autoencoder.eval().to(args.device))
    if args.out:
        names = list(LABELS)
        nets.export_onnx(
            net.cpu(),
            f"{args.out}/classifier.onnx",
            (torch.rand(2, 3, 128, 128),),
            ["image"],
            names,
            {k: {0: "batch"} for k in ["image", *names]},
        )
        nets.write_json(f"{args.out}/classifier.json", LABELS)
        nets.list_files(args.out)


if __name__ == "__main__":
    main()
