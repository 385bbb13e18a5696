"""The numba kernels against the torch reference: values and gradients."""

import math

import pytest
import torch

from sanerf.geometry.contraction import spacing
from sanerf.kernels import numba_hash, numba_rays, reference
from sanerf.kernels.reference import GridLevels, SamplingPlan


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("points", [0, 1, 20_000])
def test_hash_encode_twins(channels, points):
    """Dense and hashed levels, points in and outside of the unit cube, more points than one chunk holds."""
    levels = GridLevels((4, 9, 16, 61), 1024)
    p_world = torch.randn(points, 3, generator=seeded(0)) * 1.5
    p_world[: points // 10] *= 100
    table = torch.randn(4, 1024, channels, generator=seeded(1))
    pull = torch.randn(points, 4 * channels, generator=seeded(2))
    results = []
    for encode in (reference.hash_encode, numba_hash.hash_encode):
        leaf = table.clone().requires_grad_()
        out = encode(p_world, leaf, levels)
        (out * pull).sum().backward()
        results.append((out.detach(), leaf.grad))
    (expected, expected_grad), (found, found_grad) = results
    # Positions are float32: 61 cells times their rounding of 1e-7, times corner differences of a few units.
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(found_grad, expected_grad, rtol=1e-3, atol=2e-3)


def test_hash_encode_at_the_ends_of_the_contracted_cube():
    levels = GridLevels((4, 16), 512)
    table = torch.randn(2, 512, 2, generator=seeded(3))
    p_world = torch.tensor([[1e9, -1e9, 1e9], [-1e30, 0.0, 0.0], [1.0, 1.0, -1.0], [0.0, 0.0, 0.0]])
    expected = reference.hash_encode(p_world, table, levels)
    torch.testing.assert_close(numba_hash.hash_encode(p_world, table, levels), expected, rtol=0, atol=1e-5)


def test_composite_weights_twins():
    density = torch.rand(200, 24, generator=seeded(0)) * 8
    density[:20] *= 1e6
    density[20:40] = 0
    deltas = torch.rand(200, 24, generator=seeded(1)) * 0.2
    pull = torch.randn(200, 24, generator=seeded(2))
    results = []
    for composite in (reference.composite_weights, numba_rays.composite_weights):
        leaf = density.clone().requires_grad_()
        weights = composite(leaf, deltas)
        (weights * pull).sum().backward()
        results.append((weights.detach(), leaf.grad))
    (expected, expected_grad), (found, found_grad) = results
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)
    torch.testing.assert_close(found_grad, expected_grad, rtol=0, atol=2e-6)


def rays(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    origins = torch.rand(count, 3, generator=seeded(4)) - 0.5
    return origins, torch.nn.functional.normalize(torch.randn(count, 3, generator=seeded(5)), dim=-1)


@pytest.mark.parametrize("unbounded", [False, True])
@pytest.mark.parametrize("peak", [0.0, 1.0, 1e4])
def test_place_samples_twins(unbounded, peak):
    """The same to rounding, and where the grid is opaque to what the last 1e-4 of the light may move.

    A change of 1e-4 in the cumulated mass moves a sample by up to 1e-4 / uniform in the spacing's fraction. The mass
    itself is a sum of `bins` float32 numbers in either twin, each rounded by up to 2^-24 of the whole.
    """
    plan = SamplingPlan(0.05, math.inf if unbounded else 2.5, unbounded, bins=64, samples=16, uniform=0.05)
    grid = peak * torch.rand(16, 16, 16, generator=seeded(6)) ** 4
    arguments = (*rays(64), torch.rand(64, generator=seeded(7)), grid, plan)
    expected = spacing(reference.place_samples(*arguments), unbounded)
    found = spacing(numba_rays.place_samples(*arguments), unbounded)
    difference = (found - expected).abs() / (expected[:, -1:] - expected[:, :1])
    rounding = 2 * plan.bins * 2**-24 / plan.uniform
    assert float(difference.max()) < (1e-4 / plan.uniform if peak > 1 else rounding)
    assert float(difference.median()) < 1e-5
    assert bool((found.diff(dim=-1) > 0).all())
    assert torch.equal(found, spacing(numba_rays.place_samples(*arguments), unbounded))


@pytest.mark.parametrize("unbounded", [False, True])
@pytest.mark.parametrize("uniform", [0.05, 0.5])
def test_resample_twins(unbounded, uniform):
    """Thin, empty and opaque rays; a cumulated mass in another order of summing moves edges by 2^-24 a term."""
    plan = SamplingPlan(0.05, 8.0, unbounded, bins=8, samples=16, uniform=uniform, refined=12)
    edges = torch.rand(300, 17, generator=seeded(11)).cumsum(-1) + 0.05
    weights = torch.rand(300, 16, generator=seeded(12)) ** 8 * 0.1
    weights[:40] = 0
    weights[40:80] = torch.nn.functional.one_hot(torch.arange(40) % 16, 16) * 0.9
    arguments = (edges, weights, torch.rand(300, generator=seeded(13)), plan)
    expected, found = reference.resample(*arguments), numba_rays.resample(*arguments)
    difference = (spacing(found, unbounded) - spacing(expected, unbounded)).abs()
    lengths = spacing(edges, unbounded).diff(dim=-1).amax(-1, keepdim=True)
    assert float((difference / lengths).max()) < 2 * 16 * 16 * 2**-24 / uniform
    assert torch.equal(found[:, [0, -1]], edges[:, [0, -1]])


@pytest.mark.parametrize("unbounded", [False, True])
def test_update_density_grid_twins(unbounded):
    expected = torch.rand(8, 8, 8, generator=seeded(8))
    expected[2] = 0
    found = expected.clone()
    p_world = torch.randn(2000, 3, generator=seeded(9))
    density = torch.rand(2000, generator=seeded(10)) ** 6
    for decay in (0.9, 0.5, 0.0):
        reference.update_density_grid(expected, p_world, density, decay, unbounded)
        numba_rays.update_density_grid(found, p_world, density, decay, unbounded)
        torch.testing.assert_close(found, expected)
