"""The density grid of a field that is asked for it: a ball, and a shell round the far world."""

import torch

from analytic_scene import AnalyticField
from sanerf.fields.protocol import Field
from sanerf.geometry.contraction import uncontract
from sanerf.render.asked_grid import LOOKS, ask_density_grid

SIDE, RADIUS = 32, 0.5


def ball_or_far(p_world: torch.Tensor) -> torch.Tensor:
    distance = p_world.norm(dim=1)
    return 7.0 * (distance < RADIUS) + 3.0 * (distance > 5)


def asked(unbounded: bool) -> tuple[torch.Tensor, torch.Tensor, list[tuple[int, int]]]:
    """The grid, the distance of cell centres from the origin in the contracted cube, and what was told on the way."""
    told: list[tuple[int, int]] = []
    field = AnalyticField(ball_or_far, torch.zeros_like)
    assert isinstance(field, Field)
    generator = torch.Generator().manual_seed(0)
    on_part = lambda done, total: told.append((done, total))  # noqa: E731
    grid = ask_density_grid(field, SIDE, unbounded, torch.device("cpu"), generator, on_part)
    axis = (torch.arange(SIDE) + 0.5) * (4 / SIDE) - 2
    centres = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
    return grid, centres, told


def test_cells_hold_the_largest_density_in_them():
    grid, centres, told = asked(unbounded=True)
    half_diagonal = 2 / SIDE * 3**0.5
    near = centres.abs().amax(dim=-1) < 1
    distance = centres.norm(dim=-1)
    assert bool((grid[distance < RADIUS - half_diagonal] == 7).all())
    assert bool((grid[near & (distance > RADIUS + half_diagonal)] == 0).all())
    # A cell through which the ball's surface goes: eight looks, one in each octant, find the inside of most.
    cut = (distance - RADIUS).abs() < half_diagonal / 4
    assert float((grid[cut] == 7).float().mean()) > 0.98
    corners = uncontract(centres.reshape(-1, 3)).norm(dim=1).reshape(grid.shape)
    assert bool((grid[corners > 12] == 3).all())
    assert told[-1] == (SIDE**3 * LOOKS, SIDE**3 * LOOKS)


def test_bounded_space_is_empty_outside_of_the_unit_cube():
    grid, centres, told = asked(unbounded=False)
    outside = centres.abs().amax(dim=-1) > 1
    assert float(grid[outside].max()) == 0 and float(grid.max()) == 7
    assert told[-1] == ((SIDE // 2) ** 3 * LOOKS, (SIDE // 2) ** 3 * LOOKS)
