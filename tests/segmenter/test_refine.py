"""Feeding the last mask back: the rounds' rule on made-up decoders, and the same as the official call on real ones."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses, ViewPrompts
from sanerf.segmenter.refine import decode_chosen

SIZE = 20


def square(side: int) -> Tensor:
    """Logits of a square in the upper left corner."""
    logits = torch.full((1, SIZE, SIZE), -4.0)
    logits[0, :side, :side] = 4.0
    return logits


class Scripted:
    """Answers each object's n-th question with the n-th of its scripted (side of a square, predicted IoU)."""

    name = fingerprint = "scripted"

    def __init__(self, *scripts: list[tuple[int, float]], low_res: bool = True):
        self.scripts, self.low_res = scripts, low_res
        self.asked: list[list[ViewPrompts]] = []

    def encode(self, image):
        raise AssertionError("decoding alone is tested")

    def decode(self, features, prompts):
        out = []
        for prompt in prompts:
            which = int(prompt.points[0, 0])
            turn = sum(int(p.points[0, 0]) == which for call in self.asked for p in call)
            side, iou = self.scripts[which][turn]
            out.append(
                MaskHypotheses(square(side), torch.tensor([iou]), square(side)[:, ::2, ::2] if self.low_res else None)
            )
        self.asked.append(list(prompts))
        return out


def click(which: int, *more: tuple[float, float, int]) -> ViewPrompts:
    """A prompt of object `which`: its first click, inside of any square, names it."""
    points = [(which + 0.5, 0.5, 1), *more]
    return ViewPrompts(torch.tensor([p[:2] for p in points]), torch.tensor([p[2] for p in points]))


FEATURES = ImageFeatures({}, SIZE, SIZE)


def refined(segmenter: Scripted, *prompts: ViewPrompts, rounds: int):
    return decode_chosen(segmenter, FEATURES, prompts, rounds=rounds)


def area(mask: Tensor) -> int:
    return int((mask > 0).sum())


def test_without_rounds_the_decoder_is_asked_once():
    segmenter = Scripted([(5, 0.7)])
    (found,) = refined(segmenter, click(0), rounds=0)
    assert len(segmenter.asked) == 1 and (area(found.mask_logits), found.rounds) == (25, 0)
    assert found.predicted_iou == pytest.approx(0.7)


def test_the_last_mask_goes_back_as_it_came_with_the_same_points_and_box():
    segmenter = Scripted([(5, 0.5), (7, 0.6), (9, 0.7)])
    given = replace(click(0), box=torch.tensor([0.0, 0.0, 9.0, 9.0]), mask_logits=square(3)[0])
    (found,) = refined(segmenter, given, rounds=2)
    first, second, third = (call[0] for call in segmenter.asked)
    assert first is given
    for again, side in ((second, 5), (third, 7)):
        assert again.mask_logits is None and torch.equal(again.low_res_logits, square(side)[0, ::2, ::2])
        assert again.points is given.points and again.labels is given.labels and again.box is given.box
    assert (area(found.mask_logits), found.rounds) == (81, 2)


def test_a_decoder_without_low_resolution_logits_gets_the_whole_mask():
    segmenter = Scripted([(5, 0.5), (7, 0.6)], low_res=False)
    refined(segmenter, click(0), rounds=1)
    assert torch.equal(segmenter.asked[1][0].mask_logits, square(5)[0])
    assert segmenter.asked[1][0].low_res_logits is None


def test_the_better_is_kept_where_belief_falls_and_the_rounds_end_there():
    segmenter = Scripted([(5, 0.6), (7, 0.8), (9, 0.79), (11, 0.99)])
    (found,) = refined(segmenter, click(0), rounds=5)
    assert (area(found.mask_logits), found.rounds, len(segmenter.asked)) == (49, 1, 3)


def test_the_rounds_end_when_nothing_changes():
    """18 x 18 of 18 x 18 is the same mask; the answer after it is kept, since it is believed in more."""
    segmenter = Scripted([(5, 0.5), (18, 0.6), (18, 0.7), (19, 0.99)])
    (found,) = refined(segmenter, click(0), rounds=5)
    assert (area(found.mask_logits), found.rounds, len(segmenter.asked)) == (324, 2, 3)
    assert found.predicted_iou == pytest.approx(0.7)


def test_the_users_points_go_before_the_decoders_belief():
    """The click at (8.5, 8.5) is outside: a square of 9 holds it, one of 8 does not."""
    outside = click(0, (8.5, 8.5, 0))
    (gained,) = refined(Scripted([(9, 0.9), (8, 0.2)]), outside, rounds=1)
    (lost,) = refined(Scripted([(8, 0.2), (9, 0.9)]), outside, rounds=1)
    assert area(gained.mask_logits) == area(lost.mask_logits) == 64
    assert (gained.rounds, lost.rounds, gained.agreement, lost.agreement) == (1, 0, 1.0, 1.0)


def test_an_empty_mask_takes_no_masks_place_however_much_it_is_believed_in():
    """A click outside and a box, which both agree with nothing at all."""
    segmenter = Scripted([(5, 0.6), (0, 0.9), (7, 0.95)])
    outside = ViewPrompts(torch.tensor([[0.5, 12.5]]), torch.tensor([0]), torch.tensor([0.0, 0.0, 9.0, 9.0]))
    (found,) = refined(segmenter, outside, rounds=3)
    assert (area(found.mask_logits), found.rounds, len(segmenter.asked)) == (25, 0, 2)
    assert found.agreement == 1.0 and found.predicted_iou == pytest.approx(0.6)


def test_objects_that_are_done_are_not_asked_again_and_order_is_kept():
    segmenter = Scripted([(5, 0.9), (7, 0.1)], [(3, 0.1), (4, 0.2), (5, 0.3)], [(0, 0.9)])
    found = refined(segmenter, click(1), click(2), click(0), rounds=2)
    asked = [[int(prompt.points[0, 0]) for prompt in call] for call in segmenter.asked]
    # The empty mask of object 2 is nothing to go back; object 0 falls in belief.
    assert asked == [[1, 2, 0], [1, 0], [1]]
    assert [area(mask.mask_logits) for mask in found] == [25, 0, 25]
    assert [mask.rounds for mask in found] == [2, 0, 0]


def test_no_prompts_no_masks():
    assert refined(Scripted(), rounds=3) == []
