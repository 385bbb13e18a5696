"""Similarity transforms between a scene file's frame and the normalised world the fields live in."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sanerf.geometry.cameras import Camera
from sanerf.shapes import Float, Float64


@dataclass(frozen=True)
class Similarity:
    """`p_target = scale * rotation @ p_source + translation`; named `target_from_source`."""

    scale: float
    rotation: Float64[Tensor, "3 3"]
    translation: Float64[Tensor, "3"]

    def inverse(self) -> "Similarity":
        """`source_from_target`."""
        return Similarity(1.0 / self.scale, self.rotation.T, -(self.rotation.T @ self.translation) / self.scale)

    def after(self, source_from_other: "Similarity") -> "Similarity":
        """`target_from_other`: `source_from_other` first, then this."""
        moved = self.scale * (self.rotation @ source_from_other.translation) + self.translation
        return Similarity(self.scale * source_from_other.scale, self.rotation @ source_from_other.rotation, moved)

    def apply(self, p_source: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
        """Transform points, in their own dtype (computed in float64)."""
        out = self.scale * (p_source.double() @ self.rotation.T.to(p_source.device))
        return (out + self.translation.to(p_source.device)).to(p_source.dtype)

    def apply_to_camera(self, camera: Camera) -> Camera:
        """The camera seen from the target frame: its pose stays rigid, the scale moves its centre."""
        target_from_cam = torch.eye(4, dtype=torch.float64)
        target_from_cam[:3, :3] = self.rotation @ camera.world_from_cam[:3, :3]
        target_from_cam[:3, 3] = self.apply(camera.world_from_cam[None, :3, 3])[0]
        return replace(camera, world_from_cam=target_from_cam)


IDENTITY = Similarity(1.0, torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))
