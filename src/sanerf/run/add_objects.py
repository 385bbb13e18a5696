"""`segment --add`: more prompts for a run that has objects; all of them together come to be one segmentation.

Only the objects that the prompts are about are decoded. The others' masks are those that the run has kept, and their
part of the field is where the new one starts: a voted volume as it is, a trained field's row of weights.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch

from sanerf.aggregate.agreement import fit_and_review
from sanerf.aggregate.evidence import gather_evidence
from sanerf.aggregate.extent import limit_to_extent
from sanerf.aggregate.local_rays import Surroundings
from sanerf.aggregate.ray_bank import RayBank, with_masks
from sanerf.aggregate.revise import RenderedIdentities, revise_masks
from sanerf.aggregate.training import train_object_field
from sanerf.aggregate.view_masks import ViewMasks
from sanerf.aggregate.vote import vote_twice
from sanerf.aggregate.warm_start import refit_and_revise, widened_field
from sanerf.fields.object import ObjectField
from sanerf.progress import Progress
from sanerf.prompts.check import check_prompts
from sanerf.prompts.drawings import copy_drawings
from sanerf.prompts.file import PromptSet, prompts_to_json
from sanerf.render.images import Renderer
from sanerf.run.folder import Run
from sanerf.run.joined import JoinedObjects, join_objects
from sanerf.run.kept_masks import mask_pictures, mask_record
from sanerf.run.lock import run_lock
from sanerf.run.segment_run import (
    INSTANT_RAYS,
    Decoder,
    Lifting,
    Stages,
    check_masks,
    check_refine,
    first_masks,
    lay_rays,
    run_image,
    sample_cache,
    sparse_renderer,
    training_cameras,
)
from sanerf.run.segmentation import Segmentation, load_segmentations, save_segmentation


@dataclass(frozen=True)
class Addition:
    """What is asked for: prompts by a segmenter, a vote or training, and which objects of the run start anew."""

    prompts: PromptSet
    segmenter: str
    instant: bool = False
    refine: int = 0
    anew: Collection[str] = ()


def add_objects(
    run: Run, renderer: Renderer, addition: Addition, *, seed: int, progress: Progress
) -> tuple[Segmentation, dict[str, float]]:
    """Add objects to those of a run, or prompts to an object's earlier ones, and store all objects as one segmentation.

    Gives it with the seconds of the stages "encode", "decode", "sample" and, last, "aggregate" or "vote". Raises
    UserError as `segment_run` does, and for objects whose masks the run has not kept.
    """
    check_refine(addition.segmenter, addition.refine)
    check_prompts(addition.prompts, run.scene)
    with run_lock(run.path):
        segmentations = load_segmentations(run, renderer.kernels, renderer.density_grid.device)
        joined = join_objects(run, segmentations, addition.prompts, anew=addition.anew)
        check_prompts(joined.asked, run.scene)
        return _add(run, renderer, addition, joined, seed=seed, progress=progress)


def _add(
    run: Run, renderer: Renderer, addition: Addition, joined: JoinedObjects, *, seed: int, progress: Progress
) -> tuple[Segmentation, dict[str, float]]:
    # Before the long work: users may move files, and masks may be gone.
    prompts, drawings = copy_drawings(joined.prompts)
    kept = joined.kept_masks(run, training_cameras(run))
    stages = Stages(progress, last="vote" if addition.instant else "aggregate")
    decoder, masks = first_masks(run, renderer, joined.asked, addition.segmenter, stages, addition.refine)
    check_masks(masks, [entry.name for entry in joined.asked.objects])
    for view, of_view in kept.items():
        masks.setdefault(view, {}).update(of_view)
    stages.end("decode")
    lifting, generator = Lifting(run, renderer, joined.names, stages), torch.Generator().manual_seed(seed)
    config = run.config.aggregate
    if addition.instant:
        total_rays = min(config.total_rays, INSTANT_RAYS)
        rays = lay_rays(lifting, total_rays, generator, sample_cache(run.coarse_samples, renderer.field))
        field = vote_twice(rays, masks, joined.names, joined.kept_volumes())
        stages.end("vote")
    else:
        rays = lay_rays(lifting, config.total_rays, generator, sample_cache(run.samples, renderer.field))
        field, masks = _refitted(lifting, joined, rays, masks, decoder, generator)
    record: dict[str, Any] = {
        "segmenter": addition.segmenter,
        "seed": seed,
        "refine": addition.refine,
        "seconds": stages.seconds,
        "kept": [entry.name for entry in joined.kept.objects],
        "prompts": prompts_to_json(prompts),
        **mask_record(masks, run.scene),
    }
    pictures = {**drawings, **mask_pictures(masks, run.scene)}
    saved = save_segmentation(
        run,
        joined.names,
        field=field,
        record=record,
        masks=pictures,
        evidence=gather_evidence(with_masks(rays, masks, joined.names), joined.names, voted=addition.instant),
        forgotten=addition.anew,
    )
    return saved, stages.seconds


def _refitted(
    lifting: Lifting,
    joined: JoinedObjects,
    rays: RayBank,
    masks: ViewMasks,
    decoder: Decoder | None,
    generator: torch.Generator,
) -> tuple[ObjectField, ViewMasks]:
    """The field of all objects from that of earlier ones, if one was trained, and the masks it was fitted to last."""
    run, renderer, names, stages = lifting.run, lifting.renderer, joined.names, lifting.stages
    config, cameras, sparse = run.config.aggregate, training_cameras(run), sparse_renderer(run, renderer)
    asked = [entry.name for entry in joined.asked.objects]
    start = joined.start()
    if start is None:
        device = renderer.density_grid.device
        field = ObjectField(run.config.object, 1 + len(names), renderer.kernels, generator).to(device)
    else:
        field = widened_field(*start, names, run.config.object, renderer.kernels)

    def fit(masked: RayBank, of_views: ViewMasks, revision: int) -> None:
        around = Surroundings(
            cameras, sparse, of_views, names, lambda view: run_image(run, view), config.weight_threshold
        )
        on_step = stages.listener("aggregate" if revision == 0 else f"aggregate {revision + 1}")
        train_object_field(
            field,
            masked,
            steps=config.steps if start is None else config.added_steps,
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
            decoder.segmenter, decoder.features, rendered, asked, cameras, on_progress=stages.listener("revise")
        )
        stages.end("decode")
        return revised

    if decoder is None:
        masks = fit_and_review(
            field,
            rays,
            masks=masks,
            names=names,
            reviews=config.reviews,
            least_agreement=config.least_agreement,
            fit=fit,
        )
    else:
        masks = refit_and_revise(
            field,
            rays,
            masks=masks,
            names=names,
            asked=asked,
            revisions=config.revisions,
            fit=fit,
            revise=revise,
        )
    limit_to_extent(field, with_masks(rays, masks, names))
    stages.end("aggregate")
    return field.requires_grad_(False), masks
