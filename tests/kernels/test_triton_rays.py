"""Triton's sample placement, compositing and density grid against the torch reference. See conftest.py for where."""

import math

import pytest
import torch

from sanerf.geometry.contraction import spacing
from sanerf.kernels import reference
from sanerf.kernels.reference import SamplingPlan


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("samples", [1, 23])
def test_triton_composite_weights_are_the_references(twin, samples):
    """Also where all is dense or all is empty, and for a number of samples that is no power of two."""
    density = torch.rand(twin.many, samples, generator=seeded(0)) * 8
    density[:20] *= 1e6
    density[20:40] = 0
    density[40:60, ::5] *= 1e6
    deltas = torch.rand(twin.many, samples, generator=seeded(1)) * 0.2
    pull = torch.randn(twin.many, samples, generator=seeded(2))
    results = []
    for composite, device in ((reference.composite_weights, "cpu"), (twin.kernels.composite_weights, twin.device)):
        leaf = density.clone().to(device).requires_grad_()
        weights = composite(leaf, deltas.to(device))
        (weights * pull.to(device)).sum().backward()
        results.append((weights.detach().cpu(), leaf.grad.cpu()))
    (expected, expected_grad), (found, found_grad) = results
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)
    torch.testing.assert_close(found_grad, expected_grad, rtol=0, atol=2e-6)


def test_triton_composite_weights_of_no_rays(twin):
    nothing = torch.zeros(0, 12, device=twin.device, requires_grad=True)
    weights = twin.kernels.composite_weights(nothing, torch.zeros(0, 12, device=twin.device))
    weights.sum().backward()
    assert weights.shape == nothing.grad.shape == (0, 12)


def rays(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    origins = torch.rand(count, 3, generator=seeded(4)) - 0.5
    return origins, torch.nn.functional.normalize(torch.randn(count, 3, generator=seeded(5)), dim=-1)


@pytest.mark.parametrize("unbounded", [False, True])
@pytest.mark.parametrize("peak", [1.0, 1e4])
def test_triton_place_samples_is_the_references(twin, unbounded, peak):
    """Half of the grid is empty, so that some rays meet nothing; no size is a power of two or fills its block.

    Both take 1 - exp of small optical depths, which float32 knows to 2^-24 and a GPU's exp to some 2^-22. Of the
    whole ray's weight, where the grid is thin, that is 1e-4 at most, and moves a sample by no more than
    1e-4 / uniform of the ray in the spacing's fraction.
    """
    plan = SamplingPlan(0.05, math.inf if unbounded else 2.5, unbounded, bins=70, samples=7, uniform=0.1)
    grid = peak * torch.rand(17, 17, 17, generator=seeded(6)) ** 4
    grid[:8] = 0
    arguments = (*rays(33), torch.rand(33, generator=seeded(7)), grid)
    expected = spacing(reference.place_samples(*arguments, plan), unbounded)
    on_device = [value.to(twin.device) for value in arguments]
    found = spacing(twin.kernels.place_samples(*on_device, plan).cpu(), unbounded)
    difference = (found - expected).abs() / (expected[:, -1:] - expected[:, :1])
    assert float(difference.max()) < 1e-4 / plan.uniform
    assert float(difference.median()) < 1e-5
    assert bool((found.diff(dim=-1) > 0).all())


def test_triton_place_samples_of_the_trained_size(twin):
    """192 coarse intervals and 16 samples along one ray through a wall, as in `run.config.SamplingConfig`."""
    plan = SamplingPlan(0.05, math.inf, True, bins=192, samples=16)
    grid = torch.zeros(64, 64, 64)
    grid[58:60] = 1e3  # contracted x from 1.625 to 1.75: in the world from 2.67 to 4
    arguments = (torch.zeros(1, 3) + 0.01, torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([0.3]), grid)
    expected = reference.place_samples(*arguments, plan)
    found = twin.kernels.place_samples(*(value.to(twin.device) for value in arguments), plan).cpu()
    assert int(((found > 2.5) & (found < 4.2)).sum()) >= 0.8 * 16 - 2
    torch.testing.assert_close(spacing(found, True), spacing(expected, True), rtol=0, atol=2e-5)
    assert twin.kernels.place_samples(*(value[:0].to(twin.device) for value in arguments[:3]), grid, plan).shape[0] == 0


@pytest.mark.parametrize("unbounded", [False, True])
def test_triton_resample_is_the_references(twin, unbounded):
    """Thin, empty and opaque rays; 13 intervals are no power of two. Sums differ by their order: 2^-24 a term."""
    plan = SamplingPlan(0.05, 8.0, unbounded, bins=8, samples=13, uniform=0.05, refined=7)
    edges = torch.rand(twin.many, 14, generator=seeded(11)).cumsum(-1) + 0.05
    weights = torch.rand(twin.many, 13, generator=seeded(12)) ** 8 * 0.1
    weights[:40] = 0
    weights[40:80] = torch.nn.functional.one_hot(torch.arange(40) % 13, 13) * 0.9
    arguments = (edges, weights, torch.rand(twin.many, generator=seeded(13)))
    expected = reference.resample(*arguments, plan)
    found = twin.kernels.resample(*(value.to(twin.device) for value in arguments), plan).cpu()
    difference = (spacing(found, unbounded) - spacing(expected, unbounded)).abs()
    lengths = spacing(edges, unbounded).diff(dim=-1).amax(-1, keepdim=True)
    assert float((difference / lengths).max()) < 2 * 13 * 13 * 2**-24 / plan.uniform
    assert torch.equal(found[:, [0, -1]], edges[:, [0, -1]])
    assert twin.kernels.resample(*(value[:0].to(twin.device) for value in arguments), plan).shape == (0, 8)


@pytest.mark.parametrize("unbounded", [False, True])
def test_triton_update_density_grid_is_the_references(twin, unbounded):
    """Cells with many points and with none, emptied ones among them, and a decay that leaves nothing."""
    expected = torch.rand(8, 8, 8, generator=seeded(8))
    expected[2] = 0
    found = expected.clone().to(twin.device)
    p_world = torch.randn(twin.many, 3, generator=seeded(9))
    density = torch.rand(twin.many, generator=seeded(10)) ** 6
    for decay in (0.9, 0.5, 0.0):
        reference.update_density_grid(expected, p_world, density, decay, unbounded)
        twin.kernels.update_density_grid(found, p_world.to(twin.device), density.to(twin.device), decay, unbounded)
        # Neither rounds but in the one product, so they are the same.
        assert torch.equal(found.cpu(), expected)
