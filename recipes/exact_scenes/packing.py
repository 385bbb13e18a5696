"""Things laid out at random without touching: the plan of a cluttered floor or table. No Blender needed."""

from __future__ import annotations

import math

import numpy as np

FOOTPRINTS = {
    "ball": 0.23, "block": 0.045, "book": 0.13, "bottle": 0.04, "bowl": 0.095, "car": 0.125, "carton": 0.15,
    "chair": 0.085, "cow": 0.095, "dumbbell": 0.125, "mug": 0.08, "pear": 0.045, "pumpkin": 0.085, "ring": 0.095,
    "stacking_rings": 0.105, "teapot": 0.125, "vase": 0.105,
}  # fmt: skip
"""By maker, the radius in metres of a circle round the z axis that holds the thing at size 1."""


def scatter(rng: np.random.Generator, radii: list[float], reach: tuple[float, float]) -> list[tuple[float, float]]:
    """Middles of circles of the given radii that do not overlap, the largest placed first.

    `reach` are the half axes of the ellipse round the origin in which the circles lie.

    Raises AssertionError where they find no room in 4,000 trials each.
    """
    spots: dict[int, np.ndarray] = {}
    for k in sorted(range(len(radii)), key=lambda k: -radii[k]):
        for _ in range(4000):
            far, turn = math.sqrt(rng.random()), 2.0 * math.pi * rng.random()
            trial = far * (np.array(reach) - radii[k]) * (math.cos(turn), math.sin(turn))
            if all(np.linalg.norm(trial - spot) > radii[k] + radii[other] for other, spot in spots.items()):
                spots[k] = trial
                break
        assert k in spots, f"no room for thing {k} of radius {radii[k]} within {reach}"
    return [(float(spots[k][0]), float(spots[k][1])) for k in range(len(radii))]
