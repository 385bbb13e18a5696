"""The pieces that a cloud of points falls into: a thing, and what strays far behind its edges."""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from sanerf.shapes import Bool, Float, Int

_SIDE = 64
"""Cells along each axis of the contracted cube [-2, 2]³."""
_LEAST_PIECE = 0.02
"""A piece with a smaller share of the points is a stray one."""


def in_large_pieces(p_contracted: Float[Tensor, "points 3"]) -> Bool[Tensor, "points"]:
    """Which points, in contracted space, are of pieces with two per cent of them or more; all of them, where less than
    half would remain.

    Points are of one piece if a chain of cells of a 64th of the cube, each touching the next, leads from one to the
    other.
    """
    if not len(p_contracted):
        return torch.ones(0, dtype=torch.bool, device=p_contracted.device)
    x, y, z = ((p_contracted + 2) * (_SIDE / 4)).long().clamp(0, _SIDE - 1).unbind(dim=1)
    cell = ((x * _SIDE + y) * _SIDE + z).cpu().numpy()
    counts = np.bincount(cell, minlength=_SIDE**3).reshape(_SIDE, _SIDE, _SIDE)
    large = large_pieces(counts > 0, counts).ravel()[cell]
    if large.sum() * 2 < len(cell):
        large[:] = True
    return torch.from_numpy(large).to(p_contracted.device)


def large_pieces(
    occupied: Bool[np.ndarray, "nx ny nz"], counts: Int[np.ndarray, "nx ny nz"]
) -> Bool[np.ndarray, "nx ny nz"]:
    """The occupied cells of pieces, of cells that touch, which hold two per cent of all that was counted or more."""
    labelled, number = ndimage.label(occupied, np.ones((3, 3, 3)))  # pyright: ignore[reportGeneralTypeIssues]
    held = np.bincount(np.asarray(labelled).ravel(), weights=counts.ravel(), minlength=number + 1)
    large = held >= _LEAST_PIECE * counts.sum()
    large[0] = False
    return large[labelled]
