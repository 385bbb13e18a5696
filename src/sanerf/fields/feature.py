"""The feature field of section 3.1: a segmenter's features as a function of position, f(x), composited by Eq. 2.

All maps of a segmenter share a hash grid and a small network, whose output at a point, its latent values, each map's
own matrix turns into that map's features. The matrices are linear, so that latent values are composited along rays,
and averaged over the rays of a cell, before them: the same sum as Eq. 2 prints, of fewer channels.

Features are learnt around each map's mean in units of its spread: f(x) = mean + spread * (matrix @ latent(x)), and
where a ray meets nothing, it ends on the mean. The paper's f also has the direction of sight; see
docs/feature_field.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sanerf.fields.encodings import HashGrid, geometric_resolutions, seeded_linear, seeded_mlp
from sanerf.kernels.backend import Kernels
from sanerf.kernels.reference import GridLevels
from sanerf.shapes import Float


@dataclass(frozen=True)
class FeatureConfig:
    """The feature field's size."""

    levels: int = 10
    """levels of the hash grid"""
    entries_log2: int = 17
    """table rows a level, as a power of two"""
    channels: int = 4
    """features a level"""
    coarsest: int = 16
    """cells along an axis of the contracted cube at the coarsest level"""
    finest: int = 1024
    """cells along an axis of the contracted cube at the finest level"""
    hidden: int = 64
    """width of the hidden layer"""
    latent: int = 96
    """values at a point that all maps are made of"""


@dataclass(frozen=True)
class MapMoments:
    """A map's mean in each channel, and the spread of all channels about it (the root of their mean variance).

    `padding` is the mean of what lies beyond the picture, cell by cell; anything where the picture is.
    """

    mean: Float[Tensor, "c"]
    spread: float
    padding: Float[Tensor, "c rows columns"]


class FeatureField(nn.Module):
    """Features of each named map at world positions, without a direction of sight.

    `moments` are those of the maps that are to be learnt; they are stored with the weights.
    """

    def __init__(
        self, config: FeatureConfig, moments: Mapping[str, MapMoments], kernels: Kernels, generator: torch.Generator
    ):
        super().__init__()
        resolutions = geometric_resolutions(config.coarsest, config.finest, config.levels)
        levels = GridLevels(resolutions, 2**config.entries_log2)
        self.grid = HashGrid(levels, config.channels, kernels, generator)
        self.network = seeded_mlp((self.grid.width, config.hidden, config.latent), generator)
        self.matrices = nn.ModuleDict(
            {name: _matrix(config.latent, len(of.mean), generator) for name, of in moments.items()}
        )
        for name, of in moments.items():
            self.register_buffer(f"mean_{name}", of.mean.float())
            self.register_buffer(f"spread_{name}", torch.tensor(of.spread))
            self.register_buffer(f"padding_{name}", of.padding.float())

    @property
    def maps(self) -> tuple[str, ...]:
        """The names of the maps."""
        return tuple(self.matrices)

    def forward(self, p_world: Float[Tensor, "points 3"]) -> Float[Tensor, "points latent"]:
        """Latent values, to be composited (Eq. 2)."""
        return torch.relu(self.network(self.grid(p_world)))

    def features(self, name: str, latent: Float[Tensor, "points latent"]) -> Float[Tensor, "points c"]:
        """A map's features of latent values or of weighted sums of them."""
        return self.get_buffer(f"mean_{name}") + self.get_buffer(f"spread_{name}") * self.matrices[name](latent)

    def padding(self, name: str, rows: int, columns: int) -> Float[Tensor, "c rows columns"]:
        """What a map of that size holds beyond the picture; of a size that was never seen, the map's mean."""
        known = self.get_buffer(f"padding_{name}")
        if known.shape[1:] == (rows, columns):
            return known
        return self.get_buffer(f"mean_{name}")[:, None, None].expand(-1, rows, columns)

    def features_at(self, p_world: Float[Tensor, "points 3"]) -> dict[str, Tensor]:
        """Each map's features f(x) at points, (points c)."""
        latent = self(p_world)
        return {name: self.features(name, latent) for name in self.maps}


def _matrix(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer without bias, drawn from `generator`: a bias would be composited to the accumulation."""
    drawn = seeded_linear(inputs, outputs, generator)
    layer = nn.Linear(inputs, outputs, bias=False)
    with torch.no_grad():
        layer.weight.copy_(drawn.weight)
    return layer
