"""Masks of views: decoded where prompts are seen, read from files where another tool made them."""

import numpy as np
import pytest
import torch
from PIL import Image

from analytic_scene import camera_at, stage_renderer
from sanerf.aggregate.view_masks import Prompting, decode_view, decode_views, masks_from_files
from sanerf.data.scene import Scene, View
from sanerf.errors import UserError
from sanerf.geometry.cameras import project, resized
from sanerf.geometry.transforms import IDENTITY
from sanerf.prompts.lift import LiftedPrompts
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses

FRONT = camera_at(0.0, 0.0, size=20)
ASIDE = camera_at(-1.2, 0.0, size=20, towards=(0.0, 0.0, 0.2))


class SquareSegmenter:
    """Decodes a click to a 5 x 5 square about it, of logit 2 in a surround of -3; the worse hypothesis is empty."""

    name = fingerprint = "square"

    def __init__(self):
        self.asked: list[list[list[float]]] = []

    def encode(self, image):
        raise AssertionError("decoding alone is tested")

    def decode(self, features, prompts):
        self.asked.append([entry.points.tolist() for entry in prompts])
        answers = []
        for entry in prompts:
            x, y = (int(v) for v in entry.points[0])
            logits = torch.full((2, features.height, features.width), -3.0)
            logits[1, max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = 2.0
            answers.append(MaskHypotheses(logits, torch.tensor([0.9, 0.6])))
        return answers


def lifted(name: str, *p_world: tuple[float, float, float]) -> LiftedPrompts:
    return LiftedPrompts(name, torch.tensor(p_world), torch.ones(len(p_world), dtype=torch.int64), (0,) * len(p_world))


# On the ball's front, and on the wall straight behind it: hidden from the front, seen from aside.
ON_BALL, BEHIND = lifted("ball", (0.0, 0.0, -0.35)), lifted("wall", (0.0, 0.0, 0.8))
FEATURES = ImageFeatures({}, 20, 20)


def test_only_objects_whose_prompts_are_seen_are_decoded():
    segmenter, renderer, both = SquareSegmenter(), stage_renderer(), [ON_BALL, BEHIND]
    front = decode_view(segmenter, FEATURES, lifted=both, view=0, camera=FRONT, renderer=renderer)
    assert list(front) == ["ball"]
    aside = decode_view(segmenter, FEATURES, lifted=both, view=1, camera=ASIDE, renderer=renderer)
    assert list(aside) == ["ball", "wall"]
    expected = project(ASIDE, BEHIND.p_world)[0]
    torch.testing.assert_close(torch.tensor(segmenter.asked[1][1]), expected)


def test_a_masks_probability_is_the_sigmoid_of_the_chosen_hypothesis():
    found = decode_view(SquareSegmenter(), FEATURES, lifted=[ON_BALL], view=0, camera=FRONT, renderer=stage_renderer())[
        "ball"
    ]
    # The prompt's own point goes before the decoder's belief in the empty mask.
    assert found.predicted_iou == pytest.approx(0.6)
    square = torch.zeros(20, 20, dtype=torch.bool)
    square[8:13, 8:13] = True
    expected = torch.where(square, torch.sigmoid(torch.tensor(2.0)), torch.sigmoid(torch.tensor(-3.0)))
    torch.testing.assert_close(found.probability, expected)


def test_a_view_that_sees_nothing_has_no_entry():
    steps = []
    cameras = {4: FRONT, 9: ASIDE}
    prompting = Prompting(SquareSegmenter(), lambda view: FEATURES, [BEHIND], cameras, stage_renderer())
    found = decode_views(prompting, on_progress=lambda done, total: steps.append((done, total)))
    assert list(found) == [9] and list(found[9]) == ["wall"]
    assert steps == [(1, 2), (2, 2)]


def two_view_scene(tmp_path) -> Scene:
    views = tuple(View(f"{name}.jpg", tmp_path / f"{name}.jpg", FRONT) for name in ("a", "b"))
    return Scene(tmp_path, "made up", views, (0, 1), (), IDENTITY, 0.05, 3.0)


def write_mask(path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)


def test_masks_from_files_are_shrunk_by_area_and_missing_ones_left_out(tmp_path):
    scene = two_view_scene(tmp_path)
    mask = np.zeros((20, 20), dtype=bool)
    mask[:, :11] = True
    write_mask(tmp_path / "masks" / "ball" / "a.png", mask)
    write_mask(tmp_path / "masks" / "wall" / "b.png", ~mask)
    cameras = {view: resized(FRONT, 10, 5) for view in (0, 1)}
    found = masks_from_files(tmp_path / "masks", ["ball", "wall"], scene, cameras)
    assert {view: list(masks) for view, masks in found.items()} == {0: ["ball"], 1: ["wall"]}
    # Columns 10 and 11 of the file make column 5 of the run: half of it is object.
    row = torch.tensor([1.0] * 5 + [0.5] + [0.0] * 4)
    torch.testing.assert_close(found[0]["ball"].probability, row.expand(5, 10))
    torch.testing.assert_close(found[1]["wall"].probability, 1 - row.expand(5, 10))
    assert found[0]["ball"].predicted_iou == 1.0


def test_masks_of_views_of_equal_stem_stay_apart(tmp_path):
    views = tuple(View(name, tmp_path / name, FRONT) for name in ("left/a.jpg", "right/a.jpg"))
    scene = Scene(tmp_path, "made up", views, (0, 1), (), IDENTITY, 0.05, 3.0)
    write_mask(tmp_path / "masks" / "left-a.png", np.zeros((20, 20), dtype=bool))
    write_mask(tmp_path / "masks" / "right" / "a.png", np.ones((20, 20), dtype=bool))
    found = masks_from_files(tmp_path / "masks", ["ball"], scene, {0: FRONT, 1: FRONT})
    assert {view: float(masks["ball"].probability.mean()) for view, masks in found.items()} == {0: 0.0, 1: 1.0}


def test_masks_that_are_missing_or_cannot_be_read_are_named(tmp_path):
    scene = two_view_scene(tmp_path)
    cameras = {0: FRONT, 1: FRONT}
    with pytest.raises(UserError, match=r"there is no masks folder .*nowhere"):
        masks_from_files(tmp_path / "nowhere", ["ball"], scene, cameras)
    (tmp_path / "masks").mkdir()
    with pytest.raises(UserError, match=r"no mask of 'ball' for any of the 2 views; expected files like ball.a\.png"):
        masks_from_files(tmp_path / "masks", ["ball"], scene, cameras)
    (tmp_path / "masks" / "a.png").write_text("no picture")
    with pytest.raises(UserError, match=r"a\.png cannot be read"):
        masks_from_files(tmp_path / "masks", ["ball"], scene, cameras)


def test_an_object_without_a_folder_is_a_user_error_and_a_single_one_needs_none(tmp_path):
    scene = two_view_scene(tmp_path)
    write_mask(tmp_path / "masks" / "a.png", np.ones((20, 20), dtype=bool))
    assert list(masks_from_files(tmp_path / "masks", ["ball"], scene, {0: FRONT, 1: FRONT})) == [0]
    with pytest.raises(UserError, match="no folder 'ball'"):
        masks_from_files(tmp_path / "masks", ["ball", "wall"], scene, {0: FRONT})
