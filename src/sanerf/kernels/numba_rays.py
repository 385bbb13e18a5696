"""Sample placement, compositing and the density grid for the CPU in numba; twins of `reference`, tested against it.

`no_type_check` keeps the tests' jaxtyping hook away from what numba compiles, which it would wrap under `njit`.
"""

import math
from typing import no_type_check

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from sanerf.geometry.contraction import distance_from_spacing, finite_far, spacing_from_distance
from sanerf.kernels.reference import SamplingPlan
from sanerf.shapes import Float

_CHUNK = 64


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
def _distance(fraction, low, high, near, far, unbounded):
    if not unbounded:
        return near + fraction * (far - near)
    s = low + fraction * (high - low)
    if s < 0.5:
        return 2 * s
    return 1 / (2 * max(1 - s, 1e-6))


@njit(parallel=True, fastmath=True, cache=True)
@no_type_check
def _place(origins, directions, jitter, grid, side, settings, unbounded, coarse, out):
    near, far, low, high, optical_cap, uniform = settings
    rays, bins, samples = origins.shape[0], coarse.shape[0] - 1, out.shape[1] - 1
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
                    through = math.exp(-min(optical[b], optical_cap))
                    weights[b + 1] = transmittance * (1 - through)
                    transmittance *= through
            total = 0.0
            for b in range(1, bins + 1):
                total += max(weights[b - 1], weights[b], weights[b + 1])
            scale = (1 - uniform) / total if total > 1e-8 else 0.0
            flat = uniform / bins if total > 1e-8 else 1.0 / bins
            out[ray, 0] = _distance(0.0, low, high, near, far, unbounded)
            out[ray, samples] = _distance(1.0, low, high, near, far, unbounded)
            b, below = 0, 0.0
            mass = scale * max(weights[0], weights[1], weights[2]) + flat
            for k in range(1, samples):
                target = (k + jitter[ray] - 0.5) / samples
                while below + mass <= target and b < bins - 1:
                    below += mass
                    b += 1
                    mass = scale * max(weights[b], weights[b + 1], weights[b + 2]) + flat
                inside = min((target - below) / mass, 1.0)
                out[ray, k] = _distance((b + inside) / bins, low, high, near, far, unbounded)


def place_samples(
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    jitter: Float[Tensor, "rays"],
    density_grid: Float[Tensor, "side side side"],
    plan: SamplingPlan,
) -> Float[Tensor, "rays edges"]:
    """See `reference.place_samples`; weights that follow a transmittance below 1e-4 are taken as zero."""
    far = finite_far(plan.far)
    fractions = torch.linspace(0, 1, plan.bins + 1)
    coarse = distance_from_spacing(fractions, plan.near, far, plan.unbounded).numpy()
    settings = np.array(
        [
            plan.near,
            far,
            spacing_from_distance(plan.near),
            spacing_from_distance(far),
            -math.log(1 - plan.opacity_cap),
            plan.uniform,
        ]
    )
    out = torch.empty(origins.shape[0], plan.samples + 1)
    _place(
        origins.contiguous().numpy(),
        directions.contiguous().numpy(),
        jitter.numpy(),
        density_grid.reshape(-1).numpy(),
        density_grid.shape[0],
        settings,
        plan.unbounded,
        coarse,
        out.numpy(),
    )
    return out


@njit(inline="always")
@no_type_check
def _spacing(distance, unbounded):
    """`contraction.spacing`."""
    if not unbounded:
        return distance
    return distance / 2 if distance < 1 else 1 - 0.5 / distance


@njit(parallel=True, fastmath=True, cache=True)
@no_type_check
def _resample(edges, weights, jitter, uniform, unbounded, out):
    rays, bins, parts = weights.shape[0], weights.shape[1], out.shape[1] - 1
    for chunk in prange((rays + _CHUNK - 1) // _CHUNK):
        padded = np.zeros(bins + 2, np.float32)
        for ray in range(chunk * _CHUNK, min(rays, (chunk + 1) * _CHUNK)):
            for b in range(bins):
                padded[b + 1] = weights[ray, b]
            total = 0.0
            for b in range(bins):
                total += max(padded[b], padded[b + 1], padded[b + 2])
            scale = (1 - uniform) / total if total > 1e-8 else 0.0
            flat = uniform / bins if total > 1e-8 else 1.0 / bins
            out[ray, 0], out[ray, parts] = edges[ray, 0], edges[ray, bins]
            b, below = 0, 0.0
            mass = scale * max(padded[0], padded[1], padded[2]) + flat
            low, high = _spacing(edges[ray, 0], unbounded), _spacing(edges[ray, 1], unbounded)
            for k in range(1, parts):
                target = (k + jitter[ray] - 0.5) / parts
                while below + mass <= target and b < bins - 1:
                    below += mass
                    b += 1
                    mass = scale * max(padded[b], padded[b + 1], padded[b + 2]) + flat
                    low, high = high, _spacing(edges[ray, b + 1], unbounded)
                inside = min((target - below) / max(mass, 1e-12), 1.0)
                out[ray, k] = _distance(inside, low, high, low, high, unbounded)


def resample(
    edges: Float[Tensor, "rays edges"],
    weights: Float[Tensor, "rays samples"],
    jitter: Float[Tensor, "rays"],
    plan: SamplingPlan,
) -> Float[Tensor, "rays refined_edges"]:
    """See `reference.resample`."""
    out = torch.empty(edges.shape[0], plan.refined + 1)
    arrays = [value.contiguous().numpy() for value in (edges, weights, jitter)]
    _resample(*arrays, plan.uniform, plan.unbounded, out.numpy())
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
