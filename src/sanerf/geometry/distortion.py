"""OpenCV's lens distortion of normalised picture coordinates and its inverse.

The rational model of the OpenCV documentation: radial (1 + k1 r2 + k2 r4 + k3 r6) / (1 + k4 r2 + k5 r4 + k6 r6) and
tangential p1, p2, with coefficients in the order (k1, k2, p1, p2, k3, k4, k5, k6), missing ones zero.

A calibration holds on the picture only. Farther out such a polynomial may fold back, and points well outside the field
of view would land on the picture; so beyond 99 % of the fold's radius the map goes on linearly in the radius. It is
one to one on the whole plane, and the same as OpenCV's before.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from sanerf.shapes import Float

_NEWTON_STEPS = 20
_BEFORE_FOLD = 0.99


def distort(xy: Float[Tensor, "points 2"], coefficients: tuple[float, ...]) -> Float[Tensor, "points 2"]:
    """Where an ideal pinhole's normalised point (x/z, y/z) lands behind the lens."""
    if not any(coefficients):
        return xy
    limit = _BEFORE_FOLD * fold_radius(coefficients)
    if math.isinf(limit):
        return _distort_polynomial(xy, coefficients)
    stretch = (xy.norm(dim=-1, keepdim=True) / limit).clamp_min(1.0)
    return _distort_polynomial(xy / stretch, coefficients) * stretch


@lru_cache(maxsize=1024)
def fold_radius(coefficients: tuple[float, ...]) -> float:
    """The radius at which the radial map r -> r (1 + k1 r2 + ...) / (1 + k4 r2 + ...) stops growing, or infinity."""
    k1, k2, _, _, k3, k4, k5, k6 = (*coefficients, *(0.0,) * (8 - len(coefficients)))
    numerator, denominator = np.polynomial.Polynomial([1, k1, k2, k3]), np.polynomial.Polynomial([1, k4, k5, k6])
    u = np.polynomial.Polynomial([0, 1])
    # With u = r^2, d/dr (r N / D) has the sign of N D + 2 u (N' D - N D').
    slope = numerator * denominator + 2 * u * (numerator.deriv() * denominator - numerator * denominator.deriv())
    roots = np.concatenate([slope.trim(1e-12).roots(), denominator.trim(1e-12).roots()])
    real = roots.real[(np.abs(roots.imag) < 1e-9 * (1 + np.abs(roots))) & (roots.real > 0)]
    return math.sqrt(real.min()) if len(real) else math.inf


def undistort(xy: Float[Tensor, "points 2"], coefficients: tuple[float, ...]) -> Float[Tensor, "points 2"]:
    """The ideal point whose distorted image is `xy`: Newton's method on `distort`, in the dtype given."""
    if not any(coefficients) or len(xy) == 0:
        return xy
    estimate = xy.clone()
    step = 1e-6
    offsets = xy.new_tensor([[step, 0.0], [0.0, step]])
    for _ in range(_NEWTON_STEPS):
        value = distort(estimate, coefficients)
        column_x = (distort(estimate + offsets[0], coefficients) - value) / step
        column_y = (distort(estimate + offsets[1], coefficients) - value) / step
        residual = xy - value
        determinant = column_x[:, 0] * column_y[:, 1] - column_y[:, 0] * column_x[:, 1]
        determinant = torch.where(determinant.abs() < 1e-9, torch.full_like(determinant, 1e-9), determinant)
        dx = (residual[:, 0] * column_y[:, 1] - column_y[:, 0] * residual[:, 1]) / determinant
        dy = (column_x[:, 0] * residual[:, 1] - residual[:, 0] * column_x[:, 1]) / determinant
        estimate = estimate + torch.stack([dx, dy], dim=-1)
        if residual.abs().max() < 1e-12:
            break
    return estimate


def _distort_polynomial(xy: Float[Tensor, "points 2"], coefficients: tuple[float, ...]) -> Float[Tensor, "points 2"]:
    """OpenCV's formula as it stands."""
    k1, k2, p1, p2, k3, k4, k5, k6 = (*coefficients, *(0.0,) * (8 - len(coefficients)))
    x, y = xy[:, 0], xy[:, 1]
    r2 = x * x + y * y
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    return torch.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        dim=-1,
    )
