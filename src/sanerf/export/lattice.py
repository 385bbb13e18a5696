"""Values of a function on the points of a regular lattice, asked for only where a level set passes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import binary_dilation
from torch import Tensor

from sanerf.errors import UserError
from sanerf.shapes import Bool, Float, Float32, Int64

BLOCK = 8
"""Cells along the edge of a block, the unit of refinement."""
_DENSE_BLOCKS = 8**3
"""A lattice of no more blocks is asked for whole: the coarse pass would save little and could miss thin parts."""
_MOST_POINTS = 600**3
LARGEST_RESOLUTION = 592
"""The most cells, in whole blocks, along each side of a cube whose points stay below `_MOST_POINTS`."""


@dataclass(frozen=True)
class Lattice:
    """`cells` cells along x, y, z, so one point more each, from corner to corner of a box."""

    bounds_min: Float[Tensor, "3"]
    bounds_max: Float[Tensor, "3"]
    cells: tuple[int, int, int]

    @property
    def blocks(self) -> tuple[int, int, int]:
        return (self.cells[0] // BLOCK, self.cells[1] // BLOCK, self.cells[2] // BLOCK)


def check_resolution(resolution: int) -> None:
    """Raise UserError for a resolution that is too high for an object that fills a cube. How much less another one
    needs is known only once it has been rendered."""
    if resolution > LARGEST_RESOLUTION:
        raise UserError(f"a mesh resolution is at most {LARGEST_RESOLUTION}, not {resolution}")


def _check_least_points(resolution: int, shortest: int) -> None:
    """Raise UserError where a lattice of `shortest` cells along two of its sides has too many points already."""
    if (resolution + 1) * (shortest + 1) ** 2 > _MOST_POINTS:
        raise UserError(
            f"a mesh resolution of {resolution} means more than {_MOST_POINTS / 1e6:.0f} million grid points, whatever "
            "the object's shape; ask for less"
        )


def make_lattice(bounds_min: Float[Tensor, "3"], bounds_max: Float[Tensor, "3"], *, resolution: int) -> Lattice:
    """A lattice of nearly cubic cells, `resolution` along the longest side, whole blocks along each.

    Raises UserError for an empty box or a lattice too large for memory.
    """
    extent = (bounds_max - bounds_min).double().cpu()
    if resolution < 1 or not (extent > 0).all() or not torch.isfinite(extent).all():
        raise UserError(f"a mesh needs a box with a volume and a resolution of 1 or more, not {resolution} in {extent}")
    _check_least_points(resolution, BLOCK)
    blocks = torch.ceil(extent / extent.max() * resolution / BLOCK - 1e-9).clamp(min=1).int().tolist()
    cells = (blocks[0] * BLOCK, blocks[1] * BLOCK, blocks[2] * BLOCK)
    points = (cells[0] + 1) * (cells[1] + 1) * (cells[2] + 1)
    if points > _MOST_POINTS:
        raise UserError(
            f"a mesh resolution of {resolution} means {points / 1e6:.0f} million grid points; "
            f"at most {_MOST_POINTS / 1e6:.0f} million are allowed, so ask for less"
        )
    return Lattice(bounds_min, bounds_max, cells)


def lattice_positions(lattice: Lattice, index: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
    """Positions of lattice points, or between them; exact at the box's corners, in the index's dtype."""
    fraction = index / torch.tensor(lattice.cells, dtype=index.dtype)
    return torch.lerp(lattice.bounds_min.cpu().to(index.dtype), lattice.bounds_max.cpu().to(index.dtype), fraction)


def sample_lattice(
    value_at: Callable[[Float[Tensor, "points 3"]], Float[Tensor, "points"]],
    lattice: Lattice,
    *,
    level: float,
    chunk: int,
) -> Float32[Tensor, "nx ny nz"]:
    """Values at all points of the lattice: true ones near the level set, interpolated ones elsewhere.

    The corners of all blocks come first. Blocks whose corners lie on both sides of the level, and their neighbours,
    are then filled with true values; wherever the surface so found runs into a block without them, that block follows,
    until the surface is complete. All values are true where the lattice is small.
    """
    points = tuple(cells + 1 for cells in lattice.cells)
    blocks = lattice.blocks
    known = torch.zeros(points, dtype=torch.bool)
    if blocks[0] * blocks[1] * blocks[2] <= _DENSE_BLOCKS:
        values = torch.zeros(points)
        return _fill(values, known, torch.ones(blocks, dtype=torch.bool), value_at, lattice, chunk)

    corners = torch.cartesian_prod(*(torch.arange(0, cells + 1, BLOCK) for cells in lattice.cells))
    coarse = _ask(value_at, lattice, corners, chunk).reshape([b + 1 for b in blocks])
    values = torch.nn.functional.interpolate(
        coarse[None, None], size=points, mode="trilinear", align_corners=True
    ).squeeze((0, 1))
    active = torch.from_numpy(binary_dilation(_mixed(values, level).numpy(), np.ones((3, 3, 3))))
    new = active
    while new.any():
        _fill(values, known, new, value_at, lattice, chunk)
        new = _mixed(values, level) & ~active
        active = active | new
    return values


def _mixed(values: Float32[Tensor, "nx ny nz"], level: float) -> Bool[Tensor, "bx by bz"]:
    """The blocks, closed, that have points on both sides of the level."""
    inside = values > level
    some, every = inside, inside
    for axis in range(3):
        some = some.unfold(axis, BLOCK + 1, BLOCK).any(-1)
        every = every.unfold(axis, BLOCK + 1, BLOCK).all(-1)
    return some & ~every


def _fill(
    values: Float32[Tensor, "nx ny nz"],
    known: Bool[Tensor, "nx ny nz"],
    blocks: Bool[Tensor, "bx by bz"],
    value_at: Callable[[Float[Tensor, "points 3"]], Float[Tensor, "points"]],
    lattice: Lattice,
    chunk: int,
) -> Float32[Tensor, "nx ny nz"]:
    """Put true values at all points of the blocks that are not yet known; changes `values` and `known` in place."""
    for slab in range(blocks.shape[0]):
        if not blocks[slab].any():
            continue
        cells = blocks[slab].repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
        plane = torch.zeros(known.shape[1:], dtype=torch.bool)
        for y, z in ((0, 0), (0, 1), (1, 0), (1, 1)):
            plane[y : y + cells.shape[0], z : z + cells.shape[1]] |= cells
        rows = slice(slab * BLOCK, (slab + 1) * BLOCK + 1)
        index = (plane & ~known[rows]).nonzero() + torch.tensor([slab * BLOCK, 0, 0])
        x, y, z = index.unbind(1)
        values[x, y, z] = _ask(value_at, lattice, index, chunk)
        known[x, y, z] = True
    return values


@torch.no_grad()
def _ask(
    value_at: Callable[[Float[Tensor, "points 3"]], Float[Tensor, "points"]],
    lattice: Lattice,
    index: Int64[Tensor, "points 3"],
    chunk: int,
) -> Float32[Tensor, "points"]:
    parts = [torch.zeros(0)]
    for part in index.split(chunk):
        positions = lattice_positions(lattice, part.double()).to(lattice.bounds_min)
        found = value_at(positions).float().cpu()
        assert torch.isfinite(found).all(), "the function to mesh is not finite everywhere in the box"
        parts.append(found)
    return torch.cat(parts)
