#!/usr/bin/python3
"""Trains framegrid/motion (text-to-video and image-to-video) on procedurally made, captioned clips, and
writes its model directory.

    /usr/bin/python3 models/train/train_motion.py --base models/framegrid/scenes --out models/framegrid/motion

The autoencoder is that of --base (framegrid/scenes), frame by frame; the text encoder and the denoiser start
from its and learn on. Half of the training clips come with their first frame, half with the caption alone.
Needs what train_scenes.py needs, continues from its checkpoint as that does.
"""

import argparse
import os
import random
import shutil
import sys
import time

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import scene_nets as nets  # noqa: E402
import scenes  # noqa: E402

SIZE, FRAMES, WIDE, DEEP = 96, 16, 96, 128  # WIDE, DEEP: as train_scenes.py has them
STEPS, GUIDANCE, SHIFT, RATE = 20, 4.0, 1.0, 8  # of the exported model's defaults; RATE: frames a second
MEMORY_BYTES = 384 << 20  # measured: ONNX Runtime with the networks, clips with guidance, 320 MB, rounded up


def clip_latents(args, autoencoder, device):
    """Latents [clips, LATENTS, FRAMES, h, w] and token ids [clips, TOKENS] of the training clips."""
    found, texts = args.made
    h = SIZE // 8

    def draw(a, b):
        frames = scenes.clip_frames(scenes.take(found, np.arange(a // FRAMES, b // FRAMES)), FRAMES)
        return scenes.render(frames, SIZE, device)

    z = nets.encode_all(
        autoencoder, draw, len(texts) * FRAMES, FRAMES * (8 if device == "cpu" else 128), device
    )
    z = z.reshape(len(texts), FRAMES, nets.LATENTS, h, h).transpose(1, 2).contiguous()
    return z, args.tokenizer(texts).to(device)


def given_first(latents, share):
    """The conditioning latents and mask [n, LATENTS + 1, f, h, w]: first frames for a random `share`, else
    zeros."""
    n, _, f, h, w = latents.shape
    mask = (torch.rand(n, 1, 1, 1, 1, device=latents.device) < share).to(latents.dtype)
    first = latents[:, :, :1].expand(-1, -1, f, -1, -1) * mask
    return torch.cat([first, mask.expand(-1, -1, f, h, w)], 1)


def generate(
    net,
    autoencoder,
    tokenizer,
    captions,
    device,
    seed,
    first=None,
    frames=FRAMES,
    steps=STEPS,
    guidance=GUIDANCE,
    shift=SHIFT,
):
    """Clips [n, frames, 3, SIZE, SIZE] in 0..1; `first`: pictures [n, 3, SIZE, SIZE] to start from, or
    nothing."""
    empty, h = tokenizer([""]).to(device), SIZE // 8
    with torch.no_grad():
        start = None if first is None else autoencoder.encoder(first.to(device) * 2 - 1)
        z = nets.sample(
            net,
            tokenizer(captions).to(device),
            empty,
            (nets.LATENTS, frames, h, h),
            steps,
            guidance,
            shift,
            torch.Generator().manual_seed(seed),
            start,
        )
        z = z.transpose(1, 2).reshape(-1, nets.LATENTS, h, h)
        x = torch.cat([autoencoder.decoder(p) for p in z.split(64)]) / 2 + 0.5
    return x.clamp(0, 1).reshape(len(captions), frames, 3, SIZE, SIZE)


def object_tracks(clips):
    """Where the object is in each frame, (x, y, area), each [n, f]: the mean and share of the pixels that
    differ from the clip's per-pixel median in time or, in still regions, from the picture's border
    colours."""
    n, f, _, h, w = clips.shape
    moved = (clips - clips.median(1, keepdim=True).values).abs().amax(2)
    weight = (moved - 0.1).clamp(min=0) + 1e-9
    x, y = torch.linspace(0, 1, w, device=clips.device), torch.linspace(0, 1, h, device=clips.device)
    total = weight.sum((2, 3))
    return (weight * x).sum((2, 3)) / total, (weight * y[:, None]).sum((2, 3)) / total, total / (h * w)


def motion_agreement(clips, asked):
    """Share of clips [n, f, 3, h, w] that move as asked, over the four straight motions: from the mean
    position, over the first and the last quarter, of the pixels that differ from the clip's median; and the
    share of "stay" clips whose frames differ little."""
    x, y, _ = object_tracks(clips)
    k = max(1, clips.shape[1] // 4)
    dx, dy = x[:, -k:].mean(1) - x[:, :k].mean(1), y[:, -k:].mean(1) - y[:, :k].mean(1)
    change = (clips[:, 1:] - clips[:, :-1]).abs().mean((1, 2, 3, 4))
    right, count, still = 0, 0, []
    for i, (_, d) in enumerate(asked):
        ways = {
            "left": (-dx[i], dy[i]),
            "right": (dx[i], dy[i]),
            "up": (-dy[i], dx[i]),
            "down": (dy[i], dx[i]),
        }
        if d["motion"] in ways:
            along, across = ways[d["motion"]]
            right += bool(along > 0.1 and abs(across) < along / 2)
            count += 1
        elif d["motion"] == "stay":
            still.append(bool(change[i] < 0.004))
    return {"direction": round(right / max(count, 1), 3), "stays": round(sum(still) / max(len(still), 1), 3)}


def judge(args, net, autoencoder, step, device):
    asked, clips = scenes.held_back_clips(args.judged)
    texts = [c for c, _ in asked]
    truth = scenes.render(scenes.clip_frames(clips, FRAMES), SIZE).reshape(-1, FRAMES, 3, SIZE, SIZE)
    made = torch.cat(
        [
            generate(net, autoencoder, args.tokenizer, texts[k : k + 30], device, 5 + k)
            for k in range(0, len(texts), 30)
        ]
    )
    led = torch.cat(
        [
            generate(net, autoencoder, args.tokenizer, texts[k : k + 30], device, 5 + k, truth[k : k + 30, 0])
            for k in range(0, len(texts), 30)
        ]
    )
    weights = args.classifier or os.path.join(args.work, "scene_classifier.pt")
    judged = ""
    if os.path.exists(weights):
        import train_scene_classifier as judges

        look = nets.load_weights(judges.Classifier(), weights).eval().to(device)
        judged = f" text: {judges.agreement(look, made[:, FRAMES // 2], asked)}"
        judged += f" image: {judges.agreement(look, led[:, FRAMES // 2], asked)}"
        judged += f" truth: {judges.agreement(look, truth[:, FRAMES // 2].to(device), asked)}"
    first = nets.peak_to_noise(led[:, 0].cpu(), truth[:, 0])
    print(
        f"motion step {step}: text {motion_agreement(made, asked)} "
        f"image {motion_agreement(led, asked)} truth "
        f"{motion_agreement(truth, asked)}{judged}, first frame kept {first:.1f} dB",
        flush=True,
    )
    rows = np.linspace(0, len(texts) - 1, 10).astype(int)
    both = torch.stack([made[rows], led[rows]], 1)[:, :, ::2]
    nets.write_sheet(os.path.join(args.work, "motion.png"), both.reshape(-1, 3, SIZE, SIZE), 16)


def start_from_pictures(net, pictures):
    """Starts from the weights of framegrid/scenes: what is new (time, the first frame) begins as nothing, so
    that every frame begins as a picture of its own. `pictures`: {weight's name: tensor}."""
    state, first = net.state_dict(), "unet.first.weight"
    new = {k: v for k, v in pictures.items() if k in state and k != first}
    weight, c = torch.zeros_like(state[first]), nets.LATENTS
    weight[:, :c], weight[:, -2:] = pictures[first][:, :c], pictures[first][:, c:]
    net.load_state_dict(new | {first: weight}, strict=False)
    missing = [
        k for k in state if k not in new and not any(w in k for w in ("meet_", "moment", "plan", first))
    ]
    if missing:
        raise ValueError(f"no weights for {missing}")


def train(args, device, wait_for):
    tokenizer = args.tokenizer
    net = nets.TextToLatents(len(tokenizer.vocabulary), WIDE, DEEP, True)
    if args.pictures:
        pictures = torch.load(args.pictures, map_location="cpu", weights_only=True)["average"]
    else:
        pictures = nets.read_weights(f"{args.base}/unet/model.onnx", "unet.")
        pictures |= nets.read_weights(f"{args.base}/text_encoder/model.onnx", "text.")
    start_from_pictures(net, pictures)
    net = net.to(device)
    run = torch.compile(net, dynamic=False) if args.compile else net
    empty, h = tokenizer([""]).to(device), SIZE // 8

    if args.compile:  # while the autoencoder is still training, if that is another process's
        fake = torch.randn(args.batch, nets.LATENTS, FRAMES, h, h, device=device)
        nets.flow_loss(run, fake, empty.expand(args.batch, -1), empty, given_first(fake, 0.5)).backward()
        net.zero_grad()
        print("compiled", flush=True)
    autoencoder = wait_for()
    started = time.time()
    latents, ids = clip_latents(args, autoencoder, device)
    print(f"{len(ids)} clips encoded in {time.time() - started:.0f} s", flush=True)
    torch.manual_seed(args.seed + 2)
    # Eight frames of the same two seconds, as even a spacing as sixteen allow.
    eight = torch.linspace(0, FRAMES - 1, FRAMES // 2, device=device).round().long()

    def loss_of(step):
        rows = torch.randint(len(ids), (args.batch,), device=device)
        z, short = latents[rows].float(), step % 8 == 7
        z = z[:, :, eight] if short else z
        return nets.flow_loss(net if short else run, z, ids[rows], empty, given_first(z, 0.5))

    def report(step, net):
        if device != "cpu":  # judging takes a quarter of an hour on a CPU
            judge(args, net, autoencoder, step, device)

    path = os.path.join(args.work, "motion.pt")
    net = nets.fit(net, loss_of, args, path, args.steps, args.minutes, args.init, report)
    return net, autoencoder


OPPOSITE = [scenes.MOTIONS.index(m) for m in ("right", "left", "down", "up", "shrink", "grow")]
TAUGHT = (
    "unet.plan",
    "unet.summary",
    "unet.moment",
    ".film.",
    "unet.attend",
    "text.",
)  # what refine() trains


def pairs(rng, count):
    """Pairs of clips of the same object over the same background that move differently, and their captions,
    alike in all else. The other clip of about half of them is the first one backwards, if that reads as
    another motion.
    """
    found, other = scenes.sample_clips(rng, count), scenes.sample_clips(rng, count)
    for key in ("x", "y", "radius", "motion", "amount", "rolls", "place", "size"):
        found["other " + key] = other[key]
    clash = scenes.NO_CLIP[found["shape"], other["motion"]] | (found["motion"] == other["motion"])
    back = (found["motion"] < len(OPPOSITE)) & (clash | (rng.random(count) < 0.5))
    found = scenes.take(found, np.flatnonzero(back | ~clash))
    back = back[back | ~clash]
    other = {key: found.get("other " + key, value) for key, value in found.items()}
    for key in ("x", "y", "radius", "amount", "rolls", "place", "size"):
        shape = back.reshape(-1, *[1] * (other[key].ndim - 1))
        other[key] = np.where(shape, found[key], other[key])
    turned = np.array(OPPOSITE + [0, 0, 0])[found["motion"]]
    other["motion"] = np.where(back, turned, other["motion"])
    seeds = rng.integers(1 << 30, size=len(back))
    write = lambda clips: [scenes.caption_clip(random.Random(int(s)), clips, i) for i, s in enumerate(seeds)]
    return found, other, back, write(found), write(other)


def refine(net, args, autoencoder, device):
    """Teaches which caption means which motion. At high noise the plain loss says little about that among all
    that it says about colours and textures. So: the same input, which holds two clips in equal parts, with
    the captions of both; the outputs must differ as the two clips do. A plain loss on other clips keeps the
    rest."""
    rng, empty, h = np.random.default_rng([30, args.seed]), args.tokenizer([""]).to(device), SIZE // 8
    torch.manual_seed(args.seed + 3)
    for name, weight in net.named_parameters():
        weight.requires_grad_(any(word in name for word in TAUGHT))
    before = {k: v.detach().clone() for k, v in net.state_dict().items()}
    unexplained = []

    @torch.no_grad()
    def latents(found, frames):
        x = scenes.render(scenes.clip_frames(found, frames), SIZE, device)
        with nets.autocast(device):
            z = autoencoder.encoder(x * 2 - 1).float()
        return z.reshape(-1, frames, nets.LATENTS, h, h).transpose(1, 2)

    def loss_of(step):
        found, other, back, ours, theirs = pairs(rng, args.refine_batch)
        n = len(back)
        z = latents(found, 4)
        reverse = torch.from_numpy(back).to(device)[:, None, None, None, None]
        second = torch.where(reverse, z.flip(2), latents(other, 4))
        difference = z - second
        sigma = 1 - 0.3 * torch.rand(n, device=device) ** 2
        mix = sigma.reshape(-1, 1, 1, 1, 1)
        x = mix * torch.randn_like(z) + (1 - mix) * (z + second) / 2
        x = torch.cat([x, torch.zeros(n, nets.LATENTS + 1, 4, h, h, device=device)], 1)
        with nets.autocast(device):
            out = net(
                torch.cat([x, x]), torch.cat([sigma, sigma]) * 1000, args.tokenizer(ours + theirs).to(device)
            )
        one, two = out.float().chunk(2)
        error = (one - two + difference).square().mean()
        unexplained.append(float(error.detach() / difference.square().mean()))
        if step % 3:
            return error
        plain, texts = scenes.captioned("clips", [31, args.seed, step], max(2, n // 2))
        z = latents(plain, 8)
        return error + nets.flow_loss(net, z, args.tokenizer(texts).to(device), empty, given_first(z, 0.5))

    def report(step, net):
        print(
            f"refining step {step}: {np.mean(unexplained[-args.report:]):.3f} of the difference "
            "between two clips "
            "unexplained",
            flush=True,
        )

    path = os.path.join(args.work, "motion_refined.pt")
    args = argparse.Namespace(**vars(args) | {"rate": args.refine_rate, "report": 20})
    net = nets.fit(
        net,
        loss_of,
        args,
        path,
        args.refine_steps,
        args.refine_minutes,
        None,
        report,
        decay=0.98,
        faster=("unet.plan",),
    )
    # Most of the way only: refining costs some of what the network knew of backgrounds.
    share = args.refine_share
    after = net.state_dict()
    net.load_state_dict({k: torch.lerp(before[k], after[k], share) for k in before})
    if args.judged:
        judge(args, net, autoencoder, args.refine_steps, device)
    return net


def export(net, args, command):
    out = args.out
    args.tokenizer.save(f"{out}/tokenizer")
    for part in ("vae_encoder", "vae_decoder"):
        os.makedirs(f"{out}/{part}", exist_ok=True)
        shutil.copy(f"{args.base}/{part}/model.onnx", f"{out}/{part}/model.onnx")
        shutil.copy(f"{args.base}/{part}/config.json", f"{out}/{part}/config.json")
    example = torch.randn(2, 2 * nets.LATENTS + 1, FRAMES, SIZE // 8, SIZE // 8)
    nets.export_text_and_unet(net, out, example, SIZE, FRAMES)
    nets.write_scheduler(out, SHIFT)
    nets.write_index(out, "FramegridVideoPipeline")
    manifest(out, command)


def manifest(out, command):
    nets.write_manifest(
        out,
        {
            "id": "framegrid/motion",
            "pipelines": ["text-to-video", "image-to-video"],
            "version": 1,
            "description": "Small text-to-video and image-to-video diffusion model of moving coloured shapes",
            "licence": "Apache-2.0",
            "memory_bytes": MEMORY_BYTES,
        },
        {
            "steps": STEPS,
            "guidance_scale": GUIDANCE,
            "width": SIZE,
            "height": SIZE,
            "frames": FRAMES,
            "fps": RATE,
            "pixels_max": SIZE * SIZE,
        },
        {"command": command, "data": "procedurally made, captioned clips (models/train/scenes.py)"},
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    nets.add_training_arguments(parser, 2000, 32, 7e-4)
    parser.add_argument("--refine-steps", type=int, default=500)
    parser.add_argument("--refine-batch", type=int, default=8, help="pairs of clips")
    parser.add_argument("--refine-rate", type=float, default=6e-4)
    parser.add_argument("--refine-minutes", type=float, default=1e9)
    parser.add_argument("--refine-share", type=float, default=0.7, help="how far towards the refined weights")
    parser.add_argument("--pool", type=int, default=8000, help="clips that the denoiser learns from")
    parser.add_argument(
        "--judged", type=int, default=90, help="clips that a report makes, of 9 motions; or 0"
    )
    parser.add_argument("--base", help="model directory of framegrid/scenes: its autoencoder")
    parser.add_argument(
        "--pictures", help="checkpoint of train_scenes.py to start from, instead of --base's networks"
    )
    parser.add_argument("--autoencoder", help="checkpoint of train_scenes.py, instead of --base's")
    parser.add_argument(
        "--wait", action="store_true", help="take train_scenes.py's autoencoder in --work when it is done"
    )
    parser.add_argument("--classifier", help="weights of train_scene_classifier.py, to judge reports' clips")
    parser.add_argument(
        "--refine", action="store_true", help="begin with --init's network and refine it, no more"
    )
    parser.add_argument("--export-only", action="store_true", help="from the checkpoint in --work")
    parser.add_argument("--out", help="model directory to write")
    parser.add_argument("--command", help="what model.toml calls the training command, if not this one")
    args = parser.parse_args()
    nets.prepare(args)
    args.tokenizer = nets.scene_tokenizer()

    def wait_for():
        path = args.autoencoder or os.path.join(args.work, "scenes_autoencoder.pt")
        while args.wait and not args.autoencoder and not os.path.exists(path + ".done"):
            time.sleep(0.5)
        found = (
            nets.load_weights(nets.Autoencoder(), path)
            if args.wait or args.autoencoder
            else nets.load_autoencoder(args.base)
        )
        return found.eval().to(args.device)

    if args.export_only:
        net = nets.TextToLatents(len(args.tokenizer.vocabulary), WIDE, DEEP, True)
        nets.load_weights(net, args.init or os.path.join(args.work, "motion.pt"), ("plan",))
    elif args.refine:
        net = nets.TextToLatents(len(args.tokenizer.vocabulary), WIDE, DEEP, True)
        net = nets.load_weights(net, args.init, ("plan",)).to(args.device)
        net = refine(net, args, wait_for(), args.device)
    else:
        args.made = scenes.captioned("clips", args.seed, args.pool, args.workers)
        net, autoencoder = train(args, args.device, wait_for)
        net = refine(net, args, autoencoder, args.device)
    if args.out:
        export(net.cpu(), args, args.command or "/usr/bin/python3 " + " ".join(sys.argv))


if __name__ == "__main__":
    main()
