"""How much a mask counts: as its decoder believes in it, and as it agrees with what became of all views' masks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from sanerf.aggregate.agreement import mask_agreement
from sanerf.aggregate.ray_bank import RayBank
from sanerf.aggregate.revise import RenderedIdentities
from sanerf.aggregate.view_masks import ViewMasks

Trust = dict[int, dict[str, float]]
"""How much a mask's pixels count, by view index and object name."""

_LEAST_BELIEF = 0.05
"""A mask's predicted IoU counts as at least this."""


@dataclass(frozen=True)
class TrustConfig:
    """How masks are weighed in the cross entropy of Eq. 8; with both powers 0 all count alike."""

    predicted_iou_power: float = 1.0
    """a mask counts with this power of the IoU that its decoder expects it to have; in files there is none"""
    agreement_power: float = 2.0
    """and, once there is a field, with this power of its IoU with what that renders"""


def believed(masks: ViewMasks, power: float = 1.0) -> Trust:
    """Trust as a power of the IoU that the decoder predicts."""
    return {
        view: {name: min(max(mask.predicted_iou, _LEAST_BELIEF), 1.0) ** power for name, mask in of_view.items()}
        for view, of_view in masks.items()
    }


def agreeing(
    trust: Trust,
    masks: ViewMasks,
    *,
    names: Sequence[str],
    rendered: dict[int, RenderedIdentities],
    power: float,
    least: float,
) -> Trust:
    """Trust multiplied by a power of the masks' IoU with what was rendered, and zero where that is below `least`; left
    as it is for an object of which no mask would remain."""
    out: Trust = {view: dict(of_view) for view, of_view in trust.items()}
    agreement = mask_agreement(rendered, masks, names, least_area=0.0)
    for name in names:
        iou = {view: of_view[name] for view, of_view in agreement.items() if name in of_view}
        best = max(iou.values(), default=0.0)
        if best > 0 and best >= least:
            for view, value in iou.items():
                out[view][name] *= value**power if value >= least else 0.0
    return out


def with_trust(
    bank: RayBank,
    masks: ViewMasks,
    *,
    names: Sequence[str],
    rendered: dict[int, RenderedIdentities] | None,
    config: TrustConfig,
) -> RayBank:
    """A bank with these masks, its rays weighed by how much their masks count; `rendered` is what a field made of all
    masks so far, None before there is one.

    A ray counts as the mask of the object that its pixel is; in a view's background, as the least trusted of its masks,
    which may have missed the pixel. What rays of the bank count already goes with that.
    """
    trust = believed(masks, config.predicted_iou_power)
    if rendered is not None and config.agreement_power > 0:
        trust = agreeing(trust, masks, names=names, rendered=rendered, power=config.agreement_power, least=0.0)
    of_rays = torch.ones(len(bank), device=bank.weights.device)
    for view, of_view in trust.items():
        rays = bank.lattices[view].rays
        least = min(of_view.values(), default=1.0)
        of_identity = torch.tensor([least, *(of_view.get(name, 1.0) for name in names)], device=of_rays.device)
        of_rays[rays] = of_identity[bank.possible[rays].long().argmax(dim=1)]
    return replace(bank, trust=of_rays if bank.trust is None else of_rays * bank.trust)
