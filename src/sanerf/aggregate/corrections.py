"""Masks of a second click and any further one: the clicks, and beside them what the last answer shows in each view.

Clicks alone are decoded as if nothing were known yet: each view's mask is chosen anew, and a view that sees none of the
clicks inside the object has none. But an answer is there, fused from all views, and the new click says where it is
wrong. So the decoder is asked to correct it: rendered in the view it is the mask prompt, as in the authors' training of
SAM and its siblings with several clicks, where the mask before goes with the next click.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sanerf.aggregate.revise import LEAST_AREA, RenderedIdentities
from sanerf.aggregate.view_masks import ViewMask, ViewMasks
from sanerf.geometry.cameras import Camera
from sanerf.prompts.lift import LiftedPrompts, points_inside, visible_prompts
from sanerf.render.images import Renderer
from sanerf.segmenter.protocol import ImageFeatures, Segmenter, ViewPrompts
from sanerf.segmenter.refine import decode_chosen
from sanerf.shapes import Bool, Float

CLEARANCE = 0.02
"""A point that is chosen inside the last answer lies farther than this share of the picture's diagonal from clicks
outside of the object."""


def decode_corrections(
    segmenter: Segmenter,
    features_of: Callable[[int], ImageFeatures],
    *,
    lifted: Sequence[LiftedPrompts],
    rendered: dict[int, RenderedIdentities],
    cameras: dict[int, Camera],
    renderer: Renderer,
) -> ViewMasks:
    """One mask of each object in every view of `cameras` that sees a click inside it or shows it in the last answer.

    `rendered` is that answer, whose identities are `lifted` in order, background first.
    """
    out: ViewMasks = {}
    for view, camera in cameras.items():
        asked = []
        for index, entry in enumerate(lifted, start=1):
            prompts = visible_prompts(entry, view, camera, renderer)
            corrected = corrected_prompts(prompts, rendered[view].upsampled(index, camera))
            if corrected is not None:
                asked.append((entry.name, corrected))
        if asked:
            chosen = decode_chosen(segmenter, features_of(view), [prompts for _, prompts in asked])
            out[view] = {
                name: ViewMask(torch.sigmoid(mask.mask_logits).cpu(), mask.predicted_iou)
                for (name, _), mask in zip(asked, chosen, strict=True)
            }
    return out


def corrected_prompts(prompts: ViewPrompts, probability: Float[Tensor, "h w"]) -> ViewPrompts | None:
    """The clicks seen in a view with the last answer there as mask prompt; None where neither shows the object.

    Where no click inside the object is seen, the point deepest inside the answer stands for one.
    """
    inside = bool((prompts.labels == 1).any()) or prompts.box is not None or prompts.mask_logits is not None
    shown = probability > 0.5
    if float(shown.float().mean()) < LEAST_AREA:
        return prompts if inside else None
    logits = torch.logit(probability.clamp(1e-3, 1 - 1e-3)) if prompts.mask_logits is None else prompts.mask_logits
    points, labels = prompts.points, prompts.labels
    if not inside:
        deepest = points_inside(shown & ~_about(points[labels == 0], shown), count=1)
        if not len(deepest):
            return None
        points, labels = torch.cat([points, deepest]), torch.cat([labels, torch.ones(1, dtype=labels.dtype)])
    return ViewPrompts(points, labels, prompts.box, logits)


def _about(points: Float[Tensor, "points 2"], mask: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """The pixels within `CLEARANCE` of some points."""
    height, width = mask.shape
    row, column = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    out = torch.zeros_like(mask)
    for x, y in points.tolist():
        out |= (column - x) ** 2 + (row - y) ** 2 <= CLEARANCE**2 * (height**2 + width**2)
    return out
