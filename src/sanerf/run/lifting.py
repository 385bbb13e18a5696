"""Masks of training views to one field of identities in space: sampled rays, then training, a vote, or both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from sanerf.aggregate.agreement import agreeing_masks, fit_and_review, mask_agreement
from sanerf.aggregate.corrections import Vote, first_vote, rendered_of
from sanerf.aggregate.extent import fit_within_extent, limit_to_extent
from sanerf.aggregate.local_rays import Surroundings
from sanerf.aggregate.ray_bank import RayBank, with_masks
from sanerf.aggregate.reprompt import reprompt_masks
from sanerf.aggregate.revise import (
    Fit,
    RenderedIdentities,
    Revisions,
    fit_and_revise,
    mean_mask_iou,
    render_identities,
    with_lost_objects,
)
from sanerf.aggregate.training import train_object_field
from sanerf.aggregate.trust import TrustConfig, with_trust
from sanerf.aggregate.view_masks import Prompting, ViewMasks
from sanerf.aggregate.vote import vote_twice
from sanerf.fields.object import ObjectField
from sanerf.fields.voted import VotedField, VotedVolume
from sanerf.render.images import Renderer
from sanerf.run.folder import Run
from sanerf.run.samples import training_renderer
from sanerf.run.stages import Stages
from sanerf.run.views import run_image, training_cameras


@dataclass(frozen=True)
class Lifting:
    """What a lifting of masks to space works with, and who is told how far it is."""

    run: Run
    renderer: Renderer
    names: Sequence[str]
    stages: Stages


def aggregate_masks(
    lifting: Lifting, rays: RayBank, masks: ViewMasks, prompting: Prompting | None, generator: torch.Generator
) -> tuple[ObjectField, ViewMasks]:
    """The object field of some masks, revised by the decoder if there is one, and the masks it was fitted to last."""
    field, steps = new_field(lifting, generator), lifting.run.config.aggregate.steps
    masks = fit_field(lifting, field, rays, masks, prompting, generator, steps=steps)
    return field, masks


def fit_field(
    lifting: Lifting,
    field: ObjectField,
    rays: RayBank,
    masks: ViewMasks,
    prompting: Prompting | None,
    generator: torch.Generator,
    *,
    steps: int,
) -> ViewMasks:
    """Fit a field to some masks, `steps` each time, let it revise those of the objects asked about, if any,
    and limit it to what masks show. Gives the masks it was fitted to last."""
    config, names = lifting.run.config.aggregate, lifting.names
    fit = fitter(lifting, field, generator, steps=steps, stage="aggregate")
    if prompting is not None and prompting.outside:
        masks = first_vote(rays, masks, names, prompting).masks
        lifting.stages.end("decode")
    if prompting is not None:
        masks = fit_and_revise(
            field,
            rays,
            masks=masks,
            names=names,
            revisions=Revisions(config.revisions, config.settled),
            fit=fit_within_extent(field, fit),
            revise=reviser(lifting, prompting, worked="aggregate", stage="decode"),
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
    field.requires_grad_(False)
    lifting.stages.end("aggregate")
    return masks


def vote_instantly(
    lifting: Lifting,
    rays: RayBank,
    masks: ViewMasks,
    prompting: Prompting | None,
    kept: dict[str, VotedVolume] | None = None,
) -> Vote:
    """Put masks to the vote. Where a user has corrected an answer by clicks in other views, the decoder is asked again
    with those and the vote, once: in views that see no click of their own nothing else would tell it. `kept` are
    volumes that are not voted on again."""
    vote = first_vote(rays, masks, lifting.names, prompting, kept)
    lifting.stages.end("vote")
    if prompting is not None and prompting.corrected:
        vote = revise_by_vote(lifting, rays, vote, prompting, rounds=1, kept=kept)
    return vote


def revise_by_vote(
    lifting: Lifting,
    rays: RayBank,
    vote: Vote,
    prompting: Prompting | None,
    *,
    rounds: int,
    kept: dict[str, VotedVolume] | None = None,
) -> Vote:
    """What was voted prompts a decoder again, and its answers are put to the vote, until they are settled or `rounds`
    are over; without a decoder, masks that contradict the vote are left out, once."""
    names, config = lifting.names, lifting.run.config.aggregate
    if prompting is None:
        if config.reviews:
            agreement = mask_agreement(render_identities(vote.field, rays), vote.masks, names)
            masks = agreeing_masks(vote.masks, agreement, config.least_agreement)
            vote = Vote(vote_twice(rays, masks, names), masks)
        lifting.stages.end("revise")
        return vote
    revise = reviser(lifting, prompting, worked="revise", stage="revise")
    for _ in range(rounds):
        revised = with_lost_objects(revise(render_identities(vote.field, rays)), vote.masks)
        settled = mean_mask_iou(revised, vote.masks) >= config.settled
        vote = Vote(vote_twice(rays, revised, names, kept), revised, vote.revised + 1)
        lifting.stages.end("revise")
        if settled:
            break
    return vote


def refine_vote(
    lifting: Lifting, rays: RayBank, masks: ViewMasks, voted: VotedField, generator: torch.Generator
) -> ObjectField:
    """An object field that starts from what was voted and is fitted to the masks, which count as they agree with it."""
    field = new_field(lifting, generator, voted)
    steps = lifting.run.config.aggregate.refining_steps
    fit = fitter(lifting, field, generator, steps=steps, stage="refine")
    masked = with_masks(rays, masks, lifting.names)
    fit(masked, masks, 0, render_identities(voted, rays))
    limit_to_extent(field, masked)
    lifting.stages.end("refine")
    return field.requires_grad_(False)


def new_field(lifting: Lifting, generator: torch.Generator, start: VotedField | None = None) -> ObjectField:
    """An object field that has learnt nothing yet, on the renderer's device."""
    renderer = lifting.renderer
    field = ObjectField(lifting.run.config.object, 1 + len(lifting.names), renderer.kernels, generator, start)
    return field.to(renderer.density_grid.device)


def fitter(lifting: Lifting, field: ObjectField, generator: torch.Generator, *, steps: int, stage: str) -> Fit:
    """Trains `field` by the run's settings, in a stage of that name."""
    run, names = lifting.run, lifting.names
    config, cameras, sparse = run.config.aggregate, training_cameras(run), training_renderer(run, lifting.renderer)

    def fit(masked: RayBank, of_views: ViewMasks, number: int, rendered: dict[int, RenderedIdentities] | None) -> None:
        if config.trust != TrustConfig(0.0, 0.0):
            masked = with_trust(masked, of_views, names=names, rendered=rendered, config=config.trust)
        around = Surroundings(
            cameras, sparse, of_views, names, lambda view: run_image(run, view), config.weight_threshold
        )
        on_step = lifting.stages.listener(stage if number == 0 else f"{stage} {number + 1}")
        train_object_field(
            field,
            masked,
            steps=steps,
            rays=config.rays,
            learning_rate=config.learning_rate,
            generator=generator,
            ray_pairs=(config.ray_pairs, around),
            on_step=lambda step, steps, loss: on_step(step, steps),
        )
        lifting.stages.end(stage)

    return fit


def reviser(
    lifting: Lifting, prompting: Prompting, *, worked: str, stage: str
) -> Callable[[dict[int, RenderedIdentities]], ViewMasks]:
    """Asks a decoder again about the objects that it was asked about, by what a field rendered of all; the time until
    then is of the stage `worked`, its own of `stage`."""

    def revise(rendered: dict[int, RenderedIdentities]) -> ViewMasks:
        lifting.stages.end(worked)
        of_asked = rendered_of(rendered, lifting.names, prompting)
        revised = reprompt_masks(prompting, of_asked, lifting.stages.listener("revise"))
        lifting.stages.end(stage)
        return revised

    return revise
