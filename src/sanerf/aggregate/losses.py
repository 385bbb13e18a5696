"""The losses of the mask aggregator (paper, section 3.3): Eq. 7, 8 and, for rays in pairs, Eq. 9 to 12.

Eq. 13, which rays are paired, is `local_rays`; Eq. 14, the sum, is `training`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.shapes import Bool, Float, Int64


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
    logits: Float[Tensor, "rays objects"],
    possible: Bool[Tensor, "rays objects"],
    weights: Float[Tensor, "rays"] | None = None,
) -> Float[Tensor, ""]:
    """Eq. 8 with m the set of identities that a ray's pixel may have: -log of the probability of that set, averaged.

    Where a pixel's identity is known the set is one and this is the cross entropy of Eq. 8 (whose 1/L, a constant, is
    left out). Where a view has no mask of some object, the pixel is "background or that object", and both are left to
    the other views. With `weights`, not all zero, the mean is weighted: pixels of doubtful masks count less.
    """
    log_probability = F.log_softmax(logits, dim=1).masked_fill(~possible, -torch.inf)
    loss = -torch.logsumexp(log_probability, dim=1)
    return loss.mean() if weights is None else (loss * weights).sum() / weights.sum()


def mask_distance(
    first: Float[Tensor, "*batch objects"], second: Float[Tensor, "*batch objects"], sharpness: float
) -> Float[Tensor, "*batch"]:
    """Eq. 11: f of two probability vectors, from exp(-w) where they are the same to 1 where they share nothing.

    `sharpness` is w. The printed epsilon is 1e-6 in the authors' code and changes f by a millionth of itself.
    """
    larger = torch.maximum(first.square().sum(-1), second.square().sum(-1))
    return torch.exp(-sharpness * (first * second).sum(-1) / larger - 1e-6)


def colour_distance(
    first: Float[Tensor, "*batch channels"], second: Float[Tensor, "*batch channels"]
) -> Float[Tensor, "*batch"]:
    """Eq. 10: g, the Euclidean distance of two sRGB colours in [0, 1]."""
    return (first - second).norm(dim=-1)


def mask_error(
    probability: Float[Tensor, "rays objects"], possible: Bool[Tensor, "rays objects"], sharpness: float
) -> Float[Tensor, "rays"]:
    """Eq. 12: f between the mask and what is rendered.

    Where the mask leaves a set of identities possible, it is taken as what is rendered inside of that set: what lies
    outside is the error.
    """
    mask = probability * possible
    share = mask.sum(dim=1, keepdim=True)
    even = possible / possible.sum(dim=1, keepdim=True)
    return mask_distance(torch.where(share > 1e-6, mask / share.clamp(min=1e-6), even), probability, sharpness)


def ray_pair_rgb_loss(
    probability: Float[Tensor, "batch rays objects"],
    appearance: Float[Tensor, "batch rays channels"],
    references: Int64[Tensor, "batch references"],
    *,
    present: Bool[Tensor, "batch rays"],
    believed: Bool[Tensor, "batch rays"],
    threshold: float,
    sharpness: float,
) -> Float[Tensor, ""]:
    """Eq. 9 for each set of rays of a batch, then their mean (the last term of Eq. 14).

    `appearance` has what Eq. 10 compares: colours, and behind them whatever else should be alike, in the same units.
    `references` are K, as indices into a set's rays; of these, only the `believed` count. `present` is false for rays
    that only fill a set up. Print takes for S_k the rays with g >= tau; but g is a distance, and the text wants rays of
    similar colour: here g < tau, as in the authors' code. References are detached, so that gradients flow through the
    other ray of a pair alone, and r_k itself is not in S_k. A reference without partners counts as zero.
    """
    which = references[..., None]
    of_reference = probability.detach().gather(1, which.expand(-1, -1, probability.shape[2]))
    looks = appearance.gather(1, which.expand(-1, -1, appearance.shape[2]))
    similar = colour_distance(*torch.broadcast_tensors(looks[:, :, None], appearance[:, None])) < threshold
    pairs = (similar & present[:, None]).scatter(2, which, False)
    of_pairs = torch.broadcast_tensors(of_reference[:, :, None], probability[:, None])
    of_references = (mask_distance(*of_pairs, sharpness=sharpness) * pairs).sum(-1) / pairs.sum(-1).clamp(min=1)
    counts = (believed & present).gather(1, references)
    return ((of_references * counts).sum(-1) / counts.sum(-1).clamp(min=1)).mean()
