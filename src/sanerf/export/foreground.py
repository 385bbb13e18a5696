"""The object's own colours in pixels that it shares with what is behind it.

A photograph's pixel of alpha a shows a F + (1 - a) B. Laid over another background as it is, it takes B along as a
fringe. F is estimated by blur fusion (Forte 2021, "Approximate Fast Foreground Colour Estimation"): F and B are first
the means of the colours about the pixel, weighted by alpha and by 1 - alpha, and what they do not explain of the
photograph's colour is added to F in the share of alpha; once with wide windows, then from those colours with narrow
ones.
"""

import numpy as np
from scipy.ndimage import uniform_filter

from sanerf.export.matting import TILE, tiles
from sanerf.render.pictures import to_bytes
from sanerf.shapes import Float, UInt8

WIDE, NARROW = 4.0, 1.0
"""From the two windows' middles to their sides, in the pixels of the render that alpha is from (`matting.BAND`): the
wide one reaches beyond the band on either side."""


def foreground_colours(
    photo: UInt8[np.ndarray, "h w 3"], alpha: UInt8[np.ndarray, "h w"], *, scale: float, tile: int = TILE
) -> UInt8[np.ndarray, "h w 3"]:
    """The photograph with the object's colours where alpha is neither 0 nor 255; elsewhere its own.

    `scale` is the size of the render's pixels, `matting.render_pixel`.
    """
    wide, narrow = round(WIDE * scale), max(2, round(NARROW * scale))
    colours = photo.copy()
    for part in tiles(*alpha.shape, side=tile, halo=wide + narrow):
        mixed = (alpha[part.inner] > 0) & (alpha[part.inner] < 255)
        if mixed.any():
            seen, share = photo[part.outer] / 255, alpha[part.outer][..., None] / 255
            foreground, background = seen, seen
            for radius in (wide, narrow):
                foreground, background = _fused(seen, share, foreground, background, radius)
            colours[part.inner][mixed] = to_bytes(foreground[part.own][mixed])
    return colours


def _fused(
    photo: Float[np.ndarray, "h w 3"],
    alpha: Float[np.ndarray, "h w 1"],
    foreground: Float[np.ndarray, "h w 3"],
    background: Float[np.ndarray, "h w 3"],
    radius: int,
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w 3"]]:
    """One pass: better estimates of F and B. Where no pixel in reach has any of one, its old estimate stays."""
    near = _weighted_mean(foreground, alpha, radius)
    behind = _weighted_mean(background, 1 - alpha, radius)
    unexplained = photo - alpha * near - (1 - alpha) * behind
    return np.clip(near + alpha * unexplained, 0, 1), behind


def _weighted_mean(
    colours: Float[np.ndarray, "h w 3"], weights: Float[np.ndarray, "h w 1"], radius: int
) -> Float[np.ndarray, "h w 3"]:
    """Means over windows of 2 `radius` + 1 pixels a side; the colours themselves where all weights are zero."""

    def mean(planes: np.ndarray) -> np.ndarray:
        return uniform_filter(planes, size=2 * radius + 1, axes=(0, 1), mode="nearest")

    total = mean(weights)
    # Running sums leave rounding errors where there is nothing; one part in 255 of one pixel is more than those.
    return np.where(total > 1e-7, mean(colours * weights) / np.maximum(total, 1e-7), colours)
