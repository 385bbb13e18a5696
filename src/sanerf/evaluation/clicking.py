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

from sanerf.segmenter.regions import edge_distance, mask_extent
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
    distance = edge_distance(region)
    for click in clicked:
        distance[int(click.y), int(click.x)] = 0
    row, column = divmod(int(distance.argmax()), distance.shape[1])
    return (column + 0.5, row + 0.5), float(distance[row, column])


def tight_box(mask: Bool[np.ndarray, "h w"]) -> tuple[float, float, float, float]:
    """(x0, y0, x1, y1), the edges of the outermost pixels of a mask that is not empty."""
    rows, columns = mask_extent(mask)
    assert rows.stop, "an empty mask has no box"
    return float(columns.start), float(rows.start), float(columns.stop), float(rows.stop)
