"""The views: cameras on rings round the table."""

from __future__ import annotations

import math

import numpy as np

from blender_parts.views import Lens, View, look_at

LENS = Lens(width=480, height=360, horizontal_fov_degrees=55.0)
TARGET = np.array([0.0, 0.0, 0.035])

# (elevation in degrees, distance in metres, number of views): the training rings.
TRAINING_RINGS = ((24.0, 0.89, 24), (38.0, 0.87, 21), (54.0, 0.86, 15))
TEST_ELEVATIONS = (29.0, 44.0, 34.0)
TEST_VIEWS = 12


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
