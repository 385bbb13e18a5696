"""Masks that clicks and field give together: what is asked of the decoder, and which clicks speak in which view."""

import math

import pytest
import torch

from analytic_scene import camera_at, stage_renderer
from sanerf.aggregate.corrections import CLEARANCE, correct_masks, corrected_prompts, far_reaching, said_in
from sanerf.aggregate.ray_bank import PixelLattice
from sanerf.aggregate.revise import RenderedIdentities
from sanerf.geometry.cameras import image_rays
from sanerf.prompts.lift import LiftedPrompts
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses, ViewPrompts

SIZE = 200
CAMERAS = {2: camera_at(0.0, 0.0, size=SIZE), 5: camera_at(0.3, 0.0, size=SIZE)}
LATTICE = PixelLattice(0, SIZE, SIZE, 0, 0, 1)


def shown(rows: slice, columns: slice) -> torch.Tensor:
    out = torch.full((SIZE, SIZE), 0.1)
    out[rows, columns] = 0.75
    return out


def rendered(probability: torch.Tensor) -> RenderedIdentities:
    return RenderedIdentities(LATTICE, torch.stack([1 - probability, probability], dim=-1))


def prompts(points: list, labels: list) -> ViewPrompts:
    return ViewPrompts(torch.tensor(points).reshape(-1, 2), torch.tensor(labels, dtype=torch.int64))


def on_the_wall(view: int, column: int, row: int) -> torch.Tensor:
    """The point of the plane z = 0.5 under a pixel's centre."""
    rays = image_rays(CAMERAS[view])
    origin, direction = rays.origins[row * SIZE + column], rays.directions[row * SIZE + column]
    return (origin + direction * (0.5 - origin[2]) / direction[2])[None].float()


def test_clicks_go_to_the_decoder_with_the_fields_mask():
    field = shown(slice(10, 20), slice(5, 30))
    found = corrected_prompts(prompts([[6.5, 12.5], [33.5, 2.5]], [1, 0]), field)
    assert found is not None and found.points.tolist() == [[6.5, 12.5], [33.5, 2.5]]
    assert found.labels.tolist() == [1, 0] and found.box is None and found.mask_logits is not None
    assert float(found.mask_logits[15, 15]) == pytest.approx(math.log(3), rel=1e-5)
    assert float(found.mask_logits[0, 0]) == pytest.approx(-math.log(9), rel=1e-5)


def test_a_view_without_a_click_inside_gets_the_deepest_point_away_from_clicks_outside():
    # Nine rows and nine columns: the middle is alone in being deepest, and a click outside lies upon it.
    field = shown(slice(10, 19), slice(20, 29))
    found = corrected_prompts(prompts([], []), field)
    assert found is not None and found.points.tolist() == [[24.5, 14.5]] and found.labels.tolist() == [1]
    found = corrected_prompts(prompts([[24.5, 14.5]], [0]), field)
    assert found is not None and found.labels.tolist() == [0, 1]
    x, y = found.points[1].tolist()
    assert 20 < x < 29 and 10 < y < 19
    assert math.hypot(x - 24.5, y - 14.5) > CLEARANCE * SIZE * math.sqrt(2)


def test_a_view_that_shows_nothing_is_asked_only_where_a_click_is_inside():
    nothing = torch.full((SIZE, SIZE), 0.1)
    assert corrected_prompts(prompts([[3.5, 3.5]], [0]), nothing) is None
    assert corrected_prompts(prompts([], []), nothing) is None
    found = corrected_prompts(prompts([[3.5, 3.5]], [1]), nothing)
    assert found is not None and found.mask_logits is None


def test_clicks_outside_at_an_edge_speak_in_their_own_view_alone():
    # The field shows columns 50 to 149: pixels beside its edge, deep inside, far outside, and one inside.
    places, labels = [(50, 99), (150, 99), (100, 99), (180, 99), (50, 101)], [0, 0, 0, 0, 1]
    points = torch.cat([on_the_wall(2, column, row) for column, row in places])
    lifted = LiftedPrompts("cup", points, torch.tensor(labels), {}, views=(2,) * 5)
    field = {view: rendered(shown(slice(20, 180), slice(50, 150))) for view in CAMERAS}
    far = far_reaching(lifted, 1, field, CAMERAS)
    assert far.tolist() == [False, False, True, True, True]
    assert torch.equal(said_in(lifted, 2, far).p_world, points)
    elsewhere = said_in(lifted, 5, far)
    assert torch.equal(elsewhere.p_world, points[2:]) and elsewhere.labels.tolist() == [0, 0, 1]
    assert elsewhere.views == (2, 2, 2)
    # Points given in space have no view, and prompts of unknown origin are all said everywhere.
    assert len(said_in(LiftedPrompts("cup", points, torch.tensor(labels), {}), 5, far).labels) == 5
    in_space = LiftedPrompts("cup", points[:1], torch.tensor([0]), {}, views=(-1,))
    assert len(said_in(in_space, 5, torch.tensor([False])).labels) == 1


class Remembering:
    """Answers every prompt with the left half of the picture and with all of it, surer of the latter."""

    name, fingerprint = "halves", "halves-1"

    def __init__(self):
        self.asked: list[ViewPrompts] = []

    def encode(self, image):
        raise AssertionError("features are given")

    def decode(self, features, prompts):
        self.asked += prompts
        left = torch.full((SIZE, SIZE), -4.0)
        left[:, : SIZE // 2] = 4.0
        answer = MaskHypotheses(torch.stack([left, torch.full((SIZE, SIZE), 4.0)]), torch.tensor([0.6, 0.9]))
        return [answer] * len(prompts)


def corrected(probability: dict[int, torch.Tensor]):
    """The masks of an object with one click, on the stage's wall in view 2, where the field shows `probability`."""
    segmenter = Remembering()
    point = torch.tensor([[0.7, 0.0, 0.8]])
    masks = correct_masks(
        segmenter,
        lambda view: ImageFeatures({}, SIZE, SIZE),
        lifted=[LiftedPrompts("wall", point, torch.tensor([1]), {}, views=(2,))],
        heard=[torch.tensor([True])],
        rendered={view: rendered(values) for view, values in probability.items()},
        cameras=CAMERAS,
        renderer=stage_renderer(),
    )
    return masks, segmenter.asked


def test_of_the_decoders_masks_the_one_nearest_to_the_field_is_taken():
    left = shown(slice(0, SIZE), slice(0, SIZE // 2 - 2))
    masks, asked = corrected({2: left, 5: left})
    assert len(asked) == 2 and all(prompt.mask_logits is not None for prompt in asked)
    for view in CAMERAS:
        assert bool((masks[view]["wall"].probability[:, : SIZE // 2] > 0.5).all())
        assert not bool((masks[view]["wall"].probability[:, SIZE // 2 :] > 0.5).any())
        assert masks[view]["wall"].predicted_iou == pytest.approx(0.6)


def test_a_view_in_which_decoder_and_field_disagree_has_no_mask_and_one_without_a_field_takes_the_decoders():
    corner = shown(slice(0, 40), slice(160, SIZE))
    masks, _ = corrected({2: corner, 5: torch.full((SIZE, SIZE), 0.1)})
    assert 2 not in masks
    # Both answers agree with the click: the one that is believed in more.
    assert bool((masks[5]["wall"].probability > 0.5).all())
