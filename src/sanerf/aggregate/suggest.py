"""The next click worth a user's while: the view and the pixel where an answer would mend most. Needs no truth.

In every view a disc is looked for that holds as many wrong pixels as can be expected: a click helps where it is deep
inside of what is wrong, not on a border that is a little uncertain all along. Of all views the best disc's centre is
suggested.

All views may agree on the wrong thing: after one click on a pear, on the bowl that it lies in. So what is shown of the
object far from every click inside it is taken on trust, and may be wrong, the more the less its decoder believes in the
view's mask, and the less the more clicks there are. A click outside helps most where one inside is seen beside it: what
is wrong in other views counts less.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sanerf.aggregate.revise import RenderedIdentities
from sanerf.aggregate.uncertainty import ObjectInView, object_in_views
from sanerf.aggregate.view_masks import Prompting, ViewMasks
from sanerf.geometry.cameras import Camera
from sanerf.prompts.lift import LiftedPrompts, visible_prompts
from sanerf.segmenter.regions import edge_distance
from sanerf.shapes import Bool, Float

_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Regions that are at least so likely wrong are looked into."""
_ANSWERED = 0.03
"""A click answers what is nearer to it than this share of the picture's diagonal."""
_ON_TRUST = 4.0
"""What is shown very far from the only click inside is wrong with this times one less the decoder's predicted IoU;
docs/uncertainty.md has what it was chosen by."""
_UNSEEN = 0.25
"""What is wrong in a view counts so much where others see a click inside the object and it does not."""


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


@dataclass(frozen=True)
class InsideClicks:
    """A user's clicks inside an object, and the points that stand for strokes, boxes and masks: how many there are, and
    by view the pixels (x, y) of those that are seen there, wherever they were set."""

    count: int = 0
    xy: dict[int, Float[Tensor, "clicks 2"]] = field(default_factory=dict)

    def seen_in(self, view: int) -> Float[Tensor, "clicks 2"]:
        return self.xy.get(view, torch.zeros(0, 2))


def inside_clicks(lifted: LiftedPrompts, prompting: Prompting) -> InsideClicks:
    """Those of an object's points that are inside it, in the views that were asked."""
    inside = lifted.labels == 1
    views = tuple(view for view, kept in zip(lifted.views, inside.tolist(), strict=True) if kept)
    own = LiftedPrompts(lifted.name, lifted.p_world[inside], lifted.labels[inside], views)
    seen = {
        view: visible_prompts(own, view, camera, prompting.renderer).points
        for view, camera in prompting.cameras.items()
    }
    return InsideClicks(len(views), seen)


def suggest_click(
    rendered: dict[int, RenderedIdentities],
    masks: ViewMasks,
    *,
    index: int,
    name: str,
    cameras: dict[int, Camera],
    clicked: Sequence[tuple[int, float, float]] = (),
    inside: InsideClicks | None = None,
) -> SuggestedClick | None:
    """The click about object `name`, identity `index` of what is `rendered` (background is 0), that would mend most.

    `masks` are the 2D masks that the field was made of, and `clicked` the clicks (view, x, y) that were answered
    already, in pixels of `cameras`; `inside` are those of them inside the object, where the masks are a decoder's
    answers to clicks. None where nothing is expected to be wrong.
    """
    views = object_in_views(rendered, masks, index=index, name=name)
    return suggest_in_views(views, name=name, cameras=cameras, clicked=clicked, inside=inside)


def suggest_in_views(
    views: dict[int, ObjectInView],
    *,
    name: str,
    cameras: dict[int, Camera],
    clicked: Sequence[tuple[int, float, float]] = (),
    inside: InsideClicks | None = None,
) -> SuggestedClick | None:
    """`suggest_click` from what is known of the object in its views."""
    asked = [
        _AskedView(view, of, cameras[view], _clicks_in(view, clicked), inside or InsideClicks())
        for view, of in views.items()
        if view in cameras
    ]
    best, most = None, 0.0
    for one in asked:
        expected = one.worth * largest_disc(one.lattice_errors())[0] * one.of.rendered.lattice.stride**2
        if expected > most:
            best, most = one, expected
    if best is None:
        return None
    expected, (row, column) = largest_disc(best.picture_errors())
    believed = best.of.rendered.upsampled(1, best.camera)[row, column] > 0.5
    return SuggestedClick(best.view, column + 0.5, row + 0.5, int(believed), name, expected)


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


def on_trust(
    shown: Bool[Tensor, "h w"],
    xy: Float[Tensor, "h w 2"],
    clicks: Float[Tensor, "clicks 2"],
    *,
    predicted_iou: float,
    count: int,
) -> Float[Tensor, "h w"]:
    """How likely what is `shown` of an object at the pixels `xy` of a view is something else, for being far from the
    `clicks` inside it that are seen there, of `count` in all; no less than one is. Distances are in units of the
    radius of a disc as large as what is shown. 0 where nothing is shown.
    """
    rows, columns = xy[:, 0, 1], xy[0, :, 0]
    pixel = float((rows[1] - rows[0]) * (columns[1] - columns[0])) if min(len(rows), len(columns)) > 1 else 1.0
    radius = math.sqrt(max(int(shown.sum()), 1) * pixel / math.pi)
    far = torch.cdist(xy.reshape(-1, 2).float(), clicks).amin(dim=1).reshape(shown.shape) / radius
    doubt = _ON_TRUST * (1 - min(max(predicted_iou, 0.0), 1.0)) * far / (1 + far) / count
    return torch.where(shown, doubt.clamp(max=1.0), 0.0)


@dataclass(frozen=True)
class _AskedView:
    """A view of the object that a user may be asked about, what was clicked in it, and all clicks inside the object."""

    view: int
    of: ObjectInView
    camera: Camera
    clicked: Float[Tensor, "clicks 2"]
    inside: InsideClicks

    @property
    def worth(self) -> float:
        """What an error in this view counts."""
        return _UNSEEN if self.inside.count and not len(self.inside.seen_in(self.view)) else 1.0

    def lattice_errors(self) -> Float[Tensor, "rows columns"]:
        """How likely a click at each pixel of the lattice would mend something."""
        lattice = self.of.rendered.lattice
        xy = lattice.xy().reshape(lattice.rows, lattice.columns, 2)
        return self._unanswered(self._with_trust(self.of.lattice_errors(), self.of.probability, xy), xy)

    def picture_errors(self) -> Float[Tensor, "h w"]:
        """The same at every pixel of the picture."""
        camera = self.camera
        rows, columns = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
        xy = torch.stack([columns, rows], dim=-1) + 0.5
        errors = self._with_trust(self.of.picture_errors(camera), self.of.rendered.upsampled(1, camera), xy)
        return self._unanswered(errors, xy)

    def _with_trust(self, errors: Tensor, probability: Tensor, xy: Tensor) -> Tensor:
        """The errors together with those of what is taken on trust; as they are without a mask or a click inside."""
        clicks, mask = self.inside.seen_in(self.view), self.of.mask
        if mask is None or not len(clicks):
            return errors
        doubt = on_trust(probability > 0.5, xy, clicks, predicted_iou=mask.predicted_iou, count=self.inside.count)
        return 1 - (1 - errors) * (1 - doubt)

    def _unanswered(self, errors: Tensor, xy: Tensor) -> Tensor:
        """The errors with zeros about clicks."""
        if not len(self.clicked):
            return errors
        distance = torch.cdist(xy.reshape(-1, 2), self.clicked).amin(dim=1).reshape(errors.shape)
        near = _ANSWERED * math.hypot(self.camera.height, self.camera.width)
        return errors.masked_fill(distance <= near, 0.0)


def _clicks_in(view: int, clicked: Sequence[tuple[int, float, float]]) -> Float[Tensor, "clicks 2"]:
    return torch.tensor([(x, y) for of_view, x, y in clicked if of_view == view]).reshape(-1, 2)
