"""Encodings: resolutions in closed form, spherical harmonics by quadrature, seeded initialisation."""

import math

import numpy as np
import pytest
import torch

from sanerf.fields.encodings import (
    _BLOCK,
    HashGrid,
    geometric_resolutions,
    seeded_linear,
    seeded_mlp,
    spherical_harmonics,
)
from sanerf.kernels.backend import kernels_for
from sanerf.kernels.reference import GridLevels

TORCH = kernels_for("torch", torch.device("cpu"))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_resolutions_grow_by_a_constant_factor_to_the_finest():
    assert geometric_resolutions(16, 2048, 8) == (16, 32, 64, 128, 256, 512, 1024, 2048)
    assert geometric_resolutions(4, 9, 3) == (4, 6, 9)
    assert geometric_resolutions(16, 1024, 10)[-1] == 1024
    assert geometric_resolutions(16, 64, 1) == (16,)


def sphere_quadrature() -> tuple[torch.Tensor, torch.Tensor]:
    """Directions and weights that integrate polynomials up to degree 15 over the sphere."""
    z, z_weights = np.polynomial.legendre.leggauss(8)
    angles = np.arange(16) * (2 * math.pi / 16)
    ring = np.sqrt(1 - z**2)[:, None]
    directions = np.stack(
        [ring * np.cos(angles), ring * np.sin(angles), np.broadcast_to(z[:, None], (8, 16))], axis=-1
    ).reshape(-1, 3)
    return torch.from_numpy(directions), torch.from_numpy(np.repeat(z_weights * 2 * math.pi / 16, 16))


def test_spherical_harmonics_are_orthonormal():
    directions, weights = sphere_quadrature()
    values = spherical_harmonics(directions)
    gram = values.T @ (weights[:, None] * values)
    torch.testing.assert_close(gram, torch.eye(16, dtype=torch.float64), rtol=0, atol=1e-12)


def test_each_degree_has_a_constant_sum_of_squares():
    """Unsoeld's theorem: the sum over a degree is (2 l + 1) / (4 pi)."""
    directions = torch.nn.functional.normalize(torch.randn(20, 3, dtype=torch.float64, generator=seeded(0)), dim=-1)
    squares = spherical_harmonics(directions).square()
    for degree in range(4):
        of_degree = squares[:, degree**2 : (degree + 1) ** 2].sum(-1)
        torch.testing.assert_close(of_degree, torch.full_like(of_degree, (2 * degree + 1) / (4 * math.pi)))


def test_initial_values_come_from_the_generator_alone():
    levels = GridLevels((4, 8), 64)
    made = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        generator = seeded(7)
        made.append((HashGrid(levels, 2, TORCH, generator), seeded_mlp((4, 8, 3), generator)))
    for first, second in zip(*made, strict=True):
        for name, value in first.state_dict().items():
            assert torch.equal(value, second.state_dict()[name]), name


def test_initial_values_have_the_stated_ranges():
    grid = HashGrid(GridLevels((4, 8), 1024), 4, TORCH, seeded(0))
    assert grid.width == 8
    assert 0.99e-4 < float(grid.table.detach().abs().max()) <= 1e-4
    layer = seeded_linear(24, 500, seeded(0))
    assert 0.49 < float(layer.weight.detach().abs().max()) <= 0.5  # sqrt(6 / 24)
    assert not layer.bias.any()


def test_an_mlp_is_linear_layers_with_relu_between():
    mlp = seeded_mlp((3, 5, 2), seeded(0))
    x = torch.randn(10, 3, generator=seeded(1))
    first, _, last = mlp
    expected = (x @ first.weight.T + first.bias).clamp(min=0) @ last.weight.T + last.bias
    torch.testing.assert_close(mlp(x), expected)


def test_a_table_whose_size_is_no_power_of_two_is_refused():
    with pytest.raises(AssertionError, match="100"):
        GridLevels((4,), 100)


def test_rows_done_in_blocks_without_gradients_are_the_same():
    mlp = seeded_mlp((3, 5, 4, 2), seeded(0))
    values = torch.randn(_BLOCK * 2 + 7, 3, generator=seeded(1))
    expected = mlp(values)
    with torch.no_grad():
        torch.testing.assert_close(mlp(values), expected.detach(), rtol=1e-5, atol=1e-6)
        # As the numba encoding hands them over: the transpose of what lies in memory.
        torch.testing.assert_close(mlp(values.T.contiguous().T), expected.detach(), rtol=1e-5, atol=1e-6)
