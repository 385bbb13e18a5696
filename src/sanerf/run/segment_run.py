"""`segment`: prompts to one mask a view to the object field (paper, Figure 1), on a trained run."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sanerf.adapters.hash_field import HashField
from sanerf.aggregate.agreement import fit_and_review
from sanerf.aggregate.evidence import gather_evidence
from sanerf.aggregate.extent import limit_to_extent
from sanerf.aggregate.local_rays import Surroundings
from sanerf.aggregate.ray_bank import RayBank, build_ray_bank, with_masks
from sanerf.aggregate.revise import RenderedIdentities, fit_and_revise, revise_masks
from sanerf.aggregate.sample_cache import SampleCache
from sanerf.aggregate.training import train_object_field
from sanerf.aggregate.view_masks import ViewMasks, decode_views, masks_from_files
from sanerf.aggregate.vote import vote_twice
from sanerf.data.images import downscaled_size, load_image
from sanerf.errors import UserError
from sanerf.fields.object import ObjectField
from sanerf.fields.protocol import Field
from sanerf.fields.radiance import RadianceField
from sanerf.geometry.cameras import Camera, resized
from sanerf.progress import OnPart, Progress
from sanerf.prompts.check import check_prompts
from sanerf.prompts.drawings import copy_drawings
from sanerf.prompts.file import PromptSet, prompts_to_json
from sanerf.prompts.lift import LiftedPrompts, lift_objects
from sanerf.render.images import Renderer, render_image
from sanerf.render.pictures import to_bytes
from sanerf.run.folder import Run
from sanerf.run.kept_masks import mask_pictures, mask_record
from sanerf.run.lock import run_lock
from sanerf.run.segmentation import Segmentation, save_segmentation
from sanerf.segmenter.cache import FeatureCache
from sanerf.segmenter.load import load_segmenter
from sanerf.segmenter.protocol import ImageFeatures, Segmenter, ViewPrompts
from sanerf.segmenter.refine import decode_chosen
from sanerf.shapes import Bool, UInt8

MASKS_PREFIX = "masks:"
INSTANT_RAYS = 300_000
"""About so many rays vote, a quarter of those that an object field is trained on: all of them vote no better."""


def run_cameras(run: Run) -> list[Camera]:
    """All views' cameras at the run's resolution."""
    sizes = [downscaled_size(view.camera, run.config.downscale) for view in run.scene.views]
    return [resized(view.camera, *size) for view, size in zip(run.scene.views, sizes, strict=True)]


def training_cameras(run: Run) -> dict[int, Camera]:
    """The training views' cameras at the run's resolution, by view index."""
    cameras = run_cameras(run)
    return {view: cameras[view] for view in run.scene.train}


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
    prompts: PromptSet, decoder: Decoder, *, cameras: list[Camera], renderer: Renderer, refine: int = 0
) -> list[LiftedPrompts]:
    """All objects' prompts in the world. Boxes are decoded in the view they were drawn in, of which alone features are
    asked, and only once all clicks are known to be good; their masks are fed back up to `refine` times. A held-out
    view's photograph is for testing: there a box is decoded in the rendered picture."""

    def mask_of_box(view: int, box: ViewPrompts) -> Bool[torch.Tensor, "h w"]:
        if view in decoder.run.scene.test:
            picture = render_image(renderer, cameras[view], decoder.run.background).rgb
            features = decoder.segmenter.encode(torch.from_numpy(to_bytes(picture)))
        else:
            features = decoder.features(view)
        (chosen,) = decode_chosen(decoder.segmenter, features, [box], rounds=refine)
        return (chosen.mask_logits > 0).cpu()

    return lift_objects(prompts.objects, decoder.run.scene, cameras, renderer, mask_of_box)


@dataclass(frozen=True)
class _Request:
    """What is asked of one call."""

    prompts: PromptSet
    segmenter: str
    seed: int
    refine: int
    instant: bool

    @property
    def names(self) -> list[str]:
        return [entry.name for entry in self.prompts.objects]


def segment_run(
    run: Run, renderer: Renderer, prompts: PromptSet, segmenter: str, *, seed: int, progress: Progress, refine: int = 0
) -> tuple[Segmentation, dict[str, float]]:
    """Segment all objects of a prompt set jointly and store the result in the run folder. Of objects whose masks come
    from files the names are enough.

    The first masks, those of the prompts, each go back to the decoder up to `refine` times. Gives the segmentation and
    the seconds of its stages "encode", "decode", "sample" and "aggregate". Raises UserError for prompts that cannot be
    used, for objects of which no view has a mask, where masks from files should be refined, and where another process
    works on the run.
    """
    return _segment_alone(run, renderer, _Request(prompts, segmenter, seed, refine, instant=False), progress)


def segment_instantly(
    run: Run, renderer: Renderer, prompts: PromptSet, segmenter: str, *, seed: int, progress: Progress, refine: int = 0
) -> tuple[Segmentation, dict[str, float]]:
    """`segment_run` with the first masks put to the vote (`aggregate.vote`) in place of training; nothing is revised.

    The last stage is "vote".
    """
    return _segment_alone(run, renderer, _Request(prompts, segmenter, seed, refine, instant=True), progress)


def _segment_alone(
    run: Run, renderer: Renderer, request: _Request, progress: Progress
) -> tuple[Segmentation, dict[str, float]]:
    """With the run locked, once what can be told from the request alone is in order."""
    check_refine(request.segmenter, request.refine)
    check_prompts(request.prompts, run.scene)
    with run_lock(run.path):
        return _segment(run, renderer, request, progress)


def check_refine(segmenter: str, refine: int) -> None:
    """Raise UserError where masks shall go back to a decoder and there is none."""
    if refine and segmenter.startswith(MASKS_PREFIX):
        raise UserError(f"--refine gives masks back to a decoder; {segmenter} has none")


def first_masks(
    run: Run, renderer: Renderer, prompts: PromptSet, segmenter: str, stages: "Stages", refine: int
) -> tuple[Decoder | None, ViewMasks]:
    """What the prompts alone say of all training views, and the decoder that said it, if there is one."""
    if segmenter.startswith(MASKS_PREFIX):
        folder, names = Path(segmenter.removeprefix(MASKS_PREFIX)), [entry.name for entry in prompts.objects]
        return None, masks_from_files(folder, names, run.scene, training_cameras(run))
    decoder = open_decoder(run, segmenter, renderer.density_grid.device)
    return decoder, _decode_prompts(decoder, prompts, renderer, stages, refine)


def _segment(
    run: Run, renderer: Renderer, request: _Request, progress: Progress
) -> tuple[Segmentation, dict[str, float]]:
    names = request.names
    # Before the long work, during which a user may move the files.
    kept_prompts, drawings = copy_drawings(request.prompts)
    stages = Stages(progress, last="vote" if request.instant else "aggregate")
    decoder, masks = first_masks(run, renderer, request.prompts, request.segmenter, stages, request.refine)
    check_masks(masks, names)
    stages.end("decode")
    lifting, generator = Lifting(run, renderer, names, stages), torch.Generator().manual_seed(request.seed)
    if request.instant:
        total_rays, path = min(run.config.aggregate.total_rays, INSTANT_RAYS), run.coarse_samples
    else:
        total_rays, path = run.config.aggregate.total_rays, run.samples
    rays = lay_rays(lifting, total_rays, generator, sample_cache(path, renderer.field))
    if request.instant:
        field = vote_twice(rays, masks, names)
        stages.end("vote")
    else:
        field, masks = aggregate_masks(lifting, rays, masks, decoder, generator)
    record: dict[str, Any] = {
        "segmenter": request.segmenter,
        "seed": request.seed,
        "refine": request.refine,
        "seconds": stages.seconds,
        "prompts": prompts_to_json(kept_prompts),
        **mask_record(masks, run.scene),
    }
    pictures = {**drawings, **mask_pictures(masks, run.scene)}
    evidence = gather_evidence(with_masks(rays, masks, names), names, voted=request.instant)
    saved = save_segmentation(run, names, field=field, record=record, masks=pictures, evidence=evidence)
    return saved, stages.seconds


class Stages:
    """The seconds of each stage so far, and who is told how far an activity has come."""

    def __init__(self, progress: Progress, last: str):
        self.seconds = {"encode": 0.0, "decode": 0.0, "sample": 0.0, last: 0.0}
        self._progress, self._last = progress, time.monotonic()

    def end(self, stage: str) -> None:
        """Add the time since the last end to a stage."""
        now = time.monotonic()
        self.seconds[stage] += now - self._last
        self._last = now

    def listener(self, activity: str) -> OnPart:
        """Passes on how much of an activity is done, and how much there is."""
        return lambda done, total: self._progress(activity, done, total)


def _decode_prompts(decoder: Decoder, prompts: PromptSet, renderer: Renderer, stages: Stages, refine: int) -> ViewMasks:
    """The masks of all objects in the training views where their prompts are seen."""
    # Encoding takes minutes: a click on empty space must be refused before.
    lifted = lift_prompts(prompts, decoder, cameras=run_cameras(decoder.run), renderer=renderer, refine=refine)
    training = training_cameras(decoder.run)
    on_encoded = stages.listener("encode")
    on_encoded(0, len(training))
    images = (run_image(decoder.run, view) for view in training)
    decoder.cache.encode_all(images, lambda done: on_encoded(done, len(training)))
    stages.end("encode")
    on_decoded = stages.listener("decode")
    return decode_views(
        decoder.segmenter,
        decoder.features,
        lifted=lifted,
        cameras=training,
        renderer=renderer,
        refine=refine,
        on_progress=on_decoded,
    )


def sample_cache(path: Path, field: Field) -> SampleCache | None:
    """The kept samples of a field; None where it is somebody's Python code: nobody knows what that depends on."""
    if type(field) is RadianceField:
        return SampleCache(path, repr(field.grid.levels))
    if type(field) is HashField:
        return SampleCache(path, repr(field.settings))
    return None


def sparse_renderer(run: Run, renderer: Renderer) -> Renderer:
    """A renderer that samples as densely as training does: a bank twice as dense costs twice the time, and exact masks
    taught the object field as much without (0.965 mean IoU on the bundled scene)."""
    sampling = run.config.sampling
    return replace(renderer, plan=replace(renderer.plan, samples=sampling.samples, refined=sampling.refined))


@dataclass(frozen=True)
class Lifting:
    """What a lifting of masks to space works with, and who is told how far it is."""

    run: Run
    renderer: Renderer
    names: Sequence[str]
    stages: Stages


def lay_rays(
    lifting: Lifting, total_rays: int, generator: torch.Generator, cache: SampleCache | None = None
) -> RayBank:
    """The rays of all training views with their samples, from a cache where they are there."""
    run = lifting.run
    bank = build_ray_bank(
        training_cameras(run),
        sparse_renderer(run, lifting.renderer),
        total_rays=total_rays,
        weight_threshold=run.config.aggregate.weight_threshold,
        generator=generator,
        cache=cache,
        on_progress=lifting.stages.listener("sample"),
    )
    lifting.stages.end("sample")
    return bank


def aggregate_masks(
    lifting: Lifting, rays: RayBank, masks: ViewMasks, decoder: Decoder | None, generator: torch.Generator
) -> tuple[ObjectField, ViewMasks]:
    """The object field of some masks, revised by the decoder if there is one, and the masks it was fitted to last."""
    run, renderer, names, stages = lifting.run, lifting.renderer, lifting.names, lifting.stages
    config, cameras, sparse = run.config.aggregate, training_cameras(run), sparse_renderer(run, renderer)
    field = ObjectField(run.config.object, 1 + len(names), renderer.kernels, generator).to(renderer.density_grid.device)

    def fit(masked: RayBank, of_views: ViewMasks, revision: int) -> None:
        around = Surroundings(
            cameras, sparse, of_views, names, lambda view: run_image(run, view), config.weight_threshold
        )
        on_step = stages.listener("aggregate" if revision == 0 else f"aggregate {revision + 1}")
        train_object_field(
            field,
            masked,
            steps=config.steps,
            rays=config.rays,
            learning_rate=config.learning_rate,
            generator=generator,
            ray_pairs=(config.ray_pairs, around),
            on_step=lambda step, steps, loss: on_step(step, steps),
        )
        stages.end("aggregate")

    def revise(rendered: dict[int, RenderedIdentities]) -> ViewMasks:
        assert decoder is not None
        stages.end("aggregate")
        revised = revise_masks(
            decoder.segmenter, decoder.features, rendered, names, cameras, on_progress=stages.listener("revise")
        )
        stages.end("decode")
        return revised

    if decoder is not None:
        masks = fit_and_revise(
            field, rays, masks=masks, names=names, revisions=config.revisions, fit=fit, revise=revise
        )
    else:
        masks = fit_and_review(
            field,
            rays,
            masks=masks,
            names=names,
            reviews=config.reviews,
            least_agreement=config.least_agreement,
            fit=fit,
        )
    limit_to_extent(field, with_masks(rays, masks, names))
    stages.end("aggregate")
    return field.requires_grad_(False), masks


def check_masks(masks: ViewMasks, names: list[str]) -> None:
    """Raise UserError for an object of which no view has a mask, or none that is not empty."""
    for name in names:
        if not any(name in of_view for of_view in masks.values()):
            raise UserError(
                f"no training view sees the object {name!r}: its prompts are hidden everywhere; click again"
            )
        if not any(bool((of_view[name].probability > 0.5).any()) for of_view in masks.values() if name in of_view):
            raise UserError(f"the masks of the object {name!r} are empty in every view; click again")
