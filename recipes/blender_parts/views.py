"""Cameras of rendered scenes: a lens, posed views, projection both ways, and nerfstudio's `transforms.json`.

A pose is `world_from_cam`, 4 x 4, in Blender's (OpenGL's) camera axes: x right, y up, looking along -z. The centre of
pixel (0, 0) is at (0.5, 0.5), so that the principal point of a 480 x 360 picture is (240, 180). No Blender needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Lens:
    """A pinhole camera with square pixels and its principal point in the middle of the picture."""

    width: int
    height: int
    horizontal_fov_degrees: float

    @property
    def focal_pixels(self) -> float:
        return 0.5 * self.width / math.tan(math.radians(0.5 * self.horizontal_fov_degrees))


@dataclass(frozen=True)
class View:
    """A named camera: the picture's stem and its pose."""

    stem: str
    world_from_cam: np.ndarray

    @property
    def file_name(self) -> str:
        return f"{self.stem}.jpg"

    @property
    def for_training(self) -> bool:
        return self.stem.startswith("train_")


@dataclass(frozen=True)
class Observed:
    """A view with its label pass: object index (H x W) and depth_z (H x W, metres, 0 for the sky)."""

    view: View
    index: np.ndarray
    depth_z: np.ndarray


def look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The pose at `eye` that looks at `target` with the world's z upwards in the picture."""
    backward = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0.0, 0.0, 1.0], backward)
    right /= np.linalg.norm(right)
    world_from_cam = np.eye(4)
    world_from_cam[:3, :3] = np.stack([right, np.cross(backward, right), backward], axis=1)
    world_from_cam[:3, 3] = eye
    return world_from_cam


def unproject(lens: Lens, view: View, xy: np.ndarray, depth_z: np.ndarray) -> np.ndarray:
    """World points (N x 3) of pixel positions (N x 2) at depths along the camera's axis (N)."""
    x = (xy[:, 0] - lens.width / 2) / lens.focal_pixels * depth_z
    y = -(xy[:, 1] - lens.height / 2) / lens.focal_pixels * depth_z
    p_cam = np.stack([x, y, -depth_z], axis=1)
    return p_cam @ view.world_from_cam[:3, :3].T + view.world_from_cam[:3, 3]


def project(lens: Lens, view: View, p_world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixel positions (N x 2) and depth_z (N) of world points."""
    p_cam = (p_world - view.world_from_cam[:3, 3]) @ view.world_from_cam[:3, :3]
    depth_z = -p_cam[:, 2]
    x = lens.width / 2 + lens.focal_pixels * p_cam[:, 0] / depth_z
    y = lens.height / 2 - lens.focal_pixels * p_cam[:, 1] / depth_z
    return np.stack([x, y], axis=1), depth_z


def pixels_of(lens: Lens, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Column, row and whether it is inside the picture, of pixel positions (N x 2); outside ones are clipped."""
    column, row = np.floor(xy[:, 0]).astype(int), np.floor(xy[:, 1]).astype(int)
    inside = (column >= 0) & (column < lens.width) & (row >= 0) & (row < lens.height)
    return np.clip(column, 0, lens.width - 1), np.clip(row, 0, lens.height - 1), inside


def distance_to_edge(mask: np.ndarray, limit: int = 24) -> np.ndarray:
    """Chebyshev distance (H x W, pixels, at most `limit`) of each mask pixel to the nearest pixel outside the mask."""
    distance, rest = np.zeros(mask.shape, int), mask
    for _ in range(limit):
        distance += rest
        padded = np.pad(rest, 1)
        rows, columns = mask.shape
        shifts = [padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
        rest = np.logical_and.reduce(shifts)
    return distance


def transforms(lens: Lens, views: list[View]) -> dict:
    """The contents of `transforms.json`."""
    frames = [
        {"file_path": f"images/{view.file_name}", "transform_matrix": np.round(view.world_from_cam, 9).tolist()}
        for view in views
    ]
    return {
        "camera_model": "PINHOLE",
        "w": lens.width,
        "h": lens.height,
        "fl_x": lens.focal_pixels,
        "fl_y": lens.focal_pixels,
        "cx": lens.width / 2,
        "cy": lens.height / 2,
        "frames": frames,
        "train_filenames": [f["file_path"] for f in frames if "/train_" in f["file_path"]],
        "test_filenames": [f["file_path"] for f in frames if "/test_" in f["file_path"]],
    }
