"""Lens distortion against OpenCV's formula written out, against Cardano's formula and against exhaustive search."""

import math

import pytest
import torch

from sanerf.geometry.distortion import distort, fold_radius, undistort


def test_distort_is_the_formula_of_the_opencv_documentation():
    k1, k2, p1, p2, k3, k4, k5, k6 = coefficients = (0.1, -0.05, 0.002, -0.003, 0.02, 0.04, -0.01, 0.005)
    x, y = 0.4, -0.3
    r2 = 0.25
    radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    expected = [
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2),
        y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y,
    ]
    found = distort(torch.tensor([[x, y]], dtype=torch.float64), coefficients)[0]
    assert found.tolist() == pytest.approx(expected, abs=1e-15)


def test_undistort_solves_the_cubic_of_a_single_radial_coefficient():
    k1 = 0.3
    distorted = torch.linspace(0.05, 1.2, 24, dtype=torch.float64)
    # r + k1 r^3 = d: the one real root by Cardano.
    half, third = distorted / (2 * k1), 1 / (3 * k1)
    root = (half.square() + third**3).sqrt()
    expected = (half + root).pow(1 / 3) - (root - half).pow(1 / 3)
    found = undistort(torch.stack([distorted, torch.zeros_like(distorted)], dim=-1), (k1,))
    torch.testing.assert_close(found[:, 0], expected, rtol=0, atol=1e-10)


def test_undistort_finds_what_an_exhaustive_search_finds():
    coefficients = (-0.28, 0.07, 0.001, -0.002)
    target = torch.tensor([[0.45, -0.35]], dtype=torch.float64)
    step = 1 / 500
    axis = torch.arange(-300, 300, dtype=torch.float64) * step
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).reshape(-1, 2)
    nearest = grid[(distort(grid, coefficients) - target).norm(dim=-1).argmin()]
    assert (undistort(target, coefficients)[0] - nearest).abs().max() < step


def test_the_map_is_one_to_one_even_beyond_the_radius_where_the_polynomial_folds():
    coefficients = (0.0578421, -0.0805099, -0.000980296, 0.00015575)
    axis = torch.linspace(-3, 3, 31, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).reshape(-1, 2)
    torch.testing.assert_close(undistort(distort(points, coefficients), coefficients), points, rtol=0, atol=1e-8)


def test_fold_radius_has_its_closed_form():
    assert fold_radius((-0.2,)) == pytest.approx(math.sqrt(1 / 0.6))  # 1 + 3 k1 r^2 = 0
    assert fold_radius((0.2,)) == math.inf
    assert fold_radius((0.2, 1e-308)) == math.inf
    # r / (1 + k4 r^2) has its top at r^2 = 1 / k4.
    assert fold_radius((0.0, 0.0, 0.0, 0.0, 0.0, 0.25)) == pytest.approx(2.0)


def test_undistort_of_no_points_is_no_points():
    assert undistort(torch.zeros(0, 2), (0.1,)).shape == (0, 2)
