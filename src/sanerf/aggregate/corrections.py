"""The instant answer to several clicks: decoded, put to the vote, given back to the decoder, put to the vote again.

Clicks alone are decoded in each view by itself, and a view that sees none of those inside the object has no mask. The
field that comes of these masks knows better than most of them, but not what the clicks said: where it is wrong, it
stays wrong. So every view is asked once more, with the clicks that are seen there and, as mask prompt, what the field
renders; as SAM and its siblings are trained for several clicks, with the mask before beside the next click.

A click outside of the object is mostly one at its edge, and what lies under such a pixel is the object as often as what
is behind it: in other views it would fall on the object and spoil masks that were good. So the views are first decoded
without those of other views; these are heard, and the views decoded anew, only where they lie deep in what the field
then shows in the view they were clicked in.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sanerf.aggregate.ray_bank import RayBank
from sanerf.aggregate.revise import (
    LEAST_AGREEMENT,
    LEAST_AREA,
    RenderedIdentities,
    mask_prompt,
    nearest_hypothesis,
    render_identities,
)
from sanerf.aggregate.view_masks import ViewMask, ViewMasks, decode_view
from sanerf.aggregate.vote import vote_twice
from sanerf.fields.voted import VotedField
from sanerf.geometry.cameras import Camera, project
from sanerf.prompts.lift import LiftedPrompts, points_inside, visible_prompts
from sanerf.render.images import Renderer
from sanerf.segmenter.protocol import ImageFeatures, Segmenter, ViewPrompts
from sanerf.segmenter.refine import chosen_mask
from sanerf.segmenter.regions import edge_distance
from sanerf.shapes import Bool, Float

CLEARANCE = 0.01
"""What is nearer to an edge, or to a click outside of the object, than this share of the picture's diagonal is not sure
to be on the side that it seems to be on."""


@dataclass(frozen=True)
class CorrectedAnswer:
    """A voted field, the masks of the ballot that made it, what it renders in the views, and seconds by stage."""

    field: VotedField
    masks: ViewMasks
    rendered: dict[int, RenderedIdentities]
    decode_seconds: float
    vote_seconds: float


def vote_and_correct(
    segmenter: Segmenter,
    features_of: Callable[[int], ImageFeatures],
    *,
    lifted: Sequence[LiftedPrompts],
    cameras: dict[int, Camera],
    renderer: Renderer,
    rays: RayBank,
) -> CorrectedAnswer:
    """The answer to all clicks so far on the objects `lifted`, in the views of `cameras`, of which `rays` are."""
    names = [entry.name for entry in lifted]
    seconds = {"decode": 0.0, "vote": 0.0}

    def timed(stage: str, start: float) -> None:
        seconds[stage] += time.monotonic() - start

    def decoded(heard: Sequence[Bool[Tensor, "points"]], views: Iterable[int]) -> ViewMasks:
        start, out = time.monotonic(), {}
        for view in views:
            said = [said_in(entry, view, far) for entry, far in zip(lifted, heard, strict=True)]
            out[view] = decode_view(
                segmenter, features_of(view), lifted=said, view=view, camera=cameras[view], renderer=renderer
            )
        timed("decode", start)
        return {view: of_view for view, of_view in out.items() if of_view}

    def voted(masks: ViewMasks) -> tuple[VotedField, dict[int, RenderedIdentities]]:
        start = time.monotonic()
        field = vote_twice(rays, masks, names)
        out = field, render_identities(field, rays)
        timed("vote", start)
        return out

    inside = [entry.labels == 1 for entry in lifted]
    masks = decoded(inside, cameras)
    _, rendered = voted(masks)
    heard = [far_reaching(entry, index, rendered, cameras) for index, entry in enumerate(lifted, start=1)]
    if any(bool((far & ~own).any()) for far, own in zip(heard, inside, strict=True)):
        masks = decoded(heard, cameras)
        _, rendered = voted(masks)
    start = time.monotonic()
    masks = correct_masks(
        segmenter, features_of, lifted=lifted, heard=heard, rendered=rendered, cameras=cameras, renderer=renderer
    )
    timed("decode", start)
    field, rendered = voted(masks)
    return CorrectedAnswer(field, masks, rendered, seconds["decode"], seconds["vote"])


def correct_masks(
    segmenter: Segmenter,
    features_of: Callable[[int], ImageFeatures],
    *,
    lifted: Sequence[LiftedPrompts],
    heard: Sequence[Bool[Tensor, "points"]],
    rendered: dict[int, RenderedIdentities],
    cameras: dict[int, Camera],
    renderer: Renderer,
) -> ViewMasks:
    """A new mask of each object in every view of `cameras` that sees a click inside it or in which the field shows it;
    none where decoder and field disagree.

    `rendered` is what the field renders of the objects `lifted`, in their order, background first; `heard` has which of
    each one's points speak beyond their own view (`far_reaching`). Of the decoder's
    masks that nearest to the field's is taken, or, where the field shows nothing, that which agrees best with the
    clicks.
    """
    out: ViewMasks = {}
    for view, camera in cameras.items():
        asked: list[tuple[str, Bool[Tensor, "h w"], ViewPrompts]] = []
        for index, (entry, far) in enumerate(zip(lifted, heard, strict=True), start=1):
            probability = rendered[view].upsampled(index, camera)
            seen = visible_prompts(said_in(entry, view, far), view, camera, renderer)
            prompts = corrected_prompts(seen, probability)
            if prompts is not None:
                asked.append((entry.name, probability > 0.5, prompts))
        answers = segmenter.decode(features_of(view), [prompts for _, _, prompts in asked]) if asked else []
        for (name, shown, prompts), answer in zip(asked, answers, strict=True):
            if float(shown.float().mean()) < LEAST_AREA:
                chosen = chosen_mask(answer, prompts)
                logits, predicted_iou, agreement = chosen.mask_logits.cpu(), chosen.predicted_iou, 1.0
            else:
                logits, predicted_iou, agreement = nearest_hypothesis(answer, shown)
            if agreement >= LEAST_AGREEMENT:
                out.setdefault(view, {})[name] = ViewMask(torch.sigmoid(logits), predicted_iou)
    return out


def said_in(lifted: LiftedPrompts, view: int, far: Bool[Tensor, "points"]) -> LiftedPrompts:
    """What of an object's prompts is said in a view: its own points, those given in space, and those of other views
    that are `far`-reaching."""
    if not lifted.views:
        return lifted
    said = far | torch.tensor([own in (view, -1) for own in lifted.views])
    views = tuple(own for own, kept in zip(lifted.views, said.tolist(), strict=True) if kept)
    return replace(lifted, p_world=lifted.p_world[said], labels=lifted.labels[said], views=views)


def far_reaching(
    lifted: LiftedPrompts, index: int, rendered: dict[int, RenderedIdentities], cameras: dict[int, Camera]
) -> Bool[Tensor, "points"]:
    """Which points speak in other views, too: all that are inside the object, and of those outside the ones that are
    farther than `CLEARANCE` from the edge of what the field shows, identity `index`, in the view they were clicked in.
    """
    far = lifted.labels == 1
    for point, view in enumerate(lifted.views):
        if not far[point] and view in cameras:
            xy, _ = project(cameras[view], lifted.p_world[point : point + 1])
            # A click on the picture's last edge may come back a hair beyond it.
            column = min(int(xy[0, 0]), cameras[view].width - 1)
            row = min(int(xy[0, 1]), cameras[view].height - 1)
            shown = rendered[view].upsampled(index, cameras[view]) > 0.5
            around = shown if bool(shown[row, column]) else ~shown
            depth = edge_distance(around.numpy())[row, column]
            far[point] = float(depth) > CLEARANCE * math.hypot(*shown.shape)
    return far


def corrected_prompts(prompts: ViewPrompts, probability: Float[Tensor, "h w"]) -> ViewPrompts | None:
    """The prompts seen in a view with the field's own mask as mask prompt, unless the user gave one; None where neither
    shows the object.

    Where nothing of the prompts is inside the object, the point deepest inside the field's mask stands for it.
    """
    inside = bool((prompts.labels == 1).any()) or prompts.box is not None or prompts.mask_logits is not None
    shown = probability > 0.5
    if float(shown.float().mean()) < LEAST_AREA:
        return prompts if inside else None
    logits = mask_prompt(probability) if prompts.mask_logits is None else prompts.mask_logits
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
