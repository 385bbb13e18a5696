"""The one-array parameter layout of tiny-cuda-nn, in which instant-ngp and most nerfacto checkpoints keep weights.

A network is its weight matrices one after the other, row-major (outputs x inputs), no biases: first hidden layer, the
other hidden ones, output layer. Input and output widths are padded to a multiple of 16 for "FullyFusedMLP" and of 8 for
"CutlassMLP". A grid is its levels one after the other, a row of features a grid point. Level l has N * b^l - 1 cells
over the unit cube, where N is the base resolution and b the scale per level, and so one more grid point an axis,
rounded up; coordinates are shifted by half a cell. A level takes as many rows as it has points, rounded up to a
multiple of 8, at most 2^T; only levels that do not fit are hashed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from sanerf.errors import UserError
from sanerf.shapes import Float, Int64

SHIFT = 0.5
"""Of coordinates in grid points."""


@dataclass(frozen=True)
class GridShape:
    """A grid's numbers as its configuration has them."""

    levels: int
    features: int
    log2_rows: int
    base_resolution: int
    level_scale: float

    def layout(self) -> tuple[Float[Tensor, "levels"], Int64[Tensor, "levels"], Int64[Tensor, "levels"]]:
        """Scales, sides (0 where hashed) and rows of the levels, as `HashFieldParts` has them."""
        level = np.arange(self.levels, dtype=np.float32)
        growth = np.exp2(level * np.log2(np.float32(self.level_scale)))
        scales = (growth * np.float32(self.base_resolution) - np.float32(1)).astype(np.float32)
        points = [int(np.ceil(scale)) + 1 for scale in scales]
        rows = [min(-(-(side**3) // 8) * 8, 2**self.log2_rows) for side in points]
        sides = [side if side**3 <= held else 0 for side, held in zip(points, rows, strict=True)]
        return torch.from_numpy(scales), torch.tensor(sides), torch.tensor(rows)


@dataclass(frozen=True)
class NetworkShape:
    """A network's widths as its configuration has them; `inputs` are what it is given, before padding."""

    inputs: int
    hidden: int
    hidden_layers: int
    outputs: int

    def matrices(self, alignment: int) -> list[tuple[int, int]]:
        """Outputs and inputs of the layers, padded to multiples of `alignment`."""
        ends = [-(-width // alignment) * alignment for width in (self.inputs, self.outputs)]
        widths = [ends[0], *[self.hidden] * self.hidden_layers, ends[1]]
        return [(rows, columns) for columns, rows in pairwise(widths)]


def level_growth(coarsest: int, finest: int, levels: int) -> float:
    """The factor from one level's resolution to the next; 1 where there is one level.

    nerfstudio rounds its levels' resolutions down, so they depend on the order of these operations.
    """
    return float(np.exp((np.log(finest) - np.log(coarsest)) / (levels - 1))) if levels > 1 else 1.0


def take_apart(
    values: Float[Tensor, "parameters"], networks: Sequence[NetworkShape], *, grid: GridShape | None, source: str
) -> tuple[list[list[Tensor]], Float[Tensor, "entries channels"]]:
    """The padded weight matrices of each network, and the table of the grid that follows them.

    The padding is told by the number of parameters, not by the configuration: a GPU that has no fused networks trains
    others in their place without a word in the file. UserError where neither padding fits.
    """
    rows = 0 if grid is None else int(grid.layout()[2].sum())
    channels = 1 if grid is None else grid.features
    for alignment in (16, 8):
        shapes = [network.matrices(alignment) for network in networks]
        sizes = [a * b for shape in shapes for a, b in shape]
        if sum(sizes) + rows * channels == len(values):
            parts = iter(values.split([*sizes, rows * channels]))
            weights = [[next(parts).float().reshape(size) for size in shape] for shape in shapes]
            return weights, next(parts).reshape(rows, channels)
    raise UserError(
        f"{source} holds {len(values)} parameters, which its configuration does not explain; "
        "the two are not of one training"
    )


def without_biases(weights: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """(weight, bias) a layer, all biases zero."""
    return [(weight, weight.new_zeros(weight.shape[0])) for weight in weights]
