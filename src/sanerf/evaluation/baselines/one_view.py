"""The prompts of one view, for methods that are asked in one view alone, and the mask they give there."""

from collections.abc import Sequence

from sanerf.data.scene import Scene
from sanerf.geometry.cameras import Camera
from sanerf.prompts.file import ObjectPrompts
from sanerf.prompts.lift import LiftedPrompts, view_prompts
from sanerf.render.images import Renderer
from sanerf.segmenter.protocol import ViewPrompts


def prompts_of_one_view(entry: ObjectPrompts) -> ObjectPrompts:
    """The prompts of the first view that has one inside of the object: points first, then scribbles, boxes and masks,
    each in the file's order. An object with points in space alone keeps those."""
    inside = [
        *(point.view for point in entry.points_2d if point.label == 1),
        *(scribble.view for scribble in entry.scribbles if scribble.label == 1),
        *(prompt.view for prompt in (*entry.boxes, *entry.masks)),
    ]
    if not inside:
        return entry
    view = inside[0]
    return ObjectPrompts(
        entry.name,
        points_2d=tuple(point for point in entry.points_2d if point.view == view),
        boxes=tuple(box for box in entry.boxes if box.view == view),
        text=entry.text,
        scribbles=tuple(scribble for scribble in entry.scribbles if scribble.view == view),
        masks=tuple(mask for mask in entry.masks if mask.view == view),
    )


def asked_view(entry: ObjectPrompts, scene: Scene) -> int | None:
    """The view that `prompts_of_one_view` left; None where all are points in space."""
    views = [prompt.view for prompt in (*entry.points_2d, *entry.scribbles, *entry.boxes, *entry.masks)]
    return scene.view_index(views[0]) if views else None


def first_view(
    lifted: LiftedPrompts, asked: int | None, cameras: Sequence[Camera], training: dict[int, Camera], renderer: Renderer
) -> tuple[int, ViewPrompts] | None:
    """The training view in which an object's prompts are decoded, and what is seen of them there.

    That is the view they were drawn in; where that is held out, the nearest training view that sees a point inside, and
    for points in space the first that does. None where none does. `cameras` are all views', `training` the training
    views', both at the run's resolution.
    """
    order = list(training)
    if asked is not None:
        order.sort(key=lambda view: float((training[view].centre - cameras[asked].centre).norm()))
    for view in order:
        seen = view_prompts(lifted, view, training[view], renderer)
        if seen is not None:
            return view, seen
    return None
