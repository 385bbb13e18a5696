"""The radiance field of Eq. 1: f(x, d) = (sigma, c), on a hash grid with two small heads."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sanerf.fields.encodings import HashGrid, geometric_resolutions, seeded_mlp, spherical_harmonics
from sanerf.kernels.backend import Kernels
from sanerf.kernels.reference import GridLevels
from sanerf.shapes import Float


@dataclass(frozen=True)
class RadianceConfig:
    """The radiance field's size."""

    levels: int = 10
    """levels of the hash grid"""
    entries_log2: int = 17
    """table rows a level, as a power of two"""
    channels: int = 4
    """features a level"""
    coarsest: int = 16
    """cells along an axis of the contracted cube at the coarsest level"""
    finest: int = 4096
    """cells along an axis of the contracted cube at the finest level"""
    hidden: int = 32
    """width of the hidden layers"""
    geometry: int = 15
    """channels that the density head hands to the colour head"""


class RadianceField(nn.Module):
    """Density and view-dependent colour at world positions."""

    def __init__(self, config: RadianceConfig, kernels: Kernels, generator: torch.Generator):
        super().__init__()
        resolutions = geometric_resolutions(config.coarsest, config.finest, config.levels)
        levels = GridLevels(resolutions, 2**config.entries_log2)
        self.grid = HashGrid(levels, config.channels, kernels, generator)
        self.density_head = seeded_mlp((self.grid.width, config.hidden, 1 + config.geometry), generator)
        colour_inputs = config.geometry + 16
        self.colour_head = seeded_mlp((colour_inputs, config.hidden, config.hidden, 3), generator)

    def density(
        self, p_world: Float[Tensor, "points 3"]
    ) -> tuple[Float[Tensor, "points"], Float[Tensor, "points geometry"]]:
        """Volume density per world unit, and the geometry feature that `colour` needs."""
        out = self.density_head(self.grid(p_world))
        # exp, as in instant-ngp; the clamp bounds it at 3e6 and keeps half the gradient scale of a fresh field.
        return torch.exp((out[:, 0] - 1).clamp(max=15.0)), out[:, 1:]

    def direction_code(self, directions: Float[Tensor, "rays 3"]) -> Float[Tensor, "rays 16"]:
        """The `spherical_harmonics` of unit directions."""
        return spherical_harmonics(directions)

    def colour(
        self, geometry: Float[Tensor, "points geometry"], direction_code: Float[Tensor, "points 16"]
    ) -> Float[Tensor, "points 3"]:
        """sRGB in [0, 1] of points seen along directions, which come as their `direction_code`."""
        return torch.sigmoid(self.colour_head(torch.cat([geometry, direction_code], dim=-1)))
