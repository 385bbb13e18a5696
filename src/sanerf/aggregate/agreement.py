"""Masks that contradict the others, where there is no decoder to ask again: empty, of another object, cut off.

A field fitted to all masks follows what most of them say. Held against what it renders, the few that say otherwise
show; they are left out, and the field is fitted on. They cost more than their share: where views disagree the field is
unsure of an object and still sure of the background, so that the background wins the object's edges.
"""

import statistics
from collections.abc import Sequence

from sanerf.aggregate.ray_bank import RayBank, with_masks
from sanerf.aggregate.revise import LEAST_AREA, Fit, RenderedIdentities, render_identities
from sanerf.aggregate.view_masks import ViewMasks
from sanerf.fields.object import ObjectField

Agreement = dict[int, dict[str, float]]
"""IoU of a mask with the field's own rendering at the view's lattice, by view index, then by object name."""


def fit_and_review(
    field: ObjectField,
    bank: RayBank,
    *,
    masks: ViewMasks,
    names: Sequence[str],
    reviews: int,
    least_agreement: float,
    fit: Fit,
) -> ViewMasks:
    """Fit the field to the masks, hold all of them against it and fit it on without those that contradict it, up to
    `reviews` times: once none is newly left out or taken back, it ends.

    Gives the masks of the last fit.
    """
    kept = masks
    fit(with_masks(bank, masks, names), masks, 0, None)
    for number in range(1, reviews + 1):
        rendered = render_identities(field, bank)
        agreement = mask_agreement(rendered, masks, names)
        agreeing = agreeing_masks(masks, agreement, least_agreement)
        if _entries(agreeing) == _entries(kept):
            break
        kept = agreeing
        fit(with_masks(bank, kept, names), kept, number, rendered)
    return kept


def _entries(masks: ViewMasks) -> set[tuple[int, str]]:
    return {(view, name) for view, of_view in masks.items() for name in of_view}


def mask_agreement(
    rendered: dict[int, RenderedIdentities], masks: ViewMasks, names: Sequence[str], *, least_area: float = LEAST_AREA
) -> Agreement:
    """How well each mask agrees with the field; 1 where both hold nothing or less than that share of the picture."""
    out: Agreement = {}
    for view, of_view in masks.items():
        lattice, identity = rendered[view].lattice, rendered[view].probability.argmax(dim=-1)
        for index, name in enumerate(names, start=1):
            if name in of_view:
                given, seen = lattice.pick(of_view[name].probability) > 0.5, identity == index
                union = int((given | seen).sum())
                telling = union >= max(1, least_area * identity.numel())
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
