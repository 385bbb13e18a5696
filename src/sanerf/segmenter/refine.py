"""Iterative refinement: the mask that a decoder answered goes back to it as a mask prompt, beside the same prompts.

This is how SAM (Kirillov et al. 2023, appendix A) and its siblings are trained for several clicks, and what their
authors' predictors call `mask_input`: the low-resolution logits as the decoder gave them. A round is kept only where it
is no worse by what can be known without the truth: the prompts' own points, then the decoder's predicted IoU.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from sanerf.segmenter.choose import best_hypothesis, point_agreement
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses, Segmenter, ViewPrompts
from sanerf.segmenter.regions import mask_iou
from sanerf.shapes import Float

SAME_MASK_IOU = 0.99
"""Masks of two rounds that overlap so much are one, and the rounds end."""


@dataclass(frozen=True)
class ChosenMask:
    """The hypothesis that was kept of a decoder's answers; a logit above 0 is object. `rounds` is how many times a mask
    was fed back for it."""

    mask_logits: Float[Tensor, "h w"]
    predicted_iou: float
    agreement: float
    """the fraction of the prompts' points on the right side"""
    low_res_logits: Float[Tensor, "ph pw"] | None
    rounds: int


def decode_chosen(
    segmenter: Segmenter, features: ImageFeatures, prompts: Sequence[ViewPrompts], *, rounds: int = 0
) -> list[ChosenMask]:
    """The best mask of each prompt, in order, after at most `rounds` rounds of feeding it back.

    In a round all prompts that still change are decoded in one call, each with its own points and box and with its last
    mask in place of the mask it came with, if any. A prompt's rounds end where its new mask agrees with fewer of its
    points or is believed in less than the last, or is empty, and the last is then kept; where the two overlap by
    `SAME_MASK_IOU`; and where there is no mask to feed back because the first is empty.
    """
    assert rounds >= 0, rounds
    answers = segmenter.decode(features, prompts)
    out = [chosen_mask(answer, prompt) for answer, prompt in zip(answers, prompts, strict=True)]
    going = [index for index, kept in enumerate(out) if bool((kept.mask_logits > 0).any())]
    for done in range(1, rounds + 1):
        if not going:
            break
        answers = segmenter.decode(features, [fed_back(prompts[index], out[index]) for index in going])
        changing = []
        for index, answer in zip(going, answers, strict=True):
            found, kept = chosen_mask(answer, prompts[index], rounds=done), out[index]
            mask = found.mask_logits > 0
            worse = (found.agreement, found.predicted_iou) < (kept.agreement, kept.predicted_iou)
            # A box alone, or clicks outside alone, agree with an empty mask.
            if worse or not bool(mask.any()):
                continue
            out[index] = found
            if float(mask_iou(mask[None], kept.mask_logits > 0)) < SAME_MASK_IOU:
                changing.append(index)
        going = changing
    return out


def chosen_mask(answer: MaskHypotheses, prompt: ViewPrompts, *, rounds: int = 0) -> ChosenMask:
    """The best hypothesis of an answer, with all that the next round or click needs of it."""
    best = best_hypothesis(answer, prompt)
    low_res = None if answer.low_res_logits is None else answer.low_res_logits[best]
    agreement = point_agreement(answer.mask_logits[best : best + 1] > 0, prompt)
    return ChosenMask(answer.mask_logits[best], float(answer.predicted_iou[best]), float(agreement[0]), low_res, rounds)


def fed_back(prompt: ViewPrompts, kept: ChosenMask) -> ViewPrompts:
    """The prompt with the last mask in place of its own, at the decoder's own resolution where it gives that."""
    if kept.low_res_logits is None:
        return replace(prompt, mask_logits=kept.mask_logits, low_res_logits=None)
    return replace(prompt, mask_logits=None, low_res_logits=kept.low_res_logits)
