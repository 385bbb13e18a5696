"""Masks that contradict the others, where there is no decoder to ask again: empty, of another object, cut off.

A field fitted to all masks follows what most of them say. Held against what it renders, those few show: they are left
out, and so are single pixels that the field is sure to be something else (islands and holes of masks that are good
otherwise). It is then fitted on. Masks that agree with one another lose nothing.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from sanerf.aggregate.ray_bank import RayBank, with_masks
from sanerf.aggregate.revise import LEAST_AREA, RenderedIdentities, render_identities
from sanerf.aggregate.view_masks import ViewMasks
from sanerf.fields.object import ObjectField

Agreement = dict[int, dict[str, float]]
"""IoU of a mask with the field's own rendering at the view's lattice, by view index, then by object name."""


@dataclass(frozen=True)
class Review:
    """What is left out when masks are held against the field."""

    least_agreement: float
    """a mask, where it agrees less than this share of what is usual for its object; 0 keeps all"""
    least_probability: float
    """a pixel, where the field gives less probability to all that it may be; 0 keeps all"""


def fit_and_review(
    field: ObjectField,
    bank: RayBank,
    *,
    masks: ViewMasks,
    names: Sequence[str],
    reviews: int,
    review: Review,
    fit: Callable[[RayBank, int], None],
) -> ViewMasks:
    """Fit the field to the masks, hold all of them against it and fit it on without what contradicts it, `reviews`
    times.

    `fit(bank, review)` trains `field` on a bank with masks, at first as review 0. Gives the masks that the last fit
    had.
    """
    kept = masks
    fit(with_masks(bank, masks, names), 0)
    for number in range(1, reviews + 1):
        rendered = render_identities(field, bank)
        # Each time of all masks: a field that has learnt more may take one back.
        kept = agreeing_masks(masks, mask_agreement(rendered, masks, names), review.least_agreement)
        fit(without_doubted(with_masks(bank, kept, names), rendered, review.least_probability), number)
    return kept


def mask_agreement(rendered: dict[int, RenderedIdentities], masks: ViewMasks, names: Sequence[str]) -> Agreement:
    """How well each mask agrees with the field; 1 where both hold less than `LEAST_AREA` of the picture."""
    out: Agreement = {}
    for view, of_view in masks.items():
        lattice, identity = rendered[view].lattice, rendered[view].probability.argmax(dim=-1)
        for index, name in enumerate(names, start=1):
            if name in of_view:
                given, seen = lattice.pick(of_view[name].probability) > 0.5, identity == index
                union = int((given | seen).sum())
                telling = union >= LEAST_AREA * identity.numel()
                out.setdefault(view, {})[name] = int((given & seen).sum()) / union if telling else 1.0
    return out


def agreeing_masks(masks: ViewMasks, agreement: Agreement, least: float) -> ViewMasks:
    """The masks whose agreement is at least the share `least` of the median over their object's views.

    An object that the field has not understood at all so keeps its masks: then none is less usual than the others.
    """
    usual = {
        name: statistics.median(of_view[name] for of_view in agreement.values() if name in of_view)
        for name in {name for of_view in masks.values() for name in of_view}
    }
    out: ViewMasks = {}
    for view, of_view in masks.items():
        for name, mask in of_view.items():
            if agreement[view][name] >= least * usual[name]:
                out.setdefault(view, {})[name] = mask
    return out


def without_doubted(bank: RayBank, rendered: dict[int, RenderedIdentities], least: float) -> RayBank:
    """The bank with pixels open to anything where the field gives what they may be less probability than `least`."""
    flat = torch.cat([of_view.probability.flatten(0, 1) for of_view in rendered.values()]).to(bank.possible.device)
    doubted = (flat * bank.possible).sum(dim=1) < least
    return replace(bank, possible=bank.possible | doubted[:, None])
