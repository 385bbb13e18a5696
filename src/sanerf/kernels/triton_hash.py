"""The hash grid for CUDA in Triton; same signature and values as `reference.hash_encode`, float32.

One program a block of points and a level, all blocks of a level before the next one's: while a level's table (2 MB at
2^18 rows of two floats) is read at random, the GPU's cache holds it. Features are laid out level after level, so what
comes out is a transposed view.

The gradient is gathered by atomic additions in whatever order the GPU takes them, so its sums differ in their last bits
from run to run; the torch and numba kernels on the CPU repeat bit for bit. Coarse levels have few rows, and additions
to one row wait for each other. Counted on 2048 rays of the trained bundled scene, the busiest row takes 4,106 of its
level's 196,608 additions, 0.2 % of those of all levels: too few to be worth copies of the coarse levels, which would
have to be cleared and summed.

`no_type_check` keeps the tests' jaxtyping hook away from what Triton compiles.
"""
# pyright: reportCallIssue=false
# A kernel is launched with options that its signature does not have.

from functools import cache
from typing import no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from sanerf.kernels.reference import PRIMES, GridLevels
from sanerf.shapes import Float

_BLOCK = 256
"""Points a program."""
_PRIME_Y, _PRIME_Z = tl.constexpr(PRIMES[1]), tl.constexpr(PRIMES[2])


@triton.jit
@no_type_check
def _lowest_corner(p_world, point, valid, axis: tl.constexpr, scale, resolution):
    """Along one axis: the cell that holds each point, and the point's position in it, 0..1."""
    contracted = tl.load(p_world + point * 3 + axis, mask=valid, other=0.0) * scale
    scaled = (contracted + 2) * 0.25 * resolution
    cell = tl.minimum(scaled.to(tl.int32), resolution - 1)
    return cell.to(tl.uint32), scaled - cell


@triton.jit
@no_type_check
def _contraction(p_world, point, valid):
    """What contraction multiplies each point with (geometry.contraction)."""
    x = tl.abs(tl.load(p_world + point * 3, mask=valid, other=0.0))
    y = tl.abs(tl.load(p_world + point * 3 + 1, mask=valid, other=0.0))
    z = tl.abs(tl.load(p_world + point * 3 + 2, mask=valid, other=0.0))
    norm = tl.maximum(tl.maximum(tl.maximum(x, y), z), 1.0)
    return tl.div_rn(2 - tl.div_rn(1.0, norm), norm)


@triton.jit
@no_type_check
def _corner(x, y, z, fx, fy, fz, corner: tl.constexpr, resolution, entries):
    """Table row and weight of one of the eight corners, x fastest; 32-bit products wrap as the hash wants them."""
    side = (resolution + 1).to(tl.uint32)
    cx, cy, cz = x + (corner & 1), y + (corner >> 1 & 1), z + (corner >> 2)
    dense = cx + side * (cy + side * cz)
    hashed = (cx ^ (cy * _PRIME_Y) ^ (cz * _PRIME_Z)) & (entries - 1)
    corners = (resolution + 1).to(tl.int64) * (resolution + 1) * (resolution + 1)
    row = tl.where(corners <= entries, dense, hashed)
    weight = fx if corner & 1 else 1 - fx
    weight *= fy if corner >> 1 & 1 else 1 - fy
    weight *= fz if corner >> 2 else 1 - fz
    return row.to(tl.int64), weight


@triton.jit
@no_type_check
def _forward(
    p_world,
    table,
    resolutions,
    out,
    points,
    entries,
    channels: tl.constexpr,
    width: tl.constexpr,
    block: tl.constexpr,
):
    level = tl.program_id(1).to(tl.int64)
    point = tl.program_id(0) * block + tl.arange(0, block)
    valid = point < points
    resolution = tl.load(resolutions + level)
    scale = _contraction(p_world, point, valid)
    x, fx = _lowest_corner(p_world, point, valid, 0, scale, resolution)
    y, fy = _lowest_corner(p_world, point, valid, 1, scale, resolution)
    z, fz = _lowest_corner(p_world, point, valid, 2, scale, resolution)
    channel = tl.arange(0, width)[None, :]
    mask = valid[:, None] if width == channels else valid[:, None] & (channel < channels)
    total = tl.zeros([block, width], tl.float32)
    for corner in tl.static_range(8):
        row, weight = _corner(x, y, z, fx, fy, fz, corner, resolution, entries)
        at = table + level * entries * channels + row[:, None] * channels + channel
        total += weight[:, None] * tl.load(at, mask=mask, other=0.0)
    tl.store(out + (level * channels + channel) * points + point[:, None], total, mask=mask)


@triton.jit
@no_type_check
def _backward(
    p_world,
    grad_out,
    resolutions,
    grad_table,
    points,
    entries,
    channels: tl.constexpr,
    width: tl.constexpr,
    block: tl.constexpr,
):
    level = tl.program_id(1).to(tl.int64)
    point = tl.program_id(0) * block + tl.arange(0, block)
    valid = point < points
    resolution = tl.load(resolutions + level)
    scale = _contraction(p_world, point, valid)
    x, fx = _lowest_corner(p_world, point, valid, 0, scale, resolution)
    y, fy = _lowest_corner(p_world, point, valid, 1, scale, resolution)
    z, fz = _lowest_corner(p_world, point, valid, 2, scale, resolution)
    channel = tl.arange(0, width)[None, :]
    mask = valid[:, None] if width == channels else valid[:, None] & (channel < channels)
    grad = tl.load(grad_out + (level * channels + channel) * points + point[:, None], mask=mask, other=0.0)
    for corner in tl.static_range(8):
        row, weight = _corner(x, y, z, fx, fy, fz, corner, resolution, entries)
        at = grad_table + level * entries * channels + row[:, None] * channels + channel
        # Relaxed: no other thread reads what is added before the kernel ends. The default would fence each addition.
        tl.atomic_add(at, weight[:, None] * grad, mask=mask, sem="relaxed")


@cache
def _resolutions(levels: GridLevels, device: torch.device) -> Tensor:
    """Cells along an axis of each level on the device, copied there once."""
    return torch.tensor(levels.resolutions, dtype=torch.int32, device=device)


class _HashEncode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, p_world, table, levels):
        count, channels = len(levels.resolutions), table.shape[2]
        out = p_world.new_empty(count * channels, p_world.shape[0])
        if len(p_world):
            grid = (triton.cdiv(p_world.shape[0], _BLOCK), count)
            width = triton.next_power_of_2(channels)
            resolutions = _resolutions(levels, p_world.device)
            shape = (p_world.shape[0], levels.entries, channels, width, _BLOCK)
            _forward[grid](p_world, table, resolutions, out, *shape, enable_fp_fusion=True)
        ctx.save_for_backward(p_world)
        ctx.levels, ctx.channels = levels, channels
        return out.T

    @staticmethod
    def backward(ctx, *grad_outputs):
        (p_world,) = ctx.saved_tensors
        levels, channels = ctx.levels, ctx.channels
        count = len(levels.resolutions)
        grad_table = p_world.new_zeros(count, levels.entries, channels)
        if len(p_world):
            grid = (triton.cdiv(p_world.shape[0], _BLOCK), count)
            width = triton.next_power_of_2(channels)
            grad_out, resolutions = grad_outputs[0].T.contiguous(), _resolutions(levels, p_world.device)
            shape = (p_world.shape[0], levels.entries, channels, width, _BLOCK)
            _backward[grid](p_world, grad_out, resolutions, grad_table, *shape, enable_fp_fusion=True)
        return None, grad_table, None


def hash_encode(
    p_world: Float[Tensor, "points 3"], table: Float[Tensor, "levels entries channels"], levels: GridLevels
) -> Float[Tensor, "points features"]:
    """See `reference.hash_encode`; float32 on CUDA."""
    return _HashEncode.apply(p_world.detach().contiguous(), table.contiguous(), levels)  # pyright: ignore[reportReturnType]
