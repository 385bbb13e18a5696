"""An object's later prompts beside its earlier ones: a click corrects an answer, it does not start another."""

import math
from dataclasses import replace

from sanerf.data.scene import Scene
from sanerf.prompts.file import ObjectPrompts, PointPrompt2D


def with_more(before: ObjectPrompts, more: ObjectPrompts, scene: Scene) -> ObjectPrompts:
    """One object's prompts of before with those that come later behind them.

    What can only be said once is said by the later one: what a pixel is, a view's box, a view's mask, and the words.
    UserError where `more` names a view that the scene has not.
    """
    assert before.name == more.name, (before.name, more.name)

    def pixel(point: PointPrompt2D) -> tuple[int, int, int]:
        return scene.view_index(point.view), math.floor(point.xy[0]), math.floor(point.xy[1])

    clicked = {pixel(point) for point in more.points_2d}
    boxed = {scene.view_index(box.view) for box in more.boxes}
    masked = {scene.view_index(mask.view) for mask in more.masks}
    in_space = {point.xyz for point in more.points_3d}
    return replace(
        before,
        points_2d=(*(point for point in before.points_2d if pixel(point) not in clicked), *more.points_2d),
        points_3d=(*(point for point in before.points_3d if point.xyz not in in_space), *more.points_3d),
        boxes=(*(box for box in before.boxes if scene.view_index(box.view) not in boxed), *more.boxes),
        text=before.text if more.text is None else more.text,
        scribbles=(*before.scribbles, *more.scribbles),
        masks=(*(mask for mask in before.masks if scene.view_index(mask.view) not in masked), *more.masks),
    )
