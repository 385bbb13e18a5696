"""Things on a meadow, seen from all sides, with trees and hills far behind them."""

from __future__ import annotations

import math

import numpy as np

from exact_scenes import rigs
from exact_scenes.plan import Counts, Plan, Thing, brown, colour, generator


def make(seed: int, counts: Counts) -> Plan:
    """The plan: eight things on a jittered arrangement that turns with the seed, and a wood of 70 far trees."""
    rng = generator("outdoor", seed)
    turn, hue = rng.uniform(0.0, 2.0 * math.pi), rng.random()

    def placed(name: str, text: str, maker: str, x: float, y: float, yaw: float, size: float = 1.0, **options) -> Thing:
        x, y = x + rng.uniform(-0.08, 0.08), y + rng.uniform(-0.08, 0.08)
        spot = (x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn), 0.0)
        facing = math.degrees(turn) + yaw + rng.uniform(-12.0, 12.0)
        return Thing(name, text, maker, spot, facing, size=size, options=options)

    things = (
        placed("bench", "a slatted bench with an iron frame", "bench", -0.1, 0.55, 0.0, paint=brown(rng, 0.38)),
        placed("barrel", "a wooden barrel with iron hoops", "barrel", -1.2, 0.1, 0.0, wood=brown(rng, 0.3)),
        placed("boulder", "a mossy boulder", "boulder", 1.15, 0.45, 30.0, stone=(0.3, 0.28, 0.26),
               seed=int(rng.integers(1000))),
        placed("cow", "a toy calf with brown patches", "cow", 0.1, -0.45, 160.0, 5.5),
        placed("signpost", "a post with two arrow boards", "signpost", 1.0, -0.65, 20.0,
               first=colour(rng, hue, 0.8, 0.3), second=colour(rng, hue + 0.4, 0.8, 0.3)),
        placed("logs", "a pile of sawn logs", "logs", -0.95, -0.95, 60.0, seed=int(rng.integers(1000))),
        placed("ball", "a beach ball with six panels", "ball", 0.65, -1.2, 0.0,
               first=colour(rng, hue + 0.15, 0.85, 0.5), second=colour(rng, hue + 0.6, 0.85, 0.4)),
        placed("pot", "a plant in a banded pot", "plant", -0.35, -1.35, 0.0, 0.8, pot=colour(rng, 0.04, 0.75, 0.35),
               leaf=colour(rng, 0.28, 0.7, 0.25), seed=int(rng.integers(1000))),
    )  # fmt: skip
    trees = []
    for k in range(70):
        angle, far = (
            2.0 * math.pi * (k + rng.uniform(-0.4, 0.4)) / 70,
            float(np.exp(rng.uniform(np.log(11), np.log(45)))),
        )
        trees.append(
            {
                "position": (far * math.cos(angle), far * math.sin(angle)),
                "leaf": colour(rng, rng.uniform(0.14, 0.32), 0.75, rng.uniform(0.12, 0.3)),
                "seed": k,
                "height": float(rng.uniform(2.5, 6.5)),
            }
        )
    surroundings = {
        "trees": trees,
        "sun": (rng.uniform(35, 55), rng.uniform(0, 360)),
        "hills_seed": int(rng.integers(99)),
    }
    rings = ((9.0, 3.6), (22.0, 3.7), (40.0, 3.7))
    return Plan(
        kind="outdoor",
        seed=seed,
        lens=counts.lens(60.0),
        views=rigs.rings(rng, np.array([0.0, -0.25, 0.35]), rings, counts.train, counts.test),
        things=things,
        clicked=("bench", "barrel", "boulder", "cow", "signpost", "logs", "ball"),
        surroundings=surroundings,
    )
