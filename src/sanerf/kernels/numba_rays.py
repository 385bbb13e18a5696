"""Sample placement, compositing and the density grid for the CPU in numba; twins of `reference`, tested against it.

`no_type_check` keeps the tests' jaxtyping hook away from what numba compiles, which it would wrap under `njit`.
"""

import math
import os
from pathlib import Path
from typing import no_type_check

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from sanerf.geometry.contraction import distance_from_spacing
from sanerf.kernels.reference import SamplingPlan
from sanerf.shapes import Float

_CHUNK = 64


def is_compiled() -> bool:
    """Whether training finds its kernels compiled, by this process or in a file that numba keeps, of this source."""
    folder, written = _weights_backward.stats.cache_path, os.stat(__file__).st_mtime
    files = f"{Path(__file__).stem}.{_weights_backward.__name__}-*.nbi"
    kept = [] if folder is None else [path.stat().st_mtime for path in Path(folder).glob(files)]
    return bool(_weights_backward.signatures) or any(when >= written for when in kept)


@njit(inline="always")
@no_type_check
def _grid_cell(x, y, z, side, unbounded):
    """Flat cell of a world point in the contracted grid, -1 outside of a bounded scene."""
    one, two = np.float32(1), np.float32(2)
    norm = max(abs(x), abs(y), abs(z), one)
    scale = (two - one / norm) / norm
    cells, last = np.float32(side) * np.float32(0.25), np.int32(side - 1)
    i = min(max(np.int32((x * scale + two) * cells), np.int32(0)), last)
    j = min(max(np.int32((y * scale + two) * cells), np.int32(0)), last)
    k = min(max(np.int32((z * scale + two) * cells), np.int32(0)), last)
    flat = (i * np.int32(side) + j) * np.int32(side) + k
    return flat if unbounded or norm <= one else np.int32(-1)


@njit(inline="always")
@no_type_check
def _spacing(distance, unbounded):
    """`contraction.spacing`."""
    if not unbounded:
        return distance
    return distance / 2 if distance < 1 else 1 - 0.5 / distance


@njit(inline="always")
@no_type_check
def _unspace(spaced, unbounded):
    """`contraction.unspace`."""
    if not unbounded:
        return spaced
    return 2 * spaced if spaced < 0.5 else 1 / (2 * max(1 - spaced, 1e-6))


@njit(inline="always")
@no_type_check
def _edges_by_mass(edges, padded, jitter, uniform, unbounded, out):
    """`reference._edges_by_mass` of one ray; `padded` are its weights between two zeros."""
    bins, parts = edges.shape[0] - 1, out.shape[0] - 1
    total = 0.0
    for b in range(bins):
        total += max(padded[b], padded[b + 1], padded[b + 2])
    scale = (1 - uniform) / total if total > 1e-8 else 0.0
    flat = uniform / bins if total > 1e-8 else 1.0 / bins
    out[0], out[parts] = edges[0], edges[bins]
    b, below = 0, 0.0
    mass = scale * max(padded[0], padded[1], padded[2]) + flat
    for k in range(1, parts):
        target = (k + jitter - 0.5) / parts
        while below + mass <= target and b < bins - 1:
            below += mass
            b += 1
            mass = scale * max(padded[b], padded[b + 1], padded[b + 2]) + flat
        inside = min((target - below) / max(mass, 1e-12), 1.0)
        low, high = _spacing(edges[b], unbounded), _spacing(edges[b + 1], unbounded)
        out[k] = _unspace(low + inside * (high - low), unbounded)


@njit(inline="always")
@no_type_check
def _fading(x):
    """exp(-x), for small x by its series to 1e-8."""
    if x > 0.12:
        return math.exp(-x)
    return 1 - x * (1 - x * (1 / 2 - x * (1 / 6 - x * (1 / 24 - x * (1 / 120 - x / 720)))))


@njit(parallel=True, fastmath=True, cache=True)
@no_type_check
def _place(origins, directions, jitter, grid, side, optical_cap, uniform, unbounded, coarse, out):
    rays, bins = origins.shape[0], coarse.shape[0] - 1
    middles, lengths = (coarse[:-1] + coarse[1:]) / np.float32(2), coarse[1:] - coarse[:-1]
    for chunk in prange((rays + _CHUNK - 1) // _CHUNK):
        weights = np.zeros(bins + 2, np.float32)
        cells = np.empty(bins, np.int32)
        optical = np.empty(bins, np.float32)
        for ray in range(chunk * _CHUNK, min(rays, (chunk + 1) * _CHUNK)):
            ox, oy, oz = origins[ray, 0], origins[ray, 1], origins[ray, 2]
            dx, dy, dz = directions[ray, 0], directions[ray, 1], directions[ray, 2]
            # Arithmetic, memory and the ray's recursion apart: the first is vectorised, the second runs ahead.
            for b in range(bins):
                t = middles[b]
                cells[b] = _grid_cell(ox + t * dx, oy + t * dy, oz + t * dz, side, unbounded)
            for b in range(bins):
                cell = cells[b]
                optical[b] = grid[cell] * lengths[b] if cell >= 0 else np.float32(0)
            transmittance = 1.0
            for b in range(bins):
                weights[b + 1] = 0
                if transmittance > 1e-4 and optical[b] > 1e-6:
                    through = _fading(min(optical[b], optical_cap))
                    weights[b + 1] = transmittance * (1 - through)
                    transmittance *= through
            _edges_by_mass(coarse, weights, jitter[ray], uniform, unbounded, out[ray])


def place_samples(
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    jitter: Float[Tensor, "rays"],
    density_grid: Float[Tensor, "side side side"],
    plan: SamplingPlan,
) -> Float[Tensor, "rays edges"]:
    """See `reference.place_samples`; weights that follow a transmittance below 1e-4 are taken as zero."""
    fractions = torch.linspace(0, 1, plan.bins + 1)
    coarse = distance_from_spacing(fractions, plan.near, plan.far, plan.unbounded).numpy()
    out = torch.empty(origins.shape[0], plan.samples + 1)
    _place(
        origins.contiguous().numpy(),
        directions.contiguous().numpy(),
        jitter.numpy(),
        density_grid.reshape(-1).numpy(),
        density_grid.shape[0],
        -math.log(1 - plan.opacity_cap),
        plan.uniform,
        plan.unbounded,
        coarse,
        out.numpy(),
    )
    return out


@njit(parallel=True, fastmath=True, cache=True)
@no_type_check
def _resample(edges, weights, jitter, uniform, unbounded, out):
    rays, bins = weights.shape
    for chunk in prange((rays + _CHUNK - 1) // _CHUNK):
        padded = np.zeros(bins + 2, np.float32)
        for ray in range(chunk * _CHUNK, min(rays, (chunk + 1) * _CHUNK)):
            for b in range(bins):
                padded[b + 1] = weights[ray, b]
            _edges_by_mass(edges[ray], padded, jitter[ray], uniform, unbounded, out[ray])


def resample(
    edges: Float[Tensor, "rays edges"],
    weights: Float[Tensor, "rays samples"],
    jitter: Float[Tensor, "rays"],
    plan: SamplingPlan,
) -> Float[Tensor, "rays refined_edges"]:
    """See `reference.resample`."""
    out = torch.empty(edges.shape[0], plan.refined + 1)
    _resample(
        edges.contiguous().numpy(),
        weights.contiguous().numpy(),
        jitter.numpy(),
        plan.uniform,
        plan.unbounded,
        out.numpy(),
    )
    return out


@njit(parallel=True, fastmath=True, cache=True)
@no_type_check
def _weights_forward(density, deltas, out):
    for ray in prange(density.shape[0]):
        transmittance = 1.0
        for k in range(density.shape[1]):
            through = math.exp(-density[ray, k] * deltas[ray, k])
            out[ray, k] = transmittance * (1 - through)
            transmittance *= through


@njit(parallel=True, fastmath=True, cache=True)
@no_type_check
def _weights_backward(density, deltas, weights, grad_weights, out):
    """d loss / d sigma_k = delta_k (g_k T_{k+1} - sum over later j of g_j w_j)."""
    for ray in prange(density.shape[0]):
        behind = 0.0
        transmittance = 1.0
        for k in range(density.shape[1]):
            transmittance -= weights[ray, k]
        for k in range(density.shape[1] - 1, -1, -1):
            after = max(transmittance, 0.0)
            out[ray, k] = deltas[ray, k] * (grad_weights[ray, k] * after - behind)
            behind += grad_weights[ray, k] * weights[ray, k]
            transmittance += weights[ray, k]


class _CompositeWeights(torch.autograd.Function):
    @staticmethod
    def forward(ctx, density, deltas):
        out = torch.empty_like(density)
        _weights_forward(density.detach().numpy(), deltas.numpy(), out.numpy())
        ctx.save_for_backward(density, deltas, out)
        return out

    @staticmethod
    def backward(ctx, *grad_outputs):
        density, deltas, weights = ctx.saved_tensors
        out = torch.empty_like(density)
        grad = grad_outputs[0].contiguous().numpy()
        _weights_backward(density.detach().numpy(), deltas.numpy(), weights.numpy(), grad, out.numpy())
        return out, None


def composite_weights(
    density: Float[Tensor, "rays samples"], deltas: Float[Tensor, "rays samples"]
) -> Float[Tensor, "rays samples"]:
    """See `reference.composite_weights`."""
    return _CompositeWeights.apply(density.contiguous(), deltas.detach().contiguous())  # pyright: ignore[reportReturnType]


@njit(fastmath=True, cache=True)
@no_type_check
def _update_grid(grid, side, p_world, density, decay, unbounded, seen):
    points = p_world.shape[0]
    for point in range(points):
        cell = _grid_cell(p_world[point, 0], p_world[point, 1], p_world[point, 2], side, unbounded)
        seen[point] = cell
        if cell >= 0 and grid[cell] > 0:
            grid[cell] = -grid[cell] * decay
    for point in range(points):
        cell = seen[point]
        if cell >= 0:
            grid[cell] = max(abs(grid[cell]), density[point])


def update_density_grid(
    density_grid: Float[Tensor, "side side side"],
    p_world: Float[Tensor, "points 3"],
    density: Float[Tensor, "points"],
    decay: float,
    unbounded: bool,
) -> None:
    """See `reference.update_density_grid`; one thread, since neighbouring points share cells."""
    seen = np.empty(p_world.shape[0], np.int64)
    _update_grid(
        density_grid.reshape(-1).numpy(),
        density_grid.shape[0],
        p_world.contiguous().numpy(),
        density.detach().contiguous().numpy(),
        decay,
        unbounded,
        seen,
    )
