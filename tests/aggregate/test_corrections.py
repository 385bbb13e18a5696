"""Votes on the decoder's answers to clicks inside and outside of an object."""

import torch

from analytic_scene import camera_at, stage_renderer
from sanerf.aggregate.corrections import first_vote, vote_and_correct
from sanerf.aggregate.ray_bank import RayBank, build_ray_bank
from sanerf.aggregate.revise import render_identities
from sanerf.aggregate.view_masks import Prompting, decode_views
from sanerf.geometry.cameras import image_rays
from sanerf.prompts.lift import LiftedPrompts
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses, ViewPrompts

SIZE = 40
# Four views of the wall at z = 0.8; the ball is in the middle.
CAMERAS = {view: camera_at(0.05 * view, 0.0, size=SIZE) for view in range(4)}
RENDERER = stage_renderer()


class Obedient:
    """Takes all that is left of column 36, and without the right half where a click outside forbids it."""

    name = fingerprint = "obedient"

    def __init__(self):
        self.asked: list[ViewPrompts] = []

    def encode(self, image):
        raise AssertionError("features are given")

    def decode(self, features, prompts):
        self.asked += prompts
        answers = []
        for entry in prompts:
            logits = torch.full((1, SIZE, SIZE), -4.0)
            logits[..., : 36 if bool((entry.labels == 1).all()) else SIZE // 2] = 4.0
            answers.append(MaskHypotheses(logits, torch.tensor([0.9])))
        return answers


def bank() -> RayBank:
    generator = torch.Generator().manual_seed(0)
    return build_ray_bank(CAMERAS, RENDERER, total_rays=10**5, weight_threshold=1e-3, generator=generator)


def on_the_wall(column: int, row: int) -> torch.Tensor:
    """The point of the wall under a pixel's centre in view 0."""
    rays = image_rays(CAMERAS[0])
    origin, direction = rays.origins[row * SIZE + column], rays.directions[row * SIZE + column]
    return (origin + direction * (0.8 - origin[2]) / direction[2])[None].float()


def asking(outside: int) -> tuple[Prompting, Obedient]:
    """A click inside on the left of view 0, and one outside in column `outside` of it."""
    points = torch.cat([on_the_wall(8, 4), on_the_wall(outside, 4)])
    segmenter = Obedient()
    lifted = LiftedPrompts("wall", points, torch.tensor([1, 0]), (0, 0))
    return Prompting(segmenter, lambda view: ImageFeatures({}, SIZE, SIZE), [lifted], CAMERAS, RENDERER), segmenter


def test_a_click_outside_deep_in_what_is_voted_is_heard_in_all_views():
    prompting, segmenter = asking(30)
    rays, first = bank(), decode_views(prompting)
    # In its own view it is heard at once.
    assert [bool((entry.labels == 0).any()) for entry in segmenter.asked] == [True, False, False, False]
    vote = first_vote(rays, first, ["wall"], prompting)
    assert [bool((entry.labels == 0).any()) for entry in segmenter.asked[4:]] == [True] * 4
    assert vote.revised == 0
    for view in CAMERAS:
        assert not bool((vote.masks[view]["wall"].probability[:, SIZE // 2 :] > 0.5).any())
        shown = render_identities(vote.field, rays)[view].upsampled(1, CAMERAS[view]) > 0.5
        assert bool(shown[5, 8]) and not bool(shown[5, 30])


def test_a_click_outside_at_the_edge_is_heard_in_its_own_view_alone(monkeypatch):
    # 2.8 pixels of these small pictures.
    monkeypatch.setattr("sanerf.prompts.hearing.CLEARANCE", 0.05)
    prompting, segmenter = asking(36)
    vote = first_vote(bank(), decode_views(prompting), ["wall"], prompting)
    assert len(segmenter.asked) == 4
    assert bool((vote.masks[1]["wall"].probability[:, 25:35] > 0.5).all())


def test_the_instant_answer_asks_every_view_again_with_the_vote_and_the_clicks():
    prompting, segmenter = asking(30)
    answer = vote_and_correct(prompting, bank())
    again = segmenter.asked[8:]
    assert len(again) == 4 and all(entry.mask_logits is not None and entry.box is not None for entry in again)
    assert all((entry.labels == 0).sum() == 1 and (entry.labels == 1).sum() == 2 for entry in again)
    for view in CAMERAS:
        assert bool((answer.masks[view]["wall"].probability[:, : SIZE // 2] > 0.5).all())
        assert not bool((answer.masks[view]["wall"].probability[:, SIZE // 2 :] > 0.5).any())
    assert answer.decode_seconds > 0 and answer.vote_seconds > 0


def test_objects_that_nobody_asks_about_keep_their_masks():
    prompting, _ = asking(30)
    masks = decode_views(prompting)
    other = {view: {**of_view, "ball": of_view["wall"]} for view, of_view in masks.items()}
    vote = first_vote(bank(), other, ["ball", "wall"], prompting)
    assert all(vote.masks[view]["ball"] is other[view]["ball"] for view in CAMERAS)
    assert not bool((vote.masks[1]["wall"].probability[:, SIZE // 2 :] > 0.5).any())
