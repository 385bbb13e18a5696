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


OUTSIDE = -20.0
"""Logit, relative to the background's, of an object outside of its box."""


class ObjectField(nn.Module):
    """Identity logits at world positions: background first, then the objects.

    Each object lives in a box, `box_low` to `box_high` (objects without background, 3), at first all of space.
    """

    box_low: Tensor
    box_high: Tensor

    def __init__(self, config: ObjectConfig, objects: int, kernels: Kernels, generator: torch.Generator):
        super().__init__()
        resolutions = geometric_resolutions(config.coarsest, config.finest, config.levels)
        self.grid = HashGrid(GridLevels(resolutions, 2**config.entries_log2), config.channels, kernels, generator)
        self.head = seeded_mlp((self.grid.width, config.hidden, objects), generator)
        self.register_buffer("box_low", torch.full((objects - 1, 3), -torch.inf))
        self.register_buffer("box_high", torch.full((objects - 1, 3), torch.inf))

    def forward(self, p_world: Float[Tensor, "points 3"]) -> Float[Tensor, "points objects"]:
        """Logits, before compositing and softmax (Eq. 7)."""
        logits = self.head(self.grid(p_world))
        outside = ((p_world[:, None] < self.box_low) | (p_world[:, None] > self.box_high)).any(dim=2)
        objects = torch.where(outside, logits[:, :1] + OUTSIDE, logits[:, 1:])
        return torch.cat([logits[:, :1], objects], dim=1)
