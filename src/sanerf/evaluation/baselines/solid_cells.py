"""The cells of a regular grid over contracted space in which something solid lies, as a sparse set with neighbours.

ISRF grows its region in the voxels of a grid field; ours has none, so the places where rays end make the voxels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from sanerf.fields.voted import VotedVolume
from sanerf.geometry.contraction import contract, uncontract
from sanerf.shapes import Bool, Float, Int64

_REACH = 2.0
"""A place farther than so many cells from every solid one is of no object."""
_LEAST_WEIGHT = 0.3
"""Of compositing weight: cells with less in all, of all rays through them, are what few rays saw through an edge."""


@dataclass(frozen=True)
class SolidCells:
    """Cells by their numbers along x, y, z, in ascending order of `key`; `p_world` is a place in each, where its
    samples' mean lies."""

    side: int
    index: Int64[Tensor, "cells 3"]
    key: Int64[Tensor, "cells"]
    p_world: Float[Tensor, "cells 3"]

    def __len__(self) -> int:
        return len(self.key)

    @property
    def width(self) -> float:
        """A cell's, in contracted space."""
        return 4 / self.side

    def find(self, index: Int64[Tensor, "points 3"]) -> Int64[Tensor, "points"]:
        """Which cell has each number, -1 where that is not solid."""
        inside = ((index >= 0) & (index < self.side)).all(dim=1)
        key = _key(index, self.side)
        place = torch.searchsorted(self.key, key).clamp(max=max(0, len(self) - 1))
        return torch.where(inside & (self.key[place] == key), place, -1)

    def neighbours(self, cells: Int64[Tensor, "points"]) -> tuple[Int64[Tensor, "points 27"], Float[Tensor, "27"]]:
        """The solid cells among the 27 about each of some cells, itself among them, -1 for others; and how far those
        are, in cells."""
        shifts = torch.tensor([[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)])
        shifts = shifts.to(self.key.device)
        around = (self.index[cells][:, None] + shifts).reshape(-1, 3)
        return self.find(around).reshape(-1, 27), shifts.float().norm(dim=1)

    def volume(self, member: Bool[Tensor, "cells"]) -> VotedVolume:
        """Some of the cells as an object's volume. Each place is of what its nearest solid cell is of: between the
        cells' middles nothing is lost at a surface, beside which there are no cells."""
        if not bool(member.any()):
            return VotedVolume.nowhere(self.key.device)
        own = self.index[member]
        border = int(_REACH) + 1
        low = (own.amin(dim=0) - border).clamp(min=0)
        high = (own.amax(dim=0) + 1 + border).clamp(max=self.side)
        near = ((self.index >= low) & (self.index < high)).all(dim=1)
        x, y, z = (self.index[near] - low).cpu().unbind(dim=1)
        solid = np.zeros(tuple((high - low).tolist()), dtype=bool)
        of_object = np.zeros_like(solid)
        solid[x, y, z] = True
        of_object[x, y, z] = member[near].cpu().numpy()
        distance, nearest = ndimage.distance_transform_edt(~solid, return_indices=True)  # pyright: ignore
        share = of_object[tuple(nearest)] & (distance <= _REACH)
        corner = low.float() * self.width - 2
        return VotedVolume.of_shares(
            corner,
            corner + (high - low).float() * self.width,
            torch.from_numpy(share).float().to(self.key.device),
        )


def solid_cells(
    p_world: Float[Tensor, "samples 3"], weights: Float[Tensor, "samples"], side: int, least: float = _LEAST_WEIGHT
) -> SolidCells:
    """The cells of the contracted cube, `side` along each axis, that hold samples of some weight together."""
    p_contracted = contract(p_world)
    index = ((p_contracted + 2) * (side / 4)).long().clamp(0, side - 1)
    key, of_sample = _key(index, side).unique(return_inverse=True)
    total = torch.zeros(len(key), device=weights.device).index_add(0, of_sample, weights)
    middle = torch.zeros(len(key), 3, device=weights.device).index_add(0, of_sample, p_contracted * weights[:, None])
    kept = total > least
    key = key[kept]
    numbers = torch.stack([key // side**2, key // side % side, key % side], dim=1)
    return SolidCells(side, numbers, key, uncontract(middle[kept] / total[kept, None]))


def finest_cells(
    p_world: Float[Tensor, "samples 3"], weights: Float[Tensor, "samples"], most: int, rays: float
) -> SolidCells:
    """The solid cells of the finest grid, of `most` cells along each axis or that halved some times, that has `rays`
    rays' weight in the mean of all cells with samples: in a finer one surfaces would fall apart."""
    side = most
    while side > 16 and float(weights.sum()) < rays * len(solid_cells(p_world, weights, side, least=0.0)):
        side //= 2
    return solid_cells(p_world, weights, side)


def _key(index: Int64[Tensor, "points 3"], side: int) -> Int64[Tensor, "points"]:
    return (index[:, 0] * side + index[:, 1]) * side + index[:, 2]
