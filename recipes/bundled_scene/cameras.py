"""The views: cameras on rings round the table, and their nerfstudio `transforms.json`.

A pose is `world_from_cam`, 4 x 4, in Blender's (OpenGL's) camera axes: x right, y up, looking along -z. The centre of
pixel (0, 0) is at (0.5, 0.5), so that the principal point of a 480 x 360 picture is (240, 180).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 480, 360
HORIZONTAL_FOV_DEGREES = 55.0
FOCAL_PIXELS = 0.5 * WIDTH / math.tan(math.radians(0.5 * HORIZONTAL_FOV_DEGREES))
TARGET = np.array([0.0, 0.0, 0.035])

# (elevation in degrees, distance in metres, number of views): the training rings.
TRAINING_RINGS = ((24.0, 0.89, 24), (38.0, 0.87, 21), (54.0, 0.86, 15))
TEST_ELEVATIONS = (29.0, 44.0, 34.0)
TEST_VIEWS = 12


@dataclass(frozen=True)
class View:
    """A named camera: the picture's stem and its pose."""

    stem: str
    world_from_cam: np.ndarray

    @property
    def file_name(self) -> str:
        return f"{self.stem}.jpg"


def look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The pose at `eye` that looks at `target` with the world's z upwards in the picture."""
    backward = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0.0, 0.0, 1.0], backward)
    right /= np.linalg.norm(right)
    world_from_cam = np.eye(4)
    world_from_cam[:3, :3] = np.stack([right, np.cross(backward, right), backward], axis=1)
    world_from_cam[:3, 3] = eye
    return world_from_cam


def _jittered_view(stem: str, azimuth: float, elevation: float, distance: float, rng: np.random.Generator) -> View:
    azimuth = math.radians(azimuth + rng.uniform(-3.0, 3.0))
    elevation = math.radians(elevation + rng.uniform(-2.0, 2.0))
    distance = distance + rng.uniform(-0.03, 0.03)
    target = TARGET + rng.uniform(-0.02, 0.02, 3)
    direction = [math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)]
    return View(stem, look_at(target + distance * np.array(direction), target))


def make_views(seed: int) -> list[View]:
    """The 60 training views, ring by ring, then the 12 test views, which lie between the rings."""
    rng = np.random.default_rng(seed)
    views: list[View] = []
    for ring, (elevation, distance, count) in enumerate(TRAINING_RINGS):
        for k in range(count):
            azimuth = 360.0 * (k + ring / len(TRAINING_RINGS)) / count
            views.append(_jittered_view(f"train_{len(views):03d}", azimuth, elevation, distance, rng))
    for k in range(TEST_VIEWS):
        elevation = TEST_ELEVATIONS[k % len(TEST_ELEVATIONS)]
        views.append(_jittered_view(f"test_{k:03d}", 360.0 * (k + 0.4) / TEST_VIEWS, elevation, 0.875, rng))
    return views


def transforms(views: list[View]) -> dict:
    """The contents of `transforms.json`."""
    frames = [
        {"file_path": f"images/{view.file_name}", "transform_matrix": np.round(view.world_from_cam, 9).tolist()}
        for view in views
    ]
    return {
        "camera_model": "PINHOLE",
        "w": WIDTH,
        "h": HEIGHT,
        "fl_x": FOCAL_PIXELS,
        "fl_y": FOCAL_PIXELS,
        "cx": WIDTH / 2,
        "cy": HEIGHT / 2,
        "frames": frames,
        "train_filenames": [f["file_path"] for f in frames if "/train_" in f["file_path"]],
        "test_filenames": [f["file_path"] for f in frames if "/test_" in f["file_path"]],
    }
