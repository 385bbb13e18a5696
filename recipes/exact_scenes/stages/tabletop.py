"""Draw what a tabletop's plan leaves to its stage: the bundled scene's table, floor and light, the table larger."""

from __future__ import annotations

import bpy

from blender_parts import shapes
from bundled_scene import layout
from exact_scenes.plan import Plan


def build(plan: Plan) -> None:
    """The furniture of recipes/bundled_scene, scaled about the middle of the table top, and its light."""
    before = set(bpy.context.scene.objects)
    layout.furniture()
    furniture = [shape for shape in bpy.context.scene.objects if shape not in before]
    shapes.anchored("furniture", furniture, (0.0, 0.0, 0.0), size=plan.surroundings["table_scale"])
    layout.light()
