"""Captioned procedural scenes and clips, drawn from signed distance functions in batched torch.

A scene is one main object (shape, colour, place, size) over a coloured, perhaps textured background,
sometimes with a smaller second object. Sampling is numpy on the CPU (struct of arrays, one row per scene);
drawing is torch on any device. Positions and lengths are in picture sides, x to the right, y down.
Combinations whose hash says so are held back: the samplers never return them, so that what a network makes of
them was not learned by heart.
"""

import hashlib
import math
import random
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

# sRGB, 0..1; far enough apart that a jitter of 0.03 never makes one look like another.
COLOURS = {
    "red": (0.85, 0.12, 0.12),
    "orange": (0.98, 0.55, 0.08),
    "yellow": (0.98, 0.88, 0.15),
    "green": (0.15, 0.62, 0.22),
    "cyan": (0.15, 0.80, 0.80),
    "blue": (0.14, 0.30, 0.85),
    "purple": (0.50, 0.18, 0.68),
    "pink": (0.98, 0.55, 0.75),
    "brown": (0.45, 0.27, 0.12),
    "black": (0.06, 0.06, 0.07),
    "white": (0.96, 0.96, 0.96),
    "grey": (0.52, 0.52, 0.54),
}
SHAPES = ["circle", "square", "triangle", "star", "heart", "ring", "cross", "moon"]
PLACES = ["top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right"]
SIZES = ["small", "medium", "large"]
TEXTURES = ["plain", "striped", "checkered", "dotted", "gradient"]
MOTIONS = ["left", "right", "up", "down", "grow", "shrink", "spin", "bounce", "stay"]
COLOUR_NAMES = list(COLOURS)

NOUNS = {
    "circle": ["circle", "ball", "disc"],
    "square": ["square", "box", "block"],
    "triangle": ["triangle"],
    "star": ["star"],
    "heart": ["heart"],
    "ring": ["ring", "hoop", "donut"],
    "cross": ["cross", "plus sign"],
    "moon": ["moon", "crescent"],
}
COLOUR_WORDS = {"grey": ["grey", "gray"], "purple": ["purple", "violet"], "cyan": ["cyan", "turquoise"]}
SIZE_WORDS = {"small": ["small", "little", "tiny"], "large": ["large", "big", "huge"]}
PLACE_WORDS = {
    "left": ["on the left", "at the left", "to the left", "on the left side", "left"],
    "right": ["on the right", "at the right", "to the right", "on the right side", "right"],
    "top": ["at the top", "on top", "near the top", "top", "in the upper middle"],
    "bottom": ["at the bottom", "near the bottom", "bottom", "in the lower middle"],
    "centre": [
        "in the centre",
        "in the center",
        "in the middle",
        "at the centre",
        "centered",
        "centre",
        "middle",
    ],
}
for _v, _vs in (("top", ["top", "upper"]), ("bottom", ["bottom", "lower"])):
    for _h in ("left", "right"):
        PLACE_WORDS[f"{_v} {_h}"] = [
            f"{how} {w} {_h}{end}"
            for w in _vs
            for how, end in (("in the", ""), ("at the", ""), ("in the", " corner"), ("at", ""))
        ] + [f"{_vs[0]} {_h}"]
TEXTURE_WORDS = {
    "striped": ["striped", "stripy"],
    "checkered": ["checkered", "chequered", "checked"],
    "dotted": ["dotted", "spotted"],
    "gradient": ["gradient", "shaded"],
    "plain": ["plain", "flat", "solid"],
}
TEXTURE_NOUNS = {"striped": ["stripes"], "checkered": ["checks", "squares"], "dotted": ["dots", "spots"]}
PREFIXES = [
    "",
    "",
    "",
    "",
    "a picture of ",
    "an image of ",
    "a drawing of ",
    "there is ",
    "draw ",
    "show me ",
    "a photo of ",
    "please draw ",
    "i want ",
]
# Third person and -ing form of each motion; {} is nothing. A verb that rolls also turns the object.
VERBS = {
    "left": [
        ("moves left", "moving left"),
        ("rolls left", "rolling left"),
        ("slides to the left", "sliding to the left"),
        ("goes left", "going left"),
        ("drifts left", "drifting left"),
        ("moves to the left", "moving to the left"),
        ("rolls to the left", "rolling to the left"),
        ("flies left", "flying left"),
    ],
    "up": [
        ("rises", "rising"),
        ("moves up", "moving up"),
        ("floats up", "floating up"),
        ("goes up", "going up"),
        ("flies up", "flying up"),
        ("climbs", "climbing"),
        ("moves upwards", "moving upwards"),
    ],
    "down": [
        ("falls", "falling"),
        ("drops", "dropping"),
        ("moves down", "moving down"),
        ("sinks", "sinking"),
        ("goes down", "going down"),
        ("falls down", "falling down"),
        ("moves downwards", "moving downwards"),
    ],
    "grow": [
        ("grows", "growing"),
        ("gets bigger", "getting bigger"),
        ("expands", "expanding"),
        ("gets larger", "getting larger"),
    ],
    "shrink": [
        ("shrinks", "shrinking"),
        ("gets smaller", "getting smaller"),
        ("becomes smaller", "becoming smaller"),
    ],
    "spin": [
        ("spins", "spinning"),
        ("rotates", "rotating"),
        ("turns around", "turning around"),
        ("turns", "turning"),
    ],
    "bounce": [
        ("bounces", "bouncing"),
        ("jumps", "jumping"),
        ("hops", "hopping"),
        ("jumps up and down", "jumping up and down"),
        ("bounces up and down", "bouncing up and down"),
    ],
    "stay": [
        ("stays still", "staying still"),
        ("does not move", "not moving"),
        ("stays", "staying"),
        ("rests", "resting"),
        ("stands still", "standing still"),
    ],
}
VERBS["right"] = [tuple(w.replace("left", "right") for w in pair) for pair in VERBS["left"]]


def held_back(*names):
    """True for about one combination in four; a function of the names alone."""
    return hashlib.sha256(" ".join(names).encode()).digest()[0] < 64


HELD_SCENES = np.array([[[held_back(c, s, p) for p in PLACES] for s in SHAPES] for c in COLOUR_NAMES])
HELD_CLIPS = np.array(
    [[[held_back(c, s, "moves", m) for m in MOTIONS] for s in SHAPES] for c in COLOUR_NAMES]
)
# A turning circle or ring looks like a resting one, so there is no such clip.
NO_CLIP = np.array([[s in ("circle", "ring") and m == "spin" for m in MOTIONS] for s in SHAPES])


def _place_xy(place, edge, middle=0.5):
    """Centre (x, y) of each place index; `edge`: distance of outer places from the border."""
    column, row = place % 3, place // 3
    steps = np.stack([edge, np.full_like(edge, middle), 1 - edge])
    index = np.arange(len(place))
    return steps[column, index], steps[row, index]


def sample_scenes(rng, count, allow_held=False):
    """`count` scenes as a dict of arrays; int64 attribute indices and float32 geometry, all of length
    `count`."""
    integers, uniform = rng.integers, rng.uniform
    colour, shape, place = integers(12, size=count), integers(8, size=count), integers(9, size=count)
    while not allow_held:
        bad = np.flatnonzero(HELD_SCENES[colour, shape, place])
        if not len(bad):
            break
        colour[bad], shape[bad] = integers(12, size=len(bad)), integers(8, size=len(bad))
        place[bad] = integers(9, size=len(bad))
    size = integers(3, size=count)
    second = rng.random(count) < 0.22
    size[second] = np.maximum(size[second], 1)  # the main object is always the larger one
    low, high = np.array([0.11, 0.165, 0.235]), np.array([0.13, 0.19, 0.265])
    radius = uniform(low[size], high[size])
    jitter = lambda: uniform(-0.03, 0.03, count)
    x, y = _place_xy(place, np.maximum(0.2, radius + 0.03))
    back = (colour + integers(1, 12, size=count)) % 12
    texture = np.array([0, 0, 1, 2, 3, 4])[integers(6, size=count)]
    scene = {
        "colour": colour,
        "shape": shape,
        "place": place,
        "size": size,
        "back": back,
        "texture": texture,
        "x": x + jitter(),
        "y": y + jitter(),
        "radius": radius,
        "turn": uniform(-0.15, 0.15, count),
    }
    # The second object keeps two cells away from the main one, or in a corner if that is in the centre.
    colour2, shape2, place2 = integers(12, size=count), integers(8, size=count), integers(9, size=count)
    while True:
        far = np.maximum(abs(place % 3 - place2 % 3), abs(place // 3 - place2 // 3)) == 2
        corner = (place == 4) & (place2 % 2 == 0) & (place2 != 4)
        good = (far | corner) & (colour2 != colour) & (colour2 != back)
        good &= allow_held | ~HELD_SCENES[colour2, shape2, place2]
        bad = np.flatnonzero(~good)
        if not len(bad):
            break
        colour2[bad], shape2[bad] = integers(12, size=len(bad)), integers(8, size=len(bad))
        place2[bad] = integers(9, size=len(bad))
    x2, y2 = _place_xy(place2, np.full(count, 0.14))
    scene |= {
        "second": second,
        "colour2": colour2,
        "shape2": shape2,
        "place2": place2,
        "x2": x2 + jitter() / 2,
        "y2": y2 + jitter() / 2,
        "radius2": uniform(0.078, 0.09, count),
        "turn2": uniform(-0.15, 0.15, count),
    }
    return scene | _looks(rng, colour, back, colour2)


def _looks(rng, colour, back, colour2):
    """The random parts of colours and textures."""
    count, table = len(colour), np.array(list(COLOURS.values()))
    tint = lambda index: np.clip(table[index] + rng.uniform(-0.03, 0.03, (count, 3)), 0, 1)
    ground = 0.85 * tint(back) + 0.075
    return {
        "rgb": tint(colour),
        "rgb2": tint(colour2),
        "ground": ground,
        "period": rng.uniform(0.12, 0.2, count),
        "angle": rng.integers(4, size=count) * (math.pi / 4),
        "phase": rng.random((count, 2)),
    }


def sample_clips(rng, count, allow_held=False):
    """`count` clips: like sample_scenes, and `motion` (index), `amount` (path length, turn or size ratio),
    `rolls`."""
    integers, uniform = rng.integers, rng.uniform
    colour, shape, motion = integers(12, size=count), integers(8, size=count), integers(9, size=count)
    while True:
        bad = np.flatnonzero((HELD_CLIPS[colour, shape, motion] & (not allow_held)) | NO_CLIP[shape, motion])
        if not len(bad):
            break
        colour[bad], shape[bad] = integers(12, size=len(bad)), integers(8, size=len(bad))
        motion[bad] = integers(9, size=len(bad))
    size = integers(3, size=count)
    radius = uniform(np.array([0.12, 0.165, 0.2])[size], np.array([0.14, 0.19, 0.22])[size])
    place = integers(9, size=count)
    sideways, upright = motion < 2, (motion == 2) | (motion == 3)
    place = np.where(sideways, place // 3 * 3 + 1, np.where(upright, 3 + place % 3, place))
    place = np.where(motion == 7, 6 + place % 3, place)  # what bounces starts on the floor
    x, y = _place_xy(place, np.maximum(0.22, radius + 0.03))
    amount = uniform(0.36, 0.56, count)
    reach = uniform(
        np.maximum(0.12, radius * 0.8) + amount, 1 - np.maximum(0.12, radius * 0.8)
    )  # start of a path
    x = np.where(motion == 0, reach, np.where(motion == 1, 1 - reach, x + uniform(-0.03, 0.03, count)))
    y = np.where(motion == 2, reach, np.where(motion == 3, 1 - reach, y + uniform(-0.03, 0.03, count)))
    radius = np.where(
        motion == 4, uniform(0.1, 0.12, count), np.where(motion == 5, uniform(0.2, 0.24, count), radius)
    )
    amount = np.where((motion == 4) | (motion == 5), uniform(1.8, 2.2, count), amount)
    amount = np.where(motion == 6, uniform(2.6, 4.2, count) * rng.choice([-1, 1], count), amount)
    amount = np.where(motion == 7, uniform(0.3, 0.4, count), amount)
    back = (colour + integers(1, 12, size=count)) % 12
    texture = np.array([0, 0, 0, 1, 2, 3, 4])[integers(7, size=count)]
    return {
        "colour": colour,
        "shape": shape,
        "place": place,
        "size": size,
        "back": back,
        "texture": texture,
        "x": x,
        "y": y,
        "radius": radius,
        "turn": uniform(-0.15, 0.15, count),
        "motion": motion,
        "amount": amount,
        "rolls": sideways & (rng.random(count) < 0.4),
        "second": np.zeros(count, bool),
        "colour2": colour,
        "shape2": shape,
        "place2": place,
        "x2": x,
        "y2": y,
        "radius2": radius,
        "turn2": np.zeros(count),
    } | _looks(rng, colour, back, colour)


def clip_frames(clips, frames):
    """The scenes of each clip's frames, clip by clip: arrays of length clips * frames."""
    n = len(clips["x"])
    t = np.tile(np.linspace(0, 1, frames), n)
    out = {k: np.repeat(v, frames, axis=0) for k, v in clips.items()}
    m, a = out["motion"], out["amount"]
    out["x"] = out["x"] + np.where(m == 0, -a * t, np.where(m == 1, a * t, 0))
    fall = 0.3 * t + 0.7 * t * t  # what falls gets faster
    out["y"] = out["y"] + np.select(
        [m == 2, m == 3, m == 7], [-a * t, a * fall, -a * abs(np.sin(2 * math.pi * t))], 0
    )
    turned = np.where(out["rolls"], np.where(m == 0, -1, 1) * a * t / out["radius"], 0)
    out["turn"] = out["turn"] + np.where(m == 6, a * t, turned)
    out["radius"] = out["radius"] * np.where((m == 4) | (m == 5), abs(a) ** np.where(m == 4, t, -t), 1)
    return out


# ---- drawing -----------------------------------------------------------------------------------------------


def _box(x, y, half_x, half_y):
    return torch.maximum(x.abs() - half_x, y.abs() - half_y)


def _distance(shape, x, y):
    """Signed distance (exact near the outline, which is all that antialiasing needs) of a shape of radius
    about 1."""
    if shape == "circle":
        return torch.hypot(x, y) - 0.92
    if shape == "square":
        return _box(x, y, 0.8, 0.8)
    if shape == "triangle":
        return torch.maximum(y - 0.6, 0.866 * x.abs() - 0.5 * y - 0.52)
    if shape == "star":
        sector = torch.remainder(torch.atan2(x, -y) + math.pi / 5, 2 * math.pi / 5) - math.pi / 5
        r = torch.hypot(x, y)
        u, v = r * torch.cos(sector), r * torch.sin(sector.abs())
        inner = 0.45 * math.cos(math.pi / 5), 0.45 * math.sin(math.pi / 5)
        nx, ny = inner[1], 1.05 - inner[0]
        return ((u - 1.05) * nx + v * ny) / math.hypot(nx, ny)
    if shape == "heart":  # a square on its corner with a half disc on each upper side
        a, b = (y - 0.02 + x) * 0.7071, (y - 0.02 - x) * 0.7071
        lobes = torch.minimum(torch.hypot(a + 0.6, b), torch.hypot(a, b + 0.6))
        return torch.minimum(_box(a, b, 0.6, 0.6), lobes - 0.6) * 1.0
    if shape == "ring":
        return (torch.hypot(x, y) - 0.7).abs() - 0.24
    if shape == "cross":
        return torch.minimum(_box(x, y, 0.92, 0.3), _box(x, y, 0.3, 0.92))
    assert shape == "moon"
    return torch.maximum(torch.hypot(x, y) - 0.95, 0.78 - torch.hypot(x - 0.42, y + 0.12))


def _groups(kinds, names, device):
    """(name, rows) for each kind in use; the rows are found on the host, so the device never waits."""
    for i, name in enumerate(names):
        rows = np.flatnonzero(kinds == i)
        if len(rows):
            yield name, torch.from_numpy(rows).to(device, non_blocking=True)


def _objects(kinds, x, y, cx, cy, radius, turn):
    """Distances, in picture sides, of every row's shape; x, y: [n, h, w], the rest [n, 1, 1]."""
    out = torch.empty_like(x)
    for name, rows in _groups(kinds, SHAPES, x.device):
        dx, dy, r = x[rows] - cx[rows], y[rows] - cy[rows], radius[rows]
        c, s = torch.cos(turn[rows]) / r, torch.sin(turn[rows]) / r
        out[rows] = _distance(name, dx * c + dy * s, dy * c - dx * s) * r
    return out


def _square_wave(t, period, pitch):
    """1 in half of each period and 0 in the other, its edges one pixel wide."""
    edge = (torch.remainder(t, 1) - 0.5).abs() - 0.25
    return (0.5 + edge * period / pitch).clamp(0, 1)


def _texture(kinds, x, y, period, angle, phase, pitch):
    """How much of the second background colour each pixel has, 0..1."""
    out = torch.zeros_like(x)
    for name, rows in _groups(kinds, TEXTURES, x.device):
        u, v, p = x[rows], y[rows], period[rows]
        c, s = torch.cos(angle[rows]), torch.sin(angle[rows])
        fx, fy = phase[rows, 0, None, None], phase[rows, 1, None, None]
        step = pitch[rows]
        if name == "striped":
            out[rows] = _square_wave((u * c + v * s) / p + fx, p, step)
        elif name == "checkered":
            p = p * 1.5
            a, b = _square_wave(u / p + fx, p, step), _square_wave(v / p + fy, p, step)
            out[rows] = a + b - 2 * a * b
        elif name == "dotted":
            far = torch.hypot(torch.remainder(u / p + fx, 1) - 0.5, torch.remainder(v / p + fy, 1) - 0.5)
            out[rows] = (0.5 - (far - 0.28) * p / step).clamp(0, 1)
        elif name == "gradient":
            out[rows] = (0.5 + ((u - 0.5) * c + (v - 0.5) * s) * 0.9).clamp(0, 1)
    return out


def render(scene, size, device="cpu", window=None):
    """Pictures [n, 3, size, size], float32 0..1. `window`: optional (left, top, side) arrays in picture
    sides, to draw a part of each scene or more than it."""
    n = len(scene["x"])
    put = lambda a: torch.from_numpy(np.ascontiguousarray(a, dtype=np.float32)).to(device, non_blocking=True)
    column = lambda key: put(scene[key])[:, None, None]
    left, top, side = window or (np.zeros(n), np.zeros(n), np.ones(n))
    ticks = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) / size
    side = put(side)[:, None, None]
    x = (put(left)[:, None, None] + ticks[None, None, :] * side).expand(n, size, size)
    y = (put(top)[:, None, None] + ticks[None, :, None] * side).expand(n, size, size)
    pitch = side / size
    ground = put(scene["ground"])
    strength = put(np.where(scene["texture"] == 4, 0.6, 0.28))[:, None]
    luma = ground.mean(1, keepdim=True)
    other = torch.where(luma > 0.4, ground * (1 - strength), ground + strength * (0.9 - ground))
    mix = _texture(scene["texture"], x, y, column("period"), column("angle"), put(scene["phase"]), pitch)[
        :, None
    ]
    out = torch.lerp(ground[:, :, None, None], other[:, :, None, None], mix)
    for tail, rows in (("", np.arange(n)), ("2", np.flatnonzero(scene["second"]))):
        if not len(rows):
            continue
        pick = torch.from_numpy(rows).to(device)
        cx, cy, r, turn = (column(k + tail)[pick] for k in ("x", "y", "radius", "turn"))
        kinds, px, py, step = scene["shape" + tail][rows], x[pick], y[pick], pitch[pick]
        far = _objects(kinds, px, py, cx, cy, r, turn)
        shade = _objects(kinds, px, py, cx + 0.012, cy + 0.022, r, turn)
        shade = 0.35 * (0.5 - shade / 0.05).clamp(0, 1)
        cover = (0.5 - far / step).clamp(0, 1)
        paint = (
            put(scene["rgb" + tail])[pick][:, :, None, None]
            * (1 - 0.13 * ((py - cy) / r).clamp(-1, 1))[:, None]
        )
        drawn = torch.lerp(out[pick] * (1 - shade[:, None]), paint.clamp(0, 1), cover[:, None])
        out = drawn if len(rows) == n else out.index_copy(0, pick, drawn)
    return out


def random_windows(rng, count, size):
    """Windows of `size` pixels for the autoencoder: pixels as fine as a 144 px or as coarse as an 88 px
    picture's."""
    side = size / rng.uniform(88, 144, count)
    slack = np.maximum(1 - side, 0)
    return rng.random(count) * slack, rng.random(count) * slack, side


# ---- captions ----------------------------------------------------------------------------------------------


def _article(phrase):
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def _noun_phrase(r, colour, shape, size, say_colour=0.93, say_size=0.5):
    words = []
    if size in SIZE_WORDS and r.random() < say_size:
        words.append(r.choice(SIZE_WORDS[size]))
    if r.random() < say_colour:
        words.append(r.choice(COLOUR_WORDS.get(colour, [colour])))
    words.append(r.choice(NOUNS[shape]) if r.random() < 0.97 else r.choice(["shape", "thing", "object"]))
    phrase = " ".join(words)
    return phrase if r.random() < 0.12 else _article(phrase)


def _ground_phrase(r, back, texture, say_texture=0.75):
    """(for after the object, for before it), e.g. "over striped blue" and "a striped blue background"."""
    colour = r.choice(COLOUR_WORDS.get(back, [back]))
    named = texture if texture != "plain" and r.random() < say_texture else None
    if texture == "plain" and r.random() < 0.2:
        named = texture
    word = r.choice(TEXTURE_WORDS[named]) + " " if named else ""
    if named in TEXTURE_NOUNS and r.random() < 0.25:
        noun = r.choice(TEXTURE_NOUNS[named])
        first = r.choice([f"{colour} {noun}", f"{_article(colour)} background with {noun}"])
        return f"{r.choice(['over', 'on', 'in front of'])} {first}", first
    if r.random() < 0.4:
        return f"{r.choice(['over', 'on'])} {word}{colour}", f"{_article(word + colour)} background"
    body = _article(f"{word}{colour} background")
    return f"{r.choice(['on', 'over', 'on', 'in front of', 'with'])} {body}", body


def _finish(r, text):
    if r.random() < 0.04:  # a word nobody knows must not matter
        words = text.split(" ")
        junk = "".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(r.randint(2, 7)))
        words.insert(r.randint(0, len(words)), junk)
        text = " ".join(words)
    if r.random() < 0.08:
        text += "."
    case = r.random()
    return text.capitalize() if case < 0.15 else text.upper() if case < 0.2 else text


def caption_scene(r, s, i, full=False):
    """A caption of scene `i`; `r` is a random.Random. `full` leaves out neither colour, shape nor place."""
    colour, shape = COLOUR_NAMES[s["colour"][i]], SHAPES[s["shape"][i]]
    if full:
        thing = _noun_phrase(r, colour, shape, SIZES[s["size"][i]], say_colour=1)
        while not any(n in thing for n in NOUNS[shape]):
            thing = _noun_phrase(r, colour, shape, SIZES[s["size"][i]], say_colour=1)
    else:
        thing = _noun_phrase(r, colour, shape, SIZES[s["size"][i]])
    place = r.choice(PLACE_WORDS[PLACES[s["place"][i]]]) if full or r.random() < 0.78 else ""
    after, before = "", ""
    if r.random() < 0.65:
        after, before = _ground_phrase(r, COLOUR_NAMES[s["back"][i]], TEXTURES[s["texture"][i]])
    second = ""
    if s["second"][i] and r.random() < 0.85:
        second = _noun_phrase(r, COLOUR_NAMES[s["colour2"][i]], SHAPES[s["shape2"][i]], "small", 0.97, 0.6)
        if r.random() < 0.85:
            second += " " + r.choice(PLACE_WORDS[PLACES[s["place2"][i]]])
        second = f" {r.choice(['and', 'and', 'with'])} {second}"
    order = r.random()
    comma = "," if r.random() < 0.2 else ""
    if before and order < 0.15:
        text = f"{before} with {thing}{comma} {place}{second}"
    elif place and order < 0.25:
        text = f"{place}{comma} {thing}{second} {after}"
    elif order < 0.4:
        text = f"{thing} {after}{comma} {place}{second}"
    else:
        text = f"{thing}{comma} {place}{second} {after}"
    text = " ".join((r.choice(PREFIXES) + text).split()).rstrip(",")
    return _finish(r, text)


def caption_clip(r, s, i, full=False):
    """A caption of clip `i`; `full` leaves out neither colour, shape nor motion."""
    colour, shape, motion = COLOUR_NAMES[s["colour"][i]], SHAPES[s["shape"][i]], MOTIONS[s["motion"][i]]
    size = SIZES[s["size"][i]] if motion not in ("grow", "shrink") else "medium"
    thing = _noun_phrase(r, colour, shape, size, say_colour=1 if full else 0.93)
    while full and not any(n in thing for n in NOUNS[shape]):
        thing = _noun_phrase(r, colour, shape, size, say_colour=1)
    verbs = [v for v in VERBS[motion] if ("roll" in v[0]) == bool(s["rolls"][i])]
    says, doing = r.choice(verbs) if full or r.random() < 0.96 else ("", "")
    place = PLACES[s["place"][i]]
    silent = (
        place == "centre"
        or motion == "bounce"
        or (motion in ("left", "right", "up", "down") and r.random() < 0.5)
    )
    # Not "moves left right" nor "rises to the right", which say two things.
    clear = [w for w in PLACE_WORDS[place] if w.split()[0] in ("on", "at", "in", "near")]
    place = "" if silent or r.random() < 0.45 else r.choice(clear)
    after = (
        _ground_phrase(r, COLOUR_NAMES[s["back"][i]], TEXTURES[s["texture"][i]])[0]
        if r.random() < 0.65
        else ""
    )
    order = r.random()
    if order < 0.5:
        text = f"{thing} {says} {place} {after}"
    elif order < 0.75:
        text = f"{thing} {place} {says} {after}"
    else:
        text = f"{thing} {doing} {after} {place}"
    prefix = r.choice(
        ["", "", "", "", "", "a video of ", "a clip of ", "an animation of ", "a movie of ", "show me "]
    )
    return _finish(r, " ".join((prefix + text).split()))


def held_back_scenes(count=200):
    """The fixed test set: `count` scenes of held-back combinations with captions that name them.
    [(caption, {"colour", "shape", "place"})] and the scenes."""
    combos = [(c, s, p) for c in range(12) for s in range(8) for p in range(9) if HELD_SCENES[c, s, p]]
    combos.sort(key=lambda k: hashlib.sha256(repr(k).encode()).digest())
    if len(combos) < count:
        raise ValueError(f"only {len(combos)} combinations are held back")
    scenes = sample_scenes(np.random.default_rng(200), count, allow_held=True)
    colour, shape, place = np.array(combos[:count]).T
    scenes |= {"colour": colour, "shape": shape, "place": place, "second": np.zeros(count, bool)}
    scenes["back"] = np.where(scenes["back"] == colour, (colour + 1) % 12, scenes["back"])
    x, y = _place_xy(place, np.maximum(0.2, scenes["radius"] + 0.03))
    scenes |= {"x": x, "y": y} | _looks(np.random.default_rng(201), colour, scenes["back"], colour)
    r = random.Random(202)
    out = []
    for i in range(count):
        text = caption_scene(r, scenes, i, full=True)
        out.append(
            (text, {"colour": COLOUR_NAMES[colour[i]], "shape": SHAPES[shape[i]], "place": PLACES[place[i]]})
        )
    return out, scenes


def held_back_clips(count=90):
    """Clips of held-back (colour, shape, motion) combinations: [(caption, {"colour", "shape", "motion"})],
    clips."""
    clips = sample_clips(np.random.default_rng(300), 40000, allow_held=True)
    held = np.flatnonzero(HELD_CLIPS[clips["colour"], clips["shape"], clips["motion"]])
    rows, seen = [], set()
    for i in held:  # as many of each motion
        key = (clips["colour"][i], clips["shape"][i], clips["motion"][i])
        if key not in seen and sum(k[2] == key[2] for k in seen) < count // len(MOTIONS):
            seen.add(key)
            rows.append(i)
    clips = {k: v[rows] for k, v in clips.items()}
    r = random.Random(301)
    return [
        (
            caption_clip(r, clips, i, full=True),
            {
                "colour": COLOUR_NAMES[clips["colour"][i]],
                "shape": SHAPES[clips["shape"][i]],
                "motion": MOTIONS[clips["motion"][i]],
            },
        )
        for i in range(len(rows))
    ], clips


def _captioned_chunk(job):
    kind, seed, count = job
    rng, r = np.random.default_rng(seed), random.Random(repr(seed))
    if kind == "scenes":
        found = sample_scenes(rng, count)
        return found, [caption_scene(r, found, i) for i in range(count)]
    found = sample_clips(rng, count)
    return found, [caption_clip(r, found, i) for i in range(count)]


def captioned(kind, seed, count, workers=1, chunk=4000):
    """`count` training scenes or clips (dict of arrays) and their captions; the same whatever `workers`
    is."""
    jobs = [(kind, [seed, k], min(chunk, count - k)) for k in range(0, count, chunk)]
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            parts = list(pool.map(_captioned_chunk, jobs))
    else:
        parts = [_captioned_chunk(job) for job in jobs]
    merged = {k: np.concatenate([p[0][k] for p in parts]) for k in parts[0][0]}
    return merged, [text for p in parts for text in p[1]]


def take(scene, rows):
    return {k: v[rows] for k, v in scene.items()}
