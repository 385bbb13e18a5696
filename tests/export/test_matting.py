"""Soft alpha: known composites of flat colours, the filter against its plain loop, tiles, and odd cases."""

import numpy as np
import pytest
import torch

from sanerf.export.cutouts import resize_alpha
from sanerf.export.foreground import foreground_colours
from sanerf.export.matting import _enlarged, guided_filter, render_pixel, soft_alpha, tiles
from sanerf.run.segmentation import RenderedObjects

FRONT, BEHIND = np.array([200.0, 60.0, 40.0]), np.array([30.0, 90.0, 180.0])


def disc(height: int, width: int, radius: float) -> np.ndarray:
    """The exact share, to one part in 256, of each pixel that a disc about (0.47 width, 0.52 height) covers."""
    y, x = (np.arange(16 * height) + 0.5) / 16, (np.arange(16 * width) + 0.5) / 16
    inside = (y[:, None] - 0.52 * height) ** 2 + (x[None] - 0.47 * width) ** 2 < radius**2
    return inside.reshape(height, 16, width, 16).mean(axis=(1, 3))


def composite(alpha: np.ndarray) -> np.ndarray:
    return np.rint(alpha[..., None] * FRONT + (1 - alpha[..., None]) * BEHIND).astype(np.uint8)


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True alpha, the photograph, and the margin of a render four times smaller whose edge is a pixel of its own off."""
    alpha = disc(120, 160, 40.0)
    wrong = disc(120, 160, 44.0).reshape(30, 4, 40, 4).mean(axis=(1, 3))
    return alpha, composite(alpha), (2 * wrong - 1).astype(np.float32)


def test_the_alpha_of_flat_colours_is_recovered(scene):
    """alpha = a . colour + b holds exactly there, so that what is left is the ridge and the averaging of windows."""
    alpha, photo, margin = scene
    found = soft_alpha(photo, margin) / 255
    hard = resize_alpha(margin, 120, 160) > 0
    assert np.abs(hard - alpha).sum() > 1000
    assert np.abs(found - alpha).sum() < 60
    edge = (alpha > 0) & (alpha < 1)
    assert np.abs(found - alpha)[edge].mean() < 0.06
    far = disc(120, 160, 30.0) == 1
    assert (found[far] == 1).all() and (found[disc(120, 160, 60.0) == 0] == 0).all()
