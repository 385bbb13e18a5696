"""Scoring a run: rendered pictures against photographs, rendered masks against true ones (paper, section 4.2)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from sanerf.aggregate.view_masks import ViewMask, decode_view
from sanerf.data.images import load_mask, load_split
from sanerf.data.mask_files import mask_paths
from sanerf.data.scene import Scene
from sanerf.errors import UserError
from sanerf.evaluation.masks import MaskCounts, count_masks, resized_mask
from sanerf.evaluation.metrics import SquaredError, squared_error, ssim
from sanerf.geometry.cameras import Camera
from sanerf.prompts.lift import LiftedPrompts
from sanerf.render.images import Renderer
from sanerf.render.pictures import to_bytes
from sanerf.run.folder import Run
from sanerf.run.segmentation import RenderedObjects, Segmentation, owners, render_objects
from sanerf.segmenter.protocol import Segmenter
from sanerf.shapes import Float


@dataclass(frozen=True)
class TrueMasks:
    """The objects `names` and where their true masks lie, as `sanerf.data.mask_files` says; one alone needs no folder
    of its own."""

    directory: Path
    names: tuple[str, ...]

    def paths(self, name: str, scene: Scene, views: Sequence[int]) -> dict[int, Path]:
        """The mask files of an object by view; a view without one is not scored."""
        return mask_paths(self.directory, name, scene, views, single_object=len(self.names) == 1)


@dataclass
class ObjectScore:
    """One object's counts over the views scored so far, and the IoU that its segmentation predicted of itself, if it
    did."""

    counts: MaskCounts = field(default_factory=MaskCounts)
    inside: SquaredError = field(default_factory=SquaredError)
    views: int = 0
    predicted_iou: float | None = None


@dataclass(frozen=True)
class ScoredView:
    """One view as it was scored, for those who want to look: `photo` is composited like the rendering."""

    index: int
    photo: Float[Tensor, "h w 3"]
    rendered: RenderedObjects


@dataclass(frozen=True)
class Scores:
    """The scores of a run. `alone` has the decoder's own masks, view by view, where that was asked for."""

    psnr: float
    ssim: float
    views: int
    objects: dict[str, ObjectScore]
    alone: dict[str, ObjectScore]


SeenPicture = Literal["rendering", "photograph"]


@dataclass(frozen=True)
class DecoderAlone:
    """What the baseline "decoder alone, view by view" needs: the same segmenter and the same prompts, and what it sees
    of a view."""

    segmenter: Segmenter
    lifted: Sequence[LiftedPrompts]
    sees: SeenPicture = "rendering"


def evaluate_run(
    run: Run,
    renderer: Renderer,
    *,
    segmentations: Sequence[Segmentation],
    views: Sequence[int],
    true_masks: TrueMasks | None,
    alone: DecoderAlone | None = None,
    on_view: Callable[[ScoredView], None] | None = None,
) -> Scores:
    """Render and score `views`; with `true_masks` also its objects.

    Masks are compared at the mask file's own resolution. The PSNR leaves out what a view's training mask excludes. The
    decoder alone sees the rendered picture of the view, as in the paper, since of a view never photographed there is no
    other; or, where asked, the photograph. UserError where no view has a mask of an object.
    """
    names = true_masks.names if true_masks is not None else ()
    owner = owners(segmentations)
    objects = {name: ObjectScore(predicted_iou=owner[name].predicted_iou.get(name)) for name in names}
    alone_scores = {name: ObjectScore() for name in names} if alone is not None else {}
    paths = {name: true_masks.paths(name, run.scene, views) if true_masks is not None else {} for name in names}
    total, ssims = SquaredError(), []
    for index in views:
        pictures = load_split(run.scene, [index], run.config.downscale)
        camera, photo = pictures.cameras[0], pictures.rgb[0].float() / 255
        if pictures.alpha is not None:
            alpha = pictures.alpha[0][..., None].float() / 255
            photo = photo * alpha + torch.tensor(run.background) * (1 - alpha)
        rendered = render_objects(renderer, camera, segmentations, run.background)
        rgb = rendered.image.rgb.cpu()
        total += squared_error(rgb, photo, pictures.kept[0] if pictures.kept else None)
        ssims.append(ssim(rgb, photo))
        decoded: dict[str, Tensor] = {}
        if alone is not None:
            shown = rgb if alone.sees == "rendering" else photo
            answers = decode_alone(alone, shown, view=index, camera=camera, renderer=renderer)
            nothing = torch.zeros(camera.height, camera.width, dtype=torch.bool)
            decoded = {n: (answers[n].probability > 0.5).cpu() if n in answers else nothing for n in names}
        for name in names:
            if index not in paths[name]:
                continue
            true = load_mask(paths[name][index])
            inside = squared_error(rgb, photo, resized_mask(true, camera.height, camera.width))
            _add(objects[name], count_masks(rendered.mask(name, *true.shape), true), inside)
            if alone is not None:
                _add(alone_scores[name], count_masks(resized_mask(decoded[name], *true.shape), true), inside)
        if on_view is not None:
            on_view(ScoredView(index, photo, rendered))
    for name, score in objects.items():
        if score.views == 0:
            raise UserError(f"no view that was scored has a true mask of {name!r} in the masks folder")
    mean_ssim = sum(ssims) / len(ssims) if ssims else math.nan
    return Scores(total.psnr, mean_ssim, len(views), objects, alone_scores)


def decode_alone(
    alone: DecoderAlone, rgb: Float[Tensor, "h w 3"], *, view: int, camera: Camera, renderer: Renderer
) -> dict[str, ViewMask]:
    """The decoder's own masks in a view's rendered picture `rgb`, of those objects whose prompts can be seen there."""
    features = alone.segmenter.encode(torch.from_numpy(to_bytes(rgb)))
    return decode_view(alone.segmenter, features, lifted=alone.lifted, view=view, camera=camera, renderer=renderer)


def _add(score: ObjectScore, counts: MaskCounts, inside: SquaredError) -> None:
    score.counts += counts
    score.inside += inside
    score.views += 1


def scores_to_json(scores: Scores) -> dict[str, Any]:
    """The object of `evaluate --json` (docs/cli.md). What is not a number (no test view, nothing inside) is null."""

    def entry(score: ObjectScore) -> dict[str, float | int | None]:
        return {
            "iou": _rounded(score.counts.iou),
            "predicted_iou": score.predicted_iou,
            "acc": _rounded(score.counts.acc),
            "boundary_iou": _rounded(score.counts.boundary_iou),
            "psnr_inside": _rounded(score.inside.psnr),
            "views": score.views,
        }

    out: dict[str, Any] = {"psnr": _rounded(scores.psnr), "ssim": _rounded(scores.ssim), "views": scores.views}
    out["objects"] = {name: entry(score) for name, score in scores.objects.items()}
    if scores.objects:
        out["mean"] = mean_scores(scores.objects)
    if scores.alone:
        out["decoder_alone"] = mean_scores(scores.alone)
    return out


def mean_scores(scores: dict[str, ObjectScore]) -> dict[str, float | None]:
    """Means over objects, each pooled over its views first (paper, section 4.2)."""
    counts = [score.counts for score in scores.values()]
    return {key: _rounded(sum(getattr(c, key) for c in counts) / len(counts)) for key in ("iou", "acc", "boundary_iou")}


def _rounded(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
