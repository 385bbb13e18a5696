"""Revision of masks: what the object field renders in a view prompts the decoder again (box, mask, a point inside).

The first masks come from a few clicks each and differ from view to view; the field fused from them is closer to the
truth than most. A view whose new mask still contradicts the field is left out, so that it cannot poison it. The field
is then fitted anew: `fit_and_revise` is the loop, the rest are its steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.aggregate.identities import IdentityLogits, all_identity_probabilities
from sanerf.aggregate.ray_bank import PixelLattice, RayBank, with_masks
from sanerf.aggregate.view_masks import ViewMask, ViewMasks
from sanerf.fields.object import ObjectField
from sanerf.geometry.cameras import Camera
from sanerf.progress import OnPart
from sanerf.prompts.lift import points_inside
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses, Segmenter, ViewPrompts
from sanerf.segmenter.regions import mask_boxes, mask_iou
from sanerf.shapes import Bool, Float

LEAST_AGREEMENT = 0.5
"""IoU with the field below which a view's mask is left out."""
LEAST_AREA = 1e-4
"""Share of a picture that an object must cover for the decoder to be asked about it."""


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

    `revise(rendered)` is `revise_masks` with a decoder behind it. Gives the masks of the last fit.
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


def revise_masks(
    segmenter: Segmenter,
    features_of: Callable[[int], ImageFeatures],
    rendered: dict[int, RenderedIdentities],
    names: Sequence[str],
    cameras: dict[int, Camera],
    on_progress: OnPart | None = None,
) -> ViewMasks:
    """A new mask of every object in every view where the field sees it; none where decoder and field disagree."""
    out: ViewMasks = {}
    for done, (view, camera) in enumerate(cameras.items(), start=1):
        asked: list[tuple[str, Bool[Tensor, "h w"], ViewPrompts]] = []
        identity = rendered[view].probability.argmax(dim=-1)
        for index, name in enumerate(names, start=1):
            if float((identity == index).float().mean()) < LEAST_AREA:
                continue
            probability = rendered[view].upsampled(index, camera)
            if bool((probability > 0.5).any()):
                asked.append((name, probability > 0.5, prompts_from_mask(probability)))
        answers = segmenter.decode(features_of(view), [prompts for _, _, prompts in asked]) if asked else []
        for (name, rendered_mask, _), answer in zip(asked, answers, strict=True):
            logits, predicted_iou, agreement = nearest_hypothesis(answer, rendered_mask)
            if agreement >= LEAST_AGREEMENT:
                out.setdefault(view, {})[name] = ViewMask(torch.sigmoid(logits), predicted_iou)
        if on_progress is not None:
            on_progress(done, len(cameras))
    return out


def prompts_from_mask(probability: Float[Tensor, "h w"]) -> ViewPrompts:
    """A soft mask as prompts: its box, itself as logits, and the point deepest inside."""
    mask = probability > 0.5
    box = mask_boxes(mask[None])[0].float()
    inside = points_inside(mask, count=1)
    return ViewPrompts(inside, torch.ones(len(inside), dtype=torch.int64), box, mask_prompt(probability))


def mask_prompt(probability: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """A soft mask as the logits that a decoder takes for the mask before."""
    return torch.logit(probability.clamp(1e-3, 1 - 1e-3))


def nearest_hypothesis(
    answer: MaskHypotheses, rendered_mask: Bool[Tensor, "h w"]
) -> tuple[Float[Tensor, "h w"], float, float]:
    """Of a decoder's masks the one that overlaps the field's most: logits, predicted IoU, and IoU with the field."""
    mask_logits = answer.mask_logits.to(rendered_mask.device)
    ious = mask_iou(mask_logits > 0, rendered_mask)
    best = int(ious.argmax())
    return mask_logits[best], float(answer.predicted_iou[best]), float(ious[best])
