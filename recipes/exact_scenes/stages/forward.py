"""Draw what a forward-facing plan leaves to its stage: table, cloth, floor, the wall behind, two pictures, light."""

from __future__ import annotations

import math

from blender_parts import furniture, materials, shapes
from exact_scenes.plan import Plan
from exact_scenes.plans.forward import TOP
from exact_scenes.stages import light

WALL_AT = 0.75  # metres behind the table's middle


def build(plan: Plan) -> None:
    """A room of which only the far wall is there; the sky lights it from the front and from above."""
    numbers = plan.surroundings
    furniture.table("stand", numbers["table"], (1.5, 0.8, TOP))
    cloth = shapes.box("cloth", (0.9, 0.62, 0.004), 0.001)
    cloth.location, cloth.rotation_euler.z = (0.1, -0.02, TOP - 0.002), math.radians(8.0)
    pale = furniture.shaded(numbers["cloth"], 2.4)
    cloth.data.materials.append(materials.gingham("cloth check", pale, numbers["cloth"], 0.035))
    floor = shapes.box("floor", (9.0, 6.0, 0.1), 0.001)
    floor.location = (0.0, -1.5, -0.1)
    floor.data.materials.append(materials.tiled("floor planks", numbers["planks"], (1.1, 0.12), 0.003))
    wall = shapes.box("wall", (9.0, 4.0, 0.1), 0.001)
    wall.rotation_euler.x = 0.5 * math.pi
    wall.location = (0.0, WALL_AT + 0.1, 2.0)
    wall.data.materials.append(materials.tiled("wall bricks", numbers["bricks"], (0.26, 0.085), 0.008))
    for number, (x, inks) in enumerate(zip((-0.55, 0.6), numbers["prints"], strict=True)):
        picture = furniture.picture(f"picture {number}", inks, (0.6, 0.5))
        shapes.anchored(f"picture {number}", picture, (x, WALL_AT, 1.45), (0.0, 0.0, math.pi))
    light.even_sky((0.95, 0.97, 1.0), 0.85)
    light.sun((42.0, -65.0), 2.2, 6.0)
