"""The coarse density grid of a field that comes without one: the field is asked in every cell."""

from collections.abc import Callable

import torch

from sanerf.fields.protocol import Field
from sanerf.geometry.contraction import uncontract
from sanerf.shapes import Float, Int64

_POINTS = 2**17
"""Points asked at once."""

LOOKS = 8
"""Points asked in a cell. A surface thinner than half a cell may be missed by all of them in one cell, but hardly in
its neighbours too, and rays look into those as well."""


def ask_density_grid(
    field: Field,
    side: int,
    unbounded: bool,
    device: torch.device,
    generator: torch.Generator,
    on_part: Callable[[int, int], None] | None = None,
) -> Float[torch.Tensor, "side side side"]:
    """The largest density found at `LOOKS` points of each cell of the contracted cube, one in each of its octants.

    Cells outside of the unit cube stay empty where space is bounded. `on_part(done, total)` counts points.
    """
    grid = torch.zeros(side**3, device=device)
    cells = _cells(side, unbounded)
    total, done = len(cells) * LOOKS, 0
    for octant in range(LOOKS):
        corner = torch.tensor([octant & 1, octant >> 1 & 1, octant >> 2 & 1]) / 2
        for part in cells.split(_POINTS):
            count = len(part)
            low = torch.stack([part // side**2, part // side % side, part % side], dim=1)
            within = corner + torch.rand(len(part), 3, generator=generator) / 2
            p_world = uncontract((low + within) * (4 / side) - 2)
            if not unbounded:
                inside = (p_world.abs() <= 1).all(dim=1)
                part, p_world = part[inside], p_world[inside]
            part, p_world = part.to(device), p_world.to(device)
            with torch.no_grad():
                density, _ = field.density(p_world)
            grid[part] = torch.maximum(grid[part], density.to(grid.dtype))
            done += count
            if on_part is not None:
                on_part(done, total)
    return grid.reshape(side, side, side)


def _cells(side: int, unbounded: bool) -> Int64[torch.Tensor, "cells"]:
    """The flat indices of all cells, or of those that reach into the unit cube."""
    axis = torch.arange(side)
    if not unbounded:
        low = axis * (4 / side) - 2
        axis = axis[(low < 1) & (low + 4 / side > -1)]
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    return ((x * side + y) * side + z).reshape(-1)
