"""The losses of mini's masks, of their predicted IoU, and of the coarse mask."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FOCAL_POWER = 2.0
COARSE_WEIGHT = 0.3


def normalised_focal(logits: Tensor, truth: Tensor) -> Tensor:
    """Sofiiuk et al. (2021): the focal loss divided by the sum of its weights, one number a mask (last two axes)."""
    cross_entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    weight = (1 - torch.exp(-cross_entropy.detach())) ** FOCAL_POWER + 1e-3
    return (weight * cross_entropy).sum((-2, -1)) / weight.sum((-2, -1))


def dice(logits: Tensor, truth: Tensor) -> Tensor:
    """1 - 2 |A and B| / (|A| + |B|) of the soft mask, one number a mask."""
    soft = torch.sigmoid(logits)
    both = (soft * truth).sum((-2, -1))
    return 1 - (2 * both + 1) / (soft.sum((-2, -1)) + truth.sum((-2, -1)) + 1)


def hard_iou(logits: Tensor, truth: Tensor) -> Tensor:
    """IoU of the thresholded mask, one number a mask."""
    mask, object_ = logits > 0, truth > 0.5
    both = (mask & object_).sum((-2, -1)).float()
    return both / (mask | object_).sum((-2, -1)).clamp(min=1)


def mask_loss(
    logits: Tensor, predicted_iou: Tensor, coarse: Tensor, truth: Tensor, ambiguous: Tensor
) -> tuple[Tensor, Tensor]:
    """The total loss, and the IoU of the mask that the prediction prefers (n), for the log.

    `logits` and `coarse` n x 3 x h x w, each at its size, `truth` n x h x w, `ambiguous` n bool: for those (one
    click) only the best of the three hypotheses learns, with a whisper to the others; for the rest all three do.
    """
    target = truth[:, None].expand_as(logits)
    small = F.interpolate(truth[:, None], size=coarse.shape[-2:], mode="area").expand_as(coarse)
    each = normalised_focal(logits, target) + dice(logits, target)
    each = each + COARSE_WEIGHT * (normalised_focal(coarse, small) + dice(coarse, small))
    best = each.min(1).values * 0.9 + each.mean(1) * 0.1
    mask_term = torch.where(ambiguous, best, each.mean(1)).mean()
    found = hard_iou(logits.detach(), target)
    iou_term = F.mse_loss(predicted_iou, found)
    chosen = found.gather(1, predicted_iou.detach().argmax(1, keepdim=True))[:, 0]
    return mask_term + iou_term, chosen
