"""Whether prompts fit a scene: its views, their pictures' sizes, and the painted strokes and masks that they name."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from sanerf.data.images import load_view_mask
from sanerf.data.scene import Scene, View
from sanerf.errors import UserError
from sanerf.prompts.file import LineScribble, ObjectPrompts, PaintedScribble, PromptSet
from sanerf.prompts.scribble import scribble_clicks

Place = tuple[float, float, float, float]


def check_prompts(prompts: PromptSet, scene: Scene) -> None:
    """Raise UserError where a prompt names a view that `scene` has not, or lies outside of its picture, where a
    pixel is both inside and outside of an object, and where a painted stroke or a mask cannot be read, is empty or has
    another shape than its view's picture.

    A box may reach over the picture's border but not lie beyond it.
    """
    for entry in prompts.objects:
        with _about(f"object {entry.name!r}"):
            for view, place, what in _places(entry):
                _check_place(scene.views[scene.view_index(view)], view, place, what)
            _check_masks(entry, scene)
            _check_labels(entry, scene)


@contextmanager
def _about(what: str) -> Iterator[None]:
    """Lets a UserError begin with what it is about."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{what}: {error}") from error


def _places(entry: ObjectPrompts) -> Iterator[tuple[str, Place, str]]:
    """What an object's prompts touch in pictures: view, (x0, y0, x1, y1), and words for it."""
    for point in entry.points_2d:
        yield point.view, (*point.xy, *point.xy), f"the click at {point.xy}"
    for scribble in entry.scribbles:
        if isinstance(scribble, LineScribble):
            for xy in scribble.xy:
                yield scribble.view, (*xy, *xy), f"the scribble's corner at {xy}"
    for box in entry.boxes:
        yield box.view, box.xyxy, f"the box {box.xyxy}"


def _check_place(view: View, name: str, place: Place, what: str) -> None:
    x0, y0, x1, y1 = place
    camera = view.camera
    if x1 < 0 or y1 < 0 or x0 >= camera.width or y0 >= camera.height:
        raise UserError(f"{what} is outside of {name}, which has {camera.width} x {camera.height} pixels")


def _check_masks(entry: ObjectPrompts, scene: Scene) -> None:
    masked = set()
    for mask in entry.masks:
        index = scene.view_index(mask.view)
        if index in masked:
            raise UserError(f"two masks are given for {mask.view}; expected one mask a view")
        masked.add(index)
    painted = [scribble for scribble in entry.scribbles if isinstance(scribble, PaintedScribble)]
    for what, prompt in (*(("stroke", s) for s in painted), *(("mask", m) for m in entry.masks)):
        if not bool(load_view_mask(prompt.path, scene.views[scene.view_index(prompt.view)]).any()):
            raise UserError(f"the {what} {prompt.path} is empty: no pixel of it is above 127")


def _check_labels(entry: ObjectPrompts, scene: Scene) -> None:
    clicks = [(point.view, point.xy, point.label, f"the click at {point.xy}") for point in entry.points_2d]
    for scribble in entry.scribbles:
        found = scribble_clicks(scribble, scene.views[scene.view_index(scribble.view)])
        clicks += [
            (scribble.view, (x, y), scribble.label, f"the scribble at ({x:.1f}, {y:.1f})") for x, y in found.tolist()
        ]
    labels: dict[tuple[int, int, int], int] = {}
    for view, xy, label, what in clicks:
        pixel = (scene.view_index(view), math.floor(xy[0]), math.floor(xy[1]))
        if labels.setdefault(pixel, label) != label:
            raise UserError(f"{what} in {view} is both inside and outside")
