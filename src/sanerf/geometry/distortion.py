"""OpenCV's lens distortion of normalised picture coordinates and its inverse, and what other lenses share with it.

The rational model of the OpenCV documentation: radial (1 + k1 r2 + k2 r4 + k3 r6) / (1 + k4 r2 + k5 r4 + k6 r6) and
tangential p1, p2, with coefficients in the order (k1, k2, p1, p2, k3, k4, k5, k6), missing ones zero.

A calibration holds on the picture only. Farther out such a polynomial may fold back, and points well outside the field
of view would land on the picture; so beyond 99 % of the fold's radius the map goes on linearly in the radius. It is
one to one on the whole plane, and the same as OpenCV's before.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from sanerf.shapes import Float

_NEWTON_STEPS = 20
_BEFORE_FOLD = 0.99

PlaneMap = Callable[[Tensor], Tensor]
"""Points of a plane to points of a plane, both `points 2`."""


def distort(xy: Float[Tensor, "points 2"], coefficients: tuple[float, ...]) -> Float[Tensor, "points 2"]:
    """Where an ideal pinhole's normalised point (x/z, y/z) lands behind the lens."""
    if not any(coefficients):
        return xy
    return continued(xy, lambda inner: _distort_polynomial(inner, coefficients), fold_radius(coefficients))


def undistort(xy: Float[Tensor, "points 2"], coefficients: tuple[float, ...]) -> Float[Tensor, "points 2"]:
    """The ideal point whose distorted image is `xy`."""
    if not any(coefficients):
        return xy
    return inverted(xy, lambda ideal: distort(ideal, coefficients))


def fold_radius(coefficients: tuple[float, ...]) -> float:
    """The radius at which the radial map r -> r (1 + k1 r2 + ...) / (1 + k4 r2 + ...) stops growing, or infinity."""
    k1, k2, _, _, k3, k4, k5, k6 = padded(coefficients, 8)
    return radial_fold((k1, k2, k3), (k4, k5, k6))


@lru_cache(maxsize=1024)
def radial_fold(numerator: tuple[float, ...], denominator: tuple[float, ...] = ()) -> float:
    """The radius at which r -> r (1 + n1 r2 + n2 r4 + ...) / (1 + d1 r2 + ...) stops growing, or infinity."""
    top, bottom = np.polynomial.Polynomial([1, *numerator]), np.polynomial.Polynomial([1, *denominator])
    u = np.polynomial.Polynomial([0, 1])
    # With u = r^2, d/dr (r N / D) has the sign of N D + 2 u (N' D - N D').
    slope = top * bottom + 2 * u * (top.deriv() * bottom - top * bottom.deriv())
    roots = np.concatenate([slope.trim(1e-12).roots(), bottom.trim(1e-12).roots()])
    real = roots.real[(np.abs(roots.imag) < 1e-9 * (1 + np.abs(roots))) & (roots.real > 0)]
    return math.sqrt(real.min()) if len(real) else math.inf


def continued(xy: Float[Tensor, "points 2"], plane_map: PlaneMap, fold: float) -> Float[Tensor, "points 2"]:
    """`plane_map` of the points, linear in the radius from just before the radius `fold` on."""
    limit = _BEFORE_FOLD * fold
    if math.isinf(limit):
        return plane_map(xy)
    stretch = (xy.norm(dim=-1, keepdim=True) / limit).clamp_min(1.0)
    return plane_map(xy / stretch) * stretch


def inverted(xy: Float[Tensor, "points 2"], plane_map: PlaneMap) -> Float[Tensor, "points 2"]:
    """The points that `plane_map`, a map near to the identity, takes to `xy`: Newton's method, in the dtype given."""
    if len(xy) == 0:
        return xy
    estimate = xy.clone()
    step = 1e-6
    offsets = xy.new_tensor([[step, 0.0], [0.0, step]])
    for _ in range(_NEWTON_STEPS):
        value = plane_map(estimate)
        column_x = (plane_map(estimate + offsets[0]) - value) / step
        column_y = (plane_map(estimate + offsets[1]) - value) / step
        residual = xy - value
        determinant = column_x[:, 0] * column_y[:, 1] - column_y[:, 0] * column_x[:, 1]
        determinant = torch.where(determinant.abs() < 1e-9, torch.full_like(determinant, 1e-9), determinant)
        dx = (residual[:, 0] * column_y[:, 1] - column_y[:, 0] * residual[:, 1]) / determinant
        dy = (column_x[:, 0] * residual[:, 1] - residual[:, 0] * column_x[:, 1]) / determinant
        estimate = estimate + torch.stack([dx, dy], dim=-1)
        if residual.abs().max() < 1e-12:
            break
    return estimate


def padded(coefficients: tuple[float, ...], length: int) -> tuple[float, ...]:
    """The coefficients with zeros for those that are not given."""
    return (*coefficients, *(0.0,) * (length - len(coefficients)))


def _distort_polynomial(xy: Float[Tensor, "points 2"], coefficients: tuple[float, ...]) -> Float[Tensor, "points 2"]:
    """OpenCV's formula as it stands."""
    k1, k2, p1, p2, k3, k4, k5, k6 = padded(coefficients, 8)
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
