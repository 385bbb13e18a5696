"""The hash grid for the CPU in numba; same signature and values as `reference.hash_encode`.

Forward runs in parallel over chunks of points that stay in the cache, backward over levels, so that no two threads
write the same row. Measured figures are in docs/benchmarks.md.

`no_type_check` keeps the tests' jaxtyping hook away from what numba compiles, which it would wrap under `njit`.
"""

from functools import cache
from typing import no_type_check

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from sanerf.kernels.reference import GridLevels
from sanerf.shapes import Float

_CHUNK = 16384


@njit(inline="always")
@no_type_check
def _cell(positions, point, resolution):
    """The low corner of a contracted point's cell in a level and the position in it, each 0..1."""
    fx = positions[point, 0] * np.float32(resolution)
    fy = positions[point, 1] * np.float32(resolution)
    fz = positions[point, 2] * np.float32(resolution)
    x, y, z = min(np.int32(fx), resolution - 1), min(np.int32(fy), resolution - 1), min(np.int32(fz), resolution - 1)
    return x, y, z, fx - np.float32(x), fy - np.float32(y), fz - np.float32(z)


@njit(inline="always")
@no_type_check
def _axis_terms(x, y, z, side, dense):
    """What each axis adds to a row, low and high corner: sums where the level is dense, hashes where it is not."""
    ux, uy, uz = np.uint32(x), np.uint32(y), np.uint32(z)
    if dense:
        stride_y, stride_z = np.uint32(side), np.uint32(side * side)
    else:
        stride_y, stride_z = np.uint32(2654435761), np.uint32(805459861)
    y0, z0 = np.uint32(uy * stride_y), np.uint32(uz * stride_z)
    return ux, np.uint32(ux + np.uint32(1)), y0, np.uint32(y0 + stride_y), z0, np.uint32(z0 + stride_z)


@njit(inline="always")
@no_type_check
def _row(x, y, z, mask, dense):
    return np.int64(np.uint32(x + y + z)) if dense else np.int64(np.uint32((x ^ y ^ z) & mask))


@njit(parallel=True, fastmath=True, cache=True)
@no_type_check
def _unit_positions(p_world, out):
    """Contracted to [-2, 2]^3 (geometry.contraction), then to the unit cube."""
    for point in prange(p_world.shape[0]):
        x, y, z = p_world[point, 0], p_world[point, 1], p_world[point, 2]
        norm = max(abs(x), abs(y), abs(z), np.float32(1))
        scale = (np.float32(2) - np.float32(1) / norm) / norm * np.float32(0.25)
        out[point, 0] = x * scale + np.float32(0.5)
        out[point, 1] = y * scale + np.float32(0.5)
        out[point, 2] = z * scale + np.float32(0.5)


@cache
@no_type_check
def _kernels(channels: int):
    """Forward and backward compiled for a number of channels, which thereby become one vector operation."""

    @njit(parallel=True, fastmath=True, cache=True)
    @no_type_check
    def forward(positions, table, resolutions, out):
        points = positions.shape[0]
        mask = np.uint32(table.shape[1] - 1)
        one = np.float32(1)
        for chunk in prange((points + _CHUNK - 1) // _CHUNK):
            for level in range(resolutions.shape[0]):
                resolution = np.int32(resolutions[level])
                side = np.int64(resolution) + 1
                dense = side * side * side <= table.shape[1]
                for point in range(chunk * _CHUNK, min(points, (chunk + 1) * _CHUNK)):
                    x, y, z, ax, ay, az = _cell(positions, point, resolution)
                    x0, x1, y0, y1, z0, z1 = _axis_terms(x, y, z, side, dense)
                    bx, by, bz = one - ax, one - ay, one - az
                    r0, r1 = _row(x0, y0, z0, mask, dense), _row(x1, y0, z0, mask, dense)
                    r2, r3 = _row(x0, y1, z0, mask, dense), _row(x1, y1, z0, mask, dense)
                    r4, r5 = _row(x0, y0, z1, mask, dense), _row(x1, y0, z1, mask, dense)
                    r6, r7 = _row(x0, y1, z1, mask, dense), _row(x1, y1, z1, mask, dense)
                    p, q, r, s = by * bz, ay * bz, by * az, ay * az
                    for channel in range(channels):
                        out[point, level * channels + channel] = (
                            p * (bx * table[level, r0, channel] + ax * table[level, r1, channel])
                            + q * (bx * table[level, r2, channel] + ax * table[level, r3, channel])
                            + r * (bx * table[level, r4, channel] + ax * table[level, r5, channel])
                            + s * (bx * table[level, r6, channel] + ax * table[level, r7, channel])
                        )

    @njit(parallel=True, fastmath=True, cache=True)
    @no_type_check
    def backward(positions, grad_out, resolutions, grad_table):
        points = positions.shape[0]
        mask = np.uint32(grad_table.shape[1] - 1)
        one = np.float32(1)
        for level in prange(resolutions.shape[0]):
            resolution = np.int32(resolutions[level])
            side = np.int64(resolution) + 1
            dense = side * side * side <= grad_table.shape[1]
            for point in range(points):
                x, y, z, ax, ay, az = _cell(positions, point, resolution)
                x0, x1, y0, y1, z0, z1 = _axis_terms(x, y, z, side, dense)
                bx, by, bz = one - ax, one - ay, one - az
                r0, r1 = _row(x0, y0, z0, mask, dense), _row(x1, y0, z0, mask, dense)
                r2, r3 = _row(x0, y1, z0, mask, dense), _row(x1, y1, z0, mask, dense)
                r4, r5 = _row(x0, y0, z1, mask, dense), _row(x1, y0, z1, mask, dense)
                r6, r7 = _row(x0, y1, z1, mask, dense), _row(x1, y1, z1, mask, dense)
                p, q, r, s = by * bz, ay * bz, by * az, ay * az
                for channel in range(channels):
                    grad = grad_out[point, level * channels + channel]
                    grad_table[level, r0, channel] += grad * p * bx
                    grad_table[level, r1, channel] += grad * p * ax
                    grad_table[level, r2, channel] += grad * q * bx
                    grad_table[level, r3, channel] += grad * q * ax
                    grad_table[level, r4, channel] += grad * r * bx
                    grad_table[level, r5, channel] += grad * r * ax
                    grad_table[level, r6, channel] += grad * s * bx
                    grad_table[level, r7, channel] += grad * s * ax

    return forward, backward


class _HashEncode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, p_world, table, resolutions):
        positions = torch.empty_like(p_world)
        _unit_positions(p_world.numpy(), positions.numpy())
        out = torch.empty(positions.shape[0], table.shape[0] * table.shape[2])
        forward, _ = _kernels(table.shape[2])
        forward(positions.numpy(), table.detach().numpy(), resolutions, out.numpy())
        ctx.save_for_backward(positions)
        ctx.resolutions, ctx.table_shape = resolutions, table.shape
        return out

    @staticmethod
    def backward(ctx, *grad_outputs):
        (positions,) = ctx.saved_tensors
        grad_table = torch.zeros(ctx.table_shape)
        _, backward = _kernels(ctx.table_shape[2])
        backward(positions.numpy(), grad_outputs[0].contiguous().numpy(), ctx.resolutions, grad_table.numpy())
        return None, grad_table, None


def hash_encode(
    p_world: Float[Tensor, "points 3"], table: Float[Tensor, "levels entries channels"], levels: GridLevels
) -> Float[Tensor, "points features"]:
    """See `reference.hash_encode`; float32 on the CPU."""
    return _HashEncode.apply(p_world.detach().contiguous(), table, np.asarray(levels.resolutions, np.int64))  # pyright: ignore[reportReturnType]
