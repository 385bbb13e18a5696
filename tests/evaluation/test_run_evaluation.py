"""Scores of a run whose renderer and objects are known in closed form: counts by hand, and what the baseline sees."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from analytic_scene import BALL_RADIUS, camera_at, cast, picture, stage_renderer
from sanerf.data.scene import Scene, TrainingMask, View
from sanerf.errors import UserError
from sanerf.evaluation.masks import MaskCounts, count_masks
from sanerf.evaluation.metrics import squared_error
from sanerf.evaluation.run_evaluation import DecoderAlone, ScoredView, TrueMasks, evaluate_run, scores_to_json
from sanerf.fields.object import ObjectField
from sanerf.geometry.transforms import IDENTITY
from sanerf.prompts.lift import IN_SPACE, LiftedPrompts
from sanerf.render.pictures import to_bytes
from sanerf.run.config import RunConfig
from sanerf.run.folder import Run
from sanerf.run.segmentation import Segmentation, render_objects
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses

SIZE = 24
CAMERAS = [camera_at(0.2 * i - 0.2, 0.1, size=SIZE) for i in range(3)]


class BallField(ObjectField):
    """The one object is the ball with a margin about it."""

    def __init__(self):
        torch.nn.Module.__init__(self)

    def forward(self, p_world):
        inside = p_world.norm(dim=1) < BALL_RADIUS + 0.05
        return torch.stack([torch.zeros(len(p_world)), torch.where(inside, 6.0, -6.0)], dim=1)


@pytest.fixture
def run(tmp_path) -> Run:
    """Three views of the stage; 1 and 2 are held out."""
    for i, camera in enumerate(CAMERAS):
        Image.fromarray(picture(camera)[0].numpy()).save(tmp_path / f"{i}.png")
    views = tuple(View(f"{i}.png", tmp_path / f"{i}.png", camera) for i, camera in enumerate(CAMERAS))
    scene = Scene(tmp_path, "made up", views, (0,), (1, 2), IDENTITY, 0.05, 3.0)
    return Run(tmp_path / "run", scene, RunConfig())


SEGMENTATION = Segmentation(Path("nowhere"), ("ball",), BallField(), {})


def write_mask(path: Path, mask: torch.Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.numpy().astype(np.uint8) * 255).save(path)


def test_counts_are_pooled_over_the_views_that_have_a_mask(run, tmp_path):
    """A true mask of another size than the picture is compared at its own; the third view has none."""
    masks = {0: cast(CAMERAS[0])[1].reshape(SIZE, SIZE), 1: torch.zeros(2 * SIZE, 2 * SIZE, dtype=torch.bool)}
    masks[1][:SIZE] = True
    for view, mask in masks.items():
        write_mask(tmp_path / "masks" / "ball" / f"{view}.png", mask)
    renderer, seen = stage_renderer(), []
    scores = evaluate_run(
        run, renderer, segmentations=[SEGMENTATION], views=(0, 1, 2),
        true_masks=TrueMasks(tmp_path / "masks", ("ball",)), on_view=seen.append,
    )  # fmt: skip
    assert [scored.index for scored in seen] == [0, 1, 2] and isinstance(seen[0], ScoredView)
    rendered = [render_objects(renderer, camera, [SEGMENTATION], run.background) for camera in CAMERAS]
    expected = sum((count_masks(rendered[i].mask("ball", *m.shape), m) for i, m in masks.items()), MaskCounts())
    assert scores.objects["ball"].counts == expected and scores.objects["ball"].views == 2
    assert expected.pixels == SIZE**2 + (2 * SIZE) ** 2
    photos = [picture(camera)[0].float() / 255 for camera in CAMERAS]
    errors = [squared_error(image.image.rgb, photo) for image, photo in zip(rendered, photos, strict=True)]
    assert scores.psnr == pytest.approx(sum(errors[1:], errors[0]).psnr)
    inside = squared_error(rendered[0].image.rgb, photos[0], masks[0])
    upper_half = torch.arange(SIZE)[:, None].expand(SIZE, SIZE) < SIZE // 2
    assert scores.objects["ball"].inside == inside + squared_error(rendered[1].image.rgb, photos[1], upper_half)
    found = scores_to_json(scores)
    assert found["views"] == 3 and "decoder_alone" not in found
    assert found["objects"]["ball"]["iou"] == found["mean"]["iou"] == round(expected.iou, 4)


def test_the_psnr_leaves_out_what_a_training_mask_excludes(run, tmp_path):
    photo = picture(CAMERAS[1])[0]
    kept = torch.ones(SIZE, SIZE, dtype=torch.bool)
    kept[4:9, 3:20] = False
    spoilt = photo.clone()
    spoilt[~kept] = 255 - spoilt[~kept]
    Image.fromarray(spoilt.numpy()).save(tmp_path / "1.png")
    write_mask(tmp_path / "mask.png", kept)
    views = list(run.scene.views)
    views[1] = replace(views[1], training_mask=TrainingMask(tmp_path / "mask.png"))
    masked = replace(run, scene=replace(run.scene, views=tuple(views)))
    renderer = stage_renderer()
    scores = evaluate_run(masked, renderer, segmentations=[], views=(1,), true_masks=None)
    rendered = render_objects(renderer, CAMERAS[1], [], run.background).image.rgb
    assert scores.psnr == pytest.approx(squared_error(rendered, photo.float() / 255, kept).psnr)
    assert scores.psnr > evaluate_run(run, renderer, segmentations=[], views=(1,), true_masks=None).psnr + 3


def test_an_object_without_any_true_mask_is_refused(run, tmp_path):
    write_mask(tmp_path / "masks" / "ball" / "0.png", torch.ones(SIZE, SIZE, dtype=torch.bool))
    with pytest.raises(UserError, match="no view that was scored has a true mask of 'ball'"):
        evaluate_run(
            run, stage_renderer(), segmentations=[SEGMENTATION], views=(1, 2),
            true_masks=TrueMasks(tmp_path / "masks", ("ball",)),
        )  # fmt: skip


def test_what_is_no_number_is_null(run):
    scores = evaluate_run(run, stage_renderer(), segmentations=[], views=(), true_masks=None)
    assert math.isnan(scores.psnr)
    assert json.loads(json.dumps(scores_to_json(scores), allow_nan=False)) == {
        "psnr": None, "ssim": None, "views": 0, "objects": {},
    }  # fmt: skip


class Watched:
    """A segmenter that notes the pictures it is shown and finds the picture's left half, whatever the prompt."""

    name, fingerprint = "watched", "watched"

    def __init__(self):
        self.shown: list[torch.Tensor] = []

    def encode(self, image):
        self.shown.append(image)
        return ImageFeatures({}, image.shape[0], image.shape[1])

    def decode(self, features, prompts):
        left = (torch.arange(features.width) < features.width // 2).expand(1, features.height, features.width)
        return [MaskHypotheses(left.float() - 0.5, torch.ones(1)) for _ in prompts]


def test_the_decoder_alone_sees_the_rendering_and_never_the_held_out_photograph(run, tmp_path):
    for view in (1, 2):
        write_mask(tmp_path / "masks" / f"{view}.png", cast(CAMERAS[view])[1].reshape(SIZE, SIZE))
    renderer, segmenter = stage_renderer(), Watched()
    lifted = LiftedPrompts("ball", torch.tensor([[0.0, 0.0, -BALL_RADIUS]]), torch.tensor([1]), (IN_SPACE,))
    for i in (1, 2):
        Image.new("RGB", (SIZE, SIZE), (0, 255, 0)).save(tmp_path / f"{i}.png")
    scores = evaluate_run(
        run, renderer, segmentations=[SEGMENTATION], views=(1, 2),
        true_masks=TrueMasks(tmp_path / "masks", ("ball",)), alone=DecoderAlone(segmenter, [lifted]),
    )  # fmt: skip
    rendered = [render_objects(renderer, CAMERAS[i], [], run.background).image.rgb for i in (1, 2)]
    assert len(segmenter.shown) == 2
    for shown, rgb in zip(segmenter.shown, rendered, strict=True):
        assert torch.equal(shown, torch.from_numpy(to_bytes(rgb)))
    # Asked for the photographs, which are all green, it is shown those.
    evaluate_run(
        run, renderer, segmentations=[SEGMENTATION], views=(1, 2), true_masks=TrueMasks(tmp_path / "masks", ("ball",)),
        alone=DecoderAlone(segmenter, [lifted], sees="photograph"),
    )  # fmt: skip
    assert all(
        torch.equal(shown, torch.tensor([0, 255, 0]).byte().expand(SIZE, SIZE, 3)) for shown in segmenter.shown[2:]
    )
    assert len(segmenter.shown) == 4
    left = (torch.arange(SIZE) < SIZE // 2).expand(SIZE, SIZE)
    truths = [cast(CAMERAS[i])[1].reshape(SIZE, SIZE) for i in (1, 2)]
    expected = sum((count_masks(left, truth) for truth in truths), MaskCounts())
    assert scores.alone["ball"].counts == expected
    # An object whose prompts are hidden is one that the decoder finds nowhere.
    behind = replace(lifted, p_world=torch.tensor([[0.0, 0.0, 0.2]]))
    hidden = evaluate_run(
        run, renderer, segmentations=[SEGMENTATION], views=(1, 2),
        true_masks=TrueMasks(tmp_path / "masks", ("ball",)), alone=DecoderAlone(segmenter, [behind]),
    )  # fmt: skip
    assert hidden.alone["ball"].counts.intersection == 0 and hidden.alone["ball"].views == 2
