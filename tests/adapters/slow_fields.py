"""What nerfacto and instant-ngp compute at one point, in float64 and scalar loops, from the formats' descriptions.

Nothing of the package is used: this is the other side of the comparison.
"""

import math
from collections.abc import Callable
from itertools import product

import numpy as np

Network = list[tuple[np.ndarray, np.ndarray]]


def through(network: Network, values: np.ndarray) -> np.ndarray:
    """Linear layers (weight, bias), ReLU between them."""
    for number, (weight, bias) in enumerate(network):
        values = weight.astype(np.float64) @ values + bias
        if number + 1 < len(network):
            values = np.maximum(values, 0.0)
    return values


def interpolated(scaled: np.ndarray, row_of: Callable[[int, int, int], np.ndarray], smooth: bool = False) -> np.ndarray:
    """Trilinear interpolation between the rows at the eight grid points round scaled coordinates."""
    low = [math.floor(v) for v in scaled]
    parts = [v - w for v, w in zip(scaled, low, strict=True)]
    if smooth:
        parts = [f * f * (3 - 2 * f) for f in parts]
    total = 0.0
    for step in product((0, 1), repeat=3):
        weight = math.prod(f if s else 1 - f for f, s in zip(parts, step, strict=True))
        total = total + weight * row_of(*(w + s for w, s in zip(low, step, strict=True))).astype(np.float64)
    return np.asarray(total)


def hashed(x: int, y: int, z: int, size: int) -> int:
    """Of 32-bit unsigned numbers."""
    return ((x % 2**32) ^ (y * 2654435761 % 2**32) ^ (z * 805459861 % 2**32)) % size


def torch_grid_features(unit: np.ndarray, table: np.ndarray, scales: list[int]) -> np.ndarray:
    """nerfstudio's torch grid: every level hashed, in a table of its own of equal size."""
    size = len(table) // len(scales)
    out = []
    for level, scale in enumerate(scales):
        part = table[level * size : (level + 1) * size]
        out.append(interpolated(unit * scale, lambda x, y, z, part=part: part[hashed(x, y, z, size)]))
    return np.concatenate(out)


def tcnn_grid_features(unit: np.ndarray, table: np.ndarray, sides: list[float], log2: int, smooth: bool) -> np.ndarray:
    """tiny-cuda-nn's grid. `sides` are N b^l: the level has side - 1 cells over the cube, shifted by half of one."""
    out, start = [], 0
    for side in sides:
        points = math.ceil(side - 1) + 1
        rows = min(math.ceil(points**3 / 8) * 8, 2**log2)
        part = table[start : start + rows]
        start += rows

        def row(x: int, y: int, z: int, part=part, points=points, rows=rows) -> np.ndarray:
            fits = points**3 <= rows
            return part[(x + points * y + points * points * z) % rows if fits else hashed(x, y, z, rows)]

        out.append(interpolated(unit * (side - 1) + 0.5, row, smooth))
    assert start == len(table)
    return np.concatenate(out)


def contracted(p: np.ndarray) -> np.ndarray:
    """Mip-NeRF 360's contraction in the maximum norm."""
    n = np.abs(p).max()
    return p if n <= 1 else (2 - 1 / n) * p / n


def legendre_harmonics(d: np.ndarray) -> np.ndarray:
    """Real harmonics of a unit vector up to degree 3, with the sign (-1)^m, by angles and Legendre functions.

    tiny-cuda-nn's, by its table of polynomials.
    """
    z, phi = d[2], math.atan2(d[1], d[0])
    s = math.sqrt(max(0.0, 1 - z * z))
    legendre = {
        (0, 0): 1.0, (1, 0): z, (1, 1): -s, (2, 0): (3 * z * z - 1) / 2, (2, 1): -3 * z * s, (2, 2): 3 * s * s,
        (3, 0): (5 * z**3 - 3 * z) / 2, (3, 1): -1.5 * (5 * z * z - 1) * s, (3, 2): 15 * z * s * s, (3, 3): -15 * s**3,
    }  # fmt: skip
    out = []
    for degree in range(4):
        for order in range(-degree, degree + 1):
            m = abs(order)
            norm = math.sqrt((2 * degree + 1) / (4 * math.pi) * math.factorial(degree - m) / math.factorial(degree + m))
            turn = 1.0 if m == 0 else math.sqrt(2) * (math.cos(m * phi) if order > 0 else math.sin(m * phi))
            out.append(norm * legendre[degree, m] * turn)
    return np.array(out)


def nerfstudio_torch_harmonics(d: np.ndarray) -> np.ndarray:
    """The polynomials for unit vectors, at (d + 1) / 2, and all of positive sign: nerfstudio's issue 3463."""
    x, y, z = (d + 1) / 2
    pi = math.pi
    return np.array(
        [
            math.sqrt(1 / pi) / 2, math.sqrt(3 / 4 / pi) * y, math.sqrt(3 / 4 / pi) * z, math.sqrt(3 / 4 / pi) * x,
            math.sqrt(15 / 4 / pi) * x * y, math.sqrt(15 / 4 / pi) * y * z, math.sqrt(5 / 16 / pi) * (3 * z * z - 1),
            math.sqrt(15 / 4 / pi) * x * z, math.sqrt(15 / 16 / pi) * (x * x - y * y),
            math.sqrt(35 / 32 / pi) * y * (3 * x * x - y * y), math.sqrt(105 / 4 / pi) * x * y * z,
            math.sqrt(21 / 32 / pi) * y * (5 * z * z - 1), math.sqrt(7 / 16 / pi) * z * (5 * z * z - 3),
            math.sqrt(21 / 32 / pi) * x * (5 * z * z - 1), math.sqrt(105 / 16 / pi) * z * (x * x - y * y),
            math.sqrt(35 / 32 / pi) * x * (x * x - 3 * y * y),
        ]
    )  # fmt: skip


def sigmoid(v: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-v))
