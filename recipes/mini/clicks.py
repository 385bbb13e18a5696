"""Simulated prompting: the first click or box of an object, and the next click where the mask is most wrong.

Masks are bool at any resolution; points are in pixels of the mask times `stride`, with pixel centres at halves.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from textures import Random

MAX_CLICKS = 8


def inner_point(mask: np.ndarray, random: Random, stride: float) -> np.ndarray:
    """A point inside `mask`: anywhere, or likelier far from its rim; off by up to a few pixels at times."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    weight = depth ** random.choice([0.5, 1.0, 3.0])
    chance = weight.ravel() / weight.sum()
    row, column = divmod(int(random.choice(mask.size, p=chance)), mask.shape[1])
    return (np.array([column, row]) + random.uniform(0, 1, 2)) * stride


def error_centre(wrong: np.ndarray, stride: float) -> tuple[np.ndarray, float]:
    """The point deepest inside `wrong`, and its depth in mask pixels."""
    depth = ndimage.distance_transform_edt(np.pad(wrong, 1))[1:-1, 1:-1]
    row, column = divmod(int(depth.argmax()), wrong.shape[1])
    return (np.array([column, row]) + 0.5) * stride, float(depth.max())


def next_click(truth: np.ndarray, mask: np.ndarray, stride: float) -> tuple[np.ndarray, int] | None:
    """The click a user would add: at the centre of the deepest missing or superfluous part; None when all is right."""
    missing, missing_depth = error_centre(truth & ~mask, stride)
    extra, extra_depth = error_centre(mask & ~truth, stride)
    if max(missing_depth, extra_depth) == 0:
        return None
    return (missing, 1) if missing_depth >= extra_depth else (extra, 0)


def box_of(mask: np.ndarray, stride: float, jitter: float, random: Random) -> np.ndarray:
    """(x0, y0, x1, y1) round `mask`, each side moved by a normal of `jitter` times the box's size."""
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64) * stride
    size = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    return box + np.clip(random.normal(0, jitter, 4), -0.2, 0.2) * size


def spoilt_mask(truth: np.ndarray, random: Random) -> np.ndarray:
    """Logits of a mask as an earlier stage might give it: shifted, grown or shrunk, blurred, holed."""
    mask = np.roll(truth, random.integers(-3, 4, 2), (0, 1))
    grow = int(random.integers(-3, 6))
    if grow:
        mask = (ndimage.binary_dilation if grow > 0 else ndimage.binary_erosion)(mask, iterations=abs(grow))
    soft = ndimage.gaussian_filter(mask.astype(np.float32), random.uniform(0.5, 3.0))
    return np.clip((soft - 0.5) * random.uniform(4, 16), -8, 8) + 1e-3
