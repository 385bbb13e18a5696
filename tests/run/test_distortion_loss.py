"""The distortion loss against the double sum it is printed as, and in closed form."""

import math

import pytest
import torch

from sanerf.geometry.contraction import spacing
from sanerf.kernels.reference import SamplingPlan
from sanerf.run.losses import distortion_loss

BOUNDED = SamplingPlan(0.0, 10.0, False, bins=8, samples=8)
UNBOUNDED = SamplingPlan(0.05, math.inf, True, bins=8, samples=8)


def random_ray() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    edges = (torch.rand(4, 9, generator=generator, dtype=torch.float64) * 3).sort(dim=-1).values
    return edges, torch.rand(4, 8, generator=generator, dtype=torch.float64) / 8


@pytest.mark.parametrize("plan", [BOUNDED, UNBOUNDED])
def test_distortion_is_the_double_sum(plan):
    """Mip-NeRF 360, Eq. 15, in quadratic time."""
    edges, weights = random_ray()
    s = spacing(edges, plan.unbounded).tolist()
    total = 0.0
    for row, w in zip(s, weights.tolist(), strict=True):
        for i in range(8):
            total += w[i] ** 2 * (row[i + 1] - row[i]) / 3
            for j in range(8):
                total += w[i] * w[j] * abs((row[i] + row[i + 1]) / 2 - (row[j] + row[j + 1]) / 2)
    assert float(distortion_loss(edges, weights, plan)) == pytest.approx(total / 4, rel=1e-12)


def test_two_thin_surfaces_cost_their_distance():
    edges = torch.tensor([[1.0, 1.0 + 1e-9, 4.0, 4.0 + 1e-9]], dtype=torch.float64)
    weights = torch.tensor([[0.25, 0.0, 0.75]], dtype=torch.float64)
    assert float(distortion_loss(edges, weights, BOUNDED)) == pytest.approx(2 * 0.25 * 0.75 * 3, rel=1e-8)


@pytest.mark.parametrize("plan", [BOUNDED, UNBOUNDED])
def test_distortion_gradcheck(plan):
    edges, weights = random_ray()
    assert torch.autograd.gradcheck(lambda w: distortion_loss(edges, w, plan), weights.requires_grad_())
