"""Random flat patterns and random silhouettes: what composites are filled with and cut out by.

Pictures are H x W x 3 float32 in 0..255; silhouettes are H x W float32 coverage in 0..1.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Random = np.random.Generator


def resize(
    picture: np.ndarray, height: int, width: int, how: Image.Resampling = Image.Resampling.BILINEAR
) -> np.ndarray:
    """uint8 in, uint8 out."""
    return np.asarray(Image.fromarray(picture).resize((width, height), how))


def random_colour(random: Random) -> np.ndarray:
    """sRGB, often greyish or brownish, as rooms are."""
    grey = random.uniform(10, 245)
    tint = random.normal(0, random.choice([6.0, 25.0, 70.0]), 3)
    return np.clip(grey + tint, 0, 255).astype(np.float32)


def smooth_noise(random: Random, height: int, width: int, cells: float) -> np.ndarray:
    """Value noise in 0..1 with about `cells` cells across."""
    ny, nx = max(2, round(cells * height / max(height, width))), max(2, round(cells * width / max(height, width)))
    grid = random.integers(0, 256, (ny, nx), np.uint8)
    return resize(grid, height, width, Image.Resampling.BICUBIC).astype(np.float32) / 255


def background_crop(random: Random, backgrounds: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """A piece of an environment, at about its own resolution, so that it is as sharp as what lies on it."""
    picture = backgrounds[random.integers(len(backgrounds))]
    rows, columns = picture.shape[:2]
    tall = int(rows * random.uniform(0.3, 0.75))
    wide = min(columns, int(tall * width / height))
    y, x = int(random.uniform(0.15, 0.95) * (rows - tall)), int(random.integers(0, columns - wide + 1))
    return resize(picture[y : y + tall, x : x + wide], height, width).astype(np.float32)


def texture(random: Random, backgrounds: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """A flat pattern: plain, noise, stripes, checks, dots or a piece of a photograph."""
    kind = random.random()
    one, two = random_colour(random), random_colour(random)
    if random.random() < 0.4:
        two = np.clip(one + random.normal(0, 30, 3), 0, 255).astype(np.float32)
    if kind < 0.3:
        picture = background_crop(random, backgrounds, height, width)
        return picture if random.random() < 0.7 else picture * (one / 160)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    turn, period = random.uniform(0, np.pi), float(np.exp(random.uniform(np.log(5), np.log(80))))
    u = (np.cos(turn) * x + np.sin(turn) * y) / period
    v = (-np.sin(turn) * x + np.cos(turn) * y) / period
    if kind < 0.5:
        mix = np.full((height, width), 0.5, np.float32)
    elif kind < 0.7:
        mix = smooth_noise(random, height, width, random.uniform(3, 30))
        mix = 0.6 * mix + 0.4 * smooth_noise(random, height, width, random.uniform(30, 90))
        if random.random() < 0.4:
            mix = np.clip((mix - 0.5) * 12 + 0.5, 0, 1)
    elif kind < 0.82:
        wobble = smooth_noise(random, height, width, 4) * random.uniform(0, 2)
        mix = np.clip(np.sin(2 * np.pi * (u + wobble)) * random.uniform(0.6, 6) + 0.5, 0, 1)
    elif kind < 0.92:
        mix = ((np.floor(u) + np.floor(v)) % 2).astype(np.float32)
    else:
        mix = ((u % 1 - 0.5) ** 2 + (v % 1 - 0.5) ** 2 < random.uniform(0.03, 0.16)).astype(np.float32)
    grain = 1 + random.uniform(0, 0.25) * (smooth_noise(random, height, width, 100) - 0.5)
    return (one * mix[..., None] + two * (1 - mix[..., None])) * grain[..., None]


def _blob(random: Random, count: int, rough: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    waves = sum(random.normal(0, rough / k) * np.cos(k * angle + random.uniform(0, 6.3)) for k in range(2, 7))
    return np.stack([np.cos(angle), np.sin(angle)], -1) * (1 + waves)[:, None] * [1, random.uniform(0.4, 1)]


def silhouette(random: Random, side: int) -> np.ndarray:
    """Coverage of a random outline: blob, polygon, star, ring, bent stroke, frame or comb."""
    large = max(16, 2 * side)
    image = Image.new("L", (large, large), 0)
    draw, middle = ImageDraw.Draw(image), large / 2
    kind, turn = random.random(), random.uniform(0, 2 * np.pi)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])

    def place(outline: np.ndarray, scale: float = 0.46) -> list[tuple[float, float]]:
        fitted = outline / max(1e-3, np.abs(outline).max()) * scale * large
        return [tuple(p) for p in fitted @ spin.T * 0.98 / (1 if kind < 0.3 else 1.2) + middle]

    if kind < 0.3:
        draw.polygon(place(_blob(random, 60, random.uniform(0.02, 0.25)), 0.45), fill=255)
    elif kind < 0.5:
        count = int(random.integers(3, 9))
        angle = (
            np.sort(random.uniform(0, 2 * np.pi, count)) if random.random() < 0.5 else np.arange(count) * 6.283 / count
        )
        draw.polygon(place(np.stack([np.cos(angle), np.sin(angle)], -1) * [1, random.uniform(0.3, 1)]), fill=255)
    elif kind < 0.58:
        count = int(random.integers(4, 10))
        angle = np.arange(2 * count) * np.pi / count
        reach = np.where(np.arange(2 * count) % 2, random.uniform(0.3, 0.7), 1.0)
        draw.polygon(place(np.stack([np.cos(angle), np.sin(angle)], -1) * reach[:, None]), fill=255)
    elif kind < 0.76:
        outer = _blob(random, 60, random.uniform(0, 0.12))
        draw.polygon(place(outer), fill=255)
        draw.polygon(place(outer, 0.46 * random.uniform(0.45, 0.9)), fill=0)
    elif kind < 0.9:
        knots = np.cumsum(random.normal(0, 1, (int(random.integers(3, 7)), 2)), 0)
        t = np.linspace(0, len(knots) - 1, 50)
        path = np.stack([np.interp(t, range(len(knots)), knots[:, k]) for k in (0, 1)], -1)
        path = np.stack([np.convolve(np.pad(path[:, k], 4, "edge"), np.ones(9) / 9, "valid") for k in (0, 1)], -1)
        draw.line(
            place(path - path.mean(0), 0.42), fill=255, width=int(large * random.uniform(0.03, 0.16)), joint="curve"
        )
    else:
        bar, count = random.uniform(0.03, 0.09), int(random.integers(2, 6))
        for k in range(count):
            x = -1 + 2 * k / max(1, count - 1)
            draw.polygon(place(np.array([[x - bar, -1], [x + bar, -1], [x + bar, 1], [x - bar, 1]]) + 0), fill=255)
        draw.polygon(
            place(np.array([[-1 - bar, -1 - bar], [1 + bar, -1 - bar], [1 + bar, -1 + bar], [-1 - bar, -1 + bar]])),
            fill=255,
        )
    return np.asarray(image.resize((side, side), Image.Resampling.BOX), np.float32) / 255


def relief(coverage: np.ndarray, random: Random) -> np.ndarray:
    """Shading that makes a silhouette look round: light against the slope of its blurred coverage; mean about 1."""
    radius = max(1.0, coverage.shape[0] * random.uniform(0.03, 0.16))
    soft = Image.fromarray(np.rint(coverage * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))
    gy, gx = np.gradient(np.asarray(soft, np.float32) / 255 * radius)
    turn = random.uniform(0, 2 * np.pi)
    strength = random.uniform(0, 1.1)
    return np.clip(1 + strength * (np.cos(turn) * gx + np.sin(turn) * gy), 0.25, 1.9)
