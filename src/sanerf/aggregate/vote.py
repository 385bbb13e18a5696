"""The instant answer: the ray bank's samples vote, in closed form, for what their pixels are. No training.

Each sample lies on some surface and votes, with its compositing weight, for the object of its pixel or against it;
where a view has no mask of an object, its pixels say nothing about that object. About each object's own votes a box is
divided into cells, and a cell's share is what was voted for the object there over all that was voted. A cell with few
votes leans on the larger cell around it; where nobody voted there is background.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.aggregate.ray_bank import RayBank
from sanerf.aggregate.view_masks import ViewMasks
from sanerf.fields.voted import VotedField, VotedVolume
from sanerf.geometry.boxes import trimmed_box
from sanerf.geometry.contraction import contract
from sanerf.shapes import Bool, Float

CELLS = 128
"""Cells along the longest side of an object's box."""
LEAN = 1.0
"""The weight of votes in a cell that counts as much as what the larger cell around it says."""
_DOUBLINGS = 3
"""Times that two cells along each axis are taken together."""
_SOLID = 0.1
"""Samples of less compositing weight are fog, or what is seen through an edge; boxes are about the others."""
_MARGIN = 0.1
"""A box is grown by this share of its longest side."""


def trust_in_masks(bank: RayBank, masks: ViewMasks, names: Sequence[str]) -> Float[Tensor, "rays others"]:
    """How much each ray's word counts about each object: its mask's predicted IoU, or one where there is no mask."""
    out = torch.ones(len(bank), len(names))
    for view, of_view in masks.items():
        for column, name in enumerate(names):
            if name in of_view:
                out[bank.lattices[view].rays, column] = of_view[name].predicted_iou
    return out.clamp(0, 1).to(bank.weights.device)


def vote(bank: RayBank, trust: Float[Tensor, "rays others"]) -> VotedField:
    """What a bank with masks says of space, on the bank's device; `trust` multiplies the votes of rays on objects.

    An object that no pixel with a solid sample is sure to be has no votes, and is nowhere.
    """
    p_contracted = contract(bank.p_world)
    ray_index = torch.repeat_interleave(bank.first_sample.diff())
    sure = bank.possible.sum(dim=1) == 1
    volumes = []
    for index in range(1, bank.possible.shape[1]):
        is_object = bank.possible[:, index] & sure
        speaks = is_object | ~bank.possible[:, index]
        of_object = is_object[ray_index]
        own = p_contracted[of_object & (bank.weights > _SOLID)]
        if not len(own):
            volumes.append(VotedVolume.nowhere(bank.weights.device))
            continue
        low, high = trimmed_box(own, _MARGIN)
        in_box = ((p_contracted > low) & (p_contracted < high)).all(dim=1)
        voters = (in_box & speaks[ray_index]).nonzero()[:, 0]
        votes = bank.weights[voters] * trust[ray_index[voters], index - 1]
        volumes.append(_counted(p_contracted[voters], votes, of_object[voters], low=low, high=high))
    return VotedField(volumes)


def _counted(
    p_contracted: Float[Tensor, "samples 3"],
    votes: Float[Tensor, "samples"],
    of_object: Bool[Tensor, "samples"],
    *,
    low: Float[Tensor, "3"],
    high: Float[Tensor, "3"],
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
    return VotedVolume.of_shares(low, low + sides * cell, shares(own_votes, all_votes, doublings=_DOUBLINGS))


def shares(
    own_votes: Float[Tensor, "nx ny nz"], all_votes: Float[Tensor, "nx ny nz"], *, doublings: int
) -> Float[Tensor, "nx ny nz"]:
    """Each cell's share of votes, (own + LEAN s) / (all + LEAN), with s the share of the larger cells around it.

    That is interpolated between their centres, and found likewise `doublings` times; the largest cells stand for
    themselves, with a share of zero where they have no votes.
    """
    if doublings == 0:
        return torch.where(all_votes > 0, own_votes / all_votes.clamp(min=1e-12), 0.0)
    own_larger, all_larger = (8 * F.avg_pool3d(votes[None], 2)[0] for votes in (own_votes, all_votes))
    larger = shares(own_larger, all_larger, doublings=doublings - 1)
    around = F.interpolate(larger[None, None], scale_factor=2.0, mode="trilinear", align_corners=False)[0, 0]
    return (own_votes + LEAN * around) / (all_votes + LEAN)
