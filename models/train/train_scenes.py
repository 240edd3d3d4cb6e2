#!/usr/bin/python3
"""Trains framegrid/scenes (autoencoder, text encoder and denoiser: text-to-image) on procedurally made,
captioned scenes, and writes its model directory.

    /usr/bin/python3 models/train/train_scenes.py --out models/framegrid/scenes
    /usr/bin/python3 models/train/train_scenes.py --export-only --work DIR --out models/framegrid/scenes

Needs Debian's python3-torch, python3-onnx and libopenblas0-pthread (tools/setup.sh --train). Interrupted, the
same command continues from its checkpoints in --work. Every step of a run is seeded; a run cut short by
--minutes depends on the machine's speed as well.
"""

import argparse
import os
import sys
import time

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import scene_nets as nets  # noqa: E402
import scenes  # noqa: E402

SIZE, WIDE, DEEP = 128, 96, 128
STEPS, GUIDANCE, SHIFT = 16, 4.0, 1.0  # of the exported model's defaults
# Measured: ONNX Runtime with all networks and one picture with guidance, 136 MB, rounded up.
MEMORY_BYTES = 192 << 20


def train_autoencoder(args, device):
    rng = np.random.default_rng([10, args.seed])
    net = nets.Autoencoder().to(device, memory_format=torch.channels_last)
    run = torch.compile(net, dynamic=False) if args.compile else net
    test = scenes.render(scenes.sample_scenes(np.random.default_rng(11), 64, True), SIZE)

    def draw():
        found = scenes.sample_scenes(rng, args.ae_batch, allow_held=True)
        x = scenes.render(
            found, args.ae_patch, device, scenes.random_windows(rng, args.ae_batch, args.ae_patch)
        )
        return (x * 2 - 1).contiguous(memory_format=torch.channels_last)

    def loss_of(step):
        x = draw()
        with nets.autocast(device):
            d = run(x).float() - x
        edges = d.diff(dim=2).abs().mean() + d.diff(dim=3).abs().mean()
        return d.abs().mean() + 0.5 * edges + 4 * d.square().mean()

    def report(step, net):
        print(f"autoencoder step {step}: {autoencoder_psnr(net, test.to(device)):.2f} dB", flush=True)

    path = os.path.join(args.work, "scenes_autoencoder.pt")
    net = nets.fit(net, loss_of, args, path, args.ae_steps, args.ae_minutes, args.ae_init, report)
    calibrate(net.encoder, device, args.ae_patch)
    saved = torch.load(path, map_location="cpu", weights_only=True)
    torch.save(saved | {"average": net.state_dict()}, path)
    print(f"autoencoder calibrated: {autoencoder_psnr(net, test.to(device)):.2f} dB", flush=True)
    return net


def refine_decoder(args, device, autoencoder):
    """Goes on with the decoder alone: the latents stay what the denoisers have learned."""
    rng = np.random.default_rng([13, args.seed])
    net = autoencoder.decoder.to(memory_format=torch.channels_last)
    run = torch.compile(net, dynamic=False) if args.compile else net
    test = scenes.render(scenes.sample_scenes(np.random.default_rng(11), 64, True), SIZE, device)

    def loss_of(step):
        found = scenes.sample_scenes(rng, args.ae_batch, allow_held=True)
        x = (
            scenes.render(
                found, args.ae_patch, device, scenes.random_windows(rng, args.ae_batch, args.ae_patch)
            )
            * 2
            - 1
        )
        with nets.autocast(device):
            with torch.no_grad():
                z = autoencoder.encoder(x)
                z = z + nets.LATENT_NOISE * torch.rand(len(z), 1, 1, 1, device=device) * torch.randn_like(z)
            d = run(z).float() - x
        edges = d.diff(dim=2).abs().mean() + d.diff(dim=3).abs().mean()
        return d.abs().mean() + 0.5 * edges + 20 * d.square().mean()

    def report(step, net):
        print(f"decoder step {step}: {autoencoder_psnr(autoencoder, test):.2f} dB", flush=True)

    report(0, net)
    nets.fit(
        net.train(),
        loss_of,
        args,
        os.path.join(args.work, "scenes_decoder.pt"),
        args.ae_steps,
        args.ae_minutes,
        None,
        report,
    )
    path = os.path.join(args.work, "scenes_autoencoder.pt")
    torch.save({"step": 0, "seconds": 0.0, "average": autoencoder.state_dict()}, path)
    return autoencoder


@torch.no_grad()
def calibrate(encoder, device, patch):
    """Sets the latents' mean and variance for the averaged weights, whose statistics no training step
    measured."""
    rng, parts = np.random.default_rng(12), []
    for _ in range(16):
        found = scenes.sample_scenes(rng, 64, True)
        parts.append(
            encoder.net(scenes.render(found, patch, device, scenes.random_windows(rng, 64, patch)) * 2 - 1)
        )
    variance, mean = torch.var_mean(torch.cat(parts), (0, 2, 3), keepdim=True)
    encoder.offset.copy_(mean)
    encoder.gain.copy_(torch.rsqrt(variance))


@torch.no_grad()
def autoencoder_psnr(net, pictures):
    back = [net.decoder(net.encoder(p * 2 - 1)) / 2 + 0.5 for p in pictures.split(16)]
    return nets.peak_to_noise(torch.cat(back), pictures)


def latent_pool(args, autoencoder, device):
    """(latents, token ids) of the training pictures; the captions are written on the CPU meanwhile."""
    found, texts = args.made
    draw = lambda a, b: scenes.render(scenes.take(found, np.arange(a, b)), SIZE, device)
    latents = nets.encode_all(autoencoder, draw, len(texts), 64 if device == "cpu" else 1024, device)
    return latents, args.tokenizer(texts).to(device)


def generate(
    net, autoencoder, tokenizer, captions, device, seed, steps=STEPS, guidance=GUIDANCE, shift=SHIFT
):
    """Pictures [n, 3, SIZE, SIZE] in 0..1."""
    empty = tokenizer([""]).to(device)
    z = nets.sample(
        net,
        tokenizer(captions).to(device),
        empty,
        (nets.LATENTS, SIZE // 8, SIZE // 8),
        steps,
        guidance,
        shift,
        torch.Generator().manual_seed(seed),
    )
    with torch.no_grad():
        return (torch.cat([autoencoder.decoder(p) for p in z.split(16)]) / 2 + 0.5).clamp(0, 1)


def train_denoiser(args, device, wait_for):
    tokenizer = args.tokenizer
    net = nets.TextToLatents(len(tokenizer.vocabulary), WIDE, DEEP, False).to(device)
    run = torch.compile(net, dynamic=False) if args.compile else net
    empty = tokenizer([""]).to(device)
    if args.compile:  # while the autoencoder is still training, if that is another process's
        fake = torch.randn(args.batch, nets.LATENTS, SIZE // 8, SIZE // 8, device=device)
        nets.flow_loss(run, fake, empty.expand(args.batch, -1), empty).backward()
        net.zero_grad()
        print("compiled", flush=True)
    autoencoder = wait_for()
    started = time.time()
    latents, ids = latent_pool(args, autoencoder, device)
    print(
        f"{len(ids)} pictures encoded in {time.time() - started:.0f} s, "
        f"latents {latents.float().mean():.3f} +- "
        f"{latents.float().std():.3f}",
        flush=True,
    )
    asked, _ = scenes.held_back_scenes()
    torch.manual_seed(args.seed + 1)

    def loss_of(step):
        rows = torch.randint(len(ids), (args.batch,), device=device)
        return nets.flow_loss(run, latents[rows].float(), ids[rows], empty)

    def report(step, net):
        if device == "cpu" and (step < args.steps or not args.classifier):
            return  # judging takes minutes there
        judge(args, step, generate(net, autoencoder, tokenizer, [c for c, _ in asked], device, 5), asked)

    net = nets.fit(
        net, loss_of, args, os.path.join(args.work, "scenes.pt"), args.steps, args.minutes, args.init, report
    )
    return net, autoencoder


def judge(args, step, pictures, asked):
    """Writes a sheet of held-back captions' pictures and, if there is a classifier yet, how many it agrees
    with."""
    nets.write_sheet(os.path.join(args.work, "scenes.png"), pictures[:80], 16)
    weights = args.classifier or os.path.join(args.work, "scene_classifier.pt")
    if os.path.exists(weights):
        import train_scene_classifier as judges

        net = nets.load_weights(judges.Classifier(), weights).eval().to(pictures.device)
        print(f"scenes step {step}: {judges.agreement(net, pictures, asked)}", flush=True)


def export(net, autoencoder, tokenizer, out, command):
    os.makedirs(out, exist_ok=True)
    tokenizer.save(f"{out}/tokenizer")
    nets.export_autoencoder(autoencoder, out, SIZE)
    nets.export_text_and_unet(net, out, torch.randn(2, nets.LATENTS, SIZE // 8, SIZE // 8), SIZE)
    nets.write_scheduler(out, SHIFT)
    nets.write_index(out, "StableDiffusionPipeline")
    nets.write_json(f"{out}/captions.json", [{"caption": c} | d for c, d in scenes.held_back_scenes()[0]])
    manifest(out, command)


def manifest(out, command):
    nets.write_manifest(
        out,
        {
            "id": "framegrid/scenes",
            "pipelines": ["text-to-image", "image-to-image", "inpaint"],
            "version": 1,
            "description": "Small text-to-image model of coloured shapes over plain or textured backgrounds",
            "licence": "Apache-2.0",
            "memory_bytes": MEMORY_BYTES,
        },
        {
            "steps": STEPS,
            "guidance_scale": GUIDANCE,
            "width": SIZE,
            "height": SIZE,
            "pixels_max": SIZE * SIZE,
        },
        {"command": command, "data": "procedurally made, captioned pictures (models/train/scenes.py)"},
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    nets.add_training_arguments(parser, 2400, 256, 1e-3)
    parser.add_argument("--ae-steps", type=int, default=12000)
    parser.add_argument("--ae-batch", type=int, default=32)
    parser.add_argument(
        "--ae-patch", type=int, default=64, help="side of the autoencoder's training pictures"
    )
    parser.add_argument("--ae-minutes", type=float, default=1e9)
    parser.add_argument("--ae-init")
    parser.add_argument("--pool", type=int, default=100000, help="pictures that the denoiser learns from")
    parser.add_argument(
        "--part",
        choices=("all", "autoencoder", "denoiser", "decoder"),
        default="all",
        help="decoder: go on with --ae-init's decoder, its latents unchanged",
    )
    parser.add_argument(
        "--wait", action="store_true", help="wait for another process's autoencoder in --work"
    )
    parser.add_argument(
        "--classifier", help="weights of train_scene_classifier.py, to judge reports' pictures"
    )
    parser.add_argument("--export-only", action="store_true", help="from the checkpoints in --work")
    parser.add_argument("--out", help="model directory to write")
    parser.add_argument("--command", help="what model.toml calls the training command, if not this one")
    args = parser.parse_args()
    nets.prepare(args)
    device = args.device
    args.tokenizer = nets.scene_tokenizer()
    finished = os.path.join(args.work, "scenes_autoencoder.pt")

    def finished_autoencoder():
        while not args.ae_init and not os.path.exists(finished + ".done"):
            time.sleep(0.5)
        return nets.load_weights(nets.Autoencoder(), args.ae_init or finished).eval().to(device)

    if args.export_only:
        autoencoder = nets.load_weights(nets.Autoencoder(), finished).eval()
        net = nets.TextToLatents(len(args.tokenizer.vocabulary), WIDE, DEEP, False)
        nets.load_weights(net, os.path.join(args.work, "scenes.pt"))
    else:
        if args.part == "decoder":
            autoencoder = nets.load_weights(nets.Autoencoder(), args.ae_init).eval().to(device)
            refine_decoder(args, device, autoencoder)
            return
        if args.part != "autoencoder":  # before the device is in use: the workers are forks
            args.made = scenes.captioned("scenes", args.seed, args.pool, args.workers)
        autoencoder = None
        if args.part != "denoiser":
            autoencoder = train_autoencoder(args, device)
            open(finished + ".done", "w").close()
            if args.part == "autoencoder":
                return
        net, autoencoder = train_denoiser(
            args, device, finished_autoencoder if args.wait else lambda: autoencoder
        )
    if args.out:
        command = args.command or "/usr/bin/python3 " + " ".join(sys.argv)
        export(net.cpu(), autoencoder.cpu(), args.tokenizer, args.out, command)


if __name__ == "__main__":
    main()
