"""What an object field says of the bank's rays: its logits composited on the kept samples, and Eq. 7 of them."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sanerf.aggregate.losses import mask_logits
from sanerf.aggregate.ray_bank import RayBank
from sanerf.render.renderer import accumulate
from sanerf.shapes import Float, Int64

IdentityLogits = Callable[[Tensor], Tensor]
"""An object field, or whatever else gives (points objects) logits, background first, at world points (points 3)."""

_CHUNK = 65536


def ray_logits(field: IdentityLogits, bank: RayBank, rays: Int64[Tensor, "batch"]) -> Float[Tensor, "batch objects"]:
    """The logits of some rays under the softmax of Eq. 7."""
    kept = bank.gather(rays)
    composited = accumulate(field(kept.p_world), kept.weights, kept.ray_index, kept.rays)
    return mask_logits(composited, bank.accumulation[rays])


def identity_probabilities(
    field: IdentityLogits, bank: RayBank, rays: Int64[Tensor, "batch"]
) -> Float[Tensor, "batch objects"]:
    """Identity probabilities of some rays (Eq. 7)."""
    return torch.softmax(ray_logits(field, bank, rays), dim=1)


def all_identity_probabilities(field: IdentityLogits, bank: RayBank) -> Iterator[tuple[Tensor, Tensor]]:
    """The same of all rays in order, some at a time: their indices (batch) and probabilities (batch objects), without
    gradients."""
    for rays in torch.arange(len(bank), device=bank.weights.device).split(_CHUNK):
        with torch.no_grad():
            probability = identity_probabilities(field, bank, rays)
        yield rays, probability
