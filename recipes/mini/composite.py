"""Training pictures with instance labels: pasted composites, and crops of the rendered scenes, under one camera.

`make_sample` gives (image uint8 side x side x 3, labels uint8 side x side): label 0 is background, the others are
objects. Everything comes from the `numpy` generator given.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import textures
from PIL import Image, ImageFilter
from textures import Random


@dataclass
class Bank:
    """The raw material in memory. `rendered` is refreshed while renders still come."""

    cutouts: np.ndarray
    backgrounds: list[np.ndarray]
    rendered_folder: Path | None
    rendered: list[tuple[np.ndarray, np.ndarray]]


def load_bank(ready: Path, rendered_folder: Path | None) -> Bank:
    """`ready` is what assets.py wrote."""
    cutouts = np.load(ready / "cutouts.npy", mmap_mode="r")
    backgrounds = [np.load(path) for path in sorted((ready / "backgrounds").glob("*.npy"))]
    bank = Bank(cutouts, backgrounds, rendered_folder, [])
    refresh_rendered(bank)
    return bank


def refresh_rendered(bank: Bank) -> None:
    """Read the rendered pairs that came since."""
    if bank.rendered_folder is None:
        return
    for path in sorted(bank.rendered_folder.glob("*_[0-9].jpg"))[len(bank.rendered) :]:
        pair = np.asarray(Image.open(path).convert("RGB")), np.asarray(Image.open(path.with_suffix(".png")))
        bank.rendered.append(pair)


def _cutout(random: Random, bank: Bank, side: int) -> tuple[np.ndarray, np.ndarray]:
    pixels = Image.fromarray(bank.cutouts[random.integers(len(bank.cutouts))])
    pixels = pixels.resize((side, side), Image.Resampling.BILINEAR if side < 150 else Image.Resampling.BICUBIC)
    turn = random.normal(0, 15) if random.random() < 0.7 else random.uniform(0, 360)
    pixels = np.asarray(pixels.rotate(turn, Image.Resampling.BILINEAR))
    if random.random() < 0.5:
        pixels = pixels[:, ::-1]
    colour, coverage = pixels[..., :3].astype(np.float32), pixels[..., 3].astype(np.float32) / 255
    kind = random.random()
    if kind < 0.25:
        light = colour.mean(-1, keepdims=True) / max(
            40.0, float(colour[coverage > 0.5].mean() if (coverage > 0.5).any() else 128)
        )
        colour = textures.texture(random, bank.backgrounds, side, side) * np.clip(light, 0.4, 1.6)
    elif kind < 0.55:
        colour = colour.mean(-1, keepdims=True) + (colour - colour.mean(-1, keepdims=True)) * random.uniform(0, 0.8)
        colour = colour * (textures.random_colour(random) / 150)
    return colour, coverage


def _sprite(random: Random, bank: Bank, side: int) -> tuple[np.ndarray, np.ndarray]:
    """One object on a side x side canvas: colour (float32, 0..255) and coverage (0..1)."""
    kind = random.random()
    if kind < 0.5:
        return _cutout(random, bank, side)
    if kind < 0.75 or side < 24:
        coverage = textures.silhouette(random, side)
        return textures.texture(random, bank.backgrounds, side, side) * textures.relief(coverage, random)[
            ..., None
        ], coverage
    colour, coverage = np.zeros((side, side, 3), np.float32), np.zeros((side, side), np.float32)
    for _ in range(random.integers(2, 4)):
        small = int(side * random.uniform(0.4, 0.75))
        maker = _cutout(random, bank, small) if random.random() < 0.4 else _plain(random, bank, small)
        y, x = (int(side * random.normal(0.5, 0.1)) - small // 2 for _ in range(2))
        y, x = min(max(y, 0), side - small), min(max(x, 0), side - small)
        part = maker[1][..., None]
        colour[y : y + small, x : x + small] = colour[y : y + small, x : x + small] * (1 - part) + maker[0] * part
        patch = coverage[y : y + small, x : x + small]
        np.maximum(patch, maker[1], out=patch)
    return colour, coverage


def _plain(random: Random, bank: Bank, side: int) -> tuple[np.ndarray, np.ndarray]:
    coverage = textures.silhouette(random, side)
    return textures.texture(random, bank.backgrounds, side, side) * textures.relief(coverage, random)[
        ..., None
    ], coverage


def _paste(image, labels, label, colour, coverage, y, x, random: Random) -> None:
    """Blend a sprite in place at (y, x), with a soft shadow first; parts beyond the border are dropped."""
    side, size = len(coverage), len(image)
    if random.random() < 0.6:
        shift = side * random.normal(0, 0.06, 2) + [side * 0.04, 0]
        soft = Image.fromarray(np.rint(coverage * 255).astype(np.uint8)).filter(
            ImageFilter.GaussianBlur(1 + side * random.uniform(0.01, 0.08))
        )
        _blend(
            image,
            np.zeros(3, np.float32),
            np.asarray(soft, np.float32) / 255 * random.uniform(0.15, 0.65),
            y + int(shift[0]),
            x + int(shift[1]),
            size,
        )
    if random.random() < 0.3:
        edge = Image.fromarray(np.rint(coverage * 255).astype(np.uint8)).filter(
            ImageFilter.GaussianBlur(random.uniform(0.4, 1.2))
        )
        coverage = np.asarray(edge, np.float32) / 255
    window = _blend(image, colour, coverage, y, x, size)
    if window is not None:
        there, here = window
        labels[there][coverage[here] > 0.5] = label


def _blend(image, colour, coverage, y: int, x: int, size: int):
    y0, x0, y1, x1 = max(y, 0), max(x, 0), min(y + len(coverage), size), min(x + len(coverage), size)
    if y1 <= y0 or x1 <= x0:
        return None
    there, here = np.s_[y0:y1, x0:x1], np.s_[y0 - y : y1 - y, x0 - x : x1 - x]
    alpha = coverage[here][..., None]
    image[there] = image[there] * (1 - alpha) + (colour if colour.ndim == 1 else colour[here]) * alpha
    return there, here


def _composite(random: Random, bank: Bank, side: int) -> tuple[np.ndarray, np.ndarray]:
    if random.random() < 0.6:
        image = textures.background_crop(random, bank.backgrounds, side, side)
    else:
        image = textures.texture(random, bank.backgrounds, side, side)
    if random.random() < 0.35:
        cut = int(random.uniform(0.2, 0.8) * side)
        image[cut:] = textures.texture(random, bank.backgrounds, side - cut, side)
    image, labels = image.copy(), np.zeros((side, side), np.uint8)
    few = random.random() < 0.5
    count = int(random.integers(1, 5)) if few else int(random.integers(5, 16))
    smallest, largest = (0.25, 1.3) if few else (0.1, 0.65)
    sizes = np.sort(np.exp(random.uniform(np.log(smallest), np.log(largest), count)))[::-1]
    twin: tuple[np.ndarray, np.ndarray] | None = None
    for label, fraction in enumerate(sizes, start=1):
        extent = max(12, int(side * fraction))
        if twin is not None and random.random() < 0.15 and len(twin[1]) > 12:
            colour, coverage = twin
        else:
            colour, coverage = _sprite(random, bank, extent)
            twin = colour, coverage
        y, x = (int(random.uniform(-0.1, 1.1) * side) - len(coverage) // 2 for _ in range(2))
        if random.random() < 0.12:
            under = image[min(max(y + extent // 2, 0), side - 1), min(max(x + extent // 2, 0), side - 1)]
            colour = colour * 0.35 + 0.65 * under * (0.5 + colour.mean(-1, keepdims=True) / 255)
        colour = colour * random.uniform(0.6, 1.2)
        _paste(image, labels, label, colour, coverage, y, x, random)
    return image, labels


def _rendered(random: Random, bank: Bank, side: int) -> tuple[np.ndarray, np.ndarray]:
    image, labels = bank.rendered[random.integers(len(bank.rendered))]
    rows, columns = labels.shape
    tall = int(rows * random.uniform(0.33, 1.0))
    wide = min(columns, int(tall * random.uniform(0.8, 1.25)))
    y, x = int(random.integers(0, rows - tall + 1)), int(random.integers(0, columns - wide + 1))
    window = np.s_[y : y + tall, x : x + wide]
    picture = textures.resize(image[window], side, side, Image.Resampling.BICUBIC).astype(np.float32)
    return picture, textures.resize(np.ascontiguousarray(labels[window]), side, side, Image.Resampling.NEAREST)


def photograph(image: np.ndarray, random: Random) -> np.ndarray:
    """What a camera and a codec add: uneven light, tone and colour casts, blur, noise, JPEG."""
    side = len(image)
    if random.random() < 0.5:
        light = textures.smooth_noise(random, side, side, random.uniform(2, 5))
        image = image * (1 + random.uniform(0.1, 0.9) * (light - 0.5))[..., None]
    image = np.clip(image, 0, 255)
    if random.random() < 0.7:
        image = 255 * (image / 255) ** np.exp(random.normal(0, 0.3))
        image = image * (1 + random.normal(0, 0.08, 3)) + random.normal(0, 10)
    if random.random() < 0.25:
        grey = image.mean(-1, keepdims=True)
        image = grey + (image - grey) * random.uniform(0, 1.4)
    picture = Image.fromarray(np.rint(np.clip(image, 0, 255)).astype(np.uint8))
    if random.random() < 0.35:
        picture = picture.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.6)))
    pixels = np.asarray(picture)
    if random.random() < 0.35:
        noisy = pixels + random.normal(0, random.uniform(1, 12), pixels.shape).astype(np.float32)
        pixels = np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)
    if random.random() < 0.5:
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=int(random.integers(30, 96)))
        pixels = np.asarray(Image.open(stream))
    return pixels


def make_sample(random: Random, bank: Bank, side: int) -> tuple[np.ndarray, np.ndarray]:
    """One training picture and its labels."""
    rendered = bank.rendered and random.random() < 0.5 * min(1.0, len(bank.rendered) / 120)
    image, labels = (_rendered if rendered else _composite)(random, bank, side)
    if random.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    return photograph(image, random), np.ascontiguousarray(labels)
