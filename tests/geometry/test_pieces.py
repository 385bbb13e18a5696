"""Large pieces of clouds of points, by hand."""

import torch

from sanerf.geometry.pieces import in_large_pieces


def test_strays_are_no_piece_and_what_hangs_together_is_one():
    """A chain of a hundred points a cell (1/16) apart, two of them beyond a gap, and one far away."""
    chain = torch.zeros(100, 3)
    chain[:, 0] = torch.linspace(-0.9, 0.9, 100)
    beyond = torch.tensor([[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]])
    far = torch.tensor([[1.9, -1.9, 1.9]])
    assert in_large_pieces(torch.cat([chain, far])).tolist() == [True] * 100 + [False]
    # Two of 102 are less than two per cent, three of 103 are more.
    assert in_large_pieces(torch.cat([chain, beyond])).tolist() == [True] * 100 + [False] * 2
    assert in_large_pieces(torch.cat([chain, beyond, beyond[:1]])).all()


def test_diagonal_neighbours_touch_and_cells_between_part():
    step = 1 / 16
    near = torch.tensor([[0.01, 0.01, 0.01]])
    for apart, expected in ((1, True), (2, False)):
        points = torch.cat([near.expand(98, 3), near + apart * step])
        assert in_large_pieces(points)[-1].item() is expected


def test_a_cloud_without_large_pieces_is_whole():
    axis = torch.linspace(-1.9, 1.9, 5)
    grid = torch.cartesian_prod(axis, axis, axis)
    assert in_large_pieces(grid).all() and in_large_pieces(torch.zeros(0, 3)).shape == (0,)
