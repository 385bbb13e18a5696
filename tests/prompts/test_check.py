"""Prompts against a scene: scribbles and masks that name no view, no file, a wrong shape, nothing at all."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sanerf.data.scene import Scene, View
from sanerf.errors import UserError
from sanerf.geometry.cameras import Camera
from sanerf.geometry.transforms import IDENTITY
from sanerf.prompts.check import check_prompts
from sanerf.prompts.file import LineScribble, MaskPrompt, ObjectPrompts, PaintedScribble, PointPrompt2D, PromptSet


def scene() -> Scene:
    camera = Camera(100, 80, 90.0, 90.0, 50.0, 40.0, torch.eye(4, dtype=torch.float64))
    views = tuple(View(name, Path(name), camera) for name in ("a.jpg", "b.jpg"))
    return Scene(Path("capture"), "nerfstudio", views, (0,), (1,), IDENTITY, 0.1, 10.0)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Strokes: a fit one, one of half the size, one of another shape, an empty one and one that is no picture."""
    for name, (height, width) in {"fit": (80, 100), "half": (40, 50), "tall": (100, 80), "empty": (80, 100)}.items():
        pixels = np.zeros((height, width), dtype=np.uint8)
        if name != "empty":
            pixels[10:14, 10:40] = 128
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    # 127 is not yet object.
    Image.fromarray(np.full((80, 100), 127, dtype=np.uint8)).save(tmp_path / "grey.png")
    (tmp_path / "text.png").write_text("no picture")
    return tmp_path


@pytest.mark.parametrize("kind", ["scribble", "mask"])
def test_painted_prompts_that_do_not_fit_are_one_sentence(folder, kind: str):
    def prompts(name: str, view: str = "a.jpg") -> PromptSet:
        if kind == "mask":
            return PromptSet((ObjectPrompts("cape", masks=(MaskPrompt(view, folder / name),)),))
        return PromptSet((ObjectPrompts("cape", scribbles=(PaintedScribble(view, folder / name, 0),)),))

    check_prompts(prompts("fit.png"), scene())
    check_prompts(prompts("half.png", "b"), scene())
    for name, view, words in (
        ("none.png", "a.jpg", "there is no such file"),
        ("text.png", "a.jpg", "not a picture"),
        ("tall.png", "a.jpg", "is 80x100, another shape than its picture a.jpg of 100x80"),
        ("empty.png", "a.jpg", f"the {'mask' if kind == 'mask' else 'stroke'} {folder / 'empty.png'} is empty"),
        ("grey.png", "a.jpg", "no pixel of it is above 127"),
        ("fit.png", "c.jpg", "there is no view 'c.jpg'"),
    ):
        with pytest.raises(UserError) as caught:
            check_prompts(prompts(name, view), scene())
        assert str(caught.value).startswith("object 'cape': ") and "\n" not in str(caught.value)
        assert words in str(caught.value), name


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            ObjectPrompts("cape", scribbles=(LineScribble("a.jpg", ((5.0, 5.0), (100.0, 5.0)), 1),)),
            "object 'cape': the scribble's corner at (100.0, 5.0) is outside of a.jpg, which has 100 x 80 pixels",
        ),
        (
            ObjectPrompts("cape", scribbles=(LineScribble("c.jpg", ((5.0, 5.0),), 1),)),
            "object 'cape': there is no view 'c.jpg'",
        ),
        (
            ObjectPrompts(
                "cape",
                (PointPrompt2D("a.jpg", (7.9, 3.2), 1),),
                scribbles=(LineScribble("a.jpg", ((7.1, 3.8),), 0),),
            ),
            "object 'cape': the scribble at (7.1, 3.8) in a.jpg is both inside and outside",
        ),
        (  # one view under two names
            ObjectPrompts("cape", (PointPrompt2D("a.jpg", (7.9, 3.2), 1), PointPrompt2D("a", (7.1, 3.8), 0))),
            "object 'cape': the click at (7.1, 3.8) in a is both inside and outside",
        ),
        (
            ObjectPrompts("cape", masks=(MaskPrompt("a.jpg", Path("x.png")), MaskPrompt("a", Path("y.png")))),
            "object 'cape': two masks are given for a",
        ),
    ],
)
def test_scribbles_and_masks_that_contradict_or_lie_outside(entry: ObjectPrompts, words: str):
    with pytest.raises(UserError) as caught:
        check_prompts(PromptSet((entry,)), scene())
    assert words in str(caught.value) and "\n" not in str(caught.value)
