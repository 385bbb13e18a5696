"""Which of a decoder's masks to keep: the one that does what the prompts say, then the one it believes in.

The paper keeps the mask of highest predicted IoU; a decoder asked with few clicks often ranks a part or the whole
scene first, against the user's own negative click. The prompts are therefore asked first.
"""

import torch
from torch import Tensor

from sanerf.segmenter.protocol import MaskHypotheses, ViewPrompts
from sanerf.segmenter.regions import mask_boxes
from sanerf.shapes import Bool, Float

_BOX_SLACK = 0.1
"""Box fits this close to the best count as equally good: a box drawn by hand is no more exact."""


def best_hypothesis(hypotheses: MaskHypotheses, prompts: ViewPrompts) -> int:
    """The index of the best hypothesis.

    Best means: the largest fraction of points whose label the mask agrees with; among those, with a box, the masks
    whose extent has an IoU with it within 0.1 of the best; among those the highest predicted IoU, the first of equals.
    """
    masks = hypotheses.mask_logits > 0
    agreement = point_agreement(masks, prompts)
    candidates = agreement >= agreement.max()
    if prompts.box is not None:
        fit = extent_iou(masks, prompts.box)
        candidates &= fit >= fit[candidates].max() - _BOX_SLACK
    belief = hypotheses.predicted_iou.masked_fill(~candidates.to(hypotheses.predicted_iou.device), -torch.inf)
    return int(belief.argmax())


def point_agreement(masks: Bool[Tensor, "hypotheses h w"], prompts: ViewPrompts) -> Float[Tensor, "hypotheses"]:
    """The fraction of points on the right side of each mask, 1 where there are none; clicks are held to the picture."""
    if not len(prompts.labels):
        return torch.ones(len(masks), device=masks.device)
    height, width = masks.shape[1:]
    column = prompts.points[:, 0].floor().long().clamp(0, width - 1).to(masks.device)
    row = prompts.points[:, 1].floor().long().clamp(0, height - 1).to(masks.device)
    wanted = prompts.labels.to(masks.device) == 1
    return (masks[:, row, column] == wanted).float().mean(dim=1)


def extent_iou(masks: Bool[Tensor, "hypotheses h w"], box: Float[Tensor, "4"]) -> Float[Tensor, "hypotheses"]:
    """IoU of each mask's bounding box (edges of its outermost pixels) with `box`, 0 for an empty mask."""
    x0, y0, x1, y1 = box.tolist()
    left, top, right, bottom = mask_boxes(masks).double().unbind(1)
    width, height = right.clamp(max=x1) - left.clamp(min=x0), bottom.clamp(max=y1) - top.clamp(min=y0)
    overlap = width.clamp(min=0) * height.clamp(min=0)
    areas = (right - left) * (bottom - top)
    # A mask that is not empty has an area of 1 at least.
    iou = overlap / (areas + (x1 - x0) * (y1 - y0) - overlap).clamp(min=1)
    return torch.where(areas > 0, iou, 0.0).float()
