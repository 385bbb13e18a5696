"""Boxes about clouds of points with stray ones among them."""

from torch import Tensor

from sanerf.shapes import Bool, Float

_OUTLIERS = 0.005
"""Share of the points that may lie outside of the box on each side along each axis."""


def trimmed_box(points: Float[Tensor, "points 3"], margin: float) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]]:
    """Corners of the box about all but the outermost half per cent of the points on each side, grown by `margin` of its
    longest side."""
    ordered = points.sort(dim=0).values
    cut = int(_OUTLIERS * len(points))
    low, high = ordered[cut], ordered[len(points) - 1 - cut]
    grow = margin * (high - low).max()
    return low - grow, high + grow


def inside_box(
    points: Float[Tensor, "points 3"], low: Float[Tensor, "3"], high: Float[Tensor, "3"]
) -> Bool[Tensor, "points"]:
    """Which points lie between the corners of a box, its faces left out; axis by axis, which is several times as fast
    as a comparison of rows."""
    x, y, z = points.unbind(dim=1)
    inside = (x > low[0]) & (x < high[0])
    return inside & (y > low[1]) & (y < high[1]) & (z > low[2]) & (z < high[2])
