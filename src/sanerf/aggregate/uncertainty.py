"""Where an object's rendered mask is likely to be wrong, told from the field and the masks alone, without any truth.

A pixel's identity probabilities (Eq. 7) say how likely the object's mask, cut where the object is the most probable
identity, is wrong there. A view's own 2D mask that says otherwise adds to that, as far as it otherwise agrees with the
field: one that shows something else tells nothing about this object's pixels.
"""

import torch
from torch import Tensor

from sanerf.aggregate.revise import RenderedIdentities
from sanerf.aggregate.view_masks import ViewMask
from sanerf.geometry.cameras import Camera
from sanerf.shapes import Bool, Float

_CONTRADICTION = 0.5
"""How likely a pixel is wrong that the field is sure of and a mask that agrees with it elsewhere, and that its decoder
is sure of, contradicts."""


def mask_of(probability: Float[Tensor, "h w objects"], index: int) -> Bool[Tensor, "h w"]:
    """Where identity `index`, background being 0, is the most probable."""
    return probability.argmax(dim=-1) == index


def wrong_probability(probability: Float[Tensor, "h w objects"], index: int) -> Float[Tensor, "h w"]:
    """How likely each pixel is on the wrong side of the border of identity `index`'s mask, by the probabilities alone:
    one less the identity's probability inside of the mask, that probability outside."""
    of_object = probability[..., index]
    return torch.where(mask_of(probability, index), 1 - of_object, of_object)


def contradicted(
    wrong: Float[Tensor, "h w"], inside: Bool[Tensor, "h w"], mask: Float[Tensor, "h w"], belief: float
) -> Float[Tensor, "h w"]:
    """`wrong` together with what a 2D mask (a probability) of the same view says against the rendered one.

    The mask is right there with the probability `belief` times its own, independently of `wrong`.
    """
    against = torch.where(inside, 1 - mask, mask)
    return 1 - (1 - wrong) * (1 - belief * against)


def belief_in(mask: ViewMask, agreement: float) -> float:
    """How far a view's mask is believed against the field, whose rendering it overlaps with the IoU `agreement`."""
    return _CONTRADICTION * agreement * min(max(mask.predicted_iou, 0.0), 1.0)


def lattice_errors(of: RenderedIdentities, index: int, mask: ViewMask | None) -> Float[Tensor, "rows columns"]:
    """How likely each pixel of a view's lattice is wrong about identity `index`; `mask` is its 2D mask there, if any."""
    wrong, inside = wrong_probability(of.probability, index), mask_of(of.probability, index)
    if mask is None:
        return wrong
    given = of.lattice.pick(mask.probability)
    return contradicted(wrong, inside, given, belief_in(mask, overlap(inside, given > 0.5)))


def picture_errors(of: RenderedIdentities, index: int, mask: ViewMask | None, camera: Camera) -> Float[Tensor, "h w"]:
    """The same in every pixel of the view's picture, between the lattice's pixels by interpolation."""
    identities = [of.upsampled(identity, camera) for identity in range(of.probability.shape[-1])]
    probability = torch.stack(identities, dim=-1)
    wrong, inside = wrong_probability(probability, index), mask_of(probability, index)
    if mask is None:
        return wrong
    return contradicted(wrong, inside, mask.probability, belief_in(mask, overlap(inside, mask.probability > 0.5)))


def overlap(a: Bool[Tensor, "h w"], b: Bool[Tensor, "h w"]) -> float:
    """IoU of two masks, 1 where both are empty."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0
