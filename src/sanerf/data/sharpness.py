"""How sharp a picture is, and how sharp next to the pictures that were taken from about the same place.

Sharpness is the variance of the Laplacian (Pech-Pacheco et al. 2000) of the grey picture over the square of its mean
brightness, so that a longer exposure alone changes nothing. It has no absolute scale: a smooth wall has little of it
without being blurred. So a view is compared with those whose cameras stand and look alike, which see the same things.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy.spatial import KDTree

from sanerf.geometry.cameras import Camera
from sanerf.shapes import Bool, Float, UInt8

SHARPNESS_SIDE = 640
"""Longer side of the picture whose sharpness is measured."""
BLUR_SHARE = 0.35
"""A view with less than this share of its neighbours' sharpness is called blurred. Sharp views of five captures had
0.48 and more, the same blurred by a Gaussian of 1 pixel (of 640) 0.17 and less, smeared over 6 pixels 0.23 in median.
"""
_NEIGHBOURS = 8
_FEW = 3


def sharpness(
    rgb: UInt8[np.ndarray, "h w 3"], kept: Bool[np.ndarray, "h w"] | None = None, side: int = SHARPNESS_SIDE
) -> float:
    """Variance of a picture's Laplacian over its squared mean brightness, at a longer side of at most `side` pixels.

    Where `kept` is given, only pixels count whose four neighbours' whole areas are kept, too; NaN where none is such.
    """
    grey = Image.fromarray(rgb).convert("L")
    shrink = min(1.0, side / max(grey.size))
    size = (max(1, round(grey.width * shrink)), max(1, round(grey.height * shrink)))
    values = np.asarray(grey.resize(size, Image.Resampling.BOX), dtype=np.float32)
    counts = np.ones_like(values, dtype=bool)
    if kept is not None:
        counts = np.asarray(Image.fromarray(kept.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)) == 255
    inner = counts[1:-1, 1:-1] & counts[:-2, 1:-1] & counts[2:, 1:-1] & counts[1:-1, :-2] & counts[1:-1, 2:]
    if not inner.any():
        return 0.0 if kept is None else float("nan")
    around = values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:]
    laplacian = (around - 4 * values[1:-1, 1:-1])[inner]
    return float(laplacian.var() / max(1.0, float(values[counts].mean())) ** 2)


def common_side(cameras: Sequence[Camera]) -> int:
    """The longer side at which pictures of these cameras are measured, so that none must be enlarged."""
    return min(SHARPNESS_SIDE, min(max(camera.width, camera.height) for camera in cameras))


def relative_sharpness(cameras: Sequence[Camera], values: Sequence[float]) -> Float[np.ndarray, "views"]:
    """Each view's sharpness over the median of its eight nearest views'; one where that cannot be said.

    Near are cameras whose centres (world units: the world is about one wide) and optical axes differ little. Where most
    of a view's neighbours are blurred as well, it is as sharp as it gets there, and is not called blurred.
    """
    sharp = np.asarray(values, dtype=np.float64)
    known = np.flatnonzero(np.isfinite(sharp))
    out = np.ones(len(sharp))
    if len(known) <= _FEW:
        return out
    poses = np.stack([np.concatenate([c.centre.numpy(), c.world_from_cam[:3, 2].numpy()]) for c in cameras])[known]
    count = min(_NEIGHBOURS, len(known) - 1)
    nearest = np.asarray(KDTree(poses).query(poses, k=count + 1)[1])
    for row, index in enumerate(known):
        others = [other for other in nearest[row] if other != row][:count]
        typical = float(np.median(sharp[known[others]]))
        if typical > 0:
            out[index] = sharp[index] / typical
    return out
