"""The inner loops in plain torch: the truth that the faster twins are tested against, on any device.

hash_encode           multi-resolution hash grid (Mueller et al. 2022, section 3)
place_samples         where along each ray to look, by a coarse density grid
resample              where to look again, by what the field said there (NeRF, section 5.2)
composite_weights     T_k alpha_k of Eq. 1
update_density_grid   what the samples saw, kept for the next rays

The space is the contracted cube [-2, 2]^3 of `sanerf.geometry.contraction`, which the hash grid's levels divide evenly.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sanerf.geometry.contraction import contract, distance_from_spacing, spacing, unspace
from sanerf.shapes import Float, Int64

PRIMES = (1, 2654435761, 805459861)


@dataclass(frozen=True)
class GridLevels:
    """The shape of a hash grid: cells along an axis for each level, and table rows a level (a power of two)."""

    resolutions: tuple[int, ...]
    entries: int

    def __post_init__(self):
        assert self.entries > 0 and self.entries & (self.entries - 1) == 0, self.entries


@dataclass(frozen=True)
class SamplingPlan:
    """How `place_samples` divides a ray.

    Distances run over [near, far] in the spacing of `contraction.spacing_from_distance` (`unbounded`) or linearly.
    `bins` coarse intervals look at the density grid; `samples` fine intervals are placed by what they say.
    `refined` intervals are then placed by what the field says in those (`resample`); only they count.
    `opacity_cap` bounds the opacity that one coarse interval may claim, since a cell's density says only that there is
    something in it, not where; `uniform` is the share of samples spread evenly, so that nothing stays unseen.
    """

    near: float
    far: float
    unbounded: bool
    bins: int
    samples: int
    opacity_cap: float = 0.1
    uniform: float = 0.2
    refined: int = 12


def _corner_rows(corner: Int64[Tensor, "points 3"], resolution: int, entries: int) -> Int64[Tensor, "points"]:
    """Table rows of grid corners: dense where the level fits into the table, hashed where it does not."""
    x, y, z = corner.unbind(-1)
    side = resolution + 1
    if side**3 <= entries:
        return x + side * (y + side * z)
    return ((x * PRIMES[0]) ^ (y * PRIMES[1]) ^ (z * PRIMES[2])) & (entries - 1)


def hash_encode(
    p_world: Float[Tensor, "points 3"], table: Float[Tensor, "levels entries channels"], levels: GridLevels
) -> Float[Tensor, "points features"]:
    """Trilinear features of contracted positions, all levels side by side; differentiable in the table."""
    out = []
    positions = (contract(p_world) + 2) / 4
    for level, resolution in enumerate(levels.resolutions):
        scaled = positions * resolution
        low = scaled.floor().clamp_(max=resolution - 1)
        fraction = scaled - low
        low = low.long()
        feature = positions.new_zeros(positions.shape[0], table.shape[2])
        for corner in range(8):
            offset = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2 & 1], device=positions.device)
            weight = torch.where(offset.bool(), fraction, 1 - fraction).prod(-1, keepdim=True)
            rows = _corner_rows(low + offset, resolution, levels.entries)
            # Not `table[level, rows]`: on the CPU its gradient's sums come in an order that changes from run to run.
            feature = feature + weight * table[level].index_select(0, rows)
        out.append(feature)
    return torch.cat(out, dim=-1)


def grid_cells(p_world: Float[Tensor, "*batch 3"], resolution: int, unbounded: bool) -> Int64[Tensor, "*batch"]:
    """Flat index of the density grid's cell at points; -1 outside of the unit cube where space is bounded."""
    cell = ((contract(p_world) + 2) * (resolution / 4)).long().clamp_(0, resolution - 1)
    flat = (cell[..., 0] * resolution + cell[..., 1]) * resolution + cell[..., 2]
    if unbounded:
        return flat
    return torch.where((p_world.abs() <= 1).all(-1), flat, -1)


def place_samples(
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    jitter: Float[Tensor, "rays"],
    density_grid: Float[Tensor, "side side side"],
    plan: SamplingPlan,
) -> Float[Tensor, "rays edges"]:
    """Increasing distances from near to far that bound the fine intervals, dense where the grid expects a surface.

    They divide the mass of the coarse intervals' weights (Eq. 1 with the grid's density) evenly. `jitter` in [0, 1)
    moves the inner edges by up to half an interval; 0.5 leaves them.
    """
    resolution = density_grid.shape[0]
    fractions = torch.linspace(0, 1, plan.bins + 1, device=origins.device, dtype=origins.dtype)
    coarse = distance_from_spacing(fractions, plan.near, plan.far, plan.unbounded)
    middle, delta = (coarse[1:] + coarse[:-1]) / 2, coarse.diff()
    p_world = origins[:, None] + middle[None, :, None] * directions[:, None]
    cells = grid_cells(p_world, resolution, plan.unbounded)
    density = torch.where(cells >= 0, density_grid.reshape(-1)[cells.clamp(min=0)], 0.0)
    optical = (density * delta).clamp(max=-torch.log(torch.tensor(1 - plan.opacity_cap)).item())
    weights = composite_weights(density=optical, deltas=torch.ones_like(optical))

    return _edges_by_mass(coarse.expand(len(origins), -1), weights, jitter, plan.samples, plan)


def resample(
    edges: Float[Tensor, "rays edges"],
    weights: Float[Tensor, "rays samples"],
    jitter: Float[Tensor, "rays"],
    plan: SamplingPlan,
) -> Float[Tensor, "rays refined_edges"]:
    """Edges of `plan.refined` intervals from the first to the last of `edges`, dense where `weights` are.

    The density grid's cells are ten pixels wide or more. Samples spread over a cell blur textures by their parallax, so
    the field itself is asked where in the cell the surface lies, before the samples that count are taken.

    `jitter` in [0, 1) moves the inner edges by up to half a refined interval; 0.5 leaves them.
    """
    return _edges_by_mass(edges, weights, jitter, plan.refined, plan)


def _edges_by_mass(
    edges: Float[Tensor, "rays edges"],
    weights: Float[Tensor, "rays samples"],
    jitter: Float[Tensor, "rays"],
    parts: int,
    plan: SamplingPlan,
) -> Float[Tensor, "rays new_edges"]:
    """Edges of `parts` intervals that divide each ray's mass evenly, from the first to the last of `edges`.

    The mass is the weights widened to their neighbours, for a surface may lie anywhere between two samples, mixed with
    a share of `plan.uniform` spread evenly over the intervals. Inside an interval it is even in `spacing`.
    """
    bins = weights.shape[1]
    padded = torch.nn.functional.pad(weights, (1, 1))
    widened = torch.maximum(torch.maximum(padded[:, :-2], padded[:, 2:]), weights)
    total = widened.sum(-1, keepdim=True)
    mass = (1 - plan.uniform) * widened / total.clamp(min=1e-8) + plan.uniform / bins
    mass = torch.where(total > 1e-8, mass, torch.full_like(mass, 1 / bins))
    cdf = torch.nn.functional.pad(mass.cumsum(-1), (1, 0))
    cdf = cdf / cdf[:, -1:]

    inner = torch.arange(1, parts, device=edges.device, dtype=edges.dtype)
    targets = ((inner[None] + jitter[:, None] - 0.5) / parts).contiguous()
    right = torch.searchsorted(cdf, targets, right=True).clamp(1, bins)
    below, above = cdf.gather(1, right - 1), cdf.gather(1, right)
    inside = ((targets - below) / (above - below).clamp(min=1e-12)).clamp(0, 1)
    spaced = spacing(edges, plan.unbounded)
    low, high = spaced.gather(1, right - 1), spaced.gather(1, right)
    inner_edges = unspace(low + inside * (high - low), plan.unbounded)
    return torch.cat([edges[:, :1], inner_edges, edges[:, -1:]], dim=-1)


def composite_weights(
    density: Float[Tensor, "rays samples"], deltas: Float[Tensor, "rays samples"]
) -> Float[Tensor, "rays samples"]:
    """`T(t_k) * alpha(sigma(t_k) delta_k)` of Eq. 1; differentiable in the density."""
    optical = density * deltas
    # Shifted, not `cumsum - optical`: behind the minus a very dense sample would swallow all that lies before it.
    before = torch.nn.functional.pad(optical.cumsum(-1)[..., :-1], (1, 0))
    transmittance = torch.exp(-before)
    return transmittance * (1 - torch.exp(-optical))


def update_density_grid(
    density_grid: Float[Tensor, "side side side"],
    p_world: Float[Tensor, "points 3"],
    density: Float[Tensor, "points"],
    decay: float,
    unbounded: bool,
) -> None:
    """In place: cells that hold points become max(decay * old, the largest density seen in them); others stay."""
    cells = grid_cells(p_world, density_grid.shape[0], unbounded)
    cells, density = cells[cells >= 0], density[cells >= 0]
    flat = density_grid.reshape(-1)
    flat[cells] = flat[cells] * decay
    flat.scatter_reduce_(0, cells, density, reduce="amax")
