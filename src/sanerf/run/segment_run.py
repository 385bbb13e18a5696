"""`segment`: prompts to one mask a view to the object field (paper, Figure 1), on a trained run."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sanerf.aggregate.extent import limit_to_extent
from sanerf.aggregate.ray_bank import build_ray_bank, with_masks
from sanerf.aggregate.revise import field_opinions, revise_masks
from sanerf.aggregate.training import train_object_field
from sanerf.aggregate.view_masks import ViewMasks, decode_views, masks_from_files
from sanerf.data.images import downscaled_size, load_image
from sanerf.errors import UserError
from sanerf.fields.object import ObjectField
from sanerf.geometry.cameras import Camera, resized
from sanerf.prompts.file import PromptSet, check_prompts
from sanerf.prompts.lift import LiftedPrompts, lift_object
from sanerf.render.images import Renderer
from sanerf.run.folder import Run
from sanerf.run.segmentation import Segmentation, save_segmentation
from sanerf.segmenter.cache import FeatureCache
from sanerf.segmenter.choose import choose_hypothesis
from sanerf.segmenter.load import load_segmenter
from sanerf.segmenter.protocol import ImageFeatures, Segmenter, ViewPrompts
from sanerf.shapes import Bool, UInt8

MASKS_PREFIX = "masks:"

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


def run_cameras(run: Run) -> list[Camera]:
    """All views' cameras at the run's resolution."""
    sizes = [downscaled_size(view.camera, run.config.downscale) for view in run.scene.views]
    return [resized(view.camera, *size) for view, size in zip(run.scene.views, sizes, strict=True)]


def run_image(run: Run, view: int) -> UInt8[torch.Tensor, "h w 3"]:
    """A view's photograph at the run's resolution."""
    of_view = run.scene.views[view]
    return load_image(of_view, downscaled_size(of_view.camera, run.config.downscale))


@dataclass(frozen=True)
class Decoder:
    """A segmenter with its feature cache over the run's photographs."""

    segmenter: Segmenter
    cache: FeatureCache
    run: Run

    def features(self, view: int) -> ImageFeatures:
        return self.cache.features(run_image(self.run, view))


def open_decoder(run: Run, segmenter: str, device: torch.device) -> Decoder:
    """The segmenter of a `--segmenter` text, caching in the run folder. UserError where it cannot be had."""
    loaded = load_segmenter(segmenter, device)
    return Decoder(loaded, FeatureCache(loaded, run.features), run)


def lift_prompts(
    prompts: PromptSet, decoder: Decoder, cameras: list[Camera], renderer: Renderer
) -> list[LiftedPrompts]:
    """All objects' prompts in the world. Boxes are decoded in the view they were drawn in."""

    def mask_of_box(view: int, box: ViewPrompts) -> Bool[torch.Tensor, "h w"]:
        answer = decoder.segmenter.decode(decoder.features(view), [box])[0]
        return choose_hypothesis(answer, box)[0] > 0

    return [lift_object(entry, decoder.run.scene, cameras, renderer, mask_of_box) for entry in prompts.objects]


def segment_run(
    run: Run, renderer: Renderer, prompts: PromptSet, segmenter: str, *, seed: int, progress: Progress
) -> tuple[Segmentation, dict[str, float]]:
    """Segment all objects of a prompt set jointly and store the result in the run folder.

    Gives the segmentation and the seconds of its stages "encode", "decode" and "aggregate". Raises UserError for
    prompts that cannot be used and for objects of which no view has a mask.
    """
    check_prompts(prompts, run.scene)
    names = [entry.name for entry in prompts.objects]
    cameras = run_cameras(run)
    training = {view: cameras[view] for view in run.scene.train}
    device = renderer.density_grid.device
    config = run.config.aggregate
    seconds = {"encode": 0.0, "decode": 0.0, "aggregate": 0.0}
    clock = _Clock(seconds)
    decoder = None
    if segmenter.startswith(MASKS_PREFIX):
        masks = masks_from_files(Path(segmenter.removeprefix(MASKS_PREFIX)), names, run.scene, training)
    else:
        decoder = open_decoder(run, segmenter, device)
        progress("encode", 0, len(training))
        images = (run_image(run, view) for view in training)
        decoder.cache.encode_all(images, lambda done: progress("encode", done, len(training)))
        clock.stop("encode")
        lifted = lift_prompts(prompts, decoder, cameras, renderer)
        masks = decode_views(
            decoder.segmenter, decoder.features, lifted, training, renderer, lambda d, n: progress("decode", d, n)
        )
    _check_masks(masks, names)
    clock.stop("decode")

    generator = torch.Generator().manual_seed(seed)
    rays = build_ray_bank(
        training,
        renderer,
        total_rays=config.total_rays,
        weight_threshold=config.weight_threshold,
        generator=generator,
        on_progress=lambda done, total: progress("sample", done, total),
    )
    field = ObjectField(run.config.object, 1 + len(names), renderer.kernels, generator).to(device)

    def fit(masks: ViewMasks, activity: str) -> None:
        train_object_field(
            field,
            with_masks(rays, masks, names),
            steps=config.steps,
            rays=config.rays,
            learning_rate=config.learning_rate,
            generator=generator,
            on_step=lambda step, steps, loss: progress(activity, step, steps),
        )
        clock.stop("aggregate")

    fit(masks, "aggregate")
    # Masks from files are final: there is no decoder to ask again.
    for revision in range(1, config.revisions + 1) if decoder is not None else ():
        assert decoder is not None
        opinions = field_opinions(field, rays)
        clock.stop("aggregate")
        revised = revise_masks(
            decoder.segmenter, decoder.features, opinions, names, training, lambda d, n: progress("revise", d, n)
        )
        clock.stop("decode")
        # An object that the field and the decoder cannot agree on anywhere keeps its first masks.
        for view, of_view in masks.items():
            for name in of_view:
                if not any(name in of_other for of_other in revised.values()):
                    revised.setdefault(view, {})[name] = of_view[name]
        masks = revised
        fit(masks, f"aggregate {revision + 1}")
    limit_to_extent(field, rays)
    clock.stop("aggregate")
    field.requires_grad_(False)
    record: dict[str, Any] = {"segmenter": segmenter, "seed": seed, "seconds": seconds}
    return save_segmentation(run, names, field, record, _stored_masks(run, masks)), seconds


class _Clock:
    """Adds the time since the last stop to a named stage."""

    def __init__(self, seconds: dict[str, float]):
        self._seconds, self._last = seconds, time.monotonic()

    def stop(self, stage: str) -> None:
        now = time.monotonic()
        self._seconds[stage] += now - self._last
        self._last = now


def _check_masks(masks: ViewMasks, names: list[str]) -> None:
    for name in names:
        if not any(name in of_view for of_view in masks.values()):
            raise UserError(
                f"no training view sees the object {name!r}: its prompts are hidden everywhere; click again"
            )
        if not any(bool((of_view[name].probability > 0.5).any()) for of_view in masks.values() if name in of_view):
            raise UserError(f"the masks of the object {name!r} are empty in every view; click again")


def _stored_masks(run: Run, masks: ViewMasks) -> dict[str, dict[str, Bool[torch.Tensor, "h w"]]]:
    """Decoded masks by object name and a file stem for the view."""
    out: dict[str, dict[str, Bool[torch.Tensor, "h w"]]] = {}
    for view, of_view in masks.items():
        for name, mask in of_view.items():
            out.setdefault(name, {})[run.scene.output_stem(view)] = mask.probability > 0.5
    return out
