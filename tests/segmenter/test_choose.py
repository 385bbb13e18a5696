"""Choosing among a decoder's masks, on masks drawn by hand."""

import pytest
import torch
from torch import Tensor

from sanerf.segmenter.choose import best_hypothesis, extent_iou, point_agreement
from sanerf.segmenter.protocol import MaskHypotheses, ViewPrompts

H, W = 20, 30


def rectangle(x0: int, y0: int, x1: int, y1: int) -> Tensor:
    logits = torch.full((H, W), -4.0)
    logits[y0:y1, x0:x1] = 4.0
    return logits


PART, OBJECT, SCENE = rectangle(5, 5, 10, 10), rectangle(5, 5, 20, 15), rectangle(0, 0, 30, 20)


def hypotheses(*iou: float) -> MaskHypotheses:
    return MaskHypotheses(torch.stack([PART, OBJECT, SCENE])[: len(iou)], torch.tensor(iou))


def prompts(*clicks: tuple[float, float, int], box: list[float] | None = None) -> ViewPrompts:
    return ViewPrompts(
        torch.tensor([[x, y] for x, y, _ in clicks]).reshape(-1, 2),
        torch.tensor([label for *_, label in clicks], dtype=torch.long),
        None if box is None else torch.tensor(box),
    )


@pytest.mark.parametrize(
    ("given", "iou", "best"),
    [
        (prompts((7.0, 7.0, 1)), (0.5, 0.7, 0.9), 2),  # all agree: the decoder's belief
        (prompts((7.0, 7.0, 1), (15.0, 12.0, 1)), (0.9, 0.5, 0.4), 1),  # the part misses a click
        (prompts((7.0, 7.0, 1), (25.0, 18.0, 0)), (0.4, 0.5, 0.9), 1),  # the scene holds what is not meant
        (prompts((7.0, 7.0, 1), (15.0, 12.0, 0)), (0.1, 0.9, 0.9), 0),
        (prompts(box=[4.0, 4.0, 21.0, 16.0]), (0.9, 0.1, 0.95), 1),
        (prompts((7.0, 7.0, 1), box=[0.5, 0.5, 29.5, 19.5]), (0.9, 0.8, 0.1), 2),
        (prompts((25.0, 18.0, 0), box=[0.0, 0.0, 30.0, 20.0]), (0.2, 0.8, 0.9), 1),  # clicks go before boxes
        (prompts((7.0, 7.0, 1)), (0.8, 0.8, 0.8), 0),  # the first of equals
        (prompts((30.0, 20.0, 1)), (0.9, 0.9, 0.1), 2),  # the picture's very corner is its last pixel
    ],
)
def test_prompts_go_before_belief(given: ViewPrompts, iou: tuple[float, ...], best: int):
    assert best_hypothesis(hypotheses(*iou), given) == best


def test_box_fits_within_a_tenth_are_equal():
    """Extents of IoU 1 and 0.95 with the box: the belief decides; of 1 and 0.5: the fit does."""
    box = prompts(box=[5.0, 5.0, 25.0, 15.0])
    near = MaskHypotheses(torch.stack([rectangle(5, 5, 25, 15), rectangle(5, 5, 24, 15)]), torch.tensor([0.1, 0.9]))
    assert best_hypothesis(near, box) == 1
    far = MaskHypotheses(torch.stack([rectangle(5, 5, 25, 15), rectangle(5, 5, 15, 15)]), torch.tensor([0.1, 0.9]))
    assert best_hypothesis(far, box) == 0


def test_extent_iou_closed_form():
    masks = torch.stack([OBJECT, SCENE, torch.full((H, W), -1.0)]) > 0
    # 15 x 10 pixels from (5, 5) against the box (10, 10, 30, 20): overlap 10 x 5, union 150 + 200 - 50
    torch.testing.assert_close(
        extent_iou(masks, torch.tensor([10.0, 10.0, 30.0, 20.0])), torch.tensor([50 / 300, 200 / 600, 0.0])
    )


def test_point_agreement_counts_each_click():
    given = prompts((7.0, 7.0, 1), (15.0, 12.0, 1), (25.0, 18.0, 0), (1.0, 1.0, 0))
    masks = torch.stack([PART, OBJECT, SCENE]) > 0
    torch.testing.assert_close(point_agreement(masks, given), torch.tensor([0.75, 1.0, 0.5]))


def test_an_empty_mask_can_be_chosen_only_when_nothing_is_better():
    empty = torch.full((H, W), -1.0)
    answer = MaskHypotheses(torch.stack([empty, OBJECT]), torch.tensor([0.99, 0.1]))
    assert best_hypothesis(answer, prompts((7.0, 7.0, 1))) == 1
    alone = MaskHypotheses(empty[None], torch.tensor([0.99]))
    assert best_hypothesis(alone, prompts((7.0, 7.0, 1))) == 0
