"""The second look along rays: where its intervals go, against closed forms."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sanerf.kernels.reference import SamplingPlan, resample

HALF = torch.tensor([0.5])


def plan_of(refined: int, uniform: float, unbounded: bool = False) -> SamplingPlan:
    return SamplingPlan(0.0, 8.0, unbounded, bins=8, samples=8, uniform=uniform, refined=refined)


def test_without_weights_the_intervals_are_even():
    edges = torch.linspace(0, 8, 9)[None]
    refined = resample(edges, torch.zeros(1, 8), HALF, plan_of(16, uniform=0.2))
    torch.testing.assert_close(refined, torch.linspace(0, 8, 17)[None])


def test_all_refined_intervals_go_to_the_one_that_has_weight_and_its_neighbours():
    """Mass in [3, 6] alone: twelve intervals split three units in twelve, save that the ends stay where they are."""
    edges = torch.linspace(0, 8, 9)[None]
    weights = torch.zeros(1, 8)
    weights[0, 4] = 0.7
    refined = resample(edges, weights, HALF, plan_of(12, uniform=0.0))[0]
    torch.testing.assert_close(refined[1:-1], torch.arange(1, 12) / 4 + 3)
    assert refined[[0, -1]].tolist() == [0.0, 8.0]


def test_the_uniform_share_is_spread_over_the_intervals():
    """Half of 16 intervals go to the three units with weight, the other half over all eight: 8 / 8 a unit."""
    edges = torch.linspace(0, 8, 9)[None]
    weights = torch.zeros(1, 8)
    weights[0, 1] = 0.1
    refined = resample(edges, weights, HALF, plan_of(16, uniform=0.5))[0]
    assert int((refined > 3 + 1e-4).sum()) == 5
    torch.testing.assert_close(refined[-5:], torch.tensor([4.0, 5.0, 6.0, 7.0, 8.0]))


def test_far_intervals_are_divided_in_disparity():
    """From 2 to 8 in spacing 1 - 1 / (2 t): halfway lies 1 / (1/2 + 1/8) * 2 = 3.2, not 5."""
    edges = torch.tensor([[0.5, 2.0, 8.0]])
    refined = resample(edges, torch.tensor([[0.0, 0.0]]), HALF, plan_of(4, uniform=0.2, unbounded=True))[0]
    assert float(refined[3]) == pytest.approx(3.2, rel=1e-5)


@given(
    weights=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12),
    jitter=st.floats(0, 1, exclude_max=True, width=32),
    uniform=st.floats(0, 0.5, width=32),
    unbounded=st.booleans(),
)
def test_edges_increase_from_the_first_to_the_last(weights, jitter, uniform, unbounded):
    edges = torch.linspace(0.25, 4.0, len(weights) + 1)[None]
    plan = plan_of(7, uniform, unbounded)
    refined = resample(edges, torch.tensor([weights]), torch.tensor([jitter], dtype=torch.float32), plan)[0]
    assert refined.shape == (8,)
    assert float(refined[0]) == 0.25 and float(refined[-1]) == 4.0
    assert bool((refined.diff() >= -1e-5).all())
