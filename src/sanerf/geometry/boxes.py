"""Boxes about clouds of points with stray ones among them."""

from torch import Tensor

from sanerf.shapes import Float

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
