"""Scribbles as a few clicks: a stroke's every pixel would mislead a decoder that was trained on single clicks.

The rule, in pixels of the view: the first click is the stroke's point farthest from its middle; another is added, where
the stroke is farthest from all there are, as long as that is more than a tenth of the picture's diagonal; six at most.
Then the clicks divide the stroke among them: each moves to the middle of the part that is nearest to it, until none
moves, and lastly to the nearest point of the stroke. On a straight stroke n clicks so come to lie at (2 i + 1) / (2 n)
of its length: evenly spread, half a gap away from its ends, which users overshoot. A stroke that goes to and fro over
one place gets no more clicks for its length.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from sanerf.data.images import load_view_mask
from sanerf.data.scene import View
from sanerf.prompts.file import LineScribble, PaintedScribble
from sanerf.segmenter.regions import edge_distance
from sanerf.shapes import Bool, Float, Float64, Int64

MOST_CLICKS = 6
SPACING = 0.1
"""Of the picture's diagonal."""
_MOST_SAMPLES = 1024
_MOVES = 200


def scribble_clicks(scribble: LineScribble | PaintedScribble, view: View) -> Float[Tensor, "clicks 2"]:
    """A scribble's clicks (x, y) in pixels of its view's image file.

    Raises UserError where a painted one cannot be read or has another shape than the view's picture.
    """
    camera = view.camera
    if isinstance(scribble, LineScribble):
        return line_clicks(scribble.xy, camera.width, camera.height)
    stroke = load_view_mask(scribble.path, view)
    return stroke_clicks(stroke) * torch.tensor([camera.width / stroke.shape[1], camera.height / stroke.shape[0]])


def line_clicks(
    corners: Sequence[tuple[float, float]], width: int, height: int, most: int = MOST_CLICKS
) -> Float[Tensor, "clicks 2"]:
    """A polyline's clicks (x, y), each on it. `corners`, one at least, are in pixels of a picture of that size."""
    return _clicks(_along(torch.tensor(corners, dtype=torch.float64)), width, height, most)


def stroke_clicks(stroke: Bool[Tensor, "h w"], most: int = MOST_CLICKS) -> Float[Tensor, "clicks 2"]:
    """A painted stroke's clicks (x, y): centres of pixels along its middle. None for an empty stroke."""
    depth = edge_distance(stroke.cpu().numpy())
    # Pixels that no neighbour is deeper than: along the stroke's middle, however wide it was painted.
    middle = (depth > 0) & (depth >= ndimage.maximum_filter(depth, 3))
    rows, columns = np.nonzero(middle)
    points = torch.from_numpy(np.stack([columns, rows], axis=-1)).double() + 0.5
    if not len(points):
        return torch.zeros(0, 2)
    return _clicks(points, stroke.shape[1], stroke.shape[0], most)


def _along(corners: Float64[Tensor, "vertices 2"]) -> Float64[Tensor, "points 2"]:
    """Samples at equal steps of a pixel or less along a polyline, each in the middle of its step; 1,024 at most."""
    steps = corners.diff(dim=0).norm(dim=-1)
    ends = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
    if not float(ends[-1]) > 0:
        return corners[:1]
    count = min(_MOST_SAMPLES, max(1, int(torch.ceil(ends[-1]))))
    at = (torch.arange(count, dtype=torch.float64) + 0.5) / count * ends[-1]
    piece = (torch.searchsorted(ends, at, right=True) - 1).clamp(0, len(steps) - 1)
    share = ((at - ends[piece]) / steps[piece])[:, None]
    return corners[piece] * (1 - share) + corners[piece + 1] * share


def _clicks(samples: Float64[Tensor, "points 2"], width: int, height: int, most: int) -> Float[Tensor, "clicks 2"]:
    """The few samples that stand for all."""
    samples = samples[:: -(-len(samples) // _MOST_SAMPLES)]
    clicks = samples[_farthest(samples, SPACING * float(np.hypot(width, height)), most)]
    owner = torch.cdist(samples, clicks).argmin(dim=1)
    for _ in range(_MOVES):
        clicks = torch.stack([samples[owner == k].mean(dim=0) for k in range(len(clicks)) if bool((owner == k).any())])
        nearest = torch.cdist(samples, clicks).argmin(dim=1)
        if torch.equal(nearest, owner):
            break
        owner = nearest
    on_stroke = torch.cdist(clicks, samples).argmin(dim=1).unique()
    return samples[on_stroke].float()


def _farthest(samples: Float64[Tensor, "points 2"], spacing: float, most: int) -> Int64[Tensor, "clicks"]:
    """Indices of samples, each the farthest from those before it, while that is more than `spacing`."""
    chosen = [int((samples - samples.mean(dim=0)).norm(dim=-1).argmax())]
    distance = (samples - samples[chosen[0]]).norm(dim=-1)
    while len(chosen) < most and float(distance.max()) > spacing:
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, (samples - samples[chosen[-1]]).norm(dim=-1))
    return torch.tensor(chosen)
