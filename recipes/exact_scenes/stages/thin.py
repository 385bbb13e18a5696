"""Draw what a plan of thin things leaves to its stage: a tiled yard with low brick walls and bushes behind them."""

from __future__ import annotations

import math

from blender_parts import garden, materials, shapes
from exact_scenes.plan import Plan
from exact_scenes.stages import light

WALL_FAR, WALL_HEIGHT = 3.6, 1.0


def build(plan: Plan) -> None:
    """The yard, 7.2 m wide, its walls, a ring of bushes, sky and sun."""
    numbers = plan.surroundings
    yard = shapes.box("yard", (2 * WALL_FAR + 0.4, 2 * WALL_FAR + 0.4, 0.1), 0.001)
    yard.location.z = -0.1
    yard.data.materials.append(materials.tiled("yard tiles", numbers["tiles"], (0.4, 0.4), 0.012))
    meadow = shapes.disc("meadow", 40.0)
    meadow.location.z = -0.11
    meadow.data.materials.append(materials.meadow("grass"))
    for number in range(4):
        turn = 0.5 * math.pi * number
        wall = shapes.box(f"wall {number}", (2 * WALL_FAR + 0.2, WALL_HEIGHT, 0.15), 0.002)
        wall.rotation_euler = (0.5 * math.pi, 0.0, turn)
        wall.location = (-(WALL_FAR + 0.15) * math.sin(turn), (WALL_FAR + 0.15) * math.cos(turn), 0.5 * WALL_HEIGHT)
        wall.data.materials.append(materials.tiled(f"wall {number} bricks", numbers["bricks"], (0.26, 0.085), 0.008))
    for number in range(22):
        turn = 2.0 * math.pi * number / 22
        far = 6.0 + 1.5 * (number % 3)
        parts = garden.tree(f"bush {number}", numbers["hedge"], 100 + number, 2.2 + 0.5 * (number % 4))
        shapes.anchored(f"bush {number}", parts, (far * math.cos(turn), far * math.sin(turn), 0.0))
    light.clouded_sky((0.16, 0.34, 0.75), (0.62, 0.72, 0.85), 0.9)
    light.sun(numbers["sun"], 2.4, 4.0)
