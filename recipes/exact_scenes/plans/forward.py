"""A still life with plants before a wall, seen from a small plane of cameras, as of LLFF: nothing shows its back."""

from __future__ import annotations

import numpy as np

from exact_scenes import rigs
from exact_scenes.plan import Counts, Plan, Thing, brown, colour, generator

TOP = 0.75  # the table's height in metres


def make(seed: int, counts: Counts) -> Plan:
    """The plan: ten things in two rows on a table, their places in the rows drawn by the seed, and two on the floor."""
    rng = generator("forward", seed)
    hue = rng.random()
    back = [
        ("fern", "a plant of broad leaves in a banded pot", "plant", 0.75,
         {"pot": colour(rng, 0.05, 0.7, 0.3), "leaf": colour(rng, 0.31, 0.75, 0.28), "seed": int(rng.integers(1000))}),
        ("bottle", "a dark stoneware bottle with a striped label", "bottle", 1.9, {}),
        ("vase", "a turned vase in three colours", "vase", 1.5, {"seed": int(rng.integers(1000))}),
        ("cactus", "a small plant with yellowish leaves", "plant", 0.5,
         {"pot": colour(rng, hue, 0.7, 0.3), "leaf": colour(rng, 0.2, 0.7, 0.4), "seed": int(rng.integers(1000))}),
    ]  # fmt: skip
    front = [
        ("teapot", "a speckled teapot", "teapot", 1.5, {}),
        ("pumpkin", "an orange pumpkin", "pumpkin", 1.5, {}),
        ("bowl", "a turned wooden bowl", "bowl", 1.4, {}),
        ("mug", "a mug with bands", "mug", 1.5, {}),
        ("cow", "a toy cow with brown patches", "cow", 1.6, {}),
    ]
    things = []
    for row, y, reach in ((back, 0.2, 0.56), (front, -0.2, 0.6)):
        order = rng.permutation(len(row))
        for slot, k in enumerate(order):
            name, text, maker, size, options = row[k]
            x = reach * (2.0 * slot / (len(row) - 1) - 1.0) + rng.uniform(-0.04, 0.04)
            spot = (float(x), y + rng.uniform(-0.05, 0.05), TOP)
            things.append(Thing(name, text, maker, spot, float(rng.uniform(0, 360)), size=size, options=options))
    bowl = next(thing.position for thing in things if thing.name == "bowl")
    pear = (bowl[0], bowl[1], TOP + 0.022)
    things.append(Thing("pear", "a pear that stands in the bowl", "pear", pear, 40.0, 18.0, size=1.3))
    side = 1.0 if rng.random() < 0.5 else -1.0
    leaf = colour(rng, 0.35, 0.7, 0.22)
    things.append(
        Thing("palm", "a tall plant on the floor beside the table", "plant", (1.02 * side, 0.3, 0.0), size=1.25,
              options={"pot": colour(rng, hue + 0.4, 0.6, 0.3), "leaf": leaf, "seed": int(rng.integers(1000))})
    )  # fmt: skip
    things.append(
        Thing("stool", "a high stool on thin legs", "stool", (-0.98 * side, 0.05, 0.0), 20.0,
              options={"metal": (0.06, 0.06, 0.07), "seat": colour(rng, hue + 0.6, 0.7, 0.3)})
    )  # fmt: skip
    return Plan(
        kind="forward",
        seed=seed,
        lens=counts.lens(53.0),
        views=rigs.plane(
            rng, np.array([0.0, -2.35, 1.35]), np.array([0.0, 0.1, 0.86]), (0.55, 0.32), (counts.train, counts.test)
        ),
        things=tuple(things),
        clicked=("fern", "bottle", "teapot", "pumpkin", "bowl", "mug", "palm", "stool"),
        surroundings={
            "table": brown(rng, 0.3),
            "planks": (brown(rng, 0.38), brown(rng, 0.26), brown(rng, 0.08)),
            "bricks": (colour(rng, 0.03, 0.5, 0.42), colour(rng, 0.06, 0.5, 0.3), (0.5, 0.47, 0.42)),
            "cloth": colour(rng, hue + 0.25, 0.7, 0.25),
            "prints": [[colour(rng, rng.random(), 0.8, 0.5) for _ in range(5)] for _ in range(2)],
        },
    )
