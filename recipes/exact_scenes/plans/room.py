"""A furnished room, as of 3D-FRONT: big things along its walls, seen by cameras that walk round its middle."""

from __future__ import annotations

from exact_scenes import rigs
from exact_scenes.plan import Counts, Plan, Thing, brown, colour, generator

HALF = (2.7, 2.3)
HEIGHT = 2.6


def make(seed: int, counts: Counts) -> Plan:
    """The plan: the arrangement is one of two mirror images; colours, sizes and places vary with the seed."""
    rng = generator("room", seed)
    mirror = 1.0 if rng.random() < 0.5 else -1.0
    hue, oak = rng.random(), brown(rng)

    def placed(name: str, text: str, maker: str, spot: tuple[float, float, float], yaw: float, **options) -> Thing:
        x, y = spot[0] + rng.uniform(-0.06, 0.06), spot[1] + rng.uniform(-0.04, 0.04)
        return Thing(
            name, text, maker, (mirror * x, y, spot[2]), mirror * (yaw + rng.uniform(-3.0, 3.0)), options=options
        )

    things = [
        placed("bed", "a bed with a checked cover and pillows", "bed", (-1.7, 1.12, 0.0), 180.0, frame=oak,
               cover=colour(rng, hue, 0.7, 0.3), width=rng.uniform(1.35, 1.6)),
        placed("sofa", "a sofa with two printed pillows", "sofa", (-0.75, -1.75, 0.0), 0.0,
               cloth=colour(rng, hue + 0.45, 0.6, 0.22), pillow=colour(rng, hue + 0.1, 0.8, 0.5)),
        placed("table", "a low table of dark wood with slats below", "table", (-0.45, -0.68, 0.0), 4.0,
               wood=brown(rng, 0.2)),
        placed("shelf", "an open shelf full of books", "shelf", (2.46, -0.85, 0.0), 90.0, wood=brown(rng, 0.42),
               book_seed=int(rng.integers(1000))),
        placed("dresser", "a chest of drawers with knobs", "dresser", (1.35, 2.02, 0.0), 180.0,
               paint=colour(rng, hue + 0.3, 0.5, 0.35)),
        placed("lamp", "a standing lamp with a striped shade", "floor_lamp", (0.72, -1.9, 0.0), 0.0,
               shade=colour(rng, hue + 0.6, 0.7, 0.45), metal=(0.05, 0.045, 0.04)),
        placed("plant", "a plant of broad leaves in a banded pot", "plant", (2.28, -1.92, 0.0), 0.0,
               pot=colour(rng, 0.05, 0.7, 0.3), leaf=colour(rng, 0.3, 0.75, 0.28), seed=int(rng.integers(1000))),
    ]  # fmt: skip
    chair = placed("chair", "a red chair of thin rods", "chair", (1.75, 0.8, 0.0), 115.0)
    table = things[2].position
    bowl = Thing("bowl", "a turned wooden bowl on the table", "bowl", (table[0] + 0.22, table[1], 0.45), 0.0, size=1.7)
    teapot = Thing(
        "teapot", "a speckled teapot on the table", "teapot", (table[0] - 0.2, table[1], 0.45), 40.0, size=1.5
    )
    things += [Thing(chair.name, chair.description, "chair", chair.position, chair.yaw_degrees, size=4.8), bowl, teapot]
    surroundings = {
        "half": HALF,
        "height": HEIGHT,
        "planks": (brown(rng, 0.38), brown(rng, 0.26), brown(rng, 0.08)),
        "bricks": (colour(rng, 0.03, 0.55, 0.42), colour(rng, 0.06, 0.5, 0.3), (0.5, 0.47, 0.42)),
        "paper": (colour(rng, hue + 0.55, 0.25, 0.6), colour(rng, hue + 0.55, 0.35, 0.4)),
        "rug": ((0.62, 0.55, 0.42), colour(rng, hue + 0.8, 0.75, 0.3)),
        "prints": [[colour(rng, rng.random(), 0.8, 0.5) for _ in range(5)] for _ in range(4)],
        "mirror": mirror,
    }
    return Plan(
        kind="room",
        seed=seed,
        lens=counts.lens(74.0),
        views=rigs.walk(rng, (1.35, 1.05), (1.25, 1.75), counts.train, counts.test),
        things=tuple(things),
        clicked=("bed", "sofa", "table", "shelf", "dresser", "lamp", "chair", "plant"),
        surroundings=surroundings,
    )
