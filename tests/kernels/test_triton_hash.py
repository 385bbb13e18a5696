"""Triton's hash grid against the torch reference: values and gradients. See conftest.py for where this runs."""

import pytest
import torch

from sanerf.kernels import reference
from sanerf.kernels.reference import GridLevels

# Of 1024 rows, 9 cells an axis are dense (1000 corners), 61 are hashed.
LEVELS = GridLevels((9, 61), 1024)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def values_and_gradient(encode, p_world, table, levels, pull):
    leaf = table.clone().requires_grad_()
    out = encode(p_world, leaf, levels)
    (out * pull).sum().backward()
    return out.detach(), leaf.grad


@pytest.mark.parametrize(("channels", "some"), [(2, "many"), (3, "one"), (4, "none")])
def test_triton_hash_encode_is_the_reference(twin, channels, some):
    """Dense and hashed levels, points in and outside of the unit cube, a last block that is not full, odd channels."""
    points = {"many": twin.many, "one": 1, "none": 0}[some]
    p_world = torch.randn(points, 3, generator=seeded(0)) * 1.5
    p_world[: points // 10] *= 100
    table = torch.randn(2, 1024, channels, generator=seeded(1))
    pull = torch.randn(points, 2 * channels, generator=seeded(2))
    arguments = [value.to(twin.device) for value in (p_world, table)]
    expected, expected_grad = values_and_gradient(
        reference.hash_encode, p_world.double(), table.double(), LEVELS, pull.double()
    )
    found, found_grad = values_and_gradient(twin.kernels.hash_encode, *arguments, LEVELS, pull.to(twin.device))
    # Positions are float32: 61 cells times a few of their roundings of 6e-8, times corner differences of a few units.
    torch.testing.assert_close(found.double().cpu(), expected, rtol=0, atol=1e-4)
    # A row's sum has up to as many terms as there are points on 1000 corners, each wrong by as much.
    torch.testing.assert_close(found_grad.double().cpu(), expected_grad, rtol=1e-4, atol=2e-3)


def test_triton_hash_encode_finds_the_references_rows_of_fine_levels(twin):
    """At 4096 cells an axis the corners' number and the hash's products pass 2^32, and the cubes' corners are met."""
    levels = GridLevels((4096,), 2**18)
    p_world = torch.rand(30, 3, generator=seeded(3)) * 2 - 1
    p_world[:4] = torch.tensor([[1e9, -1e9, 1e9], [-1e30, 0.0, 0.0], [1.0, 1.0, -1.0], [0.0, 0.0, 0.0]])
    # Rows of the lowest corner of each point's cell, which alone counts where all others hold zero.
    scaled = (reference.contract(p_world) + 2) / 4 * 4096
    low = scaled.floor().clamp(max=4095)
    corners = low.long()[:, None] + torch.tensor([[c & 1, c >> 1 & 1, c >> 2] for c in range(8)])
    rows = reference._corner_rows(corners.reshape(-1, 3), 4096, 2**18)
    table = torch.zeros(1, 2**18, 2)
    table[0, rows] = torch.randn(len(rows), 2, generator=seeded(4))
    found = twin.kernels.hash_encode(p_world.to(twin.device), table.to(twin.device), levels).cpu()
    # A row missed by the hash would be a zero, of the size of the values themselves.
    torch.testing.assert_close(found, reference.hash_encode(p_world, table, levels), rtol=0, atol=5e-3)
