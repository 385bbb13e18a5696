"""The coarse density grid of a field that comes without one: the field is asked in every cell."""

from collections.abc import Callable

import torch

from sanerf.fields.protocol import Field
from sanerf.geometry.contraction import uncontract
from sanerf.shapes import Float

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
    cells = side**3
    grid = torch.zeros(cells, device=device)
    total, done = cells * LOOKS, 0
    for octant in range(LOOKS):
        corner = torch.tensor([octant & 1, octant >> 1 & 1, octant >> 2 & 1]) / 2
        for start in range(0, cells, _POINTS):
            flat = torch.arange(start, min(start + _POINTS, cells))
            x, rest = flat // side**2, flat % side**2
            low = torch.stack([x, rest // side, rest % side], dim=1)
            within = corner + torch.rand(len(flat), 3, generator=generator) / 2
            p_world = uncontract((low + within) * (4 / side) - 2)
            asked = torch.ones(len(flat), dtype=torch.bool) if unbounded else (p_world.abs() <= 1).all(dim=1)
            flat, p_world = flat[asked].to(device), p_world[asked].to(device)
            if len(flat):
                with torch.no_grad():
                    density, _ = field.density(p_world)
                grid[flat] = torch.maximum(grid[flat], density.to(grid.dtype))
            done += len(asked)
            if on_part is not None:
                on_part(done, total)
    return grid.reshape(side, side, side)
