"""The instant answer: the ray bank's samples vote, in closed form, for what their pixels are. No training.

Each sample lies on some surface and votes, with its compositing weight, for the object of its pixel or against it;
where a view has no mask of an object, its pixels say nothing about that object. About each object's own votes a box is
divided into cells, and a cell's share is what was voted for the object there over all that was voted. A cell with few
votes leans on the larger cell around it; where nobody voted there is background.

There are two ballots. In the first a mask counts as its decoder believes in it. What comes of that is rendered in every
view, and in the second a mask counts less the less it agrees: one that shows something else, not at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.aggregate.ray_bank import SOLID, RayBank, with_masks
from sanerf.aggregate.revise import LEAST_AGREEMENT, render_identities
from sanerf.aggregate.trust import Trust, agreeing, believed
from sanerf.aggregate.view_masks import ViewMasks
from sanerf.fields.voted import VotedField, VotedVolume
from sanerf.geometry.boxes import inside_box, trimmed_box
from sanerf.geometry.contraction import contract
from sanerf.geometry.pieces import in_large_pieces
from sanerf.shapes import Bool, Float, Int64

CELLS = 128
"""Cells along the longest side of an object's box."""
LEAN = 1.0
"""The weight of votes in a cell that counts as much as what the larger cell around it says."""
_AGREEMENT_POWER = 4.0
_DOUBLINGS = 3
"""Times that two cells along each axis are taken together."""
_MARGIN = 0.1
"""A box is grown by this share of its longest side."""


def vote_twice(
    bank: RayBank, masks: ViewMasks, names: Sequence[str], kept: Mapping[str, VotedVolume] | None = None
) -> VotedField:
    """The field of a bank's rays under masks, on the bank's device; of an earlier vote some objects may be `kept`."""
    masked = with_masks(bank, masks, names)
    trust = believed(masks)
    rendered = render_identities(vote(masked, trust, names, kept), masked)
    trust = agreeing(trust, masks, names=names, rendered=rendered, power=_AGREEMENT_POWER, least=LEAST_AGREEMENT)
    return vote(masked, trust, names, kept)


def vote(
    bank: RayBank,
    trust: Trust,
    names: Sequence[str],
    kept: Mapping[str, VotedVolume] | None = None,
    *,
    unvoted: float = 0.0,
) -> VotedField:
    """One ballot of a bank with masks of the objects `names`, on the bank's device.

    An object that no pixel with a solid sample is sure to be has no votes, and is nowhere. Those in `kept` stay as they
    were voted before, but for those whose box meets that of an object that is not: what that took is not theirs.
    Inside of a box an object has the share `unvoted` of places with no votes near them.
    """
    before = kept or {}
    ballot = _Ballot(bank, contract(bank.p_world), torch.repeat_interleave(bank.first_sample.diff()), trust, unvoted)
    index = {name: number for number, name in enumerate(names, start=1)}
    fresh = {name: ballot.volume(index[name], name) for name in names if name not in before}
    volumes = dict(fresh)
    for name, volume in before.items():
        met = any(volume.meets(other) for other in fresh.values())
        volumes[name] = ballot.volume(index[name], name) if met else volume
    return VotedField([volumes[name] for name in names])


@dataclass(frozen=True)
class _Ballot:
    """What all objects' votes are counted from."""

    bank: RayBank
    p_contracted: Float[Tensor, "samples 3"]
    ray_index: Int64[Tensor, "samples"]
    trust: Trust
    unvoted: float

    def volume(self, index: int, name: str) -> VotedVolume:
        """The votes of an object, whose identity is `index`."""
        bank, say = self.bank, _say_of_rays(self.bank, self.trust, name)
        is_object = bank.possible[:, index] & (bank.possible.sum(dim=1) == 1) & (say > 0)
        speaks = (is_object | ~bank.possible[:, index]) & (say > 0)
        of_object = is_object[self.ray_index]
        own = self.p_contracted[of_object & (bank.weights > SOLID)]
        if not len(own):
            return VotedVolume.nowhere(bank.weights.device)
        low, high = trimmed_box(own[in_large_pieces(own)], _MARGIN)
        voters = inside_box(self.p_contracted, low, high).nonzero()[:, 0]
        voters = voters[speaks[self.ray_index[voters]]]
        votes = bank.weights[voters] * say[self.ray_index[voters]]
        of_voters = of_object[voters]
        return _counted(self.p_contracted[voters], votes, of_voters, low=low, high=high, unvoted=self.unvoted)


def _say_of_rays(bank: RayBank, trust: Trust, name: str) -> Float[Tensor, "rays"]:
    """The trust in each ray's mask of an object, one where its view has none, which may know what else is there; times
    what the ray counts."""
    out = torch.ones(len(bank))
    for view, of_view in trust.items():
        out[bank.lattices[view].rays] = of_view.get(name, 1.0)
    said = out.clamp(min=0).to(bank.weights.device)
    return said if bank.trust is None else said * bank.trust


def _counted(
    p_contracted: Float[Tensor, "samples 3"],
    votes: Float[Tensor, "samples"],
    of_object: Bool[Tensor, "samples"],
    *,
    low: Float[Tensor, "3"],
    high: Float[Tensor, "3"],
    unvoted: float,
) -> VotedVolume:
    """One object's volume from all votes in its box."""
    cell = ((high - low).max() / CELLS).clamp(min=1e-9)
    whole = 2**_DOUBLINGS
    sides = (torch.ceil((high - low) / (cell * whole) - 1e-3) * whole).clamp(min=whole).long()
    nx, ny, nz = sides.tolist()
    x, y, z = torch.minimum(((p_contracted - low) / cell).long(), sides - 1).unbind(dim=1)
    place = (x * ny + y) * nz + z
    all_votes = torch.bincount(place, votes, nx * ny * nz).reshape(nx, ny, nz).float()
    own_votes = torch.bincount(place, votes * of_object, nx * ny * nz).reshape(nx, ny, nz).float()
    found = shares(own_votes, all_votes, doublings=_DOUBLINGS, unvoted=unvoted)
    return VotedVolume.of_shares(low, low + sides * cell, found)


def shares(
    own_votes: Float[Tensor, "nx ny nz"],
    all_votes: Float[Tensor, "nx ny nz"],
    *,
    doublings: int,
    unvoted: float = 0.0,
) -> Float[Tensor, "nx ny nz"]:
    """Each cell's share of votes, (own + LEAN s) / (all + LEAN), with s the share of the larger cells around it.

    That is interpolated between their centres, and found likewise `doublings` times; the largest cells stand for
    themselves, with the share `unvoted` where they have no votes.
    """
    if doublings == 0:
        return torch.where(all_votes > 0, own_votes / all_votes.clamp(min=1e-12), unvoted)
    own_larger, all_larger = (8 * F.avg_pool3d(votes[None], 2)[0] for votes in (own_votes, all_votes))
    larger = shares(own_larger, all_larger, doublings=doublings - 1, unvoted=unvoted)
    around = F.interpolate(larger[None, None], scale_factor=2.0, mode="trilinear", align_corners=False)[0, 0]
    return (own_votes + LEAN * around) / (all_votes + LEAN)
