"""Draw what a room's plan leaves to its stage: floor, walls, ceiling, rug, pictures, light."""

from __future__ import annotations

import math

from blender_parts import furniture, materials, shapes
from exact_scenes.plan import Plan
from exact_scenes.stages import light


def walls(half: tuple[float, float], height: float, bricks: tuple, paper: tuple) -> None:
    """Four walls with their inner faces at `half` from the middle: two of brick, two papered with a large check."""
    for number, (angle, far, wide) in enumerate(
        ((0.0, half[1], half[0]), (90.0, half[0], half[1]), (180.0, half[1], half[0]), (270.0, half[0], half[1]))
    ):
        wall = shapes.box(f"wall {number}", (2.0 * wide + 0.2, height, 0.1), 0.001)
        if number % 2:
            surface = materials.tiled(f"wall {number} bricks", bricks, (0.26, 0.085), 0.008)
        else:
            surface = materials.gingham(f"wall {number} paper", *paper, 0.085)
        turn = math.radians(angle)
        wall.data.materials.append(surface)
        # The box lies in its own x, y plane, where the pattern is, and is stood up with its face inwards.
        wall.rotation_euler = (0.5 * math.pi, 0.0, turn)
        wall.location = (-(far + 0.1) * math.sin(turn), (far + 0.1) * math.cos(turn), 0.5 * height)


def build(plan: Plan) -> None:
    """The room itself; light falls in through the ceiling, which only cameras see."""
    numbers = plan.surroundings
    half, height = numbers["half"], numbers["height"]
    floor = shapes.box("floor", (2 * half[0] + 0.2, 2 * half[1] + 0.2, 0.1), 0.001)
    floor.location.z = -0.1
    floor.data.materials.append(materials.tiled("floor planks", numbers["planks"], (1.1, 0.12), 0.003))
    walls(half, height, numbers["bricks"], numbers["paper"])
    ceiling = shapes.box("ceiling", (2 * half[0] + 0.2, 2 * half[1] + 0.2, 0.1), 0.001)
    ceiling.location.z = height
    panels = ((0.62, 0.58, 0.52), (0.52, 0.48, 0.43), (0.2, 0.16, 0.12))
    ceiling.data.materials.append(materials.tiled("ceiling panels", panels, (0.9, 0.3), 0.01))
    light.only_for_cameras(ceiling)
    mirror = numbers["mirror"]
    if numbers["rug"]:
        for part in furniture.rug("rug", *numbers["rug"]):
            part.location = (-0.3 * mirror, -0.55, 0.0)
    spots = (
        (-1.7 * mirror, half[1], 1.25, 180.0),
        (0.3 * mirror, -half[1], 1.3, 0.0),
        (-half[0] * mirror, -0.9, 1.1, -90.0 * mirror),
        (half[0] * mirror, 1.1, 1.3, 90.0 * mirror),
    )
    for number, ((x, y, z, yaw), inks) in enumerate(zip(spots, numbers["prints"], strict=True)):
        picture = furniture.picture(f"picture {number}", inks)
        shapes.anchored(f"picture {number}", picture, (x, y, z), (0.0, 0.0, math.radians(yaw)))
    light.even_sky((0.95, 0.97, 1.0), 1.0)
    light.sun((24.0, 35.0), 1.6, 12.0)
