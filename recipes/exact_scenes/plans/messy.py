"""A room whose floor is littered with 40 small things, as of Messy Rooms: many identities, some of them twins."""

from __future__ import annotations

import numpy as np

from exact_scenes import packing, rigs
from exact_scenes.plan import Counts, Plan, Thing, brown, colour, generator

FIXED = ("mug", "teapot", "bowl", "bottle", "ring", "chair", "cow", "pumpkin", "block")
"""Makers whose things all look the same: a second one is a twin."""
DRAWN = ("vase", "carton", "stacking_rings", "car", "dumbbell")
"""Makers that draw shape and colours by a seed."""
COUNT, REACH, CLICKED = 40, 1.62, 8


def make(seed: int, counts: Counts) -> Plan:
    """The plan: 13 things of fixed looks, four of them twice, 4 books, 3 balls and 20 drawn ones; 8 of them clicked."""
    rng = generator("messy", seed)
    makers = [*FIXED, *rng.choice(FIXED, 4, replace=False).tolist(), *["book"] * 4, *["ball"] * 3]
    makers += [DRAWN[k % len(DRAWN)] for k in range(COUNT - len(makers))]
    sizes = [0.6 if m == "ball" else float(rng.uniform(1.5, 1.9) if m != "block" else 2.4) for m in makers]
    radii = [packing.FOOTPRINTS[maker] * size * 0.93 for maker, size in zip(makers, sizes, strict=True)]
    things, seen = [], dict.fromkeys(makers, 0)
    for maker, size, (x, y) in zip(makers, sizes, packing.scatter(rng, radii, (REACH, REACH)), strict=True):
        seen[maker] += 1
        options: dict = {}
        if maker in DRAWN:
            options = {"seed": int(rng.integers(10_000))}
        elif maker == "book":
            thick = float(rng.uniform(0.02, 0.05))
            cover = colour(rng, rng.random(), 0.75, 0.3)
            options = {"cover": cover, "stripe": colour(rng, rng.random(), 0.5, 0.6), "size": (0.15, 0.2, thick)}
        elif maker == "ball":
            options = {"first": colour(rng, rng.random(), 0.8, 0.5), "second": colour(rng, rng.random(), 0.8, 0.3)}
        name = f"{maker}_{seen[maker]}"
        text = f"a {maker.replace('_', ' ')} on the floor"
        things.append(Thing(name, text, maker, (x, y, 0.0), float(rng.uniform(0, 360)), size=size, options=options))
    # What lies near the middle is in most pictures; among them the clicked ones are drawn, one of a maker.
    middle = sorted(things, key=lambda thing: float(np.hypot(*thing.position[:2])))[: 2 * COUNT // 3]
    order = rng.permutation(len(middle))
    clicked = list({middle[k].maker: middle[k].name for k in order}.values())[:CLICKED]
    hue = rng.random()
    return Plan(
        kind="messy",
        seed=seed,
        lens=counts.lens(62.0),
        views=rigs.rings(
            rng, np.array([0.0, 0.0, 0.05]), ((26.0, 2.35), (38.0, 2.3), (52.0, 2.25)), counts.train, counts.test
        ),
        things=tuple(things),
        clicked=tuple(clicked),
        surroundings={
            "half": (2.7, 2.7),
            "height": 2.7,
            "planks": (brown(rng, 0.42), brown(rng, 0.3), brown(rng, 0.1)),
            "bricks": (colour(rng, 0.03, 0.45, 0.45), colour(rng, 0.06, 0.45, 0.34), (0.5, 0.47, 0.42)),
            "paper": (colour(rng, hue, 0.25, 0.6), colour(rng, hue, 0.35, 0.4)),
            "rug": None,
            "prints": [[colour(rng, rng.random(), 0.8, 0.5) for _ in range(5)] for _ in range(4)],
            "mirror": 1.0,
        },
    )
