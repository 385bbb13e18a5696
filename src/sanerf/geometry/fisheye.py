"""Fisheye lenses: an equidistant projection, then a distortion of the plane it gives.

A point at the angle theta from the optical axis lies at the radius theta (radians) of the equidistant plane, towards
where it lies off the axis. Nothing is divided by z, so that 90 degrees and more are points like others. Polynomials go
on linearly where they would fold (`distortion.continued`), lest what lies outside the field of view land on the
picture.

Coefficients are in the order of COLMAP's camera models: OPENCV_FISHEYE's (k1, k2, k3, k4); THIN_PRISM_FISHEYE's (k1,
k2, p1, p2, k3, k4, sx1, sy1); RAD_TAN_THIN_PRISM_FISHEYE's (k0, ..., k5, p0, p1, s0, ..., s3). Missing ones are zero.
"""

import math

import torch
from torch import Tensor

from sanerf.geometry.distortion import continued, inverted, padded, radial_fold
from sanerf.shapes import Float


def equidistant_from_cam(p_cam: Float[Tensor, "points 3"]) -> Float[Tensor, "points 2"]:
    """Where points in camera axes lie in the equidistant plane."""
    radius = p_cam[:, :2].norm(dim=-1)
    theta = torch.atan2(radius, p_cam[:, 2])
    on_axis = radius < 1e-12 * p_cam[:, 2].abs()
    towards = p_cam[:, :2] / torch.where(on_axis, torch.ones_like(radius), radius)[:, None]
    return torch.where(on_axis[:, None], torch.zeros_like(towards), theta[:, None] * towards)


def cam_from_equidistant(xy: Float[Tensor, "points 2"]) -> Float[Tensor, "points 3"]:
    """Unit directions in camera axes of points of the equidistant plane; from radius pi on they all point backward."""
    theta = xy.norm(dim=-1, keepdim=True).clamp_max(math.pi)
    # sin(theta) / theta without a division by zero: torch's sinc is sin(pi x) / (pi x).
    return torch.cat([xy * torch.sinc(theta / math.pi), theta.cos()], dim=-1)


def distort_fisheye(xy: Float[Tensor, "points 2"], coefficients: tuple[float, ...]) -> Float[Tensor, "points 2"]:
    """The equidistant plane through a radial polynomial: theta (1 + k1 theta2 + k2 theta4 + ...)."""
    return continued(xy, lambda inner: inner * _radial(inner, coefficients)[:, None], radial_fold(coefficients))


def distort_thin_prism_fisheye(
    xy: Float[Tensor, "points 2"], coefficients: tuple[float, ...]
) -> Float[Tensor, "points 2"]:
    """The equidistant plane through radial, tangential and thin prism distortion, added up."""
    k1, k2, p1, p2, k3, k4, sx1, sy1 = padded(coefficients, 8)
    radial = (k1, k2, k3, k4)

    def polynomial(inner: Tensor) -> Tensor:
        x, y = inner[:, 0], inner[:, 1]
        r2 = x * x + y * y
        extra_x = 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + sx1 * r2
        extra_y = 2 * p2 * x * y + p1 * (r2 + 2 * y * y) + sy1 * r2
        return inner * _radial(inner, radial)[:, None] + torch.stack([extra_x, extra_y], dim=-1)

    return continued(xy, polynomial, radial_fold(radial))


def distort_rad_tan_thin_prism_fisheye(
    xy: Float[Tensor, "points 2"], coefficients: tuple[float, ...]
) -> Float[Tensor, "points 2"]:
    """The equidistant plane through radial distortion, and the outcome through tangential and thin prism distortion."""
    *radial, p0, p1, s0, s1, s2, s3 = padded(coefficients, 12)
    radial = tuple(radial)

    def polynomial(inner: Tensor) -> Tensor:
        swollen = inner * _radial(inner, radial)[:, None]
        x, y = swollen[:, 0], swollen[:, 1]
        r2 = x * x + y * y
        extra_x = 2 * p1 * x * y + p0 * (r2 + 2 * x * x) + r2 * (s0 + r2 * s1)
        extra_y = 2 * p0 * x * y + p1 * (r2 + 2 * y * y) + r2 * (s2 + r2 * s3)
        return swollen + torch.stack([extra_x, extra_y], dim=-1)

    return continued(xy, polynomial, radial_fold(radial))


_DISTORTIONS = {
    "fisheye": distort_fisheye,
    "thin_prism_fisheye": distort_thin_prism_fisheye,
    "rad_tan_thin_prism_fisheye": distort_rad_tan_thin_prism_fisheye,
}


def picture_from_cam(
    p_cam: Float[Tensor, "points 3"], family: str, coefficients: tuple[float, ...]
) -> Float[Tensor, "points 2"]:
    """Normalised picture coordinates of points in camera axes, behind the fisheye lens of that family."""
    return _DISTORTIONS[family](equidistant_from_cam(p_cam), coefficients)


def cam_from_picture(
    xy: Float[Tensor, "points 2"], family: str, coefficients: tuple[float, ...]
) -> Float[Tensor, "points 3"]:
    """The unit directions that `picture_from_cam` takes to `xy`."""
    distortion = _DISTORTIONS[family]
    return cam_from_equidistant(inverted(xy, lambda ideal: distortion(ideal, coefficients)))


def _radial(xy: Float[Tensor, "points 2"], coefficients: tuple[float, ...]) -> Float[Tensor, "points"]:
    """1 + k1 r2 + k2 r4 + ..."""
    r2 = xy.square().sum(dim=-1)
    value = torch.zeros_like(r2)
    for coefficient in reversed(coefficients):
        value = r2 * (coefficient + value)
    return 1 + value
