"""Masks of training views to one field of identities in space: sampled rays, then training, a vote, or both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from sanerf.aggregate.agreement import agreeing_masks, fit_and_review, mask_agreement
from sanerf.aggregate.extent import limit_to_extent
from sanerf.aggregate.local_rays import Surroundings
from sanerf.aggregate.ray_bank import RayBank, build_ray_bank, with_masks
from sanerf.aggregate.revise import (
    Fit,
    RenderedIdentities,
    Revisions,
    fit_and_revise,
    mean_mask_iou,
    render_identities,
    revise_masks,
    with_lost_objects,
)
from sanerf.aggregate.sample_cache import SampleCache
from sanerf.aggregate.training import train_object_field
from sanerf.aggregate.trust import TrustConfig, with_trust
from sanerf.aggregate.view_masks import ViewMasks
from sanerf.aggregate.vote import vote_twice
from sanerf.aggregate.warm_start import of_identities
from sanerf.fields.object import ObjectField
from sanerf.fields.voted import VotedField
from sanerf.render.images import Renderer
from sanerf.run.decoding import Decoder
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


def lay_rays(
    lifting: Lifting, total_rays: int, generator: torch.Generator, cache: SampleCache | None = None
) -> RayBank:
    """The rays of all training views with their samples, from a cache where they are there."""
    run = lifting.run
    bank = build_ray_bank(
        training_cameras(run),
        training_renderer(run, lifting.renderer),
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
    field, steps = new_field(lifting, generator), lifting.run.config.aggregate.steps
    masks = fit_field(lifting, field, rays, masks, decoder, generator, steps=steps, asked=lifting.names)
    return field, masks


def fit_field(
    lifting: Lifting,
    field: ObjectField,
    rays: RayBank,
    masks: ViewMasks,
    decoder: Decoder | None,
    generator: torch.Generator,
    *,
    steps: int,
    asked: Sequence[str],
) -> ViewMasks:
    """Fit a field to some masks, `steps` each time, let it revise those of the objects `asked` by the decoder if there
    is one, and limit it to what masks show. Gives the masks it was fitted to last."""
    config, names = lifting.run.config.aggregate, lifting.names
    fit = fitter(lifting, field, generator, steps=steps, stage="aggregate")
    if decoder is not None:
        masks = fit_and_revise(
            field,
            rays,
            masks=masks,
            names=names,
            revisions=Revisions(config.revisions, config.settled),
            fit=fit,
            revise=reviser(lifting, decoder, asked, worked="aggregate", stage="decode"),
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
    limit_to_extent(field.requires_grad_(False), with_masks(rays, masks, names))
    lifting.stages.end("aggregate")
    return masks


def revise_by_vote(
    lifting: Lifting, rays: RayBank, masks: ViewMasks, decoder: Decoder | None, voted: VotedField
) -> tuple[ViewMasks, VotedField]:
    """What was voted prompts a decoder again, and its answers are put to the vote, until they are settled; without a
    decoder, masks that contradict the vote are left out, once. Gives the last masks and their vote."""
    names, config = lifting.names, lifting.run.config.aggregate
    if decoder is None:
        if config.reviews:
            agreement = mask_agreement(render_identities(voted, rays), masks, names)
            masks = agreeing_masks(masks, agreement, config.least_agreement)
            voted = vote_twice(rays, masks, names)
        lifting.stages.end("revise")
        return masks, voted
    revise = reviser(lifting, decoder, names, worked="revise", stage="revise")
    for _ in range(config.revisions):
        revised = with_lost_objects(revise(render_identities(voted, rays)), masks)
        settled = mean_mask_iou(revised, masks) >= config.settled
        masks, voted = revised, vote_twice(rays, revised, names)
        lifting.stages.end("revise")
        if settled:
            break
    return masks, voted


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
    lifting: Lifting, decoder: Decoder, asked: Sequence[str], *, worked: str, stage: str
) -> Callable[[dict[int, RenderedIdentities]], ViewMasks]:
    """Asks a decoder again about some objects, prompted by what a field rendered of them; the time until then is of the
    stage `worked`, its own of `stage`."""
    stages, cameras = lifting.stages, training_cameras(lifting.run)

    def revise(rendered: dict[int, RenderedIdentities]) -> ViewMasks:
        stages.end(worked)
        of_asked = {view: of_identities(of, lifting.names, asked) for view, of in rendered.items()}
        revised = revise_masks(
            decoder.segmenter, decoder.features, of_asked, asked, cameras, on_progress=stages.listener("revise")
        )
        stages.end(stage)
        return revised

    return revise
