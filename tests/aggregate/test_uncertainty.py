"""Expected errors and predicted IoU against closed forms."""

import math

import pytest
import torch
from torch import Tensor

from sanerf.aggregate.predicted_iou import ObjectPrediction, expected_counts, predict_iou
from sanerf.aggregate.ray_bank import PixelLattice
from sanerf.aggregate.revise import RenderedIdentities
from sanerf.aggregate.uncertainty import (
    WITNESSES,
    belief_in,
    contradicted,
    object_in_views,
    object_probability,
    wrong_probability,
)
from sanerf.aggregate.view_masks import ViewMask

SIDE = 20


def square(row: int, column: int, size: int, value: float = 1.0) -> Tensor:
    out = torch.zeros(SIDE, SIDE)
    out[row : row + size, column : column + size] = value
    return out


def rendered(*of_objects: Tensor) -> RenderedIdentities:
    background = 1 - torch.stack(of_objects).sum(dim=0)
    return RenderedIdentities(PixelLattice(0, SIDE, SIDE, 0, 0, 1), torch.stack([background, *of_objects], dim=-1))


def test_odds_against_the_strongest_rival_count_as_many_times_as_there_are_witnesses():
    """0.6 against 0.3, the 0.1 of a third being of no account: odds of two, to the power of `WITNESSES`."""
    probability = torch.tensor([[0.3, 0.6, 0.1], [0.5, 0.2, 0.3], [0.4, 0.4, 0.2]])
    odds = torch.tensor([2.0, 0.4, 1.0]) ** WITNESSES
    torch.testing.assert_close(object_probability(probability, 1), odds / (1 + odds))


def test_certain_pixels_are_certain_and_finite():
    of_object = object_probability(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), 1)
    torch.testing.assert_close(of_object, torch.tensor([0.0, 1.0]))


def test_a_pixel_is_wrong_by_what_speaks_against_its_side():
    torch.testing.assert_close(wrong_probability(torch.tensor([0.9, 0.6, 0.2])), torch.tensor([0.1, 0.4, 0.2]))


def test_a_contradicting_mask_adds_what_it_is_believed_and_an_agreeing_one_nothing():
    of_object, mask = torch.tensor([0.9, 0.9, 0.2, 0.2]), torch.tensor([1.0, 0.0, 1.0, 0.0])
    # Right with 0.9 and not contradicted with 1 - 0.5: wrong with 1 - 0.45; likewise 1 - 0.8 * 0.5.
    torch.testing.assert_close(contradicted(of_object, mask, 0.5), torch.tensor([0.1, 0.55, 0.6, 0.2]))


def test_a_mask_of_something_else_is_not_believed():
    assert belief_in(ViewMask(torch.zeros(2, 2), 1.0), 0.0) == 0
    assert belief_in(ViewMask(torch.zeros(2, 2), 0.5), 0.8) == pytest.approx(belief_in(ViewMask(mask(), 1.0), 0.4))


def mask() -> Tensor:
    return square(4, 4, 10)


def prediction_of(views, masks) -> ObjectPrediction:
    """About the only object of a field, "a"."""
    return predict_iou(object_in_views(views, masks, index=1, name="a"))


def test_the_expected_counts_are_those_of_many_draws():
    """Against truths drawn pixel by pixel."""
    generator = torch.Generator().manual_seed(0)
    of_object = torch.rand(30, 30, generator=generator)
    truths = torch.rand(4000, 30, 30, generator=generator) < of_object
    inside = of_object > 0.5
    intersection, union = expected_counts(of_object)
    assert intersection == pytest.approx(float((truths & inside).sum((1, 2)).float().mean()), rel=0.01)
    assert union == pytest.approx(float((truths | inside).sum((1, 2)).float().mean()), rel=0.01)


def test_a_sure_field_whose_masks_agree_predicts_one_and_an_object_seen_nowhere_zero():
    views = {0: rendered(mask()), 1: rendered(mask())}
    sure = prediction_of(views, {0: {"a": ViewMask(mask(), 1.0)}})
    assert sure.iou == pytest.approx(1.0, abs=1e-6) and list(sure.views) == [0, 1]
    assert prediction_of({0: rendered(torch.zeros(SIDE, SIDE))}, {}).iou == 0


def test_the_prediction_falls_with_each_witness():
    """A field less sure, a mask that overlaps less, a decoder that believes less in it."""

    def predicted(sure: float, size: int, belief: float) -> float:
        own = rendered(square(4, 4, 10, sure))
        return predict_iou(
            object_in_views({0: own}, {0: {"a": ViewMask(square(4, 4, size), belief)}}, index=1, name="a")
        ).iou

    best = predicted(0.98, 10, 0.95)
    assert predicted(0.7, 10, 0.95) < best > predicted(0.98, 9, 0.95)
    assert predicted(0.98, 10, 0.6) < best


def test_masks_of_something_else_do_not_count_unless_all_are():
    views = {view: rendered(mask()) for view in range(3)}
    other = ViewMask(square(14, 14, 5), 1.0)
    good = {0: {"a": ViewMask(mask(), 1.0)}, 1: {"a": ViewMask(mask(), 1.0)}}
    kept = prediction_of(views, {**good, 2: {"a": other}}).iou
    assert kept == pytest.approx(prediction_of(views, good).iou)
    assert prediction_of(views, {2: {"a": other}}).iou == 0


def test_a_view_whose_own_mask_agrees_less_is_predicted_to_be_worse():
    views = {view: rendered(mask()) for view in range(2)}
    masks = {0: {"a": ViewMask(mask(), 1.0)}, 1: {"a": ViewMask(square(4, 4, 8), 1.0)}}
    of_views = prediction_of(views, masks).views
    assert of_views[1] < of_views[0]
    assert math.isclose(of_views[0], 1.0, abs_tol=1e-6)
