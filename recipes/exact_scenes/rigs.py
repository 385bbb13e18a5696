"""Where the cameras stand: rings round a place, a walk inside a room, a small plane before a scene. No Blender needed.

Each rig returns the training views, then the test views, which lie between them: a camera of the test split never
stands where one of the training split does. All lengths are metres, angles degrees.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from blender_parts.views import View, look_at

Ring = tuple[float, float]


def _named(training: list[np.ndarray], test: list[np.ndarray]) -> list[View]:
    named = [View(f"train_{k:03d}", pose) for k, pose in enumerate(training)]
    return named + [View(f"test_{k:03d}", pose) for k, pose in enumerate(test)]


def _shares(count: int, weights: Sequence[float]) -> list[int]:
    """`count` split by weights into whole numbers that sum to it."""
    ends = np.rint(count * np.cumsum(weights) / np.sum(weights)).astype(int)
    return np.diff([0, *ends]).tolist()


def rings(rng: np.random.Generator, target: np.ndarray, around: Sequence[Ring], train: int, test: int) -> list[View]:
    """Cameras that look at `target` from rings of (elevation, distance), with a little jitter."""

    def pose(azimuth: float, elevation: float, distance: float) -> np.ndarray:
        azimuth = math.radians(azimuth + rng.uniform(-3.0, 3.0))
        elevation = math.radians(elevation + rng.uniform(-2.0, 2.0))
        far = distance * (1.0 + rng.uniform(-0.04, 0.04))
        aimed = target + distance * rng.uniform(-0.03, 0.03, 3)
        across = math.cos(elevation)
        direction = [across * math.cos(azimuth), across * math.sin(azimuth), math.sin(elevation)]
        return look_at(aimed + far * np.array(direction), aimed)

    training = []
    # A ring needs the more cameras the longer it is.
    counts = _shares(train, [math.cos(math.radians(elevation)) for elevation, _ in around])
    for k, ((elevation, distance), count) in enumerate(zip(around, counts, strict=True)):
        for n in range(count):
            training.append(pose(360.0 * (n + k / len(around)) / count, elevation, distance))
    between = [np.mean(pair, axis=0) for pair in itertools.pairwise(around)] or [np.array(around[0])]
    held_out = [pose(360.0 * (n + 0.4) / test, *between[n % len(between)]) for n in range(test)]
    return _named(training, held_out)


def walk(rng: np.random.Generator, half: Ring, heights: Sequence[float], train: int, test: int) -> list[View]:
    """Cameras on ellipses inside a room round the origin, each looking across its middle at the farther side.

    `half` are the ellipse's half axes; `heights` those of the ellipses above the floor.
    """

    def pose(turn: float, height: float) -> np.ndarray:
        angle = 2.0 * math.pi * turn + rng.uniform(-0.05, 0.05)
        stretch = rng.uniform(0.85, 1.1)
        eye = np.array([half[0] * math.cos(angle), half[1] * math.sin(angle), 0.0]) * stretch
        across = angle + math.pi + rng.uniform(-0.55, 0.55)
        target = np.array([half[0] * math.cos(across), half[1] * math.sin(across), rng.uniform(0.35, 0.75)])
        eye[2] = height + rng.uniform(-0.08, 0.08)
        return look_at(eye, target)

    counts = _shares(train, np.ones(len(heights)))
    training = [
        pose((n + k / len(heights)) / count, height)
        for k, (height, count) in enumerate(zip(heights, counts, strict=True))
        for n in range(count)
    ]
    return _named(training, [pose((n + 0.3) / test, float(np.mean(heights))) for n in range(test)])


def plane(rng: np.random.Generator, eye: np.ndarray, target: np.ndarray, half: Ring, counts: Ring) -> list[View]:
    """Forward-facing cameras on a jittered grid in the plane through `eye` that faces `target`, which all look at.

    `half` are the plane's half width and half height, `counts` the numbers of training and test views.
    """
    axes = look_at(eye, target)[:3, :3]

    def pose(across: float, up: float) -> np.ndarray:
        place = eye + axes[:, 0] * across * half[0] + axes[:, 1] * up * half[1]
        place = place + axes[:, 2] * rng.uniform(-0.05, 0.05)
        return look_at(place, target + rng.uniform(-0.03, 0.03, 3))

    train, test = int(counts[0]), int(counts[1])
    rows = max(1, round(math.sqrt(train * half[1] / half[0])))
    training = []
    for row, count in enumerate(_shares(train, np.ones(rows))):
        for n in range(count):
            across, up = 2.0 * (n + 0.5) / count - 1.0, 2.0 * (row + 0.5) / rows - 1.0
            training.append(pose(across + rng.uniform(-0.4, 0.4) / count, up + rng.uniform(-0.4, 0.4) / rows))
    held_out = [pose(*rng.uniform(-0.75, 0.75, 2)) for _ in range(test)]
    return _named(training, held_out)
