"""Boxes are decoded in photographs, but never in one that is held out."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from analytic_scene import BLUE, RED, camera_at, stage_renderer
from sanerf.data.scene import Scene, View
from sanerf.geometry.cameras import Camera, project
from sanerf.geometry.transforms import IDENTITY
from sanerf.prompts.file import BoxPrompt, ObjectPrompts, PromptSet
from sanerf.run.config import RunConfig
from sanerf.run.containers import CachedFeatures
from sanerf.run.decoding import Decoder, lift_prompts
from sanerf.run.folder import create_run
from sanerf.segmenter.cache import FeatureCache
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses, Segmenter

SIZE = 32
GREEN = (10, 200, 30)


class BoxFiller:
    """A segmenter whose mask is the box, and which keeps the pictures it was shown."""

    name = "box filler"
    fingerprint = "0"

    def __init__(self):
        self.seen: list[torch.Tensor] = []

    def encode(self, image):
        self.seen.append(image)
        return ImageFeatures({"nothing": torch.zeros(1)}, SIZE, SIZE)

    def decode(self, features, prompts):
        out = []
        for asked in prompts:
            x0, y0, x1, y1 = asked.box.int().tolist()
            logits = torch.full((1, SIZE, SIZE), -5.0)
            logits[0, y0:y1, x0:x1] = 5.0
            out.append(MaskHypotheses(logits, torch.ones(1)))
        return out


class ByHalves(BoxFiller):
    """Its mask is the box's left half, and the whole box once a mask is fed back."""

    def decode(self, features, prompts):
        answers = []
        for asked, answer in zip(prompts, super().decode(features, prompts), strict=True):
            logits, first = answer.mask_logits, asked.mask_logits is None
            if first:
                logits[..., int(asked.box[::2].mean()) :] = -5.0
            answers.append(MaskHypotheses(logits, torch.tensor([0.5 if first else 0.9])))
        return answers


def decoder_on(folder: Path, segmenter: Segmenter) -> tuple[Decoder, list[Camera]]:
    """On two green photographs, the second held out."""
    for name in ("0.png", "1.png"):
        Image.new("RGB", (SIZE, SIZE), GREEN).save(folder / name)
    cameras = [camera_at(0.0, 0.0, size=SIZE), camera_at(0.1, 0.0, size=SIZE)]
    views = tuple(View(f"{i}.png", folder / f"{i}.png", camera) for i, camera in enumerate(cameras))
    run = create_run(folder / "run", Scene(folder, "made up", views, (0,), (1,), IDENTITY, 0.05, 3.0), RunConfig())
    container = CachedFeatures(segmenter, FeatureCache(segmenter, run.features), run, stage_renderer())
    return Decoder(segmenter, container, run), cameras


def box_in(view: str) -> PromptSet:
    return PromptSet((ObjectPrompts("ball", boxes=(BoxPrompt(view, (12.0, 12.0, 20.0, 20.0)),)),))


@pytest.mark.parametrize(("view", "held_out"), [("0.png", False), ("1.png", True)])
def test_a_box_in_a_held_out_view_is_decoded_in_the_rendered_picture(tmp_path, view, held_out):
    """The photographs are green all over; what is rendered is a red ball before a blue wall."""
    segmenter = BoxFiller()
    decoder, cameras = decoder_on(tmp_path, segmenter)
    (lifted,) = lift_prompts(box_in(view), decoder, cameras=cameras, renderer=stage_renderer())
    assert len(lifted.p_world) and lifted.labels.tolist() == [1] * len(lifted.p_world)
    (picture,) = segmenter.seen
    if held_out:
        assert (picture[SIZE // 2, SIZE // 2].float() / 255 - torch.tensor(RED)).abs().max() < 0.02
        assert (picture[0, 0].float() / 255 - torch.tensor(BLUE)).abs().max() < 0.02
    else:
        assert (picture == torch.tensor(GREEN)).all()


@pytest.mark.parametrize(("rounds", "deepest"), [(0, [13.5, 13.5]), (1, [15.5, 15.5])])
def test_a_boxs_mask_is_refined_before_points_stand_for_it(tmp_path, rounds, deepest):
    """Of 4 x 8 and of 8 x 8 pixels the deepest, the first of equals."""
    decoder, cameras = decoder_on(tmp_path, ByHalves())
    (lifted,) = lift_prompts(box_in("0.png"), decoder, cameras=cameras, renderer=stage_renderer(), refine=rounds)
    xy, _ = project(cameras[0], lifted.p_world[:1])
    torch.testing.assert_close(xy, torch.tensor([deepest]), atol=1e-3, rtol=0)
