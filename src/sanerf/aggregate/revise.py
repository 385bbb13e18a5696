"""Revision of masks: what the object field renders in a view prompts the decoder again (`aggregate.reprompt`).

The first masks come from a few clicks each and differ from view to view; the field fused from them is closer to the
truth than most. It is then fitted anew to the decoder's second answers: `fit_and_revise` is the loop.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.aggregate.identities import IdentityLogits, all_identity_probabilities
from sanerf.aggregate.ray_bank import PixelLattice, RayBank, with_masks
from sanerf.aggregate.view_masks import ViewMasks
from sanerf.fields.object import ObjectField
from sanerf.geometry.cameras import Camera
from sanerf.shapes import Float

LEAST_AGREEMENT = 0.5
"""IoU with the field below which a view's mask is left out."""
LEAST_AREA = 1e-4
"""Share of a picture that an object must cover to count as shown there."""


@dataclass(frozen=True)
class RenderedIdentities:
    """Identity probabilities (Eq. 7) at the lattice of one view, background first."""

    lattice: PixelLattice
    probability: Float[Tensor, "rows columns objects"]

    def upsampled(self, identity: int, camera: Camera) -> Float[Tensor, "h w"]:
        """One identity's probability in every pixel: bilinear between the lattice's pixels, constant beyond them."""
        of, values = self.lattice, self.probability[..., identity]
        # In units of the lattice, -1 and 1 being the outer edges of its first and last cell, as grid_sample wants it.
        x = (torch.arange(camera.width) - of.first_column) / of.stride
        y = (torch.arange(camera.height) - of.first_row) / of.stride
        rows, columns = torch.meshgrid(2 * (y + 0.5) / of.rows - 1, 2 * (x + 0.5) / of.columns - 1, indexing="ij")
        places = torch.stack([columns, rows], dim=-1)[None]
        return F.grid_sample(values[None, None], places, padding_mode="border", align_corners=False)[0, 0]


Fit = Callable[[RayBank, ViewMasks, int, dict[int, RenderedIdentities] | None], None]
"""`fit(bank, masks, number, rendered)` trains a field on a bank with those masks, as the fit of that number, the first
being 0; `rendered` is what the field rendered before, None in the first."""


@dataclass(frozen=True)
class Revisions:
    """How often masks are revised: `most` times, and no more once the new masks' mean IoU with those before reaches
    `settled`; above 1 it never does."""

    most: int
    settled: float = 2.0


def fit_and_revise(
    field: ObjectField,
    bank: RayBank,
    *,
    masks: ViewMasks,
    names: Sequence[str],
    revisions: Revisions,
    fit: Fit,
    revise: Callable[[dict[int, RenderedIdentities]], ViewMasks],
) -> ViewMasks:
    """Fit the field to the masks, let it prompt the decoder again and fit it to the answers, until nothing changes.

    `revise(rendered)` is `reprompt_masks` with a decoder and its prompts behind it. Gives the masks of the last fit.
    """
    fit(with_masks(bank, masks, names), masks, 0, None)
    for revision in range(1, revisions.most + 1):
        rendered = render_identities(field, bank)
        revised = with_lost_objects(revise(rendered), masks)
        if mean_mask_iou(revised, masks) >= revisions.settled:
            break
        masks = revised
        fit(with_masks(bank, masks, names), masks, revision, rendered)
    return masks


def mean_mask_iou(first: ViewMasks, second: ViewMasks) -> float:
    """The mean IoU of masks of the same object and view; 0 for one that the other set has not, 1 for two empty ones."""
    every = {(view, name) for masks in (first, second) for view, of_view in masks.items() for name in of_view}
    total = 0.0
    for view, name in every:
        a, b = first.get(view, {}).get(name), second.get(view, {}).get(name)
        if a is not None and b is not None:
            of_a, of_b = a.probability > 0.5, b.probability > 0.5
            union = int((of_a | of_b).sum())
            total += int((of_a & of_b).sum()) / union if union else 1.0
    return total / len(every) if every else 1.0


def with_lost_objects(revised: ViewMasks, before: ViewMasks) -> ViewMasks:
    """The revised masks; an object that the field and the decoder agree on in no view keeps all those of before."""
    found = {name for of_view in revised.values() for name in of_view}
    out = {view: dict(of_view) for view, of_view in revised.items()}
    for view, of_view in before.items():
        lost = {name: mask for name, mask in of_view.items() if name not in found}
        if lost:
            out.setdefault(view, {}).update(lost)
    return out


def render_identities(field: IdentityLogits, bank: RayBank) -> dict[int, RenderedIdentities]:
    """What an object field renders at every view's lattice."""
    flat = torch.cat([probability for _, probability in all_identity_probabilities(field, bank)]).cpu()
    return {
        view: RenderedIdentities(of, flat[of.rays].reshape(of.rows, of.columns, -1))
        for view, of in bank.lattices.items()
    }
