"""The decoder asked again: what a field renders of an object in a view goes to it with the clicks that are heard there.

The field knows better than most single masks, but not what the clicks said: where it is wrong without them it stays
wrong, and so does a decoder that hears its rendering alone. SAM and its siblings are trained for both at once, the mask
before beside the next click. A view whose new mask still contradicts the field is left out, so that it cannot poison
the others.
"""

import torch
from torch import Tensor

from sanerf.aggregate.revise import LEAST_AGREEMENT, LEAST_AREA, RenderedIdentities
from sanerf.aggregate.view_masks import LEFT_OUT, Prompting, ViewMask, ViewMasks
from sanerf.progress import OnPart
from sanerf.prompts.hearing import CLEARANCE, far_reaching, said_in
from sanerf.prompts.lift import LiftedPrompts, points_inside, visible_prompts
from sanerf.segmenter.protocol import MaskHypotheses, ViewPrompts
from sanerf.segmenter.refine import chosen_mask
from sanerf.segmenter.regions import mask_boxes, mask_iou
from sanerf.shapes import Bool, Float


def reprompt_masks(
    prompting: Prompting, rendered: dict[int, RenderedIdentities], on_progress: OnPart | None = None
) -> ViewMasks:
    """A new mask of each object in every view in which the field shows it or a click inside it is seen; none where
    decoder and field disagree.

    `rendered` is what the field renders of the objects that are asked about, in their order, background first. Of the
    decoder's masks that nearest to the field's is taken, or, where the field shows nothing, that which agrees best with
    the clicks.
    """
    heard = heard_clicks(prompting, rendered)
    out: ViewMasks = {}
    for done, (view, camera) in enumerate(prompting.cameras.items(), start=1):
        asked: list[tuple[str, Bool[Tensor, "h w"], ViewPrompts]] = []
        for index, (entry, far) in enumerate(zip(prompting.lifted, heard, strict=True), start=1):
            seen = visible_prompts(said_in(entry, view, far), view, camera, prompting.renderer)
            probability = rendered[view].upsampled(index, camera)
            prompts = prompts_with_mask(seen, probability)
            if prompts is not None:
                asked.append((entry.name, probability > 0.5, prompts))
        everything = [prompts for _, _, prompts in asked]
        answers = prompting.segmenter.decode(prompting.features_of(view), everything) if asked else []
        for (name, shown, prompts), answer in zip(asked, answers, strict=True):
            if _is_shown(shown):
                logits, predicted_iou, agreement = nearest_hypothesis(answer, shown)
            else:
                chosen = chosen_mask(answer, prompts)
                logits, predicted_iou, agreement = chosen.mask_logits.cpu(), chosen.predicted_iou, 1.0
            if agreement >= LEAST_AGREEMENT:
                out.setdefault(view, {})[name] = ViewMask(torch.sigmoid(logits), predicted_iou, LEFT_OUT)
        if on_progress is not None:
            on_progress(done, len(prompting.cameras))
    return out


def heard_clicks(prompting: Prompting, rendered: dict[int, RenderedIdentities]) -> list[Bool[Tensor, "points"]]:
    """Which of each object's points are heard in views other than their own, by what a field renders of the objects."""
    cameras = prompting.cameras

    def of_object(index: int, entry: LiftedPrompts) -> Bool[Tensor, "points"]:
        return far_reaching(entry, cameras, lambda view: rendered[view].upsampled(index, cameras[view]) > 0.5)

    return [of_object(index, entry) for index, entry in enumerate(prompting.lifted, start=1)]


def prompts_with_mask(seen: ViewPrompts, probability: Float[Tensor, "h w"]) -> ViewPrompts | None:
    """What of the user's prompts is `seen` in a view together with a field's soft mask there: as logits, its box, which
    clicks inside widen, and the point deepest inside it. A box or mask of the user's own is taken in place of the
    field's. None where nothing of the object is seen or shown.
    """
    shown = probability > 0.5
    if not _is_shown(shown):
        inside = bool((seen.labels == 1).any()) or seen.box is not None or seen.mask_logits is not None
        return seen if inside else None
    deepest = points_inside(shown & ~_about(seen.points[seen.labels == 0], shown), count=1)
    points = torch.cat([deepest, seen.points])
    labels = torch.cat([torch.ones(len(deepest), dtype=seen.labels.dtype), seen.labels])
    box = seen.box
    if box is None:
        box = mask_boxes(shown[None])[0].float()
        inside = seen.points[seen.labels == 1]
        if len(inside):
            box = torch.cat([torch.minimum(box[:2], inside.amin(dim=0)), torch.maximum(box[2:], inside.amax(dim=0))])
    # Certainty stays finite.
    logits = torch.logit(probability.clamp(1e-3, 1 - 1e-3)) if seen.mask_logits is None else seen.mask_logits
    return ViewPrompts(points, labels, box, logits)


def nearest_hypothesis(
    answer: MaskHypotheses, rendered_mask: Bool[Tensor, "h w"]
) -> tuple[Float[Tensor, "h w"], float, float]:
    """Of a decoder's masks the one that overlaps the field's most: logits, predicted IoU, and IoU with the field."""
    mask_logits = answer.mask_logits.to(rendered_mask.device)
    ious = mask_iou(mask_logits > 0, rendered_mask)
    best = int(ious.argmax())
    return mask_logits[best], float(answer.predicted_iou[best]), float(ious[best])


def _is_shown(shown: Bool[Tensor, "h w"]) -> bool:
    return float(shown.float().mean()) >= LEAST_AREA


def _about(points: Float[Tensor, "points 2"], mask: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """The pixels within `CLEARANCE` of some points."""
    height, width = mask.shape
    row, column = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    out = torch.zeros_like(mask)
    for x, y in points.tolist():
        out |= (column - x) ** 2 + (row - y) ** 2 <= CLEARANCE**2 * (height**2 + width**2)
    return out
