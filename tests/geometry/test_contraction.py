"""The contraction and the spacing: closed forms, there and back, no jump at the faces."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sanerf.geometry.contraction import (
    contract,
    distance_from_spacing,
    finite_far,
    spacing,
    spacing_from_distance,
    uncontract,
)

coordinate = st.one_of(st.floats(-2, 2), st.floats(-1e4, 1e4))


def test_contract_keeps_the_cube_and_squeezes_what_is_outside():
    points = torch.tensor([[0.3, -1.0, 0.9], [2.0, 0.0, 0.0], [4.0, -2.0, 0.0], [0.0, 0.0, -10.0]])
    # Outside, the largest coordinate n becomes 2 - 1/n and the others keep their ratio to it.
    expected = torch.tensor([[0.3, -1.0, 0.9], [1.5, 0.0, 0.0], [1.75, -0.875, 0.0], [0.0, 0.0, -1.9]])
    torch.testing.assert_close(contract(points), expected)


@settings(max_examples=200, deadline=None)
@given(st.tuples(coordinate, coordinate, coordinate))
def test_uncontract_after_contract_is_the_identity(point):
    p_world = torch.tensor(point, dtype=torch.float64)
    contracted = contract(p_world)
    assert contracted.abs().max() < 2
    torch.testing.assert_close(uncontract(contracted), p_world, rtol=1e-10, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), st.integers(0, 2), st.sampled_from([-1.0, 1.0]))
def test_contract_is_continuous_across_the_faces(across, axis, sign):
    step = 1e-7
    inside, outside = (
        torch.tensor([*across[:axis], sign * (1 + move), *across[axis:]], dtype=torch.float64) for move in (-step, step)
    )
    assert (contract(outside) - contract(inside)).abs().max() <= 2 * step * (1 + 1e-6)


def test_the_cubes_faces_come_back_from_infinity_as_a_finite_place():
    found = uncontract(torch.tensor([[2.0, 0.0, 1.0]], dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor([[1e6, 0.0, 5e5]], dtype=torch.float64))


def test_spacing_is_half_the_distance_and_then_disparity():
    distances = torch.tensor([0.0, 0.5, 1.0, 2.0, 10.0])
    expected = [0.0, 0.25, 0.5, 0.75, 0.95]
    torch.testing.assert_close(spacing(distances, unbounded=True), torch.tensor(expected))
    assert [spacing_from_distance(d) for d in distances.tolist()] == pytest.approx(expected)
    assert torch.equal(spacing(distances, unbounded=False), distances)


@settings(max_examples=200, deadline=None)
@given(near=st.floats(0.01, 2), factor=st.floats(1.5, 1e3), share=st.floats(0, 1), unbounded=st.booleans())
def test_distance_from_spacing_inverts_spacing(near, factor, share, unbounded):
    far = near * factor
    distance = torch.tensor([near + share * (far - near)], dtype=torch.float64)
    low, high = (float(spacing(torch.tensor([d], dtype=torch.float64), unbounded)) for d in (near, far))
    fraction = (spacing(distance, unbounded) - low) / (high - low)
    torch.testing.assert_close(distance_from_spacing(fraction, near, far, unbounded), distance, rtol=1e-9, atol=0)


def test_an_infinite_end_of_a_ray_is_a_far_one():
    assert (finite_far(math.inf), finite_far(7.0)) == (1e4, 7.0)
    ends = distance_from_spacing(torch.tensor([0.0, 1.0], dtype=torch.float64), 0.05, math.inf, unbounded=True)
    torch.testing.assert_close(ends, torch.tensor([0.05, 1e4], dtype=torch.float64), rtol=1e-9, atol=0)
