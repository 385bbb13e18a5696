"""The decoder asked again: what it is told, and what becomes of its answers."""

import math

import pytest
import torch
from torch import Tensor

from analytic_scene import camera_at, stage_renderer
from sanerf.aggregate.ray_bank import PixelLattice
from sanerf.aggregate.reprompt import nearest_hypothesis, prompts_with_mask, reprompt_masks
from sanerf.aggregate.revise import RenderedIdentities
from sanerf.aggregate.view_masks import Prompting
from sanerf.prompts.hearing import CLEARANCE
from sanerf.prompts.lift import IN_SPACE, LiftedPrompts
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses, ViewPrompts

SIZE = 20
CAMERA = camera_at(0.0, 0.0, size=SIZE)
NO_POINTS = ViewPrompts(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))


def rectangle(x0: int, y0: int, x1: int, y1: int) -> Tensor:
    mask = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    mask[y0:y1, x0:x1] = True
    return mask


def seen(points: list, labels: list) -> ViewPrompts:
    return ViewPrompts(torch.tensor(points).reshape(-1, 2), torch.tensor(labels, dtype=torch.int64))


def test_a_soft_mask_becomes_its_box_its_logits_and_the_point_deepest_inside():
    probability = torch.full((SIZE, SIZE), 0.0)
    probability[4:9, 6:13] = 0.75
    probability[4:9, 12] = 0.5  # not above one half: outside
    probability[6, 8] = 1.0
    prompts = prompts_with_mask(NO_POINTS, probability)
    assert prompts is not None and prompts.box is not None and prompts.box.tolist() == [6.0, 4.0, 12.0, 9.0]
    # Six columns by five rows: the middle row, in one of the two middle columns' depth of 3.
    assert prompts.points.tolist() in ([[8.5, 6.5]], [[9.5, 6.5]])
    assert prompts.labels.tolist() == [1]
    logits = prompts.mask_logits
    assert logits is not None and logits.shape == (SIZE, SIZE)
    assert float(logits[5, 7]) == pytest.approx(math.log(3), rel=1e-5)
    assert float(logits[5, 12]) == pytest.approx(0.0, abs=1e-6)
    # Certainty stays finite.
    assert float(logits[6, 8]) == pytest.approx(math.log(999), rel=1e-3)
    assert float(logits[0, 0]) == pytest.approx(-math.log(999), rel=1e-3)


def test_one_pixel_and_the_whole_picture_are_masks_too():
    for mask, box in ((rectangle(3, 17, 4, 18), [3, 17, 4, 18]), (rectangle(0, 0, SIZE, SIZE), [0, 0, SIZE, SIZE])):
        prompts = prompts_with_mask(NO_POINTS, mask.float())
        assert prompts is not None and prompts.box is not None and prompts.box.tolist() == box
        assert mask[tuple(prompts.points[0].long().flip(0).tolist())]


def test_clicks_go_along_and_those_inside_widen_the_box():
    field = torch.full((SIZE, SIZE), 0.1)
    field[8:13, 5:16] = 0.75
    found = prompts_with_mask(seen([[2.5, 9.5], [18.5, 2.5]], [1, 0]), field)
    assert found is not None and found.box is not None and found.mask_logits is not None
    assert found.points[1:].tolist() == [[2.5, 9.5], [18.5, 2.5]] and found.labels.tolist() == [1, 1, 0]
    assert field[int(found.points[0, 1]), int(found.points[0, 0])] > 0.5
    assert found.box.tolist() == [2.5, 8.0, 16.0, 13.0]
    assert float(found.mask_logits[9, 6]) == pytest.approx(math.log(3), rel=1e-5)
    assert float(found.mask_logits[0, 0]) == pytest.approx(-math.log(9), rel=1e-5)


def test_what_the_user_drew_is_taken_in_place_of_the_fields():
    field = torch.full((SIZE, SIZE), 0.9)
    box, logits = torch.tensor([3.0, 4.0, 9.0, 8.0]), torch.full((SIZE, SIZE), -2.0)
    found = prompts_with_mask(ViewPrompts(NO_POINTS.points, NO_POINTS.labels, box, logits), field)
    assert found is not None and found.box is box and found.mask_logits is logits


def test_the_deepest_point_keeps_away_from_clicks_outside():
    # Nine rows and nine columns of 200: the middle is alone in being deepest, and a click outside lies upon it.
    field = torch.full((200, 200), 0.1)
    field[10:19, 20:29] = 0.75
    found = prompts_with_mask(NO_POINTS, field)
    assert found is not None and found.points.tolist() == [[24.5, 14.5]] and found.labels.tolist() == [1]
    found = prompts_with_mask(seen([[24.5, 14.5]], [0]), field)
    assert found is not None and found.labels.tolist() == [1, 0]
    x, y = found.points[0].tolist()
    assert 20 < x < 29 and 10 < y < 19
    assert math.hypot(x - 24.5, y - 14.5) > CLEARANCE * 200 * math.sqrt(2)


def test_a_view_that_shows_nothing_is_asked_only_where_a_click_is_inside():
    nothing = torch.full((SIZE, SIZE), 0.1)
    assert prompts_with_mask(seen([[3.5, 3.5]], [0]), nothing) is None
    assert prompts_with_mask(NO_POINTS, nothing) is None
    clicked = seen([[3.5, 3.5]], [1])
    assert prompts_with_mask(clicked, nothing) is clicked


def logits_of(*masks: Tensor) -> Tensor:
    return torch.stack([torch.where(mask, 2.0, -3.0) for mask in masks])


def test_the_hypothesis_that_overlaps_the_field_most_is_taken_whatever_the_decoder_believes():
    rendered = rectangle(4, 4, 14, 14)
    answer = MaskHypotheses(
        logits_of(rectangle(4, 4, 8, 8), rectangle(6, 4, 16, 14), rectangle(0, 0, SIZE, SIZE)),
        torch.tensor([0.9, 0.2, 0.8]),
    )
    logits, predicted_iou, agreement = nearest_hypothesis(answer, rendered)
    assert torch.equal(logits, answer.mask_logits[1])
    assert predicted_iou == pytest.approx(0.2)
    assert agreement == pytest.approx(80 / 120)  # against 16 / 100 and 100 / 400
    nothing = nearest_hypothesis(MaskHypotheses(logits_of(rectangle(0, 0, 0, 0)), torch.tensor([0.9])), rendered)
    assert nothing[2] == 0.0


class Scripted:
    """Answers with given masks, by view, one for each prompt; the features' height carries the view."""

    name = fingerprint = "scripted"

    def __init__(self, answers: dict[int, list[Tensor]]):
        self.answers, self.asked = answers, {}

    def encode(self, image):
        raise AssertionError("features are given")

    def decode(self, features, prompts):
        view = int(features.maps["view"])
        self.asked[view] = [tuple(entry.box.tolist()) for entry in prompts]
        assert len(prompts) == len(self.answers[view]), (view, self.asked)
        return [MaskHypotheses(logits_of(mask), torch.tensor([0.6])) for mask in self.answers[view]]


def features_of(view: int) -> ImageFeatures:
    return ImageFeatures({"view": torch.tensor(float(view))}, SIZE, SIZE)


def identities_of(*masks: Tensor) -> RenderedIdentities:
    """A field that is sure to nine tenths of the objects in `masks`, in this order, seen at every pixel."""
    objects = torch.stack([mask.float() * 0.9 for mask in masks], dim=-1)
    probability = torch.cat([1 - objects.sum(-1, keepdim=True), objects], dim=-1)
    return RenderedIdentities(PixelLattice(0, SIZE, SIZE, 0, 0, 1), probability)


def unseen(name: str) -> LiftedPrompts:
    """An object whose only click is behind all cameras."""
    return LiftedPrompts(name, torch.tensor([[0.0, 0.0, -50.0]]), torch.tensor([1]), (IN_SPACE,))


def test_agreeing_masks_are_taken_contradicting_ones_left_out_and_unseen_objects_not_asked_about():
    nothing, cup, hat = rectangle(0, 0, 0, 0), rectangle(2, 3, 8, 9), rectangle(10, 10, 20, 20)
    better_cup = rectangle(2, 3, 8, 10)  # IoU 36 / 42
    rendered = {3: identities_of(cup, hat), 5: identities_of(nothing, hat), 8: identities_of(nothing, nothing)}
    # In view 3 the decoder sees the hat elsewhere; in view 5 half of it, an IoU of 50 / 100, which still agrees.
    segmenter = Scripted({3: [better_cup, rectangle(0, 10, 10, 20)], 5: [rectangle(10, 10, 20, 15)]})
    steps = []
    cameras = {3: CAMERA, 5: CAMERA, 8: CAMERA}
    found = reprompt_masks(
        Prompting(segmenter, features_of, [unseen("cup"), unseen("hat")], cameras, stage_renderer()), rendered,
        on_progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert segmenter.asked == {3: [(2, 3, 8, 9), (10, 10, 20, 20)], 5: [(10, 10, 20, 20)]}
    assert {view: list(masks) for view, masks in found.items()} == {3: ["cup"], 5: ["hat"]}
    assert found[3]["cup"].predicted_iou == pytest.approx(0.6)
    expected = torch.where(better_cup, torch.sigmoid(torch.tensor(2.0)), torch.sigmoid(torch.tensor(-3.0)))
    torch.testing.assert_close(found[3]["cup"].probability, expected)
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_speckles_are_not_asked_about():
    """A hundredth of a per cent of the picture: one pixel of 150 x 150 is less."""
    camera = camera_at(0.0, 0.0, size=150)
    probability = torch.zeros(150, 150, 2)
    probability[..., 0] = 1.0
    probability[70, 70] = torch.tensor([0.0, 1.0])
    identities = RenderedIdentities(PixelLattice(0, 150, 150, 0, 0, 1), probability)

    def found():
        return reprompt_masks(
            Prompting(Scripted({}), features_of, [unseen("dust")], {0: camera}, stage_renderer()), {0: identities}
        )

    assert found() == {}
    probability[70:72, 70:72] = torch.tensor([0.0, 1.0])
    with pytest.raises(KeyError):
        found()


def test_a_view_in_which_the_field_shows_nothing_takes_the_mask_that_agrees_with_the_clicks():
    """A click on the stage's wall, which both hypotheses hold: the one that is believed in more."""
    camera = camera_at(0.0, 0.0, size=SIZE)

    class Halves(Scripted):
        def decode(self, features, prompts):
            masks = logits_of(rectangle(0, 0, SIZE // 2, SIZE), rectangle(0, 0, SIZE, SIZE))
            return [MaskHypotheses(masks, torch.tensor([0.6, 0.9]))] * len(prompts)

    def found(shown: Tensor):
        wall = LiftedPrompts("wall", torch.tensor([[0.7, 0.0, 0.8]]), torch.tensor([1]), (2,))
        return reprompt_masks(
            Prompting(Halves({}), features_of, [wall], {2: camera}, stage_renderer()), {2: identities_of(shown)}
        )

    nothing = found(rectangle(0, 0, 0, 0))[2]["wall"]
    assert bool((nothing.probability > 0.5).all()) and nothing.predicted_iou == pytest.approx(0.9)
    left = found(rectangle(0, 0, SIZE // 2 - 1, SIZE))[2]["wall"]
    assert bool((left.probability[:, : SIZE // 2] > 0.5).all()) and left.predicted_iou == pytest.approx(0.6)
    assert not bool((left.probability[:, SIZE // 2 :] > 0.5).any())
