"""Thin and see-through things on a tiled yard: spokes, wires, rods, glass. What is behind them shows through."""

from __future__ import annotations

import math

import numpy as np

from exact_scenes import rigs
from exact_scenes.plan import Counts, Plan, Thing, brown, colour, generator


def make(seed: int, counts: Counts) -> Plan:
    """The plan: a bicycle in the middle with six other things round it, on an arrangement that turns with the seed."""
    rng = generator("thin", seed)
    turn, hue = rng.uniform(0.0, 2.0 * math.pi), rng.random()

    def placed(name: str, text: str, maker: str, x: float, y: float, yaw: float, size: float = 1.0, **options) -> Thing:
        x, y = x + rng.uniform(-0.04, 0.04), y + rng.uniform(-0.04, 0.04)
        spot = (x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn), 0.0)
        return Thing(name, text, maker, spot, math.degrees(turn) + yaw + rng.uniform(-8, 8), size=size, options=options)

    things = (
        placed("bicycle", "a bicycle with spoked wheels on its stand", "bicycle", 0.0, 0.1, 10.0,
               paint=colour(rng, hue, 0.85, 0.4)),
        placed("basket", "an open basket of wires", "basket", 0.75, -0.55, 0.0, wire=colour(rng, hue + 0.5, 0.6, 0.3)),
        placed("cage", "a domed bird cage on a wooden floor", "bird_cage", -0.75, -0.55, 0.0,
               wire=(0.5, 0.33, 0.08)),
        placed("ladder", "a stepladder of tubes", "ladder", -0.85, 0.75, 30.0, paint=colour(rng, hue + 0.3, 0.7, 0.35)),
        placed("stool", "a high stool on thin legs", "stool", 0.85, 0.75, 15.0, metal=(0.06, 0.06, 0.07),
               seat=colour(rng, hue + 0.7, 0.7, 0.3)),
        placed("vase", "a vase of clear glass with pebbles", "glass_vase", 0.0, -0.85, 0.0, tint=(0.78, 0.9, 0.86)),
        placed("chair", "a red chair of thin rods", "chair", 0.1, 1.15, 170.0, 4.4),
    )  # fmt: skip
    return Plan(
        kind="thin",
        seed=seed,
        lens=counts.lens(55.0),
        views=rigs.rings(
            rng, np.array([0.0, 0.1, 0.4]), ((14.0, 2.75), (27.0, 2.75), (44.0, 2.7)), counts.train, counts.test
        ),
        things=things,
        clicked=("bicycle", "basket", "cage", "ladder", "stool", "vase", "chair"),
        surroundings={
            "tiles": (colour(rng, 0.07, 0.3, 0.42), colour(rng, 0.05, 0.4, 0.3), (0.14, 0.13, 0.12)),
            "bricks": (colour(rng, 0.02, 0.6, 0.4), colour(rng, 0.05, 0.55, 0.28), (0.45, 0.42, 0.38)),
            "hedge": colour(rng, 0.3, 0.7, 0.2),
            "posts": brown(rng, 0.3),
            "sun": (rng.uniform(30, 50), rng.uniform(0, 360)),
        },
    )
