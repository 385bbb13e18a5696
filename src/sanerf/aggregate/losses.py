"""The losses of the mask aggregator (paper, section 3.3). Eq. 9 to 14, the ray-pair RGB loss, will stand here too."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.shapes import Bool, Float


def mask_logits(
    composited: Float[Tensor, "rays objects"], accumulation: Float[Tensor, "rays"], empty_logit: float = 5.0
) -> Float[Tensor, "rays objects"]:
    """The logits under the softmax of Eq. 7.

    Eq. 7 as printed gives a ray that hits nothing all logits zero, so every identity the same probability. Here the
    part of a ray that hits nothing counts as background with the logit `empty_logit`.
    """
    background = composited[:, :1] + empty_logit * (1 - accumulation[:, None]).clamp(min=0)
    return torch.cat([background, composited[:, 1:]], dim=1)


def identity_cross_entropy(
    logits: Float[Tensor, "rays objects"], possible: Bool[Tensor, "rays objects"]
) -> Float[Tensor, ""]:
    """Eq. 8 with m the set of identities that a ray's pixel may have: -log of the probability of that set, averaged.

    Where a pixel's identity is known the set is one and this is the cross entropy of Eq. 8 (whose 1/L, a constant, is
    left out). Where a view has no mask of some object, the pixel is "background or that object", and both are left to
    the other views.
    """
    log_probability = F.log_softmax(logits, dim=1).masked_fill(~possible, -torch.inf)
    return -torch.logsumexp(log_probability, dim=1).mean()
