"""A trained hash-grid field of another program: what nerfacto and instant-ngp have in common.

A point of the world goes to the field's own frame by a similarity, there into the unit cube (nerfacto contracts first),
and is looked up in the levels of a grid, by trilinear interpolation. A dense network makes geometry channels of the
features, the first of which is the density's logarithm; a second makes colour of those and of the direction's
harmonics. The programs differ in where grid points lie, which levels are hashed, and in the harmonics; `HashFieldParts`
says how, so that one evaluation serves both. Frozen: no gradients are kept.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from sanerf.fields.encodings import spherical_harmonics
from sanerf.geometry.contraction import contract
from sanerf.geometry.transforms import Similarity
from sanerf.kernels.reference import PRIMES
from sanerf.shapes import Bool, Float, Float64, Int64

LARGEST_LOG_DENSITY = 30.0
"""The density's exponential is cut here, at 1e13, where nothing is more opaque; it must not overflow."""


@dataclass(frozen=True)
class HashFieldSettings:
    """The choices by which the programs differ that are not arrays; JSON's own types, since a run folder keeps them."""

    origin: str
    """the program and the file, for people"""
    shift: float
    """added to scaled coordinates, in grid points: tiny-cuda-nn's 0.5, so that levels do not align"""
    smooth: bool
    """interpolation by the smoothstep of the fractions"""
    contracted: bool
    """the cube holds the contracted space"""
    harmonics: Literal["unit", "shifted"]
    """of unit directions, or as nerfstudio's torch code has them (`shifted_harmonics`)"""
    density_factor: float
    """density in the field's own unit over the exponential of the network's output"""


@dataclass(frozen=True)
class HashFieldParts:
    """The arrays of a `HashField`, in the frame of the field.

    Level l has `scales[l]` grid points over the cube's edge and `rows[l]` rows of the table, all levels one after the
    other. Where `sides[l]` is positive, the points are numbered x fastest with that many an axis, else they are hashed.
    The field is empty outside of its cube and of the crop box, which stands in a frame turned by `crop_rotation`.
    Networks are (weight, bias) a layer, ReLU between them. The colour network's inputs are the density network's
    outputs, then the direction's 16 harmonics.
    """

    table: Float[Tensor, "entries channels"]
    scales: Float[Tensor, "levels"]
    sides: Int64[Tensor, "levels"]
    rows: Int64[Tensor, "levels"]
    cube_low: Float[Tensor, "3"]
    cube_high: Float[Tensor, "3"]
    density_layers: list[tuple[Tensor, Tensor]]
    colour_layers: list[tuple[Tensor, Tensor]]
    crop: "CropBox | None" = None


@dataclass(frozen=True)
class CropBox:
    """`low` <= rotation @ p <= `high`."""

    rotation: Float[Tensor, "3 3"]
    low: Float[Tensor, "3"]
    high: Float[Tensor, "3"]


class HashField(nn.Module):
    """See the module's text; a `sanerf.fields.protocol.Field`."""

    table: Tensor
    scales: Tensor
    sides: Tensor
    rows: Tensor
    cube: Tensor
    crop: Tensor
    field_from_world: Tensor

    def __init__(self, settings: HashFieldSettings, parts: HashFieldParts, field_from_world: Similarity):
        super().__init__()
        self.settings = settings
        crop = parts.crop or CropBox(torch.eye(3), torch.full((3,), -torch.inf), torch.full((3,), torch.inf))
        buffers = {
            "table": parts.table,
            "scales": parts.scales,
            "sides": parts.sides,
            "rows": parts.rows,
            "cube": torch.stack([parts.cube_low, parts.cube_high]),
            "crop": torch.cat([crop.rotation, crop.low[None], crop.high[None]]),
            "field_from_world": _matrix(field_from_world),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value)
        self.density_network = _network(parts.density_layers)
        self.colour_network = _network(parts.colour_layers)
        self.requires_grad_(False)

    @property
    def _scale(self) -> Tensor:
        """Field units per world unit."""
        return self.field_from_world[:3, :3].norm(dim=0).mean()

    def density(
        self, p_world: Float[Tensor, "points 3"]
    ) -> tuple[Float[Tensor, "points"], Float[Tensor, "points geometry"]]:
        """Density per world unit and all of the density network's outputs."""
        p_field = p_world.double() @ self.field_from_world[:3, :3].T + self.field_from_world[:3, 3]
        unit, inside = self._in_cube(p_field.to(p_world.dtype))
        geometry = self.density_network(self._features(unit))
        factor = self.settings.density_factor * self._scale.to(p_world.dtype)
        density = factor * torch.exp(geometry[:, 0].clamp(max=LARGEST_LOG_DENSITY))
        return torch.where(inside, density, 0.0), geometry

    def direction_code(self, directions: Float[Tensor, "rays 3"]) -> Float[Tensor, "rays 16"]:
        """Harmonics of directions in the field's frame."""
        rotation = self.field_from_world[:3, :3] / self._scale
        turned = (directions.double() @ rotation.T).to(directions.dtype)
        return spherical_harmonics(turned) if self.settings.harmonics == "unit" else shifted_harmonics(turned)

    def colour(
        self, geometry: Float[Tensor, "points geometry"], direction_code: Float[Tensor, "points 16"]
    ) -> Float[Tensor, "points 3"]:
        return torch.sigmoid(self.colour_network(torch.cat([geometry, direction_code], dim=1))[:, :3])

    def _in_cube(self, p_field: Float[Tensor, "points 3"]) -> tuple[Float[Tensor, "points 3"], Bool[Tensor, "points"]]:
        """Points in the unit cube, the nearest of it where they are outside, and where the field may hold anything."""
        turned = p_field @ self.crop[:3].T
        inside = ((turned >= self.crop[3]) & (turned <= self.crop[4])).all(dim=1)
        placed = contract(p_field) if self.settings.contracted else p_field
        unit = (placed - self.cube[0]) / (self.cube[1] - self.cube[0])
        return unit.clamp(0, 1), inside & ((unit > 0) & (unit < 1)).all(dim=1)

    def _features(self, unit: Float[Tensor, "points 3"]) -> Float[Tensor, "points features"]:
        """Interpolated features of points of the unit cube, all levels side by side."""
        out = []
        starts = [0, *self.rows.cumsum(0).tolist()]
        for level, (start, end) in enumerate(pairwise(starts)):
            table, side = self.table[start:end], int(self.sides[level])
            scaled = unit * self.scales[level] + self.settings.shift
            low = scaled.floor()
            fraction = scaled - low
            if self.settings.smooth:
                fraction = fraction * fraction * (3 - 2 * fraction)
            low = low.long()
            feature = unit.new_zeros(len(unit), self.table.shape[1])
            for corner in range(8):
                offset = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2 & 1], device=unit.device)
                weight = torch.where(offset.bool(), fraction, 1 - fraction).prod(dim=1, keepdim=True)
                feature += weight * table.index_select(0, _rows_of(low + offset, side, end - start)).to(unit.dtype)
            out.append(feature)
        return torch.cat(out, dim=1)


def _rows_of(corner: Int64[Tensor, "points 3"], side: int, rows: int) -> Int64[Tensor, "points"]:
    """Rows of grid points in a level's part of the table."""
    x, y, z = corner.unbind(1)
    if side > 0:
        return (x + side * (y + side * z)) % rows
    # A hashed level's rows are a power of two.
    return ((x * PRIMES[0]) ^ (y * PRIMES[1]) ^ (z * PRIMES[2])) & (rows - 1)


def shifted_harmonics(directions: Float[Tensor, "rays 3"]) -> Float[Tensor, "rays 16"]:
    """Real harmonics up to degree 3 as nerfstudio's torch code computes them.

    It evaluates the polynomials for unit vectors at (d + 1) / 2, which is none (its issue 3463), and without the signs
    of odd orders; a field that was trained so must be asked so.
    """
    x, y, z = ((directions + 1) / 2).unbind(1)
    xx, yy, zz = x * x, y * y, z * z
    return torch.stack(
        [
            torch.full_like(x, 0.28209479177387814),
            0.4886025119029199 * y,
            0.4886025119029199 * z,
            0.4886025119029199 * x,
            1.0925484305920792 * x * y,
            1.0925484305920792 * y * z,
            0.9461746957575601 * zz - 0.31539156525252,
            1.0925484305920792 * x * z,
            0.5462742152960396 * (xx - yy),
            0.5900435899266435 * y * (3 * xx - yy),
            2.890611442640554 * x * y * z,
            0.4570457994644658 * y * (5 * zz - 1),
            0.3731763325901154 * z * (5 * zz - 3),
            0.4570457994644658 * x * (5 * zz - 1),
            1.445305721320277 * z * (xx - yy),
            0.5900435899266435 * x * (xx - 3 * yy),
        ],
        dim=1,
    )


def _network(layers: list[tuple[Tensor, Tensor]]) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    modules: list[nn.Module] = []
    for weight, bias in layers:
        linear = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0])
        linear.weight, linear.bias = nn.Parameter(weight.float()), nn.Parameter(bias.float())
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def _matrix(similarity: Similarity) -> Float64[Tensor, "3 4"]:
    return torch.cat([similarity.scale * similarity.rotation, similarity.translation[:, None]], dim=1)
