"""Procedurally made pictures for training: no photograph, font or data set goes into the shipped weights.

make_picture(rng, side) returns a uint8 array [side, side, 3]. Shapes are drawn on a grid of twice the resolution with
analytic edges and averaged down, so the edges are antialiased as a camera's or a renderer's are.
"""
import numpy as np

SUPERSAMPLE = 2


def grid(n):
    """Pixel-centre coordinates (y, x) of an n x n picture, in units of its side."""
    axis = (np.arange(n, dtype=np.float32) + 0.5) / n
    return np.meshgrid(axis, axis, indexing="ij")


def colour(rng):
    """A random colour; half of the time a muted one, as most of a natural picture is."""
    c = rng.random(3).astype(np.float32)
    if rng.random() < 0.5:
        c = c.mean() + (c - c.mean()) * rng.random()
    return c


def smooth_noise(rng, n, cells):
    """Value noise with `cells` cells per side and smoothstep interpolation, in 0..1."""
    lattice = rng.random((cells + 2, cells + 2)).astype(np.float32)
    p = (np.arange(n, dtype=np.float32) + 0.5) / n * cells
    i = p.astype(np.int32)
    f = p - i
    f = f * f * (3 - 2 * f)
    rows = lattice[i] * (1 - f)[:, None] + lattice[i + 1] * f[:, None]
    return rows[:, i] * (1 - f)[None, :] + rows[:, i + 1] * f[None, :]


def fbm(rng, n, octaves=None):
    """Fractal sum of value noise in about 0..1; the exponent varies from cloudy to grainy."""
    octaves = octaves or int(rng.integers(3, 8))
    gain = rng.uniform(0.4, 0.8)
    cells = int(rng.integers(2, 6))
    out = np.zeros((n, n), np.float32)
    amp, total = 1.0, 0.0
    for _ in range(octaves):
        if cells > n // 2:
            break
        out += amp * smooth_noise(rng, n, cells)
        total += amp
        amp *= gain
        cells *= 2
    if total == 0:  # not even the coarsest noise fits
        return np.full((n, n), 0.5, np.float32)
    return out / total


def blend(image, mask, c):
    image += mask[..., None] * (c - image)


def gradient(rng, n):
    y, x = grid(n)
    a = rng.uniform(0, 2 * np.pi)
    t = (x - 0.5) * np.cos(a) + (y - 0.5) * np.sin(a) + 0.5
    if rng.random() < 0.3:
        t = np.hypot(x - rng.random(), y - rng.random())
    t = np.clip(t, 0, 1)[..., None]
    return (colour(rng) * (1 - t) + colour(rng) * t).astype(np.float32)


def blobs(rng, n):
    image = gradient(rng, n)
    y, x = grid(n)
    for _ in range(int(rng.integers(3, 14))):
        r = rng.uniform(0.01, 0.2)
        d = ((x - rng.random()) ** 2 + (y - rng.random()) ** 2) / (r * r)
        blend(image, np.exp(-d) * rng.uniform(0.3, 1), colour(rng))
    return image


def texture(rng, n):
    kind = rng.integers(0, 4)
    t = fbm(rng, n)
    if kind == 1:  # marble
        y, x = grid(n)
        a = rng.uniform(0, np.pi)
        t = 0.5 + 0.5 * np.sin(2 * np.pi * (rng.uniform(2, 16) * (x * np.cos(a) + y * np.sin(a)) + 4 * t))
    elif kind == 2:  # islands with hard shores
        t = np.clip((t - 0.5) * n * rng.uniform(0.05, 0.5) + 0.5, 0, 1)
    elif kind == 3:  # ridges
        t = 1 - np.abs(2 * t - 1) * 2
    t = np.clip(t, 0, 1)[..., None]
    image = colour(rng) * (1 - t) + colour(rng) * t
    if rng.random() < 0.5:
        image = image + (fbm(rng, n, 7)[..., None] - 0.5) * colour(rng) * rng.uniform(0.1, 0.6)
    return image.astype(np.float32)


def grating(rng, n):
    y, x = grid(n)
    a = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])
    period = np.exp(rng.uniform(np.log(2.5), np.log(40))) * SUPERSAMPLE / n
    u = x * np.cos(a) + y * np.sin(a)
    v = -x * np.sin(a) + y * np.cos(a)
    kind = rng.integers(0, 4)
    if kind == 1:  # rings, wider spaced in the middle
        u = (x - rng.random()) ** 2 + (y - rng.random()) ** 2
    wave = np.sin(2 * np.pi * u / period)
    if kind == 2:  # checkers
        wave = wave * np.sin(2 * np.pi * v / period)
    if kind == 3 or rng.random() < 0.5:  # bars with hard edges, about a grid cell wide transition
        wave = np.clip(wave * period * n / 4, -1, 1)
    t = (0.5 + 0.5 * wave)[..., None]
    return (colour(rng) * (1 - t) + colour(rng) * t).astype(np.float32)


def fractal(rng, n):
    """A Julia set with smooth colours."""
    y, x = grid(n)
    zoom = np.exp(rng.uniform(np.log(0.1), np.log(3)))
    z = ((x - 0.5) + 1j * (y - 0.5)).astype(np.complex64) * zoom + rng.uniform(-0.5, 0.5) + 1j * rng.uniform(-0.5, 0.5)
    a = rng.uniform(0, 2 * np.pi)
    c = np.complex64((0.5 * np.exp(1j * a) - 0.25 * np.exp(2j * a)) * rng.uniform(1.0, 1.08))
    count = np.zeros((n, n), np.float32)
    for _ in range(60):
        inside = np.abs(z) < 8
        z = np.where(inside, z * z + c, z)
        count += inside
    t = count / 60 + 0.02 * np.minimum(np.abs(z), 64) / 8
    phase, speed = rng.random(3), rng.uniform(0.5, 4)
    return (0.5 + 0.5 * np.sin(2 * np.pi * (t[..., None] * speed + phase))).astype(np.float32)


def patch_bounds(n, cy, cx, r):
    return max(0, int(cy - r)), min(n, int(cy + r) + 1), max(0, int(cx - r)), min(n, int(cx + r) + 1)


def leaf_shape(rng, dy, dx, r):
    """Signed distance (pixels, negative inside) of a disc, box, ellipse or triangle of radius r."""
    kind = rng.integers(0, 4)
    a = rng.uniform(0, 2 * np.pi)
    u, v = dx * np.cos(a) + dy * np.sin(a), dy * np.cos(a) - dx * np.sin(a)
    if kind == 0:
        return np.hypot(dx, dy) - r
    if kind == 1:
        return np.maximum(np.abs(u) - r * 0.7, np.abs(v) - r * rng.uniform(0.1, 0.7))
    if kind == 2:
        q = rng.uniform(0.3, 1)
        return (np.hypot(u, v / q) - r) * q
    half = [np.cos(t) * u + np.sin(t) * v for t in (0.0, 2 * np.pi / 3, 4 * np.pi / 3)]
    return np.maximum(np.maximum(half[0], half[1]), half[2]) - r / 2


def leaf_fill(rng, h, w, dy, dx, r):
    fill = np.broadcast_to(colour(rng), (h, w, 3)).astype(np.float32)
    kind = rng.random()
    if kind < 0.35:  # shading
        a = rng.uniform(0, 2 * np.pi)
        t = np.clip((dx * np.cos(a) + dy * np.sin(a)) / (2 * r) + 0.5, 0, 1)[..., None]
        fill = fill + t * (colour(rng) - fill) * rng.uniform(0.2, 1)
    elif kind < 0.5:  # stripes
        a, period = rng.uniform(0, np.pi), rng.uniform(4, 24)
        t = 0.5 + 0.5 * np.clip(np.sin(2 * np.pi / period * (dx * np.cos(a) + dy * np.sin(a))) * 2, -1, 1)
        fill = fill + t[..., None] * (colour(rng) - fill) * rng.uniform(0.2, 1)
    elif kind < 0.75 and h > 8 and w > 8:  # roughness
        side = max(h, w)
        t = fbm(rng, side, 6)[:h, :w, None] - 0.5
        fill = fill + t * rng.uniform(0.2, 1.2)
    return fill


def dead_leaves(rng, n):
    """Occluding shapes with radii distributed as r^-3: the edge and scale statistics of natural pictures."""
    image = texture(rng, n) if rng.random() < 0.5 else gradient(rng, n)
    r_min, r_max = rng.uniform(2, 16), rng.uniform(0.15, 0.4) * n
    for _ in range(int(rng.integers(80, 450))):
        u = rng.random()
        r = 1 / np.sqrt(1 / r_min**2 - u * (1 / r_min**2 - 1 / r_max**2))
        cy, cx = rng.uniform(-0.1, 1.1, 2) * n
        y0, y1, x0, x1 = patch_bounds(n, cy, cx, r * 1.05 + 2)
        if y0 >= y1 or x0 >= x1:
            continue
        dy, dx = np.meshgrid(np.arange(y0, y1) - cy, np.arange(x0, x1) - cx, indexing="ij")
        dy, dx = dy.astype(np.float32), dx.astype(np.float32)
        soft = 1.0 if rng.random() < 0.8 else rng.uniform(1, 6)  # some are out of focus
        mask = np.clip(0.5 - leaf_shape(rng, dy, dx, r) / soft, 0, 1)
        if rng.random() < 0.15:
            mask = mask * rng.uniform(0.3, 0.9)
        region = image[y0:y1, x0:x1]
        region += mask[..., None] * (leaf_fill(rng, y1 - y0, x1 - x0, dy, dx, r) - region)
    return image


def segment_distance(py, px, a, b):
    """Distance of points to the segment a-b ((y, x) tuples)."""
    d = np.array([b[0] - a[0], b[1] - a[1]], np.float32)
    t = np.clip(((py - a[0]) * d[0] + (px - a[1]) * d[1]) / max(float(d @ d), 1e-6), 0, 1)
    return np.hypot(py - a[0] - t * d[0], px - a[1] - t * d[1])


def glyphs(rng, n):
    """Lines of made-up letters: strokes and arcs between points of a 3 x 4 lattice."""
    image = gradient(rng, n) if rng.random() < 0.6 else np.broadcast_to(colour(rng), (n, n, 3)).astype(np.float32).copy()
    ink = colour(rng) if rng.random() < 0.5 else np.float32(1) - image.mean((0, 1))
    y = rng.uniform(2, 12)
    while y < n - 8:
        h = np.exp(rng.uniform(np.log(10), np.log(60)))
        w = h * rng.uniform(0.45, 0.8)
        pen = max(0.8, h * rng.uniform(0.04, 0.13))
        slant = rng.choice([0, 0, rng.uniform(0, 0.3)])
        x = rng.uniform(2, 20)
        while x < n - w:
            if rng.random() > 0.15:
                draw_glyph(rng, image, y, x, h, w, pen, slant, ink)
            x += w * 1.25 + pen
        y += h * rng.uniform(1.2, 1.7) + 2 * pen
    return image


def draw_glyph(rng, image, y, x, h, w, pen, slant, ink):
    n = image.shape[0]
    y0, y1, x0, x1 = int(y - pen - 2), int(y + h + pen + 3), int(x - pen - 2), int(x + w * 1.4 + pen + 3)
    y0, x0, y1, x1 = max(0, y0), max(0, x0), min(n, y1), min(n, x1)
    if y0 >= y1 or x0 >= x1:
        return
    py, px = np.meshgrid(np.arange(y0, y1, dtype=np.float32), np.arange(x0, x1, dtype=np.float32), indexing="ij")
    distance = np.full(py.shape, 1e6, np.float32)

    def at(row, col):
        return (y + row * h / 3, x + col * w / 2 + (3 - row) * h / 3 * slant)

    for _ in range(int(rng.integers(2, 5))):
        if rng.random() < 0.65:
            a = at(rng.integers(0, 4), rng.integers(0, 3))
            b = at(rng.integers(0, 4), rng.integers(0, 3))
            distance = np.minimum(distance, segment_distance(py, px, a, b))
        else:
            centre, r = at(rng.uniform(0.8, 2.2), 1), w * rng.uniform(0.3, 0.5)
            ring = np.abs(np.hypot(py - centre[0], px - centre[1]) - r)
            side = rng.uniform(0, 2 * np.pi)
            if rng.random() < 0.5:  # half an arc
                ring = np.where((py - centre[0]) * np.sin(side) + (px - centre[1]) * np.cos(side) > 0, ring, 1e6)
            distance = np.minimum(distance, ring.astype(np.float32))
    blend(image[y0:y1, x0:x1], np.clip(pen - distance + 0.5, 0, 1), ink)


def vectors(rng, n):
    """Lines, frames and polygons, as in drawings, charts and user interfaces."""
    image = gradient(rng, n) if rng.random() < 0.5 else np.broadcast_to(colour(rng), (n, n, 3)).astype(np.float32).copy()
    y, x = np.meshgrid(np.arange(n, dtype=np.float32), np.arange(n, dtype=np.float32), indexing="ij")
    for _ in range(int(rng.integers(6, 24))):
        kind = rng.random()
        if kind < 0.45:
            d = segment_distance(y, x, rng.uniform(0, n, 2), rng.uniform(0, n, 2)) - rng.uniform(0.6, 6)
        elif kind < 0.7:  # box, perhaps only its frame
            c, s = rng.uniform(0, n, 2), rng.uniform(0.02, 0.3, 2) * n
            d = np.maximum(np.abs(y - c[0]) - s[0], np.abs(x - c[1]) - s[1])
            if rng.random() < 0.5:
                d = np.abs(d) - rng.uniform(0.6, 4)
        elif kind < 0.85:  # ring
            d = np.abs(np.hypot(y - rng.uniform(0, n), x - rng.uniform(0, n)) - rng.uniform(0.03, 0.3) * n)
            d = d - rng.uniform(0.6, 5)
        else:  # convex polygon
            c, r = rng.uniform(0, n, 2), rng.uniform(0.03, 0.25) * n
            d = np.full((n, n), -1e6, np.float32)
            for a in rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))):
                d = np.maximum(d, (y - c[0]) * np.sin(a) + (x - c[1]) * np.cos(a) - r)
        blend(image, np.clip(0.5 - d, 0, 1), colour(rng))
    return image


def blur(image, sigma):
    """Gaussian blur with wrapped borders, through the frequency domain."""
    n = image.shape[0]
    f = np.fft.fftfreq(n).astype(np.float32)
    g = np.exp(-2 * (np.pi * sigma * f) ** 2).astype(np.float32)
    spectrum = np.fft.fft2(image, axes=(0, 1)) * (g[:, None, None] * g[None, :, None])
    return np.fft.ifft2(spectrum, axes=(0, 1)).real.astype(np.float32)


KINDS = [
    (dead_leaves, 0.38), (glyphs, 0.14), (vectors, 0.14), (texture, 0.12),
    (grating, 0.08), (fractal, 0.08), (blobs, 0.06),
]


def make_layer(rng, n):
    weights = np.array([w for _, w in KINDS])
    return KINDS[rng.choice(len(KINDS), p=weights / weights.sum())][0](rng, n)


def make_picture(rng, side):
    n = side * SUPERSAMPLE
    image = make_layer(rng, n)
    if rng.random() < 0.25:  # one picture inside another's shape
        other = make_layer(rng, n)
        shore = fbm(rng, n, 3) - 0.5
        mask = np.clip(shore * n * 0.5 + 0.5, 0, 1)[..., None]
        image = image * (1 - mask) + other * mask
    if rng.random() < 0.35:  # lens and focus
        image = blur(image, rng.uniform(0.5, 2.0))
    image = image.reshape(side, SUPERSAMPLE, side, SUPERSAMPLE, 3).mean((1, 3))
    if rng.random() < 0.15:  # sensor noise
        image = image + rng.normal(0, rng.uniform(0.002, 0.02), image.shape)
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
