"""Later prompts of an object beside its earlier ones, and what takes the place of what."""

from pathlib import Path

import pytest

from analytic_scene import camera_at
from sanerf.data.scene import Scene, View
from sanerf.errors import UserError
from sanerf.geometry.transforms import IDENTITY
from sanerf.prompts.file import BoxPrompt, LineScribble, MaskPrompt, ObjectPrompts, PointPrompt2D, PointPrompt3D
from sanerf.prompts.merge import with_more

VIEWS = tuple(View(f"images/{i}.png", Path(f"{i}.png"), camera_at(0.0, 0.0)) for i in range(2))
SCENE = Scene(Path("nowhere"), "made up", VIEWS, (0, 1), (), IDENTITY, 0.05, 3.0)


def test_later_clicks_come_behind_earlier_ones_and_the_last_word_on_a_pixel_holds():
    first, second = PointPrompt2D("0.png", (3.5, 4.5), 1), PointPrompt2D("1.png", (3.5, 4.5), 1)
    taken_back, other = PointPrompt2D("images/0.png", (3.9, 4.1), 0), PointPrompt2D("0.png", (4.5, 4.5), 0)
    merged = with_more(ObjectPrompts("cup", (first, second)), ObjectPrompts("cup", (taken_back, other)), SCENE)
    assert merged.points_2d == (second, taken_back, other), "the view is the same by either name"


def test_a_view_has_one_box_and_one_mask_and_all_else_is_kept():
    before = ObjectPrompts(
        "cup",
        points_3d=(PointPrompt3D((0.0, 0.0, 0.0), 1), PointPrompt3D((1.0, 0.0, 0.0), 1)),
        boxes=(BoxPrompt("0.png", (0.0, 0.0, 2.0, 2.0)), BoxPrompt("1.png", (0.0, 0.0, 3.0, 3.0))),
        text="a cup",
        scribbles=(LineScribble("0.png", ((1.0, 1.0),), 1),),
        masks=(MaskPrompt("0.png", Path("a.png")), MaskPrompt("1.png", Path("b.png"))),
    )
    more = ObjectPrompts(
        "cup",
        points_3d=(PointPrompt3D((1.0, 0.0, 0.0), 0),),
        boxes=(BoxPrompt("images/0.png", (1.0, 1.0, 2.0, 2.0)),),
        scribbles=(LineScribble("1.png", ((2.0, 2.0),), 0),),
        masks=(MaskPrompt("images/1.png", Path("c.png")),),
    )
    assert with_more(before, more, SCENE) == ObjectPrompts(
        "cup",
        points_3d=(before.points_3d[0], *more.points_3d),
        boxes=(before.boxes[1], *more.boxes),
        text="a cup",
        scribbles=(*before.scribbles, *more.scribbles),
        masks=(before.masks[0], *more.masks),
    )
    assert with_more(before, ObjectPrompts("cup"), SCENE) == before


def test_a_view_that_is_not_there_is_named():
    with pytest.raises(UserError, match=r"there is no view '7\.png'"):
        with_more(ObjectPrompts("cup"), ObjectPrompts("cup", (PointPrompt2D("7.png", (0.5, 0.5), 1),)), SCENE)
