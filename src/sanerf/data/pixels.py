"""All pixels of many views as one flat bank that training draws rays from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sanerf.geometry.cameras import Camera, Rays, camera_rays, pixel_centres
from sanerf.shapes import Float, Int64, UInt8


@dataclass(frozen=True)
class PixelBank:
    """Colours and rays of every pixel of some views; views may differ in size.

    Pixels are row-major inside a view, views one after the other; `first_pixel` has one entry more than there are
    views. Directions are kept once for each distinct set of intrinsics, in camera axes.
    """

    rgb: UInt8[Tensor, "pixels 3"]
    alpha: UInt8[Tensor, "pixels"] | None
    first_pixel: Int64[Tensor, "views_and_one"]
    first_direction: Int64[Tensor, "views"]
    directions_cam: Float[Tensor, "directions 3"]
    rotations: Float[Tensor, "views 3 3"]
    centres: Float[Tensor, "views 3"]

    def __len__(self) -> int:
        return self.rgb.shape[0]

    def view_of(self, pixels: Int64[Tensor, "rays"]) -> Int64[Tensor, "rays"]:
        """Which view each flat pixel belongs to."""
        return torch.searchsorted(self.first_pixel, pixels, right=True) - 1

    def rays(self, pixels: Int64[Tensor, "rays"]) -> Rays:
        """The world rays of flat pixels."""
        view = self.view_of(pixels)
        in_cam = self.directions_cam[self.first_direction[view] + pixels - self.first_pixel[view]]
        directions = (self.rotations[view] @ in_cam[..., None])[..., 0]
        return Rays(self.centres[view], directions, in_cam[:, 2])

    def colours(self, pixels: Int64[Tensor, "rays"]) -> Float[Tensor, "rays 3"]:
        """sRGB in [0, 1] of flat pixels."""
        return self.rgb[pixels].float() / 255

    def opacities(self, pixels: Int64[Tensor, "rays"]) -> Float[Tensor, "rays"] | None:
        """Alpha in [0, 1] of flat pixels, None where the pictures have none."""
        return None if self.alpha is None else self.alpha[pixels].float() / 255

    def to(self, device: torch.device) -> "PixelBank":
        return PixelBank(*(None if t is None else t.to(device) for t in vars(self).values()))  # pyright: ignore[reportArgumentType]


def pixel_bank(cameras: Sequence[Camera], images: Sequence[Tensor], alphas: Sequence[Tensor] | None) -> PixelBank:
    """A bank of the views' pictures (uint8 h w 3) and alphas (uint8 h w), each the size of its camera."""
    first_direction, directions, seen, total = [], [], {}, 0
    for camera in cameras:
        key = (camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy, camera.lens)
        if key not in seen:
            seen[key] = total
            at_origin = Camera(*key[:6], torch.eye(4, dtype=torch.float64), camera.lens)
            directions.append(camera_rays(at_origin, pixel_centres(camera)).directions)
            total += camera.width * camera.height
        first_direction.append(seen[key])
    counts = [0] + [image.shape[0] * image.shape[1] for image in images]
    world_from_cam = torch.stack([camera.world_from_cam for camera in cameras]).float()
    return PixelBank(
        torch.cat([image.reshape(-1, 3) for image in images]),
        None if alphas is None else torch.cat([alpha.reshape(-1) for alpha in alphas]),
        torch.tensor(counts).cumsum(0),
        torch.tensor(first_direction),
        torch.cat(directions),
        world_from_cam[:, :3, :3].contiguous(),
        world_from_cam[:, :3, 3].contiguous(),
    )
