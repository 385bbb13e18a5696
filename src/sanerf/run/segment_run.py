"""`segment`: prompts to one mask a view to a field of identities (paper, Figure 1), on a trained run.

Three ways lead there: a trained object field, an instant vote, and a vote that a trained field then refines.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sanerf.aggregate.evidence import gather_evidence
from sanerf.aggregate.ray_bank import RayBank, with_masks
from sanerf.aggregate.view_masks import Prompting, ViewMasks
from sanerf.fields.object import ObjectField
from sanerf.fields.voted import VotedField
from sanerf.progress import Progress
from sanerf.prompts.drawings import copy_drawings
from sanerf.prompts.file import PromptSet, prompts_to_json
from sanerf.render.images import Renderer
from sanerf.run.assessment import assess
from sanerf.run.decoding import MaskSource, first_masks
from sanerf.run.folder import Run
from sanerf.run.kept_masks import mask_pictures, mask_record
from sanerf.run.lifting import Lifting, aggregate_masks, refine_vote, revise_by_vote, vote_instantly
from sanerf.run.lock import run_lock
from sanerf.run.samples import lay_rays
from sanerf.run.segmentation import Segmentation, save_segmentation
from sanerf.run.stages import Stages
from sanerf.shapes import Bool

INSTANT_RAYS = 300_000
"""About so many rays vote, a quarter of those that an object field is trained on: all of them vote no better. Those
that voted refine the vote, too: all of them brought 0.001 of mean IoU on the bundled scene, and take 10 s to sample."""

Answer = tuple[Segmentation, dict[str, float]]
"""A stored segmentation and the seconds of the stages so far."""

KeptPrompts = tuple[PromptSet, dict[Path, Bool[torch.Tensor, "_ _"]]]
"""The prompts, and their pictures as they were before the long work, during which a user may move the files."""


@dataclass(frozen=True)
class Asked:
    """What an answer is an answer to: the prompts, what else the record should have (`said`), how the decoder was
    asked, if there was one, and the objects `forgotten` for it (`save_segmentation`)."""

    kept: KeptPrompts
    said: dict[str, Any]
    prompting: Prompting | None = None
    forgotten: Collection[str] = ()


@dataclass(frozen=True)
class _Call:
    """What is asked of one call, and on which run."""

    run: Run
    renderer: Renderer
    prompts: PromptSet
    source: MaskSource
    seed: int
    progress: Progress

    @property
    def said(self) -> dict[str, Any]:
        """What the record has of it."""
        return {"method": "sanerf", **vars(self.source), "seed": self.seed}

    @property
    def names(self) -> list[str]:
        return [entry.name for entry in self.prompts.objects]


def segment_run(
    run: Run, renderer: Renderer, prompts: PromptSet, source: MaskSource, *, seed: int, progress: Progress
) -> Answer:
    """Segment all objects of a prompt set jointly and store the result in the run folder. Of objects whose masks come
    from files the names are enough. The prompts fit the run's scene: `prompts.check.check_prompts` says so beforehand.

    The first masks, those of the prompts, each go back to the decoder up to `source.refine` times. Gives the
    segmentation and the seconds of its stages "encode", "decode", "sample", "aggregate" and "assess"
    (`run.assessment`), and of what its container does besides. Raises UserError for prompts that cannot be used, for
    objects of which no view has a mask, where source and options do not go together, and where another process works
    on the run.
    """
    call = _Call(run, renderer, prompts, source, seed, progress)
    source.check()
    with run_lock(run.path):
        kept = copy_drawings(prompts)
        stages, generator = Stages(progress, "aggregate"), torch.Generator().manual_seed(seed)
        lifting = Lifting(run, renderer, call.names, stages)
        prompting, masks = first_masks(run, renderer, prompts, source, stages=stages)
        total_rays = run.config.aggregate.total_rays
        rays = lay_rays(run, renderer, kept=run.samples, total_rays=total_rays, generator=generator, stages=stages)
        field, masks = aggregate_masks(lifting, rays, masks, prompting, generator)
        return store_answer(run, Asked(kept, call.said, prompting), field=field, rays=rays, masks=masks, stages=stages)


def segment_instantly(
    run: Run, renderer: Renderer, prompts: PromptSet, source: MaskSource, *, seed: int, progress: Progress
) -> Answer:
    """`segment_run` with the first masks put to the vote (`aggregate.vote`) in place of training; they are revised only
    where an object has prompts in several views.

    In place of "aggregate" there are the stages "vote" and "revise".
    """
    call = _Call(run, renderer, prompts, source, seed, progress)
    source.check()
    with run_lock(run.path):
        return next(_voted(call, Stages(progress, "vote", "revise")))


def segment_and_refine(
    run: Run, renderer: Renderer, prompts: PromptSet, source: MaskSource, *, seed: int, progress: Progress
) -> Iterator[Answer]:
    """The answer of `segment_instantly`, once it is stored; then that of an object field that starts from it, which is
    stored in its place.

    What was voted prompts the decoder again, and the new masks are put to the vote ("revise"), as often as a whole
    `segment` revises; then the object field learns what is left to learn ("refine"). The run is locked until the
    iterator is exhausted or closed.
    """
    call = _Call(run, renderer, prompts, source, seed, progress)
    source.check()
    with run_lock(run.path):
        yield from _voted(call, Stages(progress, "vote", "revise", "refine"))


def _voted(call: _Call, stages: Stages) -> Iterator[Answer]:
    """The stored vote, then what refines it."""
    run, renderer = call.run, call.renderer
    kept = copy_drawings(call.prompts)
    lifting, generator = Lifting(run, renderer, call.names, stages), torch.Generator().manual_seed(call.seed)
    prompting, masks = first_masks(run, renderer, call.prompts, call.source, stages=stages)
    total_rays = min(run.config.aggregate.total_rays, INSTANT_RAYS)
    rays = lay_rays(run, renderer, kept=run.coarse_samples, total_rays=total_rays, generator=generator, stages=stages)
    vote = vote_instantly(lifting, rays, masks, prompting)
    asked = Asked(kept, call.said, prompting)
    yield store_answer(run, asked, field=vote.field, rays=rays, masks=vote.masks, stages=stages)

    rounds = run.config.aggregate.revisions - vote.revised
    vote = revise_by_vote(lifting, rays, vote, prompting, rounds=rounds)
    refined = refine_vote(lifting, rays, vote.masks, vote.field, generator)
    yield store_answer(run, asked, field=refined, rays=rays, masks=vote.masks, stages=stages)


def store_answer(
    run: Run,
    asked: Asked,
    *,
    field: ObjectField | VotedField,
    rays: RayBank,
    masks: ViewMasks,
    stages: Stages,
) -> Answer:
    """Store a field of the prompts' objects with its masks, what those say of places, and what it expects of itself."""
    prompts, drawings = asked.kept
    names = [entry.name for entry in prompts.objects]
    assessment = assess(run, field, rays=rays, masks=masks, prompts=prompts, prompting=asked.prompting)
    evidence = gather_evidence(with_masks(rays, masks, names), names, voted=isinstance(field, VotedField))
    stages.end("assess")
    seconds = dict(stages.seconds)
    record = {
        **asked.said,
        "seconds": seconds,
        "prompts": prompts_to_json(prompts),
        **mask_record(masks, run.scene),
        **assessment,
    }
    pictures = {**drawings, **mask_pictures(masks, run.scene)}
    stored = save_segmentation(
        run, names, field=field, record=record, masks=pictures, evidence=evidence, forgotten=asked.forgotten
    )
    return stored, seconds
