"""Soft edges: an object's alpha at the photograph's own resolution, from its rendered margin and the photograph.

A render knows its edge to a pixel or two of its own, which may be many of the photograph's, and knows nothing of the
share of a pixel that is object. Within a band about that edge alpha is taken as locally linear in colour,
alpha = a . colour + b in every small window, as where an object of one colour line stands before another (Levin et al.
2008, "A Closed-Form Solution to Natural Image Matting"). Solving for a and b by ridge regression on the render's own
soft mask, and averaging the windows that hold a pixel, is the guided filter (He et al. 2013, "Guided Image Filtering").
Its averages shrink what is between 0 and 1 towards the middle; `GAIN` takes that back. Outside of the band alpha is
0 or 1, as the render says.

All lengths follow the size of the render's pixels, in pixels of the photograph; then all is done again about the edge
so found for pixels of half the size, and so on down to the photograph's own. The work is done in tiles, so that the
floating-point planes of a photograph of many megapixels are never there at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter, uniform_filter

from sanerf.render.pictures import to_bytes
from sanerf.shapes import Bool, Float, UInt8

BAND = 2.0
"""Half the width of the band in the render's pixels: the error of a rendered edge."""
UNSURE_BAND = 4.0
"""The same where the render is not sure, its margin being within `UNSURE_MARGIN` of zero."""
UNSURE_MARGIN = 0.8
WINDOW = 1.5
"""From a window's middle to its side in the render's pixels, so that one on the edge holds both colours."""
RIDGE = 1e-5
"""What colours' variances are raised by; that of a photograph's rounding and noise, in colours of 0 to 1."""
GAIN = 1.25
"""About one half. One pass of the filter brings a sharp step's sides to about 0.1 and 0.9."""
TILE = 512
"""Pixels along a tile's sides, without what it sees of its neighbours."""


@dataclass(frozen=True)
class Tile:
    """A part of a picture: the pixels that are its own (`inner`), these with what they depend on about them (`outer`),
    and its own pixels' place in the latter (`own`)."""

    inner: tuple[slice, slice]
    outer: tuple[slice, slice]
    own: tuple[slice, slice]


def tiles(height: int, width: int, *, side: int, halo: int) -> Iterator[Tile]:
    """Tiles of at most `side` pixels a side that cover a picture, each of which sees `halo` pixels beyond its own."""
    for top in range(0, height, side):
        for left in range(0, width, side):
            inner, outer, own = [], [], []
            for start, length in ((top, height), (left, width)):
                end, low = min(start + side, length), max(0, start - halo)
                inner.append(slice(start, end))
                outer.append(slice(low, min(end + halo, length)))
                own.append(slice(start - low, end - low))
            yield Tile((inner[0], inner[1]), (outer[0], outer[1]), (own[0], own[1]))


def render_pixel(margin: Float[np.ndarray, "mh mw"], height: int, width: int) -> float:
    """The side of a render's pixel in pixels of its photograph of `height` x `width`, at least 1."""
    return max(1.0, height / margin.shape[0], width / margin.shape[1])


def soft_alpha(
    photo: UInt8[np.ndarray, "h w 3"], margin: Float[np.ndarray, "mh mw"], *, tile: int = TILE
) -> UInt8[np.ndarray, "h w"]:
    """The object's alpha in each pixel of the photograph, 0 to 255.

    `margin` is the render's, -1 to 1 and above 0 in the object's mask, of the same view at the same or a smaller size.
    """
    height, width = photo.shape[:2]
    steps = _steps(render_pixel(margin, height, width))
    halo = sum(max(round(UNSURE_BAND * step), 2 * round(WINDOW * step)) for step in steps)
    alpha = np.zeros((height, width), dtype=np.uint8)
    for part in tiles(height, width, side=tile, halo=halo):
        values = np.clip((1 + enlarged(margin, part.outer, height, width)) / 2, 0, 1)
        inside = values[part.own] > 0.5
        if not _edge(values > 0.5, round(UNSURE_BAND * steps[0]))[part.own].any():
            alpha[part.inner] = np.where(inside, np.uint8(255), np.uint8(0))
            continue
        colours = photo[part.outer].astype(np.float64) / 255
        for step in steps:
            values = _refined(values, colours, step)
        alpha[part.inner] = to_bytes(values[part.own])
    return alpha


def _steps(scale: float) -> list[float]:
    """What size counts as a pixel, pass by pass: the render's, and halves of it down to the photograph's own."""
    out = [scale]
    while out[-1] > 1.5:
        out.append(max(1.0, out[-1] / 2))
    return out


def _refined(
    values: Float[np.ndarray, "h w"], colours: Float[np.ndarray, "h w 3"], step: float
) -> Float[np.ndarray, "h w"]:
    """One pass: `values`, the object where above one half, made locally linear in colour about their edge."""
    inside = values > 0.5
    unsure = np.abs(2 * values - 1) < UNSURE_MARGIN
    band = _edge(inside, round(BAND * step)) | (unsure & _edge(inside, round(UNSURE_BAND * step)))
    filtered = guided_filter(colours, values, where=band, radius=round(WINDOW * step))
    return np.where(band, np.clip((filtered - 0.5) * GAIN + 0.5, 0, 1), inside)


def guided_filter(
    colours: Float[np.ndarray, "h w 3"],
    values: Float[np.ndarray, "h w"],
    *,
    where: Bool[np.ndarray, "h w"],
    radius: int,
    ridge: float = RIDGE,
) -> Float[np.ndarray, "h w"]:
    """`values` as locally linear in `colours` (He et al. 2013, eq. 14 to 16), in the pixels `where`; others are 0.

    Windows are 2 `radius` + 1 pixels a side; beyond the picture its outermost pixels go on.
    """

    def mean(planes: np.ndarray) -> np.ndarray:
        return _window_mean(planes, radius)

    # A window's regression counts only for the pixels in it.
    used = _highest(where, 2 * radius + 1)
    mean_colour, mean_value = mean(colours)[used], mean(values)[used]
    covariance = np.empty((len(mean_value), 3, 3))
    for i in range(3):
        for j in range(i, 3):
            product = mean(colours[..., i] * colours[..., j])[used]
            covariance[:, i, j] = covariance[:, j, i] = product - mean_colour[:, i] * mean_colour[:, j]
    with_value = mean(colours * values[..., None])[used] - mean_colour * mean_value[:, None]
    slope = np.linalg.solve(covariance + ridge * np.eye(3), with_value[..., None])[..., 0]
    planes = np.zeros((*values.shape, 4))
    planes[used, :3] = slope
    planes[used, 3] = mean_value - (slope * mean_colour).sum(axis=1)
    planes = mean(planes)
    return np.where(where, (planes[..., :3] * colours).sum(axis=2) + planes[..., 3], 0.0)


def _window_mean(planes: np.ndarray, radius: int) -> np.ndarray:
    """Means over windows of rows and columns, channel by channel."""
    return uniform_filter(planes, size=2 * radius + 1, axes=(0, 1), mode="nearest")


def _edge(inside: Bool[np.ndarray, "h w"], reach: int) -> Bool[np.ndarray, "h w"]:
    """Pixels that have both object and others within `reach` rows and columns."""
    size = 2 * reach + 1
    return _highest(inside, size) & _highest(~inside, size)


def _highest(of: Bool[np.ndarray, "h w"], size: int) -> Bool[np.ndarray, "h w"]:
    """Pixels with one that is true in the `size` x `size` about them."""
    return np.asarray(maximum_filter(of, size=size), dtype=bool)


def enlarged(
    margin: Float[np.ndarray, "mh mw"], part: tuple[slice, slice], height: int, width: int
) -> Float[np.ndarray, "ch cw"]:
    """The part of the margin's bilinear enlargement to `height` x `width`, as `RenderedObjects.mask` has it."""
    values = margin.astype(np.float64)
    for axis, (pixels, length) in enumerate(zip(part, (height, width), strict=True)):
        size = values.shape[axis]
        place = np.clip((np.arange(pixels.start, pixels.stop) + 0.5) * size / length - 0.5, 0, size - 1)
        below = np.floor(place).astype(np.intp)
        share = np.expand_dims(place - below, 1 - axis)
        above = np.minimum(below + 1, size - 1)
        values = values.take(below, axis) * (1 - share) + values.take(above, axis) * share
    return values
