"""Prompts of chance for training: a first click, a box, an earlier mask. Corrections are those of the benchmark,
`sanerf.evaluation.clicking`.

Masks are bool at any resolution; points are in pixels of the mask times `stride`, with pixel centres at halves.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from textures import Random

from sanerf.evaluation.clicking import tight_box
from sanerf.segmenter.regions import edge_distance

MAX_CLICKS = 8


def inner_point(mask: np.ndarray, random: Random, stride: float) -> np.ndarray:
    """A point inside `mask`: anywhere, or likelier far from its rim; off by up to a few pixels at times."""
    depth = edge_distance(mask)
    weight = depth ** random.choice([0.5, 1.0, 3.0])
    chance = weight.ravel() / weight.sum()
    row, column = divmod(int(random.choice(mask.size, p=chance)), mask.shape[1])
    return (np.array([column, row]) + random.uniform(0, 1, 2)) * stride


def box_of(mask: np.ndarray, stride: float, jitter: float, random: Random) -> np.ndarray:
    """(x0, y0, x1, y1) round `mask`, each side moved by a normal of `jitter` times the box's size."""
    box = np.array(tight_box(mask)) * stride
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
