"""Sample placement, compositing and the density grid for CUDA in Triton; twins of `reference`, tested against it.

A program holds a few rays, with all of their coarse intervals or samples side by side, padded to a power of two.
Multiplications and additions are never fused where a cell of the grid is looked up, so that points fall into the same
cells as in the reference.

`no_type_check` keeps the tests' jaxtyping hook away from what Triton compiles.
"""
# pyright: reportCallIssue=false
# A kernel is launched with options that its signature does not have.

import math
from functools import cache
from typing import no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from sanerf.geometry.contraction import distance_from_spacing
from sanerf.kernels.reference import SamplingPlan
from sanerf.shapes import Float

_RAYS = 2
"""Rays a program of one warp places samples on."""
_RESAMPLED = 16
"""Rays a program of one warp resamples."""
_VALUES = 512
"""Samples a program composites."""
_POINTS = 256
"""Points a program enters into the density grid."""


@triton.jit
@no_type_check
def _grid_cell(x, y, z, side, unbounded: tl.constexpr):
    """Flat cell of a world point in the contracted grid, -1 outside of a bounded scene."""
    largest = tl.maximum(tl.maximum(tl.abs(x), tl.abs(y)), tl.abs(z))
    norm = tl.maximum(largest, 1.0)
    scale = tl.div_rn(2 - tl.div_rn(1.0, norm), norm)
    cells = side * 0.25
    i = tl.minimum(tl.maximum(((x * scale + 2) * cells).to(tl.int32), 0), side - 1)
    j = tl.minimum(tl.maximum(((y * scale + 2) * cells).to(tl.int32), 0), side - 1)
    k = tl.minimum(tl.maximum(((z * scale + 2) * cells).to(tl.int32), 0), side - 1)
    flat = (i * side + j) * side + k
    if not unbounded:
        flat = tl.where(largest <= 1, flat, -1)
    return flat


@triton.jit
@no_type_check
def _optical(origins, directions, grid, coarse, ray, of_ray, interval, bins, side, cap, unbounded: tl.constexpr):
    """Capped optical depth of each ray's coarse intervals, zero for intervals that do not exist."""
    there = (interval >= 0) & (interval < bins)
    start = tl.load(coarse + interval, mask=there, other=0.0)
    end = tl.load(coarse + interval + 1, mask=there, other=0.0)
    t = ((end + start) * 0.5)[None, :]
    x = tl.load(origins + ray * 3, mask=of_ray) + t * tl.load(directions + ray * 3, mask=of_ray)
    y = tl.load(origins + ray * 3 + 1, mask=of_ray) + t * tl.load(directions + ray * 3 + 1, mask=of_ray)
    z = tl.load(origins + ray * 3 + 2, mask=of_ray) + t * tl.load(directions + ray * 3 + 2, mask=of_ray)
    cell = _grid_cell(x, y, z, side, unbounded)
    density = tl.load(grid + cell, mask=of_ray & there[None, :] & (cell >= 0), other=0.0)
    return tl.minimum(density * (end - start)[None, :], cap)


@triton.jit
@no_type_check
def _spacing(distance, unbounded: tl.constexpr):
    """`contraction.spacing`."""
    if not unbounded:
        return distance
    else:
        return tl.where(distance < 1, distance / 2, 1 - 0.5 / tl.maximum(distance, 1e-6))


@triton.jit
@no_type_check
def _unspace(spaced, unbounded: tl.constexpr):
    """`contraction.unspace`."""
    if not unbounded:
        return spaced
    else:
        return tl.where(spaced < 0.5, 2 * spaced, 1 / (2 * tl.maximum(1 - spaced, 1e-6)))


@triton.jit
@no_type_check
def _cumulated(widened, used, uniform, bins):
    """The share of a ray's mass up to the end of each interval; see `reference._quantiles`."""
    total = tl.sum(widened, axis=1, keep_dims=True)
    mass = (1 - uniform) * widened / tl.maximum(total, 1e-8) + uniform / bins
    mass = tl.where(used, tl.where(total > 1e-8, mass, 1.0 / bins), 0.0)
    cdf = tl.cumsum(mass, axis=1)
    return cdf / tl.max(cdf, axis=1, keep_dims=True)


@triton.jit
@no_type_check
def _quantile(cdf, used, target, bins):
    """The interval where a ray's cumulated mass reaches `target`, and where in it, 0..1."""
    passed = used & (cdf <= target)
    index = tl.minimum(tl.sum(passed.to(tl.int32), axis=1, keep_dims=True), bins - 1)
    low_end = tl.max(tl.where(passed, cdf, 0.0), axis=1, keep_dims=True)
    high_end = tl.min(tl.where(used & (cdf > target), cdf, 1.0), axis=1, keep_dims=True)
    return index, tl.minimum((target - low_end) / tl.maximum(high_end - low_end, 1e-12), 1.0)


@triton.jit
@no_type_check
def _store_edges(edge, cdf, used, jitter, out, ray, of_ray, bins, parts: tl.constexpr, unbounded: tl.constexpr):
    """The edges that divide each ray's mass evenly; see `reference._edges_by_mass`. `edge` points at each ray's own."""
    new = out + ray * (parts + 1)
    tl.store(new, tl.load(edge, mask=of_ray), mask=of_ray)
    tl.store(new + parts, tl.load(edge + bins, mask=of_ray), mask=of_ray)
    shift = tl.load(jitter + ray, mask=of_ray, other=0.5) - 0.5
    for k in range(1, parts):
        index, inside = _quantile(cdf, used, (k + shift) / parts, bins)
        low = _spacing(tl.load(edge + index, mask=of_ray, other=0.0), unbounded)
        high = _spacing(tl.load(edge + index + 1, mask=of_ray, other=0.0), unbounded)
        tl.store(new + k, _unspace(low + inside * (high - low), unbounded), mask=of_ray)


@triton.jit
@no_type_check
def _place(
    origins,
    directions,
    jitter,
    grid,
    coarse,
    out,
    rays,
    side,
    cap,
    uniform,
    bins: tl.constexpr,
    samples: tl.constexpr,
    unbounded: tl.constexpr,
    width: tl.constexpr,
    block: tl.constexpr,
):
    ray = (tl.program_id(0) * block + tl.arange(0, block))[:, None]
    of_ray = ray < rays
    b = tl.arange(0, width)
    used = (b < bins)[None, :]
    # A program cannot shift what it holds, so neighbours are looked up like the interval itself.
    own = _optical(origins, directions, grid, coarse, ray, of_ray, b, bins, side, cap, unbounded)
    before = _optical(origins, directions, grid, coarse, ray, of_ray, b - 1, bins, side, cap, unbounded)
    after = _optical(origins, directions, grid, coarse, ray, of_ray, b + 1, bins, side, cap, unbounded)
    through = tl.cumsum(own, axis=1)
    # The cap keeps this difference exact enough, which in `composite_weights` it would not be.
    in_front = through - own
    weight = tl.exp(-in_front) * (1 - tl.exp(-own))
    left = tl.exp(before - in_front) * (1 - tl.exp(-before))
    right = tl.exp(-through) * (1 - tl.exp(-after))
    widened = tl.where(used, tl.maximum(tl.maximum(left, right), weight), 0.0)
    cdf = _cumulated(widened, used, uniform, bins)
    # The same coarse intervals for all rays.
    _store_edges(coarse + 0 * ray, cdf, used, jitter, out, ray, of_ray, bins, samples, unbounded)


@cache
def _coarse_edges(near: float, far: float, unbounded: bool, bins: int, device: torch.device) -> Tensor:
    """Distances that bound the coarse intervals, made once for each range (the plan's other values change by step)."""
    fractions = torch.linspace(0, 1, bins + 1, device=device)
    return distance_from_spacing(fractions, near, far, unbounded)


def place_samples(
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    jitter: Float[Tensor, "rays"],
    density_grid: Float[Tensor, "side side side"],
    plan: SamplingPlan,
) -> Float[Tensor, "rays edges"]:
    """See `reference.place_samples`."""
    out = origins.new_empty(origins.shape[0], plan.samples + 1)
    if len(origins):
        _place[(triton.cdiv(origins.shape[0], _RAYS),)](
            origins.contiguous(),
            directions.contiguous(),
            jitter.contiguous(),
            density_grid.contiguous(),
            _coarse_edges(plan.near, plan.far, plan.unbounded, plan.bins, origins.device),
            out,
            origins.shape[0],
            density_grid.shape[0],
            -math.log(max(1 - plan.opacity_cap, 1e-30)),
            float(plan.uniform),
            plan.bins,
            plan.samples,
            plan.unbounded,
            triton.next_power_of_2(plan.bins),
            _RAYS,
            num_warps=1,
            enable_fp_fusion=False,
        )
    return out


@triton.jit
@no_type_check
def _resample(
    edges,
    weights,
    jitter,
    out,
    rays,
    bins,
    uniform,
    parts: tl.constexpr,
    unbounded: tl.constexpr,
    width: tl.constexpr,
    block: tl.constexpr,
):
    ray = (tl.program_id(0) * block + tl.arange(0, block))[:, None]
    of_ray = ray < rays
    b = tl.arange(0, width)[None, :]
    at, used = weights + ray * bins + b, of_ray & (b < bins)
    left = tl.load(at - 1, mask=used & (b > 0), other=0.0)
    right = tl.load(at + 1, mask=used & (b < bins - 1), other=0.0)
    widened = tl.maximum(tl.maximum(left, right), tl.load(at, mask=used, other=0.0))
    cdf = _cumulated(widened, used, uniform, bins)
    _store_edges(edges + ray * (bins + 1), cdf, used, jitter, out, ray, of_ray, bins, parts, unbounded)


def resample(
    edges: Float[Tensor, "rays edges"],
    weights: Float[Tensor, "rays samples"],
    jitter: Float[Tensor, "rays"],
    plan: SamplingPlan,
) -> Float[Tensor, "rays refined_edges"]:
    """See `reference.resample`."""
    rays, bins = weights.shape
    out = edges.new_empty(rays, plan.refined + 1)
    if rays:
        _resample[(triton.cdiv(rays, _RESAMPLED),)](
            edges.contiguous(),
            weights.contiguous(),
            jitter.contiguous(),
            out,
            rays,
            bins,
            float(plan.uniform),
            plan.refined,
            plan.unbounded,
            triton.next_power_of_2(bins),
            _RESAMPLED,
            num_warps=1,
        )
    return out


@triton.jit
@no_type_check
def _weights_forward(density, deltas, out, rays, samples, width: tl.constexpr, block: tl.constexpr):
    ray = (tl.program_id(0).to(tl.int64) * block + tl.arange(0, block))[:, None]
    k = tl.arange(0, width)[None, :]
    mask = (ray < rays) & (k < samples)
    at = ray * samples + k
    optical = tl.load(density + at, mask=mask, other=0.0) * tl.load(deltas + at, mask=mask, other=0.0)
    # What lies in front is summed without the sample itself: see the reference.
    shifted = mask & (k > 0)
    previous = tl.load(density + at - 1, mask=shifted, other=0.0) * tl.load(deltas + at - 1, mask=shifted, other=0.0)
    tl.store(out + at, tl.exp(-tl.cumsum(previous, axis=1)) * (1 - tl.exp(-optical)), mask=mask)


@triton.jit
@no_type_check
def _weights_backward(
    density, deltas, weights, grad_weights, out, rays, samples, width: tl.constexpr, block: tl.constexpr
):
    """d loss / d sigma_k = delta_k (g_k T_{k+1} - sum over later j of g_j w_j)."""
    ray = (tl.program_id(0).to(tl.int64) * block + tl.arange(0, block))[:, None]
    k = tl.arange(0, width)[None, :]
    mask = (ray < rays) & (k < samples)
    at = ray * samples + k
    delta = tl.load(deltas + at, mask=mask, other=0.0)
    transmittance = tl.exp(-tl.cumsum(tl.load(density + at, mask=mask, other=0.0) * delta, axis=1))
    later = (ray < rays) & (k < samples - 1)
    next_pull = tl.load(grad_weights + at + 1, mask=later, other=0.0) * tl.load(weights + at + 1, mask=later, other=0.0)
    behind = tl.cumsum(next_pull, axis=1, reverse=True)
    pull = tl.load(grad_weights + at, mask=mask, other=0.0)
    tl.store(out + at, delta * (pull * transmittance - behind), mask=mask)


class _CompositeWeights(torch.autograd.Function):
    @staticmethod
    def forward(ctx, density, deltas):
        out = torch.empty_like(density)
        if density.numel():
            grid, width, block = _tiles(*density.shape)
            _weights_forward[grid](density, deltas, out, *density.shape, width, block, enable_fp_fusion=True)
        ctx.save_for_backward(density, deltas, out)
        return out

    @staticmethod
    def backward(ctx, *grad_outputs):
        density, deltas, weights = ctx.saved_tensors
        out = torch.empty_like(density)
        if density.numel():
            grid, width, block = _tiles(*density.shape)
            grad = grad_outputs[0].contiguous()
            shape = (*density.shape, width, block)
            _weights_backward[grid](density, deltas, weights, grad, out, *shape, enable_fp_fusion=True)
        return out, None


def _tiles(rays: int, samples: int) -> tuple[tuple[int], int, int]:
    """Launch grid, padded samples and rays a program."""
    width = 1 << (samples - 1).bit_length()
    block = max(1, _VALUES // width)
    return (-(-rays // block),), width, block


def composite_weights(
    density: Float[Tensor, "rays samples"], deltas: Float[Tensor, "rays samples"]
) -> Float[Tensor, "rays samples"]:
    """See `reference.composite_weights`."""
    return _CompositeWeights.apply(density.contiguous(), deltas.detach().contiguous())  # pyright: ignore[reportReturnType]


@triton.jit
@no_type_check
def _cells_of(p_world, point, valid, side, unbounded: tl.constexpr):
    x = tl.load(p_world + point * 3, mask=valid, other=0.0)
    y = tl.load(p_world + point * 3 + 1, mask=valid, other=0.0)
    z = tl.load(p_world + point * 3 + 2, mask=valid, other=0.0)
    return _grid_cell(x, y, z, side, unbounded)


@triton.jit
@no_type_check
def _mark(grid, side, p_world, points, decay, unbounded: tl.constexpr, block: tl.constexpr):
    """Cells that hold points become -decay * old. Programs that share a cell write the same, or find it done."""
    point = tl.program_id(0) * block + tl.arange(0, block)
    valid = point < points
    cell = _cells_of(p_world, point, valid, side, unbounded)
    valid = valid & (cell >= 0)
    old = tl.load(grid + cell, mask=valid, other=0.0)
    tl.store(grid + cell, -old * decay, mask=valid & (old > 0))


@triton.jit
@no_type_check
def _raise(grid, side, p_world, density, points, unbounded: tl.constexpr, block: tl.constexpr):
    """Marked cells become the largest of what the mark says and of the densities seen in them.

    Whatever a program finds in a cell, the mark or another program's result, is at least the mark without its sign.
    Floats that are not negative are ordered as their bits are, and integers have an atomic maximum.
    """
    point = tl.program_id(0) * block + tl.arange(0, block)
    valid = point < points
    cell = _cells_of(p_world, point, valid, side, unbounded)
    valid = valid & (cell >= 0)
    found = tl.abs(tl.load(grid + cell, mask=valid, other=0.0))
    seen = tl.load(density + point, mask=valid, other=0.0)
    at = (grid + cell).to(tl.pointer_type(tl.int32), bitcast=True)
    tl.atomic_max(at, tl.maximum(found, seen).to(tl.int32, bitcast=True), mask=valid, sem="relaxed")


def update_density_grid(
    density_grid: Float[Tensor, "side side side"],
    p_world: Float[Tensor, "points 3"],
    density: Float[Tensor, "points"],
    decay: float,
    unbounded: bool,
) -> None:
    """See `reference.update_density_grid`; the grid's values are not negative. The same from run to run."""
    assert density_grid.is_contiguous(), density_grid.stride()
    p_world, density, side, points = (
        p_world.contiguous(),
        density.detach().contiguous(),
        len(density_grid),
        len(p_world),
    )
    if points:
        blocks = (triton.cdiv(points, _POINTS),)
        _mark[blocks](density_grid, side, p_world, points, float(decay), unbounded, _POINTS, enable_fp_fusion=False)
        _raise[blocks](density_grid, side, p_world, density, points, unbounded, _POINTS, enable_fp_fusion=False)
