"""Procedural motion for training frame interpolation: pictures of images.py cut to shapes, moving over one
another.

Scenes(...).batch(step) returns two frames, a time between them, the frame of that time and the true motion.
All of a step's random numbers come from [seed, step], so a run that goes on from a checkpoint sees what it
would have seen.

Units: pixels of the frame, with (0, 0) in its middle; time 0 is the first frame and 1 the second; motion is
pixels from the frame at time t to the one at 0 or 1.
"""

import concurrent.futures
import multiprocessing

import numpy as np
import torch
import torch.nn.functional as F

import images

# None of train_sr.py's, and not those of eval_interpolation.py.
PICTURE_SEED, SHAPE_SEED, SCENE_SEED = 11, 12, 13
FIELD = 96  # side of a shape's distance field
REACH = 1.25  # the field covers -REACH..REACH, in units of the shape's radius
LAYERS = 5  # background, three moving objects, and one that moves with neither scene nor camera (a logo)
WAVES = 2  # sine waves of each layer's deformation


def make_field(rng):
    """Signed distance [FIELD, FIELD] of a random shape, in units of its radius, negative inside."""
    axis = ((np.arange(FIELD) + 0.5) / FIELD * 2 - 1) * REACH
    y, x = np.meshgrid(axis, axis, indexing="ij")
    kind = rng.integers(0, 8)
    angle = np.arctan2(y, x)
    if kind == 0:
        q = rng.uniform(0.3, 1)
        d = (np.hypot(x, y / q) - 1) * q
    elif kind == 1:
        w, h, corner = rng.uniform(0.3, 0.95), rng.uniform(0.08, 0.95), rng.uniform(0, 0.08)
        dx, dy = np.abs(x) - w + corner, np.abs(y) - h + corner
        d = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0) - corner
    elif kind == 2:  # a round shape with bumps
        edge = 0.75 + sum(
            rng.uniform(-0.16, 0.16) / k * np.cos(k * angle + rng.uniform(0, 6.3)) for k in range(1, 7)
        )
        d = np.hypot(x, y) - edge
    elif kind == 3:
        d = np.full(x.shape, -9.0)
        for a in rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))):
            d = np.maximum(d, x * np.cos(a) + y * np.sin(a) - rng.uniform(0.35, 0.8))
    elif kind == 4:  # limbs, letters and tools: thick strokes from a middle
        d = np.full(x.shape, 9.0)
        points = rng.uniform(-0.9, 0.9, (int(rng.integers(3, 8)), 2))
        for a, b in zip(points, points[1:]):
            d = np.minimum(d, images.segment_distance(y, x, a, b) - rng.uniform(0.04, 0.2))
    elif kind == 5:  # clouds and foliage
        d = (0.5 - images.fbm(rng, FIELD, int(rng.integers(3, 6)))) * rng.uniform(1, 4)
        d = np.maximum(d, np.hypot(x, y) - 1)
    elif kind == 6:  # fences and blinds
        period, share = rng.uniform(0.15, 0.6), rng.uniform(0.3, 0.7)
        d = np.abs((x / period) % 1 - 0.5) * period - share * period / 2
        d = np.maximum(d, np.maximum(np.abs(x), np.abs(y)) - 1)
    else:
        d = np.abs(np.hypot(x, y) - 0.7) - rng.uniform(0.05, 0.25)
    return np.maximum(d, np.maximum(np.abs(x), np.abs(y)) - REACH * 0.97).astype(np.float32)


def make_picture(index, seed, side):
    return images.make_picture(np.random.default_rng([PICTURE_SEED, seed, index]), side)


class Pictures:
    """A growing pool of pictures on the device, made by other processes while training runs."""

    def __init__(self, seed, count, side, first, workers, device):
        self.pool = torch.zeros(count, 3, side, side, dtype=torch.uint8, device=device)
        self.ready = 0
        self.first = min(first, count)
        # A forked copy of a process that already uses threads or a GPU can hang.
        self.executor = concurrent.futures.ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
        self.waiting = [self.executor.submit(make_picture, i, seed, side) for i in range(count)][::-1]

    def take(self, wanted):
        """Moves finished pictures into the pool, and waits until it holds `wanted`; returns how many it
        holds."""
        while self.waiting and (self.ready < wanted or self.waiting[-1].done()):
            self.pool[self.ready] = (
                torch.from_numpy(self.waiting.pop().result()).permute(2, 0, 1).to(self.pool.device)
            )
            self.ready += 1
        return self.ready

    def close(self):
        self.executor.shutdown(wait=False, cancel_futures=True)


def homographies(shift, angle, zoom, shear, tilt):
    """Matrices [..., 3, 3] of layer to frame coordinates; shift and tilt are [..., 2], the others [...]."""
    c, s = np.cos(angle) * zoom, np.sin(angle) * zoom
    m = np.zeros(angle.shape + (3, 3), np.float32)
    m[..., 0, 0], m[..., 0, 1], m[..., 0, 2] = c, -s + shear * zoom, shift[..., 0]
    m[..., 1, 0], m[..., 1, 1], m[..., 1, 2] = s, c, shift[..., 1]
    m[..., 2, 0], m[..., 2, 1], m[..., 2, 2] = tilt[..., 0], tilt[..., 1], 1
    return m


def random_direction(rng, shape):
    a = rng.uniform(0, 2 * np.pi, shape)
    return np.stack([np.cos(a), np.sin(a)], -1)


class Plan:
    """Random numbers of one batch. `matrices(time)` has the pose of each layer in each scene at `time`."""

    def __init__(self, rng, batch, side, reach):
        shape = (batch, LAYERS)
        self.side = side
        # Half of the motions are slower than a seventh of the reach: most of most films is, and must be
        # exact.
        speed = reach * rng.random(shape) ** rng.choice([2, 4], (batch, 1))
        self.velocity = random_direction(rng, shape) * speed[..., None]
        self.velocity[:, 0] *= (
            rng.random((batch, 1)) < 0.5
        )  # a background moves by itself or with the camera only
        self.acceleration = (
            random_direction(rng, shape) * (speed * 0.15 * (rng.random(shape) < 0.3))[..., None]
        )
        self.centre = rng.uniform(-0.5, 0.5, shape + (2,)) * side
        self.angle = rng.uniform(0, 2 * np.pi, shape)
        self.spin = rng.normal(0, 0.16, shape) * (rng.random(shape) < 0.4)
        self.zoom = np.exp(rng.uniform(-0.5, 0.5, shape))
        self.growth = rng.normal(0, 0.07, shape) * (rng.random(shape) < 0.4)
        self.shear = rng.normal(0, 0.15, shape)
        self.shearing = rng.normal(0, 0.06, shape) * (rng.random(shape) < 0.2)
        self.tilt = rng.normal(0, 0.2, shape + (2,)) / side
        self.tilting = rng.normal(0, 0.05, shape + (2,)) / side * (rng.random(shape) < 0.2)[..., None]
        self.tilt[:, 1:], self.tilting[:, 1:] = 0, 0

        moving = rng.random((batch, 1)) < 0.6
        self.camera_speed = (
            random_direction(rng, (batch, 1))
            * (reach * 0.8 * rng.random((batch, 1)) ** rng.choice([2, 4]) * moving)[..., None]
        )
        self.camera_spin = rng.normal(0, 0.05, (batch, 1)) * moving * (rng.random((batch, 1)) < 0.5)
        self.camera_growth = rng.normal(0, 0.05, (batch, 1)) * moving * (rng.random((batch, 1)) < 0.5)
        self.parallax = np.where(rng.random((batch, 1)) < 0.5, 1, rng.uniform(0.6, 1.6, shape))

        still = rng.random((batch, LAYERS)) < 0.1
        still[rng.random(batch) < 0.1] = True  # with a camera that stands still, now and then nothing moves
        still[:, LAYERS - 1] = True
        for moved in (self.velocity, self.acceleration):
            moved[still] = 0
        for moved in (self.spin, self.growth, self.shearing, self.tilting):
            moved[still] = 0
        self.parallax[:, LAYERS - 1] = 0

        self.radius = np.exp(rng.uniform(np.log(0.05), np.log(0.45), shape)) * side
        self.radius[:, LAYERS - 1] *= 0.5
        self.softness = np.where(
            rng.random(shape) < 0.8, rng.uniform(0.8, 1.5, shape), rng.uniform(1.5, 6, shape)
        )
        self.shown = rng.random(shape) < 0.75
        self.shown[:, 0], self.shown[:, LAYERS - 1] = True, rng.random(batch) < 0.2

        self.texels = np.exp(rng.uniform(np.log(0.55), np.log(1.15), shape))  # texture pixels per frame pixel
        self.origin = rng.uniform(-0.5, 0.5, shape + (2,))
        # Contrast, brightness and saturation; films are greyer than the pictures of images.py.
        self.recolour = np.stack(
            [rng.uniform(0.5, 1.1, shape), rng.uniform(-0.15, 0.15, shape), rng.uniform(0.1, 1, shape)], -1
        )
        self.detail = rng.uniform(0.1, 0.6, shape) * (
            rng.random(shape) < 0.4
        )  # how much of a second picture is seen

        wavelength = rng.uniform(0.2, 1.0, shape + (WAVES,)) * side
        self.wave = random_direction(rng, shape + (WAVES,)) * (2 * np.pi / wavelength)[..., None]
        self.phase = rng.uniform(0, 2 * np.pi, shape + (WAVES, 2))
        bent = (rng.random(shape) < 0.35) & ~still
        self.bend = rng.normal(0, 1, shape + (WAVES, 2)) * (wavelength * 0.02 * bent[..., None])[..., None]

        self.light = rng.normal(0, 0.06, (batch, 2)) * (
            rng.random((batch, 1)) < 0.25
        )  # gain and offset per frame
        self.noise = rng.uniform(0.002, 0.02, batch) * (rng.random(batch) < 0.3)
        # What a codec repeats from frame to frame, dirt on a lens, and its losses in the wanted frame as
        # well: where nothing moves, the frame between two equal ones must equal them.
        self.stain = rng.uniform(0.002, 0.03, batch) * (rng.random(batch) < 0.3)
        self.alike = rng.random(batch) < 0.7
        self.squeeze = np.where(
            rng.random(batch) < 0.4, np.exp(rng.uniform(np.log(0.01), np.log(0.12), batch)), 0
        )
        self.time = np.where(rng.random(batch) < 0.6, 0.5, rng.uniform(0.08, 0.92, batch))
        # A long exposure smears what moves; drawn for a whole batch, since it multiplies the cost of drawing.
        self.shutter = rng.uniform(0.2, 0.7) if rng.random() < 0.15 else 0.0

    def matrices(self, time):
        """[batch, LAYERS, 3, 3] at `time` ([batch])."""
        d = (time - 0.5)[:, None]
        shift = self.centre + self.velocity * d[..., None] + self.acceleration * (d * d - 0.25)[..., None]
        own = homographies(
            shift,
            self.angle + self.spin * d,
            self.zoom * np.exp(self.growth * d),
            self.shear + self.shearing * d,
            self.tilt + self.tilting * d[..., None],
        )
        zero = np.zeros_like(self.angle)
        camera = homographies(
            self.camera_speed * self.parallax[..., None] * d[..., None],
            self.camera_spin * d * (self.parallax != 0),
            np.exp(self.camera_growth * d * self.parallax),
            zero,
            np.zeros_like(self.centre),
        )
        return camera @ own


def through(matrix, x, y):
    """Points (x, y) [batch, h, w] through [batch, 3, 3]."""
    m = [[matrix[:, i, j, None, None] for j in range(3)] for i in range(3)]
    w = m[2][0] * x + m[2][1] * y + m[2][2]
    w = torch.where(w.abs() < 0.05, torch.full_like(w, 0.05), w)
    return (m[0][0] * x + m[0][1] * y + m[0][2]) / w, (m[1][0] * x + m[1][1] * y + m[1][2]) / w


class Scenes:
    """Draws batches of scenes of `side` pixels; `reach`: fastest motion of one layer, pixels between the two
    frames."""

    def __init__(self, pictures, seed, batch, side, reach, device):
        self.pictures, self.seed, self.batch_size, self.side, self.reach = pictures, seed, batch, side, reach
        self.device = device
        self.fields = torch.from_numpy(
            np.stack([make_field(np.random.default_rng([SHAPE_SEED, seed, i])) for i in range(400)])
        )[:, None].to(device)
        axis = torch.arange(side, device=device, dtype=torch.float32) - (side - 1) / 2
        self.y, self.x = torch.meshgrid(axis, axis, indexing="ij")
        k = np.arange(8)
        cosines = np.sqrt(2 / 8) * np.cos(np.pi * (2 * k[None] + 1) * k[:, None] / 16)
        cosines[0] /= np.sqrt(2)
        self.cosines = torch.from_numpy(cosines.astype(np.float32)).to(device)
        self.coarseness = torch.from_numpy((1 + k[:, None] + k[None]).astype(np.float32)).to(device)

    def to(self, values):
        return torch.from_numpy(np.array(values, np.float32)).to(self.device, non_blocking=True)

    def index(self, numbers):
        return torch.from_numpy(np.array(numbers, np.int64)).to(self.device, non_blocking=True)

    def bend(self, layer, x, y, amount):
        """How the layer's deformation moves points; `amount` [batch] is its strength."""
        dx, dy = torch.zeros_like(x), torch.zeros_like(y)
        for k in range(WAVES):
            p = layer["wave"][:, k, 0, None, None] * x + layer["wave"][:, k, 1, None, None] * y
            a = layer["bend"][:, k] * amount[:, None]
            dx = dx + a[:, 0, None, None] * torch.sin(p + layer["phase"][:, k, 0, None, None])
            dy = dy + a[:, 1, None, None] * torch.sin(p + layer["phase"][:, k, 1, None, None])
        return dx, dy

    def draw(self, layers, time, poses, ends=None):
        """Picture [batch, 3, side, side] at `time` ([batch]); with `ends`, poses at times 0 and 1, also the
        motion."""
        picture, flow = None, None
        for number, layer in enumerate(layers):
            rows, number_of_rows = layer["rows"], len(layer["rows"])
            if number_of_rows == 0:
                continue
            pose = poses[rows, number]
            x, y = through(self.to(np.linalg.inv(pose)), self.x[None], self.y[None])
            dx, dy = self.bend(layer, x, y, self.to(time[rows] - 0.5))
            px, py = x + dx, y + dy
            side = layer["texture"].shape[-1]
            scale = (layer["texels"] * 2 / side)[:, None, None]
            grid = torch.stack(
                [
                    px * scale + layer["origin"][:, 0, None, None],
                    py * scale + layer["origin"][:, 1, None, None],
                ],
                -1,
            )
            # Cubic: with linear interpolation the sharpness of a frame would tell where between two pixels it
            # is.
            colour = F.grid_sample(
                layer["texture"], grid, "bicubic", "reflection", align_corners=False
            ).clamp(0, 1)
            motion = None
            if ends is not None:
                motion = []
                for end, strength in zip(ends, (-0.5, 0.5)):
                    # The point whose bent place is this one, by two steps of iteration: bends are gentle.
                    strength = torch.full((number_of_rows,), strength, device=self.device)
                    ex, ey = self.bend(layer, px, py, strength)
                    ex, ey = self.bend(layer, px - ex, py - ey, strength)
                    qx, qy = through(self.to(end[rows, number]), px - ex, py - ey)
                    motion += [qx - self.x, qy - self.y]
                motion = torch.stack(motion, 1)
            if number == 0:
                picture, flow = colour, motion
                continue
            radius = layer["radius"][:, None, None]
            field = F.grid_sample(
                layer["field"],
                torch.stack([px / radius, py / radius], -1) / REACH,
                "bilinear",
                "border",
                align_corners=False,
            )
            sharp = (layer["radius"] / layer["softness"])[:, None, None, None]
            alpha = (0.5 - field * sharp).clamp(0, 1)
            at = layer["at"]
            picture[at] = torch.lerp(picture[at], colour, alpha)
            if motion is not None:
                flow[at] = torch.where(alpha > 0.5, motion, flow[at])
        return picture, flow

    def expose(self, plan, layers, time):
        """A frame whose shutter is open for plan.shutter frames around `time`."""
        if plan.shutter == 0:
            return self.draw(layers, time, plan.matrices(time))[0]
        offsets = (np.arange(5) / 4 - 0.5) * plan.shutter
        return sum(self.draw(layers, time + o, plan.matrices(time + o))[0] for o in offsets) / len(offsets)

    def spoil(self, plan, picture, noise, stain):
        """Sensor noise, and the loss of a transform codec: 8 x 8 blocks with their finer waves rounded more
        coarsely."""
        picture = picture + stain * self.to(plan.stain)[:, None, None, None]
        if noise is not None:
            picture = picture + noise * self.to(plan.noise)[:, None, None, None]
        b, c, h, w = picture.shape
        blocks = picture.reshape(b, c, h // 8, 8, w // 8, 8).permute(0, 1, 2, 4, 3, 5)
        step = (self.to(plan.squeeze)[:, None, None] * self.coarseness * 0.5)[:, None, None, None]
        waves = self.cosines @ blocks @ self.cosines.T
        rounded = torch.where(step > 0, torch.round(waves / step.clamp(min=1e-6)) * step, waves)
        blocks = self.cosines.T @ rounded @ self.cosines
        picture = blocks.permute(0, 1, 2, 4, 3, 5).reshape(b, c, h, w)
        return torch.round(picture.clamp(0, 1) * 255) / 255

    @torch.no_grad()
    def batch(self, step, available):
        """(frame 0, frame 1, time [batch, 1, 1, 1], frame at time, motion [batch, 4, side, side])."""
        rng = np.random.default_rng([SCENE_SEED, self.seed, step])
        generator = torch.Generator(device=self.device)
        generator.manual_seed(int(rng.integers(1 << 62)))
        plan = Plan(rng, self.batch_size, self.side, self.reach)
        layers = []
        for n in range(LAYERS):
            rows = np.flatnonzero(plan.shown[:, n])
            texture, second, field = (
                rng.integers(count, size=self.batch_size)[rows]
                for count in (available, available, len(self.fields))
            )
            texture, second = (self.pictures.pool[self.index(i)].float() / 255 for i in (texture, second))
            texture = torch.lerp(texture, second.flip(2), self.to(plan.detail[rows, n])[:, None, None, None])
            gain, offset, colourful = (
                self.to(plan.recolour[rows, n, i])[:, None, None, None] for i in range(3)
            )
            texture = torch.lerp(texture.mean(1, keepdim=True), texture, colourful)
            texture = ((texture - 0.5) * gain + 0.5 + offset).clamp(0, 1)
            layers.append(
                {
                    "rows": rows,
                    "at": self.index(rows),
                    "texture": texture,
                    "field": self.fields[self.index(field)],
                }
                | {
                    name: self.to(getattr(plan, name)[rows, n])
                    for name in ("texels", "origin", "radius", "softness", "wave", "phase", "bend")
                }
            )
        zero, one = np.zeros(self.batch_size), np.ones(self.batch_size)
        ends = (plan.matrices(zero), plan.matrices(one))
        frames = [self.expose(plan, layers, t) for t in (zero, one)]
        middle, flow = self.draw(layers, plan.time, plan.matrices(plan.time), ends)
        if plan.shutter:
            middle = self.expose(plan, layers, plan.time)
        lit = []
        for frame, time in zip((*frames, middle), (zero, one, plan.time)):
            light = self.to(plan.light * (time - 0.5)[:, None])
            lit.append(
                (frame * (1 + light[:, 0, None, None, None]) + light[:, 1, None, None, None]).clamp(0, 1)
            )
        stain, noise0, noise1 = (
            torch.randn(lit[0].shape, generator=generator, device=self.device) for _ in range(3)
        )
        first, second = self.spoil(plan, lit[0], noise0, stain), self.spoil(plan, lit[1], noise1, stain)
        wanted = torch.where(
            self.to(plan.alike)[:, None, None, None] > 0, self.spoil(plan, lit[2], None, stain), lit[2]
        )
        return first, second, self.to(plan.time)[:, None, None, None], wanted, flow
