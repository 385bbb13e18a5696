"""The simulated user of interactive segmentation: where the next click goes, and the tight box.

As RITM clicks (Sofiiuk et al. 2022, "Reviving Iterative Training with Mask Guidance for Interactive Segmentation"),
and SAM after it (Kirillov et al. 2023, appendix on the point-to-mask evaluation): at the point of what is wrong that is
farthest from its edge, where the picture's border is an edge, too. Missing pixels get label 1, superfluous ones 0,
whichever lie deeper; at equal depth 0. A pixel is never clicked twice. Of equally deep pixels the first in row-major
order is taken, so that clicks are a function of the masks.

Points are (x, y) in pixels, the centre of pixel (0, 0) at (0.5, 0.5).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from sanerf.shapes import Bool


@dataclass(frozen=True)
class Click:
    """A pixel's centre and its label, 1 for object."""

    x: float
    y: float
    label: int


def next_click(
    truth: Bool[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"], clicked: Sequence[Click] = ()
) -> Click | None:
    """The click that a user would add to those in `clicked`; None where all is right, or all that is wrong was clicked.

    With an empty `mask` and nothing clicked it is the first click: the point deepest inside of `truth`.
    """
    missing, missing_depth = deepest(truth & ~mask, clicked)
    extra, extra_depth = deepest(mask & ~truth, clicked)
    if max(missing_depth, extra_depth) == 0:
        return None
    return Click(*missing, label=1) if missing_depth > extra_depth else Click(*extra, label=0)


def deepest(region: Bool[np.ndarray, "h w"], clicked: Sequence[Click] = ()) -> tuple[tuple[float, float], float]:
    """The pixel of `region` farthest from what is not `region`, and its Euclidean distance to the nearest such pixel.

    Outside of the picture nothing is `region`. Pixels in `clicked` are passed over; where none is left, the
    distance is 0.
    """
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not len(rows):
        return (0.5, 0.5), 0.0
    # What is not region within a pixel of its extent is all that can be nearest.
    top, left = int(rows[0]), int(columns[0])
    inside = region[top : rows[-1] + 1, left : columns[-1] + 1]
    distance = np.asarray(distance_transform_edt(np.pad(inside, 1)))[1:-1, 1:-1]
    for click in clicked:
        row, column = int(click.y) - top, int(click.x) - left
        if 0 <= row < distance.shape[0] and 0 <= column < distance.shape[1]:
            distance[row, column] = 0
    row, column = divmod(int(distance.argmax()), distance.shape[1])
    return (left + column + 0.5, top + row + 0.5), float(distance[row, column])


def tight_box(mask: Bool[np.ndarray, "h w"]) -> tuple[float, float, float, float]:
    """(x0, y0, x1, y1), the edges of the outermost pixels of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    assert len(rows), "an empty mask has no box"
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
