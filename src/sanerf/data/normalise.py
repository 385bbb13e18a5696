"""The one similarity `world_from_file` of a scene: what the cameras look at lies about the origin, z is up.

Four kinds of capture:

- Looking inward (a walk round something): the origin is the point nearest to all optical axes, and the cameras' mean
  distance from it is 1.
- Looking outward or straight ahead (LLFF's forward-facing scenes, panoramas), where no such point exists in front of
  the cameras: the origin is the cameras' mean, and the nearest bound lies at 0.5 or, where the file gives no bounds,
  the cameras' root mean square distance from the origin is 0.25. What is seen lies around radius one and beyond.
- Rooms whose files give their box: the origin is its centre, its longest side is 2, nothing turns, so that the walls
  lie within the cube that contraction leaves as it is.
- Blender's synthetic scenes, which stand upright at their origin: only scaled, mean camera distance 1.

Rays start at `near`: 0.05, or nine tenths of the nearest bound of the file. They have no end (`far` is infinite, for
the far bound of a file is only that of its sparse points), save in pictures with alpha, where nothing lies outside the
unit ball and rays end on its far side as seen from the farthest camera (`silhouettes.py` then fits it to the thing).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sanerf.data.capture import Capture
from sanerf.geometry.cameras import Camera
from sanerf.geometry.transforms import Similarity
from sanerf.shapes import Float64

DEFAULT_NEAR = 0.05
FORWARD_NEAREST = 0.5
FORWARD_SPREAD = 0.25
_BOUND_MARGIN = 0.9
_PARALLEL_AXES = 0.85
# Mean squared sine between the axes and their common direction below which where they meet is noise: 10 degrees.
_ILL_CONDITIONED = 0.03
_UPRIGHT = 0.1


@dataclass(frozen=True)
class Normalisation:
    """`world_from_file` and the bounds of rays in the world."""

    world_from_file: Similarity
    near: float
    far: float


def normalise(capture: Capture) -> Normalisation:
    """The similarity of a capture and the distances in which its rays may meet something."""
    cameras = [view.camera for view in capture.views]
    centres = torch.stack([camera.centre for camera in cameras])
    if capture.room is not None:
        low, high = torch.tensor(capture.room, dtype=torch.float64)
        scale = 2.0 / float((high - low).max())
        return Normalisation(
            Similarity(scale, torch.eye(3, dtype=torch.float64), -scale * (low + high) / 2), DEFAULT_NEAR, math.inf
        )
    if capture.z_is_up:
        rotation, origin = torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
        inward = True
    else:
        rotation = rotation_to_z(mean_up(cameras))
        focus = focus_point(cameras)
        inward = looks_inward(cameras, focus)
        origin = focus if inward else centres.mean(dim=0)

    distances = (centres - origin).norm(dim=-1)
    if inward:
        scale = 1.0 / float(distances.mean())
    elif capture.close_bound is not None:
        scale = FORWARD_NEAREST / capture.close_bound
    else:
        spread = float(distances.square().mean().sqrt())
        scale = FORWARD_SPREAD / spread if spread > 1e-9 else 1.0
    near = DEFAULT_NEAR if capture.close_bound is None else _BOUND_MARGIN * scale * capture.close_bound
    far = scale * float(distances.max()) + 1.0 if capture.has_alpha else math.inf
    return Normalisation(Similarity(scale, rotation, -scale * (rotation @ origin)), near, far)


def mean_up(cameras: Sequence[Camera]) -> Float64[Tensor, "3"]:
    """The mean of the cameras' up directions (minus y), of length 0 to 1: how well they agree."""
    return torch.stack([-camera.world_from_cam[:3, 1] for camera in cameras]).mean(dim=0)


def rotation_to_z(up: Float64[Tensor, "3"]) -> Float64[Tensor, "3 3"]:
    """The smallest rotation that takes `up` to +z; none where `up` is shorter than 0.1 and so says nothing."""
    identity = torch.eye(3, dtype=torch.float64)
    if up.norm() < _UPRIGHT:
        return identity
    up = up / up.norm()
    cosine = float(up[2])
    if cosine < -1 + 1e-9:
        return torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    # Rodrigues' formula with axis v = up x z and 1 / (1 + cos) for (1 - cos) / sin^2.
    v = torch.linalg.cross(up, identity[2])
    skew = torch.zeros(3, 3, dtype=torch.float64)
    skew[0, 1], skew[0, 2], skew[1, 2] = -v[2], v[1], -v[0]
    skew = skew - skew.T
    return identity + skew + skew @ skew / (1 + cosine)


def focus_point(cameras: Sequence[Camera]) -> Float64[Tensor, "3"]:
    """The point with the least sum of distances to the optical axes.

    Iteratively reweighted least squares: a few cameras that look elsewhere do not pull it away. Where the axes are
    parallel, the point of that kind nearest to the cameras' mean.
    """
    centres = torch.stack([camera.centre for camera in cameras])
    axes = torch.stack([camera.world_from_cam[:3, 2] for camera in cameras])
    across = torch.eye(3, dtype=torch.float64) - axes[:, :, None] * axes[:, None, :]
    middle = centres.mean(dim=0)
    offsets = (across @ (centres - middle)[:, :, None])[:, :, 0]
    weights = torch.ones(len(cameras), dtype=torch.float64)
    focus = torch.zeros(3, dtype=torch.float64)
    for _ in range(30):
        normal_matrix = (weights[:, None, None] * across).sum(dim=0)
        focus = torch.linalg.pinv(normal_matrix, rtol=1e-9, hermitian=True) @ (weights[:, None] * offsets).sum(dim=0)
        residuals = ((across @ focus) - offsets).norm(dim=-1)
        weights = 1.0 / residuals.clamp_min(1e-3 * float(residuals.mean()) + 1e-12)
    return focus + middle


def looks_inward(cameras: Sequence[Camera], focus: Float64[Tensor, "3"]) -> bool:
    """Whether the optical axes meet in front of most cameras, by angles wide enough to tell where."""
    axes = torch.stack([camera.world_from_cam[:3, 2] for camera in cameras])
    towards = focus - torch.stack([camera.centre for camera in cameras])
    in_front = (axes * towards).sum(dim=-1) > 1e-9
    if in_front.double().mean() <= 0.5:
        return False
    if axes.mean(dim=0).norm() <= _PARALLEL_AXES:
        return True
    spread = torch.eye(3, dtype=torch.float64) - axes.T @ axes / len(cameras)
    return float(torch.linalg.eigvalsh(spread)[0]) > _ILL_CONDITIONED
