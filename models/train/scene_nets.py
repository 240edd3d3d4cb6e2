"""What the scene and motion models share: tokenizer, networks, training loop, sampler, ONNX files.

The networks follow diffusers' conventions, so that one loader serves them and Stable Diffusion: latents are
multiplied by scaling_factor before diffusion; x_t = (1 - sigma) x_0 + sigma noise; the denoiser is given
sigma * 1000 and returns noise - x_0 (FlowMatchEulerDiscreteScheduler).
"""

import contextlib
import hashlib
import json
import math
import os
import re
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads starve each other on a shared machine

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from quiet import silent_stderr

LATENTS = 8  # latent channels
TOKENS = 32  # of a caption, start and end included
TEXT = 128  # width of the text encoder
LATENT_NOISE = (
    0.08  # standard deviation of what the autoencoder is trained to ignore in its latents of variance 1
)
START, END = "<|startoftext|>", "<|endoftext|>"


# ---- tokenizer ---------------------------------------------------------------------------------------------


def byte_letters():
    """The printable letter that stands for each byte in vocab.json, as in GPT-2 and CLIP: Latin-1's visible
    characters stand for themselves, the other bytes for the letters from U+0100 on. A list of 256, and the
    bytes in file order.
    """
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in visible]
    letters = [""] * 256
    for b in visible:
        letters[b] = chr(b)
    for k, b in enumerate(hidden):
        letters[b] = chr(256 + k)
    return letters, visible + hidden


class Tokenizer:
    """CLIP's byte-pair encoding: lower case, the last piece of each word ends in </w>."""

    PIECES = re.compile(
        r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+"
    )

    def __init__(self, merges):
        self.letters, order = byte_letters()
        self.merges = merges
        self.rank = {pair: k for k, pair in enumerate(merges)}
        single = [self.letters[b] for b in order]
        names = single + [s + "</w>" for s in single] + [a + b for a, b in merges] + [START, END]
        self.vocabulary = {name: k for k, name in enumerate(names)}
        self.start, self.end = self.vocabulary[START], self.vocabulary[END]
        self.cache = {START: [self.start], END: [self.end]}

    def word(self, text):
        if text not in self.cache:
            parts = [self.letters[b] for b in text.encode()]
            parts[-1] += "</w>"
            while len(parts) > 1:
                pair = min(zip(parts, parts[1:]), key=lambda p: self.rank.get(p, 1 << 30))
                if pair not in self.rank:
                    break
                parts = merge(parts, pair)
            self.cache[text] = [self.vocabulary[p] for p in parts]
        return self.cache[text]

    def __call__(self, texts):
        """Token ids, int64 [len(texts), TOKENS]; END fills the rest, as in Stable Diffusion 1."""
        out = np.full((len(texts), TOKENS), self.end, np.int64)
        for row, text in zip(out, texts):
            ids = [k for piece in self.PIECES.findall(text.lower()) for k in self.word(piece)][: TOKENS - 2]
            row[0] = self.start
            row[1 : 1 + len(ids)] = ids
        return torch.from_numpy(out)

    def save(self, folder):
        os.makedirs(folder, exist_ok=True)
        write_json(os.path.join(folder, "vocab.json"), self.vocabulary, None)
        with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as f:
            f.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in self.merges))
        special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
        write_json(os.path.join(folder, "special_tokens_map.json"), special)
        write_json(
            os.path.join(folder, "tokenizer_config.json"),
            special
            | {
                "tokenizer_class": "CLIPTokenizer",
                "do_lower_case": True,
                "add_prefix_space": False,
                "model_max_length": TOKENS,
            },
        )


def merge(parts, pair):
    out, k = [], 0
    while k < len(parts):
        if k + 1 < len(parts) and (parts[k], parts[k + 1]) == pair:
            out.append(parts[k] + parts[k + 1])
            k += 2
        else:
            out.append(parts[k])
            k += 1
    return out


def train_tokenizer(captions, least=20):
    """Merges until every word that occurs `least` times is one token (rarer ones are the junk of the
    captions)."""
    counts = {}
    for text in captions:
        for piece in Tokenizer.PIECES.findall(text.lower()):
            counts[piece] = counts.get(piece, 0) + 1
    letters = byte_letters()[0]
    words = {}
    for piece, count in sorted(counts.items()):
        if count >= least:
            parts = [letters[b] for b in piece.encode()]
            words[piece] = ([*parts[:-1], parts[-1] + "</w>"], count)
    merges = []
    while True:
        pairs = {}
        for parts, count in words.values():
            for pair in zip(parts, parts[1:]):
                pairs[pair] = pairs.get(pair, 0) + count
        if not pairs:
            return Tokenizer(merges)
        best = max(pairs, key=lambda p: (pairs[p], p))
        merges.append(best)
        words = {k: (merge(parts, best), count) for k, (parts, count) in words.items()}


def scene_tokenizer():
    """The tokenizer of both models, from their caption grammars."""
    import scenes

    return train_tokenizer(scenes.captioned("scenes", 90, 30000)[1] + scenes.captioned("clips", 91, 30000)[1])


# ---- networks ----------------------------------------------------------------------------------------------


class Residual(nn.Module):
    """Two 3x3 convolutions without normalisation, whose sum starts near the identity."""

    def __init__(self, width):
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(0.3)

    def forward(self, x):
        return x + self.second(F.silu(self.first(F.silu(x))))


class Encoder(nn.Module):
    """Pictures [n, 3, 8h, 8w] in -1..1 to latents [n, LATENTS, h, w] of mean 0 and variance 1."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, 40, 3, padding=1),
            Residual(40),
            nn.Conv2d(40, 64, 4, 2, 1),
            Residual(64),
            nn.Conv2d(64, 80, 4, 2, 1),
            Residual(80),
            Residual(80),
            nn.SiLU(),
            nn.Conv2d(80, LATENTS, 3, padding=1),
        )
        # Running statistics: dividing by them, rather than a penalty, keeps the latents' variance at 1.
        self.register_buffer("offset", torch.zeros(1, LATENTS, 1, 1))
        self.register_buffer("gain", torch.ones(1, LATENTS, 1, 1))

    def forward(self, x):
        z = self.net(x)
        if self.training:
            z = z.float()
            variance, mean = torch.var_mean(z, (0, 2, 3), keepdim=True)
            gain = torch.rsqrt(variance + 1e-6)
            with torch.no_grad():
                self.offset.lerp_(mean, 0.02)
                self.gain.lerp_(gain, 0.02)
            return (z - mean) * gain
        return (z - self.offset) * self.gain


class Decoder(nn.Module):
    """Latents [n, LATENTS, h, w] to pictures [n, 3, 8h, 8w] in about -1..1."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(LATENTS, 96, 3, padding=1),
            Residual(96),
            Residual(96),
            nn.Conv2d(96, 256, 3, padding=1),
            nn.PixelShuffle(2),
            Residual(64),
            Residual(64),
            nn.Conv2d(64, 160, 3, padding=1),
            nn.PixelShuffle(2),
            Residual(40),
            nn.SiLU(),
            nn.Conv2d(40, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def forward(self, z):
        return self.net(z)


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()

    def forward(self, x):
        z = self.encoder(x)
        return self.decoder(z + LATENT_NOISE * torch.randn_like(z))


class Attention(nn.Module):
    """Multi-head attention of tokens [n, t, width] to themselves or to a context [n, s, context]."""

    def __init__(self, width, context=None, heads=4):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(context or width, 2 * width, bias=False)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x, context=None):
        context = x if context is None else context
        n, t, width = x.shape
        split = lambda y: y.reshape(n, -1, self.heads, width // self.heads).transpose(1, 2)
        key, value = self.key_value(context).chunk(2, -1)
        y = F.scaled_dot_product_attention(split(self.query(x)), split(key), split(value))
        return self.out(y.transpose(1, 2).reshape(n, -1, width))


def heads_for(width):
    return width // 24 if width % 24 == 0 else 4  # multiples of 8 a head, which fast attention kernels want


def feed_forward(width, factor):
    last = nn.Linear(width * factor, width)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width * factor), nn.GELU(), last)


class TextEncoder(nn.Module):
    """Token ids [n, TOKENS] to states [n, TOKENS, TEXT] and a summary [n, TEXT] (the state of the start
    token). Attention goes both ways and padding takes part: it is always the same token."""

    def __init__(self, vocabulary, layers=2):
        super().__init__()
        self.token, self.position = nn.Embedding(vocabulary, TEXT), nn.Parameter(
            torch.randn(TOKENS, TEXT) * 0.1
        )
        nn.init.normal_(self.token.weight, std=0.3)
        self.norms = nn.ModuleList([nn.LayerNorm(TEXT) for _ in range(layers)])
        self.attentions = nn.ModuleList([Attention(TEXT) for _ in range(layers)])
        self.feeds = nn.ModuleList([feed_forward(TEXT, 4) for _ in range(layers)])
        self.last = nn.LayerNorm(TEXT)

    def forward(self, ids):
        x = self.token(ids) + self.position
        for norm, attention, feed in zip(self.norms, self.attentions, self.feeds):
            x = x + attention(norm(x))
            x = x + feed(x)
        x = self.last(x)
        return x, x[:, 0]


class Modulated(nn.Module):
    """Residual block whose second normalisation is scaled and shifted by the condition [n, condition]."""

    def __init__(self, before, width, condition):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, before), nn.Conv2d(before, width, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(8, width), nn.Conv2d(width, width, 3, padding=1)
        self.film = nn.Linear(condition, 2 * width)
        self.skip = nn.Conv2d(before, width, 1) if before != width else nn.Identity()
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x, condition):
        y = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, 1)
        y = self.conv2(F.silu(self.norm2(y) * (1 + scale) + shift))
        return self.skip(x) + y


class SpaceAttention(nn.Module):
    """Each picture attends to itself and to its text. x: [n, width, h, w]; text: [b, TOKENS, TEXT], n a
    multiple of b (a clip's frames share their text)."""

    def __init__(self, width):
        super().__init__()
        self.norm1, self.own = nn.LayerNorm(width), Attention(width, heads=heads_for(width))
        self.norm2, self.text = nn.LayerNorm(width), Attention(width, TEXT, heads_for(width))
        self.feed = feed_forward(width, 2)

    def forward(self, x, text):
        n, width, h, w = x.shape
        y = x.flatten(2).transpose(1, 2)
        y = y + self.own(self.norm1(y))
        y = y.reshape(text.shape[0], -1, width)
        y = y + self.text(self.norm2(y), text)
        y = y.reshape(n, -1, width)
        y = y + self.feed(y)
        return y.transpose(1, 2).reshape(n, width, h, w)


class TimeAttention(nn.Module):
    """Each position attends to itself in the clip's other frames. x: [b * f, width, h, w]; moments: [f,
    24]."""

    def __init__(self, width):
        super().__init__()
        self.norm, self.moment = nn.LayerNorm(width), nn.Linear(24, width)
        self.own = Attention(width, heads=heads_for(width))

    def forward(self, x, moments):
        f, (_, width, h, w) = moments.shape[0], x.shape
        y = x.reshape(-1, f, width, h * w).permute(0, 3, 1, 2).reshape(-1, f, width)
        y = y + self.own(self.norm(y) + self.moment(moments))
        return y.reshape(-1, h * w, f, width).permute(0, 2, 3, 1).reshape(-1, width, h, w)


def waves(x, count, longest):
    """Sines and cosines of x [...]: [..., 2 * count], wavelengths from 2 pi to 2 pi * longest."""
    rates = torch.exp(
        torch.arange(count, device=x.device, dtype=torch.float32) * (-math.log(longest) / (count - 1))
    )
    y = x[..., None].float() * rates
    return torch.cat([torch.sin(y), torch.cos(y)], -1)


class Denoiser(nn.Module):
    """UNet of two levels over latents; with `moving`, over clips, whose frames meet in TimeAttention.

    Pictures: sample [b, c, h, w]. Clips: [b, 2c + 1, f, h, w]: noisy latents, the first frame's latents
    repeated over all frames (or zeros), and a mask that is 1 everywhere if they are given and 0 if not.
    timestep [b] is sigma * 1000; text is [b, TOKENS, TEXT]. Returns noise - x_0, [b, c, (f,) h, w]."""

    def __init__(self, wide, deep, moving=False, blocks=2, condition=192):
        super().__init__()
        self.moving = moving
        channels = (2 * LATENTS + 1 if moving else LATENTS) + 2  # and where in the picture: x, y
        self.first = nn.Conv2d(channels, wide, 3, padding=1)
        self.time = nn.Sequential(nn.Linear(64, condition), nn.SiLU(), nn.Linear(condition, condition))
        self.summary = nn.Linear(TEXT, condition)
        self.down = nn.Conv2d(wide, deep, 4, 2, 1)
        self.up = nn.Conv2d(deep, 4 * wide, 3, padding=1)
        block = lambda a, b: Modulated(a, b, condition)
        self.before = nn.ModuleList([block(wide, wide) for _ in range(blocks)])
        self.middle = nn.ModuleList([block(deep, deep) for _ in range(blocks + 1)])
        self.attend = nn.ModuleList([SpaceAttention(deep) for _ in range(blocks + 1)])
        self.after = nn.ModuleList(
            [block(2 * wide, wide) if i == 0 else block(wide, wide) for i in range(blocks)]
        )
        self.norm, self.last = nn.GroupNorm(8, wide), nn.Conv2d(wide, LATENTS, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        if moving:
            self.moment = nn.Linear(24, condition)
            nn.init.zeros_(self.moment.weight)
            nn.init.zeros_(self.moment.bias)
            # What a caption asks for at each moment: the product of text and time that a sum of the two
            # lacks.
            self.plan = nn.Sequential(nn.Linear(TEXT + 24, 256), nn.SiLU(), nn.Linear(256, condition))
            nn.init.zeros_(self.plan[2].weight)
            nn.init.zeros_(self.plan[2].bias)
            self.meet_wide = nn.ModuleList([TimeAttention(wide) for _ in range(2 * blocks)])
            self.meet_deep = nn.ModuleList([TimeAttention(deep) for _ in range(blocks + 1)])

    def forward(self, sample, timestep, text):
        b, f = sample.shape[0], sample.shape[2] if self.moving else 1
        condition = self.time(waves(timestep * 0.1, 32, 1000.0)) + self.summary(text[:, 0])
        x, moments = sample, None
        if self.moving:
            _, c, f, h, w = sample.shape
            x = sample.transpose(1, 2).reshape(-1, c, h, w)
            ticks = torch.arange(f, device=x.device, dtype=torch.float32)
            moments = waves(ticks * (9.0 / ticks[-1:].clamp(min=1)), 12, 9.0).to(x.dtype)
            told = torch.cat([text[:, :1].expand(-1, f, -1), moments[None].expand(b, -1, -1)], 2)
            condition = (condition[:, None] + self.moment(moments) + self.plan(told)).flatten(0, 1)
        condition = F.silu(condition)
        h, w = x.shape[2], x.shape[3]
        across = ((torch.arange(w, device=x.device, dtype=x.dtype) + 0.5) * (2 / w) - 1)[None, None, None, :]
        along = ((torch.arange(h, device=x.device, dtype=x.dtype) + 0.5) * (2 / h) - 1)[None, None, :, None]
        one = torch.ones_like(x[:, :1])
        x = self.first(torch.cat([x, one * across, one * along], 1))
        for i, block in enumerate(self.before):
            x = block(x, condition)
            x = self.meet_wide[i](x, moments) if self.moving else x
        kept, x = x, self.down(x)
        for i, (block, attend) in enumerate(zip(self.middle, self.attend)):
            x = attend(block(x, condition), text)
            x = self.meet_deep[i](x, moments) if self.moving else x
        x = torch.cat([F.pixel_shuffle(self.up(x), 2), kept], 1)
        for i, block in enumerate(self.after):
            x = block(x, condition)
            x = self.meet_wide[len(self.before) + i](x, moments) if self.moving else x
        x = self.last(F.silu(self.norm(x)))
        return x.reshape(b, f, LATENTS, h, w).transpose(1, 2) if self.moving else x


class TextToLatents(nn.Module):
    """Text encoder and denoiser, trained together."""

    def __init__(self, vocabulary, wide, deep, moving):
        super().__init__()
        self.text, self.unet = TextEncoder(vocabulary), Denoiser(wide, deep, moving)

    def forward(self, sample, timestep, ids):
        return self.unet(sample, timestep, self.text(ids)[0])


# ---- sampling ----------------------------------------------------------------------------------------------


def sigmas(steps, shift):
    """The noise levels of diffusers' FlowMatchEulerDiscreteScheduler.set_timesteps, steps + 1 of them."""
    bend = lambda s: shift * s / (1 + (shift - 1) * s)
    return np.append(bend(np.linspace(bend(1.0), bend(0.001), steps)), 0.0)


@torch.no_grad()
def sample(net, ids, empty, shape, steps, guidance, shift, generator, first=None):
    """Latents of captions `ids` [n, TOKENS]. shape: of one sample's latents. `first`: latents [n, c, h, w] of
    clips' first frames, or nothing. `net` is a TextToLatents; `generator` a CPU one, so that devices
    agree."""
    n, device = len(ids), ids.device
    x = torch.randn(n, *shape, generator=generator).to(device)
    text = torch.cat([ids, empty.expand(n, -1)])
    extra = None
    if len(shape) == 4:
        extra = torch.zeros(n, LATENTS + 1, *shape[1:], device=device)
        if first is not None:
            extra[:, :LATENTS] = first[:, :, None]
            extra[:, LATENTS] = 1
    levels = sigmas(steps, shift)
    for now, then in zip(levels, levels[1:]):
        given = x if extra is None else torch.cat([x, extra], 1)
        t = torch.full((2 * n,), now * 1000, device=device)
        with_text, without = net(torch.cat([given, given]), t, text).float().chunk(2)
        x = x + (then - now) * (without + guidance * (with_text - without))
    return x


# ---- training ----------------------------------------------------------------------------------------------


def add_training_arguments(parser, steps, batch, rate):
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--rate", type=float, default=rate)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes that write captions")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="torch.compile the networks")
    parser.add_argument(
        "--minutes", type=float, default=1e9, help="wall clock after which the schedule ends early"
    )
    parser.add_argument("--until", type=float, default=1e12, help="as --minutes, but as seconds since 1970")
    parser.add_argument("--report", type=int, default=500, help="steps between reports and checkpoints")
    parser.add_argument("--work", default="/tmp/framegrid-training", help="directory of the checkpoints")
    parser.add_argument("--init", help="checkpoint whose averaged weights to start from")
    parser.add_argument("--light", action="store_true", help="checkpoints hold the averaged weights alone")


def prepare(args):
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    if args.compile:
        from torch import _dynamo

        _dynamo.config.suppress_errors = True  # plain execution where compiling fails
    os.makedirs(args.work, exist_ok=True)


def autocast(device):
    return (
        torch.autocast("cuda", torch.bfloat16) if str(device).startswith("cuda") else contextlib.nullcontext()
    )


def load_weights(net, path, new=()):
    """The averaged weights of a checkpoint; modules whose name contains a word of `new` may be missing in
    it."""
    state = torch.load(path, map_location="cpu", weights_only=True)["average"]
    missing, unknown = net.load_state_dict(state, strict=False)
    if unknown or any(not any(word in name for word in new) for name in missing):
        raise ValueError(f"{path} does not fit: {missing}, {unknown}")
    return net


def fit(net, loss_of, args, path, steps, minutes=1e9, init=None, report=None, decay=0.999, faster=()):
    """Trains those weights of `net` that want gradients; loss_of(step) is a scalar tensor. Weights whose name
    contains a word of `faster` learn five times as fast. Continues from `path` if that checkpoint is there.
    Leaves the averaged weights in `net`. report(step, net) is called with them at each report."""
    device = next(net.parameters()).device
    minutes = min(minutes, (args.until - time.time()) / 60)
    groups = [{"params": [], "factor": 1.0}, {"params": [], "factor": 5.0}]
    for name, weight in net.named_parameters():
        if weight.requires_grad:
            groups[any(word in name for word in faster)]["params"].append(weight)
    optimiser = torch.optim.AdamW(
        [g for g in groups if g["params"]],
        lr=args.rate,
        betas=(0.9, 0.99),
        weight_decay=0.01,
        fused=device.type == "cuda",
    )
    step, spent = 0, 0.0
    if init:
        load_weights(net, init)
    average = {k: v.detach().clone() for k, v in net.state_dict().items()}
    if os.path.exists(path):
        saved = torch.load(path, map_location=device, weights_only=True)
        step, spent, average = saved["step"], saved["seconds"], saved["average"]
        net.load_state_dict(saved.get("net", average))
        if "optimiser" in saved:
            optimiser.load_state_dict(saved["optimiser"])
        print(f"continuing {path} at step {step}", flush=True)
    started, losses, shown = time.time() - spent, [], time.time()
    live = net.state_dict()  # shares the weights' storage
    names = [k for k in average if average[k].is_floating_point()]
    while step < steps and time.time() - started < minutes * 60:
        progress = max(step / steps, (time.time() - started) / (minutes * 60))
        for group in optimiser.param_groups:
            warm = group["factor"] * min(1, (step + 1) / (200 if steps > 2000 else 20))
            group["lr"] = args.rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
        loss = loss_of(step)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        keep = min(decay, (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_([average[k] for k in names], [live[k] for k in names], 1 - keep)
        losses.append(loss.detach())
        step += 1
        if step % args.report == 0 or step == steps or time.time() - started >= minutes * 60:
            mean = float(torch.stack(losses).mean())
            print(
                f"{os.path.basename(path)} step {step} {time.time() - started:.0f} s: loss {mean:.4f} "
                f"{(time.time() - shown) / len(losses) * 1000:.0f} ms/step",
                flush=True,
            )
            losses = []
            saved = {"step": step, "seconds": time.time() - started, "average": average}
            if not args.light:
                saved |= {"net": net.state_dict(), "optimiser": optimiser.state_dict()}
            torch.save(saved, path + ".new")
            os.replace(path + ".new", path)
            if report:
                kept = {k: v.clone() for k, v in live.items()}
                net.load_state_dict(average)
                net.eval()
                report(step, net)
                net.train()
                net.load_state_dict(kept)
            shown = time.time()
    net.load_state_dict(average)
    return net.eval()


def flow_loss(net, latents, ids, empty, extra=None):
    """Mean squared error of noise - x_0. A tenth of the captions are emptied, for guidance."""
    n, device = len(latents), latents.device
    uniform = torch.rand(n, device=device)
    sigma = torch.where(
        torch.rand(n, device=device) < 0.85, torch.sigmoid(torch.randn(n, device=device)), uniform
    )
    noise = torch.randn_like(latents)
    mix = sigma.reshape(n, *[1] * (latents.dim() - 1))
    given = (1 - mix) * latents + mix * noise
    if extra is not None:
        given = torch.cat([given, extra], 1)
    ids = torch.where(torch.rand(n, 1, device=device) < 0.1, empty, ids)
    with autocast(device):
        out = net(given, sigma * 1000, ids)
    return F.mse_loss(out.float(), noise - latents)


@torch.no_grad()
def encode_all(autoencoder, draw, count, chunk, device):
    """Latents [count, c, h, w] of the pictures draw(start, stop) [k, 3, 8h, 8w] in 0..1; float16 on a GPU."""
    out = []
    for k in range(0, count, chunk):
        with autocast(device):
            z = autoencoder.encoder(draw(k, min(k + chunk, count)) * 2 - 1)
        out.append(z.half() if str(device).startswith("cuda") else z)
    return torch.cat(out)


def peak_to_noise(a, b):
    """PSNR in dB of pictures in 0..1, rounded to 8 bits, of the mean squared error over all of them."""
    error = (torch.round(a.clamp(0, 1) * 255) - torch.round(b * 255)).square().mean()
    return 10 * math.log10(255**2 / max(float(error), 1e-3))


def write_sheet(path, pictures, columns):
    """A PNG of pictures [n, 3, h, w] in 0..1, side by side."""
    import struct
    import zlib

    n, _, h, w = pictures.shape
    rows = -(-n // columns)
    sheet = np.zeros((rows * h, columns * w, 3), np.uint8)
    data = (pictures.float().cpu().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    for i, picture in enumerate(data):
        y, x = i // columns * h, i % columns * w
        sheet[y : y + h, x : x + w] = picture
    raw = b"".join(b"\0" + row.tobytes() for row in sheet)
    part = (
        lambda tag, body: struct.pack(">I", len(body))
        + tag
        + body
        + struct.pack(">I", zlib.crc32(tag + body))
    )
    with open(path, "wb") as f:
        f.write(
            b"\x89PNG\r\n\x1a\n"
            + part(b"IHDR", struct.pack(">IIBBBBB", columns * w, rows * h, 8, 2, 0, 0, 0))
            + part(b"IDAT", zlib.compress(raw, 6))
            + part(b"IEND", b"")
        )


# ---- files -------------------------------------------------------------------------------------------------


def write_json(path, value, indent=2):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=indent, ensure_ascii=False)
        f.write("\n")


def name_weights(graph, state):
    """The exporter transposes the matrices of linear layers, shapes those of normalisations [c, 1, 1] and
    gives both numbers for names; this names them after the weights, so that read_weights finds them."""
    from onnx import numpy_helper

    changed = {k + ".transposed": v.numpy().T for k, v in state.items() if v.dim() == 2}
    changed |= {k + ".column": v.numpy()[:, None, None] for k, v in state.items() if v.dim() == 1}
    new = {}
    for tensor in graph.initializer:
        if tensor.name in state or len(tensor.dims) not in (2, 3):
            continue
        value = numpy_helper.to_array(tensor)
        for key, weight in changed.items():
            if weight.shape == value.shape and np.array_equal(weight, value):
                new[tensor.name] = key
                tensor.name = key
                del changed[key]
                break
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = new.get(name, name)


def export_onnx(net, path, inputs, input_names, output_names, axes):
    """Writes `net` with its weights in float16, each behind a Cast to float32 (which ONNX Runtime does once,
    when it loads the file). axes: {name: {index: axis name}}."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    os.makedirs(os.path.dirname(path), exist_ok=True)
    with silent_stderr(), torch.no_grad():
        torch.onnx.export(
            net.eval().cpu(),
            inputs,
            path,
            opset_version=17,
            dynamo=False,
            input_names=input_names,
            output_names=output_names,
            dynamic_axes=axes,
        )
    model = onnx.load(path)
    graph, casts = model.graph, []
    name_weights(graph, net.state_dict())
    for tensor in list(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or math.prod(tensor.dims) < 64:
            continue
        half = numpy_helper.from_array(
            numpy_helper.to_array(tensor).astype(np.float16), tensor.name + ".half"
        )
        casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
        graph.initializer.remove(tensor)
        graph.initializer.append(half)
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + nodes)
    model.doc_string = ""
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.checker.check_model(model)
    onnx.save(model, path)


class LatentParameters(nn.Module):
    """The encoder as diffusers' AutoencoderKL exports it: mean and (constant) log-variance, [n, 2 LATENTS, h,
    w]."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, x):
        mean = self.encoder(x)
        return torch.cat([mean, torch.full_like(mean, 2 * math.log(LATENT_NOISE))], 1)


def export_autoencoder(autoencoder, folder, size):
    batch = lambda name, other: {name: {0: "batch", 2: "h", 3: "w"}, other: {0: "batch", 2: "h8", 3: "w8"}}
    export_onnx(
        LatentParameters(autoencoder.encoder),
        f"{folder}/vae_encoder/model.onnx",
        (torch.rand(2, 3, 64, 64),),
        ["sample"],
        ["latent_parameters"],
        batch("sample", "latent_parameters"),
    )
    export_onnx(
        autoencoder.decoder,
        f"{folder}/vae_decoder/model.onnx",
        (torch.rand(2, LATENTS, 8, 8),),
        ["latent_sample"],
        ["sample"],
        batch("latent_sample", "sample"),
    )
    for part in ("vae_encoder", "vae_decoder"):
        write_json(
            f"{folder}/{part}/config.json",
            {
                "_class_name": "AutoencoderKL",
                "in_channels": 3,
                "out_channels": 3,
                "latent_channels": LATENTS,
                "block_out_channels": [12, 40, 64, 96],
                "scaling_factor": 1.0,
                "sample_size": size,
            },
        )


def read_weights(path, prefix=""):
    """{weight's name: tensor} of a file that export_onnx wrote."""
    import onnx
    from onnx import numpy_helper

    state = {}
    for tensor in onnx.load(path).graph.initializer:
        value = torch.from_numpy(numpy_helper.to_array(tensor).astype(np.float32))
        name = tensor.name.removesuffix(".half")
        if name.endswith(".transposed"):
            value = value.T.contiguous()
        elif name.endswith(".column"):
            value = value.flatten()
        state[prefix + name.removesuffix(".transposed").removesuffix(".column")] = value
    return state


def load_autoencoder(folder):
    """The autoencoder out of a model directory's ONNX files."""
    state = read_weights(f"{folder}/vae_encoder/model.onnx")
    state |= read_weights(f"{folder}/vae_decoder/model.onnx", "decoder.")
    net = Autoencoder()
    net.load_state_dict({k: v for k, v in state.items() if k in net.state_dict()})
    return net.eval()


def export_text_and_unet(net, folder, example, size, frames=None):
    """text_encoder/ and unet/ of a model directory; example: a sample of batch 2."""
    axes = {"input_ids": {0: "batch"}, "last_hidden_state": {0: "batch"}, "pooler_output": {0: "batch"}}
    export_onnx(
        net.text,
        f"{folder}/text_encoder/model.onnx",
        (torch.zeros(2, TOKENS, dtype=torch.int64),),
        ["input_ids"],
        ["last_hidden_state", "pooler_output"],
        axes,
    )
    write_json(
        f"{folder}/text_encoder/config.json",
        {
            "architectures": ["CLIPTextModel"],
            "hidden_size": TEXT,
            "max_position_embeddings": TOKENS,
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "vocab_size": net.text.token.num_embeddings,
        },
    )
    free = {0: "batch", 2: "frames", 3: "h", 4: "w"} if frames else {0: "batch", 2: "h", 3: "w"}
    export_onnx(
        net.unet,
        f"{folder}/unet/model.onnx",
        (example, torch.full((2,), 500.0), torch.rand(2, TOKENS, TEXT)),
        ["sample", "timestep", "encoder_hidden_states"],
        ["out_sample"],
        {"sample": free, "timestep": {0: "batch"}, "encoder_hidden_states": {0: "batch"}, "out_sample": free},
    )
    config = {
        "in_channels": example.shape[1],
        "out_channels": LATENTS,
        "cross_attention_dim": TEXT,
        "sample_size": size // 8,
        # Two levels: sides of latents must be even.
        "block_out_channels": [net.unet.first.out_channels, net.unet.down.out_channels],
    }
    write_json(
        f"{folder}/unet/config.json",
        (
            {
                "_class_name": "UNet3DConditionModel",
                "num_frames": frames,
                "first_frame_conditioning": "repeat",
            }
            if frames
            else {"_class_name": "UNet2DConditionModel"}
        )
        | config,
    )


def write_scheduler(folder, shift):
    write_json(
        f"{folder}/scheduler/scheduler_config.json",
        {
            "_class_name": "FlowMatchEulerDiscreteScheduler",
            "num_train_timesteps": 1000,
            "shift": shift,
            "use_dynamic_shifting": False,
        },
    )


def write_index(folder, name):
    write_json(
        f"{folder}/model_index.json",
        {
            "_class_name": name,
            "_diffusers_version": "0.31.0",
            "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
            "text_encoder": ["optimum.onnxruntime", "ORTModelTextEncoder"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["optimum.onnxruntime", "ORTModelUnet"],
            "vae_decoder": ["optimum.onnxruntime", "ORTModelVaeDecoder"],
            "vae_encoder": ["optimum.onnxruntime", "ORTModelVaeEncoder"],
        },
    )


def toml_value(value):
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def write_manifest(folder, fields, defaults, training):
    """model.toml: `fields` at the top, then [defaults], [training] and every file of the directory."""
    lines = ["# A model directory's manifest; the fields are explained in models/README.md."]
    lines += [f"{k} = {toml_value(v)}" for k, v in fields.items()]
    for name, table in (("defaults", defaults), ("training", training)):
        lines += ["", f"[{name}]"] + [f"{k} = {toml_value(v)}" for k, v in table.items()]
    with open(os.path.join(folder, "model.toml"), "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
    list_files(folder)


def list_files(folder):
    """Renews the [[files]] of a directory's model.toml, which are its last part."""
    path = os.path.join(folder, "model.toml")
    with open(path, encoding="utf-8") as f:
        text = f.read().split("\n[[files]]")[0]
    names = sorted(
        os.path.relpath(os.path.join(d, name), folder) for d, _, found in os.walk(folder) for name in found
    )
    for name in names:
        if name in ("model.toml", "README.md"):  # the card may be corrected without making another model of it
            continue
        with open(os.path.join(folder, name), "rb") as f:
            data = f.read()
        text += (
            f'\n[[files]]\npath = "{name}"\nbytes = {len(data)}\n'
            f'sha256 = "{hashlib.sha256(data).hexdigest()}"\n'
        )
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
