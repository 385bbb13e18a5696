"""The object field of section 3.3.1: i = f(x), one logit an identity, no view direction."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sanerf.fields.encodings import HashGrid, geometric_resolutions, seeded_mlp
from sanerf.fields.voted import VotedField
from sanerf.kernels.backend import Kernels
from sanerf.kernels.reference import GridLevels
from sanerf.shapes import Bool, Float, Int64


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


OUTSIDE = -5.0
"""The most that an object's logit is, relative to the background's, where it cannot be."""

SUPPORT_SIDE = 64
"""Cells along each axis of an object's box."""


class ObjectField(nn.Module):
    """Identity logits at world positions: background first, then the objects.

    Each object lives in a box, `box_low` to `box_high` (objects without background, 3), and there in the cells where
    `support` (objects without background, side side side, axes x y z) is true; at first in all of space.

    With a voted field to start from, the logits are those of `start` and what is learnt on top: nothing, at first.
    """

    box_low: Tensor
    box_high: Tensor
    support: Tensor

    def __init__(
        self,
        config: ObjectConfig,
        objects: int,
        kernels: Kernels,
        generator: torch.Generator,
        start: VotedField | None = None,
    ):
        super().__init__()
        assert start is None or len(start.low) == objects - 1, (len(start.low), objects)
        resolutions = geometric_resolutions(config.coarsest, config.finest, config.levels)
        self.grid = HashGrid(GridLevels(resolutions, 2**config.entries_log2), config.channels, kernels, generator)
        self.head = seeded_mlp((self.grid.width, config.hidden, objects), generator)
        self.start = start
        if start is not None:
            last = self.head[-1]
            assert isinstance(last, nn.Linear), last
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.register_buffer("box_low", torch.full((objects - 1, 3), -torch.inf))
        self.register_buffer("box_high", torch.full((objects - 1, 3), torch.inf))
        self.register_buffer("support", torch.ones((objects - 1, *[SUPPORT_SIDE] * 3), dtype=torch.bool))

    def forward(self, p_world: Float[Tensor, "points 3"]) -> Float[Tensor, "points objects"]:
        """Logits, before compositing and softmax (Eq. 7)."""
        logits = self.head(self.grid(p_world))
        if self.start is not None:
            logits = logits + self.start(p_world)
        possible = torch.stack([self.may_be(k, p_world) for k in range(len(self.box_low))], dim=1)
        # No lower than the field learnt it: a ray at an object's edge ends on what lies behind, and with logits of -20
        # there it was lost (0.005 of mean IoU on the bundled scene's exact masks, 0.015 on noisy ones).
        objects = torch.where(possible, logits[:, 1:], torch.minimum(logits[:, 1:], logits[:, :1] + OUTSIDE))
        return torch.cat([logits[:, :1], objects], dim=1)

    def unlimit(self) -> None:
        """Give every object all of space again."""
        self.box_low.fill_(-torch.inf)
        self.box_high.fill_(torch.inf)
        self.support.fill_(True)

    def may_be(self, index: int, p_world: Float[Tensor, "points 3"]) -> Bool[Tensor, "points"]:
        """Whether points lie in the box and the support of an object, counted from zero without the background."""
        low, high = self.box_low[index], self.box_high[index]
        inside = ((p_world >= low) & (p_world <= high)).all(dim=1)
        if not bool(torch.isfinite(low).all()):
            return inside
        cell = support_cells(p_world, low, high)
        return inside & self.support[index].flatten()[cell]


def support_cells(
    p_world: Float[Tensor, "points 3"], low: Float[Tensor, "3"], high: Float[Tensor, "3"]
) -> Int64[Tensor, "points"]:
    """The flat index of the support's cell that holds each point of a box; of the nearest where it is outside."""
    relative = (p_world - low) / (high - low).clamp(min=1e-12)
    x, y, z = (relative * SUPPORT_SIDE).long().clamp(0, SUPPORT_SIDE - 1).unbind(1)
    return (x * SUPPORT_SIDE + y) * SUPPORT_SIDE + z
