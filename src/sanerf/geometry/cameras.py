"""Cameras behind any lens of `lenses.py`: pixels to rays and back (paper, Eq. 6).

Conventions (docs/conventions.md): camera axes are OpenCV's, x right, y down, z forward; the centre of pixel (0, 0) is
(0.5, 0.5); ray directions are unit; `depth_z` is measured along the camera's axis, `distance` along the ray.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sanerf.geometry.lenses import PINHOLE, Lens, distort, undistort
from sanerf.shapes import Bool, Float, Float64


@dataclass(frozen=True)
class Camera:
    """One view's intrinsics and pose.

    `width`, `height`, focal lengths and optical centre are in pixels; without a `lens` the camera is a pinhole.
    `world_from_cam` is rigid and float64 on the CPU; functions cast to what they are given.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    world_from_cam: Float64[Tensor, "4 4"]
    lens: Lens = PINHOLE

    @property
    def intrinsics(self) -> tuple[int, int, float, float, float, float, Lens]:
        """All but the pose: cameras with equal intrinsics have the same rays in camera axes."""
        return self.width, self.height, self.fx, self.fy, self.cx, self.cy, self.lens

    @property
    def cam_from_world(self) -> Float64[Tensor, "4 4"]:
        """The inverse of `world_from_cam`."""
        rotation, centre = self.world_from_cam[:3, :3], self.world_from_cam[:3, 3]
        out = torch.eye(4, dtype=torch.float64)
        out[:3, :3] = rotation.T
        out[:3, 3] = -rotation.T @ centre
        return out

    @property
    def centre(self) -> Float64[Tensor, "3"]:
        """The optical centre in the world."""
        return self.world_from_cam[:3, 3]


@dataclass(frozen=True)
class Rays:
    """Rays in the world: `p_world = origins + distance * directions`, with unit directions.

    `z_per_distance` is the cosine between ray and optical axis, so that `depth_z = distance * z_per_distance`.
    """

    origins: Float[Tensor, "rays 3"]
    directions: Float[Tensor, "rays 3"]
    z_per_distance: Float[Tensor, "rays"]

    def __len__(self) -> int:
        return self.origins.shape[0]

    def __getitem__(self, index: slice | Tensor) -> "Rays":
        return Rays(self.origins[index], self.directions[index], self.z_per_distance[index])

    def to(self, device: torch.device) -> "Rays":
        """The same rays on a device."""
        return Rays(self.origins.to(device), self.directions.to(device), self.z_per_distance.to(device))

    def at(self, distances: Float[Tensor, "rays"]) -> Float[Tensor, "rays 3"]:
        """A point of each ray, in the world."""
        return self.origins + distances[:, None] * self.directions


def pixel_centres(camera: Camera) -> Float[Tensor, "pixels 2"]:
    """All pixel centres (x, y) in row-major order, float32."""
    y, x = torch.meshgrid(torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)


def camera_rays(camera: Camera, xy: Float[Tensor, "rays 2"]) -> Rays:
    """The rays through pixels `xy` of the camera's picture, lens distortion undone."""
    xy_double = xy.double()
    normalised = torch.stack(
        [(xy_double[:, 0] - camera.cx) / camera.fx, (xy_double[:, 1] - camera.cy) / camera.fy], dim=-1
    )
    in_cam = undistort(camera.lens, normalised)
    world_from_cam = camera.world_from_cam.to(xy.device)
    directions = in_cam @ world_from_cam[:3, :3].T
    origins = world_from_cam[:3, 3].expand_as(directions)
    return Rays(origins.to(xy.dtype).contiguous(), directions.to(xy.dtype), in_cam[:, 2].to(xy.dtype))


def image_rays(camera: Camera) -> Rays:
    """The rays of all pixels in row-major order."""
    return camera_rays(camera, pixel_centres(camera))


def project(
    camera: Camera, p_world: Float[Tensor, "points 3"]
) -> tuple[Float[Tensor, "points 2"], Float[Tensor, "points"]]:
    """Pixels (x, y) and `depth_z` of points; pixels of points with `depth_z` <= 0 mean nothing."""
    cam_from_world = camera.cam_from_world.to(p_world.device)
    in_cam = p_world.double() @ cam_from_world[:3, :3].T + cam_from_world[:3, 3]
    depth_z = in_cam[:, 2]
    normalised = distort(camera.lens, in_cam)
    xy = torch.stack([normalised[:, 0] * camera.fx + camera.cx, normalised[:, 1] * camera.fy + camera.cy], dim=-1)
    return xy.to(p_world.dtype), depth_z.to(p_world.dtype)


def inside_image(camera: Camera, xy: Float[Tensor, "points 2"]) -> Bool[Tensor, "points"]:
    """Which pixels lie on the picture."""
    return (xy[:, 0] >= 0) & (xy[:, 0] < camera.width) & (xy[:, 1] >= 0) & (xy[:, 1] < camera.height)


def resized(camera: Camera, width: int, height: int) -> Camera:
    """The same camera for its picture resampled to `width` x `height`."""
    sx, sy = width / camera.width, height / camera.height
    return replace(
        camera, width=width, height=height, fx=camera.fx * sx, fy=camera.fy * sy, cx=camera.cx * sx, cy=camera.cy * sy
    )
