"""The reference kernels against closed forms and against scalar loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sanerf.geometry.contraction import distance_from_spacing
from sanerf.kernels.reference import (
    GridLevels,
    SamplingPlan,
    composite_weights,
    grid_cells,
    hash_encode,
    place_samples,
    update_density_grid,
)

# Of 512 rows, 4 and 7 cells an axis are dense (125 and 512 corners), 8 and 23 are hashed.
LEVELS = GridLevels((4, 7, 8, 23), 512)


def hash_encode_by_hand(p_world: Tensor, table: Tensor, levels: GridLevels) -> Tensor:
    """Mueller et al. 2022, section 3, one point, level, corner and channel at a time."""
    out = torch.zeros(len(p_world), len(levels.resolutions) * table.shape[2], dtype=torch.float64)
    for i, point in enumerate(p_world.tolist()):
        norm = max(1.0, *(abs(v) for v in point))
        unit = [(v * (2 - 1 / norm) / norm + 2) / 4 for v in point]
        for level, cells in enumerate(levels.resolutions):
            low = [min(math.floor(u * cells), cells - 1) for u in unit]
            part = [u * cells - corner for u, corner in zip(unit, low, strict=True)]
            for dx in (0, 1):
                for dy in (0, 1):
                    for dz in (0, 1):
                        x, y, z = low[0] + dx, low[1] + dy, low[2] + dz
                        if (cells + 1) ** 3 <= levels.entries:
                            row = x + (cells + 1) * y + (cells + 1) ** 2 * z
                        else:
                            row = (x ^ (y * 2654435761) ^ (z * 805459861)) % levels.entries
                        weight = math.prod(p if d else 1 - p for p, d in zip(part, (dx, dy, dz), strict=True))
                        for channel in range(table.shape[2]):
                            out[i, level * table.shape[2] + channel] += weight * float(table[level, row, channel])
    return out


@pytest.mark.parametrize("channels", [2, 4])
def test_hash_encode_is_the_scalar_loop(channels):
    generator = torch.Generator().manual_seed(0)
    p_world = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    p_world[:10] *= 50  # far outside of the unit cube
    p_world[0] = torch.tensor([1e9, -1e9, 1e9])  # the contracted cube's own corner
    p_world[1] = 0.0
    table = torch.randn(4, 512, channels, generator=generator, dtype=torch.float64)
    found = hash_encode(p_world, table, LEVELS)
    torch.testing.assert_close(found, hash_encode_by_hand(p_world, table, LEVELS), rtol=0, atol=1e-12)


def test_a_linear_function_on_a_dense_level_is_reproduced():
    """Trilinear interpolation is exact for a x + b y + c z."""
    side = 8
    z, y, x = torch.meshgrid(*[torch.arange(side, dtype=torch.float64)] * 3, indexing="ij")
    table = (2 * x - 3 * y + 0.5 * z).reshape(1, 512, 1)
    p_world = torch.rand(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    corners = (p_world + 2) / 4 * 7
    expected = corners @ torch.tensor([2, -3, 0.5], dtype=torch.float64)
    torch.testing.assert_close(hash_encode(p_world, table, GridLevels((7,), 512))[:, 0], expected)


def test_hash_encode_gradcheck_in_the_table():
    table = torch.randn(2, 16, 2, dtype=torch.float64, requires_grad=True)
    p_world = torch.tensor([[0.1, -0.7, 0.4], [3.0, -5.0, 1.0]], dtype=torch.float64)
    levels = GridLevels((1, 5), 16)
    assert torch.autograd.gradcheck(lambda t: hash_encode(p_world, t, levels), table)


def test_the_tables_gradient_is_the_same_bit_for_bit_each_time():
    """Of 20,000 points on 512 rows, by several threads: sums in an order of chance differ in the last bits."""
    p_world = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0))
    factors = torch.linspace(0, 1, len(p_world))[:, None]
    gradients = []
    for _ in range(6):
        table = torch.ones(2, 512, 2, requires_grad=True)
        (hash_encode(p_world, table, GridLevels((4, 7), 512)) * factors).sum().backward()
        gradients.append(table.grad)
    assert all(torch.equal(gradients[0], other) for other in gradients[1:])


def test_a_slab_of_constant_density_absorbs_exponentially():
    sigma, delta, samples = 3.0, 0.1, 20
    density = torch.full((1, samples), sigma, dtype=torch.float64)
    weights = composite_weights(density, torch.full_like(density, delta))[0]
    k = torch.arange(samples, dtype=torch.float64)
    expected = torch.exp(-sigma * delta * k) - torch.exp(-sigma * delta * (k + 1))
    torch.testing.assert_close(weights, expected)


samples_along_a_ray = st.lists(
    st.tuples(st.one_of(st.floats(0, 10), st.floats(0, 3e6)), st.floats(1e-4, 2e3)), min_size=1, max_size=40
)


@settings(max_examples=200, deadline=None)
@given(samples_along_a_ray)
def test_weights_sum_to_what_the_whole_ray_absorbs_also_behind_a_very_dense_sample(samples):
    density, deltas = torch.tensor(samples).T[:, None].contiguous()
    weights = composite_weights(density, deltas)
    total = (density.double() * deltas.double()).sum()
    assert bool((weights >= 0).all())
    torch.testing.assert_close(weights.sum().double(), 1 - torch.exp(-total), rtol=0, atol=1e-5)


def test_weights_before_a_very_dense_sample_still_count():
    weights = composite_weights(torch.tensor([[0.5, 1e8, 1.0]]), torch.ones(1, 3))
    torch.testing.assert_close(weights, torch.tensor([[1 - math.exp(-0.5), math.exp(-0.5), 0.0]]))


def test_the_gradient_of_the_weights_is_that_of_the_loop():
    generator = torch.Generator().manual_seed(0)
    density = (torch.rand(5, 12, generator=generator, dtype=torch.float64) * 4).requires_grad_()
    deltas = torch.rand(5, 12, generator=generator, dtype=torch.float64)
    pull = torch.randn(5, 12, generator=generator, dtype=torch.float64)
    rows = []
    for ray in range(5):
        transmittance, row = torch.ones((), dtype=torch.float64), []
        for k in range(12):
            alpha = 1 - torch.exp(-density[ray, k] * deltas[ray, k])
            row.append(transmittance * alpha)
            transmittance = transmittance * (1 - alpha)
        rows.append(torch.stack(row))
    loop = torch.stack(rows)
    found = composite_weights(density, deltas)
    torch.testing.assert_close(found, loop)
    (expected_grad,) = torch.autograd.grad((loop * pull).sum(), density)
    (found_grad,) = torch.autograd.grad((found * pull).sum(), density)
    torch.testing.assert_close(found_grad, expected_grad)


def test_composite_weights_gradcheck():
    density = torch.rand(2, 6, dtype=torch.float64, requires_grad=True)
    deltas = torch.rand(2, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda d: composite_weights(d, deltas), density)


def along_x(count: int = 1, start: float = -0.9) -> tuple[Tensor, Tensor]:
    return torch.tensor([[start, 0.01, 0.01]]).repeat(count, 1), torch.tensor([[1.0, 0.0, 0.0]]).repeat(count, 1)


@pytest.mark.parametrize("unbounded", [False, True])
def test_an_empty_grid_spaces_samples_evenly(unbounded):
    plan = SamplingPlan(0.05, math.inf if unbounded else 2.0, unbounded, bins=32, samples=10)
    edges = place_samples(*along_x(3), torch.tensor([0.0, 0.5, 0.99]), torch.zeros(8, 8, 8), plan)
    for row, jitter in zip(edges, (0.0, 0.5, 0.99), strict=True):
        fractions = (torch.arange(11) + jitter - 0.5) / 10
        fractions[0], fractions[-1] = 0, 1
        expected = distance_from_spacing(fractions.double(), plan.near, plan.far, unbounded)
        # In float32 disparity leaves three digits at the distance that stands for infinity.
        torch.testing.assert_close(row.double(), expected, rtol=2e-3 if unbounded else 1e-5, atol=1e-6)


@pytest.mark.parametrize("unbounded", [False, True])
def test_samples_tile_the_ray_and_are_the_same_twice(unbounded):
    generator = torch.Generator().manual_seed(3)
    plan = SamplingPlan(0.05, math.inf if unbounded else 2.5, unbounded, bins=48, samples=24)
    origins = torch.rand(30, 3, generator=generator) - 0.5
    directions = torch.nn.functional.normalize(torch.randn(30, 3, generator=generator), dim=-1)
    grid = 30 * torch.rand(16, 16, 16, generator=generator) ** 8
    jitter = torch.rand(30, generator=generator)
    edges = place_samples(origins, directions, jitter, grid, plan)
    assert bool((edges.diff(dim=-1) > 0).all())
    torch.testing.assert_close(edges[:, 0], torch.full((30,), 0.05))
    torch.testing.assert_close(edges[:, -1], torch.full((30,), 1e4 if unbounded else 2.5), rtol=2e-3, atol=0)
    assert torch.equal(edges, place_samples(origins, directions, jitter, grid, plan))


def test_samples_gather_at_a_wall_that_the_grid_knows():
    """All but the uniform share lies in the wall's coarse intervals and one neighbour on each side."""
    plan = SamplingPlan(0.0, 1.8, False, bins=120, samples=100, uniform=0.05)
    grid = torch.zeros(64, 64, 64)
    grid[40] = 1e3  # x from 0.5 to 0.5625, at distances 1.4 to 1.4625
    edges = place_samples(*along_x(), torch.tensor([0.5]), grid, plan)[0]
    width = 1.8 / 120
    close = (edges > 1.4 - 2 * width) & (edges < 1.4625 + 2 * width)
    assert int(close.sum()) >= 95 - 2
    # The opacity cap of 0.6 leaves most to the first interval and its neighbours.
    assert int((close & (edges < 1.4 + 2 * width)).sum()) > int(close.sum()) / 2


def test_a_wall_in_contracted_space_is_found_where_rays_are_unbounded():
    plan = SamplingPlan(0.05, math.inf, True, bins=200, samples=50, uniform=0.1)
    grid = torch.zeros(64, 64, 64)
    grid[58:60] = 1e3  # contracted x from 1.625 to 1.75: in the world from 2.67 to 4
    edges = place_samples(*along_x(start=0.0), torch.tensor([0.5]), grid, plan)[0]
    assert int(((edges > 2.5) & (edges < 4.2)).sum()) >= 0.9 * 50 - 2


def test_grid_cells_number_the_contracted_cube():
    points = torch.tensor([[0.0, 0.0, 0.0], [-1e9, -1e9, -1e9], [1e9, 1e9, 1e9], [-0.1, 0.1, 1.0], [2.0, 0.0, 0.0]])
    # Of 4 cells an axis, [-2, -1), [-1, 0), [0, 1) and [1, 2]; x is the slowest.
    assert grid_cells(points, 4, unbounded=True).tolist() == [42, 0, 63, 16 + 8 + 3, 48 + 8 + 2]
    assert grid_cells(points, 4, unbounded=False).tolist() == [42, -1, -1, 16 + 8 + 3, -1]


@pytest.mark.parametrize("unbounded", [False, True])
def test_update_density_grid_is_the_loop(unbounded):
    generator = torch.Generator().manual_seed(5)
    grid = torch.rand(4, 4, 4, generator=generator)
    p_world = torch.randn(60, 3, generator=generator)
    density = torch.rand(60, generator=generator)
    expected = grid.clone().reshape(-1)
    seen: dict[int, list[float]] = {}
    for cell, value in zip(grid_cells(p_world, 4, unbounded).tolist(), density.tolist(), strict=True):
        if cell >= 0:
            seen.setdefault(cell, []).append(value)
    for cell, values in seen.items():
        expected[cell] = max(0.5 * float(expected[cell]), *values)
    assert 0 < len(seen) < 64
    update_density_grid(grid, p_world, density, 0.5, unbounded)
    torch.testing.assert_close(grid.reshape(-1), expected)
