"""The next click worth a user's while: the view and the pixel where an answer would mend most. Needs no truth.

In every view a disc is looked for that holds as many wrong pixels as can be expected: a click helps where it is deep
inside of what is wrong, not on a border that is a little uncertain all along. Of all views the best disc's centre is
suggested.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sanerf.aggregate.revise import RenderedIdentities
from sanerf.aggregate.uncertainty import ObjectInView, object_in_views
from sanerf.aggregate.view_masks import ViewMasks
from sanerf.geometry.cameras import Camera
from sanerf.segmenter.regions import edge_distance
from sanerf.shapes import Float

_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Regions that are at least so likely wrong are looked into."""
_ANSWERED = 0.03
"""A click answers what is nearer to it than this share of the picture's diagonal."""


@dataclass(frozen=True)
class SuggestedClick:
    """A pixel that a user should be asked about: is it of the object?

    `x` and `y` are in pixels of the run's camera of `view`, the centre of pixel (0, 0) at (0.5, 0.5). `label` is what
    the field believes there, 1 for the object: the user may say otherwise. `expected_error` is how many pixels of the
    disc about the click, which is as large as serves best, are expected to be wrong.
    """

    view: int
    x: float
    y: float
    label: int
    name: str
    expected_error: float


def suggest_click(
    rendered: dict[int, RenderedIdentities],
    masks: ViewMasks,
    *,
    index: int,
    name: str,
    cameras: dict[int, Camera],
    clicked: Sequence[tuple[int, float, float]] = (),
) -> SuggestedClick | None:
    """The click about object `name`, identity `index` of what is `rendered` (background is 0), that would mend most.

    `masks` are the 2D masks that the field was made of, and `clicked` the clicks (view, x, y) that were answered
    already, in pixels of `cameras`. None where nothing is expected to be wrong.
    """
    views = object_in_views(rendered, masks, index=index, name=name)
    return suggest_in_views(views, name=name, cameras=cameras, clicked=clicked)


def suggest_in_views(
    views: dict[int, ObjectInView],
    *,
    name: str,
    cameras: dict[int, Camera],
    clicked: Sequence[tuple[int, float, float]] = (),
) -> SuggestedClick | None:
    """`suggest_click` from what is known of the object in its views."""
    best_view, most = None, 0.0
    for view, of in views.items():
        if view in cameras:
            lattice = of.rendered.lattice
            xy = lattice.xy().reshape(lattice.rows, lattice.columns, 2)
            errors = _unanswered(of.lattice_errors(), xy, cameras[view], _clicks_in(view, clicked))
            expected = largest_disc(errors)[0] * lattice.stride**2
            if expected > most:
                best_view, most = view, expected
    if best_view is None:
        return None
    camera, of = cameras[best_view], views[best_view]
    rows, columns = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    xy = torch.stack([columns, rows], dim=-1) + 0.5
    errors = _unanswered(of.picture_errors(camera), xy, camera, _clicks_in(best_view, clicked))
    expected, (row, column) = largest_disc(errors)
    believed = of.rendered.upsampled(1, camera)[row, column] > 0.5
    return SuggestedClick(best_view, column + 0.5, row + 0.5, int(believed), name, expected)


def largest_disc(errors: Float[Tensor, "h w"]) -> tuple[float, tuple[int, int]]:
    """A lower bound of how many pixels of a disc inside of the picture are wrong, for the disc where it is highest,
    and the row and column of its centre.

    With errors at least e everywhere nearer than d the disc holds e pi d² of them; the best of several e is taken.
    """
    best, place = 0.0, (0, 0)
    for level in _LEVELS:
        depth = torch.from_numpy(edge_distance((errors >= level).numpy()))
        flat = int(depth.argmax())
        value = level * math.pi * float(depth.flatten()[flat]) ** 2
        if value > best:
            best, place = value, divmod(flat, errors.shape[1])
    return best, place


def _clicks_in(view: int, clicked: Sequence[tuple[int, float, float]]) -> Float[Tensor, "clicks 2"]:
    return torch.tensor([(x, y) for of_view, x, y in clicked if of_view == view]).reshape(-1, 2)


def _unanswered(
    errors: Float[Tensor, "h w"], xy: Float[Tensor, "h w 2"], camera: Camera, clicks: Float[Tensor, "clicks 2"]
) -> Float[Tensor, "h w"]:
    """The errors with zeros about clicks."""
    if not len(clicks):
        return errors
    distance = torch.cdist(xy.reshape(-1, 2), clicks).amin(dim=1).reshape(errors.shape)
    return errors.masked_fill(distance <= _ANSWERED * math.hypot(camera.height, camera.width), 0.0)
