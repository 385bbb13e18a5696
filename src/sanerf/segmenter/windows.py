"""Parts of a picture that a segmenter looks at one by one, so that small things become large to it.

Layer 0 is the whole picture; layer i has 2^i x 2^i windows that overlap (Kirillov et al. 2023, appendix B, and their
release): each thing that is smaller than the overlap lies whole in one of them.
"""

from dataclasses import dataclass

import numpy as np

from sanerf.shapes import Bool, Float, Float64


@dataclass(frozen=True)
class Window:
    """The pixels x0 to x1 and y0 to y1 of a picture, the ends not among them."""

    x0: int
    y0: int
    x1: int
    y1: int
    layer: int = 0

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        return self.y1 - self.y0


def picture_windows(height: int, width: int, *, layers: int, overlap: float) -> list[Window]:
    """The whole picture and the windows of `layers` more layers.

    Windows of the first overlap by the share `overlap` of the picture's shorter side, those of each further layer by
    half as much. Windows that reach beyond the picture are cut at its edge.
    """
    found = [Window(0, 0, width, height)]
    for layer in range(1, layers + 1):
        count = 2**layer
        shared = int(overlap * min(height, width) * 2 / count)
        columns, rows = (_spans(length, count, shared) for length in (width, height))
        found += [Window(x0, y0, x1, y1, layer) for y0, y1 in rows for x0, x1 in columns]
    return found


def _spans(length: int, count: int, shared: int) -> list[tuple[int, int]]:
    """`count` equal spans from 0 to `length` (rounded up, cut at the end), neighbours of which share so much."""
    each = -(-(length + shared * (count - 1)) // count)
    starts = [(each - shared) * i for i in range(count)]
    return [(start, min(start + each, length)) for start in starts]


def window_points(window: Window, side: int) -> Float64[np.ndarray, "points 2"]:
    """`side` x `side` points (x, y), in the middles of as many equal parts of a window, in pixels of the window."""
    middles = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(middles * window.width, middles * window.height)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def cut_off(
    boxes: Float[np.ndarray, "candidates 4"], window: Window, *, height: int, width: int, margin: float
) -> Bool[np.ndarray, "candidates"]:
    """Which boxes, in pixels of the window, come within `margin` pixels of an edge of it that is not the picture's.

    What such a box holds is likely to go on beyond the window. An edge within `margin` of the picture's counts as that.
    """
    found = np.zeros(len(boxes), dtype=bool)
    starts, ends = (window.x0, window.y0), (window.x1, window.y1)
    for axis, length in enumerate((width, height)):
        near, far = boxes[:, axis] + starts[axis], boxes[:, axis + 2] + starts[axis]
        found |= (np.abs(near - starts[axis]) <= margin) & (near > margin)
        found |= (np.abs(far - ends[axis]) <= margin) & (far < length - margin)
    return found
