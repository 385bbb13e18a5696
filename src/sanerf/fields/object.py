"""The object field of section 3.3.1: i = f(x), one logit an identity, no view direction."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sanerf.fields.encodings import HashGrid, geometric_resolutions, seeded_mlp
from sanerf.kernels.backend import Kernels
from sanerf.kernels.reference import GridLevels
from sanerf.shapes import Float


@dataclass(frozen=True)
class ObjectConfig:
    """The object field's size."""

    levels: int = 10
    """levels of the hash grid"""
    entries_log2: int = 17
    """table rows a level, as a power of two"""
    channels: int = 2
    """features a level"""
    coarsest: int = 16
    """cells along an axis of the contracted cube at the coarsest level"""
    finest: int = 1024
    """cells along an axis of the contracted cube at the finest level"""
    hidden: int = 32
    """width of the hidden layer"""


class ObjectField(nn.Module):
    """Identity logits at world positions: background first, then the objects."""

    def __init__(self, config: ObjectConfig, objects: int, kernels: Kernels, generator: torch.Generator):
        super().__init__()
        resolutions = geometric_resolutions(config.coarsest, config.finest, config.levels)
        self.grid = HashGrid(GridLevels(resolutions, 2**config.entries_log2), config.channels, kernels, generator)
        self.head = seeded_mlp((self.grid.width, config.hidden, objects), generator)

    def forward(self, p_world: Float[Tensor, "points 3"]) -> Float[Tensor, "points objects"]:
        """Logits, before compositing and softmax (Eq. 7)."""
        return self.head(self.grid(p_world))
