"""`segment --add`: more prompts for a run that has objects; all of them together come to be one segmentation.

Only the objects that the prompts are about are decoded. The others' masks are those that the run has kept, and their
part of the field is where the new one starts: a voted volume as it is, a trained field's row of weights.
"""

from collections.abc import Collection
from dataclasses import dataclass

import torch

from sanerf.aggregate.ray_bank import RayBank
from sanerf.aggregate.view_masks import Prompting, ViewMasks
from sanerf.aggregate.vote import vote_twice
from sanerf.aggregate.warm_start import widened_field
from sanerf.fields.object import ObjectField
from sanerf.progress import Progress
from sanerf.prompts.check import check_prompts
from sanerf.prompts.drawings import copy_drawings
from sanerf.prompts.file import PromptSet
from sanerf.render.images import Renderer
from sanerf.run.decoding import MaskSource, first_masks
from sanerf.run.folder import Run
from sanerf.run.joined import JoinedObjects, join_objects
from sanerf.run.lifting import Lifting, fit_field, new_field, vote_instantly
from sanerf.run.lock import run_lock
from sanerf.run.samples import lay_rays
from sanerf.run.segment_run import INSTANT_RAYS, Answer, Asked, store_answer
from sanerf.run.segmentation import load_segmentations
from sanerf.run.stages import Stages
from sanerf.run.views import training_cameras


@dataclass(frozen=True)
class Addition:
    """What is asked for: prompts by a segmenter, a vote or training, and which objects of the run start anew."""

    prompts: PromptSet
    """in order for the run's scene (`prompts.check`)"""
    source: MaskSource
    instant: bool = False
    anew: Collection[str] = ()


def add_objects(run: Run, renderer: Renderer, addition: Addition, *, seed: int, progress: Progress) -> Answer:
    """Add objects to those of a run, or prompts to an object's earlier ones, and store all objects as one segmentation.

    Gives it with the seconds of the stages "encode", "decode", "sample", "aggregate" or "vote" and "revise", and
    "assess". Raises UserError as `segment_run` does, and for objects whose masks the run has not kept.
    """
    addition.source.check()
    with run_lock(run.path):
        segmentations = load_segmentations(run, renderer.kernels, renderer.density_grid.device)
        joined = join_objects(run, segmentations, addition.prompts, anew=addition.anew)
        check_prompts(joined.asked, run.scene)
        return _add(run, renderer, addition, joined, seed=seed, progress=progress)


def _add(
    run: Run, renderer: Renderer, addition: Addition, joined: JoinedObjects, *, seed: int, progress: Progress
) -> Answer:
    # Before the long work: users may move files, and masks may be gone.
    kept = copy_drawings(joined.prompts)
    kept_masks = joined.kept_masks(run, training_cameras(run))
    stages = Stages(progress, *(["vote", "revise"] if addition.instant else ["aggregate"]))
    prompting, masks = first_masks(run, renderer, joined.asked, addition.source, stages=stages)
    for view, of_view in kept_masks.items():
        masks.setdefault(view, {}).update(of_view)
    lifting, generator = Lifting(run, renderer, joined.names, stages), torch.Generator().manual_seed(seed)
    samples, total_rays = run.samples, run.config.aggregate.total_rays
    if addition.instant:
        samples, total_rays = run.coarse_samples, min(total_rays, INSTANT_RAYS)
    rays = lay_rays(run, renderer, kept=samples, total_rays=total_rays, generator=generator, stages=stages)
    if addition.instant:
        vote = vote_instantly(lifting, rays, masks, prompting, joined.kept_volumes())
        field, masks = vote.field, vote.masks
    else:
        field, masks = _refitted(lifting, joined, rays, masks, prompting, generator)
    said = {
        **vars(addition.source),
        "seed": seed,
        "kept": [entry.name for entry in joined.kept.objects],
    }
    asked = Asked(kept, said, prompting, addition.anew)
    return store_answer(run, asked, field=field, rays=rays, masks=masks, stages=stages)


def _refitted(
    lifting: Lifting,
    joined: JoinedObjects,
    rays: RayBank,
    masks: ViewMasks,
    prompting: Prompting | None,
    generator: torch.Generator,
) -> tuple[ObjectField, ViewMasks]:
    """The field of all objects from that of earlier ones, if one was trained, and the masks it was fitted to last."""
    run, names = lifting.run, joined.names
    config, start = run.config.aggregate, joined.start()
    if start is None:
        field, steps = new_field(lifting, generator), config.steps
    else:
        # What an earlier field learnt on top of a vote goes on on top of one.
        voted = None if start[0].start is None else vote_twice(rays, masks, names, joined.started_volumes(*start))
        if voted is not None:
            # What was learnt of a corrected object was learnt on top of its old votes.
            start = start[0], [name if name in joined.kept_names else "" for name in start[1]]
        field = widened_field(*start, names, run.config.object, lifting.renderer.kernels, voted)
        steps = config.added_steps
    # Objects that the decoder's answers lack keep their masks, and so do those that are not asked about.
    return field, fit_field(lifting, field, rays, masks, prompting, generator, steps=steps)
