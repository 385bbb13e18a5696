"""Votes on what a decoder answers to several clicks.

The views are first decoded without the clicks outside of an object that were set in other views (`prompts.hearing`).
Where those lie deep in what is then voted, the views are decoded anew with them. Clicks alone are decoded in each view
by itself, and a view that sees none of those inside the object has no mask; so, for an instant answer, every view is
asked once more, with the clicks and what was voted (`aggregate.reprompt`).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sanerf.aggregate.ray_bank import RayBank
from sanerf.aggregate.reprompt import heard_clicks, reprompt_masks
from sanerf.aggregate.revise import RenderedIdentities, render_identities, with_lost_objects
from sanerf.aggregate.view_masks import Prompting, ViewMasks, decode_views
from sanerf.aggregate.vote import vote_twice
from sanerf.aggregate.warm_start import of_identities
from sanerf.fields.voted import VotedField, VotedVolume


@dataclass(frozen=True)
class Vote:
    """A voted field, the masks that were counted, and how often a field revised them."""

    field: VotedField
    masks: ViewMasks
    revised: int = 0


@dataclass(frozen=True)
class CorrectedAnswer:
    """A voted field, the masks of the ballot that made it, what it renders in the views, and seconds by stage."""

    field: VotedField
    masks: ViewMasks
    rendered: dict[int, RenderedIdentities]
    decode_seconds: float
    vote_seconds: float


def first_vote(
    rays: RayBank,
    masks: ViewMasks,
    names: Sequence[str],
    prompting: Prompting | None,
    kept: Mapping[str, VotedVolume] | None = None,
) -> Vote:
    """Put first masks of the objects `names` to the vote. Where it tells that clicks outside of an object are heard in
    other views, too, those are decoded anew and voted on. `kept` are volumes that are not voted on again."""
    field = vote_twice(rays, masks, names, kept)
    if prompting is None or not prompting.outside:
        return Vote(field, masks)
    heard = heard_clicks(prompting, rendered_of(render_identities(field, rays), names, prompting))
    if all(bool((far == (entry.labels == 1)).all()) for far, entry in zip(heard, prompting.lifted, strict=True)):
        return Vote(field, masks)
    # Objects that nobody asks about keep their masks.
    masks = with_lost_objects(decode_views(prompting, heard), masks)
    return Vote(vote_twice(rays, masks, names, kept), masks)


def rendered_of(
    rendered: dict[int, RenderedIdentities], names: Sequence[str], prompting: Prompting
) -> dict[int, RenderedIdentities]:
    """Of what was rendered of the objects `names` that of those which are asked about."""
    return {view: of_identities(of, names, prompting.names) for view, of in rendered.items()}


def vote_and_correct(prompting: Prompting, rays: RayBank) -> CorrectedAnswer:
    """The instant answer to all clicks so far; `rays` are of the views that are asked."""
    began = time.monotonic()
    masks = decode_views(prompting)
    decode_seconds = time.monotonic() - began
    vote = first_vote(rays, masks, prompting.names, prompting)
    rendered = render_identities(vote.field, rays)
    asked = time.monotonic()
    masks = with_lost_objects(reprompt_masks(prompting, rendered), vote.masks)
    decode_seconds += time.monotonic() - asked
    field = vote_twice(rays, masks, prompting.names)
    rendered = render_identities(field, rays)
    return CorrectedAnswer(field, masks, rendered, decode_seconds, time.monotonic() - began - decode_seconds)
