"""Lenses: from directions in camera axes to normalised picture coordinates and back.

Normalised picture coordinates are pixels less the optical centre, over the focal lengths. The families, with their
coefficients in the order of COLMAP's camera models:

opencv      (k1, k2, p1, p2, k3, k4, k5, k6), `distortion.py`; empty for a pinhole
fisheye, thin_prism_fisheye, rad_tan_thin_prism_fisheye
            `fisheye.py`
fov         (omega,), Devernay and Faugeras 2001: the radius is atan(2 tan(theta) tan(omega / 2)) / omega
division    (k,), Fitzgibbon 2001: the ray through (x, y) is (x, y, 1 + k r2)
eucm        (alpha, beta), Khomutenko et al. 2016: (x, y) / (alpha d + (1 - alpha) z) with d2 = beta (x2 + y2) + z2
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sanerf.geometry import distortion, fisheye
from sanerf.shapes import Float

MOST_COEFFICIENTS = {
    "opencv": 8,
    "fisheye": 4,
    "thin_prism_fisheye": 8,
    "rad_tan_thin_prism_fisheye": 12,
    "fov": 1,
    "division": 1,
    "eucm": 2,
}
"""Each family and how many coefficients it has."""
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Lens:
    """A family and its coefficients; trailing zeros may be left out, save in `fov` and `eucm`.

    Raises ValueError where there is no such family, too many coefficients, or one that is not finite.
    """

    family: str = "opencv"
    coefficients: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        most = MOST_COEFFICIENTS.get(self.family)
        if most is None:
            raise ValueError(f"there is no lens family {self.family!r}; expected one of {', '.join(MOST_COEFFICIENTS)}")
        count = len(self.coefficients)
        if count > most or (self.family in ("fov", "eucm") and count < most):
            raise ValueError(f"a lens of family {self.family} has {most} coefficients, not {count}")
        if not all(math.isfinite(value) for value in self.coefficients):
            raise ValueError(f"a lens of family {self.family} has coefficients that are not finite numbers")

    @property
    def is_pinhole(self) -> bool:
        """Whether straight lines stay straight: no distortion at all."""
        return self.family in ("opencv", "division") and not any(self.coefficients)


PINHOLE = Lens()


def distort(lens: Lens, p_cam: Float[Tensor, "points 3"]) -> Float[Tensor, "points 2"]:
    """Normalised picture coordinates of points in camera axes; those of points with z <= 0 mean nothing."""
    xy, z = p_cam[:, :2], p_cam[:, 2:]
    match lens.family:
        case "opencv":
            safe_z = torch.where(z.abs() < _SMALLEST, torch.full_like(z, _SMALLEST), z)
            return distortion.distort(xy / safe_z, lens.coefficients)
        case "fov":
            return _distort_fov(p_cam, lens.coefficients[0])
        case "division":
            (k,) = distortion.padded(lens.coefficients, 1)
            # Where k > 0 there is no image beyond some angle; without the root the map goes on linearly from there.
            root = (z.square() - 4 * k * xy.square().sum(dim=-1, keepdim=True)).clamp_min(0.0).sqrt()
            return 2 * xy / (z + root).clamp_min(_SMALLEST)
        case "eucm":
            alpha, beta = lens.coefficients
            d = (beta * xy.square().sum(dim=-1, keepdim=True) + z.square()).sqrt()
            return xy / (alpha * d + (1 - alpha) * z).clamp_min(_SMALLEST)
        case _:
            return fisheye.picture_from_cam(p_cam, lens.family, lens.coefficients)


def undistort(lens: Lens, xy: Float[Tensor, "points 2"]) -> Float[Tensor, "points 3"]:
    """The unit directions in camera axes of the rays through normalised picture coordinates."""
    match lens.family:
        case "opencv":
            ideal = distortion.undistort(xy, lens.coefficients)
            direction = torch.nn.functional.pad(ideal, (0, 1), value=1.0)
        case "fov":
            direction = _undistort_fov(xy, lens.coefficients[0])
        case "division":
            (k,) = distortion.padded(lens.coefficients, 1)
            z = (1 + k * xy.square().sum(dim=-1, keepdim=True)).clamp_max(2.0)
            direction = torch.cat([xy, z], dim=-1)
        case "eucm":
            alpha, beta = lens.coefficients
            r2 = beta * xy.square().sum(dim=-1, keepdim=True)
            root = (1 - (2 * alpha - 1) * r2).clamp_min(0.0).sqrt()
            z = (1 - alpha**2 * r2) / (alpha * root + 1 - alpha).clamp_min(_SMALLEST)
            direction = torch.cat([xy, z], dim=-1)
        case _:
            return fisheye.cam_from_picture(xy, lens.family, lens.coefficients)
    return direction / direction.norm(dim=-1, keepdim=True)


def _distort_fov(p_cam: Float[Tensor, "points 3"], omega: float) -> Float[Tensor, "points 2"]:
    if abs(omega) < _SMALLEST:
        return distort(PINHOLE, p_cam)
    radius = p_cam[:, :2].norm(dim=-1)
    widened = 2 * math.tan(omega / 2) * radius
    on_axis = radius < _SMALLEST * p_cam[:, 2].abs()
    scale = torch.atan2(widened, p_cam[:, 2]) / omega / torch.where(on_axis, torch.ones_like(radius), radius)
    return torch.where(on_axis[:, None], torch.zeros_like(p_cam[:, :2]), p_cam[:, :2] * scale[:, None])


def _undistort_fov(xy: Float[Tensor, "points 2"], omega: float) -> Float[Tensor, "points 3"]:
    if abs(omega) < _SMALLEST:
        return undistort(PINHOLE, xy)
    angle = (xy.norm(dim=-1, keepdim=True) * omega).clamp_max(math.pi)
    # (x, y) / r sin(r omega), with sin(r omega) / r = omega sinc.
    return torch.cat([xy * omega * torch.sinc(angle / math.pi), 2 * math.tan(omega / 2) * angle.cos()], dim=-1)
