"""The hash grid for the CPU in numba; same signature and values as `reference.hash_encode`.

One task a level, forward and backward: a thread stays with one level's table, which its cache can hold, and no two
threads write the same row. Inside a task a tile of points gets its rows first (integer arithmetic, vectorised) and its
values then (memory). Features are laid out level after level, so what comes out is a transposed view.

`no_type_check` keeps the tests' jaxtyping hook away from what numba compiles, which it would wrap under `njit`.
"""

from functools import cache
from typing import no_type_check

import numba
import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from sanerf.kernels.reference import GridLevels
from sanerf.shapes import Float

_TILE = 512
_LINE = 16
"""Floats in a line of the cache."""


@njit(parallel=True, fastmath=True, cache=True)
@no_type_check
def _unit_positions(p_world, out):
    """Contracted to [-2, 2]^3 (geometry.contraction), then to the unit cube; one row an axis."""
    for point in prange(p_world.shape[0]):
        x, y, z = p_world[point, 0], p_world[point, 1], p_world[point, 2]
        norm = max(abs(x), abs(y), abs(z), np.float32(1))
        scale = (np.float32(2) - np.float32(1) / norm) / norm * np.float32(0.25)
        out[0, point] = x * scale + np.float32(0.5)
        out[1, point] = y * scale + np.float32(0.5)
        out[2, point] = z * scale + np.float32(0.5)


@njit(inline="always")
@no_type_check
def _look_up(positions, first, count, resolution, entries, rows, fractions):
    """Rows of the eight corners of a tile's points, x fastest, and the points' positions in their cells, each 0..1.

    Rows are sums of what each axis adds where the level is dense, hashes where it is not.
    """
    size, top = np.float32(resolution), np.int32(resolution - 1)
    side = resolution + 1
    dense = side * side * side <= entries
    mask = np.uint32(entries - 1)
    stride_y = np.uint32(side) if dense else np.uint32(2654435761)
    stride_z = np.uint32(side * side) if dense else np.uint32(805459861)
    for p in range(count):
        fx, fy, fz = positions[0, first + p] * size, positions[1, first + p] * size, positions[2, first + p] * size
        x, y, z = min(np.int32(fx), top), min(np.int32(fy), top), min(np.int32(fz), top)
        fractions[0, p], fractions[1, p], fractions[2, p] = fx - np.float32(x), fy - np.float32(y), fz - np.float32(z)
        x0 = np.uint32(x)
        x1 = np.uint32(x0 + np.uint32(1))
        y0, z0 = np.uint32(np.uint32(y) * stride_y), np.uint32(np.uint32(z) * stride_z)
        y1, z1 = np.uint32(y0 + stride_y), np.uint32(z0 + stride_z)
        if dense:
            a, b, c, d = np.uint32(y0 + z0), np.uint32(y1 + z0), np.uint32(y0 + z1), np.uint32(y1 + z1)
            rows[0, p], rows[1, p], rows[2, p], rows[3, p] = x0 + a, x1 + a, x0 + b, x1 + b
            rows[4, p], rows[5, p], rows[6, p], rows[7, p] = x0 + c, x1 + c, x0 + d, x1 + d
        else:
            a, b, c, d = np.uint32(y0 ^ z0), np.uint32(y1 ^ z0), np.uint32(y0 ^ z1), np.uint32(y1 ^ z1)
            rows[0, p], rows[1, p] = (x0 ^ a) & mask, (x1 ^ a) & mask
            rows[2, p], rows[3, p] = (x0 ^ b) & mask, (x1 ^ b) & mask
            rows[4, p], rows[5, p] = (x0 ^ c) & mask, (x1 ^ c) & mask
            rows[6, p], rows[7, p] = (x0 ^ d) & mask, (x1 ^ d) & mask


@cache
@no_type_check
def _kernels(channels: int):
    """Forward and backward compiled for a number of channels, which thereby become one vector operation."""

    @njit(parallel=True, fastmath=True, cache=True)
    @no_type_check
    def forward(positions, table, resolutions, order, warmed, out):
        points, entries = positions.shape[1], table.shape[1]
        one = np.float32(1)
        for task in prange(order.shape[0]):
            level = order[task]
            values = table[level]
            rows, fractions = np.empty((8, _TILE), np.uint32), np.empty((3, _TILE), np.float32)
            # Read in order what will be read at random: the memory is quicker that way (a fifth of the whole kernel).
            total = np.float32(0)
            if points * 8 > entries:
                for row in range(0, entries, _LINE // channels):
                    total += values[row, 0]
            warmed[task] = total
            for first in range(0, points, _TILE):
                count = min(_TILE, points - first)
                _look_up(positions, first, count, resolutions[level], entries, rows, fractions)
                for i in range(count):
                    ax, ay, az = fractions[0, i], fractions[1, i], fractions[2, i]
                    bx, by, bz = one - ax, one - ay, one - az
                    p, q, r, s = by * bz, ay * bz, by * az, ay * az
                    r0, r1, r2, r3 = rows[0, i], rows[1, i], rows[2, i], rows[3, i]
                    r4, r5, r6, r7 = rows[4, i], rows[5, i], rows[6, i], rows[7, i]
                    for channel in range(channels):
                        out[level * channels + channel, first + i] = (
                            p * (bx * values[r0, channel] + ax * values[r1, channel])
                            + q * (bx * values[r2, channel] + ax * values[r3, channel])
                            + r * (bx * values[r4, channel] + ax * values[r5, channel])
                            + s * (bx * values[r6, channel] + ax * values[r7, channel])
                        )

    @njit(parallel=True, fastmath=True, cache=True)
    @no_type_check
    def backward(positions, grad_out, resolutions, order, grad_table):
        points, entries = positions.shape[1], grad_table.shape[1]
        one = np.float32(1)
        for task in prange(order.shape[0]):
            level = order[task]
            grads = grad_table[level]
            grads[:] = 0
            rows, fractions = np.empty((8, _TILE), np.uint32), np.empty((3, _TILE), np.float32)
            for first in range(0, points, _TILE):
                count = min(_TILE, points - first)
                _look_up(positions, first, count, resolutions[level], entries, rows, fractions)
                for i in range(count):
                    ax, ay, az = fractions[0, i], fractions[1, i], fractions[2, i]
                    bx, by, bz = one - ax, one - ay, one - az
                    p, q, r, s = by * bz, ay * bz, by * az, ay * az
                    r0, r1, r2, r3 = rows[0, i], rows[1, i], rows[2, i], rows[3, i]
                    r4, r5, r6, r7 = rows[4, i], rows[5, i], rows[6, i], rows[7, i]
                    for channel in range(channels):
                        grad = grad_out[level * channels + channel, first + i]
                        grads[r0, channel] += grad * p * bx
                        grads[r1, channel] += grad * p * ax
                        grads[r2, channel] += grad * q * bx
                        grads[r3, channel] += grad * q * ax
                        grads[r4, channel] += grad * r * bx
                        grads[r5, channel] += grad * r * ax
                        grads[r6, channel] += grad * s * bx
                        grads[r7, channel] += grad * s * ax

    return forward, backward


def _levels_by_thread(levels: int) -> np.ndarray:
    """The levels so ordered that threads, which take consecutive tasks, get coarse (quick) and fine (slow) ones."""
    threads = numba.get_num_threads()
    return np.concatenate([np.arange(first, levels, threads) for first in range(min(threads, levels))])


class _HashEncode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, p_world, table, resolutions):
        positions = torch.empty(3, p_world.shape[0])
        _unit_positions(p_world.numpy(), positions.numpy())
        levels, _, channels = table.shape
        out, warmed = torch.empty(levels * channels, p_world.shape[0]), np.empty(levels, np.float32)
        forward, _ = _kernels(channels)
        order = _levels_by_thread(levels)
        forward(positions.numpy(), table.detach().numpy(), resolutions, order, warmed, out.numpy())
        ctx.save_for_backward(positions)
        ctx.resolutions, ctx.table_shape = resolutions, table.shape
        return out.T

    @staticmethod
    def backward(ctx, *grad_outputs):
        (positions,) = ctx.saved_tensors
        levels, _, channels = ctx.table_shape
        grad_table = torch.empty(ctx.table_shape)
        _, backward = _kernels(channels)
        grad = grad_outputs[0].T.contiguous().numpy()
        backward(positions.numpy(), grad, ctx.resolutions, _levels_by_thread(levels), grad_table.numpy())
        return None, grad_table, None


def hash_encode(
    p_world: Float[Tensor, "points 3"], table: Float[Tensor, "levels entries channels"], levels: GridLevels
) -> Float[Tensor, "points features"]:
    """See `reference.hash_encode`; float32 on the CPU."""
    return _HashEncode.apply(p_world.detach().contiguous(), table, np.asarray(levels.resolutions, np.int64))  # pyright: ignore[reportReturnType]
