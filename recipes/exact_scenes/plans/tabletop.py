"""The bundled scene's things on its table, at places that the seed draws; seed 7 of recipes/bundled_scene ships."""

from __future__ import annotations

import numpy as np

from exact_scenes import packing, rigs
from exact_scenes.plan import Counts, Plan, Thing, colour, generator

TABLE_SCALE = 1.25
"""The bundled table is 0.98 m by 0.76 m; this one is so many times larger, to give random places room."""
REACH = (0.46 * TABLE_SCALE, 0.35 * TABLE_SCALE)

TEXTS = {
    "teapot": "a speckled blue-green teapot with a brown handle",
    "pumpkin": "an orange pumpkin",
    "bowl": "a turned wooden bowl",
    "mug": "a mug with navy and orange bands",
    "ring": "a painted wooden ring on its edge: one sees through it",
    "chair": "a red doll's chair of thin rods",
    "book": "a book with a band across its cover",
    "cow": "a white toy cow with brown patches",
    "bottle": "a dark green stoneware bottle with a striped label",
    "block": "a violet and yellow toy block",
    "stacking_rings": "a child's pyramid of five rings",
    "vase": "a turned vase in three colours",
}


def make(seed: int, counts: Counts) -> Plan:
    """The plan: twelve things and a twin mug, scattered without touching, and a pear in the bowl."""
    rng = generator("tabletop", seed)
    makers = [*TEXTS, "mug"]
    sizes = [0.8 if maker in ("stacking_rings", "vase") else 1.0 for maker in makers]
    radii = [packing.FOOTPRINTS[maker] * size for maker, size in zip(makers, sizes, strict=True)]
    things: list[Thing] = []
    for maker, size, (x, y) in zip(makers, sizes, packing.scatter(rng, radii, REACH), strict=True):
        options: dict = {"seed": int(rng.integers(10_000))} if maker in ("stacking_rings", "vase") else {}
        if maker == "book":
            cover, stripe = colour(rng, rng.random(), 0.8, 0.25), colour(rng, rng.random(), 0.5, 0.6)
            options = {"cover": cover, "stripe": stripe, "size": (0.14, 0.19, 0.032)}
        name = "mug_twin" if any(thing.name == maker for thing in things) else maker
        things.append(
            Thing(name, TEXTS[maker], maker, (x, y, 0.0), float(rng.uniform(0, 360)), size=size, options=options)
        )
    bowl = next(thing.position for thing in things if thing.name == "bowl")
    things.append(Thing("pear", "a pear that leans in the bowl", "pear", (bowl[0] + 0.015, bowl[1], 0.018), 60.0, 24.0))
    return Plan(
        kind="tabletop",
        seed=seed,
        lens=counts.lens(55.0),
        views=rigs.rings(
            rng, np.array([0.0, 0.0, 0.035]), ((24.0, 1.08), (38.0, 1.06), (54.0, 1.04)), counts.train, counts.test
        ),
        things=tuple(things),
        clicked=("teapot", "pumpkin", "mug", "ring", "chair", "bottle", "cow"),
        surroundings={"table_scale": TABLE_SCALE},
    )
