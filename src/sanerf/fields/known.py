"""Where masks have looked at all: an "unknown" beside background.

Background is what some mask saw and none took for its object. Where no view with masks ever looked (the inside of
things, what stands behind them, what lies out of every picture) nobody has said anything, and a field of identities
only guesses there.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sanerf.geometry.contraction import contract
from sanerf.shapes import Bool, Float, UInt8

KNOWN_SIDE = 256
"""Cells along each axis of the contracted cube [-2, 2]³."""


class KnownSpace:
    """The cells of contracted space, `side` along each axis x, y, z, that are known; all others are unknown."""

    def __init__(self, cells: Bool[Tensor, "side side side"]):
        self.cells = cells

    def at(self, p_world: Float[Tensor, "points 3"]) -> Bool[Tensor, "points"]:
        """Whether points lie in known cells."""
        x, y, z = cells_of(p_world, self.cells.shape[0])
        return self.cells[x, y, z]

    def packed(self) -> UInt8[Tensor, "bytes"]:
        """Eight cells a byte, as they are stored."""
        return torch.from_numpy(np.packbits(self.cells.cpu().numpy()))

    @staticmethod
    def unpacked(packed: UInt8[Tensor, "bytes"], side: int = KNOWN_SIDE) -> "KnownSpace":
        """From the bytes of `packed`. ValueError where they are too few or too many."""
        if packed.dtype != torch.uint8 or packed.shape != (side**3 // 8,):
            raise ValueError(f"known space has {side**3 // 8} bytes, not {tuple(packed.shape)} of {packed.dtype}")
        cells = np.unpackbits(packed.numpy()).astype(bool).reshape(side, side, side)
        return KnownSpace(torch.from_numpy(cells))

    def to(self, device: torch.device) -> "KnownSpace":
        return KnownSpace(self.cells.to(device))


def known_to_any(spaces: Sequence[KnownSpace]) -> KnownSpace:
    """What at least one of some spaces of one size, and at least one of them, knows."""
    return KnownSpace(torch.stack([space.cells for space in spaces]).any(dim=0))


def cells_of(p_world: Float[Tensor, "points 3"], side: int) -> tuple[Tensor, Tensor, Tensor]:
    """The cells of contracted space that hold points, as indices along x, y and z."""
    index = ((contract(p_world) + 2) * (side / 4)).long().clamp(0, side - 1)
    x, y, z = index.unbind(dim=1)
    return x, y, z
